//! ONNX files, read and evaluated without a shared library.
//!
//! ```text
//! bytes ─wire.rs: counts─▶ message.rs (protobuf) ─graph.rs: compiles─▶ Graph of operator/ and tree/
//!                                                                          │ one trial row (signature.rs)
//! arrays ─features.rs─▶ tensors ─────────────────── graph.rs: runs ────────┤
//!                                                                          ▼
//!                                                     tensors ─signature.rs─▶ arrays
//! ```
//!
//! Covered is what scikit-learn, LightGBM and XGBoost export for tabular data: tree ensembles, linear models, scalers and encoders, and
//! dense neural networks. Anything else is refused by name when the file is read. Files are not trusted: their size, the messages they
//! hold, the values that the operators make and the work they do are bounded ([`LoadLimits`]), and trees are checked for cycles.
//! Semantics are those of the ONNX and ONNX-ML operator specifications; sums are kept in 64 bits.

mod attributes;
mod features;
mod graph;
mod limits;
mod message;
mod operator;
mod signature;
mod tensor;
mod tree;
mod wire;

use arrow::array::ArrayRef;
use arrow::compute::concat;
use prost::Message;

pub use limits::LoadLimits;

use crate::error::{ModelError, ModelResult};
use crate::model::{Model, Patient, Signature, Watch};
use graph::Graph;
use message::ModelProto;
use operator::Budget;

/// A model of an ONNX file.
#[derive(Debug)]
pub struct OnnxModel {
    graph: Graph,
    ports: Vec<features::Port>,
    signature: Signature,
    chunk_rows_max: usize,
    limits: LoadLimits,
}

impl OnnxModel {
    /// Reads a file. `features` is how many features it is called with; it is needed only where the file does not say.
    pub fn load(bytes: &[u8], features: Option<usize>, limits: &LoadLimits) -> ModelResult<Self> {
        wire::check(bytes, limits)?;
        let message = ModelProto::decode(bytes).map_err(|error| ModelError::invalid(format!("the file is no ONNX model: {error}")))?;
        let (graph, inputs) = Graph::compile(message, limits)?;
        let ports = features::ports(&inputs, features, limits)?;
        let mut budget = Budget::new(limits.row_elements_max, limits.row_work_max);
        let outputs = graph.run(features::trial(&ports, 1)?, &mut budget, &Patient)?;
        let signature = signature::of(&graph, &ports, &outputs)?;
        // What mixes rows shows with a second one.
        let mut second = Budget::new(limits.row_elements_max * 2, limits.row_work_max.saturating_mul(2));
        signature::arrays(&signature, graph.run(features::trial(&ports, 2)?, &mut second, &Patient)?, 2)?;
        let (elements, _) = budget.spent();
        let chunk_rows_max = (limits.chunk_elements_max / elements.max(1)).max(1);
        Ok(Self { graph, ports, signature, chunk_rows_max, limits: limits.clone() })
    }

    /// Rows that are evaluated in one go at most.
    pub fn chunk_rows_max(&self) -> usize {
        self.chunk_rows_max
    }

    fn chunk(&self, features: &[ArrayRef], first: usize, rows: usize, watch: &dyn Watch) -> ModelResult<Vec<ArrayRef>> {
        let slices: Vec<ArrayRef> = features.iter().map(|array| array.slice(first, rows)).collect();
        let inputs = features::tensors(&self.ports, &slices, rows)?;
        let work = self.limits.row_work_max.saturating_mul(rows as u64);
        let mut budget = Budget::new(self.limits.chunk_elements_max.saturating_mul(2).max(self.limits.row_elements_max * 2), work);
        let outputs = self.graph.run(inputs, &mut budget, watch)?;
        signature::arrays(&self.signature, outputs, rows)
    }
}

impl Model for OnnxModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, features: &[ArrayRef], rows: usize, watch: &dyn Watch) -> ModelResult<Vec<ArrayRef>> {
        if rows == 0 {
            return Ok(self.signature.outputs.iter().map(|output| arrow::array::new_empty_array(&output.data_type)).collect());
        }
        features::check(&self.signature, features, rows)?;
        let mut chunks = Vec::new();
        for first in (0..rows).step_by(self.chunk_rows_max) {
            watch.check()?;
            chunks.push(self.chunk(features, first, self.chunk_rows_max.min(rows - first), watch)?);
        }
        if chunks.len() == 1 {
            return Ok(chunks.swap_remove(0));
        }
        let column = |at: usize| {
            let parts: Vec<&dyn arrow::array::Array> = chunks.iter().map(|chunk| chunk[at].as_ref()).collect();
            concat(&parts).map_err(|error| ModelError::input(error.to_string()))
        };
        (0..self.signature.outputs.len()).map(column).collect()
    }
}
