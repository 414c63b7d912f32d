//! From what a source decodes to the columns a pipeline reads: computed columns and the epoch clock are filled in.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampMillisecondArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_plan::PhysicalExpr;

use crate::catalog::{ColumnSource, Stream};
use crate::input::{SourceSpec, WatermarkRule};

/// Fills the columns of one source.
#[derive(Debug)]
pub(super) struct Columns {
    fills: Vec<Fill>,
    schema: SchemaRef,
}

#[derive(Debug)]
enum Fill {
    Read(usize),
    Compute(Arc<dyn PhysicalExpr>),
    Clock,
}

/// How to read `wanted` columns (indices into the stream's table) and how to fill them.
pub(super) fn plan_columns(stream: &Stream, wanted: &[usize], state: &SessionState) -> Result<(SourceSpec, Columns)> {
    let projection = needed_physical(stream, wanted);
    let schema: SchemaRef = Arc::new(stream.physical.project(&projection)?);
    let df_schema = DFSchema::try_from(Arc::clone(&schema))?;
    let compile = |expr: &Expr| create_physical_expr(expr, &df_schema, state.execution_props(), &PhysicalPlanningContext::default());
    let read = |physical: usize| projection.binary_search(&physical).unwrap_or(0);
    let mut fills = Vec::new();
    for &column in wanted {
        fills.push(match &stream.columns[column] {
            ColumnSource::Physical(physical) => Fill::Read(read(*physical)),
            ColumnSource::Computed(expr) => Fill::Compute(compile(expr)?),
            ColumnSource::ProcessingTime => Fill::Clock,
        });
    }
    let (mut watermark, mut event_time) = (WatermarkRule::None, None);
    if let Some(definition) = &stream.watermark {
        watermark = match (&stream.columns[definition.column], definition.delay_ms) {
            (ColumnSource::Physical(physical), Some(delay_ms)) => WatermarkRule::Column { index: read(*physical), delay_ms },
            _ => WatermarkRule::Expr(compile(&definition.expr)?),
        };
        if let ColumnSource::Physical(physical) = &stream.columns[definition.column] {
            event_time = Some(read(*physical));
        }
    }
    let Some(source) = stream.source.clone() else {
        return datafusion::common::plan_err!("{} can only be written: its connector is a sink", stream.name);
    };
    let spec = SourceSpec {
        name: stream.name.clone(),
        source,
        projection,
        watermark,
        event_time,
        idle_timeout: stream.time.idle_timeout,
        max_future_skew: stream.time.max_future_skew,
        bad_rows: stream.time.bad_rows,
    };
    let schema = Arc::new(stream.table.schema.project(wanted)?);
    Ok((spec, Columns { fills, schema }))
}

/// Physical columns that the wanted columns and the watermark read, ascending.
fn needed_physical(stream: &Stream, wanted: &[usize]) -> Vec<usize> {
    let mut needed = Vec::new();
    let mut add = |expr: &Expr| needed.extend(expr.column_refs().iter().filter_map(|column| stream.physical.index_of(&column.name).ok()));
    for &column in wanted {
        if let ColumnSource::Computed(expr) = &stream.columns[column] {
            add(expr);
        }
    }
    if let Some(definition) = &stream.watermark {
        add(&definition.expr);
    }
    for &column in wanted.iter().chain(stream.watermark.as_ref().map(|definition| &definition.column)) {
        if let ColumnSource::Physical(physical) = &stream.columns[column] {
            needed.push(*physical);
        }
    }
    needed.sort_unstable();
    needed.dedup();
    if needed.is_empty() {
        // `SELECT count(*)`: something must be read to have rows.
        needed.push(0);
    }
    needed
}

impl Columns {
    /// The wanted columns of a decoded batch.
    pub(super) fn fill(&self, batch: &RecordBatch, clock_ms: i64) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.fills.len());
        for fill in &self.fills {
            columns.push(match fill {
                Fill::Read(column) => Arc::clone(batch.column(*column)),
                Fill::Compute(expr) => expr.evaluate(batch)?.into_array(rows)?,
                Fill::Clock => Arc::new(TimestampMillisecondArray::from(vec![clock_ms; rows]).with_timezone("UTC")),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
