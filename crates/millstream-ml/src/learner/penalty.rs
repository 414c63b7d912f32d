//! L1 and L2 outside of optimizers that have penalties of their own.

use super::error::{LearnError, Result};
use super::optimizer::Optimizer;
use super::options::OptionReader;
use super::state::{StateReader, StateWriter};

/// Options `l1` and `l2`, where the optimizer does not have them itself.
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

/// The cumulative L1 penalty of Tsuruoka, Tsujii, Ananiadou (Stochastic gradient descent training for L1-regularized log-linear
/// models, ACL 2009): weights are drawn to 0 and stay there, however they got there.
#[derive(Clone, Debug)]
pub(super) struct CumulativeL1 {
    /// 0: there is none.
    step: f64,
    /// How much every weight could have got, and has got.
    due: f64,
    got: Vec<f64>,
}

impl CumulativeL1 {
    pub(super) fn new(l1: f64, optimizer: &Optimizer, weights: usize) -> Self {
        Self { step: l1 * optimizer.rate(), due: 0.0, got: vec![0.0; if l1 > 0.0 { weights } else { 0 }] }
    }

    /// After a step: figure 2 of the paper.
    #[inline]
    pub(super) fn apply(&mut self, weights: &mut [f64]) {
        if self.got.is_empty() {
            return;
        }
        self.due += self.step;
        for (w, got) in weights.iter_mut().zip(&mut self.got) {
            let before = *w;
            if before > 0.0 {
                *w = (before - (self.due + *got)).max(0.0);
            } else if before < 0.0 {
                *w = (before + (self.due - *got)).min(0.0);
            }
            *got += *w - before;
        }
    }

    pub(super) fn reset(&mut self) {
        self.due = 0.0;
        self.got.fill(0.0);
    }

    pub(super) fn save(&self, name: &str, state: &mut StateWriter) {
        if !self.got.is_empty() {
            state.values(&format!("{name}_due"), &[self.due]);
            state.values(&format!("{name}_got"), &self.got);
        }
    }

    pub(super) fn load(&mut self, name: &str, state: &StateReader) -> Result<()> {
        if self.got.is_empty() {
            return Ok(());
        }
        let mut due = [0.0];
        state.fill(&format!("{name}_due"), &mut due)?;
        self.due = due[0];
        state.fill(&format!("{name}_got"), &mut self.got)
    }
}
