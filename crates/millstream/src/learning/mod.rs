//! Models that learn from streams: their definitions, the operator that trains them, and what they have learned.
//!
//! ```text
//! CREATE MODEL m TYPE …          ──▶ Learner in Learners
//! TABLE(LEARN(TABLE t, MODEL m)) ──▶ relation.rs ──▶ OrderedNode ──▶ OrderedRows with a LearnTransform (transform.rs)
//!                                                                        │ its checkpoint exists
//! m(a, b), predict('m', …)       ◀── a version of a RegisteredModel ◀── Learner::publish ──▶ model_state('m') (functions.rs)
//! ```
//!
//! Only the operator itself sees what it has just learned; everybody else sees the state of its last committed checkpoint, so that
//! nothing is predicted from what a crash takes back. To them each checkpoint is a version of a model like those of files: they take
//! it over between two epochs, never within one.

mod functions;
mod published;
mod relation;
mod transform;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use millstream_ml::learner::{LearnError, LearnerDefinition, OnlineModel, Task};
use parking_lot::{Mutex, RwLock};

pub(crate) use functions::ModelState;
pub(crate) use relation::{Columns, LearnRelationPlanner, learn_plan};

use crate::error::{Error, Result};
use crate::model::RegisteredModel;

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
    /// It was made `AS SELECT` from a stream: a pipeline of its name trains it.
    pub(crate) own_pipeline: bool,
    /// The statement that made it.
    pub(crate) sql: String,
    /// What others call.
    pub(crate) registered: Arc<RegisteredModel>,
    /// What everybody who trains it begins with; `None`: nothing.
    initial: Option<RecordBatch>,
    /// Type of its labels, as soon as it is known.
    label_type: RwLock<Option<DataType>>,
    /// The pipeline that trains it, as long as there is one.
    writer: Mutex<Option<(String, Weak<()>)>>,
    /// What the last committed checkpoint says of it.
    published: RwLock<Option<RecordBatch>>,
}

/// What a learner is made of besides its definition.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    pub(crate) own_pipeline: bool,
    pub(crate) sql: String,
    /// A state to begin with.
    pub(crate) initial: Option<RecordBatch>,
    /// The one that it takes the place of: who calls that one calls this one then.
    pub(crate) replaces: Option<Arc<RegisteredModel>>,
}

impl Learner {
    /// Refuses what no model can be made of. It is not seen by others before [`Self::show`].
    pub(crate) fn new(name: &str, definition: LearnerDefinition, origin: Origin) -> Result<Self> {
        let model = OnlineModel::new(definition.clone()).map_err(|error| learn_error(&error))?;
        let Origin { own_pipeline, sql, initial, replaces } = origin;
        let begun = match &initial {
            Some(state) => Some(OnlineModel::from_state(std::slice::from_ref(state)).map_err(|error| learn_error(&error))?),
            None => None,
        };
        let label_type = begun.as_ref().and_then(OnlineModel::label_type);
        let task = model.task();
        let first = |number| published::version(&definition, task, number, &sql, initial.as_ref(), label_type.clone());
        let registered = match replaces {
            Some(registered) => registered,
            None => Arc::new(RegisteredModel::new(name.to_owned(), Arc::new(first(0)?))),
        };
        Ok(Self {
            name: name.to_owned(),
            task,
            own_pipeline,
            sql,
            registered,
            initial,
            label_type: RwLock::new(label_type),
            writer: Mutex::new(None),
            published: RwLock::new(None),
            definition,
        })
    }

    /// The model that training begins with.
    pub(crate) fn begin(&self) -> millstream_ml::learner::Result<OnlineModel> {
        let mut model = OnlineModel::new(self.definition.clone())?;
        if let Some(state) = &self.initial {
            model.restore(std::slice::from_ref(state))?;
        }
        Ok(model)
    }

    /// From now on others see it, with what it begins with.
    pub(crate) fn show(&self) {
        match &self.initial {
            Some(state) => self.publish(state),
            None => self.next_version(None),
        }
    }

    /// The type of its labels is known; whoever is planned from now on counts on it.
    fn knows_labels(&self, label_type: Option<&DataType>) {
        if label_type.is_some() && self.label_type.read().as_ref() != label_type {
            *self.label_type.write() = label_type.cloned();
            let published = self.published.read().clone();
            self.next_version(published.as_ref());
        }
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

    /// The state of a committed checkpoint.
    fn publish(&self, state: &RecordBatch) {
        *self.published.write() = Some(state.clone());
        self.next_version(Some(state));
    }

    fn next_version(&self, state: Option<&RecordBatch>) {
        let number = self.registered.next_number();
        let number = if state.is_none() { number.saturating_sub(1) } else { number };
        let label_type = self.label_type.read().clone();
        match published::version(&self.definition, self.task, number, &self.sql, state, label_type) {
            Ok(version) => self.registered.replace_versions(Arc::new(version)),
            // The definition was tried before, and the state is what the model itself wrote.
            Err(error) => tracing::error!(model = self.name, %error, "what a model has learned cannot be shown"),
        }
    }

    /// The state of the last committed checkpoint, or what it begins with; `None`: it has learned nothing yet.
    pub(crate) fn state(&self) -> Option<RecordBatch> {
        self.published.read().clone()
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
