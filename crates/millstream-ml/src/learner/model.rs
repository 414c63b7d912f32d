//! A model that learns: Arrow columns in, predictions out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Float64Type};
use serde::{Deserialize, Serialize};

use super::error::{LearnError, Result};
use super::labels::{Classes, LabelColumn};
use super::options::{OptionReader, RawOptions};
use super::predictions::{Predictions, Wanted, collect};
use super::row::{Block, Counters, Learner, Mode, Predicted, Task};
use super::state::{StateReader, StateWriter};
use super::{Kind, kind};

/// Rows that are laid out one after the other at a time.
const BLOCK_ROWS: usize = 256;
/// Most features of a model.
const FEATURES_MAX: usize = 10_000;
/// Most keys of a model, where no option says otherwise.
const KEYS_MAX: usize = 100_000;
/// Of the rows that a model's state is.
const STATE_VERSION: u32 = 2;

/// What `CREATE MODEL … TYPE … FEATURES (…) LABEL … PARTITION BY … WITH (…)` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnerDefinition {
    /// The kind of learner, one of [`super::KINDS`].
    pub kind: String,
    /// Names of the features, in order.
    pub features: Vec<String>,
    /// Name of the label; kinds that learn without one have none.
    pub label: Option<String>,
    /// Name of the column of which each value has a model of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Hyper-parameters as written.
    pub options: RawOptions,
}

/// A learner with its classes, state and counters; one for each key, where there is a key.
#[derive(Clone, Debug)]
pub struct OnlineModel {
    definition: LearnerDefinition,
    kind: &'static Kind,
    keys_max: usize,
    /// The model, or what the model of a new key begins with.
    whole: Part,
    by_key: BTreeMap<String, Part>,
}

/// What learns: one model, or that of one key.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) learner: Box<dyn Learner>,
    pub(super) classes: Classes,
}

