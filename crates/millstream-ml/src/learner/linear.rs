//! Linear and logistic regression, one gradient step a row.

use super::error::Result;
use super::gradient::{MiniBatch, dot, finite, log_slope, sigmoid};
use super::optimizer::{Optimizer, Parameters};
use super::options::OptionReader;
use super::penalty::{CumulativeL1, penalties};
use super::portable::{Layer, Portable, misfit};
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// Optimizers, the first by default.
pub(super) const OPTIMIZERS: [&str; 4] = ["sgd", "adam", "adagrad", "ftrl"];

/// A weighted sum of the features, learned by stochastic gradient descent (Bottou: Large-scale machine learning with stochastic
/// gradient descent, COMPSTAT 2010); for two classes through the logistic function (Cox: The regression analysis of binary
/// sequences, 1958).
///
/// The intercept moves by plain SGD with its own rate, before the weights.
#[derive(Clone, Debug)]
struct LinearModel {
    task: Task,
    optimizer: Optimizer,
    l2: f64,
    intercept_rate: f64,
    clip: f64,
    weights: Parameters,
    intercept: f64,
    l1: CumulativeL1,
    /// Weights' gradients, then the intercept's.
    batch: MiniBatch,
    gradient: Vec<f64>,
}

/// `linear_regression`.
pub(super) fn linear_regression(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    make(Task::Regression, features, options)
}

/// `logistic_regression`.
pub(super) fn logistic_regression(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    make(Task::Binary, features, options)
}

fn make(task: Task, features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    let optimizer = Optimizer::parse(options, &OPTIMIZERS)?;
    let (l1, l2) = penalties(options, &optimizer)?;
    let weights = Parameters::new(vec![0.0; features], &optimizer);
    let model = LinearModel {
        task,
        l2,
        intercept_rate: options.number("intercept_learning_rate", 0.01, 0.0..=1e6)?,
        clip: options.number("clip_gradient", 1e12, f64::MIN_POSITIVE..=1e300)?,
        weights,
        intercept: 0.0,
        l1: CumulativeL1::new(l1, &optimizer, features),
        batch: MiniBatch::parse(options, features + 1)?,
        gradient: vec![0.0; features + 1],
        optimizer,
    };
    Driver::boxed(model, options, features, "standard", 0.5)
}

impl LinearModel {
    #[inline]
    fn raw(&self, row: &[f64]) -> f64 {
        dot(&self.weights.values, row) + self.intercept
    }
}

impl RowLearner for LinearModel {
    fn task(&self) -> Task {
        self.task
    }

    #[inline]
    fn predict(&mut self, row: &[f64], out: &mut Vec<f64>) {
        let raw = self.raw(row);
        out.push(if self.task == Task::Binary { sigmoid(raw) } else { raw });
    }

    #[inline]
    fn learn(&mut self, row: &[f64], target: f64) -> bool {
        let raw = self.raw(row);
        let slope = if self.task == Task::Binary { log_slope(raw, target) } else { 2.0 * (raw - target) };
        let slope = slope.clamp(-self.clip, self.clip);
        let features = row.len();
        for ((g, x), w) in self.gradient.iter_mut().zip(row).zip(&self.weights.values) {
            *g = slope * x + self.l2 * w;
        }
        self.gradient[features] = slope;
        if !finite(&self.gradient) {
            return false;
        }
        if self.batch.add(&mut self.gradient) {
            self.intercept -= self.intercept_rate * self.gradient[features];
            self.optimizer.step(&mut self.weights, &self.gradient[..features]);
            self.l1.apply(&mut self.weights.values);
        }
        true
    }

    fn reset(&mut self) {
        self.weights = Parameters::new(vec![0.0; self.weights.values.len()], &self.optimizer);
        self.intercept = 0.0;
        self.l1.reset();
        self.batch.reset();
    }

    fn save(&self, state: &mut StateWriter) {
        self.weights.save("weight", state);
        state.values("intercept", &[self.intercept]);
        self.l1.save("l1", state);
        self.batch.save(state);
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        self.weights.load("weight", state)?;
        let mut intercept = [0.0];
        state.fill("intercept", &mut intercept)?;
        self.intercept = intercept[0];
        self.l1.load("l1", state)?;
        self.batch.load(state)
    }

    fn portable(&self) -> Option<Portable> {
        let weights = self.weights.values.clone();
        Some(Portable::Layers(vec![Layer { inputs: weights.len(), weights, biases: vec![self.intercept] }]))
    }

    fn take(&mut self, portable: Portable) -> Result<()> {
        match portable {
            Portable::Layers(mut layers) if layers.len() == 1 && layers[0].is_of(self.weights.values.len(), 1) => {
                let layer = layers.remove(0);
                self.intercept = layer.biases[0];
                self.weights = Parameters::starting_at(layer.weights, &self.optimizer);
                Ok(())
            }
            other => misfit(&other, &format!("one sum of {} features", self.weights.values.len())),
        }
    }
}
