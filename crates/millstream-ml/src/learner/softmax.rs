//! Softmax regression: logistic regression for any number of classes.

use super::error::Result;
use super::gradient::{MiniBatch, dot, finite, softmax};
use super::linear::OPTIMIZERS;
use super::optimizer::{Optimizer, Parameters};
use super::options::OptionReader;
use super::penalty::{CumulativeL1, penalties};
use super::portable::{Layer, Portable, misfit};
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// Multinomial logistic regression by stochastic gradient descent (Böhning: Multinomial logistic regression algorithm, 1992). A
/// class gets weights with its first row; each has an optimizer of its own, whose steps count from there.
#[derive(Clone, Debug)]
struct SoftmaxRegression {
    features: usize,
    optimizer: Optimizer,
    l1: f64,
    l2: f64,
    intercept_rate: f64,
    classes: Vec<Class>,
    probabilities: Vec<f64>,
    /// Class after class the gradients of its weights, then its intercept's.
    batch: MiniBatch,
    gradient: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Class {
    weights: Parameters,
    intercept: f64,
    l1: CumulativeL1,
}

/// Probabilities in the slope are kept this far from 0 and 1.
const PROBABILITY_MIN: f64 = 1e-15;

/// `softmax_regression`.
pub(super) fn softmax_regression(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    let optimizer = Optimizer::parse(options, &OPTIMIZERS)?;
    let (l1, l2) = penalties(options, &optimizer)?;
    let intercept_rate = options.number("intercept_learning_rate", 0.01, 0.0..=1e6)?;
    let batch = MiniBatch::parse(options, 0)?;
    let (classes, probabilities, gradient) = (Vec::new(), Vec::new(), Vec::new());
    let model = SoftmaxRegression { features, optimizer, l1, l2, intercept_rate, classes, probabilities, batch, gradient };
    Driver::boxed(model, options, features, "standard", 0.5)
}

impl SoftmaxRegression {
    fn grow(&mut self, classes: usize) {
        while self.classes.len() < classes {
            let weights = Parameters::new(vec![0.0; self.features], &self.optimizer);
            let l1 = CumulativeL1::new(self.l1, &self.optimizer, self.features);
            self.classes.push(Class { weights, intercept: 0.0, l1 });
        }
        let width = self.classes.len() * (self.features + 1);
        self.gradient.resize(width, 0.0);
        // Rows before a class's first had no share in it.
        self.batch.grow(width);
    }

    fn scores(&self, row: &[f64], out: &mut Vec<f64>) {
        out.extend(self.classes.iter().map(|class| dot(&class.weights.values, row) + class.intercept));
        softmax(out);
    }

    fn step(&mut self) {
        for (class, gradient) in self.classes.iter_mut().zip(self.gradient.chunks_exact(self.features + 1)) {
            class.intercept -= self.intercept_rate * gradient[self.features];
            self.optimizer.step(&mut class.weights, &gradient[..self.features]);
            class.l1.apply(&mut class.weights.values);
        }
    }
}

impl RowLearner for SoftmaxRegression {
    fn task(&self) -> Task {
        Task::Classes
    }

    fn predict(&mut self, row: &[f64], out: &mut Vec<f64>) {
        self.scores(row, out);
    }

    fn learn(&mut self, row: &[f64], target: f64) -> bool {
        let target = target as usize;
        let mut probabilities = std::mem::take(&mut self.probabilities);
        probabilities.clear();
        self.scores(row, &mut probabilities);
        // A class that was not known had no share in the scores.
        probabilities.resize(self.classes.len().max(target + 1), 0.0);
        let greatest = row.iter().fold(0.0_f64, |greatest, x| greatest.max(x.abs()));
        let learnable = finite(&probabilities) && greatest < f64::MAX;
        if learnable {
            self.grow(target + 1);
            let gradients = self.gradient.chunks_exact_mut(self.features + 1);
            for (index, ((class, probability), gradient)) in self.classes.iter().zip(&probabilities).zip(gradients).enumerate() {
                let slope = probability.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN) - f64::from(u8::from(index == target));
                for ((g, x), w) in gradient.iter_mut().zip(row).zip(&class.weights.values) {
                    *g = x * slope + self.l2 * w;
                }
                gradient[self.features] = slope;
            }
            if self.batch.add(&mut self.gradient) {
                self.step();
            }
        }
        self.probabilities = probabilities;
        learnable
    }

    fn reset(&mut self) {
        self.classes.clear();
        self.gradient.clear();
        self.batch.clear();
    }

    fn save(&self, state: &mut StateWriter) {
        state.values("intercept", &self.classes.iter().map(|class| class.intercept).collect::<Vec<_>>());
        for (index, class) in self.classes.iter().enumerate() {
            class.weights.save(&format!("weight_{index}"), state);
            class.l1.save(&format!("l1_{index}"), state);
        }
        self.batch.save(state);
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        self.reset();
        let intercepts = state.any("intercept")?;
        self.grow(intercepts.len());
        for (index, (class, intercept)) in self.classes.iter_mut().zip(intercepts).enumerate() {
            class.intercept = intercept;
            class.weights.load(&format!("weight_{index}"), state)?;
            class.l1.load(&format!("l1_{index}"), state)?;
        }
        if self.classes.is_empty() { Ok(()) } else { self.batch.load(state) }
    }

    fn portable(&self) -> Option<Portable> {
        let weights = self.classes.iter().flat_map(|class| class.weights.values.iter().copied()).collect();
        let biases = self.classes.iter().map(|class| class.intercept).collect();
        Some(Portable::Layers(vec![Layer { inputs: self.features, weights, biases }]))
    }

    fn take(&mut self, portable: Portable) -> Result<()> {
        match portable {
            Portable::Layers(mut layers) if layers.len() == 1 && layers[0].inputs == self.features => {
                let layer = layers.remove(0);
                self.reset();
                self.grow(layer.biases.len());
                let weights = layer.weights.chunks_exact(self.features);
                for ((class, weights), bias) in self.classes.iter_mut().zip(weights).zip(layer.biases) {
                    class.intercept = bias;
                    class.weights = Parameters::starting_at(weights.to_vec(), &self.optimizer);
                }
                Ok(())
            }
            other => misfit(&other, &format!("sums of {} features, one for each class", self.features)),
        }
    }
}
