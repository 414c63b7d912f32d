//! What the server counts, and the last errors that it told clients.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::error::WireError;

/// Errors that are remembered for people.
const ERRORS_KEPT: usize = 50;

/// Characters of a message that are remembered.
const MESSAGE_CHARS_MAX: usize = 400;

/// Upper ends of the classes of a statement's time, in seconds.
pub(crate) const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Counters since the server started.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) connections: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) statements: AtomicU64,
    pub(crate) rows_sent: AtomicU64,
    /// Statements at work right now.
    pub(crate) active: AtomicU64,
    /// Subscriptions open right now.
    pub(crate) subscriptions: AtomicU64,
    pub(crate) times: Times,
    errors: Mutex<Errors>,
}

/// Errors by SQLSTATE, and the last ones.
#[derive(Debug, Default)]
struct Errors {
    by_state: BTreeMap<String, u64>,
    last: VecDeque<ToldError>,
}

/// An error that a client was told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ToldError {
    pub(crate) at_ms: i64,
    pub(crate) user: String,
    pub(crate) sqlstate: String,
    pub(crate) message: String,
}

/// How long statements took: a histogram.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// One a class of [`SECONDS`], and one for what took longer.
    classes: [AtomicU64; SECONDS.len() + 1],
    micros: AtomicU64,
}

impl Times {
    fn note(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = SECONDS.iter().position(|end| seconds <= *end).unwrap_or(SECONDS.len());
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Statements that took up to each of [`SECONDS`], and all; and the sum in seconds.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn figures(&self) -> (Vec<u64>, f64) {
        let mut up_to = 0;
        let counts = self.classes.iter().map(|class| {
            up_to += class.load(Ordering::Relaxed);
            up_to
        });
        (counts.collect(), self.micros.load(Ordering::Relaxed) as f64 / 1e6)
    }
}

impl Metrics {
    /// Counts and remembers an error that a client is told.
    pub(crate) fn note_error(&self, at_ms: i64, user: &str, error: &WireError) {
        let mut errors = self.errors.lock();
        *errors.by_state.entry(error.sqlstate.clone()).or_default() += 1;
        if errors.last.len() >= ERRORS_KEPT {
            errors.last.pop_front();
        }
        let message = error.message.chars().take(MESSAGE_CHARS_MAX).collect();
        let user = user.chars().take(64).collect();
        errors.last.push_back(ToldError { at_ms, user, sqlstate: error.sqlstate.clone(), message });
    }

    /// How many errors there were, by SQLSTATE.
    pub(crate) fn errors_by_state(&self) -> BTreeMap<String, u64> {
        self.errors.lock().by_state.clone()
    }

    /// The last errors, oldest first.
    pub(crate) fn last_errors(&self) -> Vec<ToldError> {
        self.errors.lock().last.iter().cloned().collect()
    }
}

/// A statement at work; dropping it says that it has ended.
#[derive(Debug)]
pub(crate) struct AtWork<'a> {
    metrics: &'a Metrics,
    clock: &'a dyn millstream::Clock,
    since: Duration,
}

impl<'a> AtWork<'a> {
    pub(crate) fn begin(metrics: &'a Metrics, clock: &'a dyn millstream::Clock) -> Self {
        metrics.active.fetch_add(1, Ordering::Relaxed);
        Self { metrics, clock, since: clock.monotonic() }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.metrics.active.fetch_sub(1, Ordering::Relaxed);
        self.metrics.times.note(self.clock.monotonic().saturating_sub(self.since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_up_to_each_class() {
        let times = Times::default();
        for millis in [0, 1, 3, 4, 60_000] {
            times.note(Duration::from_millis(millis));
        }
        let (counts, seconds) = times.figures();
        assert_eq!(counts, [2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 5]);
        assert!((seconds - 60.008).abs() < 1e-9);
    }

    #[test]
    fn errors_are_counted_for_ever_and_remembered_for_a_while() {
        let metrics = Metrics::default();
        for n in 0..200 {
            metrics.note_error(n, "me", &WireError::new(if n % 2 == 0 { "42P01" } else { "22012" }, "x".repeat(1000)));
        }
        assert_eq!(metrics.errors_by_state(), BTreeMap::from([("22012".to_owned(), 100), ("42P01".to_owned(), 100)]));
        let last = metrics.last_errors();
        assert_eq!((last.len(), last[0].at_ms, last[0].message.len()), (ERRORS_KEPT, 150, MESSAGE_CHARS_MAX));
    }
}
