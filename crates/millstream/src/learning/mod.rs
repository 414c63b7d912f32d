//! Models that learn from streams: their definitions, the operator that trains them, and what they have learned.
//!
//! ```text
//! CREATE MODEL m TYPE …          ──▶ Learner in Learners
//! TABLE(LEARN(TABLE t, MODEL m)) ──▶ relation.rs ──▶ OrderedNode ──▶ OrderedRows with a LearnTransform (transform.rs)
//!                                                                        │ its checkpoint exists
//! m(a, b), model_state('m')      ◀── functions.rs ◀── Learner::published ◀┘
//! ```
//!
//! Only the operator itself sees what it has just learned; everybody else sees the state of its last committed checkpoint, so that
//! nothing is predicted from what a crash takes back.

mod functions;
mod relation;
mod transform;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use datafusion::arrow::array::RecordBatch;
use millstream_ml::learner::{LearnError, LearnerDefinition, OnlineModel, Task};
use parking_lot::{Mutex, RwLock};

pub(crate) use functions::{ModelState, scoring_function};
pub(crate) use relation::{LearnRelationPlanner, learn_plan};

use crate::error::{Error, Result};

/// Every model that learns, by name.
#[derive(Debug, Default)]
pub(crate) struct Learners {
    by_name: RwLock<BTreeMap<String, Arc<Learner>>>,
}

impl Learners {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Learner>> {
        self.by_name.read().get(name).cloned()
    }

    pub(crate) fn insert(&self, learner: Arc<Learner>) {
        self.by_name.write().insert(learner.name.clone(), learner);
    }

    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Learner>> {
        self.by_name.write().remove(name)
    }

    /// The model of this name, or an error that names one like it.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Learner>> {
        if let Some(learner) = self.get(name) {
            return Ok(learner);
        }
        let names: Vec<String> = self.by_name.read().keys().cloned().collect();
        let hint = match millstream_connectors::options::did_you_mean(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("CREATE MODEL {name} TYPE logistic_regression FEATURES (…) LABEL y"),
        };
        Err(Error::user("42704", format!("there is no model {name} that learns (hint: {hint})")))
    }
}

/// One model that learns.
#[derive(Debug)]
pub(crate) struct Learner {
    pub(crate) name: String,
    pub(crate) definition: LearnerDefinition,
    pub(crate) task: Task,
    /// It was made `AS SELECT`: a pipeline of its name trains it.
    pub(crate) own_pipeline: bool,
    /// The pipeline that trains it, as long as there is one.
    writer: Mutex<Option<(String, Weak<()>)>>,
    published: RwLock<Option<Arc<Published>>>,
}

/// What a committed checkpoint says of a model.
#[derive(Debug)]
struct Published {
    state: RecordBatch,
    /// Made when it is first asked.
    model: OnceLock<Option<OnlineModel>>,
}

impl Learner {
    /// Refuses what no model can be made of.
    pub(crate) fn new(name: &str, definition: LearnerDefinition, own_pipeline: bool) -> Result<Self> {
        let model = OnlineModel::new(definition.clone()).map_err(|error| learn_error(&error))?;
        let task = model.task();
        Ok(Self { name: name.to_owned(), definition, task, own_pipeline, writer: Mutex::new(None), published: RwLock::new(None) })
    }

    /// Says that `pipeline` trains it from now on, as long as the token lives; an error if another one does.
    fn claim(&self, pipeline: &str) -> Result<Arc<()>> {
        let mut writer = self.writer.lock();
        if let Some((other, token)) = &*writer
            && token.strong_count() > 0
            && other != pipeline
        {
            let name = &self.name;
            return Err(Error::user(
                "55006",
                format!("pipeline {other} trains model {name} already (hint: DROP PIPELINE {other}, or make another model)"),
            ));
        }
        let token = Arc::new(());
        *writer = Some((pipeline.to_owned(), Arc::downgrade(&token)));
        Ok(token)
    }

    /// The pipeline that trains it now.
    pub(crate) fn writer(&self) -> Option<String> {
        self.writer.lock().as_ref().filter(|(_, token)| token.strong_count() > 0).map(|(pipeline, _)| pipeline.clone())
    }

    fn publish(&self, state: RecordBatch) {
        *self.published.write() = Some(Arc::new(Published { state, model: OnceLock::new() }));
    }

    /// The state of the last committed checkpoint; `None` before the first.
    pub(crate) fn state(&self) -> Option<RecordBatch> {
        self.published.read().as_ref().map(|published| published.state.clone())
    }

    /// The model as of the last committed checkpoint.
    fn model(&self) -> Option<OnlineModel> {
        let published = self.published.read().clone()?;
        let make = || OnlineModel::from_state(std::slice::from_ref(&published.state)).ok();
        published.model.get_or_init(make).clone()
    }
}

/// In the engine's words.
pub(crate) fn learn_error(error: &LearnError) -> Error {
    match error {
        LearnError::User(message) => Error::user("22023", message.clone()),
        LearnError::State(message) => Error::user("XX001", message.clone()),
        other => Error::internal(other.to_string()),
    }
}
