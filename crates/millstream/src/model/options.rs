//! Options of CREATE MODEL.

use std::time::Duration;

use millstream_connectors::Options;
use millstream_ml::onnx::{EmbeddingOptions, Pooling, Runtime};

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
    /// Batches that are evaluated at the same time.
    pub(crate) threads: usize,
    pub(crate) runtime: Runtime,
    /// The file that says how text becomes tokens.
    pub(crate) tokenizer: Option<String>,
    pub(crate) embedding: EmbeddingOptions,
}

/// All options by name.
const KNOWN: [&str; 12] = [
    "format",
    "path",
    "null_features",
    "on_error",
    "batch_rows_max",
    "timeout",
    "threads",
    "runtime",
    "tokenizer",
    "pooling",
    "normalize",
    "tokens_max",
];

const BATCH_ROWS_MAX: usize = 8192;
const TIMEOUT: Duration = Duration::from_secs(60);

impl ModelOptions {
    /// Of a model that learns: there is no file.
    pub(crate) fn of_learner() -> Self {
        Self {
            path: String::new(),
            null_features: NullFeatures::Null,
            on_error: OnError::Fail,
            batch_rows_max: BATCH_ROWS_MAX,
            timeout: TIMEOUT,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            runtime: Runtime::Native,
            tokenizer: None,
            embedding: EmbeddingOptions::default(),
        }
    }

    /// Reads options; whatever is left over is an error. A folder's file is found by whoever reads it.
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
        let threads = number(&mut options, "threads", 1..=1024)?;
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        let runtime = match options.take_any(&["runtime"])?.as_deref() {
            None | Some("auto") => Runtime::Auto,
            Some("native") => Runtime::Native,
            Some("onnxruntime") => Runtime::Library,
            Some(other) => return bad("runtime", other, "'auto', 'native' or 'onnxruntime'"),
        };
        let tokenizer = options.take_any(&["tokenizer"])?;
        let embedding = embedding(&mut options)?;
        if let Some((key, _)) = options.iter().next() {
            let hint = match millstream_connectors::options::did_you_mean(key, KNOWN) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("there are {}", KNOWN.join(", ")),
            };
            return Err(Error::user("22023", format!("a model has no option '{key}' (hint: {hint})")));
        }
        Ok(Self { path, null_features, on_error, batch_rows_max, timeout, threads, runtime, tokenizer, embedding })
    }
}

fn number(options: &mut Options, key: &str, range: std::ops::RangeInclusive<usize>) -> Result<Option<usize>> {
    let Some(text) = options.take_any(&[key])? else { return Ok(None) };
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => Err(Error::user("22023", format!("{key} must be a number from {} to {}: got '{text}'", range.start(), range.end()))),
    }
}

/// What is said of texts.
fn embedding(options: &mut Options) -> Result<EmbeddingOptions> {
    let bad = |key: &str, value: &str, allowed: &str| Err(Error::user("22023", format!("{key} must be {allowed}: got '{value}'")));
    let pooling = match options.take_any(&["pooling"])?.as_deref() {
        None | Some("mean") => Pooling::Mean,
        Some("first" | "cls") => Pooling::First,
        Some(other) => return bad("pooling", other, "'mean' or 'first'"),
    };
    let normalize = match options.take_any(&["normalize"])?.as_deref() {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => return bad("normalize", other, "'true' or 'false'"),
    };
    let tokens_max = number(options, "tokens_max", 8..=8192)?.unwrap_or(EmbeddingOptions::default().tokens_max);
    Ok(EmbeddingOptions { pooling, normalize, tokens_max })
}
