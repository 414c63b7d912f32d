//! Scalers as stages of their own: what comes out are the features on another scale.

use super::error::Result;
use super::options::OptionReader;
use super::portable::{Portable, misfit};
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// Gives the row as it comes: the driver's scaler, which every learner has before it, is all there is to learn.
#[derive(Clone, Debug)]
struct Scaling;

/// `standard_scaler`: mean 0 and variance 1, by the rows before (Welford's formula, see [`super::scaler`]).
pub(super) fn standard_scaler(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    Driver::boxed(Scaling, options, features, "standard", 0.0)
}

/// `min_max_scaler`: 0 is the least and 1 the greatest of the rows before.
pub(super) fn min_max_scaler(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    Driver::boxed(Scaling, options, features, "min_max", 0.0)
}

impl RowLearner for Scaling {
    fn task(&self) -> Task {
        Task::Scale
    }

    fn predict(&mut self, row: &[f64], out: &mut Vec<f64>) {
        out.extend_from_slice(row);
    }

    fn learn(&mut self, _: &[f64], _: f64) -> bool {
        true
    }

    fn reset(&mut self) {}

    fn save(&self, _: &mut StateWriter) {}

    fn load(&mut self, _: &StateReader) -> Result<()> {
        Ok(())
    }

    fn portable(&self) -> Option<Portable> {
        Some(Portable::Identity)
    }

    fn take(&mut self, portable: Portable) -> Result<()> {
        match portable {
            Portable::Identity => Ok(()),
            other => misfit(&other, "nothing but a scale for features"),
        }
    }
}
