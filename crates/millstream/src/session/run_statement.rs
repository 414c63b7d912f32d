//! Runs one parsed statement.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::{execute_stream, memory::MemoryStream};
use datafusion::sql::sqlparser::ast;
use millstream_sql::parse::{Explain, ModelKind, SelectQuery, SetOption, ShowKind, Statement, identifier_text};
use millstream_sql::{explain::explain_pipeline, physical};
use tokio::sync::mpsc;

use super::{Session, describe, learners, model_states, models, objects, pipelines, secrets, tables, views};
use crate::error::{Error, Result};
use crate::pipeline::{Output, start};
use crate::planning::{Planned, Planner};
use crate::query::{Outcome, Query};

/// Batches that wait for a slow reader of a query at most.
const QUERY_BATCHES_MAX: usize = 16;

/// Runs a statement, with the values of the secrets that it names.
pub(super) async fn run(session: &Session, statement: &Statement, sql: &str) -> Result<Outcome> {
    let (statement, values) = secrets::resolve(session, statement)?;
    dispatch(session, &statement, sql).await.map_err(|error| secrets::redact(error, &values))
}

/// Each statement's future is on the heap: one that held all of them would take too much of the stack.
async fn dispatch(session: &Session, statement: &Statement, sql: &str) -> Result<Outcome> {
    match statement {
        Statement::CreateSecret(create) => secrets::create_secret(session, create).await,
        Statement::Show(ShowKind::Secrets) => secrets::show_secrets(session),
        Statement::CreateTable(create) => Box::pin(tables::create_table(session, create, sql)).await,
        Statement::CreateView(create) if create.materialized => Box::pin(views::create_materialized_view(session, create, sql)).await,
        Statement::CreateView(create) => Box::pin(views::create_view(session, create, sql)).await,
        Statement::CreateSink(create) => Box::pin(pipelines::create_sink(session, create, sql)).await,
        Statement::CreateModel(create) if matches!(create.kind, ModelKind::Learner { .. }) => {
            Box::pin(learners::create_learner(session, create, sql)).await
        }
        Statement::CreateModel(create) => Box::pin(models::create_model(session, create, sql)).await,
        Statement::ExportModel(export) => Box::pin(model_states::export_model(session, export)).await,
        Statement::AlterModel(alter) => Box::pin(models::alter_model(session, alter)).await,
        Statement::DescribeModel(name) => models::describe_model(session, name),
        Statement::Show(ShowKind::Models) => models::show_models(session),
        Statement::Insert(insert) => Box::pin(pipelines::insert_into(session, insert, sql)).await,
        Statement::StatementSet(_) => Err(Error::user(
            "0A000",
            "STATEMENT SET is not supported yet (hint: write the INSERTs one after the other, each is a pipeline)",
        )),
        Statement::Drop(drop) => Box::pin(objects::drop_object(session, drop)).await,
        Statement::Show(ShowKind::Checkpoints(pipeline)) => pipelines::show_checkpoints(session, pipeline.as_ref()).await,
        Statement::Show(ShowKind::Columns(name)) => describe::describe(session, name).await,
        Statement::Show(show) => describe::show(session, show),
        Statement::Describe(name) => describe::describe(session, name).await,
        Statement::Set(set) => set_option(session, set),
        Statement::Reset(name) => reset(session, name.as_deref()),
        Statement::Explain(explain) => explain_statement(session, explain, sql).await,
        Statement::Query(query) => Box::pin(select(session, query, sql)).await,
        Statement::Pipeline(command) => Box::pin(pipelines::command(session, command)).await,
        Statement::Flush => Err(Error::user(
            "0A000",
            "FLUSH is not supported yet (hint: INSERT INTO a stored table returns when its rows are there; CHECKPOINT PIPELINE p shows what p has put out)",
        )),
        Statement::Other(other) => Err(other.unsupported().with_source(sql).into()),
        _ => Err(Error::user("0A000", "this statement is not supported yet")),
    }
}

pub(super) fn done(message: &str) -> Outcome {
    Outcome::Done { message: message.to_owned() }
}

/// The last part of a name, as the catalog has it.
pub(crate) fn object_name(name: &ast::ObjectName) -> Result<String> {
    match name.0.as_slice() {
        [ast::ObjectNamePart::Identifier(ident)] => Ok(identifier_text(ident)),
        [ast::ObjectNamePart::Identifier(schema), ast::ObjectNamePart::Identifier(ident)] if identifier_text(schema) == "public" => {
            Ok(identifier_text(ident))
        }
        _ => Err(Error::user("3F000", format!("there are no schemas but public: got {name}"))),
    }
}

