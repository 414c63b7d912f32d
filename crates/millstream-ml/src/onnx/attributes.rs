//! Attributes of a node, by name and type.

use arrow::array::StringArray;

use crate::error::{ModelError, ModelResult};

use super::message::{AttributeProto, NodeProto};
use super::tensor::{Tensor, texts};

/// A node as an operator reads it.
pub(super) struct Node<'a> {
    pub(super) message: &'a NodeProto,
    /// Version of the node's operator set.
    pub(super) opset: i64,
    /// See [`super::LoadLimits::tree_nodes_max`].
    pub(super) tree_nodes_max: usize,
}

impl<'a> Node<'a> {
    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.message.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> ModelResult<&'a str> {
        match self.attribute(name) {
            None => Ok(default),
            Some(attribute) => std::str::from_utf8(&attribute.s).map_err(|_| ModelError::invalid(format!("attribute {name} is not UTF-8"))),
        }
    }

    pub(super) fn ints(&self, name: &str) -> &'a [i64] {
        self.attribute(name).map_or(&[], |attribute| &attribute.ints)
    }

    pub(super) fn floats(&self, name: &str) -> &'a [f32] {
        self.attribute(name).map_or(&[], |attribute| &attribute.floats)
    }

    pub(super) fn strings(&self, name: &str) -> &'a [Vec<u8>] {
        self.attribute(name).map_or(&[], |attribute| &attribute.strings)
    }

    pub(super) fn texts(&self, name: &str) -> ModelResult<StringArray> {
        texts(self.strings(name))
    }

    pub(super) fn tensor(&self, name: &str) -> ModelResult<Option<Tensor>> {
        match self.attribute(name).and_then(|attribute| attribute.t.as_ref()) {
            None => Ok(None),
            Some(message) => Tensor::of_message(message).map(Some),
        }
    }

    /// Numbers that are either floats or, under `name_as_tensor`, doubles; and whether they are doubles.
    pub(super) fn numbers(&self, name: &str) -> ModelResult<(Vec<f64>, bool)> {
        match self.tensor(&format!("{name}_as_tensor"))? {
            Some(tensor) => Ok((tensor.data.to_f64()?, matches!(tensor.data, super::tensor::Data::F64(_)))),
            None => Ok((self.floats(name).iter().map(|value| f64::from(*value)).collect(), false)),
        }
    }
}
