//! Wall time, CPU time of the process and its peak memory between two points.

use std::fs;
use std::time::Duration;

use millstream::{Clock, SystemClock};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// What something took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Seconds on the wall.
    pub wall_s: f64,
    /// Seconds of all threads of the process, user and system.
    pub cpu_s: f64,
    /// Largest resident set since the start, MiB; 0 where the system does not tell.
    pub peak_rss_mb: f64,
    /// Resident set at the start, MiB: the input in memory, mostly.
    pub rss_before_mb: f64,
}

/// Running since [`Meter::start`].
#[derive(Debug)]
pub struct Meter {
    clock: SystemClock,
    cpu: Duration,
    rss_before_mb: f64,
}

impl Meter {
    /// Starts measuring and forgets earlier peaks of memory.
    pub fn start() -> Self {
        // Linux: 5 resets the peak of the resident set. Elsewhere there is no such file, and no peak.
        let _ = fs::write("/proc/self/clear_refs", "5");
        let rss_before_mb = memory_mb("VmRSS:").unwrap_or(0.0);
        Self { cpu: cpu_time(), clock: SystemClock::default(), rss_before_mb }
    }

    /// Wall time so far.
    pub fn elapsed(&self) -> Duration {
        self.clock.monotonic()
    }

    /// What it took since the start.
    pub fn stop(&self) -> Cost {
        Cost {
            wall_s: self.clock.monotonic().as_secs_f64(),
            cpu_s: cpu_time().saturating_sub(self.cpu).as_secs_f64(),
            peak_rss_mb: memory_mb("VmHWM:").unwrap_or(0.0),
            rss_before_mb: self.rss_before_mb,
        }
    }
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn memory_mb(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
}
