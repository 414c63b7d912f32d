//! The engine: what exists and what runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion::datasource::TableProvider;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;
use millstream_connectors::{Connector, ConnectorRegistry};
use millstream_time::{Clock, SystemClock};
use object_store::ObjectStore;
use parking_lot::{Mutex, RwLock};

use crate::catalog::{Catalog, Object};
use crate::checkpoint::{CheckpointFunction, LookInside};
use crate::context::new_context;
use crate::data_folder::{DataFolder, Place};
use crate::error::{Error, Result};
use crate::learning::{Learners, ModelState};
use crate::listings::{Listing, ListingFunction};
use crate::memory::MemoryBudget;
use crate::model::{ModelStatus, Models};
use crate::pipeline::{PipelineFigures, PipelineHandle, PipelineStatus};
use crate::secret::{SecretKey, Secrets};
use crate::session::{Session, replay_all};
use crate::settings::Settings;

/// Ended pipelines of which the engine remembers the figures.
const ENDED_PIPELINES_MAX: usize = 100;

/// Runs continuous queries. Cheap to clone; must live inside a tokio runtime with more than one thread or the current one free.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<EngineInner>,
}

pub(crate) struct EngineInner {
    pub(crate) context: SessionContext,
    pub(crate) catalog: RwLock<Catalog>,
    pub(crate) connectors: ConnectorRegistry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) pipelines: Mutex<Pipelines>,
    /// Held while an object is made or dropped: of two sessions that make the same one, the second finds it.
    pub(crate) definitions: tokio::sync::Mutex<()>,
    /// Read while a transaction writes into several tables, written while one looks at all of them.
    pub(crate) commits: tokio::sync::RwLock<()>,
    /// Where everything is remembered; `None`: nowhere.
    pub(crate) data: Option<DataFolder>,
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) learners: Arc<Learners>,
    pub(crate) models: Models,
    pub(crate) secrets: Secrets,
}

/// Pipelines by name, and the next free number.
#[derive(Default)]
pub(crate) struct Pipelines {
    by_name: BTreeMap<String, PipelineHandle>,
    started: u64,
}

impl Pipelines {
    /// A name for an unnamed pipeline.
    pub(crate) fn next_name(&mut self, word: &str) -> String {
        self.started += 1;
        format!("{word}_{}", self.started)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&PipelineHandle> {
        self.by_name.get(name)
    }

    pub(crate) fn add(&mut self, handle: PipelineHandle) {
        let ended: Vec<String> =
            self.by_name.iter().filter(|(_, handle)| handle.status().state.is_final()).map(|(name, _)| name.clone()).collect();
        if ended.len() > ENDED_PIPELINES_MAX
            && let Some(first) = ended.first()
        {
            self.by_name.remove(first);
        }
        self.by_name.insert(handle.name(), handle);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<PipelineHandle> {
        self.by_name.remove(name)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("objects", &self.inner.catalog.read().names()).finish_non_exhaustive()
    }
}

/// Collects what an engine is made of.
#[derive(Default)]
pub struct EngineBuilder {
    settings: Settings,
    connectors: ConnectorRegistry,
    clock: Option<Arc<dyn Clock>>,
    functions: Vec<ScalarUDF>,
    aggregates: Vec<AggregateUDF>,
    tables: Vec<(String, Arc<dyn TableProvider>)>,
    data: Option<Place>,
    memory_limit: Option<u64>,
    secret_key: Option<String>,
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder").field("settings", &self.settings).field("data", &self.data).finish_non_exhaustive()
    }
}

impl EngineBuilder {
    /// Settings that sessions start with.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// A scalar function of the program.
    #[must_use]
    pub fn with_udf(mut self, function: ScalarUDF) -> Self {
        self.functions.push(function);
        self
    }

    /// An aggregate function of the program. Without a native groups accumulator it runs on a slower path.
    #[must_use]
    pub fn with_udaf(mut self, function: AggregateUDF) -> Self {
        self.aggregates.push(function);
        self
    }

    /// A table of the program: bounded, read once per query.
    #[must_use]
    pub fn with_table(mut self, name: impl Into<String>, table: Arc<dyn TableProvider>) -> Self {
        self.tables.push((name.into(), table));
        self
    }

    /// A connector of the program, for `WITH ('connector' = '…')`.
    #[must_use]
    pub fn with_connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connectors.register(connector);
        self
    }

    /// Another clock than the machine's (tests).
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Remembers definitions and the state of pipelines in this folder: a local path or a URL of an object store. An engine that is
    /// built over a folder that has been used before brings back what was there, and its pipelines go on where they were.
    ///
    /// Whoever is built last owns the folder: an older engine over it, if there still is one, stops writing and fails.
    #[must_use]
    pub fn data(mut self, location: impl Into<String>) -> Self {
        self.data = Some(Place::Location(location.into()));
        self
    }

    /// As [`data`](Self::data), below `prefix` of an object store of the program: one with credentials or settings of its own. It
    /// must know conditional creation (put-if-absent), as those of S3, Google Cloud and Azure do.
    #[must_use]
    pub fn data_in(mut self, store: Arc<dyn ObjectStore>, prefix: impl Into<String>) -> Self {
        self.data = Some(Place::Store(store, prefix.into()));
        self
    }

