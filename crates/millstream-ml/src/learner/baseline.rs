//! Classifiers that look at no feature: what a model must be better than.

use super::error::Result;
use super::options::OptionReader;
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// Says what the row before was, or what most rows were. On streams whose labels come in runs the first is hard to beat (Žliobaitė
/// et al.: Evaluation methods and decision theory for classification of streaming data with temporal dependence, Machine Learning
/// 2015).
#[derive(Clone, Debug)]
struct Baseline {
    /// Only the row before counts.
    forgets: bool,
    /// Rows of each class.
    rows: Vec<f64>,
}

/// `no_change`.
pub(super) fn no_change(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    Driver::boxed(Baseline { forgets: true, rows: Vec::new() }, options, features, "none", 0.5)
}

/// `majority_class`.
pub(super) fn majority_class(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    Driver::boxed(Baseline { forgets: false, rows: Vec::new() }, options, features, "none", 0.5)
}

impl RowLearner for Baseline {
    fn task(&self) -> Task {
        Task::Classes
    }

    fn predict(&mut self, _: &[f64], out: &mut Vec<f64>) {
        let all: f64 = self.rows.iter().sum();
        out.extend(self.rows.iter().map(|rows| rows / all));
    }

    fn learn(&mut self, _: &[f64], target: f64) -> bool {
        let target = target as usize;
        if self.rows.len() <= target {
            self.rows.resize(target + 1, 0.0);
        }
        if self.forgets {
            self.rows.fill(0.0);
        }
        self.rows[target] += 1.0;
        true
    }

    fn reset(&mut self) {
        self.rows.clear();
    }

    fn save(&self, state: &mut StateWriter) {
        state.values("class_rows", &self.rows);
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        self.rows = state.any("class_rows")?;
        Ok(())
    }
}
