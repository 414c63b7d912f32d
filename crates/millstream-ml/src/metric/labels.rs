//! Labels of one family: what may be compared with what, and which one is positive.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use crate::learner::error::{LearnError, Result};

/// Labels that may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelFamily {
    /// True and false.
    Boolean,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// Texts.
    Text,
}

impl LabelFamily {
    /// Of a type; `None` for one that is no label.
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Dictionary(_, value) => Self::of(value)?,
            data_type if data_type.is_integer() => Self::Integer,
            data_type if data_type.is_numeric() => Self::Number,
            _ => return None,
        })
    }

    /// The type that labels of this family are brought to.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Text => DataType::Utf8,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Boolean => "a truth value",
            Self::Integer | Self::Number => "a number",
            Self::Text => "a text",
        }
    }
}

/// The family of a label and a prediction; refused if no value of one could equal a value of the other.
pub fn common_family(label: &DataType, prediction: &DataType) -> Result<LabelFamily> {
    let unknown = |what: &str, data_type: &DataType| {
        LearnError::user(format!("{what} must be a number, a text or a truth value: got {data_type} (hint: CAST it)"))
    };
    // A column of NULLs only goes with anything.
    if *label == DataType::Null {
        return Ok(LabelFamily::of(prediction).unwrap_or(LabelFamily::Boolean));
    }
    let left = LabelFamily::of(label).ok_or_else(|| unknown("a label", label))?;
    if *prediction == DataType::Null {
        return Ok(left);
    }
    let right = LabelFamily::of(prediction).ok_or_else(|| unknown("a prediction", prediction))?;
    match (left, right) {
        (left, right) if left == right => Ok(left),
        (LabelFamily::Integer, LabelFamily::Number) | (LabelFamily::Number, LabelFamily::Integer) => Ok(LabelFamily::Number),
        _ => Err(LearnError::user(format!(
            "label and prediction must be of the same type: {} ({label}) never equals {} ({prediction}) (hint: CAST one of them)",
            left.name(),
            right.name()
        ))),
    }
}

/// The positive class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Positive {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

impl Positive {
    pub(crate) fn new(family: LabelFamily, positive: Option<&str>) -> Result<Self> {
        let Some(text) = positive else {
            return match family {
                LabelFamily::Boolean => Ok(Self::Boolean(true)),
                LabelFamily::Integer => Ok(Self::Integer(1)),
                LabelFamily::Number => Ok(Self::Number(1.0)),
                LabelFamily::Text => Err(LearnError::user(
                    "which label is the positive one is not known (hint: f1_score(label, prediction, 'binary', 'spam'), log_loss(label, p, \
                     'spam'), roc_auc(label, score, 'spam'); or an average over the classes, f1_score(label, prediction, 'macro'))",
                )),
            };
        };
        let parsed = match family {
            LabelFamily::Boolean => text.trim().to_lowercase().parse().ok().map(Self::Boolean),
            LabelFamily::Integer => text.trim().parse().ok().map(Self::Integer),
            LabelFamily::Number => text.trim().parse().ok().map(Self::Number),
            LabelFamily::Text => Some(Self::Text(text.to_owned())),
        };
        parsed.ok_or_else(|| LearnError::user(format!("the positive label must be of the labels' type, {}: got '{text}'", family.name())))
    }

    /// Where a column of the family holds the positive label; what is there for NULL does not matter.
    pub(crate) fn marks(&self, labels: &ArrayRef) -> Result<BooleanBuffer> {
        let wrong = || LearnError::user(format!("labels came as {}, which was not planned", labels.data_type()));
        Ok(match self {
            Self::Boolean(positive) => {
                let values = labels.as_boolean_opt().ok_or_else(wrong)?.values().clone();
                if *positive { values } else { !&values }
            }
            Self::Integer(positive) => {
                let values = labels.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?.values();
                BooleanBuffer::collect_bool(values.len(), |row| values[row] == *positive)
            }
            Self::Number(positive) => {
                let values = labels.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?.values();
                BooleanBuffer::collect_bool(values.len(), |row| values[row] == *positive)
            }
            Self::Text(positive) => {
                let texts = labels.as_string_opt::<i32>().ok_or_else(wrong)?;
                BooleanBuffer::collect_bool(texts.len(), |row| texts.value(row) == positive)
            }
        })
    }
}

/// Where two columns of one family are equal; what is there for NULL does not matter.
pub(crate) fn equal(left: &ArrayRef, right: &ArrayRef) -> Result<BooleanBuffer> {
    let equal: BooleanArray = arrow::compute::kernels::cmp::eq(left, right)?;
    Ok(equal.values().clone())
}
