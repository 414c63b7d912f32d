//! The command line.

use clap::{Parser, ValueEnum};

/// Measures Millstream in SQL, end to end, and prints one JSON line a measurement.
///
/// Medians of several runs that take turns. Absolute figures depend on the machine and on who else uses it: compare ratios.
#[derive(Clone, Debug, Parser)]
#[command(name = "nexmark")]
pub struct Arguments {
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Suite::ALL)]
    pub suite: Vec<Suite>,

    /// Rows in memory of the aggregates.
    #[arg(long, default_value_t = 10_000_000)]
    pub rows: usize,

    /// Different keys in them.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000])]
    pub keys: Vec<u64>,

    /// NEXMark events of all three kinds, a multiple of 50.
    #[arg(long, default_value_t = 2_000_000)]
    pub events: u64,

    /// Worker threads, which is also the setting `parallelism`.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    pub threads: Vec<usize>,

    /// Runs of each case, after one that does not count.
    #[arg(long, default_value_t = 5)]
    pub runs: usize,

    /// NEXMark events of the pipeline that checkpoints are compared on.
    #[arg(long, default_value_t = 600_000_000)]
    pub checkpoint_events: u64,

    /// Groups that change between two checkpoints when stalls are measured.
    #[arg(long, default_value_t = 1_000_000)]
    pub checkpoint_groups: u64,

    /// Checkpoints of which the stall is measured.
    #[arg(long, default_value_t = 20)]
    pub checkpoints: usize,

    /// Open groups that are restored, at least.
    #[arg(long, default_value_t = 10_000_000)]
    pub restore_groups: u64,

    /// Only cases whose query or input contains this.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,

    /// Seconds to watch an idle pipeline.
    #[arg(long, default_value_t = 5)]
    pub idle_seconds: u64,

    /// Say PASS or MISS for every floor that was measured.
    #[arg(long)]
    pub check: bool,

    /// With --check: exit code 1 if a floor is missed.
    #[arg(long)]
    pub strict: bool,
}

/// Measurements that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// count, sum, avg, max by key over rows in memory: TUMBLE and two HOPs beside DataFusion's batch GROUP BY.
    Aggregates,
    /// NEXMark bids in memory: TUMBLE and HOP per auction beside DataFusion's batch GROUP BY.
    Bids,
    /// NEXMark q1, q2, q5, q7, q8 over the generator, memory, Parquet and JSON.
    Nexmark,
    /// What an epoch of 1,000 rows costs.
    Epochs,
    /// CPU of pipelines without input.
    Idle,
    /// From the start of the `millstream` binary to its first row.
    Start,
    /// Checkpoints: throughput with and without, stalls, restoring.
    Checkpoints,
    /// Models in SQL beside the same models called directly, and metrics as aggregates.
    Models,
}

impl Suite {
    const ALL: [Self; 8] =
        [Self::Aggregates, Self::Bids, Self::Nexmark, Self::Epochs, Self::Idle, Self::Start, Self::Checkpoints, Self::Models];
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

    /// Whether a case was asked for.
    pub fn wants_case(&self, query: &str, input: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| query.contains(part.as_str()) || input.contains(part.as_str()))
    }
}
