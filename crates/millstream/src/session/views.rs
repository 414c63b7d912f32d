//! CREATE VIEW and CREATE MATERIALIZED VIEW.
//!
//! A view is a name for a query. A materialized view is a pipeline and the rows it has put out, under one name and one id: the
//! pipeline's checkpoints are in `pipelines/<id>` of the data folder, the rows in `tables/<id>`.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use millstream_connectors::Options;
use millstream_sql::parse::{CreateView, identifier_text};

use super::objects::{Modifiers, may_make, put_in_place, stop_pipeline};
use super::pipelines::{claim_models, pipeline_id, spec, start_stored};
use super::run_statement::{done, object_name};
use super::side_tables::SideTables;
use super::tables::result_columns;
use super::{Session, objects};
use crate::catalog::Object;
use crate::data_folder::ObjectKind;
use crate::error::{Error, Result};
use crate::pipeline::{Output, PipelineHandle};
use crate::planning::{Planned, Planner, check_emit, late_rows_into};
use crate::query::Outcome;
use crate::stored_table::{Definition, StoredTable};

pub(super) async fn create_view(session: &Session, create: &CreateView, sql: &str) -> Result<Outcome> {
    let name = object_name(&create.name)?;
    if let Some(option) = create.options.first() {
        return Err(Error::user("22023", format!("view {name} has no options: got '{}' (hint: a MATERIALIZED VIEW has)", option.key)));
    }
    check_emit(create.query.emit.as_ref())?;
    let settings = session.settings();
    let planner = session.planner(&settings, sql);
    let plan = view_plan(&planner, create, &name).await?;
    // What is wrong with the query is told now, not when it is first used.
    planner.plan(&plan)?;
    let _definitions = session.engine.inner.definitions.lock().await;
    if session.is_adopted(ObjectKind::View, &name, sql) || !may_make(session, ObjectKind::View, &name, modifiers(create))? {
        return Ok(done("CREATE VIEW"));
    }
    session.remember(ObjectKind::View, &name, sql).await?;
    let view = ViewTable::new(plan, Some(sql.to_owned()));
    put_in_place(session, &name, Arc::new(view), Object::View { sql: sql.to_owned() }).await?;
    Ok(done("CREATE VIEW"))
}

fn modifiers(create: &CreateView) -> Modifiers {
    Modifiers { or_replace: create.or_replace, if_not_exists: create.if_not_exists }
}

/// The query, its columns named as the view says.
async fn view_plan(planner: &Planner<'_>, create: &CreateView, name: &str) -> Result<LogicalPlan> {
    let plan = planner.logical(&create.query.query).await?;
    if create.columns.is_empty() {
        return Ok(plan);
    }
    let given = plan.schema().fields().len();
    if given != create.columns.len() {
        return Err(Error::user("42601", format!("view {name} names {} columns, its query gives {given}", create.columns.len())));
    }
    let names = create.columns.iter().map(identifier_text);
    let exprs: Vec<_> = plan.schema().columns().into_iter().zip(names).map(|(column, name)| Expr::Column(column).alias(name)).collect();
    LogicalPlanBuilder::from(plan).project(exprs).and_then(LogicalPlanBuilder::build).map_err(|error| planner.error(&error))
}

pub(super) async fn create_materialized_view(session: &Session, create: &CreateView, sql: &str) -> Result<Outcome> {
    let name = object_name(&create.name)?;
    let late_into = late_rows_into(create.query.emit.as_ref())?;
    let definition = Definition { name: name.clone(), sql: sql.to_owned(), retention: retention(create)? };
    let settings = session.settings();
    let planner = session.planner(&settings, sql);
    let logical = view_plan(&planner, create, &name).await?;
    let schema = result_columns(&logical, &name)?;
    let Planned::Pipeline { plan, streams } = planner.plan(&logical)? else { return Err(nothing_to_follow(&name)) };
    let side_tables = SideTables::find(session, &plan, &streams, late_into)?;
    claim_models(&plan, &name, &planner)?;
    let _definitions = session.engine.inner.definitions.lock().await;
    if let Some(outcome) = existing(session, create, &name, sql)? {
        return Ok(outcome);
    }
    let (id, table) = view_rows(session, definition, schema).await?;
    if session.replaying.as_ref().is_some_and(|object| object.paused) {
        let handle = PipelineHandle::ended(&name, None);
        session.engine.inner.pipelines.lock().add(handle.clone());
        return Ok(Outcome::Pipeline(handle));
    }
    let sink = Box::new(table.sink(&name, &pipeline_id(id), true));
    let output = Output::Sink { sink, side_tables: side_tables.open(&name, id) };
    let spec = spec(session, planner, name.clone(), plan, streams, output);
    match start_stored(session, spec, id, sql).await {
        Ok(handle) => {
            handle.set_target(&name);
            Ok(Outcome::Pipeline(handle))
        }
        Err(error) => {
            if session.replaying.is_none() {
                session.forget(ObjectKind::MaterializedView, &name).await?;
                objects::take_away(session, &name).await?;
            }
            Err(error)
        }
    }
}

