//! One limit for all memory that pipelines hold, so that a query that outgrows the machine ends with an error and the kernel kills
//! nobody.
//!
//! Operators' state is counted as often as the figures for people are refreshed, so the limit is passed by what comes in meanwhile.
//! Sorts and joins inside a stage take theirs from DataFusion's pool, which has the same limit. Decoded batches on their way are not
//! counted: queues bound them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

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

impl MemoryBudget {
    pub(crate) fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { limit, ..Self::default() })
    }

    pub(crate) fn share(self: &Arc<Self>) -> MemoryShare {
        self.shares.fetch_add(1, Ordering::Relaxed);
        MemoryShare { budget: Arc::clone(self), held: 0 }
    }
}

impl MemoryShare {
    /// Says how much state `pipeline` holds now.
    ///
    /// # Errors
    /// All pipelines together hold more than the limit, and this one at least its even part of it.
    pub(crate) fn hold(&mut self, pipeline: &str, bytes: u64) -> Result<()> {
        let before = std::mem::replace(&mut self.held, bytes);
        let used = &self.budget.used;
        let total = if bytes >= before {
            used.fetch_add(bytes - before, Ordering::Relaxed) + (bytes - before)
        } else {
            used.fetch_sub(before - bytes, Ordering::Relaxed) - (before - bytes)
        };
        let shares = self.budget.shares.load(Ordering::Relaxed);
        match self.budget.limit {
            // A small pipeline does not pay for a large one; the largest always holds its even part.
            Some(limit) if total > limit && bytes.saturating_mul(shares) >= total => Err(Error::out_of_memory(format!(
                "the memory limit of {} is reached: pipeline {pipeline} holds {} of state (hint: fewer keys or smaller windows, or a larger --memory-limit)",
                megabytes(limit),
                megabytes(bytes)
            ))),
            _ => Ok(()),
        }
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.held, Ordering::Relaxed);
        self.budget.shares.fetch_sub(1, Ordering::Relaxed);
    }
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
        large.hold("large", 90).unwrap();
        small.hold("small", 20).unwrap();
        let error = large.hold("large", 95).unwrap_err();
        assert_eq!(error.sqlstate(), "53200");
        assert!(error.to_string().contains("pipeline large holds"), "{error}");
        drop(large);
        small.hold("small", 60).unwrap();
        assert!(small.hold("small", 101).is_err());
        small.hold("small", 100).unwrap();
    }

    #[test]
    fn of_many_equal_ones_some_pay() {
        let budget = MemoryBudget::new(Some(100));
        let mut shares: Vec<MemoryShare> = (0..5).map(|_| budget.share()).collect();
        let failed = shares.iter_mut().filter_map(|share| share.hold("one", 24).err()).count();
        assert!(failed > 0);
    }
}
