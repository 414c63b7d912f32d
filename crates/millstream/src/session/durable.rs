//! What a session does about the data folder: remembers definitions, brings them back, and finds them again.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use millstream_sql::parse::{ModelKind, Statement};
use parking_lot::Mutex;

use super::{Session, learners, run_statement};
use crate::checkpoint::PipelineStore;
use crate::data_folder::{ObjectKind, StoredObject};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::pipeline::PipelineHandle;
use crate::query::Outcome;
use crate::settings::Settings;
use crate::stored_table::{Definition, Opening, StoredTable};

impl Session {
    /// Stores a definition before it takes effect; its id. `None` without a data folder.
    pub(super) async fn remember(&self, kind: ObjectKind, name: &str, sql: &str) -> Result<Option<u64>> {
        if let Some(object) = &self.replaying {
            return Ok(Some(object.id));
        }
        let Some(data) = &self.engine.inner.data else { return Ok(None) };
        let settings = serde_json::to_value(self.settings()).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Some(data.add(kind, name, sql, settings).await?))
    }

    /// The definition that a new one of this kind and name takes the place of; its files are to be deleted afterwards.
    pub(super) fn replaced(&self, kind: ObjectKind, name: &str) -> Option<StoredObject> {
        if self.replaying.is_some() {
            return None;
        }
        self.engine.inner.data.as_ref()?.find(kind, name)
    }

    /// Deletes the files of a definition that was replaced.
    pub(super) async fn delete_replaced(&self, replaced: Option<StoredObject>) -> Result<()> {
        match (&self.engine.inner.data, replaced) {
            (Some(data), Some(object)) => data.delete_files(&object).await,
            _ => Ok(()),
        }
    }

    /// Opens the table with this id; without a data folder its rows live in memory.
    pub(super) async fn open_table(&self, id: Option<u64>, definition: Definition, schema: Option<SchemaRef>) -> Result<Arc<StoredTable>> {
        let engine = &self.engine.inner;
        match (&engine.data, id, schema) {
            (Some(data), Some(id), schema) => {
                let opening = if self.replaying.is_some() { Opening::TakeOver } else { Opening::New };
                StoredTable::open(definition, schema, data.table(id)?, opening, Arc::clone(&engine.clock)).await
            }
            (_, _, Some(schema)) => Ok(StoredTable::in_memory(definition, schema, Arc::clone(&engine.clock))),
            _ => Err(Error::internal(format!("table {} has no columns", definition.name))),
        }
    }

    /// Removes a definition and what belongs to it.
    pub(super) async fn forget(&self, kind: ObjectKind, name: &str) -> Result<()> {
        match &self.engine.inner.data {
            Some(data) => data.remove(kind, name).await,
            None => Ok(()),
        }
    }

    /// Whether a pipeline comes back by itself.
    pub(super) async fn pause(&self, name: &str, paused: bool) -> Result<()> {
        match &self.engine.inner.data {
            Some(data) => data.pause(name, paused).await,
            None => Ok(()),
        }
    }

    /// True if a script defines what is there already.
    pub(super) fn is_adopted(&self, kind: ObjectKind, name: &str, sql: &str) -> bool {
        let (Some(_), Some(data)) = (&self.adopted, &self.engine.inner.data) else { return false };
        data.find(kind, name).is_some_and(|object| same_statement(&object.sql, sql))
    }

    /// The pipeline that the same statement of an earlier run has started; each is found once.
    pub(super) fn adopted_pipeline(&self, sql: &str) -> Option<Outcome> {
        let (Some(adopted), Some(data)) = (&self.adopted, &self.engine.inner.data) else { return None };
        let mut adopted = adopted.lock();
        let same = |object: &StoredObject| object.kind == ObjectKind::Pipeline && same_statement(&object.sql, sql);
        let object = data.objects().into_iter().find(|object| same(object) && !adopted.contains(&object.id))?;
        adopted.insert(object.id);
        self.engine.inner.pipelines.lock().get(&object.name).cloned().map(Outcome::Pipeline)
    }

    /// The name of a pipeline that the statement does not name.
    pub(super) fn pipeline_name(&self, word: &str) -> String {
        if let Some(object) = &self.replaying {
            return object.name.clone();
        }
        let mut pipelines = self.engine.inner.pipelines.lock();
        loop {
            let name = pipelines.next_name(word);
            if pipelines.get(&name).is_none() {
                return name;
            }
        }
    }

    /// The checkpoints of a stored pipeline.
    pub(super) fn checkpoint_store(&self, object: &StoredObject) -> Result<PipelineStore> {
        let Some(data) = &self.engine.inner.data else { return Err(Error::internal("there is no data folder")) };
        data.pipeline(object.id, &object.name, &object.sql, &self.settings())
    }

    /// Makes an object of the data folder again what it was.
    pub(super) async fn replay(&self, object: StoredObject) -> Result<()> {
        replay(&self.engine, object).await
    }
}

