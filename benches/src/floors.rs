//! What must be reached at least, and whether it was.

use serde::Serialize;

use crate::Result;
use crate::report::{self, rounded};

/// The floors that were measured.
#[derive(Clone, Debug, Default)]
pub struct Floors {
    verdicts: Vec<Floor>,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct Floor {
    /// What is compared.
    pub floor: String,
    /// `≥` or `≤`, and the bound.
    pub required: String,
    /// What was measured.
    pub measured: f64,
    /// `PASS` or `MISS`.
    pub verdict: &'static str,
}

impl Floors {
    /// A figure that must not be smaller.
    pub fn at_least(&mut self, floor: &str, bound: f64, measured: f64) {
        self.add(floor, format!("≥ {bound}"), measured, measured >= bound);
    }

    /// A figure that must not be larger.
    pub fn at_most(&mut self, floor: &str, bound: f64, measured: f64) {
        self.add(floor, format!("≤ {bound}"), measured, measured <= bound);
    }

    fn add(&mut self, floor: &str, required: String, measured: f64, holds: bool) {
        let verdict = if holds { "PASS" } else { "MISS" };
        self.verdicts.push(Floor { floor: floor.to_owned(), required, measured: rounded(measured, 3), verdict });
    }

    /// Prints all verdicts; false if a floor was missed.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn tell(&self) -> Result<bool> {
        for floor in &self.verdicts {
            report::line("floor", floor)?;
        }
        Ok(self.verdicts.iter().all(|floor| floor.verdict == "PASS"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_nothing_measured_is_a_miss() {
        let mut floors = Floors::default();
        floors.at_least("a", 1.5, 1.5);
        floors.at_most("b", 60.0, 60.1);
        floors.at_least("c", 1.0, f64::NAN);
        let verdicts: Vec<_> = floors.verdicts.iter().map(|floor| floor.verdict).collect();
        assert_eq!(verdicts, ["PASS", "MISS", "MISS"]);
    }
}
