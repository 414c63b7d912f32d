//! From what a source decodes to the columns a pipeline reads: computed columns and the epoch clock are filled in.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampMillisecondArray};
use datafusion::arrow::compute::{filter_record_batch, not};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_plan::PhysicalExpr;
use millstream_time::Watermark;

use super::checkpoints::Checkpoint;
use super::lateness::{LateRule, Lateness, SourceWindows};
use crate::catalog::{ColumnSource, LateRows, Stream};
use crate::input::{SourceSpec, WatermarkRule};
use crate::model::PinnedModels;

/// Fills the columns of one source.
#[derive(Debug)]
pub(super) struct Columns {
    read: FilledColumns,
    /// Which rows are late, where the operators do not find out.
    lateness: Option<Lateness>,
    /// What is kept of late rows.
    kept: Option<FilledColumns>,
}

/// Columns of a stream's table, and where they come from.
#[derive(Debug)]
struct FilledColumns {
    fills: Vec<Fill>,
    schema: SchemaRef,
}

#[derive(Debug)]
enum Fill {
    Read(usize),
    Compute(Arc<dyn PhysicalExpr>),
    Clock,
}

/// What a pipeline wants of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The source's number.
    pub(super) source: usize,
    /// Columns that it reads: indices into the stream's table.
    pub(super) columns: &'a [usize],
    /// Columns that it keeps of late rows, if it does.
    pub(super) late: Option<&'a [usize]>,
    /// The windows over the source, where the operators do not find out what is late.
    pub(super) windows: Option<&'a SourceWindows>,
}

/// How to read the columns that a pipeline wants, and how to fill them.
pub(super) fn plan_columns(
    stream: &Stream,
    wanted: Wanted<'_>,
    state: &SessionState,
    models: &PinnedModels,
) -> Result<(SourceSpec, Columns)> {
    let all: Vec<usize> = wanted.columns.iter().chain(wanted.late.unwrap_or_default()).copied().collect();
    let projection = needed_physical(stream, &all);
    let schema: SchemaRef = Arc::new(stream.physical.project(&projection)?);
    let df_schema = DFSchema::try_from(Arc::clone(&schema))?;
    let compile = |expr: &Expr| {
        let bound = models.bind_expr(expr.clone())?;
        create_physical_expr(&bound, &df_schema, state.execution_props(), &PhysicalPlanningContext::default())
    };
    let read = |physical: usize| projection.binary_search(&physical).unwrap_or(0);
    let filled = |columns: &[usize]| -> Result<FilledColumns> {
        let fill = |&column: &usize| {
            Ok(match &stream.columns[column] {
                ColumnSource::Physical(physical) => Fill::Read(read(*physical)),
                ColumnSource::Computed(expr) => Fill::Compute(compile(expr)?),
                ColumnSource::ProcessingTime => Fill::Clock,
            })
        };
        let fills = columns.iter().map(fill).collect::<Result<_>>()?;
        Ok(FilledColumns { fills, schema: Arc::new(stream.table.schema.project(columns)?) })
    };
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
    let time = stream.watermark.as_ref().and_then(|definition| wanted.columns.iter().position(|&column| column == definition.column));
    let lateness = wanted.windows.zip(time).map(|(windows, time)| {
        let rule = match stream.time.late_rows {
            LateRows::Lenient => LateRule::Lenient,
            LateRows::Strict => LateRule::Strict { source: wanted.source, marks: watermark.clone(), one_lane: true },
        };
        Lateness::new(windows.clone(), time, rule)
    });
    let columns = Columns { read: filled(wanted.columns)?, lateness, kept: wanted.late.map(filled).transpose()? };
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
    Ok((spec, columns))
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
    /// Goes on from a checkpoint, where the source has so many lanes.
    pub(super) fn go_on_from(&mut self, checkpoint: &Checkpoint, lanes: usize) {
        if let Some(lateness) = &mut self.lateness {
            lateness.go_on_from(checkpoint, lanes);
        }
    }

    /// Tells how far the sources' watermarks are after an epoch.
    pub(super) fn epoch_done(&mut self, watermarks: &[Watermark]) {
        if let Some(lateness) = &mut self.lateness {
            lateness.epoch_done(watermarks);
        }
    }

    /// Late rows that were found here.
    pub(super) fn late_rows(&self) -> u64 {
        self.lateness.as_ref().map_or(0, Lateness::late_rows)
    }

    /// The columns of a decoded batch that are read. Rows that are found to be late are left out, and go to `late`, where they are kept.
    pub(super) fn fill(&mut self, batch: &RecordBatch, clock_ms: i64, late: &mut Vec<RecordBatch>) -> Result<RecordBatch> {
        let filled = self.read.fill(batch, clock_ms)?;
        let Some(lateness) = &mut self.lateness else { return Ok(filled) };
        let Some(in_time) = lateness.in_time(&filled, batch)? else { return Ok(filled) };
        if let Some(kept) = &self.kept {
            late.push(kept.fill(&filter_record_batch(batch, &not(&in_time)?)?, clock_ms)?);
        }
        Ok(filter_record_batch(&filled, &in_time)?)
    }
}

impl FilledColumns {
    fn fill(&self, batch: &RecordBatch, clock_ms: i64) -> Result<RecordBatch> {
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