impl Clone for Part {
    fn clone(&self) -> Self {
        Self { learner: self.learner.boxed_clone(), classes: self.classes.clone() }
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
        for (at, name) in definition.features.iter().enumerate() {
            if definition.features[..at].contains(name) {
                return Err(LearnError::user(format!("feature {name} is named twice (hint: each feature once)")));
            }
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
        let keys_max = if definition.key.is_some() { options.count("keys_max", KEYS_MAX, 1..=100_000_000)? } else { 0 };
        let learner = (kind.make)(features, &mut options)?;
        options.finish()?;
        let classes = Classes::new(learner.task(), positive);
        Ok(Self { kind, keys_max, whole: Part { learner, classes }, by_key: BTreeMap::new(), definition })
    }

    /// What it was made from.
    pub fn definition(&self) -> &LearnerDefinition {
        &self.definition
    }

    /// What it predicts.
    pub fn task(&self) -> Task {
        self.kind.task
    }

    /// What it has gone through, over all keys.
    pub fn counters(&self) -> Counters {
        self.by_key.values().fold(*self.whole.learner.counters(), |sum, part| sum.plus(part.learner.counters()))
    }

    /// The keys that have a model.
    pub fn keys(&self) -> usize {
        self.by_key.len()
    }

    /// Names of the classes it knows; of a model by key those of all keys.
    pub fn class_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.whole.classes.names().iter().flatten().cloned().collect();
        for name in self.by_key.values().flat_map(|part| part.classes.names().iter().flatten()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Type of its labels, if it has seen one.
    pub fn label_type(&self) -> Option<DataType> {
        std::iter::once(&self.whole).chain(self.by_key.values()).find_map(|part| part.classes.label_type())
    }

    /// What it knows of one key, or at all; `None`: there is no such key.
    pub(super) fn part(&self, key: Option<&str>) -> Option<&Part> {
        match key {
            None => Some(&self.whole),
            Some(key) => self.by_key.get(key),
        }
    }

    /// What every model of it begins with.
    pub(super) fn whole_mut(&mut self) -> &mut Part {
        &mut self.whole
    }

    /// Type of the predictions, for labels of this type.
    pub fn prediction_type(task: Task, features: usize, label: Option<&DataType>) -> DataType {
        match (task, label) {
            (Task::Binary | Task::Classes, Some(label)) => label.clone(),
            (Task::Binary | Task::Classes, None) => DataType::Utf8,
            (Task::Cluster, _) => DataType::Int64,
            (Task::Anomaly, _) => DataType::Boolean,
            (Task::Regression, _) => DataType::Float64,
            (Task::Scale, _) => {
                let width = i32::try_from(features).unwrap_or(i32::MAX);
                DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Float64, true)), width)
            }
        }
    }

    /// Predicts rows. Labels come out as `label_type`.
    pub fn predict(&mut self, features: &[ArrayRef], label_type: Option<&DataType>) -> Result<Predictions> {
        self.run(None, features, None, label_type, Mode::Predict, Wanted::LABEL)
    }

    /// The same, of the model of each row's key, and what of it is wanted.
    pub fn predict_by_key(
        &mut self,
        keys: Option<&ArrayRef>,
        features: &[ArrayRef],
        label_type: Option<&DataType>,
        wanted: Wanted,
    ) -> Result<Predictions> {
        self.run(keys, features, None, label_type, Mode::Predict, wanted)
    }

    /// Predicts each row with what the rows before it taught, then learns it. A row without a label is predicted only.
    pub fn test_then_train(&mut self, features: &[ArrayRef], label: Option<&ArrayRef>) -> Result<Predictions> {
        self.test_then_train_by_key(None, features, label)
    }

    /// The same with the model of each row's key. A row without a key is neither predicted nor learned.
    pub fn test_then_train_by_key(
        &mut self,
        keys: Option<&ArrayRef>,
        features: &[ArrayRef],
        label: Option<&ArrayRef>,
    ) -> Result<Predictions> {
        let label_type = label.map(|label| label.data_type().clone());
        self.run(keys, features, label, label_type.as_ref(), Mode::TestThenTrain, Wanted::LABEL)
    }

    fn run(
        &mut self,
        keys: Option<&ArrayRef>,
        features: &[ArrayRef],
        label: Option<&ArrayRef>,
        label_type: Option<&DataType>,
        mode: Mode,
        wanted: Wanted,
    ) -> Result<Predictions> {
        let columns = self.numbers(features)?;
        let rows = columns.first().map_or(0, |column| column.len());
        if label.is_some_and(|label| label.len() != rows) || keys.is_some_and(|keys| keys.len() != rows) {
            return Err(LearnError::user("features, label and key differ in their number of rows"));
        }
        let task = self.kind.task;
        match (keys, &self.definition.key) {
            (None, None) => run_part(&mut self.whole, task, &columns, label, label_type, mode, wanted),
            (Some(keys), Some(_)) => self.run_keys(&cast(keys, &DataType::Utf8)?, &columns, label, label_type, mode, wanted),
            (None, Some(key)) => Err(LearnError::user(format!("the model has a model for each {key}: no key is given"))),
            (Some(_), None) => Err(LearnError::user("the model has no key (hint: CREATE MODEL … PARTITION BY key)")),
        }
    }

    /// Each key's rows in their order through the model of the key.
    fn run_keys(
        &mut self,
        keys: &ArrayRef,
        columns: &[Float64Array],
        label: Option<&ArrayRef>,
        label_type: Option<&DataType>,
        mode: Mode,
        wanted: Wanted,
    ) -> Result<Predictions> {
        let keys = keys.as_string::<i32>();
        let mut groups: Vec<(Option<&str>, Vec<u32>)> = Vec::new();
        let mut places: HashMap<Option<&str>, usize> = HashMap::new();
        for (row, key) in keys.iter().enumerate() {
            let place = *places.entry(key).or_insert(groups.len());
            if place == groups.len() {
                groups.push((key, Vec::new()));
            }
            groups[place].1.push(row as u32);
        }
        let (task, features) = (self.kind.task, self.definition.features.len());
        let mut parts = Vec::with_capacity(groups.len());
        let mut order = vec![0_u32; keys.len()];
        let mut at = 0;
        for (key, rows) in groups {
            for row in &rows {
                order[*row as usize] = at;
                at += 1;
            }
            let count = rows.len();
            let rows = UInt32Array::from(rows);
            let part = key.map_or(Ok(None), |key| self.part_of(key, mode))?;
            parts.push(match part {
                None => Predictions::unknown(task, features, label_type, count, wanted),
                Some(part) => {
                    let columns = columns.iter().map(|column| Ok(take(column, &rows, None)?.as_primitive::<Float64Type>().clone()));
                    let label = label.map(|label| take(label, &rows, None)).transpose()?;
                    run_part(part, task, &columns.collect::<Result<Vec<_>>>()?, label.as_ref(), label_type, mode, wanted)?
                }
            });
        }
        Predictions::in_order(&parts, &UInt32Array::from(order))
    }

    /// The model of a key; a new one if it is to learn. `None`: nothing is known of the key.
    fn part_of(&mut self, key: &str, mode: Mode) -> Result<Option<&mut Part>> {
        if mode == Mode::TestThenTrain && !self.by_key.contains_key(key) {
            if self.by_key.len() >= self.keys_max {
                return Err(LearnError::user(format!(
                    "the model has {} keys already, '{key}' would be one more (hint: WITH ('keys_max' = '{}'))",
                    self.keys_max,
                    self.keys_max.saturating_mul(10)
                )));
            }
            self.by_key.insert(key.to_owned(), self.whole.clone());
        }
        Ok(self.by_key.get_mut(key))
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

    /// Everything it needs to go on, as rows of [`super::state_schema`].
    pub fn state(&self) -> Result<RecordBatch> {
        let mut state = StateWriter::default();
        let definition = serde_json::to_string(&self.definition).map_err(|error| LearnError::state(error.to_string()))?;
        state.texts("definition", [Some(definition.as_str())]);
        state.values("state_version", &[f64::from(STATE_VERSION)]);
        self.whole.save(&mut state);
        for (key, part) in &self.by_key {
            state.about(Some(key));
            part.save(&mut state);
        }
        state.finish()
    }

    /// Takes a state over, of a model with the same kind, features and hyper-parameters; otherwise the model stays as it is.
    pub fn restore(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let states = StateReader::by_key(batches)?;
        let saved = saved_definition(&states)?;
        if saved != self.definition {
            return Err(LearnError::user(format!(
                "this state is of another model: {} of ({}) (hint: type, features, label, key and options must be the same)",
                saved.kind,
                saved.features.join(", ")
            )));
        }
        self.load(&states)
    }

    fn load(&mut self, states: &BTreeMap<Option<String>, StateReader>) -> Result<()> {
        let mut fresh = Self::new(self.definition.clone())?;
        let begin = fresh.whole.clone();
        for (key, state) in states {
            match key {
                None => fresh.whole.load(state)?,
                Some(key) => {
                    let mut part = begin.clone();
                    part.load(state)?;
                    fresh.by_key.insert(key.clone(), part);
                }
            }
        }
        *self = fresh;
        Ok(())
    }

    /// Begins where a state ended, with hyper-parameters that may be others: kind, features and key must be the same, and the state
    /// must hold what the hyper-parameters need.
    pub fn start_from(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let states = StateReader::by_key(batches)?;
        let saved = saved_definition(&states)?;
        let own = &self.definition;
        let differs = |what: &str, saved: &str, own: &str| {
            Err(LearnError::user(format!("the state is of a model with {what} {saved}: this one has {own} (hint: make them the same)")))
        };
        if !saved.kind.eq_ignore_ascii_case(&own.kind) {
            return differs("TYPE", &saved.kind, &own.kind);
        }
        if saved.features != own.features {
            return differs("FEATURES", &format!("({})", saved.features.join(", ")), &format!("({})", own.features.join(", ")));
        }
        if saved.key.is_some() != own.key.is_some() {
            let or_none = |key: &Option<String>| key.clone().unwrap_or_else(|| "nothing".to_owned());
            return differs("PARTITION BY", &or_none(&saved.key), &or_none(&own.key));
        }
        self.load(&states).map_err(|error| {
            LearnError::user(format!("the state does not fit these options: {error} (hint: those that it was learned with do)"))
        })
    }

    /// A model from nothing but its state.
    pub fn from_state(batches: &[RecordBatch]) -> Result<Self> {
        let mut model = Self::new(saved_definition(&StateReader::by_key(batches)?)?)?;
        model.restore(batches)?;
        Ok(model)
    }
}

