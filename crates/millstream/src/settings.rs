//! Settings of a session and of the pipelines it starts: `SET name = value`.

use std::time::Duration;

use millstream_connectors::Options;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::input::InputSettings;

/// What a SELECT over a stream means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionMode {
    /// Runs until its input ends; rows come as they are produced.
    #[default]
    Streaming,
    /// All inputs must end; an unbounded one is refused.
    Batch,
}

/// How rows reach the partitions of a windowed aggregate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregateDistribution {
    /// Late merge until the observed number of groups per row says that hashing is cheaper.
    #[default]
    Auto,
    /// As they come; partitions are merged when a window closes.
    LateMerge,
    /// Hashed by key.
    ByKey,
}

/// Numbers and choices; a session has its own copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `execution_mode`
    pub execution_mode: ExecutionMode,
    /// `parallelism`: partitions of each stage.
    pub parallelism: usize,
    /// `aggregate_distribution`
    pub aggregate_distribution: AggregateDistribution,
    /// `epoch_rows_max`: rows of an epoch at most.
    pub epoch_rows_max: usize,
    /// `epoch_bytes_max`: bytes of an epoch at most.
    pub epoch_bytes_max: usize,
    /// `epoch_linger_ms`: how long an epoch waits for more after its first rows.
    pub epoch_linger_ms: u64,
    /// `epoch_windows_max`: windows an operator releases at a time at most.
    pub epoch_windows_max: usize,
    /// `batch_rows`: rows of a batch that a source decodes.
    pub batch_rows: usize,
    /// `source_drift_max_ms`: how far a source may be ahead of the slowest one it meets; 0: any distance.
    pub source_drift_max_ms: u64,
    /// `checkpoint_interval_ms`: how often a checkpoint is taken and transactional sinks publish.
    pub checkpoint_interval_ms: u64,
    /// `checkpoint_rows`: a checkpoint is also taken after so many rows read; 0: only by time.
    pub checkpoint_rows: u64,
    /// `checkpoint_keep`: checkpoints kept in the data folder.
    pub checkpoint_keep: usize,
    /// `uncommitted_bytes_max`: output that may wait for a checkpoint that is being written; then the stream waits.
    pub uncommitted_bytes_max: u64,
    /// Whether reading and the encoding of checkpoints have threads of their own. Without, a runtime with one thread runs everything in
    /// an order that does not depend on the machine: for simulations. Only programs can set it.
    pub background_threads: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let input = InputSettings::default();
        Self {
            execution_mode: ExecutionMode::Streaming,
            parallelism: std::thread::available_parallelism().map_or(1, usize::from),
            aggregate_distribution: AggregateDistribution::Auto,
            epoch_rows_max: input.epoch_rows_max,
            epoch_bytes_max: input.epoch_bytes_max,
            epoch_linger_ms: 5,
            epoch_windows_max: 64,
            batch_rows: input.batch_rows,
            source_drift_max_ms: 60_000,
            checkpoint_interval_ms: 10_000,
            checkpoint_rows: 0,
            checkpoint_keep: 3,
            uncommitted_bytes_max: 1 << 30,
            background_threads: true,
        }
    }
}

/// Names that scripts of other engines set, and what they are here. `None`: accepted, has no meaning here.
const SYNONYMS: &[(&str, Option<&str>)] = &[
    ("execution.runtime-mode", Some("execution_mode")),
    ("execution.checkpointing.interval", Some("checkpoint_interval_ms")),
    ("checkpoint.keep", Some("checkpoint_keep")),
    ("checkpoint.rows", Some("checkpoint_rows")),
    ("state.checkpoints.num-retained", Some("checkpoint_keep")),
    ("parallelism.default", Some("parallelism")),
    ("streaming_parallelism", Some("parallelism")),
    ("datafusion.execution.target_partitions", Some("parallelism")),
    ("sql-client.execution.result-mode", None),
    ("table.local-time-zone", None),
    ("pipeline.name", None),
];

