//! `pipelines()`: the figures of all pipelines as a table.

use std::fmt;
use std::sync::{Arc, Weak};

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;

use super::{PipelineState, PipelineStatus};
use crate::engine::{Engine, EngineInner};
use crate::error::Error;

/// The function of one engine.
pub(crate) struct PipelineFigures {
    engine: Weak<EngineInner>,
}

impl PipelineFigures {
    pub(crate) const NAME: &'static str = "pipelines";

    pub(crate) fn new(engine: Weak<EngineInner>) -> Self {
        Self { engine }
    }
}

impl fmt::Debug for PipelineFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)
    }
}

impl TableFunctionImpl for PipelineFigures {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        if !arguments.exprs().is_empty() {
            return plan_err!("pipelines() takes no arguments: SELECT * FROM pipelines() WHERE pipeline = 'p'");
        }
        let inner = self.engine.upgrade().ok_or_else(|| DataFusionError::External(Box::new(Error::internal("the engine is gone"))))?;
        let batch = batch(&Engine { inner }.pipelines())?;
        Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
    }
}

/// A column: its name and its values. Clients of the server read them by name: columns may be added, not renamed.
type Column = (&'static str, fn(&[PipelineStatus]) -> ArrayRef);

const COLUMNS: &[Column] = &[
    ("pipeline", |all| texts(all, |status| Some(status.name.clone()))),
    ("state", |all| texts(all, |status| Some(status.state.to_string()))),
    ("rows_in", |all| counts(all, |status| status.rows_in)),
    ("rows_out", |all| counts(all, |status| status.rows_out)),
    ("rejected_rows", |all| counts(all, |status| status.rejected_rows)),
    ("late_rows", |all| counts(all, |status| status.late_rows)),
    ("untimed_rows", |all| counts(all, |status| status.untimed_rows)),
    ("busy_percent", |all| shares(all, |status| status.load.busy_percent)),
    ("idle_percent", |all| shares(all, |status| status.load.idle_percent)),
    ("held_back_percent", |all| shares(all, |status| status.load.held_back_percent)),
    ("watermark", |all| times(all, |status| status.watermark_ms)),
    ("clock", |all| times(all, |status| Some(status.clock_ms).filter(|ms| *ms != 0))),
    ("open_windows", |all| counts(all, |status| status.open_windows)),
    ("state_bytes", |all| counts(all, |status| status.state_bytes)),
    ("stored_bytes", |all| counts(all, |status| status.stored_bytes)),
    ("idle_sources", |all| texts(all, |status| Some(status.idle_sources.join(", ")))),
    ("restarts", |all| counts(all, |status| status.restarts)),
    ("checkpoint_at", |all| times(all, |status| status.last_checkpoint.as_ref().map(|checkpoint| checkpoint.created_ms))),
    ("error", |all| {
        texts(all, |status| match &status.state {
            PipelineState::Failed(message) => Some(message.clone()),
            _ => None,
        })
    }),
];

fn batch(all: &[PipelineStatus]) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = COLUMNS.iter().map(|(_, values)| values(all)).collect();
    let fields = COLUMNS.iter().zip(&columns).map(|((name, _), column)| Field::new(*name, column.data_type().clone(), true));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)?)
}

fn texts(all: &[PipelineStatus], value: fn(&PipelineStatus) -> Option<String>) -> ArrayRef {
    Arc::new(all.iter().map(value).collect::<StringArray>())
}

fn counts(all: &[PipelineStatus], value: fn(&PipelineStatus) -> u64) -> ArrayRef {
    Arc::new(all.iter().map(|status| Some(i64::try_from(value(status)).unwrap_or(i64::MAX))).collect::<Int64Array>())
}

fn shares(all: &[PipelineStatus], value: fn(&PipelineStatus) -> f64) -> ArrayRef {
    Arc::new(all.iter().map(|status| (!status.state.is_final()).then(|| value(status))).collect::<Float64Array>())
}

fn times(all: &[PipelineStatus], value: fn(&PipelineStatus) -> Option<i64>) -> ArrayRef {
    Arc::new(all.iter().map(value).collect::<TimestampMillisecondArray>())
}