impl Part {
    fn save(&self, state: &mut StateWriter) {
        self.classes.save(state);
        self.learner.save(state);
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        self.classes.load(state)?;
        self.learner.load(state)
    }
}

/// Rows through one model.
fn run_part(
    part: &mut Part,
    task: Task,
    columns: &[Float64Array],
    label: Option<&ArrayRef>,
    label_type: Option<&DataType>,
    mode: Mode,
    wanted: Wanted,
) -> Result<Predictions> {
    let rows = columns.first().map_or(0, |column| column.len());
    let labels = label.map_or(Ok(LabelColumn::Absent), |label| part.classes.column(task, label))?;
    let width = columns.len();
    let mut predicted = Predicted::new(rows, wanted.probabilities || task == Task::Scale);
    let (mut values, mut valid) = (vec![0.0; BLOCK_ROWS.min(rows) * width], vec![true; BLOCK_ROWS]);
    for first in (0..rows).step_by(BLOCK_ROWS) {
        let count = BLOCK_ROWS.min(rows - first);
        lay_out(columns, first, count, &mut values, &mut valid);
        let block = Block { values: &values[..count * width], width, valid: &valid[..count], labels: &labels, first };
        part.learner.run(&block, &mut part.classes, mode, &mut predicted)?;
    }
    collect(predicted, task, width, &part.classes, label_type, wanted)
}

fn saved_definition(states: &BTreeMap<Option<String>, StateReader>) -> Result<LearnerDefinition> {
    let lacks = || LearnError::state("a model's state lacks the model's definition");
    let state = states.get(&None).ok_or_else(lacks)?;
    let mut version = [0.0];
    state.fill("state_version", &mut version)?;
    if version[0] != f64::from(STATE_VERSION) {
        return Err(LearnError::state(format!("a model's state has version {}: this program reads version {STATE_VERSION}", version[0])));
    }
    let text = state.texts("definition").into_iter().next().flatten();
    text.and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(lacks)
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
