//! How many batches of one model are evaluated at the same time.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use millstream_ml::error::ModelResult;
use millstream_ml::model::Watch;

/// Counts batches that are being evaluated.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    busy: Mutex<usize>,
    left: Condvar,
}

/// A batch is being evaluated for as long as this lives.
#[derive(Debug)]
pub(crate) struct Passed<'a>(&'a Gate);

/// How often somebody who waits looks at the clock.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl Gate {
    /// Waits until fewer than `threads` batches are being evaluated, for as long as `watch` allows.
    pub(crate) fn pass(&self, threads: usize, watch: &dyn Watch) -> ModelResult<Passed<'_>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy >= threads {
            busy = self.left.wait_timeout(busy, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner).0;
            watch.check()?;
        }
        *busy += 1;
        Ok(Passed(self))
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        *self.0.busy.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use millstream_ml::error::ModelError;
    use millstream_ml::model::Patient;

    use super::*;

    struct Impatient;

    impl Watch for Impatient {
        fn check(&self) -> ModelResult<()> {
            Err(ModelError::interrupted("no time"))
        }
    }

    #[test]
    fn no_more_than_allowed_pass() {
        let (gate, busy, most) = (Gate::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _passed = gate.pass(2, &Patient).unwrap();
                        most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        busy.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 2);
        let _first = gate.pass(1, &Impatient).unwrap();
        assert_eq!(gate.pass(1, &Impatient).unwrap_err().to_string(), "no time");
    }
}
