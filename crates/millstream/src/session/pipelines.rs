//! Statements that start pipelines, and those about running ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast;
use millstream_connectors::{Options, Sink};
use millstream_sql::logical::{OperatorKind, PipelinePlan};
use millstream_sql::parse::{CreateSink, Insert, PipelineAction, PipelineCommand, SinkTarget, identifier_text};
use millstream_sql::physical;

use super::Session;
use super::run_statement::{done, object_name, rows_of};
use super::side_tables::SideTables;
use crate::catalog::{Object, Stream};
use crate::data_folder::{DataFolder, ObjectKind, StoredObject, new_nonce};
use crate::error::{Error, Result};
use crate::pipeline::{Output, PipelineHandle, PipelineSpec, start};
use crate::planning::{Planned, Planner, late_rows_into};
use crate::query::Outcome;
use crate::stored_table::StoredTable;
use crate::transaction::Reads;

pub(super) fn spec(
    session: &Session,
    planner: Planner<'_>,
    name: String,
    plan: Box<PipelinePlan>,
    streams: Vec<Arc<Stream>>,
    output: Output,
) -> PipelineSpec {
    let mut state = planner.state;
    Reads::run_on(&mut state);
    PipelineSpec {
        model_uses: planner.models.used_by(&name),
        models: planner.models,
        name,
        plan,
        streams,
        state,
        settings: planner.settings.clone(),
        clock: Arc::clone(&session.engine.inner.clock),
        epoch_clock: planner.epoch_clock,
        output,
        store: None,
        memory: session.engine.inner.memory.share(),
    }
}

/// Where a pipeline's rows go.
enum Target {
    /// `into` is the table it writes through; `None`: the pipeline has options of its own.
    Connector {
        into: Option<String>,
        options: Options,
        schema: SchemaRef,
    },
    Stored(Arc<StoredTable>),
}

impl Target {
    fn schema(&self) -> &SchemaRef {
        match self {
            Self::Connector { schema, .. } => schema,
            Self::Stored(table) => &table.schema,
        }
    }

    /// What the rows go to, in a word for people.
    fn name(&self) -> String {
        match self {
            Self::Connector { into: Some(table), .. } => table.clone(),
            Self::Connector { into: None, options, .. } => options.get("connector").unwrap_or_default().to_owned(),
            Self::Stored(table) => table.name().to_owned(),
        }
    }

    /// Ready to be written; what is wrong with options is told here.
    fn open(self, session: &Session) -> Result<OpenTarget> {
        let engine = &session.engine.inner;
        Ok(match self {
            Self::Connector { options, schema, .. } => {
                OpenTarget::Sink(engine.connectors.sink(options, schema, Arc::clone(&engine.clock))?)
            }
            Self::Stored(table) => OpenTarget::Stored(table),
        })
    }
}

enum OpenTarget {
    Sink(Box<dyn Sink>),
    Stored(Arc<StoredTable>),
}

impl OpenTarget {
    /// Of a pipeline whose id in the data folder is `id`.
    fn into_sink(self, session: &Session, pipeline: &str, id: Option<u64>) -> Box<dyn Sink> {
        match self {
            Self::Sink(mut sink) => {
                let folder = session.engine.inner.data.as_ref().map(DataFolder::id).unwrap_or_default();
                sink.serve(&format!("{folder}/{pipeline}/{}", pipeline_id(id)));
                sink
            }
            Self::Stored(table) => Box::new(table.sink(pipeline, &pipeline_id(id), false)),
        }
    }

    /// Writes rows that are all there; how many.
    async fn write_all(self, session: &Session, batches: &[RecordBatch]) -> Result<u64> {
        match self {
            Self::Stored(table) => session.keep_rows(&table, batches).await,
            Self::Sink(mut sink) => {
                session.note_outside();
                sink.write(batches).await?;
                let sealed = sink.seal(1).await?;
                sink.publish(&sealed).await?;
                Ok(batches.iter().map(|batch| batch.num_rows() as u64).sum())
            }
        }
    }
}

/// What a pipeline's rows are marked with: without a data folder anything that no other pipeline has.
pub(super) fn pipeline_id(id: Option<u64>) -> String {
    id.map_or_else(|| new_nonce().0, |id| id.to_string())
}

