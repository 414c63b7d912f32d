//! What a learner has learned as an ONNX file, and back.
//!
//! ```text
//! OnlineModel ─portable.rs─▶ sums, distributions or centres ─write.rs─▶ ONNX in doubles, the scaler folded in front, a note beside
//! OnlineModel ◀─portable.rs─ the same                       ◀─read.rs── that ONNX, or one of scikit-learn's linear models and nets
//! ```
//!
//! The note (a metadata entry of the file) has what ONNX has no place for: how many rows the scaler, classes and clusters have. What an
//! optimizer remembers and the counters are not in the file; Parquet has those.

mod message;
mod read;
mod write;

use serde::{Deserialize, Serialize};

use super::error::{LearnError, Result};
use super::model::OnlineModel;
use super::portable::{FixedScale, Portable};
use super::row::Task;
use crate::onnx::{LoadLimits, OnnxModel};

/// Key of the note among a file's metadata.
const NOTE_KEY: &str = "millstream_learner";
/// Rows that a scaler of another program counts as.
const FOREIGN_ROWS: f64 = 1000.0;

/// What ONNX has no place for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Note {
    kind: String,
    features: Vec<String>,
    scaler: String,
    scaler_rows: f64,
    label_kind: String,
    classes: Vec<Option<String>>,
    /// Of each class or cluster.
    rows: Vec<f64>,
}

/// What a file says.
#[derive(Debug)]
struct Found {
    portable: Portable,
    scale: FixedScale,
    label_kind: String,
    classes: Vec<Option<String>>,
    /// Kind and features, where a learner has written the file.
    from: Option<(String, Vec<String>)>,
}

impl OnlineModel {
    /// What it has learned as an ONNX file that gives its predictions; of the model of `key`, if it has a model for each.
    pub fn to_onnx(&self, key: Option<&str>) -> Result<Vec<u8>> {
        let definition = self.definition();
        match (&definition.key, key) {
            (Some(name), None) => {
                return Err(LearnError::user(format!(
                    "there is a model for each {name}: ONNX holds one (hint: EXPORT MODEL … FOR '…' TO '….onnx', or '….parquet' for all)"
                )));
            }
            (None, Some(_)) => return Err(LearnError::user("the model is not PARTITIONed BY a key (hint: leave FOR out)")),
            _ => {}
        }
        let part = self.part(key).ok_or_else(|| LearnError::user(format!("the model knows no key '{}'", key.unwrap_or_default())))?;
        if part.learner.counters().learned == 0 {
            return Err(LearnError::user("the model has learned nothing yet"));
        }
        let (portable, scale) = part
            .learner
            .portable()
            .ok_or_else(|| LearnError::user(format!("{} cannot be said in ONNX (hint: EXPORT MODEL … TO '….parquet')", definition.kind)))?;
        write::file(&write::Subject {
            features: &definition.features,
            kind: &definition.kind,
            task: self.task(),
            portable: &portable,
            scale: &scale,
            classes: part.classes.names(),
            label_kind: part.classes.kind_name(),
            threshold: part.learner.threshold(),
        })
    }

    /// Begins with what an ONNX file says: one of [`Self::to_onnx`], or a linear model or dense net of another program.
    pub fn start_from_onnx(&mut self, bytes: &[u8]) -> Result<()> {
        let definition = self.definition().clone();
        if definition.key.is_some() {
            return Err(LearnError::user("an ONNX file holds one model: this one has a model for each key (hint: begin with '….parquet')"));
        }
        // Whatever the file is: what does not load here is not looked into.
        let checked = OnnxModel::load(bytes, Some(definition.features.len()), &LoadLimits::default());
        let unfit = |error: &dyn std::fmt::Display| LearnError::user(format!("the model cannot begin with this ONNX file: {error}"));
        checked.map_err(|error| unfit(&error))?;
        let found = read::file(bytes, self.task()).map_err(|error| unfit(&error))?;
        if let Some((kind, features)) = &found.from
            && (!kind.eq_ignore_ascii_case(&definition.kind) || *features != definition.features)
        {
            return Err(LearnError::user(format!(
                "the file is of a {kind} of ({}), the model is a {} of ({}) (hint: TYPE and FEATURES must be the same)",
                features.join(", "),
                definition.kind,
                definition.features.join(", ")
            )));
        }
        let mut fresh = Self::new(definition)?;
        let part = fresh.whole_mut();
        part.learner.take(found.portable, found.scale)?;
        part.classes.adopt(&found.label_kind, found.classes)?;
        *self = fresh;
        Ok(())
    }
}

/// Classes or clusters need to be there.
fn needs_classes(task: Task) -> bool {
    matches!(task, Task::Classes)
}
