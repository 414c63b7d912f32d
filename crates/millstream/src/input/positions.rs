//! How far a pipeline's input has been handed out: what a checkpoint stores of it.

use std::collections::BTreeMap;

use millstream_connectors::{LaneId, Position};
use millstream_time::Watermark;
use serde::{Deserialize, Serialize};

/// Everything needed to go on reading behind what has been handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPositions {
    /// The epoch clock, so that it does not go back over a restart.
    pub clock_ms: i64,
    /// In the order of the [source specs](super::SourceSpec).
    pub sources: Vec<SourcePositions>,
}

/// How far one source has been handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePositions {
    /// Table name; checked on restore.
    pub name: String,
    /// The watermark last handed out.
    pub watermark: Watermark,
    /// All lanes seen so far.
    pub lanes: BTreeMap<LaneId, LanePosition>,
}

/// How far one lane has been handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePosition {
    /// Where reading resumes; `None`: at the lane's beginning.
    pub position: Option<Position>,
    /// Its watermark.
    pub watermark: Watermark,
    /// It was polled empty for long and does not hold its source's watermark back.
    pub idle: bool,
    /// It has ended.
    pub finished: bool,
}
