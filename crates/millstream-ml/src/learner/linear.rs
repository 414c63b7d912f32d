//! Linear and logistic regression, one gradient step a row.

use super::error::{LearnError, Result};
use super::gradient::{MiniBatch, dot, finite, log_slope, sigmoid};
use super::optimizer::{Optimizer, Parameters};
use super::options::OptionReader;
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// Optimizers, the first by default.
pub(super) const OPTIMIZERS: [&str; 4] = ["sgd", "adam", "adagrad", "ftrl"];

/// A weighted sum of the features, learned by stochastic gradient descent (Bottou: Large-scale machine learning with stochastic
/// gradient descent, COMPSTAT 2010); for two classes through the logistic function (Cox: The regression analysis of binary
/// sequences, 1958).
///
/// The intercept moves by plain SGD with its own rate, before the weights. L1 outside of FTRL is the cumulative penalty of
/// Tsuruoka, Tsujii, Ananiadou (Stochastic gradient descent training for L1-regularized log-linear models, ACL 2009).
#[derive(Clone, Debug)]
struct LinearModel {
    task: Task,
    optimizer: Optimizer,
    l1: f64,
    l2: f64,
    intercept_rate: f64,
    clip: f64,
    weights: Parameters,
    intercept: f64,
    /// How much L1 every weight could have got, and has got.
    penalty_due: f64,
    penalty_got: Vec<f64>,
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
        optimizer,
        l1,
        l2,
        intercept_rate: options.number("intercept_learning_rate", 0.01, 0.0..=1e6)?,
        clip: options.number("clip_gradient", 1e12, f64::MIN_POSITIVE..=1e300)?,
        weights,
        intercept: 0.0,
        penalty_due: 0.0,
        penalty_got: vec![0.0; if l1 > 0.0 { features } else { 0 }],
        batch: MiniBatch::parse(options, features + 1)?,
        gradient: vec![0.0; features + 1],
    };
    Driver::boxed(model, options, features, "standard", 0.5)
}

/// L1 and L2 that are not the optimizer's own.
pub(super) fn penalties(options: &mut OptionReader<'_>, optimizer: &Optimizer) -> Result<(f64, f64)> {
    if optimizer.regularizes() {
        return Ok((0.0, 0.0));
    }
    let (l1, l2) = (options.number("l1", 0.0, 0.0..=1e6)?, options.number("l2", 0.0, 0.0..=1e6)?);
    if l1 > 0.0 && l2 > 0.0 {
        return Err(LearnError::user("'l1' and 'l2' together are not supported by this optimizer (hint: 'optimizer' = 'ftrl' has both)"));
    }
    Ok((l1, l2))
}

impl LinearModel {
    #[inline]
    fn raw(&self, row: &[f64]) -> f64 {
        dot(&self.weights.values, row) + self.intercept
    }

    /// Tsuruoka et al., figure 2.
    fn penalize(&mut self) {
        self.penalty_due += self.l1 * self.optimizer.rate();
        for (w, got) in self.weights.values.iter_mut().zip(&mut self.penalty_got) {
            let before = *w;
            if before > 0.0 {
                *w = (before - (self.penalty_due + *got)).max(0.0);
            } else if before < 0.0 {
                *w = (before + (self.penalty_due - *got)).min(0.0);
            }
            *got += *w - before;
        }
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
            if self.l1 > 0.0 {
                self.penalize();
            }
        }
        true
    }

    fn reset(&mut self) {
        self.weights = Parameters::new(vec![0.0; self.weights.values.len()], &self.optimizer);
        self.intercept = 0.0;
        self.penalty_due = 0.0;
        self.penalty_got.fill(0.0);
        self.batch.reset();
    }

    fn save(&self, state: &mut StateWriter) {
        self.weights.save("weight", state);
        state.values("intercept", &[self.intercept]);
        if self.l1 > 0.0 {
            state.values("l1_due", &[self.penalty_due]);
            state.values("l1_got", &self.penalty_got);
        }
        self.batch.save(state);
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        self.weights.load("weight", state)?;
        let mut intercept = [0.0];
        state.fill("intercept", &mut intercept)?;
        self.intercept = intercept[0];
        if self.l1 > 0.0 {
            let mut due = [0.0];
            state.fill("l1_due", &mut due)?;
            self.penalty_due = due[0];
            state.fill("l1_got", &mut self.penalty_got)?;
        }
        self.batch.load(state)
    }
}
