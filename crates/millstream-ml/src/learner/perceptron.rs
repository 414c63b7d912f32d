//! A small neural net that learns row by row.

use super::error::{LearnError, Result};
use super::gradient::{MiniBatch, dot, finite, log_slope, sigmoid};
use super::optimizer::{Optimizer, Parameters};
use super::options::OptionReader;
use super::portable::{Layer, Portable, misfit};
use super::random::Random;
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// Most weights of a net.
const WEIGHTS_MAX: usize = 1 << 20;

/// A multilayer perceptron with ReLU, learned by back-propagation (Rumelhart, Hinton, Williams: Learning representations by
/// back-propagating errors, Nature 1986); first weights uniform as in He et al. (Delving deep into rectifiers, ICCV 2015).
///
/// ```text
/// parameters: for each layer its weights, output by output, then its biases
/// ```
#[derive(Clone, Debug)]
struct Perceptron {
    task: Task,
    /// Neurons of each layer: the features first, one output last.
    sizes: Vec<usize>,
    optimizer: Optimizer,
    l2: f64,
    random: Random,
    parameters: Parameters,
    batch: MiniBatch,
    gradient: Vec<f64>,
    /// What each layer gave, and the slope of the loss by it.
    activations: Vec<Vec<f64>>,
    slopes: Vec<Vec<f64>>,
}

/// `mlp_regressor`.
pub(super) fn mlp_regressor(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    make(Task::Regression, features, options)
}

/// `mlp_classifier`, of two classes.
pub(super) fn mlp_classifier(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    make(Task::Binary, features, options)
}

fn make(task: Task, features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    let sizes = layer_sizes(features, options.text("hidden").unwrap_or("16"))?;
    let optimizer = Optimizer::parse(options, &["adam", "sgd", "adagrad"])?;
    let mut random = Random::new(options.count("seed", 0, 0..=usize::MAX)? as u64);
    let parameters = first_parameters(&sizes, &optimizer, &mut random);
    let count = parameters.values.len();
    let zeros = |sizes: &[usize]| sizes.iter().map(|size| vec![0.0; *size]).collect::<Vec<_>>();
    let model = Perceptron {
        task,
        optimizer,
        l2: options.number("l2", 0.0, 0.0..=1e6)?,
        random,
        parameters,
        batch: MiniBatch::parse(options, count)?,
        gradient: vec![0.0; count],
        activations: zeros(&sizes),
        slopes: zeros(&sizes),
        sizes,
    };
    Driver::boxed(model, options, features, "standard", 0.5)
}

fn layer_sizes(features: usize, hidden: &str) -> Result<Vec<usize>> {
    let wrong = || {
        LearnError::user(format!(
            "option 'hidden' must list the neurons of each hidden layer, of at most {WEIGHTS_MAX} weights in all: got '{hidden}' \
             (hint: for example 'hidden' = '64,32')"
        ))
    };
    let mut sizes = vec![features];
    for size in hidden.split(',') {
        sizes.push(size.trim().parse().ok().filter(|size| (1..=WEIGHTS_MAX).contains(size)).ok_or_else(wrong)?);
    }
    sizes.push(1);
    let weights = sizes.windows(2).try_fold(0_usize, |sum, pair| pair[0].checked_mul(pair[1])?.checked_add(sum));
    if sizes.len() > 10 || weights.is_none_or(|weights| weights > WEIGHTS_MAX) {
        return Err(wrong());
    }
    Ok(sizes)
}

fn first_parameters(sizes: &[usize], optimizer: &Optimizer, random: &mut Random) -> Parameters {
    let mut values = Vec::new();
    for pair in sizes.windows(2) {
        let bound = (6.0 / pair[0] as f64).sqrt();
        values.extend((0..pair[0] * pair[1]).map(|_| random.between(-bound, bound)));
        values.extend(std::iter::repeat_n(0.0, pair[1]));
    }
    Parameters::new(values, optimizer)
}

impl Perceptron {
    fn forward(&mut self, row: &[f64]) -> f64 {
        self.activations[0].copy_from_slice(row);
        let mut at = 0;
        for layer in 1..self.sizes.len() {
            let (inputs, outputs) = (self.sizes[layer - 1], self.sizes[layer]);
            let (weights, biases) = self.parameters.values[at..].split_at(inputs * outputs);
            let (before, after) = self.activations.split_at_mut(layer);
            let is_last = layer + 1 == self.sizes.len();
            for ((out, weights), bias) in after[0].iter_mut().zip(weights.chunks_exact(inputs)).zip(biases) {
                let sum = dot(weights, &before[layer - 1]) + bias;
                *out = if is_last { sum } else { sum.max(0.0) };
            }
            at += inputs * outputs + outputs;
        }
        self.activations[self.sizes.len() - 1][0]
    }

