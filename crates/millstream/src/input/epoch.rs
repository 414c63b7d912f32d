//! What one turn of the crank gets.

use datafusion::arrow::array::RecordBatch;
use millstream_connectors::RejectedRow;
use millstream_time::Watermark;

/// The input of one epoch. Without any rows when only a deadline, a watermark or the end of a source was due.
#[derive(Clone, Debug)]
pub struct EpochInput {
    /// The epoch clock: milliseconds since the Unix epoch; never goes back, also not over a restart from positions.
    pub clock_ms: i64,
    /// One per [source spec](super::SourceSpec), in the same order.
    pub sources: Vec<SourceInput>,
}

impl EpochInput {
    /// Rows of all sources.
    pub fn rows(&self) -> usize {
        self.sources.iter().flat_map(|source| &source.batches).map(RecordBatch::num_rows).sum()
    }
}

/// One source's part in an epoch.
#[derive(Clone, Debug)]
pub struct SourceInput {
    /// The projected columns; batches of one lane are in the lane's order.
    pub batches: Vec<RecordBatch>,
    /// Rows that did not decode, if the source keeps them ([`BadRows::Keep`](super::BadRows::Keep)).
    pub rejected: Vec<RejectedRow>,
    /// After all of this epoch's batches. Never goes back.
    pub watermark: Watermark,
    /// Every lane that has not ended is idle: the watermark stays where it is.
    pub idle: bool,
    /// It has ended: this is its last epoch with rows, and the watermark is [`Watermark::MAX`].
    pub finished: bool,
}
