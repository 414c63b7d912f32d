//! `LIMIT n OFFSET m` over a stream: counts across epochs and ends the query.

use datafusion::arrow::array::{RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Result, internal_err};
use millstream_time::Watermark;
use parking_lot::Mutex;
use std::sync::Arc;

use crate::operator::{OperatorMetrics, OperatorSnapshot, Released, StateLayer, StateShape, StatefulOperator};

/// Lets `limit` rows through after skipping `offset`. Runs on one partition.
#[derive(Debug)]
pub struct StreamLimit {
    offset: u64,
    limit: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: u64,
    waiting: Vec<RecordBatch>,
    watermark: Watermark,
    windows: u64,
}

impl StreamLimit {
    /// `limit` of `None` only skips.
    pub fn new(offset: u64, limit: Option<u64>) -> Self {
        Self { offset, limit, state: Mutex::new(State::default()) }
    }

    fn end(&self) -> u64 {
        self.limit.map_or(u64::MAX, |limit| self.offset.saturating_add(limit))
    }
}

impl StatefulOperator for StreamLimit {
    fn update(&self, _: usize, batch: &RecordBatch) -> Result<()> {
        let mut state = self.state.lock();
        let (first, rows) = (state.seen, batch.num_rows() as u64);
        state.seen += rows;
        let from = self.offset.saturating_sub(first).min(rows);
        let to = self.end().saturating_sub(first).min(rows);
        if from < to {
            // Both are at most the batch's number of rows.
            let (from, to) = (usize::try_from(from).unwrap_or(0), usize::try_from(to).unwrap_or(0));
            state.waiting.push(batch.slice(from, to - from));
        }
        Ok(())
    }

    fn advance(&self, watermark: Watermark) -> Result<Released> {
        let mut state = self.state.lock();
        state.watermark.advance(watermark);
        let batches = std::mem::take(&mut state.waiting);
        let windows = u64::from(!batches.is_empty());
        state.windows += windows;
        Ok(Released { batches, windows, done: state.seen >= self.end() })
    }

    fn nth_due(&self, _: usize) -> Option<i64> {
        None
    }

    fn snapshot(&self, since: u64) -> Result<OperatorSnapshot> {
        let metrics = self.metrics();
        let state = self.state.lock();
        let rows = RecordBatch::try_new(self.state_schema(), vec![Arc::new(UInt64Array::from(vec![state.seen]))])?;
        // One number: every snapshot holds all of it.
        let layers = vec![StateLayer::of_rows(since, vec![rows])];
        Ok(OperatorSnapshot { watermark: state.watermark, metrics, shape: StateShape::Keyed, layers, next_seal: since + 1 })
    }

    fn state_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("rows_seen", DataType::UInt64, false)]))
    }

    fn restore(&self, snapshot: &OperatorSnapshot) -> Result<()> {
        use datafusion::arrow::array::AsArray;
        use datafusion::arrow::datatypes::UInt64Type;
        if snapshot.shape != StateShape::Keyed {
            return internal_err!("LIMIT restores keyed state");
        }
        let mut state = self.state.lock();
        state.watermark = snapshot.watermark;
        for batch in snapshot.layers.iter().flat_map(|layer| &layer.rows) {
            if let Some(seen) = batch.column(0).as_primitive::<UInt64Type>().values().last() {
                state.seen = *seen;
            }
        }
        Ok(())
    }

    fn metrics(&self) -> OperatorMetrics {
        let state = self.state.lock();
        OperatorMetrics { rows_in: state.seen, windows_released: state.windows, ..OperatorMetrics::default() }
    }
}
