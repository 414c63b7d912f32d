//! A model that learns: Arrow columns in, predictions out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use serde::{Deserialize, Serialize};

use super::error::{LearnError, Result};
use super::labels::{Classes, LabelColumn};
use super::options::{OptionReader, RawOptions};
use super::row::{Block, Counters, Learner, Mode, Predicted, Task};
use super::state::{StateReader, StateWriter};
use super::{Kind, kind};

/// Rows that are laid out one after the other at a time.
const BLOCK_ROWS: usize = 256;
/// Most features of a model.
const FEATURES_MAX: usize = 10_000;
/// Of the rows that a model's state is.
const STATE_VERSION: u32 = 1;

/// What `CREATE MODEL … TYPE … FEATURES (…) LABEL … WITH (…)` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnerDefinition {
    /// The kind of learner, one of [`super::KINDS`].
    pub kind: String,
    /// Names of the features, in order.
    pub features: Vec<String>,
    /// Name of the label; kinds that learn without one have none.
    pub label: Option<String>,
    /// Hyper-parameters as written.
    pub options: RawOptions,
}

/// A learner with its classes, state and counters.
#[derive(Debug)]
pub struct OnlineModel {
    definition: LearnerDefinition,
    kind: &'static Kind,
    learner: Box<dyn Learner>,
    classes: Classes,
}

/// A prediction for every row.
#[derive(Debug)]
pub struct Predictions {
    /// A number, a label, the number of a cluster, or whether a row is an anomaly; NULL where nothing is known.
    pub prediction: ArrayRef,
    /// The same number; the probability of the positive class, or of the predicted one if none is set apart; the distance; how
    /// unusual a row is.
    pub score: ArrayRef,
}

impl Clone for OnlineModel {
    fn clone(&self) -> Self {
        Self { definition: self.definition.clone(), kind: self.kind, learner: self.learner.boxed_clone(), classes: self.classes.clone() }
    }
}

impl OnlineModel {
    /// A model that has learned nothing yet; refuses unknown kinds, options and values.
    pub fn new(definition: LearnerDefinition) -> Result<Self> {
        let kind = kind(&definition.kind)?;
        let features = definition.features.len();
        if !(1..=FEATURES_MAX).contains(&features) {
            return Err(LearnError::user(format!("a model takes 1 to {FEATURES_MAX} features: got {features} (hint: FEATURES (a, b, …))")));
        }
        match (&definition.label, kind.task.labelled()) {
            (None, true) => return Err(LearnError::user(format!("{} learns from a label (hint: LABEL y)", kind.name))),
            (Some(label), false) => {
                return Err(LearnError::user(format!("{} learns without a label: got LABEL {label} (hint: leave it out)", kind.name)));
            }
            _ => {}
        }
        let mut options = OptionReader::new(kind.name, &definition.options);
        let positive = if matches!(kind.task, Task::Binary | Task::Classes) { options.text("positive_label") } else { None };
        let learner = (kind.make)(features, &mut options)?;
        options.finish()?;
        let classes = Classes::new(learner.task(), positive);
        Ok(Self { kind, learner, classes, definition })
    }

    /// What it was made from.
    pub fn definition(&self) -> &LearnerDefinition {
        &self.definition
    }

    /// What it predicts.
    pub fn task(&self) -> Task {
        self.kind.task
    }

    /// What it has gone through.
    pub fn counters(&self) -> &Counters {
        self.learner.counters()
    }

    /// Names of the classes it knows.
    pub fn class_names(&self) -> &[Option<String>] {
        self.classes.names()
    }

    /// Type of the predictions, for labels of this type.
    pub fn prediction_type(task: Task, label: Option<&DataType>) -> DataType {
        match (task, label) {
            (Task::Binary | Task::Classes, Some(label)) => label.clone(),
            (Task::Binary | Task::Classes, None) => DataType::Utf8,
            (Task::Cluster, _) => DataType::Int64,
            (Task::Anomaly, _) => DataType::Boolean,
            (Task::Regression, _) => DataType::Float64,
        }
    }

    /// Predicts rows. Labels come out as `label_type`.
    pub fn predict(&mut self, features: &[ArrayRef], label_type: Option<&DataType>) -> Result<Predictions> {
        self.run(features, None, label_type, Mode::Predict)
    }

    /// Predicts each row with what the rows before it taught, then learns it. A row without a label is predicted only.
    pub fn test_then_train(&mut self, features: &[ArrayRef], label: Option<&ArrayRef>) -> Result<Predictions> {
        let label_type = label.map(|label| label.data_type().clone());
        self.run(features, label, label_type.as_ref(), Mode::TestThenTrain)
    }

