//! What tables and views have in common: a place in the catalog, replacing, dropping.

use std::sync::Arc;

use datafusion::datasource::TableProvider;
use millstream_sql::parse::{Drop, DropKind, SinkTarget, Statement};

use super::run_statement::{done, object_name};
use super::{Session, learners, models, pipelines, secrets};
use crate::catalog::Object;
use crate::data_folder::{DataFolder, ObjectKind};
use crate::engine::bare;
use crate::error::{Error, Result};
use crate::pipeline::PipelineState;
use crate::query::Outcome;
use crate::stored_table::StoredTable;

/// How a definition treats what is there already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modifiers {
    pub(super) or_replace: bool,
    pub(super) if_not_exists: bool,
}

/// True if the object may be made, in the place of what is there; false if it exists and `IF NOT EXISTS` was said.
pub(super) fn may_make(session: &Session, kind: ObjectKind, name: &str, modifiers: Modifiers) -> Result<bool> {
    let Some(existing) = session.engine.inner.catalog.read().get(name).cloned() else { return Ok(true) };
    let word = existing.word();
    if modifiers.or_replace {
        let (same, command) = match &existing {
            Object::Stream(_) | Object::Stored(_) | Object::Table => (kind == ObjectKind::Table, "TABLE"),
            Object::View { .. } => (kind == ObjectKind::View, "VIEW"),
            Object::MaterializedView(_) => (kind == ObjectKind::MaterializedView, "MATERIALIZED VIEW"),
        };
        if !same {
            return Err(Error::user(
                "42809",
                format!("{name} is a {word}: a {kind} cannot replace it (hint: DROP {command} {name} first)"),
            ));
        }
        if let Object::Stored(table) = &existing {
            refuse_if_written(session, table)?;
        }
        return Ok(true);
    }
    if modifiers.if_not_exists {
        return Ok(false);
    }
    Err(Error::user("42P07", format!("{word} {name} exists already (hint: CREATE OR REPLACE, or IF NOT EXISTS)")))
}

/// Puts an object where queries find it. What had the name is closed.
pub(super) async fn put_in_place(session: &Session, name: &str, provider: Arc<dyn TableProvider>, object: Object) -> Result<()> {
    take_away(session, name).await?;
    session.engine.inner.context.register_table(bare(name), provider).map_err(|error| Error::running(&error))?;
    session.engine.inner.catalog.write().insert(name.to_owned(), object);
    Ok(())
}

pub(super) async fn take_away(session: &Session, name: &str) -> Result<()> {
    let removed = session.engine.inner.catalog.write().remove(name);
    session.engine.inner.context.deregister_table(bare(name)).map_err(|error| Error::running(&error))?;
    if let Some(Object::Stored(table) | Object::MaterializedView(table)) = removed {
        table.close().await;
    }
    Ok(())
}

/// A table must not vanish below a pipeline that writes into it, or would when it goes on.
fn refuse_if_written(session: &Session, table: &StoredTable) -> Result<()> {
    let stored = session.engine.inner.data.as_ref().map(DataFolder::objects).unwrap_or_default();
    let stored = stored.into_iter().filter(|object| object.kind == ObjectKind::Pipeline && writes_into(&object.sql, table.name()));
    let goes_on = |name: &String| {
        let pipelines = session.engine.inner.pipelines.lock();
        pipelines.get(name).is_some_and(|handle| handle.status().state != PipelineState::Finished)
    };
    match table.writers().into_iter().chain(stored.map(|object| object.name).filter(goes_on)).next() {
        None => Ok(()),
        Some(pipeline) => {
            let name = table.name();
            Err(Error::user("2BP01", format!("pipeline {pipeline} writes into table {name} (hint: DROP PIPELINE {pipeline} first)")))
        }
    }
}

/// True if the statement of a pipeline names the table as its target.
fn writes_into(sql: &str, table: &str) -> bool {
    let statements = millstream_sql::parse::parse(sql).unwrap_or_default();
    statements.iter().any(|parsed| {
        let target = match &parsed.statement {
            Statement::Insert(insert) => &insert.table,
            Statement::CreateSink(create) => match &create.target {
                SinkTarget::Into(target) => target,
                SinkTarget::Options(_) => return false,
            },
            _ => return false,
        };
        object_name(target).is_ok_and(|name| name == table)
    })
}

pub(super) async fn drop_object(session: &Session, drop: &Drop) -> Result<Outcome> {
    let name = object_name(&drop.name)?;
    let (kind, command) = match drop.kind {
        DropKind::Sink | DropKind::Pipeline => {
            return if pipelines::drop_pipeline(session, &name).await? {
                Ok(done("DROP PIPELINE"))
            } else {
                missing(drop, &name, "PIPELINE")
            };
        }
        DropKind::Model if learners::drop_learner(session, &name).await? => return Ok(done("DROP MODEL")),
        DropKind::Model => {
            return if models::drop_model(session, &name).await? { Ok(done("DROP MODEL")) } else { missing(drop, &name, "MODEL") };
        }
        DropKind::Secret => {
            return if secrets::drop_secret(session, &name).await? { Ok(done("DROP SECRET")) } else { missing(drop, &name, "SECRET") };
        }
        DropKind::Table => (ObjectKind::Table, "TABLE"),
        DropKind::View => (ObjectKind::View, "VIEW"),
        DropKind::MaterializedView => (ObjectKind::MaterializedView, "MATERIALIZED VIEW"),
        _ => return missing(drop, &name, "OBJECT OF THIS KIND"),
    };
    let _definitions = session.engine.inner.definitions.lock().await;
    let Some(object) = session.engine.inner.catalog.read().get(&name).cloned() else { return missing(drop, &name, command) };
    let (is, hint) = match &object {
        Object::Stream(_) | Object::Stored(_) | Object::Table => (ObjectKind::Table, "a table (hint: DROP TABLE"),
        Object::View { .. } => (ObjectKind::View, "a view (hint: DROP VIEW"),
        Object::MaterializedView(_) => (ObjectKind::MaterializedView, "a materialized view (hint: DROP MATERIALIZED VIEW"),
    };
    if is != kind {
        return Err(Error::user("42809", format!("{name} is {hint} {name})")));
    }
    match &object {
        Object::Stored(table) => refuse_if_written(session, table)?,
        Object::MaterializedView(_) => stop_pipeline(session, &name).await,
        _ => {}
    }
    // The definition goes first: what a crash leaves of the rows is found by nobody.
    session.forget(kind, &name).await?;
    if let (Object::Stored(table), Some(transaction)) = (&object, &session.transaction) {
        transaction.forget(table);
    }
    take_away(session, &name).await?;
    Ok(done(&format!("DROP {command}")))
}

/// Stops the pipeline of a materialized view and forgets it.
pub(super) async fn stop_pipeline(session: &Session, view: &str) {
    let handle = session.engine.inner.pipelines.lock().remove(view);
    if let Some(handle) = handle {
        // Why it had failed does not matter any more.
        let _ = handle.stop().await;
    }
}

fn missing(drop: &Drop, name: &str, command: &str) -> Result<Outcome> {
    if drop.if_exists {
        return Ok(done(&format!("DROP {command}")));
    }
    Err(Error::user("42P01", format!("there is no {} {name}", command.to_lowercase())))
}