pub(super) async fn insert_into(session: &Session, insert: &Insert, sql: &str) -> Result<Outcome> {
    let table = object_name(&insert.table)?;
    let late_into = late_rows_into(insert.query.emit.as_ref())?;
    let target = sink_target(session, &table)?;
    let settings = session.settings();
    let planner = session.planner(&settings, sql);
    let logical = planner.logical(&insert.query.query).await?;
    let columns: Vec<String> = insert.columns.iter().map(identifier_text).collect();
    let logical = planner.conform(logical, target.schema(), &table, &columns)?;
    if let Some(outcome) = session.adopted_pipeline(sql) {
        return Ok(outcome);
    }
    let name = session.pipeline_name(&format!("insert_into_{table}"));
    write(session, planner, name, &logical, target, late_into).await
}

fn sink_target(session: &Session, name: &str) -> Result<Target> {
    let catalog = session.engine.inner.catalog.read();
    match catalog.get(name) {
        Some(Object::Stream(stream)) => {
            let into = Some(name.to_owned());
            Ok(Target::Connector { into, options: stream.options.clone(), schema: Arc::clone(&stream.physical) })
        }
        Some(Object::Stored(table)) => Ok(Target::Stored(Arc::clone(table))),
        Some(object) => Err(Error::user("42809", format!("{name} is a {}: it cannot be written", object.word()))),
        None => {
            let names = catalog.names();
            let near = millstream_connectors::options::did_you_mean(name, names.iter().map(String::as_str));
            let hint = near.map(|near| format!(" (hint: did you mean {near}?)")).unwrap_or_default();
            Err(Error::user("42P01", format!("there is no table {name}{hint}")))
        }
    }
}

pub(super) async fn create_sink(session: &Session, create: &CreateSink, sql: &str) -> Result<Outcome> {
    let name = object_name(&create.name)?;
    let late_into = late_rows_into(create.query.emit.as_ref())?;
    if let Some(outcome) = session.adopted_pipeline(sql) {
        return Ok(outcome);
    }
    if session.engine.inner.pipelines.lock().get(&name).is_some_and(|handle| !handle.status().state.is_final()) {
        if create.if_not_exists {
            return Ok(done("CREATE SINK"));
        }
        return Err(Error::user("42P07", format!("sink {name} exists already (hint: DROP SINK {name} first)")));
    }
    if let Some(Object::MaterializedView(_)) = session.engine.inner.catalog.read().get(&name) {
        return Err(Error::user("42P07", format!("{name} is the pipeline of a materialized view (hint: take another name)")));
    }
    let settings = session.settings();
    let planner = session.planner(&settings, sql);
    let logical = planner.logical(&create.query.query).await?;
    match &create.target {
        SinkTarget::Into(table) => {
            let table = object_name(table)?;
            let target = sink_target(session, &table)?;
            let logical = planner.conform(logical, target.schema(), &table, &[])?;
            write(session, planner, name, &logical, target, late_into).await
        }
        SinkTarget::Options(options) => {
            let options = Options::from_pairs(options.iter().map(|option| (option.key.clone(), option.value.clone())));
            let schema = Arc::clone(logical.schema().inner());
            write(session, planner, name, &logical, Target::Connector { into: None, options, schema }, late_into).await
        }
    }
}

