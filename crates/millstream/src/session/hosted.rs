//! What a program that serves sessions to others needs beyond running statements: columns before rows, and additions to SQL.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;
use futures::FutureExt;
use millstream_sql::parse::SelectQuery;

use super::Session;
use super::run_statement::run_query;
use crate::catalog::Object;
use crate::context::EpochClock;
use crate::engine::{Engine, bare};
use crate::error::{Error, Result};
use crate::model::PinnedModels;
use crate::planning::{Planner, check_emit};
use crate::query::Query;
use crate::result_names::name_columns;
use crate::settings::Settings;
use crate::stored_table::{StoredTable, TableTail};
use crate::transaction::{Reads, Transaction};

/// What the program adds to the queries of a session; pipelines and views, which outlive it, do without.
pub trait SqlExtension: fmt::Debug + Send + Sync {
    /// Adds functions, schemas and planners to the state of one statement.
    fn extend(&self, state: &mut SessionState);

    /// Puts what the planner does not know in other words.
    ///
    /// # Errors
    /// What has no other words.
    fn rewrite(&self, query: &mut ast::Query) -> Result<()>;

    /// Refuses to read a table or view that a query names.
    ///
    /// # Errors
    /// Who asks may not read it.
    fn check_read(&self, _relation: &str) -> Result<()> {
        Ok(())
    }

    /// Refuses to read a file of this machine that a query names as a table.
    ///
    /// # Errors
    /// Who asks may not read it.
    fn check_file(&self, _name: &str) -> Result<()> {
        Ok(())
    }
}

/// A planned query: its columns are known, nothing runs.
pub struct PreparedQuery {
    logical: LogicalPlan,
    state: SessionState,
    epoch_clock: EpochClock,
    models: PinnedModels,
    settings: Settings,
    sql: String,
}

impl fmt::Debug for PreparedQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedQuery").field("sql", &self.sql).finish_non_exhaustive()
    }
}

impl PreparedQuery {
    /// The logical plan, before analysis.
    pub fn plan(&self) -> &LogicalPlan {
        &self.logical
    }
}

/// What an object of the catalog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelationKind {
    /// A table with a connector.
    Stream,
    /// A table whose rows are kept, or one of the program.
    Table,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
}

/// An object of the catalog.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// The statement that made it; `None` for tables of the program.
    pub sql: Option<String>,
    /// Its columns.
    pub schema: SchemaRef,
    /// False if it never ends.
    pub bounded: bool,
    /// What a stream is read from or written to.
    pub connector: Option<String>,
}

impl Session {
    /// A session whose queries know what `extension` adds.
    #[must_use]
    pub fn with_extension(mut self, extension: Arc<dyn SqlExtension>) -> Self {
        self.extension = Some(extension);
        self
    }

    /// From now on statements of this session belong to `transaction`; `None`: each is by itself.
    pub fn set_transaction(&mut self, transaction: Option<Arc<Transaction>>) {
        self.transaction = transaction;
    }

    /// Plans a query without running it. `sql` is its text, for messages.
    ///
    /// # Errors
    /// Anything wrong with the query that shows before it is optimized.
    pub async fn prepare(&self, select: &SelectQuery, sql: &str) -> Result<PreparedQuery> {
        check_emit(select.emit.as_ref())?;
        let settings = self.settings();
        let planner = self.planner(&settings, sql).extended(self.extension.as_deref());
        let logical = match &self.extension {
            Some(extension) => {
                let mut query = select.query.clone();
                extension.rewrite(&mut query)?;
                planner.logical(&query).await?
            }
            None => {
                let mut query = select.query.clone();
                name_columns(&mut query);
                planner.logical(&query).await?
            }
        };
        let Planner { state, epoch_clock, models, .. } = planner;
        Ok(PreparedQuery { logical, state, epoch_clock, models, settings, sql: sql.to_owned() })
    }

