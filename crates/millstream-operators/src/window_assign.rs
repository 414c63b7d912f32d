//! `window_start`, `window_end` and `window_time` as columns of rows that pass straight through (no aggregate, no gate).
//!
//! TUMBLE adds three columns; HOP repeats a row for each of its windows, first window first.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, SchemaRef, TimeUnit};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::StreamExt;
use millstream_time::{Window, WindowSpec};

use crate::event_time::{time_millis, time_span};

/// The window columns over a time column of type `time`: TIMESTAMP(3) in its time zone, never NULL.
pub fn window_fields(time: &DataType) -> [FieldRef; 3] {
    let zone = match time {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    ["window_start", "window_end", "window_time"]
        .map(|name| Arc::new(Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, zone.clone()), false)))
}

/// A window column with the same value in `rows` rows, of the given type (see [`window_fields`]).
pub fn constant_column(value: i64, rows: usize, data_type: &DataType) -> ArrayRef {
    window_column(vec![value; rows], data_type)
}

/// A window column of these values.
pub fn window_column(values: Vec<i64>, data_type: &DataType) -> ArrayRef {
    let column = TimestampMillisecondArray::from(values);
    Arc::new(match data_type {
        DataType::Timestamp(_, zone) => column.with_timezone_opt(zone.clone()),
        _ => column,
    })
}

/// The rows of one window with its three columns appended; `schema` is the result's.
pub fn append_window_columns(rows: &RecordBatch, window: Window, schema: &SchemaRef) -> Result<RecordBatch> {
    let width = rows.num_columns();
    let mut columns = rows.columns().to_vec();
    for (offset, value) in [window.start, window.end, window.end - 1].into_iter().enumerate() {
        columns.push(constant_column(value, rows.num_rows(), schema.field(width + offset).data_type()));
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Rows with their windows; a row without event time is in no window and does not come out.
fn assign(spec: WindowSpec, time: usize, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = batch.column(time);
    if let Some((low, high)) = time_span(column)?
        && column.null_count() == 0
        && matches!(spec, WindowSpec::Tumble { .. })
        && spec.pane_of(low) == spec.pane_of(high)
    {
        return append_window_columns(batch, spec.pane_of(low), schema);
    }
    let times = time_millis(column)?;
    let mut rows: Vec<u32> = Vec::with_capacity(batch.num_rows());
    let mut windows: Vec<Window> = Vec::with_capacity(batch.num_rows());
    for (row, &time) in times.iter().enumerate() {
        if column.is_valid(row) {
            for window in spec.windows_of(time) {
                rows.push(u32::try_from(row).unwrap_or(u32::MAX));
                windows.push(window);
            }
        }
    }
    let taken = take_record_batch(batch, &UInt32Array::from(rows))?;
    let mut columns = taken.columns().to_vec();
    let width = columns.len();
    let values: [fn(&Window) -> i64; 3] = [|w| w.start, |w| w.end, |w| w.end - 1];
    for (offset, value) in values.into_iter().enumerate() {
        columns.push(window_column(windows.iter().map(value).collect(), schema.field(width + offset).data_type()));
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Adds the window columns to its input's rows.
#[derive(Debug)]
pub struct WindowAssignExec {
    input: Arc<dyn ExecutionPlan>,
    spec: WindowSpec,
    time: usize,
    properties: Arc<PlanProperties>,
}

impl WindowAssignExec {
    /// Windows of `spec` over column `time` of `input`; `schema` is the input's with the window columns appended.
    pub fn new(input: Arc<dyn ExecutionPlan>, spec: WindowSpec, time: usize, schema: SchemaRef) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            datafusion::physical_plan::Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { input, spec, time, properties: Arc::new(properties) }
    }
}

impl DisplayAs for WindowAssignExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowAssign: {}", self.spec)
    }
}

impl ExecutionPlan for WindowAssignExec {
    fn name(&self) -> &'static str {
        "WindowAssignExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.spec, self.time, self.schema()))),
            _ => internal_err!("WindowAssignExec takes one child"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (spec, time, schema) = (self.spec, self.time, self.schema());
        let out = Arc::clone(&schema);
        let stream = self.input.execute(partition, context)?.map(move |batch| assign(spec, time, &batch?, &schema));
        Ok(Box::pin(RecordBatchStreamAdapter::new(out, stream)))
    }
}
