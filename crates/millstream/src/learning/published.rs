//! What a learner has learned, as a version of a model that others call.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float64Type, UInt32Type};
use millstream_ml::learner::{LearnedModel, LearnerDefinition, OnlineModel, Task, probabilities_type};
use millstream_ml::model::{ContentHash, FeatureKind};

use super::learn_error;
use crate::error::Result;
use crate::model::{ModelOptions, ModelShape, ModelVersion, ResultColumn, ResultSource};

/// A version that predicts by a state; `None`: NULLs.
pub(super) fn version(
    definition: &LearnerDefinition,
    task: Task,
    number: u64,
    sql: &str,
    state: Option<&RecordBatch>,
    label_type: Option<DataType>,
) -> Result<ModelVersion> {
    let model = LearnedModel::new(definition, state, label_type.clone()).map_err(|error| learn_error(&error))?;
    Ok(ModelVersion {
        number,
        hash: state.map_or_else(|| ContentHash::of(b""), state_hash),
        tokenizer: None,
        model: Arc::new(model),
        options: ModelOptions::of_learner(),
        shape: shape(definition, task, label_type.as_ref()),
        sql: sql.to_owned(),
    })
}

/// What it takes and gives in SQL.
fn shape(definition: &LearnerDefinition, task: Task, label_type: Option<&DataType>) -> ModelShape {
    let key = definition.key.iter().map(|key| (key.clone(), FeatureKind::Text));
    let features = definition.features.iter().map(|name| (name.clone(), FeatureKind::Float64));
    let column = |name: &str, data_type: DataType, output: usize| ResultColumn {
        name: name.to_owned(),
        data_type,
        from: ResultSource::Output(output),
    };
    let prediction_type = OnlineModel::prediction_type(task, definition.features.len(), label_type);
    let prediction = column("prediction", prediction_type, LearnedModel::PREDICTION);
    let score = column("score", DataType::Float64, LearnedModel::SCORE);
    let is_classifier = matches!(task, Task::Binary | Task::Classes);
    let has_label = is_classifier || matches!(task, Task::Cluster | Task::Anomaly);
    let (value, columns) = match task {
        Task::Scale => (prediction.clone(), vec![prediction.clone()]),
        _ => (score.clone(), vec![prediction.clone(), score]),
    };
    ModelShape {
        arguments: key.chain(features).collect(),
        columns,
        value,
        label: has_label.then_some(prediction),
        probabilities: is_classifier.then(|| column("probabilities", probabilities_type(), LearnedModel::PROBABILITIES)),
        task: format!("learns by {}", definition.kind),
    }
}

/// Tells states apart: the hash of everything that they say.
fn state_hash(state: &RecordBatch) -> ContentHash {
    let mut bytes = Vec::with_capacity(state.num_rows() * 32);
    for column in state.columns() {
        for row in 0..state.num_rows() {
            if column.is_null(row) {
                bytes.push(0);
                continue;
            }
            match column.data_type() {
                DataType::Float64 => bytes.extend(column.as_primitive::<Float64Type>().value(row).to_bits().to_le_bytes()),
                DataType::UInt32 => bytes.extend(column.as_primitive::<UInt32Type>().value(row).to_le_bytes()),
                _ => {
                    let text = column.as_string::<i32>().value(row);
                    bytes.extend((text.len() as u64 + 1).to_le_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
    }
    ContentHash::of(&bytes)
}
