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
use millstream_time::{Watermark, WindowSpec};

use super::lateness::StrictLateness;
use crate::catalog::{ColumnSource, LateRows, Stream};
use crate::input::{SourceSpec, WatermarkRule};

/// Fills the columns of one source.
#[derive(Debug)]
pub(super) struct Columns {
    fills: Vec<Fill>,
    schema: SchemaRef,
    strict: Option<StrictLateness>,
}

#[derive(Debug)]
enum Fill {
    Read(usize),
    Compute(Arc<dyn PhysicalExpr>),
    Clock,
}

/// How to read `wanted` columns (indices into the stream's table) and how to fill them.
pub(super) fn plan_columns(
    stream: &Stream,
    wanted: &[usize],
    windows: Option<WindowSpec>,
    state: &SessionState,
) -> Result<(SourceSpec, Columns)> {
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
    let strict = match (windows, stream.watermark.as_ref(), stream.time.late_rows) {
        (Some(spec), Some(definition), LateRows::Strict) => {
            let time = wanted.iter().position(|&column| column == definition.column);
            time.map(|time| StrictLateness::new(spec, time, watermark.clone()))
        }
        _ => None,
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
    Ok((spec, Columns { fills, schema, strict }))
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
    /// Goes on where the source's watermark is `watermark`, over `lanes` lanes.
    pub(super) fn go_on_from(&mut self, watermark: Watermark, lanes: usize) {
        if let Some(strict) = &mut self.strict {
            strict.go_on_from(watermark, lanes);
        }
    }

    /// Tells how far the source's watermark is after an epoch.
    pub(super) fn epoch_done(&mut self, watermark: Watermark) {
        if let Some(strict) = &mut self.strict {
            strict.epoch_done(watermark);
        }
    }

    /// Rows that strict lateness left out.
    pub(super) fn late_rows(&self) -> u64 {
        self.strict.as_ref().map_or(0, StrictLateness::late_rows)
    }

    /// The wanted columns of a decoded batch, without rows that are late by the strict rule.
    pub(super) fn fill(&mut self, batch: &RecordBatch, clock_ms: i64) -> Result<RecordBatch> {
        let filled = self.fill_all(batch, clock_ms)?;
        match &mut self.strict {
            Some(strict) => strict.keep_in_time(filled, batch),
            None => Ok(filled),
        }
    }

    fn fill_all(&self, batch: &RecordBatch, clock_ms: i64) -> Result<RecordBatch> {
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
