//! ONNX files, read and evaluated without a shared library; and by onnxruntime, where it is installed, for what is not known here.
//!
//! ```text
//! bytes ─wire.rs: counts─▶ message.rs (protobuf) ─graph.rs: compiles─▶ Graph of operator/ and tree/ ─┐
//!                     └──▶ onnxruntime.rs: Sessions ──────────────────────────────────────────────────┤ runner.rs
//! arrays ─features.rs─▶ tensors ──────────────────────────────────────────────────────────────────────┤
//! texts ─embedding.rs, a tokenizer─▶ tensors ─────────────────────────────────────────────────────────┤
//!                                                                          tensors ─signature.rs─▶ arrays
//! ```
//!
//! Covered is what scikit-learn, LightGBM, XGBoost and CatBoost export for tabular data and for bags of words: tree ensembles, linear
//! models, support vector machines, scalers, encoders and vectorizers, and dense neural networks. Anything else is refused by name when
//! the file is read, unless onnxruntime takes it. Files are not trusted: their size, the messages they hold, the values that the
//! operators make and the work they do are bounded ([`LoadLimits`]), and trees are checked for cycles. Semantics are those of the ONNX
//! and ONNX-ML operator specifications; sums are kept in 64 bits.

mod attributes;
mod embedding;
mod features;
mod graph;
mod limits;
mod message;
mod onnxruntime;
mod operator;
mod runner;
mod signature;
mod tensor;
mod tokenizer;
mod tree;
mod wire;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use prost::Message;

pub use embedding::{EmbeddingModel, EmbeddingOptions, Pooling};
pub use limits::LoadLimits;
pub use onnxruntime::{LIBRARY_VARIABLE, is_installed as library_is_installed};
pub use runner::Runtime;

use crate::error::{ModelError, ModelErrorKind, ModelResult};
use crate::model::{Model, Patient, Signature, Watch, columns};
use message::ModelProto;
use operator::Budget;
use runner::{Inputs, Runner};
use tensor::Tensor;

/// A model of an ONNX file.
#[derive(Debug)]
pub struct OnnxModel {
    runner: Runner,
    ports: Vec<features::Port>,
    signature: Signature,
    chunk_rows_max: usize,
    limits: LoadLimits,
}

fn decode(bytes: &[u8]) -> ModelResult<ModelProto> {
    ModelProto::decode(bytes).map_err(|error| ModelError::invalid(format!("the file is no ONNX model: {error}")))
}

impl OnnxModel {
    /// Reads a file that this crate evaluates. `features` is how many features it is called with; it is needed only where the file does
    /// not say.
    pub fn load(bytes: &[u8], features: Option<usize>, limits: &LoadLimits) -> ModelResult<Self> {
        Self::load_for(bytes, features, limits, Runtime::Native, 1)
    }

    /// Reads a file for a runtime, which evaluates up to `threads_max` batches at a time.
    pub fn load_for(bytes: &[u8], features: Option<usize>, limits: &LoadLimits, runtime: Runtime, threads_max: usize) -> ModelResult<Self> {
        let (runner, inputs) = Runner::open(bytes, limits, runtime, threads_max)?;
        let (ports, single) = match &inputs {
            Inputs::Native(inputs) => (features::ports(inputs, features, limits)?, false),
            Inputs::Library(inputs) => features::library_ports(inputs, features, limits)?,
        };
        let is_library = matches!(inputs, Inputs::Library(_));
        let row_elements_max = if is_library { limits.chunk_elements_max } else { limits.row_elements_max };
        let mut budget = Budget::new(row_elements_max, limits.row_work_max);
        let outputs = runner.run(features::trial(&ports, 1)?, &mut budget, &Patient)?;
        let signature = signature::of(&runner, &ports, &outputs)?;
        if !single {
            // What mixes rows shows with a second one.
            let mut second = Budget::new(row_elements_max * 2, limits.row_work_max.saturating_mul(2));
            signature::arrays(&signature, runner.run(features::trial(&ports, 2)?, &mut second, &Patient)?, 2)?;
        }
        let (elements, work) = budget.spent();
        // What onnxruntime makes in between is not known; a good part of it is more than it is given.
        let elements = if is_library { elements.saturating_mul(8) } else { elements };
        let by_work = usize::try_from(limits.chunk_work_max / work.max(1)).unwrap_or(usize::MAX);
        let chunk_rows_max = if single { 1 } else { (limits.chunk_elements_max / elements.max(1)).min(by_work).max(1) };
        Ok(Self { runner, ports, signature, chunk_rows_max, limits: limits.clone() })
    }

