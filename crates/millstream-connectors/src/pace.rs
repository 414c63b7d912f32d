//! Handing rows out at a given number per second.

use std::time::Duration;

use millstream_time::Clock;

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