/// Makes the place for the view's rows, or finds it: its id in the data folder, and the place.
async fn view_rows(session: &Session, definition: Definition, schema: SchemaRef) -> Result<(Option<u64>, Arc<StoredTable>)> {
    let (name, sql) = (definition.name.clone(), definition.sql.clone());
    let replaced = session.replaced(ObjectKind::MaterializedView, &name);
    if session.replaying.is_none() {
        stop_pipeline(session, &name).await;
    }
    let id = session.remember(ObjectKind::MaterializedView, &name, &sql).await?;
    if let Some(table) = kept_rows(session, &name) {
        return Ok((id, table));
    }
    let table = session.open_table(id, definition, Some(schema)).await?;
    put_in_place(session, &name, table.provider(), Object::MaterializedView(Arc::clone(&table))).await?;
    session.delete_replaced(replaced).await?;
    Ok((id, table))
}

fn nothing_to_follow(name: &str) -> Error {
    let hint = format!("hint: CREATE VIEW {name} computes it when it is read, CREATE TABLE {name} AS SELECT … keeps it as it is now");
    Error::user(
        "0A000",
        format!(
            "materialized view {name} reads no stream, and changes of stored tables and of materialized views are not followed yet ({hint})"
        ),
    )
}

/// `WITH ('retention' = '1 hour')`
fn retention(create: &CreateView) -> Result<Option<Duration>> {
    let mut options = Options::from_pairs(create.options.iter().map(|option| (option.key.clone(), option.value.clone())));
    let retention = options.take_duration("retention")?;
    match create.options.iter().find(|option| option.key != "retention") {
        None => Ok(retention),
        Some(option) => {
            Err(Error::user("22023", format!("a materialized view has no option '{}' (hint: there is 'retention' = '1 hour')", option.key)))
        }
    }
}

/// What the statement gives if the view is there and stays.
fn existing(session: &Session, create: &CreateView, name: &str, sql: &str) -> Result<Option<Outcome>> {
    if session.replaying.is_some() {
        return Ok(None);
    }
    let pipeline = session.engine.inner.pipelines.lock().get(name).cloned();
    if session.is_adopted(ObjectKind::MaterializedView, name, sql) {
        return Ok(Some(pipeline.map_or_else(|| done("CREATE MATERIALIZED VIEW"), Outcome::Pipeline)));
    }
    if !may_make(session, ObjectKind::MaterializedView, name, modifiers(create))? {
        return Ok(Some(done("CREATE MATERIALIZED VIEW")));
    }
    let stored = session.replaced(ObjectKind::Pipeline, name).is_some();
    let is_view = matches!(session.engine.inner.catalog.read().get(name), Some(Object::MaterializedView(_)));
    if !is_view && (stored || pipeline.is_some_and(|handle| !handle.status().state.is_final())) {
        return Err(Error::user("42P07", format!("pipeline {name} exists already (hint: DROP PIPELINE {name} first)")));
    }
    Ok(None)
}

/// The rows of a view that is brought back while it is there (`RESUME PIPELINE`).
fn kept_rows(session: &Session, name: &str) -> Option<Arc<StoredTable>> {
    session.replaying.as_ref()?;
    match session.engine.inner.catalog.read().get(name) {
        Some(Object::MaterializedView(table)) => Some(Arc::clone(table)),
        _ => None,
    }
}
