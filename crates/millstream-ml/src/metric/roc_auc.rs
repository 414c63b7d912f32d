//! The area under the ROC curve: exact while the rows of a group can be kept, by a histogram beyond.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Float64Type, Int64Type};

use super::MetricStates;
use super::labels::Positive;
use super::rows::for_each_row;
use crate::learner::error::{LearnError, Result};

/// A group's rows up to here give the exact area (Mann, Whitney: On a test of whether one of two random variables is
/// stochastically larger than the other, 1947). Beyond, scores are counted in [`BINS`] bins, and pairs of one bin count ½: the
/// error is at most half the share of pairs that fall into one bin, which for scores spread over 0..1 is about 1e-4.
pub const EXACT_ROWS_MAX: usize = 16_384;
/// An eighth of the bins is for scores below 0, an eighth for those above 1, the rest is even between.
const BINS: usize = 4_096;
const OUTER: usize = BINS / 8;

#[derive(Clone, Debug)]
pub(super) struct RocAucStates {
    positive: Positive,
    states: Vec<State>,
}

#[derive(Clone, Debug)]
enum State {
    /// Scores of the negative and of the positive rows.
    Exact([Vec<f64>; 2]),
    /// The same as counts by bin, negatives first.
    Histogram(Vec<i64>),
}

impl Default for State {
    fn default() -> Self {
        Self::Exact([Vec::new(), Vec::new()])
    }
}

/// Grows with the score.
fn bin(score: f64) -> usize {
    let inner = (BINS - 2 * OUTER) as f64;
    if score < 0.0 {
        ((1.0 / (1.0 - score)) * OUTER as f64).min(OUTER as f64 - 1.0) as usize
    } else if score <= 1.0 {
        OUTER + (score * inner).min(inner - 1.0) as usize
    } else {
        BINS - OUTER + ((1.0 - 1.0 / score) * OUTER as f64).min(OUTER as f64 - 1.0) as usize
    }
}

impl State {
    #[inline]
    fn add(&mut self, score: f64, positive: bool) {
        match self {
            Self::Exact(scores) => {
                scores[usize::from(positive)].push(score);
                if scores[0].len() + scores[1].len() > EXACT_ROWS_MAX {
                    *self = Self::Histogram(self.counts());
                }
            }
            Self::Histogram(counts) => counts[usize::from(positive) * BINS + bin(score)] += 1,
        }
    }

    fn counts(&self) -> Vec<i64> {
        match self {
            Self::Histogram(counts) => counts.clone(),
            Self::Exact(scores) => {
                let mut counts = vec![0; 2 * BINS];
                for (class, scores) in scores.iter().enumerate() {
                    for score in scores {
                        counts[class * BINS + bin(*score)] += 1;
                    }
                }
                counts
            }
        }
    }

    fn merge_counts(&mut self, other: &[i64]) {
        let mut counts = self.counts();
        for (count, other) in counts.iter_mut().zip(other) {
            *count += other;
        }
        *self = Self::Histogram(counts);
    }

    fn area(self) -> Option<f64> {
        // Pairs of a positive row above a negative one, and ties, over all pairs.
        let (mut above, mut tied) = (0.0, 0.0);
        let (negatives, positives);
        match self {
            Self::Histogram(counts) => {
                let (below, of_positives) = counts.split_at(BINS);
                let mut passed = 0.0;
                for (negative, positive) in below.iter().zip(of_positives) {
                    above += *positive as f64 * passed;
                    tied += *positive as f64 * *negative as f64;
                    passed += *negative as f64;
                }
                (negatives, positives) = (passed, of_positives.iter().sum::<i64>() as f64);
            }
            Self::Exact([mut below, mut of_positives]) => {
                below.sort_unstable_by(f64::total_cmp);
                of_positives.sort_unstable_by(f64::total_cmp);
                let (mut less, mut not_greater) = (0, 0);
                for positive in &of_positives {
                    less += below[less..].iter().take_while(|negative| *negative < positive).count();
                    not_greater = not_greater.max(less);
                    not_greater += below[not_greater..].iter().take_while(|negative| *negative <= positive).count();
                    above += less as f64;
                    tied += (not_greater - less) as f64;
                }
                (negatives, positives) = (below.len() as f64, of_positives.len() as f64);
            }
        }
        (negatives > 0.0 && positives > 0.0).then(|| (above + tied / 2.0) / (negatives * positives))
    }
}

