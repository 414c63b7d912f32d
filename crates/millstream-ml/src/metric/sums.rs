//! Metrics whose state is four numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::datatypes::Float64Type;

use super::confusion::{CellLists, cell_lists};
use super::labels::{Positive, equal};
use super::rows::for_each_row;
use super::{MetricStates, Share, share};
use crate::learner::error::{LearnError, Result};

/// Which one, and what the numbers are.
#[derive(Clone, Debug)]
pub(super) enum Sum {
    /// Rows, equal ones.
    Accuracy,
    /// True positives, false positives, false negatives, true negatives.
    Share(Share, Positive, Option<f64>),
    /// Rows, sum of losses.
    LogLoss(Positive),
    /// Rows, sum of absolute errors.
    Absolute,
    /// Rows, sum of squared errors.
    Squared,
    /// Rows, mean of the values, sum of their squared deviations, sum of squared errors. The first three by Welford's formula and
    /// merged by Chan's (Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances, 1979).
    R2,
}

#[derive(Clone, Debug)]
pub(super) struct SumStates {
    sum: Sum,
    states: Vec<[f64; 4]>,
}

/// Probabilities are kept this far from 0 and 1, so that one wrong certainty does not make everything infinite.
const PROBABILITY_MIN: f64 = f64::EPSILON;

impl SumStates {
    pub(super) fn new(sum: Sum) -> Self {
        Self { sum, states: Vec::new() }
    }

    /// Of a binary average the cells are of `t`, the positive class, and `f`.
    fn merge_cells(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let cells = CellLists::new(states)?;
        let wrong = || LearnError::state("the state of a metric by class must be of texts");
        let labels = cells.labels.as_string_opt::<i32>().ok_or_else(wrong)?;
        let predicted = cells.predicted.as_string_opt::<i32>().ok_or_else(wrong)?;
        for (row, group) in groups.iter().enumerate() {
            for at in cells.of(row) {
                let of = quarter(labels.value(at) == "t", predicted.value(at) == "t");
                self.states[*group][of] += cells.counts.value(at) as f64;
            }
        }
        Ok(())
    }

    fn value(&self, [a, b, c, d]: [f64; 4]) -> Option<f64> {
        let mean = (a > 0.0).then(|| b / a);
        match &self.sum {
            Sum::Accuracy | Sum::LogLoss(_) | Sum::Absolute => mean,
            Sum::Squared => mean.map(f64::sqrt),
            Sum::Share(of, _, zero_division) => {
                let rows = a + b + c + d;
                share(*of, a, b, c).or(zero_division.filter(|_| rows > 0.0))
            }
            // One row has no variance; of a constant all or nothing is explained.
            Sum::R2 if a < 2.0 => None,
            Sum::R2 if c == 0.0 => Some(if d == 0.0 { 1.0 } else { 0.0 }),
            Sum::R2 => Some(1.0 - d / c),
        }
    }
}

/// True positives, false positives, false negatives, true negatives.
#[inline]
fn quarter(label: bool, predicted: bool) -> usize {
    match (label, predicted) {
        (true, true) => 0,
        (false, true) => 1,
        (true, false) => 2,
        (false, false) => 3,
    }
}

fn numbers(argument: &ArrayRef) -> Result<&[f64]> {
    match argument.as_primitive_opt::<Float64Type>() {
        Some(numbers) => Ok(numbers.values()),
        None => Err(LearnError::user(format!("a number must come as DOUBLE: got {}", argument.data_type()))),
    }
}

fn two(arguments: &[ArrayRef]) -> Result<(&ArrayRef, &ArrayRef)> {
    match arguments {
        [first, second, ..] => Ok((first, second)),
        _ => Err(LearnError::user("a metric takes two columns")),
    }
}

fn add_r2(state: &mut [f64; 4], value: f64, predicted: f64) {
    state[0] += 1.0;
    let before = value - state[1];
    state[1] += before / state[0];
    state[2] += before * (value - state[1]);
    state[3] += (value - predicted) * (value - predicted);
}

