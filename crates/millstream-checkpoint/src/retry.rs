//! How long to wait before a transient failure is tried again. Who waits is the caller: this crate neither sleeps nor rolls dice.

use std::time::Duration;

/// Delays that double up to a limit, each cut short by up to a half so that processes do not come back in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first delay, before jitter, in milliseconds.
    pub first_ms: u64,
    /// No delay is longer, in milliseconds.
    pub longest_ms: u64,
    /// So many tries after the first; then the failure is final.
    pub retries_max: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first_ms: 50, longest_ms: 10_000, retries_max: 12 }
    }
}

impl Backoff {
    /// The pause before retry `attempt` (0 is the first retry); `None` when it is time to give up.
    ///
    /// The same `seed` and `attempt` give the same delay.
    pub fn delay(&self, attempt: u32, seed: u64) -> Option<Duration> {
        if attempt >= self.retries_max {
            return None;
        }
        let full = self.first_ms.saturating_mul(1_u64.checked_shl(attempt).unwrap_or(u64::MAX)).min(self.longest_ms);
        let cut = mix(seed ^ (u64::from(attempt) << 32)) % (full / 2 + 1);
        Some(Duration::from_millis(full - cut))
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): one step is enough to make neighbours unlike.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_limit_and_end() {
        let backoff = Backoff { first_ms: 100, longest_ms: 1_000, retries_max: 80 };
        for seed in 0..200 {
            for attempt in 0..80 {
                let full = 100_u64.saturating_mul(1_u64.checked_shl(attempt).unwrap_or(u64::MAX)).min(1_000);
                let delay = u64::try_from(backoff.delay(attempt, seed).unwrap().as_millis()).unwrap();
                assert!(delay <= full && delay >= full / 2, "seed {seed}, attempt {attempt}: {delay}");
            }
            assert_eq!(backoff.delay(80, seed), None);
        }
        assert_eq!(backoff.delay(3, 7), backoff.delay(3, 7));
        assert_ne!(backoff.delay(3, 7), backoff.delay(3, 8));
    }
}
