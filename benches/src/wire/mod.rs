//! What clients of the Postgres protocol get, from the release binary `millstream` and from PostgreSQL.
//!
//! Both servers run as processes of their own on loopback, with the same rows, asked by the same client (tokio-postgres, or a socket
//! that only counts). They are asked in turn.

pub mod crowd;
pub mod fan_out;
pub mod freshness;
pub mod lookups;
pub mod scans;
pub mod servers;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures the server over the wire and prints one JSON line a measurement.
#[derive(Clone, Debug, Parser)]
#[command(name = "wire")]
pub struct Arguments {
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Suite::ALL)]
    pub suite: Vec<Suite>,

    /// Rows of the table of lookups and scans.
    #[arg(long, default_value_t = 1_000_000)]
    pub rows: u64,

    /// Lookups of each case.
    #[arg(long, default_value_t = 4_000)]
    pub lookups: u64,

    /// Clients at once, where there are several.
    #[arg(long, default_value_t = 16)]
    pub clients: usize,

    /// Runs of each scan, after one that does not count.
    #[arg(long, default_value_t = 5)]
    pub runs: usize,

    /// Subscribers of the fan-out.
    #[arg(long, default_value_t = 100)]
    pub subscribers: usize,

    /// Rows that every subscriber gets.
    #[arg(long, default_value_t = 200_000)]
    pub subscribed_rows: u64,

    /// Rows a second that come in when freshness is measured.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    pub rates: Vec<u64>,

    /// Seconds to measure freshness, after two that do not count.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,

    /// Idle clients of the crowd.
    #[arg(long, default_value_t = 1_000)]
    pub idle: usize,

    /// Active clients of the crowd.
    #[arg(long, default_value_t = 50)]
    pub active: usize,

    /// Threads of the measuring side.
    #[arg(long, default_value_t = 1)]
    pub client_threads: usize,

    /// Where PostgreSQL's initdb and postgres are; without it they are looked for, and skipped if they are not there.
    #[arg(long)]
    pub postgres: Option<PathBuf>,

    /// Measure Millstream only.
    #[arg(long)]
    pub alone: bool,
}

/// Measurements that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// One row by its key.
    Lookups,
    /// All rows.
    Scans,
    /// Rows to many subscribers.
    FanOut,
    /// From a row's coming in to its being seen by a SELECT.
    Freshness,
    /// Many idle clients beside active ones.
    Crowd,
}

impl Suite {
    const ALL: [Self; 5] = [Self::Lookups, Self::Scans, Self::FanOut, Self::Freshness, Self::Crowd];
}

impl std::fmt::Display for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Arguments {
    /// Whether a suite was asked for.
    pub fn wants(&self, suite: Suite) -> bool {
        self.suite.contains(&suite)
    }
}

/// The time that a share of all stays below, in milliseconds. Sorts.
pub fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let place = ((times.len() as f64 - 1.0).max(0.0) * share).round() as usize;
    times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