    /// Fills `gradient`, from the last layer to the first.
    fn backward(&mut self, slope: f64) {
        let last = self.sizes.len() - 1;
        self.slopes[last][0] = slope;
        let mut end = self.gradient.len();
        for layer in (1..=last).rev() {
            let (inputs, outputs) = (self.sizes[layer - 1], self.sizes[layer]);
            let start = end - inputs * outputs - outputs;
            let values = &self.parameters.values[start..end];
            let (weight_gradient, bias_gradient) = self.gradient[start..end].split_at_mut(inputs * outputs);
            let (before, after) = self.slopes.split_at_mut(layer);
            let (below, above) = (&mut before[layer - 1], &after[0]);
            let input = &self.activations[layer - 1];
            below.fill(0.0);
            bias_gradient.copy_from_slice(above);
            for (out, slope) in above.iter().enumerate() {
                let weights = &values[out * inputs..(out + 1) * inputs];
                let into = &mut weight_gradient[out * inputs..(out + 1) * inputs];
                for (((g, x), w), below) in into.iter_mut().zip(input).zip(weights).zip(below.iter_mut()) {
                    *g = slope * x + self.l2 * w;
                    *below += slope * w;
                }
            }
            for (below, x) in below.iter_mut().zip(input) {
                // The inputs of hidden layers went through ReLU; those of the first are not looked at any more.
                if *x <= 0.0 {
                    *below = 0.0;
                }
            }
            end = start;
        }
    }
}

impl RowLearner for Perceptron {
    fn task(&self) -> Task {
        self.task
    }

    fn predict(&mut self, row: &[f64], out: &mut Vec<f64>) {
        let raw = self.forward(row);
        out.push(if self.task == Task::Binary { sigmoid(raw) } else { raw });
    }

    fn learn(&mut self, row: &[f64], target: f64) -> bool {
        let raw = self.forward(row);
        self.backward(if self.task == Task::Binary { log_slope(raw, target) } else { 2.0 * (raw - target) });
        if !finite(&self.gradient) {
            return false;
        }
        if self.batch.add(&mut self.gradient) {
            self.optimizer.step(&mut self.parameters, &self.gradient);
        }
        true
    }

    fn reset(&mut self) {
        self.parameters = first_parameters(&self.sizes, &self.optimizer, &mut self.random);
        self.batch.reset();
    }

    fn save(&self, state: &mut StateWriter) {
        self.parameters.save("weight", state);
        self.batch.save(state);
        state.texts("random", [Some(self.random.state().to_string().as_str())]);
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        self.parameters.load("weight", state)?;
        self.batch.load(state)?;
        self.random = load_random(state)?;
        Ok(())
    }

    fn portable(&self) -> Option<Portable> {
        let mut rest = self.parameters.values.as_slice();
        let layers = self.sizes.windows(2).map(|pair| {
            let (weights, after) = rest.split_at(pair[0] * pair[1]);
            let (biases, after) = after.split_at(pair[1]);
            rest = after;
            Layer { inputs: pair[0], weights: weights.to_vec(), biases: biases.to_vec() }
        });
        Some(Portable::Layers(layers.collect()))
    }

    fn take(&mut self, portable: Portable) -> Result<()> {
        match portable {
            Portable::Layers(layers)
                if layers.len() + 1 == self.sizes.len()
                    && layers.iter().zip(self.sizes.windows(2)).all(|(layer, pair)| layer.is_of(pair[0], pair[1])) =>
            {
                let values = layers.into_iter().flat_map(|layer| layer.weights.into_iter().chain(layer.biases)).collect();
                self.parameters = Parameters::starting_at(values, &self.optimizer);
                Ok(())
            }
            other => {
                let sizes: Vec<String> = self.sizes[1..].iter().map(usize::to_string).collect();
                misfit(&other, &format!("sums of {} features in layers of {}", self.sizes[0], sizes.join(", ")))
            }
        }
    }
}

/// Where the random numbers go on.
pub(super) fn load_random(state: &StateReader) -> Result<Random> {
    let text = state.texts("random").into_iter().next().flatten();
    let number = text.and_then(|text| text.parse().ok());
    number.map(Random::new).ok_or_else(|| LearnError::state("a model's state lacks the state of its random numbers"))
}
