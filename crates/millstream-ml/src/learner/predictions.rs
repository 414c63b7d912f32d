//! Predictions of a learner as Arrow arrays.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float64Array, Int64Array, MapArray, StringArray, StructArray, UInt32Array,
    new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};

use super::error::Result;
use super::labels::Classes;
use super::model::OnlineModel;
use super::row::{Predicted, Task};

/// What of a prediction is made besides the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The label, number or cluster.
    pub label: bool,
    /// The probability of each class.
    pub probabilities: bool,
}

impl Wanted {
    /// Labels, no probabilities.
    pub const LABEL: Self = Self { label: true, probabilities: false };
}

/// A prediction for every row.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// A number, a label, the number of a cluster, whether a row is an anomaly, or the scaled features; NULL where nothing is known,
    /// and everywhere if it is not wanted.
    pub prediction: ArrayRef,
    /// The same number; the probability of the positive class, or of the predicted one if none is set apart; the distance; how
    /// unusual a row is.
    pub score: ArrayRef,
    /// Of a classifier, if wanted: a map from the names of the classes to their probabilities.
    pub probabilities: Option<ArrayRef>,
}

/// The type of [`Predictions::probabilities`].
pub fn probabilities_type() -> DataType {
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry_fields()), false)), false)
}

fn entry_fields() -> Fields {
    Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Float64, true)])
}

impl Predictions {
    /// Of rows that nothing is known about.
    pub(super) fn unknown(task: Task, features: usize, label_type: Option<&DataType>, rows: usize, wanted: Wanted) -> Self {
        let prediction = new_null_array(&OnlineModel::prediction_type(task, features, label_type), rows);
        let probabilities = wanted.probabilities.then(|| new_null_array(&probabilities_type(), rows));
        Self { prediction, score: new_null_array(&DataType::Float64, rows), probabilities }
    }

    /// Several one after the other, brought into an order.
    pub(super) fn in_order(parts: &[Self], order: &UInt32Array) -> Result<Self> {
        let column = |of: &dyn Fn(&Self) -> Option<&ArrayRef>| -> Result<Option<ArrayRef>> {
            let arrays: Vec<&dyn Array> = parts.iter().filter_map(of).map(AsRef::as_ref).collect();
            if arrays.is_empty() {
                return Ok(None);
            }
            Ok(Some(take(&concat(&arrays)?, order, None)?))
        };
        let empty = || new_null_array(&DataType::Float64, 0);
        Ok(Self {
            prediction: column(&|part| Some(&part.prediction))?.unwrap_or_else(empty),
            score: column(&|part| Some(&part.score))?.unwrap_or_else(empty),
            probabilities: column(&|part| part.probabilities.as_ref())?,
        })
    }
}

/// Numbers as arrays of the types that the task has.
pub(super) fn collect(
    predicted: Predicted,
    task: Task,
    features: usize,
    classes: &Classes,
    label_type: Option<&DataType>,
    wanted: Wanted,
) -> Result<Predictions> {
    let known = |number: &f64| (!number.is_nan()).then_some(*number);
    let rows = predicted.prediction.len();
    let prediction: ArrayRef = match task {
        _ if !wanted.label => new_null_array(&OnlineModel::prediction_type(task, features, label_type), rows),
        Task::Regression => Arc::new(predicted.prediction.iter().map(known).collect::<Float64Array>()),
        Task::Cluster => Arc::new(predicted.prediction.iter().map(|n| known(n).map(|n| n as i64)).collect::<Int64Array>()),
        Task::Anomaly => Arc::new(predicted.prediction.iter().map(|n| known(n).map(|n| n != 0.0)).collect::<BooleanArray>()),
        Task::Binary | Task::Classes => classes.array(&predicted.prediction, label_type.unwrap_or(&DataType::Utf8))?,
        Task::Scale => vectors(&predicted, features)?,
    };
    let probabilities = match task {
        Task::Binary | Task::Classes if wanted.probabilities => Some(maps(&predicted, classes)?),
        _ => None,
    };
    let score: ArrayRef = if predicted.score.iter().any(|score| score.is_nan()) {
        Arc::new(predicted.score.iter().map(known).collect::<Float64Array>())
    } else {
        Arc::new(Float64Array::from(predicted.score))
    };
    Ok(Predictions { prediction, score, probabilities })
}

/// `features` numbers a row.
fn vectors(predicted: &Predicted, features: usize) -> Result<ArrayRef> {
    let known = predicted.lengths.iter().map(|length| *length as usize == features).collect::<Vec<bool>>();
    let mut values = Vec::with_capacity(known.len() * features);
    let mut rest = predicted.all.as_slice();
    for is_known in &known {
        if *is_known {
            let (row, after) = rest.split_at(features);
            values.extend_from_slice(row);
            rest = after;
        } else {
            values.resize(values.len() + features, 0.0);
        }
    }
    let DataType::FixedSizeList(field, width) = OnlineModel::prediction_type(Task::Scale, features, None) else {
        return Ok(new_null_array(&DataType::Float64, known.len()));
    };
    Ok(Arc::new(FixedSizeListArray::try_new(field, width, Arc::new(Float64Array::from(values)), Some(NullBuffer::from(known)))?))
}

/// The probability of each class that has a name.
fn maps(predicted: &Predicted, classes: &Classes) -> Result<ArrayRef> {
    let (mut keys, mut values): (Vec<&str>, Vec<f64>) = (Vec::new(), Vec::new());
    let (mut lengths, mut valid) = (Vec::with_capacity(predicted.lengths.len()), Vec::with_capacity(predicted.lengths.len()));
    let mut rest = predicted.all.as_slice();
    for length in &predicted.lengths {
        let (row, after) = rest.split_at(*length as usize);
        rest = after;
        let before = keys.len();
        for (name, probability) in classes.names().iter().zip(row) {
            if let Some(name) = name {
                keys.push(name);
                values.push(*probability);
            }
        }
        lengths.push(keys.len() - before);
        valid.push(*length > 0);
    }
    let entries =
        StructArray::try_new(entry_fields(), vec![Arc::new(StringArray::from(keys)), Arc::new(Float64Array::from(values))], None)?;
    let field: FieldRef = Arc::new(Field::new("entries", DataType::Struct(entry_fields()), false));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(field, offsets, entries, Some(NullBuffer::from(valid)), false)?))
}
