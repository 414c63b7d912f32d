//! Rows down the trees.
//!
//! A block of rows goes through all trees before the next one, so that the trees' upper nodes and the rows stay in the cache. Eight
//! rows walk side by side: each step waits for memory, and eight waits overlap.

use super::forest::{Forest, MISSING_IS_TRUE, Mode, Node, Threshold, Votes};

/// How the leaves of all trees become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

/// Rows that go through all trees together.
const BLOCK_ROWS: usize = 256;
/// Rows that walk side by side.
const LANES: usize = 8;

/// Goes to the next node.
trait Step<T> {
    fn next(&self, at: u32, node: &Node<T>, row: &[T]) -> u32;
}

/// All branches are `x <= threshold` or, if `STRICT`, `x < threshold`.
struct Plain<const STRICT: bool, const MISSING: bool>;

impl<T: Threshold, const STRICT: bool, const MISSING: bool> Step<T> for Plain<STRICT, MISSING> {
    #[inline(always)]
    fn next(&self, _: u32, node: &Node<T>, row: &[T]) -> u32 {
        let feature = if MISSING { node.feature & !MISSING_IS_TRUE } else { node.feature };
        let value = row[feature as usize];
        let mut yes = if STRICT { value < node.threshold } else { value <= node.threshold };
        if MISSING {
            yes |= (node.feature & MISSING_IS_TRUE != 0) & value.is_missing();
        }
        if yes { node.yes } else { node.no }
    }
}

/// Branches of several kinds.
struct Mixed<'a, T> {
    modes: &'a [Mode],
    sets: &'a [Vec<T>],
}

/// Whether the set with this number has the value.
fn is_member<T: Threshold>(value: T, number: T, sets: &[Vec<T>]) -> bool {
    sets.get(number.as_place())
        .is_some_and(|set| set.get(set.partition_point(|member| *member < value)).is_some_and(|member| *member == value))
}

impl<T: Threshold> Step<T> for Mixed<'_, T> {
    #[inline(always)]
    fn next(&self, at: u32, node: &Node<T>, row: &[T]) -> u32 {
        let value = row[(node.feature & !MISSING_IS_TRUE) as usize];
        let yes = match self.modes[at as usize] {
            Mode::LessOrEqual => value <= node.threshold,
            Mode::Less => value < node.threshold,
            Mode::GreaterOrEqual => value >= node.threshold,
            Mode::Greater => value > node.threshold,
            Mode::Equal => value == node.threshold,
            Mode::NotEqual => value != node.threshold,
            Mode::Member => is_member(value, node.threshold, self.sets),
        };
        if yes || (node.feature & MISSING_IS_TRUE != 0 && value.is_missing()) { node.yes } else { node.no }
    }
}

impl<T: Threshold> Forest<T> {
    /// One number for each row and target. `rows` are `width` features each, at least as many as the trees use and one at least.
    pub(super) fn scores(&self, rows: &[T], width: usize, aggregate: Aggregate) -> Vec<f64> {
        match (self.modes.is_empty(), self.mode, self.missing) {
            (false, ..) => self.walk(&Mixed { modes: &self.modes, sets: &self.sets }, rows, width, aggregate),
            (_, Mode::Less, false) => self.walk(&Plain::<true, false>, rows, width, aggregate),
            (_, Mode::Less, true) => self.walk(&Plain::<true, true>, rows, width, aggregate),
            (_, _, false) => self.walk(&Plain::<false, false>, rows, width, aggregate),
            (_, _, true) => self.walk(&Plain::<false, true>, rows, width, aggregate),
        }
    }

    fn walk(&self, step: &impl Step<T>, rows: &[T], width: usize, aggregate: Aggregate) -> Vec<f64> {
        let start = match aggregate {
            Aggregate::Sum | Aggregate::Average => 0.0,
            Aggregate::Min => f64::INFINITY,
            Aggregate::Max => f64::NEG_INFINITY,
        };
        let mut scores = vec![start; rows.len() / width * self.targets];
        for (block, sums) in rows.chunks(BLOCK_ROWS * width).zip(scores.chunks_mut(BLOCK_ROWS * self.targets)) {
            for root in &self.roots {
                for (rows, sums) in block.chunks(LANES * width).zip(sums.chunks_mut(LANES * self.targets)) {
                    self.eight(step, *root, rows, width, sums, aggregate);
                }
            }
        }
        match aggregate {
            Aggregate::Average => scores.iter_mut().for_each(|score| *score /= self.roots.len().max(1) as f64),
            // A target that no leaf votes for.
            Aggregate::Min | Aggregate::Max => scores.iter_mut().filter(|score| score.is_infinite()).for_each(|score| *score = 0.0),
            Aggregate::Sum => {}
        }
        scores
    }

    #[inline(always)]
    fn eight(&self, step: &impl Step<T>, root: u32, rows: &[T], width: usize, sums: &mut [f64], aggregate: Aggregate) {
        let count = rows.len() / width;
        let mut places = [root; LANES];
        if count == LANES {
            let mut row = [&rows[..0]; LANES];
            for (lane, slice) in row.iter_mut().zip(rows.chunks_exact(width)) {
                *lane = slice;
            }
            loop {
                let mut moved = 0;
                for (place, row) in places.iter_mut().zip(&row) {
                    let next = step.next(*place, &self.nodes[*place as usize], row);
                    moved |= next ^ *place;
                    *place = next;
                }
                if moved == 0 {
                    break;
                }
            }
        } else {
            for (place, row) in places.iter_mut().zip(rows.chunks_exact(width)) {
                loop {
                    let next = step.next(*place, &self.nodes[*place as usize], row);
                    if next == *place {
                        break;
                    }
                    *place = next;
                }
            }
        }
        self.vote(&places[..count], sums, aggregate);
    }

    #[inline(always)]
    fn vote(&self, places: &[u32], sums: &mut [f64], aggregate: Aggregate) {
        match &self.votes {
            Votes::Single(weights) => {
                for (place, sum) in places.iter().zip(sums) {
                    add(sum, weights[*place as usize], aggregate);
                }
            }
            Votes::Several { starts, votes } => {
                for (place, sums) in places.iter().zip(sums.chunks_mut(self.targets)) {
                    let place = *place as usize;
                    for (target, weight) in &votes[starts[place] as usize..starts[place + 1] as usize] {
                        add(&mut sums[*target as usize], *weight, aggregate);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add(sum: &mut f64, weight: f64, aggregate: Aggregate) {
    match aggregate {
        Aggregate::Sum | Aggregate::Average => *sum += weight,
        Aggregate::Min => *sum = sum.min(weight),
        Aggregate::Max => *sum = sum.max(weight),
    }
}