impl RocAucStates {
    pub(super) fn new(positive: Positive) -> Self {
        Self { positive, states: Vec::new() }
    }
}

fn list(lengths: Vec<usize>, values: ArrayRef) -> Result<ArrayRef> {
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), false));
    Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), values, None)?))
}

impl MetricStates for RocAucStates {
    fn grow(&mut self, groups: usize) {
        if self.states.len() < groups {
            self.states.resize_with(groups, State::default);
        }
    }

    fn boxed_clone(&self) -> Box<dyn MetricStates> {
        Box::new(self.clone())
    }

    fn update(&mut self, arguments: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()> {
        self.grow(total);
        let wrong = || LearnError::user("roc_auc takes a label and a score of type DOUBLE");
        let [label, score, ..] = arguments else { return Err(wrong()) };
        let scores = score.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?.values();
        let marks = self.positive.marks(label)?;
        let states = &mut self.states;
        for_each_row(&[label, score], groups, filter, |group, row| {
            // A score that is no number is above and below nothing; 0 and -0 are one score.
            if !scores[row].is_nan() {
                states[group].add(scores[row] + 0.0, marks.value(row));
            }
        });
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        let wrong = || LearnError::state("the state of roc_auc must be three lists");
        let [positives, negatives, histogram] = states else { return Err(wrong()) };
        let lists = [negatives, positives, histogram].map(|column| column.as_list_opt::<i32>());
        let [Some(negatives), Some(positives), Some(histogram)] = lists else { return Err(wrong()) };
        for (row, group) in groups.iter().enumerate() {
            let state = &mut self.states[*group];
            for (positive, list) in [(false, negatives), (true, positives)] {
                let scores = list.value(row);
                for score in scores.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?.values() {
                    state.add(*score, positive);
                }
            }
            let counts = histogram.value(row);
            let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?.values();
            match counts.len() {
                0 => {}
                length if length == 2 * BINS => state.merge_counts(counts),
                _ => return Err(wrong()),
            }
        }
        Ok(())
    }

    fn take_states(&mut self, groups: usize) -> Result<Vec<ArrayRef>> {
        let mut lengths: [Vec<usize>; 3] = Default::default();
        let (mut positives, mut negatives, mut histogram) = (Vec::new(), Vec::new(), Vec::new());
        for state in self.states.drain(..groups.min(self.states.len())) {
            let (below, above, counts) = match state {
                State::Exact([below, above]) => (below, above, Vec::new()),
                State::Histogram(counts) => (Vec::new(), Vec::new(), counts),
            };
            lengths[0].push(above.len());
            lengths[1].push(below.len());
            lengths[2].push(counts.len());
            positives.extend(above);
            negatives.extend(below);
            histogram.extend(counts);
        }
        let [above, below, counts] = lengths;
        Ok(vec![
            list(above, Arc::new(Float64Array::from(positives)))?,
            list(below, Arc::new(Float64Array::from(negatives)))?,
            list(counts, Arc::new(Int64Array::from(histogram)))?,
        ])
    }

    fn take_values(&mut self, groups: usize) -> Result<ArrayRef> {
        let taken = self.states.drain(..groups.min(self.states.len()));
        Ok(Arc::new(taken.map(State::area).collect::<Float64Array>()))
    }

    fn groups(&self) -> usize {
        self.states.len()
    }

    fn size(&self) -> usize {
        let held = |state: &State| match state {
            State::Exact(scores) => (scores[0].capacity() + scores[1].capacity()) * 8,
            State::Histogram(counts) => counts.capacity() * 8,
        };
        size_of::<Self>() + self.states.iter().map(|state| size_of::<State>() + held(state)).sum::<usize>()
    }
}
