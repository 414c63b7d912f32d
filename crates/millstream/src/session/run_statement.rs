//! Runs one parsed statement.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::{TableProvider, ViewTable};
use datafusion::physical_plan::{execute_stream, memory::MemoryStream};
use datafusion::sql::sqlparser::ast;
use millstream_sql::parse::{
    CreateTable, CreateView, Drop, DropKind, Explain, SelectQuery, SetOption, ShowKind, Statement, identifier_text,
};
use millstream_sql::{explain::explain_pipeline, physical};
use tokio::sync::mpsc;

use super::{Session, describe, pipelines};
use crate::catalog::{self, Object};
use crate::data_folder::ObjectKind;
use crate::engine::bare;
use crate::error::{Error, Result};
use crate::pipeline::{Output, start};
use crate::planning::{Planned, Planner, check_emit};
use crate::query::{Outcome, Query};

/// Batches that wait for a slow reader of a query at most.
const QUERY_BATCHES_MAX: usize = 16;

pub(super) async fn run(session: &Session, statement: &Statement, sql: &str) -> Result<Outcome> {
    match statement {
        Statement::CreateTable(create) => create_table(session, create, sql).await,
        Statement::CreateView(create) => create_view(session, create, sql).await,
        Statement::CreateSink(create) => pipelines::create_sink(session, create, sql).await,
        Statement::Insert(insert) => pipelines::insert_into(session, insert, sql).await,
        Statement::StatementSet(_) => Err(Error::user(
            "0A000",
            "STATEMENT SET is not supported yet (hint: write the INSERTs one after the other, each is a pipeline)",
        )),
        Statement::Drop(drop) => drop_object(session, drop).await,
        Statement::Show(ShowKind::Checkpoints(pipeline)) => pipelines::show_checkpoints(session, pipeline.as_ref()).await,
        Statement::Show(show) => describe::show(session, show),
        Statement::Describe(name) => describe::describe(session, name),
        Statement::Set(set) => set_option(session, set),
        Statement::Reset(name) => reset(session, name.as_deref()),
        Statement::Explain(explain) => explain_statement(session, explain, sql).await,
        Statement::Query(query) => select(session, query, sql).await,
        Statement::Pipeline(command) => pipelines::command(session, command).await,
        Statement::Flush => Err(Error::user("0A000", "FLUSH is not supported yet: there are no stored tables to wait for")),
        Statement::Other(other) => Err(other.unsupported().with_source(sql).into()),
        _ => Err(Error::user("0A000", "this statement is not supported yet")),
    }
}

pub(super) fn done(message: &str) -> Outcome {
    Outcome::Done { message: message.to_owned() }
}

/// The last part of a name, as the catalog has it.
pub(super) fn object_name(name: &ast::ObjectName) -> Result<String> {
    match name.0.as_slice() {
        [ast::ObjectNamePart::Identifier(ident)] => Ok(identifier_text(ident)),
        [ast::ObjectNamePart::Identifier(schema), ast::ObjectNamePart::Identifier(ident)] if identifier_text(schema) == "public" => {
            Ok(identifier_text(ident))
        }
        _ => Err(Error::user("3F000", format!("there are no schemas but public: got {name}"))),
    }
}

/// True if the object may be made; false if it exists and `IF NOT EXISTS` was said.
async fn make_room(session: &Session, name: &str, or_replace: bool, if_not_exists: bool) -> Result<bool> {
    let existing = session.engine.inner.catalog.read().get(name).map(Object::word);
    match existing {
        None => Ok(true),
        Some(_) if or_replace => {
            session.engine.inner.catalog.write().remove(name);
            session.engine.inner.context.deregister_table(bare(name)).map_err(|error| Error::running(&error))?;
            Ok(true)
        }
        Some(_) if if_not_exists => Ok(false),
        Some(word) => Err(Error::user("42P07", format!("{word} {name} exists already (hint: CREATE OR REPLACE, or IF NOT EXISTS)"))),
    }
}

fn register(session: &Session, name: &str, table: Arc<dyn TableProvider>, object: Object) -> Result<()> {
    session.engine.inner.context.register_table(bare(name), table).map_err(|error| Error::running(&error))?;
    session.engine.inner.catalog.write().insert(name.to_owned(), object);
    Ok(())
}

async fn create_table(session: &Session, create: &CreateTable, sql: &str) -> Result<Outcome> {
    let name = object_name(&create.name)?;
    if create.options.is_empty() {
        return Err(Error::user(
            "0A000",
            format!(
                "table {name} has no connector: stored tables are not supported yet (hint: WITH ('connector' = 'file', 'path' = '…', 'format' = 'json'))"
            ),
        ));
    }
    let engine = &session.engine.inner;
    let settings = session.settings();
    let planner = Planner::new(&session.engine, &settings, sql);
    let mut create = create.clone();
    if let Some(like) = &create.like {
        create.columns = columns_like(session, &object_name(like)?)?;
    }
    if create.query.is_some() {
        return Err(Error::user("0A000", "CREATE TABLE … AS SELECT is not supported yet (hint: CREATE SINK name WITH (…) AS SELECT …)"));
    }
    let stream = catalog::stream(&create, &name, sql, &engine.connectors, &engine.clock, &planner)?;
    if session.is_adopted(ObjectKind::Table, &name, sql) || !make_room(session, &name, create.or_replace, create.if_not_exists).await? {
        return Ok(done("CREATE TABLE"));
    }
    session.remember(ObjectKind::Table, &name, sql).await?;
    let table = Arc::clone(&stream.table);
    register(session, &name, table, Object::Stream(Arc::new(stream)))?;
    Ok(done("CREATE TABLE"))
}

