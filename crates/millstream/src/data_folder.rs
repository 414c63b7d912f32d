//! The data folder: what an engine started with `--data DIR` remembers over restarts.
//!
//! ```text
//! catalog/…          definitions in the order they were made, as SQL, by id (a chain of entries: whoever wrote last owns the folder)
//! pipelines/<id>/…   checkpoints of one pipeline (see checkpoint.rs)
//! models/<hash>.onnx files of models, by the SHA-256 of their bytes; <hash>.parquet: what learners begin with
//! tables/<id>/…      rows of a stored table or a materialized view (see stored_table.rs)
//! ```
//!
//! Folders are named by id, never by name: what is dropped and created again does not find old state.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use millstream_checkpoint::CheckpointError;
use millstream_checkpoint::chain::{Chain, ChainOwner, Generation, Head, Nonce, TakeOver};
use millstream_checkpoint::folder::Folder;
use millstream_checkpoint::retry::Backoff;
use millstream_ml::model::ContentHash;
use millstream_time::Clock;
use object_store::ObjectStore;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::checkpoint::PipelineStore;
use crate::error::{Error, Result};
use crate::model::StoredModel;
use crate::secret::StoredSecret;
use crate::settings::Settings;

/// Older entries of the catalog's chain that are kept for a person to look at.
const CATALOG_ENTRIES_KEPT: u64 = 5;

/// What kind of statement made an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ObjectKind {
    Table,
    View,
    /// Rows and the pipeline that makes them, under one id.
    #[serde(rename = "materialized_view")]
    MaterializedView,
    Pipeline,
    /// A model that learns, without a pipeline of its own.
    Learner,
    Model,
    Secret,
}

impl ObjectKind {
    /// True if it runs.
    pub(crate) fn is_pipeline(self) -> bool {
        matches!(self, Self::Pipeline | Self::MaterializedView)
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Pipeline => "pipeline",
            Self::Learner => "model",
            Self::Model => "model",
            Self::Secret => "secret",
        })
    }
}

/// One definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredObject {
    pub(crate) id: u64,
    pub(crate) kind: ObjectKind,
    pub(crate) name: String,
    /// The statement that made it.
    pub(crate) sql: String,
    /// The session's settings at that time.
    pub(crate) settings: serde_json::Value,
    /// A pipeline that does not come back by itself.
    #[serde(default)]
    pub(crate) paused: bool,
    /// The versions of a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<StoredModel>,
    /// The value of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<StoredSecret>,
}

/// Where a data folder is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A path or URL.
    Location(String),
    /// Below a prefix of a store.
    Store(Arc<dyn ObjectStore>, String),
}

/// A data folder that this process owns.
pub(crate) struct DataFolder {
    folder: Folder,
    clock: Arc<dyn Clock>,
    owner: tokio::sync::Mutex<Box<ChainOwner<StoredCatalog>>>,
    catalog: RwLock<StoredCatalog>,
}