    /// Runs a planned query.
    ///
    /// # Errors
    /// Anything wrong with it.
    pub async fn run_prepared(&self, prepared: PreparedQuery) -> Result<Query> {
        prepared.epoch_clock.set(self.engine.inner.clock.now());
        let mut state = prepared.state;
        Reads::of_statement(self.transaction.clone()).put_into(&mut state);
        let planner = Planner {
            engine: &self.engine,
            settings: &prepared.settings,
            sql: &prepared.sql,
            state,
            guard: None,
            epoch_clock: prepared.epoch_clock,
            models: prepared.models,
        };
        planner.models.refresh();
        let schema: SchemaRef = Arc::clone(prepared.logical.schema().inner());
        let planned = planner.plan(&prepared.logical)?;
        run_query(self, planner, planned, schema).await
    }

    /// The rows of a stored table or materialized view from a place on; a reader that asks again and again misses none.
    ///
    /// # Errors
    /// No such table, or one whose rows are not kept.
    pub fn table_tail(&self, table: &str, from: u64) -> Result<TableTail> {
        let object = self.engine.inner.catalog.read().get(table).cloned();
        match object {
            Some(Object::Stored(stored) | Object::MaterializedView(stored)) => stored.tail(from),
            Some(object) => Err(Error::user("42809", format!("rows of {table} are not kept: it is a {}", object.word()))),
            None => Err(Error::user("42P01", format!("table \"{table}\" does not exist"))),
        }
    }

    /// Rows have gone where a rollback cannot take them back.
    pub(super) fn note_outside(&self) {
        if let Some(transaction) = &self.transaction {
            transaction.note_outside();
        }
    }

    /// Rows into a stored table: now, or with the transaction.
    pub(super) async fn keep_rows(&self, table: &Arc<StoredTable>, batches: &[RecordBatch]) -> Result<u64> {
        match &self.transaction {
            Some(transaction) => transaction.write(table, batches),
            None => table.insert(batches).await,
        }
    }

    /// Appends rows to a stored table, all or none; in a transaction others see them with its commit.
    ///
    /// # Errors
    /// No such table, or one that is not stored; rows that do not fit.
    pub async fn append(&self, table: &str, batches: &[RecordBatch]) -> Result<u64> {
        let object = self.engine.inner.catalog.read().get(table).cloned();
        match object {
            Some(Object::Stored(stored)) => self.keep_rows(&stored, batches).await,
            Some(object) => {
                let hint = "hint: CREATE TABLE without a connector makes a stored table";
                Err(Error::user("42809", format!("rows can be copied into stored tables only: {table} is a {} ({hint})", object.word())))
            }
            None => Err(Error::user("42P01", format!("table \"{table}\" does not exist"))),
        }
    }
}

impl Engine {
    /// Everything that has columns, by name.
    pub fn relations(&self) -> Vec<Relation> {
        let catalog = self.inner.catalog.read();
        catalog.iter().filter_map(|(name, object)| self.relation_of(name, object)).collect()
    }

    /// What has this name.
    pub fn relation(&self, name: &str) -> Option<Relation> {
        let object = self.inner.catalog.read().get(name).cloned()?;
        self.relation_of(name, &object)
    }

    fn relation_of(&self, name: &str, object: &Object) -> Option<Relation> {
        let (kind, sql, schema, bounded) = match object {
            Object::Stream(stream) => {
                let table = &stream.table;
                (RelationKind::Stream, Some(stream.sql.clone()), Arc::clone(&table.schema), table.bounded)
            }
            Object::Stored(table) => (RelationKind::Table, Some(table.definition.sql.clone()), Arc::clone(&table.schema), true),
            Object::MaterializedView(table) => {
                (RelationKind::MaterializedView, Some(table.definition.sql.clone()), Arc::clone(&table.schema), true)
            }
            Object::View { sql } => (RelationKind::View, Some(sql.clone()), self.registered_schema(name)?, true),
            Object::Table => (RelationKind::Table, None, self.registered_schema(name)?, true),
        };
        let connector = match object {
            Object::Stream(stream) => stream.options.get("connector").map(str::to_owned),
            _ => None,
        };
        Some(Relation { name: name.to_owned(), kind, sql, schema, bounded, connector })
    }

    fn registered_schema(&self, name: &str) -> Option<SchemaRef> {
        // Ours are ready at once. It may be asked for while a query is planned, where blocking is not allowed.
        self.inner.context.table_provider(bare(name)).now_or_never()?.ok().map(|provider| provider.schema())
    }
}
