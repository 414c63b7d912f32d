//! Handing rows out at a given number per second.

use std::time::Duration;

use millstream_time::Clock;

/// Most rows that a generator makes at once, however many are asked for: a batch that stays in cache.
const GENERATED_ROWS_MAX: u64 = 1 << 16;

/// How many of the next `rows_max` rows may be handed out now, where the n-th of them (from 0) is event `event_of(n)`. Waits for
/// the first.
pub(crate) async fn rows_due(pace: Option<&Pace>, clock: &dyn Clock, rows_max: u64, event_of: impl Fn(u64) -> u64 + Send + Sync) -> u64 {
    let rows_max = rows_max.min(GENERATED_ROWS_MAX);
    let Some(pace) = pace else { return rows_max };
    loop {
        let due = pace.due(clock);
        if event_of(0) < due {
            // The last row that is due lies between 1 and rows_max: look it up by halving.
            let (mut some, mut too_many) = (1, rows_max + 1);
            while too_many - some > 1 {
                let middle = some + (too_many - some) / 2;
                if event_of(middle - 1) < due { some = middle } else { too_many = middle }
            }
            return some;
        }
        // No shorter than a millisecond: at high rates rows come in small bunches.
        clock.sleep(pace.until(event_of(0), clock).max(Duration::from_millis(1))).await;
    }
}

/// Counts which events are due: the first at once, then `rate` per second.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: u64,
    first: u64,
    start: Duration,
}

impl Pace {
    /// From event `first` on, beginning now.
    pub(crate) fn new(rate: u64, first: u64, clock: &dyn Clock) -> Self {
        Self { rate, first, start: clock.monotonic() }
    }

    /// Events below this number are due.
    pub(crate) fn due(&self, clock: &dyn Clock) -> u64 {
        let elapsed = clock.monotonic().saturating_sub(self.start);
        let count = elapsed.as_nanos() * u128::from(self.rate) / 1_000_000_000;
        self.first.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)).saturating_add(1)
    }

    /// How long until this event is due.
    pub(crate) fn until(&self, event: u64, clock: &dyn Clock) -> Duration {
        let nanos = u128::from(event.saturating_sub(self.first)) * 1_000_000_000;
        let due = Duration::from_nanos(u64::try_from(nanos.div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX));
        (self.start + due).saturating_sub(clock.monotonic())
    }
}
