//! The population stability index: how far a distribution has moved.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float64Type};

use super::MetricStates;
use super::rows::for_each_row;
use crate::learner::error::{LearnError, Result};

/// Sum over bins of `(actual - expected) · ln(actual / expected)` of the shares in equal bins between two bounds (Siddiqi: Credit
/// risk scorecards, 2006; the sum is Kullback and Leibler's J, 1951). What is outside goes to the outer bins; the share of an
/// empty bin is taken as `SHARE_MIN`. By a rule of thumb 0.1 is a little and 0.25 much.
#[derive(Clone, Debug)]
pub(super) struct PsiStates {
    bins: usize,
    low: f64,
    high: f64,
    /// For each group counts of the expected values by bin, then of the actual ones.
    counts: Vec<f64>,
}

const SHARE_MIN: f64 = 1e-4;
const BINS_MAX: usize = 10_000;

impl PsiStates {
    pub(super) fn new(bins: usize, low: f64, high: f64) -> Result<Self> {
        if !((2..=BINS_MAX).contains(&bins) && low < high && low.is_finite() && high.is_finite()) {
            return Err(LearnError::user(format!(
                "psi takes 2 to {BINS_MAX} bins between two bounds: got {bins} from {low} to {high} (hint: psi(expected, actual, 10, 0.0, 1.0))"
            )));
        }
        Ok(Self { bins, low, high, counts: Vec::new() })
    }

    fn width(&self) -> usize {
        2 * self.bins
    }

    fn take(&mut self, groups: usize) -> Vec<f64> {
        self.counts.drain(..(groups * self.width()).min(self.counts.len())).collect()
    }

    fn value(&self, counts: &[f64]) -> Option<f64> {
        let (expected, actual) = counts.split_at(self.bins);
        let (of_expected, of_actual) = (expected.iter().sum::<f64>(), actual.iter().sum::<f64>());
        if of_expected == 0.0 || of_actual == 0.0 {
            return None;
        }
        let term = |(expected, actual): (&f64, &f64)| {
            let (expected, actual) = ((expected / of_expected).max(SHARE_MIN), (actual / of_actual).max(SHARE_MIN));
            (actual - expected) * (actual / expected).ln()
        };
        Some(expected.iter().zip(actual).map(term).sum())
    }
}

impl MetricStates for PsiStates {
    fn grow(&mut self, groups: usize) {
        if self.counts.len() < groups * self.width() {
            self.counts.resize(groups * self.width(), 0.0);
        }
    }

    fn boxed_clone(&self) -> Box<dyn MetricStates> {
        Box::new(self.clone())
    }

    fn update(&mut self, arguments: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.grow(total);
        let (bins, width, low) = (self.bins, self.width(), self.low);
        let per_unit = bins as f64 / (self.high - low);
        let counts = &mut self.counts;
        for (side, argument) in arguments.iter().take(2).enumerate() {
            let values =
                argument.as_primitive_opt::<Float64Type>().ok_or_else(|| LearnError::user("psi takes two columns of type DOUBLE"))?;
            let values = values.values();
            for_each_row(&[argument], groups, filter, |group, row| {
                if !values[row].is_nan() {
                    let bin = ((values[row] - low) * per_unit).clamp(0.0, bins as f64 - 1.0) as usize;
                    counts[group * width + side * bins + bin] += 1.0;
                }
            });
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        let wrong = || LearnError::state("the state of psi must be a list of counts");
        let lists = states.first().and_then(|column| column.as_list_opt::<i32>()).ok_or_else(wrong)?;
        let width = self.width();
        for (row, group) in groups.iter().enumerate() {
            let counts = lists.value(row);
            let counts = counts.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
            if counts.len() != width {
                return Err(wrong());
            }
            for (into, count) in self.counts[group * width..].iter_mut().zip(counts.values()) {
                *into += count;
            }
        }
        Ok(())
    }

    fn take_states(&mut self, groups: usize) -> Result<Vec<ArrayRef>> {
        let counts = self.take(groups);
        let lengths = vec![self.width(); counts.len() / self.width()];
        let item = Arc::new(Field::new_list_field(DataType::Float64, false));
        Ok(vec![Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), Arc::new(Float64Array::from(counts)), None)?)])
    }

    fn take_values(&mut self, groups: usize) -> Result<ArrayRef> {
        let counts = self.take(groups);
        Ok(Arc::new(counts.chunks_exact(self.width()).map(|counts| self.value(counts)).collect::<Float64Array>()))
    }

    fn groups(&self) -> usize {
        self.counts.len() / self.width()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.counts.capacity() * 8
    }
}
