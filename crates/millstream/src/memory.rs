//! One limit for all memory that pipelines hold, so that a query that outgrows the machine lets state leave for the data folder, or
//! ends with an error, and the kernel kills nobody.
//!
//! ```text
//!  0 ─────────── rests ─────── presses ────────── limit
//!                50 %          70 %               the stream waits for room; 53200 if there is none to be made
//!                  ◀── leaves ──┘
//! ```
//!
//! Operators' state is counted again and again while rows come in, so the limit is passed by what comes in meanwhile. Sorts and
//! joins inside a stage take theirs from DataFusion's pool, which has the same limit. Decoded batches on their way are not counted:
//! queues bound them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// State above so many hundredths of the limit leaves memory, if it can.
const PRESSES_PERCENT: u64 = 70;

/// Down to so many.
const RESTS_PERCENT: u64 = 50;

/// A checkpoint is taken for the sake of memory if it makes room for one part in so many of the limit; layers are merged up to it.
const WORTH_WHILE_PART: u64 = 16;

/// A window whose groups take more than one part in so many of the limit comes back in parts of that.
const WINDOW_PART: u64 = 2;

/// A pane that has more than one part in so many of the limit in a checkpoint is split; small files cost more than they save.
const LARGE_PANE_PART: u64 = 32;
const LARGE_PANE_BYTES_MIN: u64 = 4 << 20;

/// The limit and what is used of it; shared by all pipelines of an engine.
#[derive(Debug, Default)]
pub(crate) struct MemoryBudget {
    /// Bytes; `None`: no limit.
    limit: Option<u64>,
    used: AtomicU64,
    shares: AtomicU64,
}

/// One pipeline's part; what it held is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct MemoryShare {
    budget: Arc<MemoryBudget>,
    held: u64,
}

/// What a pipeline should let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pressure {
    /// Bytes that should leave memory.
    pub(crate) excess: u64,
    /// Bytes above the limit.
    pub(crate) over: u64,
}

impl MemoryBudget {
    pub(crate) fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { limit, ..Self::default() })
    }

    pub(crate) fn share(self: &Arc<Self>) -> MemoryShare {
        self.shares.fetch_add(1, Ordering::Relaxed);
        MemoryShare { budget: Arc::clone(self), held: 0 }
    }

    /// Bytes that somebody may read into memory at once: more is better left where it is.
    pub(crate) fn room(&self) -> u64 {
        let Some(limit) = self.limit else { return u64::MAX };
        percent(limit, RESTS_PERCENT).saturating_sub(self.used.load(Ordering::Relaxed))
    }
}

impl MemoryShare {
    /// Says how much state the pipeline holds now, and hears how much of it is too much. A small pipeline does not pay for a large
    /// one: only who holds at least its even part is asked, and the largest always does.
    pub(crate) fn hold(&mut self, bytes: u64) -> Pressure {
        let before = std::mem::replace(&mut self.held, bytes);
        let used = &self.budget.used;
        let total = if bytes >= before {
            used.fetch_add(bytes - before, Ordering::Relaxed) + (bytes - before)
        } else {
            used.fetch_sub(before - bytes, Ordering::Relaxed) - (before - bytes)
        };
        let shares = self.budget.shares.load(Ordering::Relaxed);
        match self.budget.limit {
            Some(limit) if total > percent(limit, PRESSES_PERCENT) && bytes.saturating_mul(shares) >= total => {
                Pressure { excess: total - percent(limit, RESTS_PERCENT), over: total.saturating_sub(limit) }
            }
            _ => Pressure::default(),
        }
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.budget.limit.is_some()
    }

    /// See [`MemoryBudget::room`].
    pub(crate) fn room(&self) -> u64 {
        self.budget.room()
    }

    /// Bytes below the limit that nobody holds.
    pub(crate) fn left(&self) -> u64 {
        self.budget.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.budget.used.load(Ordering::Relaxed)))
    }

    /// Bytes for which a checkpoint is worth its while, and that a merge of layers may take.
    pub(crate) fn worth_while(&self) -> u64 {
        self.budget.limit.map_or(u64::MAX, |limit| limit / WORTH_WHILE_PART)
    }

    /// Bytes that the groups of a window may take that comes back from the store as a whole.
    pub(crate) fn window_bytes_max(&self) -> u64 {
        self.budget.limit.map_or(u64::MAX, |limit| limit / WINDOW_PART)
    }

    /// Bytes of a pane in one checkpoint from which on it is split by key, so that its window can close in parts; `None`: never.
    pub(crate) fn large_pane(&self) -> Option<u64> {
        self.budget.limit.map(|limit| (limit / LARGE_PANE_PART).max(LARGE_PANE_BYTES_MIN))
    }

    /// Why a pipeline ends that holds too much. `durable`: what could leave memory has left.
    pub(crate) fn outgrown(&self, pipeline: &str, durable: bool) -> Error {
        let hint = if durable {
            "a window that is sorted, joined or ranked must fit, with the rows of its epoch: fewer keys or smaller windows, or a larger --memory-limit"
        } else {
            "fewer keys or smaller windows, a larger --memory-limit, or --data DIR, into which state of open windows can leave"
        };
        Error::out_of_memory(format!(
            "the memory limit of {} is reached: pipeline {pipeline} holds {} of state (hint: {hint})",
            megabytes(self.budget.limit.unwrap_or_default()),
            megabytes(self.held)
        ))
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.held, Ordering::Relaxed);
        self.budget.shares.fetch_sub(1, Ordering::Relaxed);
    }
}

fn percent(bytes: u64, part: u64) -> u64 {
    bytes / 100 * part + bytes % 100 * part / 100
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_large_one_pays_and_what_it_held_is_free_again() {
        let budget = MemoryBudget::new(Some(100));
        let (mut large, mut small) = (budget.share(), budget.share());
        assert_eq!(large.hold(70), Pressure::default());
        assert_eq!(small.hold(20), Pressure::default(), "it does not pay for the large one");
        assert_eq!(large.hold(75), Pressure { excess: 45, over: 0 });
        assert_eq!(large.hold(90), Pressure { excess: 60, over: 10 });
        let error = large.outgrown("large", false);
        assert_eq!(error.sqlstate(), "53200");
        assert!(error.to_string().contains("pipeline large holds") && error.to_string().contains("--data DIR"), "{error}");
        assert_eq!((small.left(), small.room()), (0, 0));
        drop(large);
        assert_eq!((small.left(), small.room()), (80, 30));
        assert_eq!(small.hold(70), Pressure::default());
        assert_eq!(small.hold(101), Pressure { excess: 51, over: 1 });
    }

    #[test]
    fn of_many_equal_ones_some_pay() {
        let budget = MemoryBudget::new(Some(100));
        let mut shares: Vec<MemoryShare> = (0..5).map(|_| budget.share()).collect();
        assert!(shares.iter_mut().filter_map(|share| (share.hold(24).over > 0).then_some(())).count() > 0);
    }

    #[test]
    fn without_a_limit_nothing_presses() {
        let mut share = MemoryBudget::new(None).share();
        assert_eq!((share.hold(u64::MAX / 2), share.room(), share.worth_while()), (Pressure::default(), u64::MAX, u64::MAX));
    }
}
