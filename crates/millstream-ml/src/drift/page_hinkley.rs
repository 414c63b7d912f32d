//! The test of Page and Hinkley.

use crate::learner::error::Result;
use crate::learner::state::{StateReader, StateWriter};

/// A cumulative sum of deviations from the running mean (Page: Continuous inspection schemes, Biometrika 1954; Hinkley: Inference
/// about the change-point from cumulative sum tests, 1971). It fires when the sum has moved by more than a threshold from its
/// lowest (or highest) point, and starts again with the next number.
#[derive(Clone, Debug)]
pub struct PageHinkley {
    delta: f64,
    threshold: f64,
    n: f64,
    mean: f64,
    rise: f64,
    rise_least: f64,
    fall: f64,
    fall_greatest: f64,
    fired: bool,
}

/// Numbers before it may fire.
const NUMBERS_MIN: f64 = 30.0;
/// How much of the sums is kept from number to number.
const KEPT: f64 = 1.0 - 0.0001;

impl PageHinkley {
    /// `delta`: deviations that do not count; `threshold`: how far the sum must move.
    pub fn new(delta: f64, threshold: f64) -> Self {
        let (rise_least, fall_greatest) = (f64::INFINITY, -1.0);
        Self { delta, threshold, n: 0.0, mean: 0.0, rise: 0.0, rise_least, fall: 0.0, fall_greatest, fired: false }
    }

    /// Takes a number; true if drift is found with it.
    pub fn update(&mut self, x: f64) -> bool {
        if self.fired {
            *self = Self::new(self.delta, self.threshold);
        }
        self.n += 1.0;
        self.mean += (x - self.mean) / self.n;
        let deviation = x - self.mean;
        self.rise = KEPT * self.rise + deviation - self.delta;
        self.fall = KEPT * self.fall + deviation + self.delta;
        self.rise_least = self.rise_least.min(self.rise);
        self.fall_greatest = self.fall_greatest.max(self.fall);
        let moved = (self.rise - self.rise_least).max(self.fall_greatest - self.fall);
        self.fired = self.n >= NUMBERS_MIN && moved > self.threshold;
        self.fired
    }

    /// Whether the sum is farther above its lowest point than below its highest.
    pub(crate) fn rises(&self) -> bool {
        self.rise - self.rise_least > self.fall_greatest - self.fall
    }

    pub(crate) fn save(&self, state: &mut StateWriter) {
        let fired = f64::from(u8::from(self.fired));
        state.values("page_hinkley", &[self.n, self.mean, self.rise, self.rise_least, self.fall, self.fall_greatest, fired]);
    }

    pub(crate) fn load(&mut self, state: &StateReader) -> Result<()> {
        let mut numbers = [0.0; 7];
        state.fill("page_hinkley", &mut numbers)?;
        let fired;
        [self.n, self.mean, self.rise, self.rise_least, self.fall, self.fall_greatest, fired] = numbers;
        self.fired = fired != 0.0;
        Ok(())
    }
}