impl fmt::Debug for DataFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataFolder").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl DataFolder {
    /// Opens and claims the folder; it is made if there is none.
    pub(crate) async fn open(place: &Place, clock: Arc<dyn Clock>) -> Result<Self> {
        let folder = match place {
            Place::Location(location) => Folder::from_url(location)?,
            Place::Store(store, prefix) => Folder::from_store(Arc::clone(store), prefix)?,
        };
        let mut failures = 0;
        loop {
            match Self::claim(&folder, &clock).await {
                Ok(Some(owned)) => return Ok(owned),
                Ok(None) => tracing::info!(%folder, "another process claims the data folder at the same time"),
                Err(error) if error.is_transient() => match Backoff::default().delay(failures, failures.into()) {
                    Some(pause) => {
                        tracing::warn!(%folder, %error, attempt = failures, "the data folder fails; it is tried again");
                        failures += 1;
                        clock.sleep(pause).await;
                    }
                    None => return Err(error.into()),
                },
                Err(error) if error.is_damage() => {
                    return Err(Error::user("XX001", format!("the catalog of the data folder cannot be read: {error}")));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// `None`: another was faster.
    async fn claim(folder: &Folder, clock: &Arc<dyn Clock>) -> Result<Option<Self>, CheckpointError> {
        let chain = Chain::<StoredCatalog>::new(folder.sub("catalog")?, "catalog")?;
        let head = chain.head().await?;
        let (generation, mut catalog) = match head {
            Head::Entry(ref stored) => (stored.entry.generation, stored.entry.body.clone()),
            Head::Damaged { error, .. } => return Err(error),
            _ => (Generation(0), StoredCatalog::default()),
        };
        if catalog.folder.is_empty() {
            catalog.folder = new_nonce().0;
        }
        Ok(match chain.take_over(&head, generation, new_nonce(), catalog.clone()).await? {
            TakeOver::Raced => None,
            TakeOver::Owned(owner) => Some(Self {
                folder: folder.clone(),
                clock: Arc::clone(clock),
                owner: tokio::sync::Mutex::new(owner),
                catalog: RwLock::new(catalog),
            }),
        })
    }

    /// Tells it from all other data folders.
    pub(crate) fn id(&self) -> String {
        self.catalog.read().folder.clone()
    }

    /// All definitions, in the order in which they were made.
    pub(crate) fn objects(&self) -> Vec<StoredObject> {
        self.catalog.read().objects.clone()
    }

    pub(crate) fn find(&self, kind: ObjectKind, name: &str) -> Option<StoredObject> {
        self.catalog.read().objects.iter().find(|object| object.kind == kind && object.name == name).cloned()
    }

    /// What runs under this name.
    pub(crate) fn find_pipeline(&self, name: &str) -> Option<StoredObject> {
        self.catalog.read().objects.iter().find(|object| object.kind.is_pipeline() && object.name == name).cloned()
    }

    /// Stores a definition; durable on return. Its id.
    pub(crate) async fn add(&self, kind: ObjectKind, name: &str, sql: &str, settings: serde_json::Value) -> Result<u64> {
        self.change(|catalog| catalog.with(kind, name, sql, settings)).await
    }

    /// Removes a definition, then what belongs to it.
    pub(crate) async fn remove(&self, kind: ObjectKind, name: &str) -> Result<()> {
        let Some(object) = self.find(kind, name) else { return Ok(()) };
        self.change(|catalog| (catalog.without(kind, name), ())).await?;
        self.delete_files(&object).await
    }

    /// Deletes what belongs to an object that is in the catalog no more.
    pub(crate) async fn delete_files(&self, object: &StoredObject) -> Result<()> {
        for place in ["pipelines", "tables"] {
            let folder = self.folder.sub(&format!("{place}/{}", object.id))?;
            for file in folder.list_all().await? {
                folder.delete(&file).await?;
            }
        }
        Ok(())
    }

    /// Stores a model, or its versions where it is known: it keeps its place before the pipelines that call it.
    pub(crate) async fn put_model(&self, name: &str, sql: &str, settings: serde_json::Value, model: StoredModel) -> Result<()> {
        self.change(|catalog| {
            let is_it = |object: &StoredObject| object.kind == ObjectKind::Model && object.name == name;
            let mut next = catalog.clone();
            if !next.objects.iter().any(is_it) {
                next = next.with(ObjectKind::Model, name, sql, settings).0;
            }
            for object in next.objects.iter_mut().filter(|object| is_it(object)) {
                (object.sql, object.model) = (sql.to_owned(), Some(model.clone()));
            }
            (next, ())
        })
        .await
    }

    /// Stores a secret, or its new value; `sql` does not have it.
    pub(crate) async fn put_secret(&self, name: &str, sql: String, secret: StoredSecret) -> Result<()> {
        self.change(|catalog| {
            let (mut next, id) = catalog.with(ObjectKind::Secret, name, &sql, serde_json::Value::Null);
            let stored = next.objects.iter_mut().find(|object| object.id == id);
            stored.into_iter().for_each(|object| object.secret = Some(secret.clone()));
            (next, ())
        })
        .await
    }

    /// Removes a secret.
    pub(crate) async fn remove_secret(&self, name: &str) -> Result<()> {
        self.change(|catalog| (catalog.without(ObjectKind::Secret, name), ())).await
    }

    /// Keeps the file of a model under its hash.
    pub(crate) async fn keep_model_file(&self, hash: &ContentHash, kind: ModelFile, bytes: Bytes) -> Result<()> {
        // Whatever is there has the same bytes: the name is their hash.
        self.folder.sub("models")?.create(&kind.name(&hash.to_string()), bytes).await?;
        Ok(())
    }

    /// The file of a model, if it is still what it was.
    pub(crate) async fn model_file(&self, hash: &str, kind: ModelFile) -> Result<Bytes> {
        let name = kind.name(hash);
        let bytes = self.folder.sub("models")?.read(&name).await?;
        if ContentHash::of(&bytes).to_string() != hash {
            let message = format!("the file models/{name} of the data folder is damaged (hint: put the original file there)");
            return Err(Error::user("XX001", message));
        }
        Ok(bytes)
    }

    /// Deletes files of models that no version of any model has: those of a model that was dropped, or that a crash has left. Nobody may
    /// be making a model meanwhile.
    pub(crate) async fn sweep_model_files(&self) -> Result<()> {
        let mut needed = std::collections::BTreeSet::new();
        for version in self.objects().iter().filter_map(|object| object.model.as_ref()).flat_map(|model| &model.versions) {
            needed.insert(ModelFile::Network.name(&version.hash));
            needed.insert(format!("{}.parquet", version.hash));
            needed.extend(version.tokenizer.as_ref().map(|hash| ModelFile::Tokenizer.name(hash)));
        }
        let folder = self.folder.sub("models")?;
        for file in folder.list_all().await? {
            let is_model = [".onnx", ".tokenizer.json", ".parquet"].iter().any(|ending| file.ends_with(ending));
            if is_model && !needed.contains(&file) {
                folder.delete(&file).await?;
            }
        }
        Ok(())
    }

    /// Says what the definition of this id begins with.
    pub(crate) async fn set_model(&self, id: u64, model: StoredModel) -> Result<()> {
        self.change(|catalog| {
            let mut next = catalog.clone();
            next.objects.iter_mut().filter(|object| object.id == id).for_each(|object| object.model = Some(model.clone()));
            (next, ())
        })
        .await
    }

    /// Keeps what a learner begins with under its hash.
    pub(crate) async fn keep_learned_file(&self, hash: &ContentHash, bytes: Bytes) -> Result<()> {
        self.folder.sub("models")?.create(&format!("{hash}.parquet"), bytes).await?;
        Ok(())
    }

    /// What a learner begins with, if it is still what it was.
    pub(crate) async fn learned_file(&self, hash: &str) -> Result<Bytes> {
        let bytes = self.folder.sub("models")?.read(&format!("{hash}.parquet")).await?;
        if ContentHash::of(&bytes).to_string() != hash {
            let message = format!("the file models/{hash}.parquet of the data folder is damaged (hint: put the original file there)");
            return Err(Error::user("XX001", message));
        }
        Ok(bytes)
    }

    /// Says whether a pipeline comes back by itself.
    pub(crate) async fn pause(&self, name: &str, paused: bool) -> Result<()> {
        self.change(|catalog| {
            let mut next = catalog.clone();
            let pipeline = next.objects.iter_mut().find(|object| object.kind.is_pipeline() && object.name == name);
            pipeline.into_iter().for_each(|object| object.paused = paused);
            (next, ())
        })
        .await
    }

    /// The checkpoints of the pipeline with this id.
    pub(crate) fn pipeline(&self, id: u64, name: &str, sql: &str, settings: &Settings) -> Result<PipelineStore> {
        PipelineStore::new(self.folder.sub(&format!("pipelines/{id}"))?, id, name, sql, settings, Arc::clone(&self.clock))
    }

    /// The rows of the table with this id.
    pub(crate) fn table(&self, id: u64) -> Result<Folder> {
        Ok(self.folder.sub(&format!("tables/{id}"))?)
    }

    async fn change<T>(&self, change: impl FnOnce(&StoredCatalog) -> (StoredCatalog, T)) -> Result<T> {
        let mut owner = self.owner.lock().await;
        let (next, value) = change(&self.catalog.read().clone());
        let mut stored = owner.append(next.clone()).await;
        for attempt in 0.. {
            match stored {
                Ok(_) => break,
                Err(error) if error.is_transient() => match Backoff::default().delay(attempt, next.next_id) {
                    Some(pause) => {
                        tracing::warn!(folder = %self.folder, %error, attempt, "the data folder fails; it is tried again");
                        self.clock.sleep(pause).await;
                    }
                    None => return Err(error.into()),
                },
                Err(error) => return Err(error.into()),
            }
            stored = owner.resume().await;
        }
        *self.catalog.write() = next;
        let lowest = owner.number().saturating_sub(CATALOG_ENTRIES_KEPT);
        if let Err(error) = owner.retire_below(lowest).await
            && !error.is_transient()
        {
            return Err(error.into());
        }
        Ok(value)
    }
}

/// A file of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelFile {
    Network,
    Tokenizer,
}

impl ModelFile {
    fn name(self, hash: &str) -> String {
        match self {
            Self::Network => format!("{hash}.onnx"),
            Self::Tokenizer => format!("{hash}.tokenizer.json"),
        }
    }
}

/// Tells this owner from all others.
pub(crate) fn new_nonce() -> Nonce {
    // The standard library seeds each `RandomState` with randomness of the machine.
    let random = || RandomState::new().build_hasher().finish();
    Nonce(format!("{:016x}{:016x}", random(), random()))
}

/// All definitions, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredCatalog {
    /// Tells this folder from all others.
    #[serde(default)]
    folder: String,
    next_id: u64,
    objects: Vec<StoredObject>,
}

impl StoredCatalog {
    /// With one more object; a definition of the same kind and name is replaced and keeps neither its place nor its id.
    fn with(&self, kind: ObjectKind, name: &str, sql: &str, settings: serde_json::Value) -> (Self, u64) {
        let mut next = self.without(kind, name);
        next.next_id += 1;
        let id = next.next_id;
        next.objects.push(StoredObject {
            id,
            kind,
            name: name.to_owned(),
            sql: sql.to_owned(),
            settings,
            paused: false,
            model: None,
            secret: None,
        });
        (next, id)
    }

    fn without(&self, kind: ObjectKind, name: &str) -> Self {
        let others = self.objects.iter().filter(|object| object.kind != kind || object.name != name);
        Self { folder: self.folder.clone(), next_id: self.next_id, objects: others.cloned().collect() }
    }
}