impl Settings {
    /// Sets one by name. Errors show the value and list the names.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let name = name.to_ascii_lowercase();
        let name = match SYNONYMS.iter().find(|(synonym, _)| *synonym == name) {
            Some((_, Some(ours))) => *ours,
            Some((_, None)) => return Ok(()),
            None => name.as_str(),
        };
        let value = value.trim();
        match name {
            "execution_mode" => self.execution_mode = parse_mode(value)?,
            "parallelism" => self.parallelism = count(name, value, 1, 256)?,
            "aggregate_distribution" => self.aggregate_distribution = parse_distribution(value)?,
            "epoch_rows_max" => self.epoch_rows_max = count(name, value, 1, 100_000_000)?,
            "epoch_bytes_max" => self.epoch_bytes_max = count(name, value, 1, 1 << 40)?,
            "epoch_linger_ms" => self.epoch_linger_ms = millis(name, value)?,
            "epoch_windows_max" => self.epoch_windows_max = count(name, value, 1, 1_000_000)?,
            "batch_rows" => self.batch_rows = count(name, value, 1, 1_000_000)?,
            "source_drift_max_ms" => self.source_drift_max_ms = millis(name, value)?,
            "checkpoint_interval_ms" => self.checkpoint_interval_ms = millis(name, value)?.max(1),
            "checkpoint_rows" => self.checkpoint_rows = count(name, value, 0, usize::MAX)? as u64,
            "checkpoint_keep" => self.checkpoint_keep = count(name, value, 1, 10_000)?,
            "uncommitted_bytes_max" => self.uncommitted_bytes_max = count(name, value, 1, usize::MAX)? as u64,
            _ => return Err(self.unknown(name)),
        }
        Ok(())
    }

    /// The value of one, as text.
    pub fn get(&self, name: &str) -> Result<String> {
        let name = name.to_ascii_lowercase();
        let found = self.all().into_iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value).ok_or_else(|| self.unknown(&name))
    }

    /// All names with their values.
    pub fn all(&self) -> Vec<(String, String)> {
        let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(all)) => all.into_iter().map(|(key, value)| (key, text(value))).collect(),
            _ => Vec::new(),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let names: Vec<String> = self.all().into_iter().map(|(name, _)| name).collect();
        let near = millstream_connectors::options::did_you_mean(name, names.iter().map(String::as_str));
        let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        Error::user("42704", format!("there is no setting {name} (hint: {near}there are {})", names.join(", ")))
    }

    pub(crate) fn input(&self) -> InputSettings {
        InputSettings {
            epoch_rows_max: self.epoch_rows_max,
            epoch_bytes_max: self.epoch_bytes_max,
            epoch_linger: Duration::from_millis(self.epoch_linger_ms),
            batch_rows: self.batch_rows,
            background_threads: self.background_threads,
            source_drift_max: (self.source_drift_max_ms > 0).then(|| Duration::from_millis(self.source_drift_max_ms)),
            ..InputSettings::default()
        }
    }
}

fn parse_mode(value: &str) -> Result<ExecutionMode> {
    match value.to_ascii_lowercase().as_str() {
        "streaming" => Ok(ExecutionMode::Streaming),
        "batch" => Ok(ExecutionMode::Batch),
        _ => Err(Error::user("22023", format!("execution_mode must be streaming or batch: got '{value}'"))),
    }
}

fn parse_distribution(value: &str) -> Result<AggregateDistribution> {
    match value.to_ascii_lowercase().as_str() {
        "auto" => Ok(AggregateDistribution::Auto),
        "late_merge" => Ok(AggregateDistribution::LateMerge),
        "by_key" => Ok(AggregateDistribution::ByKey),
        _ => Err(Error::user("22023", format!("aggregate_distribution must be auto, late_merge or by_key: got '{value}'"))),
    }
}

fn count(name: &str, value: &str, low: usize, high: usize) -> Result<usize> {
    match value.replace('_', "").parse::<usize>() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(Error::user("22023", format!("{name} must be a whole number from {low} to {high}: got '{value}'"))),
    }
}

fn millis(name: &str, value: &str) -> Result<u64> {
    if let Ok(number) = value.parse::<u64>() {
        return Ok(number);
    }
    let mut options = Options::from_pairs([(name, value)]);
    let duration = options.take_duration(name)?.unwrap_or_default();
    u64::try_from(duration.as_millis()).map_err(|_| Error::user("22023", format!("{name} is too long: got '{value}'")))
}
