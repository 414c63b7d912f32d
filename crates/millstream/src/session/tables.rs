//! CREATE TABLE: streams (with a connector) and stored tables (without).

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use millstream_sql::parse::{Column, CreateTable, QueryText, Statement};

use super::objects::{Modifiers, may_make, put_in_place};
use super::run_statement::{done, object_name, run_query};
use super::{Session, describe, side_tables};
use crate::catalog::{self, Object};
use crate::data_folder::ObjectKind;
use crate::error::{Error, Result};
use crate::planning::{Planned, check_emit};
use crate::query::Outcome;
use crate::stored_table::{Definition, StoredTable};

pub(super) async fn create_table(session: &Session, create: &CreateTable, sql: &str) -> Result<Outcome> {
    let name = object_name(&create.name)?;
    if create.options.is_empty() {
        return create_stored(session, create, name, sql).await;
    }
    let engine = &session.engine.inner;
    let settings = session.settings();
    let planner = session.planner(&settings, sql);
    let mut create = create.clone();
    if let Some(like) = &create.like {
        create.columns = columns_like(session, &object_name(like)?)?;
    }
    if create.query.is_some() {
        return Err(Error::user(
            "0A000",
            "CREATE TABLE … WITH (…) AS SELECT is not supported yet (hint: CREATE SINK name WITH (…) AS SELECT …)",
        ));
    }
    let stream = catalog::stream(&create, &name, sql, &engine.connectors, &engine.clock, &planner)?;
    if let (Some(table), None) = (&stream.time.bad_rows_table, &session.replaying) {
        side_tables::bad_rows_table(session, table)?;
    }
    let _definitions = engine.definitions.lock().await;
    if !is_new(session, &create, &name, sql)? {
        return Ok(done("CREATE TABLE"));
    }
    let replaced = session.replaced(ObjectKind::Table, &name);
    session.remember(ObjectKind::Table, &name, sql).await?;
    let table = Arc::clone(&stream.table);
    put_in_place(session, &name, table, Object::Stream(Arc::new(stream))).await?;
    session.delete_replaced(replaced).await?;
    Ok(done("CREATE TABLE"))
}

fn is_new(session: &Session, create: &CreateTable, name: &str, sql: &str) -> Result<bool> {
    let modifiers = Modifiers { or_replace: create.or_replace, if_not_exists: create.if_not_exists };
    Ok(!session.is_adopted(ObjectKind::Table, name, sql) && may_make(session, ObjectKind::Table, name, modifiers)?)
}

/// A table whose rows are kept here.
async fn create_stored(session: &Session, create: &CreateTable, name: String, sql: &str) -> Result<Outcome> {
    let definition = Definition { name: name.clone(), sql: sql.to_owned(), retention: None };
    if session.replaying.is_some() {
        return bring_back(session, create, definition).await;
    }
    if !is_new(session, create, &name, sql)? {
        return Ok(done("CREATE TABLE"));
    }
    // The query runs first: while it does, nothing is there, and nobody is kept from making other objects.
    let (schema, rows) = match &create.query {
        Some(query) => {
            let (schema, rows) = run_to_its_end(session, create, query, &name, sql).await?;
            (schema, Some(rows))
        }
        None => (declared_columns(session, create, &name)?, None),
    };
    let _definitions = session.engine.inner.definitions.lock().await;
    if !is_new(session, create, &name, sql)? {
        return Ok(done("CREATE TABLE"));
    }
    let replaced = session.replaced(ObjectKind::Table, &name);
    let id = session.remember(ObjectKind::Table, &name, sql).await?;
    let says_columns = create.query.is_none() && create.like.is_none();
    match open_filled(session, id, definition, schema, rows.as_deref(), says_columns).await {
        Ok((table, inserted)) => {
            put_in_place(session, &name, table.provider(), Object::Stored(table)).await?;
            session.delete_replaced(replaced).await?;
            Ok(if rows.is_some() { done(&format!("SELECT {inserted}")) } else { done("CREATE TABLE") })
        }
        Err(error) => {
            session.forget(ObjectKind::Table, &name).await?;
            Err(error)
        }
    }
}

/// A new table with its first rows, and their number. If its statement does not say its columns, its log does.
async fn open_filled(
    session: &Session,
    id: Option<u64>,
    definition: Definition,
    schema: SchemaRef,
    rows: Option<&[RecordBatch]>,
    says_columns: bool,
) -> Result<(Arc<StoredTable>, u64)> {
    let table = session.open_table(id, definition, Some(schema)).await?;
    let inserted = table.insert(rows.unwrap_or_default()).await?;
    if inserted == 0 && !says_columns {
        table.keep_schema().await?;
    }
    Ok((table, inserted))
}