fn columns_like(session: &Session, name: &str) -> Result<Vec<millstream_sql::parse::Column>> {
    let sql = match session.engine.inner.catalog.read().get(name) {
        Some(Object::Stream(stream)) => stream.sql.clone(),
        _ => return Err(Error::user("42P01", format!("there is no stream {name} to be like"))),
    };
    match millstream_sql::parse::parse(&sql)?.into_iter().next().map(|parsed| parsed.statement) {
        Some(Statement::CreateTable(create)) => Ok(create.columns),
        _ => Err(Error::internal(format!("the definition of {name} does not parse"))),
    }
}

async fn create_view(session: &Session, create: &CreateView, sql: &str) -> Result<Outcome> {
    let name = object_name(&create.name)?;
    if create.materialized {
        return Err(Error::user(
            "0A000",
            "CREATE MATERIALIZED VIEW is not supported yet (hint: CREATE VIEW names a query; CREATE SINK keeps its rows)",
        ));
    }
    check_emit(create.query.emit.as_ref())?;
    let settings = session.settings();
    let planner = Planner::new(&session.engine, &settings, sql);
    let mut plan = planner.logical(&create.query.query)?;
    if !create.columns.is_empty() {
        let given = plan.schema().fields().len();
        if given != create.columns.len() {
            return Err(Error::user("42601", format!("view {name} names {} columns, its query gives {given}", create.columns.len())));
        }
        let names = create.columns.iter().map(identifier_text);
        let exprs: Vec<_> = plan
            .schema()
            .columns()
            .into_iter()
            .zip(names)
            .map(|(column, name)| datafusion::logical_expr::Expr::Column(column).alias(name))
            .collect();
        let builder = datafusion::logical_expr::LogicalPlanBuilder::from(plan).project(exprs);
        plan = builder.and_then(|builder| builder.build()).map_err(|error| planner.error(&error))?;
    }
    // What is wrong with the query is told now, not when it is first used.
    planner.plan(&plan)?;
    if session.is_adopted(ObjectKind::View, &name, sql) || !make_room(session, &name, create.or_replace, create.if_not_exists).await? {
        return Ok(done("CREATE VIEW"));
    }
    session.remember(ObjectKind::View, &name, sql).await?;
    let view = ViewTable::new(plan, Some(sql.to_owned()));
    register(session, &name, Arc::new(view), Object::View { sql: sql.to_owned() })?;
    Ok(done("CREATE VIEW"))
}

async fn select(session: &Session, query: &SelectQuery, sql: &str) -> Result<Outcome> {
    check_emit(query.emit.as_ref())?;
    let settings = session.settings();
    let planner = Planner::new(&session.engine, &settings, sql);
    let logical = planner.logical(&query.query)?;
    let schema: SchemaRef = Arc::clone(logical.schema().inner());
    match planner.plan(&logical)? {
        Planned::Bounded(plan) => {
            let physical = physical::plan_stage(&plan, &planner.state).await.map_err(|error| planner.error(&error))?;
            let stream = execute_stream(physical, planner.state.task_ctx()).map_err(|error| Error::running(&error))?;
            Ok(Outcome::Rows(Query::of_plan(stream)))
        }
        Planned::Pipeline { plan, streams } => {
            let (sender, rows) = mpsc::channel(QUERY_BATCHES_MAX);
            let name = session.engine.inner.pipelines.lock().next_name("query");
            let handle = start(pipelines::spec(session, planner, name, plan, streams, Output::Rows(sender))).await?;
            Ok(Outcome::Rows(Query::of_pipeline(schema, rows, handle)))
        }
    }
}

async fn drop_object(session: &Session, drop: &Drop) -> Result<Outcome> {
    let name = object_name(&drop.name)?;
    let engine = &session.engine.inner;
    let missing = |word: &str| {
        if drop.if_exists {
            Ok(done(&format!("DROP {word}")))
        } else {
            Err(Error::user("42P01", format!("there is no {} {name}", word.to_lowercase())))
        }
    };
    match drop.kind {
        DropKind::Sink | DropKind::Pipeline => {
            if pipelines::drop_pipeline(session, &name).await? {
                Ok(done("DROP PIPELINE"))
            } else {
                missing("PIPELINE")
            }
        }
        DropKind::Table | DropKind::View => {
            let word = if drop.kind == DropKind::Table { "TABLE" } else { "VIEW" };
            let found = engine.catalog.read().get(&name).map(Object::word);
            match (found, drop.kind) {
                (None, _) => missing(word),
                (Some("view"), DropKind::Table) => Err(Error::user("42809", format!("{name} is a view (hint: DROP VIEW {name})"))),
                (Some("stream" | "table"), DropKind::View) => {
                    Err(Error::user("42809", format!("{name} is a table (hint: DROP TABLE {name})")))
                }
                _ => {
                    let kind = if drop.kind == DropKind::Table { ObjectKind::Table } else { ObjectKind::View };
                    session.forget(kind, &name).await?;
                    engine.catalog.write().remove(&name);
                    engine.context.deregister_table(bare(&name)).map_err(|error| Error::running(&error))?;
                    Ok(done(&format!("DROP {word}")))
                }
            }
        }
        _ => missing("OBJECT OF THIS KIND"),
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
    let planner = Planner::new(&session.engine, &settings, sql);
    let logical = planner.logical(query)?;
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
