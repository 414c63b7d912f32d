//! Rows in one fixed order to something that remembers: what learns from a stream.
//!
//! ```text
//! rows of an epoch ──▶ held until the watermark has passed them ──▶ sorted by event time ──▶ OrderedTransform ──▶ rows out
//! ```
//!
//! Rows of equal time keep the order in which they came: that of their lane. Rows of closed windows come in no order of their own;
//! among them equal times are sorted by what the rows contain. Without a time attribute rows are taken as they come. However the
//! input is cut into epochs, the order is the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use datafusion::arrow::compute::{cast, concat_batches, filter_record_batch, is_null, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, internal_err};
use millstream_time::Watermark;
use parking_lot::Mutex;

use crate::event_time::{time_millis, time_span};
use crate::operator::{OperatorMetrics, OperatorSnapshot, Released, StateLayer, StateShape, StatefulOperator};

/// Rows given to a transform at once, at most.
const BATCH_ROWS_MAX: usize = 8_192;

/// Takes rows one after the other and remembers.
pub trait OrderedTransform: fmt::Debug + Send + Sync {
    /// The rows with columns added. What comes of a row depends on it and on those before it, not on where batches are cut.
    fn transform(&mut self, rows: &RecordBatch) -> Result<RecordBatch>;

    /// What it remembers, in rows of `state_schema`, whose first column is never NULL. The checkpoint they go into is being made.
    fn seal(&mut self) -> Result<RecordBatch>;

    /// The checkpoint of the last `seal` exists.
    fn committed(&mut self);

    /// Whether somebody waits for `committed`.
    fn publishes(&self) -> bool;

    /// Takes over what a committed `seal` gave.
    fn restore(&mut self, rows: &[RecordBatch]) -> Result<()>;

    /// Columns of what it remembers.
    fn state_schema(&self) -> SchemaRef;
}

/// Makes transforms of one kind.
pub trait MakeTransform: fmt::Debug + Send + Sync {
    /// What it does, for EXPLAIN; two with the same words do the same.
    fn describe(&self) -> String;

    /// Columns that it adds to those of its input.
    fn added(&self) -> Vec<FieldRef>;

    /// What it changes: a pipeline must not have two that change the same.
    fn subject(&self) -> &str;

    /// A pipeline of this name is about to run what is made from now on; an error if another one must not.
    fn claim(&self, pipeline: &str) -> Result<()>;

    /// A fresh one.
    fn make(&self) -> Result<Box<dyn OrderedTransform>>;
}

/// What the order of rows is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowOrder {
    /// The event-time column; `None`: rows are taken as they come.
    pub time: Option<usize>,
    /// Equal times are sorted by what the rows contain.
    pub by_content: bool,
}

/// See the module's page.
#[derive(Debug)]
pub struct OrderedRows {
    order: RowOrder,
    input: SchemaRef,
    state_schema: SchemaRef,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    transform: Box<dyn OrderedTransform>,
    /// Rows of this epoch, by partition.
    incoming: BTreeMap<usize, Vec<RecordBatch>>,
    /// Rows that the watermark has not passed, as they came.
    held: Vec<RecordBatch>,
    watermark: Watermark,
    metrics: OperatorMetrics,
}

impl OrderedRows {
    /// `input` are the columns of the rows.
    pub fn try_new(order: RowOrder, input: SchemaRef, maker: &dyn MakeTransform) -> Result<Self> {
        let transform = maker.make()?;
        let remembered = transform.state_schema();
        let mut fields: Vec<Field> = remembered.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        fields.extend(input.fields().iter().map(|field| Field::new(format!("row_{}", field.name()), field.data_type().clone(), true)));
        let state = State {
            transform,
            incoming: BTreeMap::new(),
            held: Vec::new(),
            watermark: Watermark::default(),
            metrics: OperatorMetrics::default(),
        };
        Ok(Self { order, input, state_schema: Arc::new(Schema::new(fields)), state: Mutex::new(state) })
    }

    /// The rows that are in time, if any.
    fn in_time(&self, state: &mut State, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let Some(time) = self.order.time else { return Ok(Some(batch.clone())) };
        let column = batch.column(time);
        state.metrics.untimed_rows += column.null_count() as u64;
        let Some((earliest, _)) = time_span(column)? else { return Ok(None) };
        let watermark = state.watermark.as_ms();
        if column.null_count() == 0 && earliest >= watermark {
            return Ok(Some(batch.clone()));
        }
        let times = time_millis(column)?;
        let keep: BooleanArray = (0..column.len()).map(|row| Some(column.is_valid(row) && times[row] >= watermark)).collect();
        let kept = filter_record_batch(batch, &keep)?;
        state.metrics.late_rows += (batch.num_rows() - column.null_count() - kept.num_rows()) as u64;
        Ok(Some(kept))
    }

    /// Takes the rows that `watermark` has passed out of those held, in order.
    fn take_due(&self, state: &mut State, watermark: Watermark) -> Result<Option<RecordBatch>> {
        if state.held.is_empty() {
            return Ok(None);
        }
        let all = concat_batches(&self.input, &state.held)?;
        let Some(time) = self.order.time else {
            state.held.clear();
            return Ok(Some(all));
        };
        let times = time_millis(all.column(time))?;
        let is_due = |row: &u32| watermark == Watermark::MAX || times[*row as usize] < watermark.as_ms();
        let rows = u32::try_from(all.num_rows()).unwrap_or(u32::MAX);
        let (mut due, rest): (Vec<u32>, Vec<u32>) = (0..rows).partition(is_due);
        state.held = match rest.len() {
            0 => Vec::new(),
            _ if due.is_empty() => vec![all.clone()],
            _ => vec![take_record_batch(&all, &UInt32Array::from(rest))?],
        };
        if due.is_empty() {
            return Ok(None);
        }
        self.sort(&all, time, &mut due)?;
        Ok(Some(take_record_batch(&all, &UInt32Array::from(due))?))
    }

