//! Window shapes and their panes.
//!
//! A window is `[start, end)` in milliseconds since the Unix epoch. Windows of one kind are cut into *panes*, the stretches
//! between two neighbouring window starts or ends, so that every window is a whole number of panes and a slide has at most two
//! (paired windows: Krishnamurthy, Wu, Franklin, "On-the-fly sharing for streamed aggregation", SIGMOD 2006).
//!
//! ```text
//! HOP, slide 4, size 10        0       4       8       12      16
//! windows                      |-------------------|            [0,10)
//!                                      |-------------------|    [4,14)
//! panes                        |---|---|---|---|---|---|---|    lengths 2, 2 (10 mod 4 = 2)
//! ```

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest window, in milliseconds (ten thousand years): keeps the arithmetic below far from overflow.
pub const WINDOW_SIZE_MS_MAX: i64 = 10_000 * 366 * 86_400_000;

/// Event times accepted by windows lie within ± this many milliseconds of the Unix epoch (about 285,000 years).
pub const EVENT_TIME_MS_MAX: i64 = 9_000_000_000_000_000;

/// How rows fall into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WindowSpec {
    /// Windows of `size_ms` side by side, starting at multiples of it plus `offset_ms`.
    Tumble {
        /// Length, > 0.
        size_ms: i64,
        /// Shift of the starts.
        offset_ms: i64,
    },
    /// Windows of `size_ms` that start every `slide_ms`, plus `offset_ms`; `slide_ms` ≤ `size_ms`.
    Hop {
        /// Distance between two starts, > 0.
        slide_ms: i64,
        /// Length, > 0.
        size_ms: i64,
        /// Shift of the starts.
        offset_ms: i64,
    },
    /// One window over everything, which closes at the end of a bounded input.
    Global,
}

/// One window, `[start, end)` in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// First millisecond in it.
    pub start: i64,
    /// First millisecond after it.
    pub end: i64,
}

/// A window that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WindowError {
    /// The size is not positive or too long.
    #[error(
        "window size must be positive and at most 10000 years: got {0} ms (hint: TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND))"
    )]
    Size(i64),
    /// The slide is not positive.
    #[error("window slide must be positive: got {0} ms (hint: HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '10' SECOND))")]
    Slide(i64),
    /// Rows between windows would be lost.
    #[error(
        "window slide must not exceed the size: slide is {slide_ms} ms, size is {size_ms} ms (hint: HOP takes the slide first, then the size)"
    )]
    SlideExceedsSize {
        /// The slide given.
        slide_ms: i64,
        /// The size given.
        size_ms: i64,
    },
}

impl WindowSpec {
    /// A tumbling window; checks the size and normalises the offset into `[0, size)`.
    pub fn tumble(size_ms: i64, offset_ms: i64) -> Result<Self, WindowError> {
        if !(1..=WINDOW_SIZE_MS_MAX).contains(&size_ms) {
            return Err(WindowError::Size(size_ms));
        }
        Ok(Self::Tumble { size_ms, offset_ms: offset_ms.rem_euclid(size_ms) })
    }

    /// A hopping window; checks slide and size and normalises the offset into `[0, slide)`.
    pub fn hop(slide_ms: i64, size_ms: i64, offset_ms: i64) -> Result<Self, WindowError> {
        if !(1..=WINDOW_SIZE_MS_MAX).contains(&size_ms) {
            return Err(WindowError::Size(size_ms));
        }
        if slide_ms < 1 {
            return Err(WindowError::Slide(slide_ms));
        }
        if slide_ms > size_ms {
            return Err(WindowError::SlideExceedsSize { slide_ms, size_ms });
        }
        Ok(Self::Hop { slide_ms, size_ms, offset_ms: offset_ms.rem_euclid(slide_ms) })
    }

    /// Length of a window in milliseconds; `None` for [`WindowSpec::Global`].
    pub fn size_ms(&self) -> Option<i64> {
        match *self {
            Self::Tumble { size_ms, .. } | Self::Hop { size_ms, .. } => Some(size_ms),
            Self::Global => None,
        }
    }

