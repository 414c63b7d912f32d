//! The watermark: "no older row is expected".
//!
//! ```text
//! MIN ........ 12:00:00.000 ........ 12:00:05.000 ........ MAX
//! nothing known     it only ever moves this way -->        end of input
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// Event time, in milliseconds since the Unix epoch, before which no further row is expected.
///
/// Several inputs have the smallest of their watermarks ([`Ord::min`]); one input's watermark only [advances](Self::advance).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(i64);

impl Watermark {
    /// Nothing is known yet.
    pub const MIN: Self = Self(i64::MIN);
    /// The input has ended: nothing at all is expected.
    pub const MAX: Self = Self(i64::MAX);

    /// Exactly this value; the two ends of `i64` are [`Self::MIN`] and [`Self::MAX`].
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// What a row that was seen says. A time at either end of `i64` stays apart from "nothing known" and "end of input", so that
    /// an absurd row cannot end a stream.
    pub const fn from_event_time_ms(ms: i64) -> Self {
        match ms {
            i64::MIN => Self(i64::MIN + 1),
            i64::MAX => Self(i64::MAX - 1),
            other => Self(other),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// Moves on to `to` if that is later; never back. Returns whether it moved.
    pub fn advance(&mut self, to: Self) -> bool {
        let moved = to > *self;
        if moved {
            *self = to;
        }
        moved
    }
}

impl Default for Watermark {
    fn default() -> Self {
        Self::MIN
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => f.write_str("none"),
            Self::MAX => f.write_str("end of input"),
            Self(ms) => write!(f, "{ms} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_moves_back() {
        let mut watermark = Watermark::default();
        let steps = [(5, true, 5), (3, false, 5), (5, false, 5), (9, true, 9)];
        for (to, moved, expected) in steps {
            assert_eq!(watermark.advance(Watermark::from_ms(to)), moved, "advance to {to}");
            assert_eq!(watermark.as_ms(), expected);
        }
    }

    #[test]
    fn a_row_is_neither_nothing_nor_the_end() {
        assert!(Watermark::from_event_time_ms(i64::MAX) < Watermark::MAX);
        assert!(Watermark::from_event_time_ms(i64::MIN) > Watermark::MIN);
        assert_eq!(Watermark::from_event_time_ms(-7).as_ms(), -7);
    }
}
