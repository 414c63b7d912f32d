//! What readers of a table see.
//!
//! ```text
//!   segments            published: INSERTs and checkpoints, in the order of the log
//!   ahead[N]            sealed for checkpoint N of a materialized view, not published yet     a restart may take
//!   open                written since, by the view's last epochs                              these two back
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use millstream_checkpoint::LogSegment;

use super::origin::{Origin, SegmentNote};
use crate::error::{Error, Result};

/// Small batches are put together up to so many rows, so that many small INSERTs are not read one by one.
pub(super) const BATCH_ROWS: usize = 8_192;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Rows {
    segments: VecDeque<Segment>,
    /// By pipeline, the last checkpoint whose rows are in `segments`; earlier ones are too.
    published: BTreeMap<String, u64>,
    ahead: BTreeMap<u64, Vec<RecordBatch>>,
    open: Vec<RecordBatch>,
    failed: Option<Error>,
    /// Rows that were there and were dropped for their age.
    retired_rows: u64,
}

/// Rows of a table from a place on; places count from the table's first row ever.
#[derive(Debug)]
pub struct TableTail {
    /// The place of the first row of `batches`.
    pub from: u64,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Rows from this place on may be taken back by a restart, and come again.
    pub published_to: u64,
    /// The place behind the last row.
    pub to: u64,
}

/// Rows that were written together; without a retention, neighbours become one.
#[derive(Debug)]
struct Segment {
    sequence: u64,
    written_ms: i64,
    batches: Vec<RecordBatch>,
}

impl Rows {
    pub(super) fn from_log(log: Vec<LogSegment>, schema: &SchemaRef, retention: Option<Duration>) -> Result<Self> {
        let mut rows = Self::default();
        for segment in log {
            let note = SegmentNote::read_from(&segment.schema, segment.sequence)?;
            let plain = |batch: RecordBatch| RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec());
            let batches: Result<Vec<_>, _> = segment.batches.into_iter().map(plain).collect();
            let batches =
                batches.map_err(|error| Error::user("XX001", format!("segment {} has other columns: {error}", segment.sequence)))?;
            rows.commit(segment.sequence, &note, batches, retention.is_none());
        }
        Ok(rows)
    }

    /// Nothing is read or written from now on.
    pub(super) fn fail(&mut self, error: Error) {
        *self = Self { failed: Some(error), ..Self::default() };
    }

    /// Why nothing can be read or written, if so.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failed.clone()
    }

    pub(super) fn is_published(&self, origin: &Origin) -> bool {
        self.published.get(&origin.pipeline).is_some_and(|last| *last >= origin.checkpoint)
    }

    /// Shows the rows of a segment that is in the log now.
    pub(super) fn commit(&mut self, sequence: u64, note: &SegmentNote, batches: Vec<RecordBatch>, merge: bool) {
        for origin in &note.origins {
            self.published.insert(origin.pipeline.clone(), origin.checkpoint);
            self.ahead.remove(&origin.checkpoint);
        }
        let written_ms = note.written_ms;
        if !merge || self.segments.is_empty() {
            self.segments.push_back(Segment { sequence, written_ms, batches: Vec::new() });
        }
        let Some(last) = self.segments.back_mut() else { return };
        (last.sequence, last.written_ms) = (sequence, written_ms);
        for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
            match last.batches.last_mut() {
                Some(before) if before.num_rows() + batch.num_rows() <= BATCH_ROWS => {
                    match concat_batches(&batch.schema(), [&*before, &batch]) {
                        Ok(both) => *before = both,
                        // Text of more than 2 GiB in a column.
                        Err(_) => last.batches.push(batch),
                    }
                }
                _ => last.batches.push(batch),
            }
        }
    }

    /// Drops segments written before `oldest_ms`; the last sequence that is gone.
    pub(super) fn retire(&mut self, oldest_ms: i64) -> Option<u64> {
        let mut retired = None;
        while let Some(first) = self.segments.front()
            && first.written_ms < oldest_ms
        {
            retired = Some(first.sequence);
            self.retired_rows += count(&first.batches);
            self.segments.pop_front();
        }
        retired
    }

    pub(super) fn snapshot(&self, oldest_ms: i64) -> Result<Vec<RecordBatch>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let kept = self.segments.iter().filter(|segment| segment.written_ms >= oldest_ms);
        let ahead = self.ahead.values().flatten().chain(&self.open);
        Ok(kept.flat_map(|segment| &segment.batches).chain(ahead).cloned().collect())
    }

    /// How many rows are held, and in how many bytes of memory.
    pub(super) fn held(&self) -> (u64, u64) {
        let kept = self.segments.iter().flat_map(|segment| &segment.batches);
        let all = kept.chain(self.ahead.values().flatten()).chain(&self.open);
        all.fold((0, 0), |(rows, bytes), batch| (rows + batch.num_rows() as u64, bytes + batch.get_array_memory_size() as u64))
    }

    /// The rows from place `from` on.
    pub(super) fn tail(&self, from: u64) -> Result<TableTail> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let published = self.segments.iter().map(|segment| count(&segment.batches)).sum::<u64>();
        let published_to = self.retired_rows + published;
        let mut tail = TableTail { from: from.max(self.retired_rows), batches: Vec::new(), published_to, to: self.retired_rows };
        let kept = self.segments.iter().flat_map(|segment| &segment.batches);
        for batch in kept.chain(self.ahead.values().flatten()).chain(&self.open) {
            let rows = batch.num_rows() as u64;
            let skip = tail.from.saturating_sub(tail.to).min(rows);
            if skip < rows {
                let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                tail.batches.push(batch.slice(skip, batch.num_rows() - skip));
            }
            tail.to += rows;
        }
        Ok(tail)
    }

    /// Shows rows of a view before they are published.
    pub(super) fn show(&mut self, batches: &[RecordBatch]) {
        self.open.extend(batches.iter().cloned());
    }

    /// What was shown since the last seal belongs to `checkpoint`.
    pub(super) fn seal(&mut self, checkpoint: u64) {
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            self.ahead.insert(checkpoint, open);
        }
    }

    /// Takes back what was shown since the last seal.
    pub(super) fn discard_open(&mut self) {
        self.open.clear();
    }

    /// Takes back everything that is not published: whoever goes on writes it again.
    pub(super) fn step_back(&mut self) {
        self.open.clear();
        self.ahead.clear();
    }

    /// An earlier publication has happened: its rows are among the segments.
    pub(super) fn forget_ahead(&mut self, checkpoint: u64) {
        self.ahead.remove(&checkpoint);
    }
}

fn count(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}
