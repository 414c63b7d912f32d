//! What a model has done so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of latencies: four for each doubling of microseconds.
const BUCKETS: usize = 128;
const BUCKETS_PER_DOUBLING: f64 = 4.0;

/// Batches that take longer shall not keep other tasks waiting.
const SLOW_NANOS: u64 = 5_000_000;

/// Counters of one model, over all versions.
#[derive(Debug)]
pub(crate) struct ModelCounters {
    calls: AtomicU64,
    rows: AtomicU64,
    errors: AtomicU64,
    nulls: AtomicU64,
    nanos: AtomicU64,
    latencies: [AtomicU64; BUCKETS],
}

impl Default for ModelCounters {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            calls: zero(),
            rows: zero(),
            errors: zero(),
            nulls: zero(),
            nanos: zero(),
            latencies: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

/// Figures for people, over all versions of a model.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelStatus {
    /// Its name.
    pub name: String,
    /// Number of the version in use.
    pub version: u64,
    /// Batches predicted.
    pub calls: u64,
    /// Rows of those batches.
    pub rows: u64,
    /// Batches that failed.
    pub errors: u64,
    /// Rows whose prediction is NULL because a feature is.
    pub null_rows: u64,
    /// Time spent in the model, in seconds.
    pub seconds: f64,
    /// Rows by time spent in the model.
    pub rows_per_second: u64,
    /// Microseconds that half of the calls took at most, to about a fifth.
    pub p50_us: u64,
    /// Microseconds that all calls but one in a hundred took at most, to about a fifth.
    pub p99_us: u64,
}

impl ModelCounters {
    pub(crate) fn count(&self, rows: usize, null_rows: usize, took: Duration, failed: bool) {
        let add = |counter: &AtomicU64, more: u64| counter.fetch_add(more, Ordering::Relaxed);
        add(&self.calls, 1);
        add(&self.rows, rows as u64);
        add(&self.nulls, null_rows as u64);
        add(&self.errors, u64::from(failed));
        add(&self.nanos, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        let doublings = (took.as_secs_f64() * 1e6).max(1.0).log2();
        add(&self.latencies[((doublings * BUCKETS_PER_DOUBLING) as usize).min(BUCKETS - 1)], 1);
    }

    /// True if a batch took more than a few milliseconds so far, or none has been seen yet.
    pub(crate) fn is_slow(&self) -> bool {
        let (nanos, calls) = (self.nanos.load(Ordering::Relaxed), self.calls.load(Ordering::Relaxed));
        calls == 0 || nanos / calls > SLOW_NANOS
    }

    pub(crate) fn figures(&self) -> ModelStatus {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let seconds = get(&self.nanos) as f64 / 1e9;
        let rows = get(&self.rows);
        ModelStatus {
            name: String::new(),
            version: 0,
            seconds,
            calls: get(&self.calls),
            rows,
            errors: get(&self.errors),
            null_rows: get(&self.nulls),
            rows_per_second: if seconds > 0.0 { (rows as f64 / seconds) as u64 } else { 0 },
            p50_us: self.latency(0.5),
            p99_us: self.latency(0.99),
        }
    }

    /// The upper end of the bucket in which this share of the calls is reached.
    fn latency(&self, share: f64) -> u64 {
        let counts: Vec<u64> = self.latencies.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * share).ceil() as u64;
        if wanted == 0 {
            return 0;
        }
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return ((bucket + 1) as f64 / BUCKETS_PER_DOUBLING).exp2() as u64;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_to_a_fifth() {
        let counters = ModelCounters::default();
        assert_eq!(counters.figures().p99_us, 0);
        for us in 1..=1000 {
            counters.count(2, 1, Duration::from_micros(us), us == 7);
        }
        let figures = counters.figures();
        assert_eq!((figures.calls, figures.rows, figures.errors, figures.null_rows), (1000, 2000, 1, 1000));
        assert!((500..=600).contains(&figures.p50_us), "{figures:?}");
        assert!((990..=1200).contains(&figures.p99_us), "{figures:?}");
    }
}