async fn select(session: &Session, query: &SelectQuery, sql: &str) -> Result<Outcome> {
    let prepared = session.prepare(query, sql).await?;
    Ok(Outcome::Rows(session.run_prepared(prepared).await?))
}

/// Starts a query.
pub(super) async fn run_query(session: &Session, planner: Planner<'_>, planned: Planned, schema: SchemaRef) -> Result<Query> {
    match planned {
        Planned::Bounded(plan) => {
            let physical = physical::plan_stage(&plan, &planner.state).await.map_err(|error| planner.error(&error))?;
            let stream = execute_stream(physical, planner.state.task_ctx()).map_err(|error| Error::running(&error))?;
            // On a worker thread: whoever waits for the rows stays free to hear a Ctrl-C meanwhile. Dropping it ends the work.
            Ok(Query::of_plan(spawn_buffered(stream, QUERY_BATCHES_MAX)))
        }
        Planned::Pipeline { plan, streams } => {
            let (sender, rows) = mpsc::channel(QUERY_BATCHES_MAX);
            let name = session.engine.inner.pipelines.lock().next_name("query");
            let handle = Box::pin(start(pipelines::spec(session, planner, name, plan, streams, Output::Rows(sender)))).await?;
            Ok(Query::of_pipeline(schema, rows, handle))
        }
    }
}

fn set_option(session: &Session, set: &SetOption) -> Result<Outcome> {
    match &set.value {
        Some(value) => session.set(&set.name, value)?,
        None => return reset(session, Some(&set.name)),
    }
    Ok(done("SET"))
}

fn reset(session: &Session, name: Option<&str>) -> Result<Outcome> {
    let defaults = session.engine.inner.settings.clone();
    match name {
        Some(name) => session.set(name, &defaults.get(name)?)?,
        None => *session.settings.lock() = defaults,
    }
    Ok(done("RESET"))
}

async fn explain_statement(session: &Session, explain: &Explain, sql: &str) -> Result<Outcome> {
    if explain.analyze {
        return Err(Error::user("0A000", "EXPLAIN ANALYZE is not supported yet (hint: EXPLAIN VERBOSE shows the plans)"));
    }
    let query = match explain.statement.as_ref() {
        Statement::Query(query) => &query.query,
        Statement::Insert(insert) => &insert.query.query,
        Statement::CreateView(create) => &create.query.query,
        Statement::CreateSink(create) => &create.query.query,
        _ => return Err(Error::user("0A000", "EXPLAIN takes a query (hint: EXPLAIN SELECT …)")),
    };
    let settings = session.settings();
    let planner = session.planner(&settings, sql);
    let logical = planner.logical(query).await?;
    let lines = match planner.plan(&logical)? {
        Planned::Bounded(plan) => {
            let mut lines: Vec<String> = vec!["Query: bounded".to_owned()];
            lines.extend(plan.display_indent().to_string().lines().map(|line| format!("  {line}")));
            lines
        }
        Planned::Pipeline { plan, .. } => {
            let physical = match explain.verbose {
                true => Some(physical::plan_pipeline(&plan, &planner.state).await.map_err(|error| planner.error(&error))?),
                false => None,
            };
            explain_pipeline(&plan, physical.as_ref()).map_err(|error| planner.error(&error))?
        }
    };
    rows_of(&["plan"], lines.into_iter().map(|line| vec![Some(line)]).collect())
}

/// Rows of text, as SHOW and EXPLAIN give them.
pub(super) fn rows_of(columns: &[&str], rows: Vec<Vec<Option<String>>>) -> Result<Outcome> {
    let fields: Vec<Field> = columns.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let arrays = (0..columns.len()).map(|n| {
        let column: StringArray = rows.iter().map(|row| row.get(n).and_then(Clone::clone)).collect();
        Arc::new(column) as _
    });
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).map_err(|error| Error::internal(error.to_string()))?;
    let stream = MemoryStream::try_new(vec![batch], schema, None).map_err(|error| Error::running(&error))?;
    Ok(Outcome::Rows(Query::of_plan(Box::pin(stream))))
}