    fn sort(&self, rows: &RecordBatch, time: usize, order: &mut [u32]) -> Result<()> {
        // Finer than milliseconds, where the column is.
        let ticks = cast(rows.column(time), &DataType::Int64)?;
        let ticks = ticks.as_primitive::<Int64Type>().values();
        if !self.order.by_content {
            order.sort_by_key(|row| ticks[*row as usize]);
            return Ok(());
        }
        let fields = rows.schema().fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let contents = RowConverter::new(fields)?.convert_columns(rows.columns())?;
        order.sort_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            ticks[a].cmp(&ticks[b]).then_with(|| contents.row(a).cmp(&contents.row(b)))
        });
        Ok(())
    }

    /// Rows of the state's columns: `left` ones, then `right` ones; what is missing is NULL.
    fn state_rows(&self, left: Option<&RecordBatch>, right: Option<&RecordBatch>) -> Result<RecordBatch> {
        let rows = left.or(right).map_or(0, RecordBatch::num_rows);
        let nulls = |fields: &[FieldRef]| fields.iter().map(|field| new_null_array(field.data_type(), rows)).collect::<Vec<_>>();
        let (own, held) = self.state_schema.fields().split_at(self.state_schema.fields().len() - self.input.fields().len());
        let mut columns = left.map_or_else(|| nulls(own), |batch| batch.columns().to_vec());
        columns.extend(right.map_or_else(|| nulls(held), |batch| batch.columns().to_vec()));
        Ok(RecordBatch::try_new(Arc::clone(&self.state_schema), columns)?)
    }
}

impl StatefulOperator for OrderedRows {
    fn update(&self, partition: usize, batch: &RecordBatch) -> Result<()> {
        let mut state = self.state.lock();
        state.metrics.rows_in += batch.num_rows() as u64;
        if let Some(rows) = self.in_time(&mut state, batch)?.filter(|rows| rows.num_rows() > 0) {
            state.incoming.entry(partition).or_default().push(rows);
        }
        Ok(())
    }

    fn advance(&self, watermark: Watermark) -> Result<Released> {
        let mut state = self.state.lock();
        // Neighbouring batches go to one partition, so partition after partition is the order in which they came.
        let incoming = std::mem::take(&mut state.incoming);
        state.held.extend(incoming.into_values().flatten());
        state.watermark.advance(watermark);
        let now = state.watermark;
        let Some(rows) = self.take_due(&mut state, now)? else { return Ok(Released::default()) };
        let mut batches = Vec::with_capacity(rows.num_rows() / BATCH_ROWS_MAX + 1);
        for first in (0..rows.num_rows()).step_by(BATCH_ROWS_MAX) {
            let piece = rows.slice(first, BATCH_ROWS_MAX.min(rows.num_rows() - first));
            batches.push(state.transform.transform(&piece)?);
        }
        state.metrics.windows_released += 1;
        Ok(Released { batches, windows: 1, done: false })
    }

    fn nth_due(&self, _: usize) -> Option<i64> {
        None
    }

    fn snapshot(&self, since: u64) -> Result<OperatorSnapshot> {
        let metrics = self.metrics();
        let mut state = self.state.lock();
        let remembered = state.transform.seal()?;
        let mut rows = vec![self.state_rows(Some(&remembered), None)?];
        for held in &state.held {
            rows.push(self.state_rows(None, Some(held))?);
        }
        // Everything a transform remembers may change with every row: each snapshot holds all of it.
        let layers = vec![StateLayer::of_rows(since, rows)];
        Ok(OperatorSnapshot { watermark: state.watermark, metrics, shape: StateShape::Keyed, layers, next_seal: since + 1 })
    }

    fn committed(&self) {
        self.state.lock().transform.committed();
    }

    fn publishes(&self) -> bool {
        self.state.lock().transform.publishes()
    }

    fn state_schema(&self) -> SchemaRef {
        Arc::clone(&self.state_schema)
    }

    fn restore(&self, snapshot: &OperatorSnapshot) -> Result<()> {
        if snapshot.shape != StateShape::Keyed {
            return internal_err!("ordered rows restore keyed state");
        }
        let own = self.state_schema.fields().len() - self.input.fields().len();
        let mut state = self.state.lock();
        let mut remembered = Vec::new();
        for batch in snapshot.layers.iter().flat_map(|layer| &layer.rows) {
            let held = is_null(batch.column(0))?;
            let kept: BooleanArray = held.iter().map(|is_held| is_held.map(|is_held| !is_held)).collect();
            let columns: Vec<usize> = (0..own).collect();
            remembered.push(filter_record_batch(&batch.project(&columns)?, &kept)?);
            let columns: Vec<usize> = (own..batch.num_columns()).collect();
            let rows = filter_record_batch(&batch.project(&columns)?, &held)?;
            if rows.num_rows() > 0 {
                state.held.push(RecordBatch::try_new(Arc::clone(&self.input), rows.columns().to_vec())?);
            }
        }
        state.transform.restore(&remembered)?;
        state.watermark = snapshot.watermark;
        state.metrics = snapshot.metrics;
        Ok(())
    }

    fn metrics(&self) -> OperatorMetrics {
        let state = self.state.lock();
        let mut metrics = state.metrics;
        metrics.entries = state.held.iter().map(|rows| rows.num_rows() as u64).sum();
        metrics.state_bytes = state.held.iter().map(|rows| rows.get_array_memory_size() as u64).sum();
        metrics
    }
}
