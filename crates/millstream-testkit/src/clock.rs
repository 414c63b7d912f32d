//! A clock that moves when the test says so.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use millstream_time::Clock;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Stands still until [`advance`](ManualClock::advance)d. Sleepers wake when their time has come, in no particular order.
#[derive(Debug)]
pub struct ManualClock {
    start_ms: i64,
    passed_ms: watch::Sender<u64>,
    sleeps: AtomicU64,
    /// When sleepers wake, with the number of each sleep.
    wakes: Mutex<BTreeSet<(u64, u64)>>,
}

/// A sleep that is over, or was given up.
struct Asleep<'a>(&'a ManualClock, (u64, u64));

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.wakes.lock().remove(&self.1);
    }
}

impl ManualClock {
    /// A clock that shows `start_ms` milliseconds since 1970.
    pub fn new(start_ms: i64) -> Self {
        Self { start_ms, passed_ms: watch::Sender::new(0), sleeps: AtomicU64::new(0), wakes: Mutex::default() }
    }

    /// Lets time pass.
    pub fn advance(&self, ms: u64) {
        self.passed_ms.send_modify(|passed| *passed += ms);
    }

    /// Lets time pass until the next sleeper wakes; false if there is none. Those whose time has come already, and who have not noticed
    /// yet, do not count.
    pub fn advance_to_next_wake(&self) -> bool {
        let now = *self.passed_ms.borrow();
        let next = self.wakes.lock().range((now + 1, 0)..).next().map(|(wake, _)| *wake);
        let Some(next) = next else { return false };
        self.passed_ms.send_modify(|passed| *passed = next.max(*passed));
        true
    }

    /// How many times anything has begun to sleep: a busy loop would show here.
    pub fn sleeps(&self) -> u64 {
        self.sleeps.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.start_ms.saturating_add_unsigned(*self.passed_ms.borrow())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(*self.passed_ms.borrow())
    }

    async fn sleep(&self, duration: Duration) {
        let number = self.sleeps.fetch_add(1, Ordering::Relaxed);
        let mut passed = self.passed_ms.subscribe();
        let wait = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let until = passed.borrow_and_update().saturating_add(wait);
        self.wakes.lock().insert((until, number));
        let _asleep = Asleep(self, (until, number));
        // The sender lives in this clock.
        let _ = passed.wait_for(|passed| *passed >= until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn sleepers_wake_when_time_has_come() {
        let clock = Arc::new(ManualClock::new(1_000));
        let sleeper = {
            let clock = Arc::clone(&clock);
            async move {
                clock.sleep(Duration::from_millis(50)).await;
                clock.now()
            }
        };
        let driver = async {
            clock.advance(49);
            tokio::task::yield_now().await;
            clock.advance(1);
        };
        let (woken, ()) = tokio::join!(sleeper, driver);
        assert_eq!(woken, 1_050);
        assert_eq!(clock.sleeps(), 1);
    }
}
