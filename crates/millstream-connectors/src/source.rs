//! The input side: sources, their lanes and positions.

use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{ConnectorError, Result};

/// Names one lane of a source, stable over restarts (`"0"`, `"partition-3"`, `"files"`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaneId(pub String);

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where reading a lane resumes: the first thing *not yet* handed out. What is inside is the connector's own affair; the engine
/// stores it and gives it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(pub serde_json::Value);

/// Whether a source ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundedness {
    /// Every lane reports [`Read::Finished`] some day.
    Bounded,
    /// It may go on for ever.
    Unbounded,
}

/// Whether a lane opened at an earlier position gives the same rows again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The same rows from the same position: exactly-once is possible.
    Exact,
    /// What was handed out is gone (a socket): at most once after a crash.
    None,
}

/// A named input with a fixed schema.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// The columns as decoded, in declared order, before any projection.
    fn schema(&self) -> SchemaRef;

    /// Whether it ends by itself.
    fn boundedness(&self) -> Boundedness;

    /// Whether it can be read again from a position.
    fn replay(&self) -> Replay;

    /// The lanes that exist now. Asked again from time to time for sources whose lanes appear later; a lane never vanishes.
    async fn lanes(&self) -> Result<Vec<LaneId>>;

    /// Opens a lane at `start` (`None`: its beginning).
    ///
    /// `projection` holds indices into [`Source::schema`], ascending; batches carry exactly these columns in this order, and a
    /// column that is not asked for need not be decoded (so it is not checked either).
    async fn open(&self, lane: &LaneId, start: Option<&Position>, projection: &[usize]) -> Result<Box<dyn Lane>>;
}

/// One ordered reader. It is driven by one input task of the engine, so it may block on local I/O.
#[async_trait]
pub trait Lane: Send {
    /// Waits for rows and returns at least one row, at most `rows_max` (`rows_max` ≥ 1), or the end.
    ///
    /// It returns what there is without waiting for `rows_max` to gather: a row that has arrived is handed out within a few
    /// milliseconds. The engine never drops the returned future without dropping the lane too. After [`Read::Finished`] or an
    /// error it is not called again.
    async fn read(&mut self, rows_max: usize) -> Result<Read>;
}

/// What [`Lane::read`] gives.
#[derive(Debug)]
pub enum Read {
    /// Rows and the position after them.
    Batch(LaneBatch),
    /// The lane has ended.
    Finished,
}

/// Decoded rows of one lane, in its order.
#[derive(Clone, Debug)]
pub struct LaneBatch {
    /// The projected columns. May have no rows if all rows it stands for were rejected.
    pub rows: RecordBatch,
    /// Where reading resumes after this batch (rejected rows included).
    pub position: Position,
    /// Rows that did not decode. The engine fails, skips and counts, or stores them, as the table's `bad_rows` option says.
    pub rejected: Vec<RejectedRow>,
    /// Bytes read from outside for this batch, for metrics; 0 where there is no meaningful figure.
    pub bytes_read: u64,
}

/// A row that could not be decoded: nothing of it is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// What was read, as it was (cut at 64 KiB).
    pub bytes: Vec<u8>,
    /// Where it stood, for people: `"bids.json line 17"`.
    pub place: String,
    /// Why it does not decode, with the offending value and the column.
    pub reason: String,
}

/// An error for a lane that is none of the source's.
pub(crate) fn check_lane(lane: &LaneId, lanes: &[&str]) -> Result<()> {
    if lanes.contains(&lane.0.as_str()) {
        return Ok(());
    }
    Err(ConnectorError::config(format!("there is no lane '{lane}': lanes are {} (hint: the source was declared anew?)", lanes.join(", "))))
}

/// No lane gets so far: a larger number is damage, and would overflow somewhere.
const ROWS_MAX: u64 = 1 << 52;

/// A position `{"row": n}`: rows already handed out.
pub(crate) fn row_of(position: &Position, connector: &str) -> Result<u64> {
    let row = position.0.get("row").and_then(serde_json::Value::as_u64);
    row.filter(|row| *row <= ROWS_MAX).ok_or_else(|| {
        ConnectorError::data(format!(
            "position is not one of connector '{connector}': got {} (hint: it looks like {{\"row\": 7}})",
            position.0
        ))
    })
}
