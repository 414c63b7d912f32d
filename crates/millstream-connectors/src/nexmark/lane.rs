//! One part of the sequence: every n-th event of a table, at the pace that was asked for.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, SchemaRef};
use async_trait::async_trait;
use millstream_time::Clock;
use serde_json::json;

use super::MakeColumn;
use super::config::{NexmarkConfig, Table};
use super::sequence::Generator;
use crate::error::{ConnectorError, Result};
use crate::format::type_name::sql_type;
use crate::pace::{Pace, rows_due};
use crate::source::{Lane, LaneBatch, Position, Read};

/// Every `stride`-th event of the table from `number` on.
pub(super) struct NexmarkLane {
    table: Table,
    generator: Arc<Generator>,
    number: u64,
    stride: u64,
    /// Rows handed out since the beginning.
    row: u64,
    /// Rows of the lane; `u64::MAX`: endless.
    rows: u64,
    schema: SchemaRef,
    makers: Vec<MakeColumn>,
    pace: Option<Pace>,
    clock: Arc<dyn Clock>,
    events: Vec<u64>,
}

impl NexmarkLane {
    pub(super) fn new(
        config: &NexmarkConfig,
        generator: Arc<Generator>,
        number: u64,
        row: u64,
        schema: SchemaRef,
        makers: Vec<MakeColumn>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let rows = config.events.map_or(u64::MAX, |events| {
            let count = config.table.count(events);
            count.saturating_sub(number).div_ceil(config.lanes)
        });
        let first = config.table.event(row * config.lanes + number);
        let pace = config.rate.map(|rate| Pace::new(rate, first, clock.as_ref()));
        let (table, stride) = (config.table, config.lanes);
        Self { table, generator, number, stride, row, rows, schema, makers, pace, clock, events: Vec::new() }
    }

    fn make(&mut self, count: u64) -> Result<RecordBatch> {
        self.events.clear();
        let (table, stride, number) = (self.table, self.stride, self.number);
        self.events.extend((self.row..self.row + count).map(|row| table.event(row * stride + number)));
        let columns = self.makers.iter().zip(self.schema.fields());
        let columns = columns.map(|(make, field)| as_declared(make(&self.generator, &self.events), field)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.events.len()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| ConnectorError::data(format!("nexmark rows do not fit the declared columns: {error}")))
    }
}

#[async_trait]
impl Lane for NexmarkLane {
    async fn read(&mut self, rows_max: usize) -> Result<Read> {
        let left = self.rows.saturating_sub(self.row);
        if left == 0 {
            return Ok(Read::Finished);
        }
        let (table, stride, number, row) = (self.table, self.stride, self.number, self.row);
        let event_of = |nth| table.event((row + nth) * stride + number);
        let count = rows_due(self.pace.as_ref(), self.clock.as_ref(), left.min(rows_max as u64), event_of).await;
        let rows = self.make(count)?;
        self.row += count;
        let position = Position(json!({ "row": self.row }));
        Ok(Read::Batch(LaneBatch { rows, position, rejected: Vec::new(), bytes_read: 0 }))
    }
}

fn as_declared(column: ArrayRef, field: &Field) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(column);
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&column, field.data_type(), &strict)
        .map_err(|error| ConnectorError::data(format!("nexmark column '{}': {error}", field.name())))
}

/// Refuses a declared type that values of `made` cannot become.
pub(super) fn check_type(field: &Field, made: &DataType) -> Result<()> {
    if can_cast_types(made, field.data_type()) {
        return Ok(());
    }
    let (declared, made) = (sql_type(field.data_type()), sql_type(made));
    Err(ConnectorError::config(format!("nexmark column '{}' is {made}: declared as {declared} (hint: declare it {made})", field.name())))
}