    fn run(&mut self, features: &[ArrayRef], label: Option<&ArrayRef>, label_type: Option<&DataType>, mode: Mode) -> Result<Predictions> {
        let columns = self.numbers(features)?;
        let rows = columns.first().map_or(0, |column| column.len());
        let labels = match label {
            Some(label) if label.len() != rows => return Err(LearnError::user("features and label differ in their number of rows")),
            Some(label) => self.classes.column(self.kind.task, label)?,
            None => LabelColumn::Absent,
        };
        let mut predicted = Predicted { prediction: Vec::with_capacity(rows), score: Vec::with_capacity(rows) };
        let width = columns.len();
        let (mut values, mut valid) = (vec![0.0; BLOCK_ROWS * width], vec![true; BLOCK_ROWS]);
        for first in (0..rows).step_by(BLOCK_ROWS) {
            let count = BLOCK_ROWS.min(rows - first);
            lay_out(&columns, first, count, &mut values, &mut valid);
            let block = Block { values: &values[..count * width], width, valid: &valid[..count], labels: &labels, first };
            self.learner.run(&block, &mut self.classes, mode, &mut predicted)?;
        }
        self.finish(predicted, label_type)
    }

    fn numbers(&self, features: &[ArrayRef]) -> Result<Vec<Float64Array>> {
        if features.len() != self.definition.features.len() {
            return Err(LearnError::user(format!(
                "the model has {} features ({}): got {}",
                self.definition.features.len(),
                self.definition.features.join(", "),
                features.len()
            )));
        }
        let mut columns = Vec::with_capacity(features.len());
        for (name, column) in self.definition.features.iter().zip(features) {
            if !(column.data_type().is_numeric() || *column.data_type() == DataType::Boolean || *column.data_type() == DataType::Null) {
                return Err(LearnError::user(format!(
                    "feature {name} must be a number: got {} (hint: CAST({name} AS DOUBLE))",
                    column.data_type()
                )));
            }
            columns.push(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone());
        }
        Ok(columns)
    }

    fn finish(&self, predicted: Predicted, label_type: Option<&DataType>) -> Result<Predictions> {
        let known = |number: &f64| (!number.is_nan()).then_some(*number);
        let prediction: ArrayRef = match self.kind.task {
            Task::Regression => Arc::new(predicted.prediction.iter().map(known).collect::<Float64Array>()),
            Task::Cluster => Arc::new(predicted.prediction.iter().map(|n| known(n).map(|n| n as i64)).collect::<Int64Array>()),
            Task::Anomaly => Arc::new(predicted.prediction.iter().map(|n| known(n).map(|n| n != 0.0)).collect::<BooleanArray>()),
            Task::Binary | Task::Classes => self.classes.array(&predicted.prediction, label_type.unwrap_or(&DataType::Utf8))?,
        };
        let score: ArrayRef = if predicted.score.iter().any(|score| score.is_nan()) {
            Arc::new(predicted.score.iter().map(known).collect::<Float64Array>())
        } else {
            Arc::new(Float64Array::from(predicted.score))
        };
        Ok(Predictions { prediction, score })
    }

    /// Everything it needs to go on, as rows of [`super::state_schema`].
    pub fn state(&self) -> Result<RecordBatch> {
        let mut state = StateWriter::default();
        let definition = serde_json::to_string(&self.definition).map_err(|error| LearnError::state(error.to_string()))?;
        state.texts("definition", [Some(definition.as_str())]);
        state.values("state_version", &[f64::from(STATE_VERSION)]);
        self.classes.save(&mut state);
        self.learner.save(&mut state);
        state.finish()
    }

    /// Takes a state over, of a model with the same kind, features and hyper-parameters; otherwise the model stays as it is.
    pub fn restore(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let state = StateReader::new(batches)?;
        let saved = saved_definition(&state)?;
        if saved != self.definition {
            return Err(LearnError::user(format!(
                "this state is of another model: {} of ({}) (hint: type, features, label and options must be the same)",
                saved.kind,
                saved.features.join(", ")
            )));
        }
        let mut fresh = Self::new(saved)?;
        fresh.classes.load(&state)?;
        fresh.learner.load(&state)?;
        *self = fresh;
        Ok(())
    }

    /// A model from nothing but its state.
    pub fn from_state(batches: &[RecordBatch]) -> Result<Self> {
        let mut model = Self::new(saved_definition(&StateReader::new(batches)?)?)?;
        model.restore(batches)?;
        Ok(model)
    }
}

fn saved_definition(state: &StateReader) -> Result<LearnerDefinition> {
    let mut version = [0.0];
    state.fill("state_version", &mut version)?;
    if version[0] != f64::from(STATE_VERSION) {
        return Err(LearnError::state(format!("a model's state has version {}: this program reads version {STATE_VERSION}", version[0])));
    }
    let text = state.texts("definition").into_iter().next().flatten();
    let definition = text.and_then(|text| serde_json::from_str(&text).ok());
    definition.ok_or_else(|| LearnError::state("a model's state lacks the model's definition"))
}

/// Columns to rows.
fn lay_out(columns: &[Float64Array], first: usize, count: usize, values: &mut [f64], valid: &mut [bool]) {
    let width = columns.len();
    valid[..count].fill(true);
    for (feature, column) in columns.iter().enumerate() {
        let numbers = &column.values()[first..first + count];
        for (into, number) in values[feature..].iter_mut().step_by(width).zip(numbers) {
            *into = *number;
        }
        if column.null_count() > 0 {
            for (row, valid) in valid[..count].iter_mut().enumerate() {
                *valid &= column.is_valid(first + row);
            }
        }
    }
}