    /// (slide, size, offset) in milliseconds; a tumbling window slides by its size.
    fn parts(&self) -> Option<(i64, i64, i64)> {
        match *self {
            Self::Tumble { size_ms, offset_ms } => Some((size_ms, size_ms, offset_ms)),
            Self::Hop { slide_ms, size_ms, offset_ms } => Some((slide_ms, size_ms, offset_ms)),
            Self::Global => None,
        }
    }

    /// The pane that holds `time_ms` (within ± [`EVENT_TIME_MS_MAX`]).
    pub fn pane_of(&self, time_ms: i64) -> Window {
        let Some((slide, size, offset)) = self.parts() else {
            return Window { start: i64::MIN, end: i64::MAX };
        };
        let base = floor_to(time_ms - offset, slide) + offset;
        let cut = size % slide;
        if time_ms < base + cut { Window { start: base, end: base + cut } } else { Window { start: base + cut, end: base + slide } }
    }

    /// Number of panes in a window: 1 for TUMBLE, size ÷ slide where that divides, else twice the slides plus one.
    pub fn panes_per_window(&self) -> i64 {
        match self.parts() {
            None => 1,
            Some((slide, size, _)) if size % slide == 0 => size / slide,
            Some((slide, size, _)) => 2 * (size / slide) + 1,
        }
    }

    /// Position of a pane among all panes, counting from the one at the offset; neighbours differ by one.
    pub fn pane_ordinal(&self, pane_start: i64) -> i64 {
        let Some((slide, size, offset)) = self.parts() else { return 0 };
        let nth_slide = (pane_start - offset).div_euclid(slide);
        if size % slide == 0 { nth_slide } else { 2 * nth_slide + i64::from((pane_start - offset).rem_euclid(slide) != 0) }
    }

    /// The pane at an ordinal: the inverse of [`Self::pane_ordinal`].
    pub fn pane_at(&self, ordinal: i64) -> Window {
        match self.parts() {
            None => Window { start: i64::MIN, end: i64::MAX },
            Some((slide, size, offset)) if size % slide == 0 => self.pane_of(ordinal * slide + offset),
            Some((slide, size, offset)) => self.pane_of(ordinal.div_euclid(2) * slide + offset + ordinal.rem_euclid(2) * (size % slide)),
        }
    }

    /// End of the first window that covers the pane.
    pub fn first_end(&self, pane: Window) -> i64 {
        let Some((slide, size, offset)) = self.parts() else { return i64::MAX };
        // The smallest k with k·slide + offset + size ≥ pane.end.
        -floor_to(-(pane.end - offset - size), slide) + offset + size
    }

    /// End of the last window that covers the pane: once it is closed, rows of the pane are late.
    pub fn last_end(&self, pane: Window) -> i64 {
        let Some((slide, size, offset)) = self.parts() else { return i64::MAX };
        floor_to(pane.start - offset, slide) + offset + size
    }

    /// The window that ends at `end`.
    pub fn window_ending(&self, end: i64) -> Window {
        match self.size_ms() {
            Some(size) => Window { start: end - size, end },
            None => Window { start: i64::MIN, end: i64::MAX },
        }
    }

    /// End of the window after the one that ends at `end`.
    pub fn next_end(&self, end: i64) -> i64 {
        self.parts().map_or(i64::MAX, |(slide, ..)| end + slide)
    }

    /// The first window end after `time_ms`; saturates far outside the accepted event times.
    pub fn next_end_after(&self, time_ms: i64) -> i64 {
        let Some((slide, size, offset)) = self.parts() else { return i64::MAX };
        let time_ms = time_ms.clamp(-2 * EVENT_TIME_MS_MAX, 2 * EVENT_TIME_MS_MAX);
        floor_to(time_ms - offset - size, slide) + offset + size + slide
    }

    /// The windows that hold `time_ms`, first to last.
    pub fn windows_of(&self, time_ms: i64) -> impl Iterator<Item = Window> + use<> {
        let pane = self.pane_of(time_ms);
        let (first, last, spec) = (self.first_end(pane), self.last_end(pane), *self);
        let step = self.parts().map_or(1, |(slide, ..)| slide);
        let count = if spec == Self::Global { 1 } else { (last - first) / step + 1 };
        (0..count).map(move |i| spec.window_ending(first + i * step))
    }
}

