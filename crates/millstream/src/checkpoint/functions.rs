//! Looking into checkpoints with SQL: `checkpoint_state('p', 42, 'operator')` and `checkpoint_positions('p', 42)`.

use std::fmt;
use std::sync::{Arc, Weak};

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use millstream_time::Watermark;

use super::PipelineStore;
use crate::engine::EngineInner;
use crate::error::Error;
use crate::settings::Settings;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckpointFunction {
    /// Rows of an operator's state.
    State,
    /// Where each lane resumes.
    Positions,
}

impl CheckpointFunction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::State => "checkpoint_state",
            Self::Positions => "checkpoint_positions",
        }
    }
}

/// The function of one engine.
pub(crate) struct LookInside {
    function: CheckpointFunction,
    engine: Weak<EngineInner>,
}

impl LookInside {
    pub(crate) fn new(function: CheckpointFunction, engine: Weak<EngineInner>) -> Self {
        Self { function, engine }
    }

    fn store(&self, pipeline: &str) -> Result<PipelineStore, Error> {
        let Some(engine) = self.engine.upgrade() else { return Err(Error::internal("the engine is gone")) };
        let Some(data) = &engine.data else {
            return Err(Error::user("55000", "checkpoints are kept in a data folder (hint: start millstream with --data DIR)"));
        };
        match data.find_pipeline(pipeline) {
            Some(object) => data.pipeline(object.id, &object.name, &object.sql, &Settings::default()),
            None => Err(Error::user("42704", format!("there is no pipeline {pipeline} (hint: SHOW PIPELINES lists them)"))),
        }
    }

    async fn rows(&self, arguments: &[Expr]) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let external = |error: Error| DataFusionError::External(Box::new(error));
        match (self.function, arguments) {
            (CheckpointFunction::State, [pipeline, number, operator]) => {
                let store = self.store(&text(pipeline)?).map_err(external)?;
                store.operator_rows(number_of(number)?, &text(operator)?).await.map_err(external)
            }
            (CheckpointFunction::Positions, [pipeline, number]) => {
                let store = self.store(&text(pipeline)?).map_err(external)?;
                let restored = store.read(number_of(number)?, 0).await.map_err(external)?;
                positions(&restored.positions)
            }
            (CheckpointFunction::State, _) => {
                plan_err!("checkpoint_state takes a pipeline, a number and an operator: checkpoint_state('p', 42, 'aggregate-1')")
            }
            (CheckpointFunction::Positions, _) => {
                plan_err!("checkpoint_positions takes a pipeline and a number: checkpoint_positions('p', 42)")
            }
        }
    }
}

impl fmt::Debug for LookInside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.name())
    }
}

impl TableFunctionImpl for LookInside {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        // Functions of tables are asked while a query is planned, which is synchronous and is waited for by an executor: one that
        // reads needs a thread of its own.
        let read = || futures::executor::block_on(self.rows(arguments.exprs()));
        let (schema, batches) = std::thread::scope(|threads| threads.spawn(read).join())
            .map_err(|_| DataFusionError::Internal("reading a checkpoint panicked".to_owned()))??;
        Ok(Arc::new(MemTable::try_new(schema, vec![batches])?))
    }
}

fn text(expr: &Expr) -> Result<String> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
            Ok(text.clone())
        }
        other => plan_err!("a name in quotes is expected: got {other}"),
    }
}

fn number_of(expr: &Expr) -> Result<u64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(number)), _) if *number >= 0 => Ok(number.unsigned_abs()),
        other => plan_err!("the number of a checkpoint is expected: got {other}"),
    }
}

fn positions(positions: &crate::input::InputPositions) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("lane", DataType::Utf8, false),
        Field::new("position", DataType::Utf8, true),
        Field::new("watermark", millis, true),
        Field::new("idle", DataType::Boolean, false),
        Field::new("finished", DataType::Boolean, false),
    ]));
    let lanes: Vec<_> =
        positions.sources.iter().flat_map(|source| source.lanes.iter().map(move |(id, lane)| (&source.name, id, lane))).collect();
    let time = |watermark: Watermark| (watermark != Watermark::MIN && watermark != Watermark::MAX).then(|| watermark.as_ms());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(lanes.iter().map(|(source, ..)| Some(source.as_str())).collect::<StringArray>()),
        Arc::new(lanes.iter().map(|(_, id, _)| Some(id.0.as_str())).collect::<StringArray>()),
        Arc::new(lanes.iter().map(|(_, _, lane)| lane.position.as_ref().map(|position| position.0.to_string())).collect::<StringArray>()),
        Arc::new(lanes.iter().map(|(_, _, lane)| time(lane.watermark)).collect::<TimestampMillisecondArray>()),
        Arc::new(lanes.iter().map(|(_, _, lane)| Some(lane.idle)).collect::<BooleanArray>()),
        Arc::new(lanes.iter().map(|(_, _, lane)| Some(lane.finished)).collect::<BooleanArray>()),
    ];
    Ok((Arc::clone(&schema), vec![RecordBatch::try_new(schema, columns)?]))
}