    /// Bytes of state that all pipelines together may hold, and as much again for sorts and joins on their way. With a data folder
    /// state of open windows leaves memory when they are nearly reached, and comes back when its window closes. A pipeline that
    /// needs more all the same fails with SQLSTATE 53200.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Encrypts secrets in the data folder with this key: 32 bytes in base64. What was encrypted needs the same key ever after.
    #[must_use]
    pub fn secret_key(mut self, key: impl Into<String>) -> Self {
        self.secret_key = Some(key.into());
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// A key of secrets that is none; a table whose name is taken; a data folder that cannot be read or claimed, or a definition in it that does not work any
    /// more.
    pub async fn build(self) -> Result<Engine> {
        let secret_key = self.secret_key.as_deref().map(SecretKey::parse).transpose()?;
        let learners = Arc::new(Learners::default());
        let context = new_context(self.settings.parallelism, self.memory_limit, &learners).map_err(|error| Error::running(&error))?;
        for function in self.functions {
            context.register_udf(function);
        }
        for function in self.aggregates {
            context.register_udaf(function);
        }
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::default()));
        let data = match &self.data {
            Some(place) => Some(DataFolder::open(place, Arc::clone(&clock)).await?),
            None => None,
        };
        let inner = EngineInner {
            context,
            catalog: RwLock::new(Catalog::default()),
            connectors: self.connectors,
            clock,
            settings: self.settings,
            pipelines: Mutex::new(Pipelines::default()),
            definitions: tokio::sync::Mutex::default(),
            commits: tokio::sync::RwLock::default(),
            data,
            memory: MemoryBudget::new(self.memory_limit),
            learners: Arc::clone(&learners),
            models: Models::default(),
            secrets: Secrets::new(secret_key),
        };
        let engine = Engine { inner: Arc::new(inner) };
        for function in [CheckpointFunction::State, CheckpointFunction::Positions] {
            let inside = LookInside::new(function, Arc::downgrade(&engine.inner));
            engine.inner.context.register_udtf(function.name(), Arc::new(inside));
        }
        let figures = PipelineFigures::new(Arc::downgrade(&engine.inner));
        engine.inner.context.register_udtf(PipelineFigures::NAME, Arc::new(figures));
        for listing in Listing::ALL {
            let function = ListingFunction::new(listing, Arc::downgrade(&engine.inner));
            engine.inner.context.register_udtf(listing.name(), Arc::new(function));
        }
        engine.inner.context.register_udtf(ModelState::NAME, Arc::new(ModelState::new(learners)));
        for (name, table) in self.tables {
            engine.register_table(&name, table)?;
        }
        if let Some(data) = &engine.inner.data {
            replay_all(&engine, data.objects()).await?;
        }
        Ok(engine)
    }
}

impl Engine {
    /// A builder with the built-in connectors and default settings.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// A session with the engine's settings.
    pub fn session(&self) -> Session {
        Session::new(self.clone())
    }

    /// Registers a scalar function.
    pub fn register_udf(&self, function: ScalarUDF) {
        self.inner.context.register_udf(function);
    }

    /// Registers an aggregate function.
    pub fn register_udaf(&self, function: AggregateUDF) {
        self.inner.context.register_udaf(function);
    }

    /// Registers a bounded table of the program.
    ///
    /// # Errors
    /// The name is taken.
    pub fn register_table(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        let mut catalog = self.inner.catalog.write();
        if let Some(object) = catalog.get(name) {
            return Err(Error::user("42P07", format!("{} {name} exists already", object.word())));
        }
        self.inner.context.register_table(bare(name), table).map_err(|error| Error::running(&error))?;
        catalog.insert(name.to_owned(), Object::Table);
        Ok(())
    }

    /// What `WITH ('connector' = …)` may name, with the options of each.
    pub fn connectors(&self) -> Vec<Arc<dyn Connector>> {
        self.inner.connectors.connectors().cloned().collect()
    }

    /// Figures of all pipelines, running and recently ended.
    pub fn pipelines(&self) -> Vec<PipelineStatus> {
        self.inner.pipelines.lock().by_name.values().map(PipelineHandle::status).collect()
    }

    /// Figures of all models.
    pub fn models(&self) -> Vec<ModelStatus> {
        self.inner.models.all().iter().map(|model| model.figures()).collect()
    }

    /// Waits until every pipeline has ended.
    ///
    /// # Errors
    /// The first failure, after all have ended.
    pub async fn wait(&self) -> Result<()> {
        let mut first = Ok(());
        for handle in self.handles() {
            let ended = handle.wait().await;
            first = first.and(ended);
        }
        first
    }

    /// Stops every pipeline gracefully and waits.
    pub async fn shutdown(&self) {
        let handles = self.handles();
        handles.iter().for_each(PipelineHandle::request_stop);
        for handle in handles {
            // Its failure stays in its status.
            let _ = handle.wait().await;
        }
    }

    fn handles(&self) -> Vec<PipelineHandle> {
        self.inner.pipelines.lock().by_name.values().cloned().collect()
    }
}

/// A table reference that is not parsed for dots or case.
pub(crate) fn bare(name: &str) -> datafusion::common::TableReference {
    datafusion::common::TableReference::bare(name)
}
