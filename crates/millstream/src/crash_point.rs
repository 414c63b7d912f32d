//! Places where a test can make the process die: at every step of the commit protocol, before and after.
//!
//! `MILLSTREAM_CRASH_AT=after-manifest:3` kills the process as SIGKILL would, the third time it comes to that place. Unset, a place
//! costs one look at a static.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The places, in the order in which a checkpoint comes to them.
pub const CRASH_POINTS: &[&str] =
    &["before-seal", "after-seal", "after-state", "after-manifest", "after-publish", "after-committed", "after-retention", "after-claim"];

struct Armed {
    place: String,
    left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Dies here if that was asked for.
pub(crate) fn reach(place: &str) {
    let Some(armed) = ARMED.get_or_init(from_environment) else { return };
    if armed.place == place && armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        // Like SIGKILL: no destructor runs, nothing is flushed.
        std::process::abort();
    }
}

fn from_environment() -> Option<Armed> {
    let value = std::env::var("MILLSTREAM_CRASH_AT").ok()?;
    let (place, times) = value.split_once(':').unwrap_or((&value, "1"));
    Some(Armed { place: place.to_owned(), left: AtomicU64::new(times.parse().unwrap_or(1)) })
}
