//! A session: executes SQL with its own settings.

pub(crate) mod describe;
mod durable;
mod hosted;
mod learners;
mod model_states;
mod models;
mod objects;
mod pipelines;
pub(crate) mod run_statement;
mod secrets;
mod side_tables;
mod tables;
mod views;

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_sql::parse::{ParsedStatement, parse};
use parking_lot::Mutex;

use crate::data_folder::StoredObject;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::pipeline::PipelineHandle;
use crate::planning::Planner;
use crate::query::{Outcome, Query};
use crate::settings::Settings;
use crate::transaction::{Reads, Transaction};

pub(crate) use durable::replay_all;
pub use hosted::{PreparedQuery, Relation, RelationKind, SqlExtension};

/// Executes SQL. Cheap to clone; clones share the settings.
#[derive(Clone, Debug)]
pub struct Session {
    engine: Engine,
    settings: Arc<Mutex<Settings>>,
    /// This session brings an object of the data folder back.
    replaying: Option<Arc<StoredObject>>,
    /// Pipelines that a script of this session has found in the data folder; `None`: it does not look.
    adopted: Option<Arc<Mutex<BTreeSet<u64>>>>,
    /// What the program adds to its queries.
    extension: Option<Arc<dyn SqlExtension>>,
    /// What its statements belong to; `None`: each is by itself.
    transaction: Option<Arc<Transaction>>,
}

impl Session {
    pub(crate) fn new(engine: Engine) -> Self {
        let settings = Arc::new(Mutex::new(engine.inner.settings.clone()));
        Self { engine, settings, replaying: None, adopted: None, extension: None, transaction: None }
    }

    /// The session for scripts that are run again and again over one data folder: a statement that defines exactly what is there
    /// already takes that and goes on with it, where it would otherwise be an error or start a second pipeline.
    #[must_use]
    pub fn resuming(mut self) -> Self {
        self.adopted = Some(Arc::default());
        self
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The statements of a script.
    ///
    /// # Errors
    /// SQL that does not parse, with line and column.
    pub fn parse(&self, sql: &str) -> Result<Vec<ParsedStatement>> {
        Ok(parse(sql)?)
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// Anything wrong with the statement; what happens while rows come is told by the [`Query`] or the pipeline.
    pub async fn run(&self, statement: &ParsedStatement) -> Result<Outcome> {
        run_statement::run(self, &statement.statement, &statement.text).await
    }

    /// Runs a script, statement by statement, up to the first error.
    ///
    /// # Errors
    /// See [`Session::run`].
    pub async fn execute(&self, sql: &str) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for statement in self.parse(sql)? {
            outcomes.push(self.run(&statement).await?);
        }
        Ok(outcomes)
    }

    /// Runs one statement that gives rows.
    ///
    /// # Errors
    /// See [`Session::run`]; a statement that gives none.
    pub async fn query(&self, sql: &str) -> Result<Query> {
        let statements = self.parse(sql)?;
        let [statement] = statements.as_slice() else {
            return Err(Error::user("42601", format!("query takes one statement: got {}", statements.len())));
        };
        match self.run(statement).await? {
            Outcome::Rows(query) => Ok(query),
            Outcome::Done { message } => Err(Error::user("42601", format!("{message} gives no rows (hint: use execute)"))),
            Outcome::Pipeline(handle) => {
                handle.stop().await?;
                Err(Error::user("42601", "this statement starts a pipeline and gives no rows (hint: use execute)"))
            }
        }
    }

    /// A pipeline by name, running or recently ended.
    pub fn pipeline(&self, name: &str) -> Option<PipelineHandle> {
        self.engine.inner.pipelines.lock().get(name).cloned()
    }

    /// Sets a setting, as `SET name = value` does.
    ///
    /// # Errors
    /// An unknown name or a bad value.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.settings.lock().set(name, value)
    }

    /// Plans for one statement.
    pub(crate) fn planner<'a>(&'a self, settings: &'a Settings, sql: &'a str) -> Planner<'a> {
        let mut planner = Planner::new(&self.engine, settings, sql);
        planner.guard.clone_from(&self.extension);
        Reads::of_statement(self.transaction.clone()).put_into(&mut planner.state);
        planner
    }

    /// The session's settings.
    pub fn settings(&self) -> Settings {
        self.settings.lock().clone()
    }
}