fn merge_r2(into: &mut [f64; 4], other: [f64; 4]) {
    let rows = into[0] + other[0];
    if rows > 0.0 {
        let apart = other[1] - into[1];
        into[2] += other[2] + apart * apart * into[0] * other[0] / rows;
        into[1] += apart * other[0] / rows;
        into[0] = rows;
        into[3] += other[3];
    }
}

impl MetricStates for SumStates {
    fn grow(&mut self, groups: usize) {
        if self.states.len() < groups {
            self.states.resize(groups, [0.0; 4]);
        }
    }

    fn boxed_clone(&self) -> Box<dyn MetricStates> {
        Box::new(self.clone())
    }

    fn update(&mut self, arguments: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.grow(total);
        let (first, second) = two(arguments)?;
        let (columns, states) = ([first, second], &mut self.states);
        match &self.sum {
            Sum::Accuracy => {
                let equal = equal(first, second)?;
                for_each_row(&columns, groups, filter, |group, row| {
                    states[group][0] += 1.0;
                    states[group][1] += f64::from(u8::from(equal.value(row)));
                });
            }
            Sum::Share(_, positive, _) => {
                let (label, predicted) = (positive.marks(first)?, positive.marks(second)?);
                for_each_row(&columns, groups, filter, |group, row| {
                    states[group][quarter(label.value(row), predicted.value(row))] += 1.0;
                });
            }
            Sum::LogLoss(positive) => {
                let (label, probability) = (positive.marks(first)?, numbers(second)?);
                for_each_row(&columns, groups, filter, |group, row| {
                    let p = probability[row].clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
                    states[group][0] += 1.0;
                    states[group][1] -= if label.value(row) { p.ln() } else { (-p).ln_1p() };
                });
            }
            Sum::Absolute | Sum::Squared => {
                let squared = matches!(self.sum, Sum::Squared);
                let (values, predicted) = (numbers(first)?, numbers(second)?);
                for_each_row(&columns, groups, filter, |group, row| {
                    let error = values[row] - predicted[row];
                    states[group][0] += 1.0;
                    states[group][1] += if squared { error * error } else { error.abs() };
                });
            }
            Sum::R2 => {
                let (values, predicted) = (numbers(first)?, numbers(second)?);
                for_each_row(&columns, groups, filter, |group, row| add_r2(&mut states[group], values[row], predicted[row]));
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        if matches!(self.sum, Sum::Share(..)) {
            return self.merge_cells(states, groups);
        }
        let [a, b, c, d] = states else { return Err(LearnError::state("a metric's state has four columns")) };
        let columns = [numbers(a)?, numbers(b)?, numbers(c)?, numbers(d)?];
        for (row, group) in groups.iter().enumerate() {
            let other = columns.map(|column| column[row]);
            let into = &mut self.states[*group];
            if matches!(self.sum, Sum::R2) {
                merge_r2(into, other);
            } else {
                for (into, other) in into.iter_mut().zip(other) {
                    *into += other;
                }
            }
        }
        Ok(())
    }

    fn take_states(&mut self, groups: usize) -> Result<Vec<ArrayRef>> {
        let taken: Vec<[f64; 4]> = self.states.drain(..groups.min(self.states.len())).collect();
        if matches!(self.sum, Sum::Share(..)) {
            let names = [("t", "t"), ("f", "t"), ("t", "f"), ("f", "f")];
            let lists = taken.iter().map(|state| {
                let cells = names.iter().zip(state).filter(|(_, rows)| **rows > 0.0);
                cells.map(|((label, predicted), rows)| (*label, *predicted, *rows as i64)).collect()
            });
            return Ok(vec![cell_lists(lists)?]);
        }
        let column = |at: usize| Arc::new(taken.iter().map(|state| Some(state[at])).collect::<Float64Array>()) as ArrayRef;
        Ok((0..4).map(column).collect())
    }

    fn take_values(&mut self, groups: usize) -> Result<ArrayRef> {
        let taken: Vec<[f64; 4]> = self.states.drain(..groups.min(self.states.len())).collect();
        Ok(Arc::new(taken.into_iter().map(|state| self.value(state)).collect::<Float64Array>()))
    }

    fn groups(&self) -> usize {
        self.states.len()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.states.capacity() * size_of::<[f64; 4]>()
    }
}