/// Starts a pipeline into a sink; a query without streams runs to its end before this returns.
async fn write(
    session: &Session,
    planner: Planner<'_>,
    name: String,
    logical: &datafusion::logical_expr::LogicalPlan,
    target: Target,
    late_into: Option<String>,
) -> Result<Outcome> {
    let into = target.name();
    let target = target.open(session)?;
    match planner.plan(logical)? {
        Planned::Bounded(_) if session.replaying.is_some() => {
            Err(Error::user("55000", format!("pipeline {name} reads no stream any more (hint: DROP PIPELINE {name})")))
        }
        Planned::Bounded(plan) => {
            no_late_rows(late_into)?;
            let physical = physical::plan_stage(&plan, &planner.state).await.map_err(|error| planner.error(&error))?;
            let batches =
                datafusion::physical_plan::collect(physical, planner.state.task_ctx()).await.map_err(|error| Error::running(&error))?;
            let rows = target.write_all(session, &batches).await?;
            Ok(Outcome::Done { message: format!("INSERT 0 {rows}") })
        }
        Planned::Pipeline { plan, streams } => {
            let side_tables = SideTables::find(session, &plan, &streams, late_into)?;
            claim_models(&plan, &name, &planner)?;
            let sql = planner.sql;
            let id = session.remember(ObjectKind::Pipeline, &name, sql).await?;
            let output = Output::Sink { sink: target.into_sink(session, &name, id), side_tables: side_tables.open(&name, id) };
            let spec = spec(session, planner, name.clone(), plan, streams, output);
            let started = start_stored(session, spec, id, sql).await;
            if started.is_err() && session.replaying.is_none() {
                session.forget(ObjectKind::Pipeline, &name).await?;
            }
            started.map(|handle| {
                handle.set_target(&into);
                Outcome::Pipeline(handle)
            })
        }
    }
}

/// What ends has no late rows.
fn no_late_rows(late_into: Option<String>) -> Result<()> {
    match late_into {
        None => Ok(()),
        Some(table) => Err(Error::user("0A000", format!("LATE ROWS INTO {table}: the query reads no stream, so no row of it is late"))),
    }
}

/// Says that the pipeline trains the models of its LEARNs; what they learn is shown to others from its checkpoints on.
pub(super) fn claim_models(plan: &PipelinePlan, pipeline: &str, planner: &Planner<'_>) -> Result<()> {
    let makers = plan.operators.iter().filter_map(|operator| match &operator.kind {
        OperatorKind::Ordered { maker, .. } => Some(maker),
        _ => None,
    });
    let mut subjects = BTreeSet::new();
    for maker in makers {
        let name = maker.subject();
        if !subjects.insert(name) {
            let hint = "hint: learn it once, in a view, or make a model for each";
            return Err(Error::user("0A000", format!("model {name} would be trained at two places of one pipeline ({hint})")));
        }
        maker.claim(pipeline).map_err(|error| planner.error(&error))?;
    }
    Ok(())
}

/// Starts a pipeline whose checkpoints are kept under `id`, if there is a data folder.
pub(super) async fn start_stored(session: &Session, mut spec: PipelineSpec, id: Option<u64>, sql: &str) -> Result<PipelineHandle> {
    let engine = &session.engine.inner;
    if let (Some(id), Some(data)) = (id, &engine.data) {
        let store = data.pipeline(id, &spec.name, sql, &spec.settings)?;
        spec.store = Some(Arc::new(store.splits(spec.memory.large_pane())));
    }
    let handle = Box::pin(start(spec)).await?;
    engine.pipelines.lock().add(handle.clone());
    Ok(handle)
}

/// `DROP PIPELINE`: stops it and forgets its state; false if there is none.
pub(super) async fn drop_pipeline(session: &Session, name: &str) -> Result<bool> {
    if let Some(Object::MaterializedView(_)) = session.engine.inner.catalog.read().get(name) {
        return Err(Error::user("42809", format!("{name} is a materialized view (hint: DROP MATERIALIZED VIEW {name})")));
    }
    let Some(handle) = session.engine.inner.pipelines.lock().remove(name) else { return Ok(false) };
    // Why it had failed is told by its status, not by dropping it.
    let _ = handle.stop().await;
    session.forget(ObjectKind::Pipeline, name).await?;
    Ok(true)
}

/// `PAUSE`, `RESUME`, `CHECKPOINT` and `RESTORE PIPELINE`.
pub(super) async fn command(session: &Session, command: &PipelineCommand) -> Result<Outcome> {
    let name = object_name(&command.name)?;
    let handle = find(session, &name)?;
    match &command.action {
        PipelineAction::Checkpoint => {
            let number = handle.checkpoint().await?;
            Ok(Outcome::Done { message: format!("CHECKPOINT {number}") })
        }
        PipelineAction::Pause => {
            durable(session, &name, "PAUSE PIPELINE")?;
            handle.stop().await?;
            session.pause(&name, true).await?;
            Ok(done("PAUSE PIPELINE"))
        }
        PipelineAction::Resume => {
            let stored = durable(session, &name, "RESUME PIPELINE")?;
            if !handle.status().state.is_final() {
                return Err(Error::user("55000", format!("pipeline {name} is running")));
            }
            session.pause(&name, false).await?;
            session.replay(StoredObject { paused: false, ..stored }).await?;
            Ok(done("RESUME PIPELINE"))
        }
        PipelineAction::Restore { checkpoint } => restore(session, &name, &handle, *checkpoint).await,
        _ => Err(Error::user("0A000", "this pipeline command is not supported yet")),
    }
}