impl std::fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let offset = |f: &mut std::fmt::Formatter<'_>, ms: i64| if ms == 0 { Ok(()) } else { write!(f, ", offset {}", Millis(ms)) };
        match *self {
            Self::Tumble { size_ms, offset_ms } => {
                write!(f, "TUMBLE({}", Millis(size_ms))?;
                offset(f, offset_ms)?;
                f.write_str(")")
            }
            Self::Hop { slide_ms, size_ms, offset_ms } => {
                write!(f, "HOP(slide {}, size {}", Millis(slide_ms), Millis(size_ms))?;
                offset(f, offset_ms)?;
                f.write_str(")")
            }
            Self::Global => f.write_str("END OF INPUT"),
        }
    }
}

/// Prints milliseconds in the largest unit that divides them: `10s`, `2min`, `1500ms`.
#[derive(Clone, Copy, Debug)]
pub struct Millis(
    /// The milliseconds.
    pub i64,
);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(i64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
        for (length, unit) in UNITS {
            if self.0 != 0 && self.0 % length == 0 {
                return write!(f, "{}{unit}", self.0 / length);
            }
        }
        write!(f, "{}ms", self.0)
    }
}

/// Largest multiple of `step` that is ≤ `value`.
fn floor_to(value: i64, step: i64) -> i64 {
    value - value.rem_euclid(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The windows that hold `time`, by definition: every start k·slide + offset with start ≤ time < start + size.
    fn by_definition(slide: i64, size: i64, offset: i64, time: i64) -> Vec<Window> {
        (-200..200)
            .map(|k| Window { start: k * slide + offset, end: k * slide + offset + size })
            .filter(|w| w.start <= time && time < w.end)
            .collect()
    }

    #[test]
    fn panes_tile_time_and_windows_follow_the_definition() {
        for size in 1..=12 {
            for slide in 1..=size {
                for offset in [0, 1, -3, 7] {
                    let spec = WindowSpec::hop(slide, size, offset).unwrap();
                    for time in -30..30 {
                        let pane = spec.pane_of(time);
                        assert!(pane.start <= time && time < pane.end, "{spec} {time} {pane:?}");
                        assert_eq!(spec.pane_of(pane.end - 1), pane, "{spec} {time}");
                        assert_eq!(spec.pane_ordinal(spec.pane_of(pane.end).start), spec.pane_ordinal(pane.start) + 1);
                        assert_eq!(spec.pane_at(spec.pane_ordinal(pane.start)), pane);
                        let next = (time + 1..).find(|end| (end - offset - size).rem_euclid(slide) == 0).unwrap();
                        assert_eq!(spec.next_end_after(time), next, "{spec} {time}");
                        let expected = by_definition(slide, size, offset, time);
                        assert_eq!(spec.windows_of(time).collect::<Vec<_>>(), expected, "{spec} {time}");
                        for window in &expected {
                            let first = spec.pane_ordinal(window.start);
                            assert_eq!(spec.pane_ordinal(spec.pane_of(window.end).start) - first, spec.panes_per_window());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn impossible_windows_show_their_values() {
        assert_eq!(WindowSpec::tumble(0, 0), Err(WindowError::Size(0)));
        assert!(WindowSpec::tumble(-10, 0).unwrap_err().to_string().contains("got -10 ms"));
        assert_eq!(WindowSpec::hop(0, 10, 0), Err(WindowError::Slide(0)));
        let error = WindowSpec::hop(11, 10, 0).unwrap_err().to_string();
        assert!(error.contains("slide is 11 ms, size is 10 ms"), "{error}");
    }

    #[test]
    fn shown_in_words() {
        assert_eq!(WindowSpec::tumble(10_000, 0).unwrap().to_string(), "TUMBLE(10s)");
        assert_eq!(WindowSpec::hop(1_500, 60_000, 500).unwrap().to_string(), "HOP(slide 1500ms, size 1min, offset 500ms)");
    }
}
