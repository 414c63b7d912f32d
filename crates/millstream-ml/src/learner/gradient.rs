//! What learners by gradient have in common: mini-batches, losses and the functions around them.

use super::error::Result;
use super::options::OptionReader;
use super::state::{StateReader, StateWriter};

/// Sums gradients until a mini-batch is full. Batches are cut by counting rows, never where an Arrow batch ends; a batch that is
/// not full yet is part of the state.
#[derive(Clone, Debug)]
pub(crate) struct MiniBatch {
    size: usize,
    rows: usize,
    sums: Vec<f64>,
}

impl MiniBatch {
    pub(crate) fn parse(options: &mut OptionReader<'_>, parameters: usize) -> Result<Self> {
        let size = options.count("batch_size", 1, 1..=1_000_000)?;
        Ok(Self { size, rows: 0, sums: vec![0.0; parameters] })
    }

    /// Adds a row's gradient; the mean gradient of the batch if this filled it, in `gradient`.
    #[inline]
    pub(crate) fn add(&mut self, gradient: &mut [f64]) -> bool {
        if self.size == 1 {
            return true;
        }
        for (sum, g) in self.sums.iter_mut().zip(gradient.iter()) {
            *sum += g;
        }
        self.rows += 1;
        if self.rows < self.size {
            return false;
        }
        let rows = self.rows as f64;
        for (sum, g) in self.sums.iter_mut().zip(gradient) {
            *g = *sum / rows;
            *sum = 0.0;
        }
        self.rows = 0;
        true
    }

    pub(crate) fn reset(&mut self) {
        self.rows = 0;
        self.sums.fill(0.0);
    }

    /// Also forgets how many parameters there are.
    pub(crate) fn clear(&mut self) {
        self.rows = 0;
        self.sums.clear();
    }

    /// More parameters, behind those that are there.
    pub(crate) fn grow(&mut self, parameters: usize) {
        self.sums.resize(parameters.max(self.sums.len()), 0.0);
    }

    pub(crate) fn save(&self, state: &mut StateWriter) {
        if self.size > 1 {
            state.values("pending_rows", &[self.rows as f64]);
            state.values("pending_gradient", &self.sums);
        }
    }

    pub(crate) fn load(&mut self, state: &StateReader) -> Result<()> {
        if self.size == 1 {
            return Ok(());
        }
        let mut rows = [0.0];
        state.fill("pending_rows", &mut rows)?;
        self.rows = rows[0] as usize;
        state.fill("pending_gradient", &mut self.sums)
    }
}

/// Whether all are finite.
#[inline]
pub(crate) fn finite(gradient: &[f64]) -> bool {
    gradient.iter().map(|g| g * 0.0).sum::<f64>() == 0.0
}

/// The logistic function.
#[inline]
pub(crate) fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 {
        1.0 / (1.0 + (-z).exp())
    } else {
        let e = z.exp();
        e / (1.0 + e)
    }
}

/// Slope of the log loss of a raw score, for a target of 0 or 1.
#[inline]
pub(crate) fn log_slope(score: f64, target: f64) -> f64 {
    let sign = if target > 0.5 { 1.0 } else { -1.0 };
    let margin = score * sign;
    if margin > 18.0 { (-margin).exp() * -sign } else { -sign / (margin.exp() + 1.0) }
}

/// Sum of products, in the order of the features.
#[inline]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Scores to probabilities, in place.
pub(crate) fn softmax(scores: &mut [f64]) {
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for score in scores.iter_mut() {
        *score = (*score - greatest).exp();
    }
    let sum: f64 = scores.iter().sum();
    for score in scores {
        *score /= sum;
    }
}