/// A stored table of the data folder.
async fn bring_back(session: &Session, create: &CreateTable, definition: Definition) -> Result<Outcome> {
    let name = definition.name.clone();
    let id = session.remember(ObjectKind::Table, &name, &definition.sql).await?;
    let from_query = create.query.is_some();
    if let (Some(id), Some(data), true) = (id, &session.engine.inner.data, from_query)
        && data.table(id)?.list().await?.is_empty()
    {
        tracing::warn!(table = name, "CREATE TABLE … AS SELECT did not come to its end in an earlier process: there is no such table");
        session.forget(ObjectKind::Table, &name).await?;
        return Ok(done("CREATE TABLE"));
    }
    // What it was made like may have gone since: its rows know its columns.
    let schema = if from_query { None } else { declared_columns(session, create, &name).ok() };
    let table = session.open_table(id, definition, schema).await?;
    put_in_place(session, &name, table.provider(), Object::Stored(table)).await?;
    Ok(done("CREATE TABLE"))
}

/// The columns that the statement names.
fn declared_columns(session: &Session, create: &CreateTable, name: &str) -> Result<SchemaRef> {
    let Some(like) = &create.like else { return catalog::stored_columns(create, name) };
    let like = object_name(like)?;
    match session.engine.inner.catalog.read().get(&like) {
        Some(Object::Stream(stream)) => Ok(Arc::clone(&stream.physical)),
        Some(Object::Stored(table) | Object::MaterializedView(table)) => Ok(Arc::clone(&table.schema)),
        _ => Err(Error::user("42P01", format!("there is no table {like} to be like"))),
    }
}

fn columns_like(session: &Session, name: &str) -> Result<Vec<Column>> {
    let sql = match session.engine.inner.catalog.read().get(name) {
        Some(Object::Stream(stream)) => stream.sql.clone(),
        Some(Object::Stored(table) | Object::MaterializedView(table)) => columns_as_sql(table),
        _ => return Err(Error::user("42P01", format!("there is no stream {name} to be like"))),
    };
    match millstream_sql::parse::parse(&sql)?.into_iter().next().map(|parsed| parsed.statement) {
        Some(Statement::CreateTable(create)) => Ok(create.columns),
        _ => Err(Error::internal(format!("the definition of {name} does not parse"))),
    }
}

/// A statement with the table's columns; its own may be a query.
fn columns_as_sql(table: &StoredTable) -> String {
    let column = |field: &Arc<Field>| {
        let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
        format!("\"{}\" {}{not_null}", field.name().replace('"', "\"\""), describe::sql_type(field.data_type()))
    };
    format!("CREATE TABLE columns ({})", table.schema.fields().iter().map(column).collect::<Vec<_>>().join(", "))
}

/// The rows of a query that ends, and their columns: the declared ones, or the query's own.
async fn run_to_its_end(
    session: &Session,
    create: &CreateTable,
    query: &QueryText,
    name: &str,
    sql: &str,
) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    check_emit(query.emit.as_ref())?;
    let settings = session.settings();
    let planner = session.planner(&settings, sql);
    let mut logical = planner.logical(&query.query).await?;
    let schema = if create.columns.is_empty() { result_columns(&logical, name)? } else { catalog::stored_columns(create, name)? };
    if !create.columns.is_empty() {
        logical = planner.conform(logical, &schema, name, &[])?;
    }
    let planned = planner.plan(&logical)?;
    if let Planned::Pipeline { streams, .. } = &planned
        && let Some(endless) = streams.iter().find(|stream| !stream.table.bounded)
    {
        let hint = format!("hint: CREATE MATERIALIZED VIEW {name} AS … keeps its rows as they come");
        return Err(Error::user(
            "0A000",
            format!("CREATE TABLE {name} AS: {} never ends, so neither does the query ({hint})", endless.name),
        ));
    }
    let plan_schema = Arc::clone(logical.schema().inner());
    let rows = run_query(session, planner, planned, plan_schema).await?.collect().await?;
    Ok((schema, rows))
}

/// The columns of a query's rows as a table's: any may be NULL, each has a name of its own.
pub(super) fn result_columns(plan: &LogicalPlan, name: &str) -> Result<SchemaRef> {
    let mut fields: Vec<Field> = Vec::new();
    for field in plan.schema().fields() {
        if fields.iter().any(|other| other.name() == field.name()) {
            let hint = format!("hint: give one another name: {} AS …", field.name());
            return Err(Error::user("42701", format!("{name} would have two columns {} ({hint})", field.name())));
        }
        fields.push(Field::new(field.name(), field.data_type().clone(), true));
    }
    Ok(Arc::new(Schema::new(fields)))
}
