//! ADWIN: a window that shrinks when its older part has another mean than its newer part.

use crate::learner::error::{LearnError, Result};
use crate::learner::state::{StateReader, StateWriter};

/// Bifet, Gavaldà: Learning from time-changing data with adaptive windowing, SDM 2007 (ADWIN2).
///
/// The window is an exponential histogram: row `i` holds at most `BUCKETS_MAX` buckets of `2^i` numbers, the newest in row 0; one
/// too many, and the two oldest of a row become one of the next. Every `CLOCK` numbers each border between two buckets is tried
/// as a cut, and the oldest buckets go as long as one tells two parts apart.
#[derive(Clone, Debug)]
pub struct Adwin {
    delta: f64,
    /// In each row the oldest first.
    rows: Vec<Vec<Bucket>>,
    width: f64,
    total: f64,
    /// Sum of squared deviations from the mean.
    squares: f64,
    ticks: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bucket {
    total: f64,
    squares: f64,
}

const BUCKETS_MAX: usize = 5;
const CLOCK: u64 = 32;
/// Neither part of a cut is shorter.
const PART_MIN: f64 = 5.0;
/// A window that is not longer than this is not looked at.
const GRACE: f64 = 10.0;

impl Adwin {
    /// `delta`: how often, about, it may fire without reason.
    pub fn new(delta: f64) -> Self {
        Self { delta, rows: vec![Vec::new()], width: 0.0, total: 0.0, squares: 0.0, ticks: 0 }
    }

    /// Numbers in the window.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Mean of the window; 0 if it is empty.
    pub fn mean(&self) -> f64 {
        if self.width > 0.0 { self.total / self.width } else { 0.0 }
    }

    /// Takes a number; true if the window was cut.
    pub fn update(&mut self, x: f64) -> bool {
        if self.width > 0.0 {
            let deviation = x - self.total / self.width;
            self.squares += self.width * deviation * deviation / (self.width + 1.0);
        }
        self.width += 1.0;
        self.total += x;
        self.rows[0].push(Bucket { total: x, squares: 0.0 });
        self.compress();
        self.ticks += 1;
        let mut fired = false;
        if self.ticks.is_multiple_of(CLOCK) {
            while self.width > GRACE && self.finds_cut() {
                self.forget_oldest();
                fired = true;
            }
        }
        fired
    }

    fn compress(&mut self) {
        let mut level = 0;
        while self.rows[level].len() > BUCKETS_MAX {
            let half = 2_f64.powi(level as i32);
            let (older, newer) = (self.rows[level][0], self.rows[level][1]);
            self.rows[level].drain(..2);
            let apart = older.total / half - newer.total / half;
            let squares = older.squares + newer.squares + half * apart * apart / 2.0;
            if level + 1 == self.rows.len() {
                self.rows.push(Vec::new());
            }
            self.rows[level + 1].push(Bucket { total: older.total + newer.total, squares });
            level += 1;
        }
    }

    /// Whether some cut tells an older and a newer part apart.
    fn finds_cut(&self) -> bool {
        let (mut n, mut total) = (0.0, 0.0);
        for (level, row) in self.rows.iter().enumerate().rev() {
            for bucket in row {
                n += 2_f64.powi(level as i32);
                total += bucket.total;
                let rest = self.width - n;
                if rest < PART_MIN {
                    return false;
                }
                if n >= PART_MIN && self.differ(n, rest, total / n - (self.total - total) / rest) {
                    return true;
                }
            }
        }
        false
    }

    /// The bound of the paper's section 4, for means that are about normal.
    fn differ(&self, n0: f64, n1: f64, apart: f64) -> bool {
        let confidence = (2.0 * self.width.ln() / self.delta).ln();
        let harmonic = 1.0 / (n0 - PART_MIN + 1.0) + 1.0 / (n1 - PART_MIN + 1.0);
        let variance = self.squares / self.width;
        apart.abs() > (2.0 * harmonic * variance * confidence).sqrt() + 2.0 / 3.0 * confidence * harmonic
    }

    fn forget_oldest(&mut self) {
        while self.rows.len() > 1 && self.rows.last().is_some_and(Vec::is_empty) {
            self.rows.pop();
        }
        let level = self.rows.len() - 1;
        if self.rows[level].is_empty() {
            return;
        }
        let oldest = self.rows[level].remove(0);
        let n = 2_f64.powi(level as i32);
        self.width -= n;
        self.total -= oldest.total;
        if self.width > 0.0 {
            let apart = oldest.total / n - self.total / self.width;
            let gone = oldest.squares + n * self.width * apart * apart / (n + self.width);
            self.squares = (self.squares - gone).max(0.0);
        } else {
            self.squares = 0.0;
        }
        while self.rows.len() > 1 && self.rows.last().is_some_and(Vec::is_empty) {
            self.rows.pop();
        }
    }

    pub(crate) fn save(&self, state: &mut StateWriter) {
        state.values("adwin", &[self.width, self.total, self.squares, self.ticks as f64]);
        state.values("adwin_row_length", &self.rows.iter().map(|row| row.len() as f64).collect::<Vec<_>>());
        let buckets: Vec<Bucket> = self.rows.iter().flatten().copied().collect();
        state.values("adwin_total", &buckets.iter().map(|bucket| bucket.total).collect::<Vec<_>>());
        state.values("adwin_squares", &buckets.iter().map(|bucket| bucket.squares).collect::<Vec<_>>());
    }

    pub(crate) fn load(&mut self, state: &StateReader) -> Result<()> {
        let mut numbers = [0.0; 4];
        state.fill("adwin", &mut numbers)?;
        [self.width, self.total, self.squares, _] = numbers;
        self.ticks = numbers[3] as u64;
        let lengths = state.any("adwin_row_length")?;
        let (totals, squares) = (state.any("adwin_total")?, state.any("adwin_squares")?);
        let buckets = lengths.iter().sum::<f64>() as usize;
        if lengths.is_empty() || lengths.len() > 64 || totals.len() != buckets || squares.len() != buckets {
            return Err(LearnError::state("the window of a drift detector does not fit together"));
        }
        let mut rest = totals.into_iter().zip(squares).map(|(total, squares)| Bucket { total, squares });
        self.rows = lengths.iter().map(|length| rest.by_ref().take(*length as usize).collect()).collect();
        Ok(())
    }
}