/// Brings back everything that the data folder knows, in the order in which it was made. A pipeline that cannot go on is there,
/// as failed; the others run.
pub(crate) async fn replay_all(engine: &Engine, objects: Vec<StoredObject>) -> Result<()> {
    let (secrets, objects): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| object.kind == ObjectKind::Secret);
    for object in secrets {
        object.secret.into_iter().for_each(|secret| engine.inner.secrets.put(&object.name, secret));
    }
    if let Some(data) = &engine.inner.data
        && let Err(error) = data.sweep_model_files().await
    {
        tracing::warn!(%error, "files of models that are gone are not deleted yet");
    }
    for object in &objects {
        bring_back_model(engine, object.clone()).await;
    }
    for object in objects {
        let (kind, name) = (object.kind, object.name.clone());
        let paused = object.paused;
        let pipeline = |error| PipelineHandle::ended(&name, error);
        // A materialized view is there while its pipeline is paused.
        if paused && kind == ObjectKind::Pipeline {
            engine.inner.pipelines.lock().add(pipeline(None));
            continue;
        }
        let outcome = replay(engine, object).await;
        match (kind, outcome) {
            (_, Ok(())) => {}
            (kind, Err(error)) if kind.is_pipeline() => {
                tracing::error!(pipeline = name, %error, "pipeline cannot go on");
                engine.inner.pipelines.lock().add(pipeline(Some(error)));
            }
            (kind, Err(error)) => {
                return Err(Error::user(error.sqlstate(), format!("cannot bring back {kind} {name}: {error}")));
            }
        }
    }
    Ok(())
}

/// A model that learns, as others call it, if the object is one: it may have been replaced after what calls it was made, and its
/// pipeline may be paused.
async fn bring_back_model(engine: &Engine, object: StoredObject) {
    let name = object.name.clone();
    let statements = millstream_sql::parse::parse(&object.sql).unwrap_or_default();
    let Ok(session) = replaying(engine, object) else { return };
    for statement in &statements {
        if let Statement::CreateModel(create) = &statement.statement
            && matches!(create.kind, ModelKind::Learner { .. })
            && let Err(error) = learners::bring_back_function(&session, create, &statement.text).await
        {
            // It is told when the object itself comes back.
            tracing::debug!(model = name, %error, "a model that learns cannot be called yet");
        }
    }
}

/// A session in which an object of the data folder becomes what it was.
fn replaying(engine: &Engine, object: StoredObject) -> Result<Session> {
    let settings: Settings = serde_json::from_value(object.settings.clone())
        .map_err(|error| Error::user("XX001", format!("settings of {} {} do not read: {error}", object.kind, object.name)))?;
    Ok(Session {
        engine: engine.clone(),
        settings: Arc::new(Mutex::new(settings)),
        replaying: Some(Arc::new(object)),
        adopted: None,
        extension: None,
        transaction: None,
    })
}

async fn replay(engine: &Engine, object: StoredObject) -> Result<()> {
    let statements = millstream_sql::parse::parse(&object.sql)?;
    let session = replaying(engine, object)?;
    for statement in &statements {
        // Boxed: RESUME PIPELINE runs a statement that runs a statement.
        Box::pin(run_statement::run(&session, &statement.statement, &statement.text)).await?;
    }
    Ok(())
}

/// True if two texts are the same statement, up to white space at line ends and a semicolon.
fn same_statement(stored: &str, given: &str) -> bool {
    let lines = |sql: &str| {
        let text = sql.trim().trim_end_matches(';').trim_end().to_owned();
        text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
    };
    lines(stored) == lines(given)
}
