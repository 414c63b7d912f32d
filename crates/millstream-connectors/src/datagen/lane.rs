//! The rows of a generator, at the pace that was asked for.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_time::Clock;
use serde_json::json;

use super::config::DatagenConfig;
use super::field::FieldGenerator;
use crate::error::{ConnectorError, Result};
use crate::pace::{Pace, rows_due};
use crate::source::{Lane, LaneBatch, Position, Read};

pub(super) struct DatagenLane {
    generators: Arc<Vec<FieldGenerator>>,
    row: u64,
    /// `u64::MAX`: endless.
    rows: u64,
    schema: SchemaRef,
    projection: Vec<usize>,
    pace: Option<Pace>,
    clock: Arc<dyn Clock>,
}

impl DatagenLane {
    pub(super) fn new(
        config: &DatagenConfig,
        generators: Arc<Vec<FieldGenerator>>,
        row: u64,
        schema: SchemaRef,
        projection: Vec<usize>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let pace = config.rate.map(|rate| Pace::new(rate, row, clock.as_ref()));
        Self { generators, row, rows: config.rows.unwrap_or(u64::MAX), schema, projection, pace, clock }
    }
}

#[async_trait]
impl Lane for DatagenLane {
    async fn read(&mut self, rows_max: usize) -> Result<Read> {
        let left = self.rows.saturating_sub(self.row);
        if left == 0 {
            return Ok(Read::Finished);
        }
        let row = self.row;
        let count = rows_due(self.pace.as_ref(), self.clock.as_ref(), left.min(rows_max as u64), |nth| row + nth).await;
        let columns = self.projection.iter().map(|idx| self.generators[*idx].make(row..row + count)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count as usize));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| ConnectorError::data(format!("datagen rows do not fit the declared columns: {error}")))?;
        self.row += count;
        Ok(Read::Batch(LaneBatch { rows, position: Position(json!({ "row": self.row })), rejected: Vec::new(), bytes_read: 0 }))
    }
}
