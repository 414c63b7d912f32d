//! Features brought to a common scale by statistics of the rows seen so far.

use super::error::{LearnError, Result};
use super::options::OptionReader;
use super::portable::FixedScale;
use super::state::{StateReader, StateWriter};

/// How features are scaled before the learner sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    None,
    Standard,
    MinMax,
}

/// Running statistics per feature, updated row by row: mean and variance by Welford's formula (Note on a method for calculating
/// corrected sums of squares and products, Technometrics 1962; ddof 0), or least and greatest.
///
/// A feature that never varied is 0 after scaling. A row is predicted with the statistics of the rows before it and learned with
/// those that include it.
#[derive(Clone, Debug)]
pub(crate) struct Scaler {
    kind: Kind,
    rows: f64,
    /// Mean, or least value.
    low: Vec<f64>,
    /// Variance, or greatest value.
    high: Vec<f64>,
    /// What is divided by: standard deviation, or the range.
    width: Vec<f64>,
}

impl Scaler {
    /// `default` holds where no option says otherwise.
    pub(crate) fn parse(options: &mut OptionReader<'_>, features: usize, default: &'static str) -> Result<Self> {
        let choices = match default {
            "standard" => ["standard", "min_max", "none"],
            "min_max" => ["min_max", "standard", "none"],
            _ => ["none", "standard", "min_max"],
        };
        let kind = match options.choice("scaler", &choices)? {
            "standard" => Kind::Standard,
            "min_max" => Kind::MinMax,
            _ => Kind::None,
        };
        Ok(Self::new(kind, features))
    }

    fn new(kind: Kind, features: usize) -> Self {
        let (low, high) = if kind == Kind::MinMax { (f64::INFINITY, f64::NEG_INFINITY) } else { (0.0, 0.0) };
        Self { kind, rows: 0.0, low: vec![low; features], high: vec![high; features], width: vec![0.0; features] }
    }

    /// Forgets all rows.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.kind, self.low.len());
    }

    /// Takes a row into the statistics.
    #[inline]
    pub(crate) fn learn(&mut self, row: &[f64]) {
        let Self { kind, rows, low, high, width } = self;
        match kind {
            Kind::None => {}
            Kind::Standard => {
                *rows += 1.0;
                let n = *rows;
                for (((x, mean), variance), deviation) in row.iter().zip(low).zip(high).zip(width) {
                    let before = *mean;
                    *mean += (x - before) / n;
                    *variance += ((x - before) * (x - *mean) - *variance) / n;
                    *deviation = variance.sqrt();
                }
            }
            Kind::MinMax => {
                *rows += 1.0;
                for (((x, low), high), range) in row.iter().zip(low).zip(high).zip(width) {
                    *low = low.min(*x);
                    *high = high.max(*x);
                    *range = *high - *low;
                }
            }
        }
    }

    /// Scales a row by the statistics so far.
    #[inline]
    pub(crate) fn transform(&self, row: &[f64], into: &mut [f64]) {
        if self.kind == Kind::None {
            into.copy_from_slice(row);
            return;
        }
        for (((x, low), width), into) in row.iter().zip(&self.low).zip(&self.width).zip(into) {
            let scaled = (x - low) / width;
            *into = if *width == 0.0 { 0.0 } else { scaled };
        }
    }

    /// What it does to a row now.
    pub(crate) fn portable(&self) -> FixedScale {
        let kind = match self.kind {
            Kind::None => return FixedScale::default(),
            Kind::Standard => "standard",
            Kind::MinMax => "min_max",
        };
        // Without rows a least value is infinite; with a width of 0 it does not matter.
        let low = if self.rows == 0.0 { vec![0.0; self.low.len()] } else { self.low.clone() };
        FixedScale { kind: kind.to_owned(), rows: self.rows, low, width: self.width.clone() }
    }

    /// Begins with a scale; what of it is left for the learner.
    pub(crate) fn take(&mut self, scale: FixedScale) -> Result<FixedScale> {
        let own = match self.kind {
            Kind::None => return Ok(scale),
            Kind::Standard => "standard",
            Kind::MinMax => "min_max",
        };
        if scale.is_none() || !(scale.kind.is_empty() || scale.kind == own) {
            let has = if scale.is_none() { "none" } else { &scale.kind };
            return Err(LearnError::user(format!(
                "the file has the scaler '{has}', the model has '{own}' (hint: WITH ('scaler' = '{has}'))"
            )));
        }
        if scale.low.len() != self.low.len() || scale.width.len() != self.low.len() {
            return Err(LearnError::user(format!("the file scales {} features, the model has {}", scale.low.len(), self.low.len())));
        }
        self.rows = scale.rows;
        self.high = match self.kind {
            Kind::MinMax => scale.low.iter().zip(&scale.width).map(|(low, width)| low + width).collect(),
            _ => scale.width.iter().map(|width| width * width).collect(),
        };
        (self.low, self.width) = (scale.low, scale.width);
        Ok(FixedScale::default())
    }

    pub(crate) fn save(&self, state: &mut StateWriter) {
        if self.kind != Kind::None {
            state.values("scaler_rows", &[self.rows]);
            state.values("scaler_low", &self.low);
            state.values("scaler_high", &self.high);
        }
    }

    pub(crate) fn load(&mut self, state: &StateReader) -> Result<()> {
        if self.kind == Kind::None {
            return Ok(());
        }
        let mut rows = [0.0];
        state.fill("scaler_rows", &mut rows)?;
        self.rows = rows[0];
        state.fill("scaler_low", &mut self.low)?;
        state.fill("scaler_high", &mut self.high)?;
        for ((width, low), high) in self.width.iter_mut().zip(&self.low).zip(&self.high) {
            *width = match self.kind {
                Kind::MinMax if self.rows == 0.0 => 0.0,
                Kind::MinMax => high - low,
                _ => high.sqrt(),
            };
        }
        Ok(())
    }
}