/// Rows after the checkpoint are emitted again.
async fn restore(session: &Session, name: &str, handle: &PipelineHandle, checkpoint: Option<u64>) -> Result<Outcome> {
    let stored = durable(session, name, "RESTORE PIPELINE")?;
    if stored.kind == ObjectKind::MaterializedView {
        let hint = "hint: CREATE OR REPLACE MATERIALIZED VIEW makes it anew";
        return Err(Error::user(
            "0A000",
            format!("{name} is a materialized view: rows after the checkpoint would be in it twice ({hint})"),
        ));
    }
    let store = session.checkpoint_store(&stored)?;
    let number = match checkpoint {
        Some(number) => number,
        None => store.list().await?.last().map(|last| last.number).unwrap_or_default(),
    };
    // Said before anything is stopped, if there is no such checkpoint.
    store.read(number, session.engine.inner.memory.room()).await?;
    // Why it had failed does not matter any more.
    let _ = handle.stop().await;
    store.restore_from(number).await?;
    session.replay(stored).await?;
    Ok(Outcome::Done { message: format!("RESTORE PIPELINE: {name} goes on from checkpoint {number}, rows after it are written again") })
}

/// `SHOW CHECKPOINTS [FOR p]`: the kept ones, oldest first.
pub(super) async fn show_checkpoints(session: &Session, pipeline: Option<&ast::ObjectName>) -> Result<Outcome> {
    let stored = match pipeline {
        Some(name) => vec![durable(session, &find(session, &object_name(name)?)?.name(), "SHOW CHECKPOINTS")?],
        None => {
            let objects = session.engine.inner.data.as_ref().map(DataFolder::objects).unwrap_or_default();
            objects.into_iter().filter(|object| object.kind.is_pipeline()).collect()
        }
    };
    let mut rows = Vec::new();
    for object in stored {
        for figures in session.checkpoint_store(&object)?.list().await? {
            let time =
                chrono::DateTime::from_timestamp_millis(figures.created_ms).map(|time| time.format("%Y-%m-%d %H:%M:%S%.3f").to_string());
            rows.push(vec![
                Some(object.name.clone()),
                Some(figures.number.to_string()),
                time,
                Some(figures.duration_ms.to_string()),
                Some(figures.stall_us.to_string()),
                Some(figures.bytes_new.to_string()),
                Some(figures.bytes_total.to_string()),
                Some(figures.rows.to_string()),
                Some(figures.reason),
            ]);
        }
    }
    rows_of(&["pipeline", "checkpoint", "time", "duration_ms", "stall_us", "bytes_new", "bytes_total", "rows", "reason"], rows)
}

/// A pipeline, running or ended.
pub(super) fn find(session: &Session, name: &str) -> Result<PipelineHandle> {
    let pipelines = session.engine.inner.pipelines.lock();
    pipelines.get(name).cloned().ok_or_else(|| {
        let names: Vec<String> = pipelines.names();
        let near = millstream_connectors::options::did_you_mean(name, names.iter().map(String::as_str));
        let hint = near.map_or_else(|| "SHOW PIPELINES lists them".to_owned(), |near| format!("did you mean {near}?"));
        Error::user("42704", format!("there is no pipeline {name} (hint: {hint})"))
    })
}

/// What the data folder has of a pipeline; `what` needs it.
fn durable(session: &Session, name: &str, what: &str) -> Result<StoredObject> {
    let stored = session.engine.inner.data.as_ref().and_then(|data| data.find_pipeline(name));
    stored.ok_or_else(|| {
        Error::user("55000", format!("{what} needs a data folder, where {name} keeps its state (hint: start millstream with --data DIR)"))
    })
}
