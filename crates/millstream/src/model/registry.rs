//! All models of an engine by name, with all their versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_ml::model::{ContentHash, Model};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::figures::{ModelCounters, ModelStatus};
use super::gate::Gate;
use super::options::ModelOptions;
use super::shape::ModelShape;

/// One version of a model; it never changes.
#[derive(Debug)]
pub(crate) struct ModelVersion {
    /// From 1.
    pub(crate) number: u64,
    /// Of the model's file.
    pub(crate) hash: ContentHash,
    /// Of the tokenizer's file.
    pub(crate) tokenizer: Option<ContentHash>,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) options: ModelOptions,
    pub(crate) shape: ModelShape,
    /// The statement that made it.
    pub(crate) sql: String,
}

/// A model by name.
#[derive(Debug)]
pub(crate) struct RegisteredModel {
    pub(crate) name: String,
    versions: RwLock<Versions>,
    pub(crate) counters: ModelCounters,
    /// Running pipelines that call it.
    users: Mutex<BTreeMap<String, usize>>,
    /// How many batches are evaluated at the same time.
    pub(crate) gate: Gate,
}

/// A pipeline calls a model, for as long as this lives.
#[derive(Debug)]
pub(crate) struct ModelUse {
    model: Arc<RegisteredModel>,
    pipeline: String,
}

impl Drop for ModelUse {
    fn drop(&mut self) {
        let mut users = self.model.users.lock();
        if let Some(count) = users.get_mut(&self.pipeline) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.pipeline);
            }
        }
    }
}

#[derive(Debug)]
struct Versions {
    all: Vec<Arc<ModelVersion>>,
    current: Arc<ModelVersion>,
}

impl RegisteredModel {
    pub(crate) fn new(name: String, first: Arc<ModelVersion>) -> Self {
        let versions = Versions { all: vec![Arc::clone(&first)], current: first };
        Self { name, versions: RwLock::new(versions), counters: ModelCounters::default(), users: Mutex::default(), gate: Gate::default() }
    }

    /// The version that is used from the next epoch on.
    pub(crate) fn current(&self) -> Arc<ModelVersion> {
        Arc::clone(&self.versions.read().current)
    }

    pub(crate) fn versions(&self) -> Vec<Arc<ModelVersion>> {
        self.versions.read().all.clone()
    }

    /// The number of the version to be made next.
    pub(crate) fn next_number(&self) -> u64 {
        self.versions.read().all.iter().map(|version| version.number).max().unwrap_or(0) + 1
    }

    /// Adds a version and makes it the current one.
    pub(crate) fn add(&self, version: Arc<ModelVersion>) {
        let mut versions = self.versions.write();
        versions.all.push(Arc::clone(&version));
        versions.current = version;
    }

    /// Its versions are what it has learned, not files.
    pub(crate) fn learns(&self) -> bool {
        self.current().options.path.is_empty()
    }

    /// One version instead of all others: what a learner has learned by now.
    pub(crate) fn replace_versions(&self, version: Arc<ModelVersion>) {
        *self.versions.write() = Versions { all: vec![Arc::clone(&version)], current: version };
    }

    /// Makes a version the current one.
    pub(crate) fn use_version(&self, version: Arc<ModelVersion>) {
        self.versions.write().current = version;
    }

    /// Says that a pipeline calls it.
    pub(crate) fn used_by(self: &Arc<Self>, pipeline: &str) -> ModelUse {
        *self.users.lock().entry(pipeline.to_owned()).or_default() += 1;
        ModelUse { model: Arc::clone(self), pipeline: pipeline.to_owned() }
    }

    /// A running pipeline that calls it.
    pub(crate) fn user(&self) -> Option<String> {
        self.users.lock().keys().next().cloned()
    }

    pub(crate) fn figures(&self) -> ModelStatus {
        ModelStatus { name: self.name.clone(), version: self.current().number, ..self.counters.figures() }
    }
}

/// All models.
#[derive(Debug, Default)]
pub(crate) struct Models {
    by_name: RwLock<BTreeMap<String, Arc<RegisteredModel>>>,
}

impl Models {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<RegisteredModel>> {
        self.by_name.read().get(name).cloned()
    }

    pub(crate) fn insert(&self, model: Arc<RegisteredModel>) {
        self.by_name.write().insert(model.name.clone(), model);
    }

    pub(crate) fn remove(&self, name: &str) -> Option<Arc<RegisteredModel>> {
        self.by_name.write().remove(name)
    }

    pub(crate) fn all(&self) -> Vec<Arc<RegisteredModel>> {
        self.by_name.read().values().cloned().collect()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.by_name.read().keys().cloned().collect()
    }
}

impl RegisteredModel {
    /// What the data folder keeps of it, with one more version in use.
    pub(crate) fn stored_with(&self, more: Option<&ModelVersion>, current: u64) -> StoredModel {
        let store = |version: &ModelVersion| StoredVersion {
            number: version.number,
            hash: version.hash.to_string(),
            tokenizer: version.tokenizer.map(|hash| hash.to_string()),
            sql: version.sql.clone(),
        };
        let mut versions: Vec<StoredVersion> = self.versions.read().all.iter().map(|version| store(version)).collect();
        versions.extend(more.map(store));
        StoredModel { current, versions }
    }
}

/// What the data folder keeps of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredModel {
    /// Number of the version in use.
    pub(crate) current: u64,
    pub(crate) versions: Vec<StoredVersion>,
}

/// What the data folder keeps of a version; the file is beside, under its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredVersion {
    pub(crate) number: u64,
    pub(crate) hash: String,
    /// Hash of the tokenizer's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tokenizer: Option<String>,
    pub(crate) sql: String,
}
