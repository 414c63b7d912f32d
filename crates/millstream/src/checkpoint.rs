//! Checkpoints of a durable pipeline: what goes into one, and its way into the store and back.
//!
//! `millstream-checkpoint` knows files, manifests and who owns them; this module knows what a pipeline's state is. The crank hands
//! over a [`CheckpointDraft`], gets a [`Written`], and after a restart a [`Restored`].

mod fingerprint;
mod functions;
mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_connectors::Sealed;
use millstream_operators::operator::OperatorSnapshot;
use serde::{Deserialize, Serialize};

use crate::input::InputPositions;

pub(crate) use fingerprint::Fingerprint;
pub(crate) use functions::{CheckpointFunction, LookInside};
pub(crate) use store::{Claim, PipelineStore, PlanIdentity};

/// Why a checkpoint was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reason {
    /// `checkpoint_interval_ms` has passed.
    Interval,
    /// `checkpoint_rows` have been read.
    Rows,
    /// `CHECKPOINT PIPELINE`.
    Command,
    /// The pipeline was asked to stop.
    Stop,
    /// State must be stored before it can leave memory.
    Memory,
    /// Its inputs have ended: there is nothing to go on with.
    Finished,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Rows => "rows",
            Self::Command => "command",
            Self::Stop => "stop",
            Self::Memory => "memory",
            Self::Finished => "finished",
        }
    }
}

/// What the crank seals: everything that a restart needs.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointDraft {
    pub(crate) number: u64,
    pub(crate) reason: Reason,
    pub(crate) positions: InputPositions,
    /// In the plan's order; rows only of layers that are not in the store yet.
    pub(crate) operators: Vec<OperatorSnapshot>,
    /// What the sink has sealed.
    pub(crate) sealed: Option<Sealed>,
    /// Rows read since the pipeline was started.
    pub(crate) rows_in: u64,
    /// How long the crank stood still for it.
    pub(crate) stall: Duration,
    /// Versions and hashes of the models in use, by name.
    pub(crate) models: BTreeMap<String, serde_json::Value>,
}

/// A checkpoint that exists.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) figures: CheckpointFigures,
}

/// What a checkpoint has cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckpointFigures {
    /// Its number.
    pub number: u64,
    /// When it was sealed, in milliseconds since 1970.
    pub created_ms: i64,
    /// From sealing to existence, in milliseconds.
    pub duration_ms: u64,
    /// How long the stream stood still, in microseconds.
    pub stall_us: u64,
    /// Bytes of state written for it.
    pub bytes_new: u64,
    /// Bytes of all state files it refers to.
    pub bytes_total: u64,
    /// Rows of state.
    pub rows: u64,
    /// Why it was taken: `interval`, `rows`, `command`, `stop`, `memory`, `finished`, …
    pub reason: String,
}

impl CheckpointFigures {
    /// Of a checkpoint that cannot be read.
    pub(crate) fn unknown(number: u64) -> Self {
        Self { number, created_ms: 0, duration_ms: 0, stall_us: 0, bytes_new: 0, bytes_total: 0, rows: 0, reason: String::new() }
    }
}

/// Where a pipeline goes on from.
#[derive(Clone, Debug)]
pub(crate) struct Restored {
    pub(crate) number: u64,
    pub(crate) positions: InputPositions,
    pub(crate) operators: Vec<OperatorSnapshot>,
    /// Its inputs had ended.
    pub(crate) finished: bool,
}
