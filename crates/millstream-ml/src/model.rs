//! What every model is: a signature, and predictions of whole batches.

use std::fmt;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use sha2::{Digest, Sha256};

use crate::error::{ModelError, ModelResult};

/// Predicts whole batches. A model never changes: another set of parameters is another model.
pub trait Model: fmt::Debug + Send + Sync {
    /// What it takes and gives.
    fn signature(&self) -> &Signature;

    /// One array for each output of the signature, of `rows` values each. `features` are one array for each feature of the
    /// signature; any numeric type will do for a numeric feature. A row with a NULL is predicted as if the NULL were NaN, zero or
    /// the empty text, whatever the type has: the caller decides what to do with such rows. `watch` is asked between chunks of work.
    fn predict(&self, features: &[ArrayRef], rows: usize, watch: &dyn Watch) -> ModelResult<Vec<ArrayRef>>;

    /// The same; outputs whose numbers are not in `wanted` may be anything of their type.
    fn predict_wanted(&self, features: &[ArrayRef], rows: usize, wanted: &[usize], watch: &dyn Watch) -> ModelResult<Vec<ArrayRef>> {
        let _ = wanted;
        self.predict(features, rows, watch)
    }

    /// Like [`Model::predict`], with all features of the first row, then of the second, … in one array.
    fn predict_vectors(&self, values: &ArrayRef, rows: usize, watch: &dyn Watch) -> ModelResult<Vec<ArrayRef>> {
        self.predict(&columns(values, rows, self.signature().features.len())?, rows, watch)
    }

    /// What computes it, a word for people.
    fn runtime(&self) -> &'static str {
        "native"
    }
}

/// Rows of `width` values as one array a value.
pub(crate) fn columns(values: &ArrayRef, rows: usize, width: usize) -> ModelResult<Vec<ArrayRef>> {
    if rows.checked_mul(width) != Some(values.len()) {
        return Err(ModelError::input(format!("{} values for {rows} rows of {width} features", values.len())));
    }
    let column = |feature: usize| {
        let places = UInt64Array::from_iter_values((0..rows).map(|row| (row * width + feature) as u64));
        take(values, &places, None).map_err(|error| ModelError::input(error.to_string()))
    };
    (0..width).map(column).collect()
}

/// Whether a prediction is still wanted. It may be asked from another thread than the one that computes.
pub trait Watch: Sync {
    /// An error, if it is not.
    fn check(&self) -> ModelResult<()>;
}

/// Waits for as long as it takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patient;

impl Watch for Patient {
    fn check(&self) -> ModelResult<()> {
        Ok(())
    }
}

/// What a model takes and gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// In the order of arguments.
    pub features: Vec<Feature>,
    /// In the model's order.
    pub outputs: Vec<Output>,
    /// What the outputs mean.
    pub task: Task,
}

/// One argument of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name in the model, or a made one where the model only counts columns.
    pub name: String,
    /// What the model computes with.
    pub kind: FeatureKind,
}

/// The type that a feature is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeatureKind {
    /// 32-bit floating point.
    Float32,
    /// 64-bit floating point.
    Float64,
    /// 64-bit integer.
    Int64,
    /// Truth value.
    Boolean,
    /// Text.
    Text,
}

impl FeatureKind {
    /// The Arrow type of the model's own values.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Int64 => DataType::Int64,
            Self::Boolean => DataType::Boolean,
            Self::Text => DataType::Utf8,
        }
    }
}

/// One column of a prediction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name in the model.
    pub name: String,
    /// Float64, Int64, Boolean or Utf8, or a FixedSizeList of Float64, Float32, Int64 or Boolean.
    pub data_type: DataType,
}

/// What the outputs of a model mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// Output `value` is the prediction.
    Regression {
        /// Index of the output.
        value: usize,
    },
    /// Classes, and how probable each is.
    Classification {
        /// Index of the output that has the class.
        label: usize,
        /// Index of the output that has a FixedSizeList of one probability a class.
        probabilities: usize,
        /// Names of the classes in the order of the probabilities.
        classes: Vec<String>,
    },
    /// Whatever the outputs mean, this crate does not know it.
    Other,
}

impl Task {
    /// The word for people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Regression { .. } => "regression",
            Self::Classification { classes, .. } if classes.len() == 2 => "binary classification",
            Self::Classification { .. } => "multiclass classification",
            Self::Other => "other",
        }
    }
}

/// SHA-256 of a model's file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_as_it_is_written() {
        let hash = ContentHash::of(b"model");
        assert_eq!(ContentHash::parse(&hash.to_string()), Some(hash));
        assert_ne!(hash, ContentHash::of(b"modem"));
        for wrong in ["", "00", &"g".repeat(64), &"A".repeat(64), &"ü".repeat(32)] {
            assert_eq!(ContentHash::parse(wrong), None, "{wrong}");
        }
    }
}
