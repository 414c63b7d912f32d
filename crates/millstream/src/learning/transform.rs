//! Test, then train: what the LEARN operator does with rows in order.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_ml::learner::{LearnError, OnlineModel, Task, state_schema};
use millstream_operators::{MakeTransform, OrderedTransform};
use parking_lot::Mutex;

use super::Learner;

/// Makes the transforms of one LEARN.
#[derive(Debug)]
pub(super) struct MakeLearn {
    learner: Arc<Learner>,
    /// Columns of the input.
    features: Vec<usize>,
    label: Option<usize>,
    key: Option<usize>,
    /// Type of the predictions.
    prediction: DataType,
    /// Type of the label.
    label_type: Option<DataType>,
    /// Says that a pipeline trains the model: what it learns is shown to others.
    claim: Mutex<Option<Arc<()>>>,
}

impl MakeLearn {
    pub(super) fn new(learner: Arc<Learner>, features: Vec<usize>, label: Option<(usize, DataType)>, key: Option<usize>) -> Self {
        let (label, label_type) = label.unzip();
        let prediction = OnlineModel::prediction_type(learner.task, features.len(), label_type.as_ref());
        Self { learner, features, label, key, prediction, label_type, claim: Mutex::new(None) }
    }
}

impl MakeTransform for MakeLearn {
    fn describe(&self) -> String {
        let definition = &self.learner.definition;
        let options: Vec<String> = definition.options.iter().map(|(key, value)| format!("'{key}' = '{value}'")).collect();
        let options = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
        let label = definition.label.as_ref().map(|label| format!(" LABEL {label}")).unwrap_or_default();
        let key = definition.key.as_ref().map(|key| format!(" PARTITION BY {key}")).unwrap_or_default();
        let (name, kind, features) = (&self.learner.name, &definition.kind, definition.features.join(", "));
        format!("LEARN {name}: {kind} FEATURES ({features}){label}{key}{options}")
    }

    fn added(&self) -> Vec<FieldRef> {
        let field = |name: &str, data_type: DataType| -> FieldRef { Arc::new(Field::new(name, data_type, true)) };
        if self.learner.task == Task::Scale {
            let names = self.learner.definition.features.iter();
            return names.map(|name| field(&format!("scaled_{name}"), DataType::Float64)).collect();
        }
        vec![field("prediction", self.prediction.clone()), field("score", DataType::Float64)]
    }

    fn subject(&self) -> &str {
        &self.learner.name
    }

    fn claim(&self, pipeline: &str) -> Result<()> {
        let token = self.learner.claim(pipeline).map_err(|error| DataFusionError::External(Box::new(error)))?;
        *self.claim.lock() = Some(token);
        self.learner.knows_labels(self.label_type.as_ref());
        Ok(())
    }

    fn make(&self) -> Result<Box<dyn OrderedTransform>> {
        Ok(Box::new(LearnTransform {
            model: self.learner.begin().map_err(failed)?,
            learner: Arc::clone(&self.learner),
            features: self.features.clone(),
            label: self.label,
            key: self.key,
            added: self.added(),
            publishes: self.claim.lock().is_some(),
            sealed: None,
        }))
    }
}

/// A column for each place of the lists.
fn each_element(lists: &FixedSizeListArray) -> Result<Vec<ArrayRef>> {
    let width = lists.value_length() as usize;
    let element = |place: usize| {
        let rows = (0..lists.len()).map(|row| lists.is_valid(row).then_some((row * width + place) as u32));
        Ok(take(lists.values(), &rows.collect::<UInt32Array>(), None)?)
    };
    (0..width).map(element).collect()
}

fn failed(error: LearnError) -> DataFusionError {
    DataFusionError::External(Box::new(super::learn_error(&error)))
}

#[derive(Debug)]
struct LearnTransform {
    model: OnlineModel,
    learner: Arc<Learner>,
    features: Vec<usize>,
    label: Option<usize>,
    key: Option<usize>,
    added: Vec<FieldRef>,
    publishes: bool,
    /// Goes into the checkpoint that is being made.
    sealed: Option<RecordBatch>,
}

impl OrderedTransform for LearnTransform {
    fn transform(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let features: Vec<ArrayRef> = self.features.iter().map(|column| Arc::clone(rows.column(*column))).collect();
        let (key, label) = (self.key.map(|column| rows.column(column)), self.label.map(|column| rows.column(column)));
        let predicted = self.model.test_then_train_by_key(key, &features, label).map_err(failed)?;
        let mut fields = rows.schema().fields().to_vec();
        fields.extend(self.added.iter().map(Arc::clone));
        let mut columns = rows.columns().to_vec();
        match predicted.prediction.as_fixed_size_list_opt() {
            Some(scaled) if self.learner.task == Task::Scale => columns.extend(each_element(scaled)?),
            _ => columns.extend([predicted.prediction, predicted.score]),
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    fn seal(&mut self) -> Result<RecordBatch> {
        let state = self.model.state().map_err(failed)?;
        self.sealed = self.publishes.then(|| state.clone());
        Ok(state)
    }

    fn committed(&mut self) {
        if let Some(state) = self.sealed.take() {
            self.learner.publish(&state);
        }
    }

    fn publishes(&self) -> bool {
        self.publishes
    }

    fn restore(&mut self, rows: &[RecordBatch]) -> Result<()> {
        self.model.restore(rows).map_err(failed)?;
        if self.publishes {
            self.learner.publish(&self.model.state().map_err(failed)?);
        }
        Ok(())
    }

    fn state_schema(&self) -> SchemaRef {
        state_schema()
    }
}
