//! Detectors of drift: they watch a stream of numbers, mostly a model's errors, and say when it is no longer the same.

mod adwin;
mod page_hinkley;

pub use adwin::Adwin;
pub use page_hinkley::PageHinkley;

use crate::learner::error::Result;
use crate::learner::options::OptionReader;
use crate::learner::state::{StateReader, StateWriter};

/// What a number brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drift {
    None,
    /// The numbers got greater.
    Up,
    /// They got smaller: of errors, the model has learned.
    Down,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) enum Detector {
    Adwin(Adwin),
    PageHinkley(PageHinkley),
}

impl Detector {
    /// By `drift_detector`, with its options; `None` if there is to be none.
    pub(crate) fn parse(options: &mut OptionReader<'_>) -> Result<Option<Self>> {
        Ok(match options.choice("drift_detector", &["none", "adwin", "page_hinkley"])? {
            "adwin" => Some(Self::Adwin(Adwin::new(options.number("drift_delta", 0.002, f64::MIN_POSITIVE..=1.0)?))),
            "page_hinkley" => {
                let delta = options.number("drift_delta", 0.005, 0.0..=1e12)?;
                Some(Self::PageHinkley(PageHinkley::new(delta, options.number("drift_threshold", 50.0, 0.0..=1e12)?)))
            }
            _ => None,
        })
    }

    /// Takes a number and tells whether drift is found with it. The detector starts again by itself.
    pub(crate) fn update(&mut self, x: f64) -> Drift {
        let (fired, rises) = match self {
            Self::Adwin(adwin) => {
                let before = adwin.mean();
                (adwin.update(x), adwin.mean() > before)
            }
            Self::PageHinkley(page_hinkley) => (page_hinkley.update(x), page_hinkley.rises()),
        };
        match (fired, rises) {
            (false, _) => Drift::None,
            (true, true) => Drift::Up,
            (true, false) => Drift::Down,
        }
    }

    pub(crate) fn save(&self, state: &mut StateWriter) {
        match self {
            Self::Adwin(adwin) => adwin.save(state),
            Self::PageHinkley(page_hinkley) => page_hinkley.save(state),
        }
    }

    pub(crate) fn load(&mut self, state: &StateReader) -> Result<()> {
        match self {
            Self::Adwin(adwin) => adwin.load(state),
            Self::PageHinkley(page_hinkley) => page_hinkley.load(state),
        }
    }
}
