//! Options of CREATE MODEL.

use std::time::Duration;

use millstream_connectors::Options;

use crate::error::{Error, Result};

/// What becomes of a row with a NULL among its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NullFeatures {
    /// Its prediction is NULL.
    Null,
    /// The query fails.
    Error,
    /// The model gets NaN, which trees and imputers know as a missing value.
    Missing,
}

/// What becomes of rows that the model fails on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnError {
    /// The query fails.
    Fail,
    /// Their predictions are NULL, and the failure is counted.
    Null,
}

/// Options of CREATE MODEL, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelOptions {
    pub(crate) path: String,
    pub(crate) null_features: NullFeatures,
    pub(crate) on_error: OnError,
    /// Rows that are evaluated in one go.
    pub(crate) batch_rows_max: usize,
    /// How long a prediction of a batch may take.
    pub(crate) timeout: Duration,
}

const BATCH_ROWS_MAX: usize = 8192;
const TIMEOUT: Duration = Duration::from_secs(60);

impl ModelOptions {
    /// Reads options; whatever is left over is an error.
    pub(crate) fn parse(pairs: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut options = Options::from_pairs(pairs);
        let bad = |key: &str, value: &str, allowed: &str| Err(Error::user("22023", format!("{key} must be {allowed}: got '{value}'")));
        match options.take_any(&["format"])?.as_deref() {
            None | Some("onnx") => {}
            Some(other) => return bad("format", other, "'onnx'"),
        }
        let Some(path) = options.take_any(&["path"])? else {
            return Err(Error::user("22023", "the model has no 'path' (hint: WITH ('format' = 'onnx', 'path' = 'model.onnx'))"));
        };
        let null_features = match options.take_any(&["null_features"])?.as_deref() {
            None | Some("null") => NullFeatures::Null,
            Some("error") => NullFeatures::Error,
            Some("missing") => NullFeatures::Missing,
            Some(other) => return bad("null_features", other, "'null', 'error' or 'missing'"),
        };
        let on_error = match options.take_any(&["on_error"])?.as_deref() {
            None | Some("fail") => OnError::Fail,
            Some("null") => OnError::Null,
            Some(other) => return bad("on_error", other, "'fail' or 'null'"),
        };
        let batch_rows_max = match options.take_any(&["batch_rows_max"])? {
            None => BATCH_ROWS_MAX,
            Some(text) => match text.parse() {
                Ok(rows @ 1..=1_048_576) => rows,
                _ => return bad("batch_rows_max", &text, "a number from 1 to 1048576"),
            },
        };
        let timeout = options.take_duration("timeout")?.unwrap_or(TIMEOUT);
        if let Some((key, _)) = options.iter().next() {
            let known = ["format", "path", "null_features", "on_error", "batch_rows_max", "timeout"];
            let hint = match millstream_connectors::options::did_you_mean(key, known) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("there are {}", known.join(", ")),
            };
            return Err(Error::user("22023", format!("a model has no option '{key}' (hint: {hint})")));
        }
        Ok(Self { path, null_features, on_error, batch_rows_max, timeout })
    }
}
