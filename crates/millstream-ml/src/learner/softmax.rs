//! Softmax regression: logistic regression for any number of classes.

use super::error::Result;
use super::gradient::{dot, finite, softmax};
use super::linear::{OPTIMIZERS, penalties};
use super::optimizer::{Optimizer, Parameters};
use super::options::OptionReader;
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// Multinomial logistic regression by stochastic gradient descent (Böhning: Multinomial logistic regression algorithm, 1992). A
/// class gets weights with its first row; each has an optimizer of its own, whose steps count from there.
#[derive(Clone, Debug)]
struct SoftmaxRegression {
    features: usize,
    optimizer: Optimizer,
    l2: f64,
    intercept_rate: f64,
    classes: Vec<Class>,
    probabilities: Vec<f64>,
    gradient: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Class {
    weights: Parameters,
    intercept: f64,
}

/// Probabilities in the slope are kept this far from 0 and 1.
const PROBABILITY_MIN: f64 = 1e-15;

/// `softmax_regression`.
pub(super) fn softmax_regression(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    let optimizer = Optimizer::parse(options, &OPTIMIZERS)?;
    let (l1, l2) = penalties(options, &optimizer)?;
    if l1 > 0.0 {
        return Err(super::error::LearnError::user("softmax_regression takes 'l1' with FTRL only (hint: 'optimizer' = 'ftrl')"));
    }
    let intercept_rate = options.number("intercept_learning_rate", 0.01, 0.0..=1e6)?;
    let gradient = vec![0.0; features];
    let model = SoftmaxRegression { features, optimizer, l2, intercept_rate, classes: Vec::new(), probabilities: Vec::new(), gradient };
    Driver::boxed(model, options, features, "standard", 0.5)
}

impl SoftmaxRegression {
    fn grow(&mut self, classes: usize) {
        while self.classes.len() < classes {
            let weights = Parameters::new(vec![0.0; self.features], &self.optimizer);
            self.classes.push(Class { weights, intercept: 0.0 });
        }
    }

    fn scores(&self, row: &[f64], out: &mut Vec<f64>) {
        out.extend(self.classes.iter().map(|class| dot(&class.weights.values, row) + class.intercept));
        softmax(out);
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
            for (index, (class, probability)) in self.classes.iter_mut().zip(&probabilities).enumerate() {
                let slope = probability.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN) - f64::from(u8::from(index == target));
                for ((g, x), w) in self.gradient.iter_mut().zip(row).zip(&class.weights.values) {
                    *g = x * slope + self.l2 * w;
                }
                class.intercept -= self.intercept_rate * slope;
                self.optimizer.step(&mut class.weights, &self.gradient);
            }
        }
        self.probabilities = probabilities;
        learnable
    }

    fn reset(&mut self) {
        self.classes.clear();
    }

    fn save(&self, state: &mut StateWriter) {
        state.values("intercept", &self.classes.iter().map(|class| class.intercept).collect::<Vec<_>>());
        for (index, class) in self.classes.iter().enumerate() {
            class.weights.save(&format!("weight_{index}"), state);
        }
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        self.classes.clear();
        let intercepts = state.any("intercept")?;
        self.grow(intercepts.len());
        for (index, (class, intercept)) in self.classes.iter_mut().zip(intercepts).enumerate() {
            class.intercept = intercept;
            class.weights.load(&format!("weight_{index}"), state)?;
        }
        Ok(())
    }
}