    /// Rows that are evaluated in one go at most.
    pub fn chunk_rows_max(&self) -> usize {
        self.chunk_rows_max
    }

    /// Evaluates rows; `slice` gives the tensors of some of them.
    fn evaluate(
        &self,
        rows: usize,
        watch: &dyn Watch,
        slice: &dyn Fn(usize, usize) -> ModelResult<Vec<Tensor>>,
    ) -> ModelResult<Vec<ArrayRef>> {
        if rows == 0 {
            return Ok(self.signature.outputs.iter().map(|output| arrow::array::new_empty_array(&output.data_type)).collect());
        }
        let mut chunks = Vec::new();
        for first in (0..rows).step_by(self.chunk_rows_max) {
            self.chunk(first, self.chunk_rows_max.min(rows - first), watch, slice, &mut chunks)?;
        }
        if chunks.len() == 1 {
            return Ok(chunks.swap_remove(0));
        }
        let column = |at: usize| {
            let parts: Vec<&dyn Array> = chunks.iter().map(|chunk| chunk[at].as_ref()).collect();
            concat(&parts).map_err(|error| ModelError::input(error.to_string()))
        };
        (0..self.signature.outputs.len()).map(column).collect()
    }

    /// One chunk, or two halves of it where it makes more values than a chunk may: texts of many words do.
    fn chunk(
        &self,
        first: usize,
        rows: usize,
        watch: &dyn Watch,
        slice: &dyn Fn(usize, usize) -> ModelResult<Vec<Tensor>>,
        chunks: &mut Vec<Vec<ArrayRef>>,
    ) -> ModelResult<()> {
        watch.check()?;
        let work = self.limits.row_work_max.saturating_mul(rows as u64);
        let mut budget = Budget::new(self.limits.chunk_elements_max.saturating_mul(2).max(self.limits.row_elements_max * 2), work);
        match self.runner.run(slice(first, rows)?, &mut budget, watch) {
            Ok(outputs) => chunks.push(signature::arrays(&self.signature, outputs, rows)?),
            Err(error) if error.kind() == ModelErrorKind::TooLarge && rows > 1 => {
                let half = rows / 2;
                self.chunk(first, half, watch, slice, chunks)?;
                self.chunk(first + half, rows - half, watch, slice, chunks)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Model for OnnxModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, features: &[ArrayRef], rows: usize, watch: &dyn Watch) -> ModelResult<Vec<ArrayRef>> {
        features::check(&self.signature, features, rows)?;
        self.evaluate(rows, watch, &|first, rows| {
            let slices: Vec<ArrayRef> = features.iter().map(|array| array.slice(first, rows)).collect();
            features::tensors(&self.ports, &slices, rows)
        })
    }

    fn predict_vectors(&self, values: &ArrayRef, rows: usize, watch: &dyn Watch) -> ModelResult<Vec<ArrayRef>> {
        let width = self.signature.features.len();
        if rows.checked_mul(width) != Some(values.len()) {
            return Err(ModelError::input(format!("{} values for {rows} rows of {width} features", values.len())));
        }
        self.evaluate(rows, watch, &|first, rows| {
            let values = values.slice(first * width, rows * width);
            match features::tensor_of_vectors(&self.ports, &values, rows)? {
                Some(tensors) => Ok(tensors),
                None => features::tensors(&self.ports, &columns(&values, rows, width)?, rows),
            }
        })
    }

    fn runtime(&self) -> &'static str {
        self.runner.word()
    }
}
