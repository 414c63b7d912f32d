//! What a reader finds out about a batch in the background, so that the crank only compares numbers.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::DataFusionError;
use millstream_connectors::{ConnectorError, LaneBatch, Position, Read, RejectedRow};
use millstream_time::{Clock, Watermark};

use super::error::{InputError, Result};
use super::event_time;
use super::metrics::RejectedExample;
use super::settings::{BadRows, SourceSpec, WatermarkRule};

/// What goes through a lane's queue.
#[derive(Debug)]
pub(super) enum Item {
    /// The lane is open; the first item of every lane that could be opened.
    Opened,
    /// Rows and what is known of them.
    Batch(Box<InspectedBatch>),
    /// The lane has ended; the last item.
    Finished,
    /// Reading failed here; the last item.
    Failed(InputError),
}

impl Item {
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Item::Finished | Item::Failed(_))
    }
}

/// A batch and what is known of it.
#[derive(Debug)]
pub(super) struct InspectedBatch {
    pub(super) rows: RecordBatch,
    /// Where reading resumes after it.
    pub(super) position: Position,
    /// What its rows say about the watermark; [`Watermark::MIN`] if nothing.
    pub(super) watermark: Watermark,
    /// Rows too far in the future to count for the watermark.
    pub(super) future_skew_rows: usize,
    pub(super) rejected_rows: usize,
    /// Those rows, if somebody keeps them.
    pub(super) rejected: Vec<RejectedRow>,
    pub(super) last_rejected: Option<RejectedExample>,
    pub(super) bytes_read: u64,
    /// Its size in memory.
    pub(super) bytes: usize,
}

/// Looks at the batches of one source.
#[derive(Debug)]
pub(super) struct Inspector {
    table: String,
    schema: SchemaRef,
    watermark: WatermarkRule,
    /// Column and milliseconds past the clock.
    future_guard: Option<(usize, i64)>,
    bad_rows: BadRows,
    clock: Arc<dyn Clock>,
}

impl Inspector {
    /// Checks the description of the source.
    pub(super) fn new(spec: &SourceSpec, clock: Arc<dyn Clock>) -> Result<Self> {
        let schema = spec.checked_schema()?;
        let future_guard = spec.event_time.zip(spec.max_future_skew).map(|(column, skew)| (column, whole_ms(skew)));
        Ok(Self { table: spec.name.clone(), schema, watermark: spec.watermark.clone(), future_guard, bad_rows: spec.bad_rows, clock })
    }

    /// Turns what a lane gave into what goes through its queue.
    pub(super) fn inspect(&self, read: Result<Read, ConnectorError>) -> Item {
        match read {
            Ok(Read::Batch(batch)) => match self.inspect_batch(batch) {
                Ok(batch) => Item::Batch(Box::new(batch)),
                Err(error) => Item::Failed(error),
            },
            Ok(Read::Finished) => Item::Finished,
            Err(error) => Item::Failed(InputError::connector(&self.table, error)),
        }
    }

    fn inspect_batch(&self, batch: LaneBatch) -> Result<InspectedBatch> {
        self.check_schema(&batch.rows)?;
        if self.bad_rows == BadRows::Fail
            && let Some(row) = batch.rejected.first()
        {
            return Err(InputError::BadRow { table: self.table.clone(), place: row.place.clone(), reason: row.reason.clone() });
        }
        let (watermark, future_skew_rows) = self.watermark_of(&batch.rows).map_err(|error| InputError::watermark(&self.table, error))?;
        let last_rejected = batch.rejected.last().map(|row| RejectedExample { place: row.place.clone(), reason: row.reason.clone() });
        Ok(InspectedBatch {
            bytes: memory_bytes(&batch.rows),
            rows: batch.rows,
            position: batch.position,
            watermark,
            future_skew_rows,
            rejected_rows: batch.rejected.len(),
            rejected: if self.bad_rows == BadRows::Keep { batch.rejected } else { Vec::new() },
            last_rejected,
            bytes_read: batch.bytes_read,
        })
    }

    /// The connector's side of the contract: exactly the projected columns.
    fn check_schema(&self, rows: &RecordBatch) -> Result<()> {
        let found = rows.schema_ref();
        if Arc::ptr_eq(found, &self.schema) {
            return Ok(());
        }
        let types = |schema: &SchemaRef| schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>();
        if found.fields().len() == self.schema.fields().len() && types(found) == types(&self.schema) {
            return Ok(());
        }
        Err(InputError::bug(&self.table, format!("the connector gave the columns {found}, asked for {}", self.schema)))
    }

    /// What the rows say, and how many were left out because they are too far in the future.
    fn watermark_of(&self, rows: &RecordBatch) -> Result<(Watermark, usize), DataFusionError> {
        if rows.num_rows() == 0 {
            return Ok((Watermark::MIN, 0));
        }
        let (times, delay_ms) = match &self.watermark {
            WatermarkRule::None => return Ok((Watermark::MIN, self.beyond_guard(rows)?.map_or(0, |kept| kept.false_count()))),
            WatermarkRule::Column { index, delay_ms } => (Arc::clone(rows.column(*index)), *delay_ms),
            WatermarkRule::Expr(expr) => (expr.evaluate(rows)?.into_array(rows.num_rows())?, 0),
        };
        let (times, skewed): (ArrayRef, usize) = match self.beyond_guard(rows)? {
            None => (times, 0),
            Some(kept) => (compute::filter(&times, &kept)?, kept.false_count()),
        };
        let watermark = event_time::max_ms(&times)?.map_or(Watermark::MIN, |ms| Watermark::from_event_time_ms(ms.saturating_sub(delay_ms)));
        Ok((watermark, skewed))
    }

    /// Which rows are *not* too far in the future; `None` (the fast path) if all are fine.
    fn beyond_guard(&self, rows: &RecordBatch) -> Result<Option<datafusion::arrow::array::BooleanArray>, DataFusionError> {
        let Some((column, skew_ms)) = self.future_guard else { return Ok(None) };
        let limit_ms = self.clock.now().saturating_add(skew_ms);
        let times = rows.column(column);
        if event_time::max_ms(times)?.is_none_or(|latest| latest <= limit_ms) {
            return Ok(None);
        }
        event_time::is_at_most(times, limit_ms).map(Some)
    }
}

pub(super) fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Bytes of the rows themselves: slices of a shared buffer count only their own part.
fn memory_bytes(rows: &RecordBatch) -> usize {
    let column_bytes = |column: &ArrayRef| match column.data_type() {
        // The slice size leaves out what the views point to.
        DataType::Utf8View | DataType::BinaryView => column.get_array_memory_size(),
        _ => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    };
    rows.columns().iter().map(column_bytes).sum()
}
