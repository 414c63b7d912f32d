//! Batches in memory as a source and as a sink: for tests, benches and programs.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;

use crate::error::{ConnectorError, Result};
use crate::sink::{Delivery, Sealed, Sink};
use crate::source::{Boundedness, Lane, LaneBatch, LaneId, Position, Read, Replay, Source};

/// A bounded, replayable source. Batches are handed out as slices, nothing is copied. Lanes are named `"0"`, `"1"`, …
#[derive(Clone, Debug)]
pub struct MemorySource {
    schema: SchemaRef,
    lanes: Arc<Vec<Vec<RecordBatch>>>,
}

impl MemorySource {
    /// `lanes` holds for each lane its batches, all with the columns of `schema`.
    pub fn new(schema: SchemaRef, lanes: Vec<Vec<RecordBatch>>) -> Self {
        Self { schema, lanes: Arc::new(lanes) }
    }
}

#[async_trait]
impl Source for MemorySource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    fn replay(&self) -> Replay {
        Replay::Exact
    }

    async fn lanes(&self) -> Result<Vec<LaneId>> {
        Ok((0..self.lanes.len()).map(|idx| LaneId(idx.to_string())).collect())
    }

    async fn open(&self, lane: &LaneId, start: Option<&Position>, projection: &[usize]) -> Result<Box<dyn Lane>> {
        let idx = lane.0.parse::<usize>().ok().filter(|idx| *idx < self.lanes.len());
        let idx = idx.ok_or_else(|| ConnectorError::config(format!("there is no lane '{lane}': there are {}", self.lanes.len())))?;
        let start = start.map_or(Ok(0), |position| crate::source::row_of(position, "memory"))?;
        let mut lane =
            MemoryLane { lanes: self.lanes.clone(), lane: idx, batch: 0, row: 0, rows_before: 0, projection: projection.to_vec() };
        lane.skip(start)?;
        Ok(Box::new(lane))
    }
}

struct MemoryLane {
    lanes: Arc<Vec<Vec<RecordBatch>>>,
    lane: usize,
    batch: usize,
    /// Within the batch.
    row: usize,
    /// In batches before it.
    rows_before: u64,
    projection: Vec<usize>,
}

impl MemoryLane {
    fn skip(&mut self, rows: u64) -> Result<()> {
        while let Some(batch) = self.lanes[self.lane].get(self.batch) {
            let left = rows - self.rows_before;
            if left < batch.num_rows() as u64 {
                self.row = left as usize;
                return Ok(());
            }
            self.rows_before += batch.num_rows() as u64;
            self.batch += 1;
        }
        if self.rows_before < rows {
            return Err(ConnectorError::data(format!("lane {} has {} rows: position is {rows}", self.lane, self.rows_before)));
        }
        Ok(())
    }
}

#[async_trait]
impl Lane for MemoryLane {
    async fn read(&mut self, rows_max: usize) -> Result<Read> {
        while let Some(batch) = self.lanes[self.lane].get(self.batch) {
            let rows = (batch.num_rows() - self.row).min(rows_max);
            if rows == 0 {
                self.rows_before += batch.num_rows() as u64;
                (self.batch, self.row) = (self.batch + 1, 0);
                continue;
            }
            let rows = batch.slice(self.row, rows).project(&self.projection);
            let rows = rows.map_err(|error| ConnectorError::config(format!("projection {:?} does not fit: {error}", self.projection)))?;
            self.row += rows.num_rows();
            let position = Position(json!({ "row": self.rows_before + self.row as u64 }));
            return Ok(Read::Batch(LaneBatch { rows, position, rejected: Vec::new(), bytes_read: 0 }));
        }
        Ok(Read::Finished)
    }
}

/// What a [`MemorySink`] got, shared with whoever looks.
#[derive(Clone, Debug, Default)]
pub struct MemoryOutput {
    inner: Arc<Mutex<MemoryState>>,
}

#[derive(Debug, Default)]
struct MemoryState {
    sealed: Vec<(u64, Vec<RecordBatch>)>,
    published: Vec<RecordBatch>,
    published_checkpoints: Vec<u64>,
}

impl MemoryOutput {
    /// The rows that readers see: those of published checkpoints.
    pub fn batches(&self) -> Vec<RecordBatch> {
        self.inner.lock().published.clone()
    }

    /// How many rows those are.
    pub fn rows(&self) -> usize {
        self.inner.lock().published.iter().map(RecordBatch::num_rows).sum()
    }

    /// The checkpoints that were published, in order.
    pub fn checkpoints(&self) -> Vec<u64> {
        self.inner.lock().published_checkpoints.clone()
    }

    /// A sink that writes here. Another one on the same output can publish what this one sealed, as after a restart.
    pub fn sink(&self) -> MemorySink {
        MemorySink { output: self.clone(), staged: Vec::new() }
    }
}

/// A transactional sink into memory.
#[derive(Debug)]
pub struct MemorySink {
    output: MemoryOutput,
    staged: Vec<RecordBatch>,
}

#[async_trait]
impl Sink for MemorySink {
    fn delivery(&self) -> Delivery {
        Delivery::Transactional
    }

    async fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        self.staged.extend(batches.iter().filter(|batch| batch.num_rows() > 0).cloned());
        Ok(())
    }

    async fn seal(&mut self, checkpoint: u64) -> Result<Sealed> {
        let mut state = self.output.inner.lock();
        let batches = std::mem::take(&mut self.staged);
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        state.sealed.retain(|(sealed, _)| *sealed != checkpoint);
        state.sealed.push((checkpoint, batches));
        Ok(Sealed::new(checkpoint, rows, json!({})))
    }

    async fn publish(&mut self, sealed: &Sealed) -> Result<()> {
        let mut state = self.output.inner.lock();
        if state.published_checkpoints.contains(&sealed.checkpoint) {
            return Ok(());
        }
        let Some(idx) = state.sealed.iter().position(|(checkpoint, _)| *checkpoint == sealed.checkpoint) else {
            return Err(ConnectorError::data(format!("checkpoint {} was not sealed here", sealed.checkpoint)));
        };
        let (_, batches) = state.sealed.remove(idx);
        state.published.extend(batches);
        state.published_checkpoints.push(sealed.checkpoint);
        Ok(())
    }

    async fn discard(&mut self) -> Result<()> {
        self.staged.clear();
        Ok(())
    }
}
