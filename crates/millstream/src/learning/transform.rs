//! Test, then train: what the LEARN operator does with rows in order.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_ml::learner::{LearnError, OnlineModel, state_schema};
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
    /// Type of the predictions.
    prediction: DataType,
    /// Says that a pipeline trains the model: what it learns is shown to others.
    claim: Mutex<Option<Arc<()>>>,
}

impl MakeLearn {
    pub(super) fn new(learner: Arc<Learner>, features: Vec<usize>, label: Option<(usize, DataType)>) -> Self {
        let prediction = OnlineModel::prediction_type(learner.task, label.as_ref().map(|(_, data_type)| data_type));
        Self { learner, features, label: label.map(|(column, _)| column), prediction, claim: Mutex::new(None) }
    }
}

impl MakeTransform for MakeLearn {
    fn describe(&self) -> String {
        let definition = &self.learner.definition;
        let options: Vec<String> = definition.options.iter().map(|(key, value)| format!("'{key}' = '{value}'")).collect();
        let options = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
        let label = definition.label.as_ref().map(|label| format!(" LABEL {label}")).unwrap_or_default();
        let (name, kind, features) = (&self.learner.name, &definition.kind, definition.features.join(", "));
        format!("LEARN {name}: {kind} FEATURES ({features}){label}{options}")
    }

    fn added(&self) -> Vec<FieldRef> {
        vec![Arc::new(Field::new("prediction", self.prediction.clone(), true)), Arc::new(Field::new("score", DataType::Float64, true))]
    }

    fn claim(&self, pipeline: &str) -> Result<()> {
        let token = self.learner.claim(pipeline).map_err(|error| DataFusionError::External(Box::new(error)))?;
        *self.claim.lock() = Some(token);
        Ok(())
    }

    fn make(&self) -> Result<Box<dyn OrderedTransform>> {
        Ok(Box::new(LearnTransform {
            model: OnlineModel::new(self.learner.definition.clone()).map_err(failed)?,
            learner: Arc::clone(&self.learner),
            features: self.features.clone(),
            label: self.label,
            added: self.added(),
            publishes: self.claim.lock().is_some(),
            sealed: None,
        }))
    }
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
    added: Vec<FieldRef>,
    publishes: bool,
    /// Goes into the checkpoint that is being made.
    sealed: Option<RecordBatch>,
}

impl OrderedTransform for LearnTransform {
    fn transform(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let features: Vec<ArrayRef> = self.features.iter().map(|column| Arc::clone(rows.column(*column))).collect();
        let predicted = self.model.test_then_train(&features, self.label.map(|column| rows.column(column))).map_err(failed)?;
        let mut fields = rows.schema().fields().to_vec();
        fields.extend(self.added.iter().map(Arc::clone));
        let mut columns = rows.columns().to_vec();
        columns.extend([predicted.prediction, predicted.score]);
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    fn seal(&mut self) -> Result<RecordBatch> {
        let state = self.model.state().map_err(failed)?;
        self.sealed = self.publishes.then(|| state.clone());
        Ok(state)
    }

    fn committed(&mut self) {
        if let Some(state) = self.sealed.take() {
            self.learner.publish(state);
        }
    }

    fn publishes(&self) -> bool {
        self.publishes
    }

    fn restore(&mut self, rows: &[RecordBatch]) -> Result<()> {
        self.model.restore(rows).map_err(failed)?;
        if self.publishes {
            self.learner.publish(self.model.state().map_err(failed)?);
        }
        Ok(())
    }

    fn state_schema(&self) -> SchemaRef {
        state_schema()
    }
}
