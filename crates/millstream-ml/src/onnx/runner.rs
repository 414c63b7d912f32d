//! What computes a model: the graph of this crate, or onnxruntime.

use std::sync::Arc;

use crate::error::{ModelError, ModelErrorKind, ModelResult};
use crate::model::Watch;

use super::LoadLimits;
use super::graph::Graph;
use super::message::{GraphProto, ValueInfo};
use super::onnxruntime::{LibraryPort, Sessions};
use super::operator::Budget;
use super::tensor::Tensor;
use super::wire;

/// Who is to compute a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// This crate, and onnxruntime for what it does not know.
    #[default]
    Auto,
    /// This crate.
    Native,
    /// onnxruntime.
    Library,
}

#[derive(Debug)]
pub(super) enum Runner {
    Native(Graph),
    Library { sessions: Sessions, classes: Option<Vec<String>> },
}

/// The inputs of a file.
pub(super) enum Inputs {
    Native(Vec<ValueInfo>),
    Library(Vec<LibraryPort>),
}

impl Runner {
    pub(super) fn open(bytes: &[u8], limits: &LoadLimits, runtime: Runtime, threads_max: usize) -> ModelResult<(Self, Inputs)> {
        let refused = match runtime {
            Runtime::Library => None,
            // Weights of that size are not those of trees.
            Runtime::Auto if bytes.len() as u64 > limits.file_bytes_max => None,
            Runtime::Native | Runtime::Auto => match native(bytes, limits) {
                Ok(opened) => return Ok(opened),
                Err(error) if runtime == Runtime::Auto && error.kind() == ModelErrorKind::Unsupported => Some(error),
                Err(error) => return Err(error),
            },
        };
        library(bytes, limits, threads_max).map_err(|error| match refused {
            Some(refused) => ModelError::new(error.kind(), format!("{refused}; {error}")),
            None => error,
        })
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Native(_) => "native",
            Self::Library { .. } => "onnxruntime",
        }
    }

    pub(super) fn run(&self, inputs: Vec<Tensor>, budget: &mut Budget, watch: &dyn Watch) -> ModelResult<Vec<Arc<Tensor>>> {
        match self {
            Self::Native(graph) => graph.run(inputs, budget, watch),
            Self::Library { sessions, .. } => {
                for tensor in &inputs {
                    budget.elements(&tensor.dims)?;
                }
                let outputs = sessions.run(inputs, watch)?;
                for tensor in &outputs {
                    budget.elements(&tensor.dims)?;
                }
                Ok(outputs)
            }
        }
    }

    pub(super) fn outputs(&self) -> Vec<&str> {
        match self {
            Self::Native(graph) => graph.outputs.iter().map(|(name, _)| name.as_str()).collect(),
            Self::Library { sessions, .. } => sessions.outputs.iter().map(String::as_str).collect(),
        }
    }

    /// Names of the classes that the second output has probabilities of.
    pub(super) fn classes(&self) -> Option<Vec<String>> {
        match self {
            Self::Native(graph) => graph.classes_behind(1).or_else(|| graph.classes_behind(0)).or_else(|| graph.label_names()),
            Self::Library { classes, .. } => classes.clone(),
        }
    }
}

fn native(bytes: &[u8], limits: &LoadLimits) -> ModelResult<(Runner, Inputs)> {
    wire::check(bytes, limits)?;
    let (graph, inputs) = Graph::compile(super::decode(bytes)?, limits)?;
    Ok((Runner::Native(graph), Inputs::Native(inputs)))
}

fn library(bytes: &[u8], limits: &LoadLimits, threads_max: usize) -> ModelResult<(Runner, Inputs)> {
    wire::check_for_library(bytes, limits)?;
    let sessions = Sessions::open(bytes, threads_max)?;
    let inputs = Inputs::Library(sessions.inputs.clone());
    // Only the graph's outline is looked at, so a large file need not be decoded for it.
    let classes = match bytes.len() as u64 <= limits.file_bytes_max {
        true => super::decode(bytes)?.graph.as_ref().and_then(outlined_classes),
        false => None,
    };
    Ok((Runner::Library { sessions, classes }, inputs))
}

/// The labels that the last operator which has some tells apart; or a constant that the label is chosen from.
fn outlined_classes(graph: &GraphProto) -> Option<Vec<String>> {
    for attribute in graph.node.iter().rev().flat_map(|node| &node.attribute) {
        match attribute.name.as_str() {
            "classlabels_strings" => return attribute.strings.iter().map(|text| String::from_utf8(text.clone()).ok()).collect(),
            "classlabels_ints" | "classlabels_int64s" if !attribute.ints.is_empty() => {
                return Some(attribute.ints.iter().map(i64::to_string).collect());
            }
            _ => {}
        }
    }
    let mut value = graph.output.first()?.name.as_str();
    for node in graph.node.iter().rev().filter(|node| !node.input.is_empty()) {
        if node.output.iter().any(|output| output == value) {
            value = &node.input[0];
            if let Some(labels) = graph.initializer.iter().find(|constant| constant.name == value) {
                return super::graph::names_of(&Tensor::of_message(labels).ok()?);
            }
        }
    }
    None
}
