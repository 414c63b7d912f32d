//! What a learner has learned so far, to predict with: it never changes.

use std::fmt;
use std::sync::{Mutex, OnceLock};

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::DataType;

use super::error::{LearnError, Result};
use super::model::{LearnerDefinition, OnlineModel};
use super::predictions::{Wanted, probabilities_type};
use super::row::Task;
use crate::error::{ModelError, ModelResult};
use crate::model::{Feature, FeatureKind, Model, Output, Signature, Task as ModelTask, Watch};

/// Copies that wait for the next call at most.
const COPIES_MAX: usize = 16;

/// A learner's state as a [`Model`]: outputs are the score, the prediction and, of classifiers, the probabilities. Before it has
/// learned anything all of them are NULL.
pub struct LearnedModel {
    signature: Signature,
    definition: LearnerDefinition,
    label_type: Option<DataType>,
    state: Option<RecordBatch>,
    /// Made of the state when it is first asked.
    learned: OnceLock<Option<OnlineModel>>,
    /// Predicting needs room of its own: one copy for each call at a time.
    copies: Mutex<Vec<OnlineModel>>,
}

impl fmt::Debug for LearnedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearnedModel").field("definition", &self.definition).finish_non_exhaustive()
    }
}

impl LearnedModel {
    /// Number of the output that is the score.
    pub const SCORE: usize = 0;
    /// Number of the output that is the prediction.
    pub const PREDICTION: usize = 1;
    /// Number of the output that are the probabilities.
    pub const PROBABILITIES: usize = 2;

    /// Of a state; `None`: it has learned nothing. Labels come out as `label_type`.
    pub fn new(definition: &LearnerDefinition, state: Option<&RecordBatch>, label_type: Option<DataType>) -> Result<Self> {
        let task = super::kind(&definition.kind)?.task;
        let signature = signature(definition, task, label_type.as_ref());
        let (learned, copies) = (OnceLock::new(), Mutex::new(Vec::new()));
        Ok(Self { signature, definition: definition.clone(), label_type, state: state.cloned(), learned, copies })
    }

    fn learned(&self) -> Option<&OnlineModel> {
        let state = self.state.as_ref()?;
        self.learned.get_or_init(|| OnlineModel::from_state(std::slice::from_ref(state)).ok()).as_ref()
    }

    fn run(&self, features: &[ArrayRef], rows: usize, wanted: Wanted) -> Result<Vec<ArrayRef>> {
        let nothing = || self.signature.outputs.iter().map(|output| new_null_array(&output.data_type, rows)).collect();
        let Some(learned) = self.learned() else { return Ok(nothing()) };
        let (keys, features) = match (&self.definition.key, features) {
            (Some(_), [key, features @ ..]) => (Some(key), features),
            (None, features) => (None, features),
            (Some(key), []) => return Err(LearnError::user(format!("no {key} is given"))),
        };
        let kept = self.copies.lock().ok().and_then(|mut copies| copies.pop());
        let mut copy = kept.unwrap_or_else(|| learned.clone());
        let predicted = copy.predict_by_key(keys, features, self.label_type.as_ref(), wanted)?;
        if let Ok(mut copies) = self.copies.lock()
            && copies.len() < COPIES_MAX
        {
            copies.push(copy);
        }
        let probabilities = predicted.probabilities.unwrap_or_else(|| new_null_array(&probabilities_type(), rows));
        Ok([predicted.score, predicted.prediction, probabilities].into_iter().take(self.signature.outputs.len()).collect())
    }
}

fn signature(definition: &LearnerDefinition, task: Task, label_type: Option<&DataType>) -> Signature {
    let key = definition.key.iter().map(|key| Feature { name: key.clone(), kind: FeatureKind::Text });
    let features = definition.features.iter().map(|name| Feature { name: name.clone(), kind: FeatureKind::Float64 });
    let output = |name: &str, data_type: DataType| Output { name: name.to_owned(), data_type };
    let mut outputs = vec![
        output("score", DataType::Float64),
        output("prediction", OnlineModel::prediction_type(task, definition.features.len(), label_type)),
    ];
    if matches!(task, Task::Binary | Task::Classes) {
        outputs.push(output("probabilities", probabilities_type()));
    }
    let task = if task == Task::Regression { ModelTask::Regression { value: LearnedModel::PREDICTION } } else { ModelTask::Other };
    Signature { features: key.chain(features).collect(), outputs, task }
}

impl Model for LearnedModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, features: &[ArrayRef], rows: usize, watch: &dyn Watch) -> ModelResult<Vec<ArrayRef>> {
        self.predict_wanted(features, rows, &[Self::PREDICTION, Self::PROBABILITIES], watch)
    }

    fn predict_wanted(&self, features: &[ArrayRef], rows: usize, wanted: &[usize], watch: &dyn Watch) -> ModelResult<Vec<ArrayRef>> {
        watch.check()?;
        let wanted = Wanted { label: wanted.contains(&Self::PREDICTION), probabilities: wanted.contains(&Self::PROBABILITIES) };
        self.run(features, rows, wanted).map_err(|error| ModelError::input(error.to_string()))
    }
}
