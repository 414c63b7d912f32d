//! The operators. One file a family; a new operator is a line in [`compile`].

mod activation;
mod arithmetic;
mod broadcast;
mod comparison;
mod encoder;
mod feature;
mod linear;
mod matrix;
mod reduce;
mod scaler;
mod scores;
mod shape;
mod svm;
mod text;

pub(super) use feature::class_names;
pub(super) use scores::{PostTransform, best, both_classes};

use std::fmt;

use crate::error::{ModelError, ModelResult};

use super::attributes::Node;
use super::tensor::Tensor;
use super::tree;

/// A node, compiled.
pub(super) trait Operator: fmt::Debug + Send + Sync {
    /// Computes the outputs. An optional input that is left out is `None`. The caller counts on nothing about the inputs, neither types nor
    /// shapes: whatever does not fit is an error.
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>>;

    /// Names of the classes that it tells apart, if it does.
    fn classes(&self) -> Option<Vec<String>> {
        None
    }
}

/// What an operator is given.
pub(super) struct Inputs<'a> {
    pub(super) tensors: Vec<Option<&'a Tensor>>,
}

impl<'a> Inputs<'a> {
    /// An input that must be there.
    pub(super) fn get(&self, at: usize) -> ModelResult<&'a Tensor> {
        self.optional(at).ok_or_else(|| ModelError::invalid(format!("input {at} is missing")))
    }

    pub(super) fn optional(&self, at: usize) -> Option<&'a Tensor> {
        self.tensors.get(at).copied().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.tensors.len()
    }
}

/// How much more may be computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    elements: usize,
    work: u64,
    elements_max: usize,
    work_max: u64,
}

impl Budget {
    pub(super) fn new(elements_max: usize, work_max: u64) -> Self {
        Self { elements: 0, work: 0, elements_max, work_max }
    }

    /// Called before so many elements are made.
    pub(super) fn elements(&mut self, dims: &[usize]) -> ModelResult<usize> {
        let more = super::tensor::element_count(dims).unwrap_or(usize::MAX);
        self.elements = self.elements.saturating_add(more);
        if self.elements > self.elements_max {
            let max = self.elements_max;
            return Err(ModelError::too_large(format!("the operators make more than {max} values, with a tensor of {dims:?}")));
        }
        Ok(more)
    }

    /// Called before so many multiplications or comparisons are made.
    pub(super) fn work(&mut self, factors: &[usize]) -> ModelResult<()> {
        let more = factors.iter().fold(1_u64, |product, factor| product.saturating_mul(*factor as u64));
        self.work = self.work.saturating_add(more);
        if self.work > self.work_max {
            return Err(ModelError::too_large(format!("the operators make more than {} multiplications", self.work_max)));
        }
        Ok(())
    }

    /// Elements and work so far.
    pub(super) fn spent(&self) -> (usize, u64) {
        (self.elements, self.work)
    }
}

/// The domain of the operators for classical models.
const CLASSICAL: &str = "ai.onnx.ml";

/// The operator of a node.
pub(super) fn compile(node: &Node<'_>) -> ModelResult<Box<dyn Operator>> {
    let message = node.message;
    let operator = match (message.domain.as_str(), message.op_type.as_str()) {
        ("" | "ai.onnx", name) => dense(name, node)?,
        (CLASSICAL, name) => classical(name, node)?,
        ("com.microsoft", "Tokenizer") => Some(Box::new(text::Tokenizer::compile(node)?) as Box<dyn Operator>),
        _ => None,
    };
    operator.ok_or_else(|| unknown(node))
}

fn dense(name: &str, node: &Node<'_>) -> ModelResult<Option<Box<dyn Operator>>> {
    if let Some(operator) = arithmetic::compile(name) {
        return Ok(Some(Box::new(operator)));
    }
    if let Some(operator) = comparison::compile(name) {
        return Ok(Some(Box::new(operator)));
    }
    if let Some(operator) = activation::compile(name, node) {
        return Ok(Some(Box::new(operator)));
    }
    Ok(Some(match name {
        "MatMul" => Box::new(matrix::MatMul),
        "Gemm" => Box::new(matrix::Gemm::compile(node)),
        "Softmax" | "LogSoftmax" => Box::new(reduce::Softmax::compile(node, name)),
        "ArgMax" | "ArgMin" => Box::new(reduce::ArgExtreme::compile(node, name)),
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceSumSquare" | "ReduceL2" | "ReduceLogSumExp" => {
            Box::new(reduce::Reduce::compile(node, name))
        }
        "Where" => Box::new(comparison::Where),
        "Identity" | "Dropout" => Box::new(shape::Identity),
        "Cast" => Box::new(shape::Cast::compile(node)?),
        "Constant" => Box::new(shape::Constant::compile(node)?),
        "Shape" => Box::new(shape::Shape),
        "ConstantOfShape" => Box::new(shape::ConstantOfShape::compile(node)?),
        "Concat" => Box::new(shape::Concat::compile(node)),
        "Reshape" => Box::new(shape::Reshape::compile(node)),
        "Flatten" => Box::new(shape::Flatten::compile(node)),
        "Squeeze" => Box::new(shape::Squeeze::compile(node)),
        "Unsqueeze" => Box::new(shape::Unsqueeze::compile(node)),
        "Gather" => Box::new(shape::Gather::compile(node)),
        "Transpose" => Box::new(shape::Transpose::compile(node)),
        "Slice" => Box::new(shape::Slice),
        "Expand" => Box::new(shape::Expand),
        "StringNormalizer" => Box::new(text::StringNormalizer::compile(node)?),
        "TfIdfVectorizer" => Box::new(text::TfIdfVectorizer::compile(node)?),
        _ => return Ok(None),
    }))
}

fn classical(name: &str, node: &Node<'_>) -> ModelResult<Option<Box<dyn Operator>>> {
    Ok(Some(match name {
        "TreeEnsembleClassifier" => Box::new(tree::Classifier::compile(node)?),
        "TreeEnsembleRegressor" => Box::new(tree::Regressor::compile(node)?),
        "TreeEnsemble" => Box::new(tree::Regressor::compile_version_5(node)?),
        "LinearClassifier" => Box::new(linear::LinearClassifier::compile(node)?),
        "LinearRegressor" => Box::new(linear::LinearRegressor::compile(node)?),
        "Scaler" => Box::new(scaler::Scaler::compile(node)),
        "Normalizer" => Box::new(scaler::Normalizer::compile(node)?),
        "Imputer" => Box::new(scaler::Imputer::compile(node)),
        "Binarizer" => Box::new(scaler::Binarizer::compile(node)),
        "LabelEncoder" => Box::new(encoder::LabelEncoder::compile(node)?),
        "OneHotEncoder" => Box::new(encoder::OneHotEncoder::compile(node)?),
        "FeatureVectorizer" => Box::new(feature::FeatureVectorizer),
        "ArrayFeatureExtractor" => Box::new(feature::ArrayFeatureExtractor),
        "ZipMap" => Box::new(feature::ZipMap::compile(node)?),
        "SVMClassifier" => Box::new(svm::SvmClassifier::compile(node)?),
        "SVMRegressor" => Box::new(svm::SvmRegressor::compile(node)?),
        _ => return Ok(None),
    }))
}

fn unknown(node: &Node<'_>) -> ModelError {
    let domain = if node.message.domain.is_empty() { "ai.onnx" } else { &node.message.domain };
    let hint = match node.message.op_type.as_str() {
        "Conv" | "MaxPool" | "LSTM" | "GRU" | "Attention" | "LayerNormalization" => {
            "convolutional, recurrent and attention networks are not evaluated; tree ensembles, linear models and dense networks are"
        }
        _ => "export the part of the model without it, and compute the rest in SQL",
    };
    ModelError::unsupported(format!("operator {} of {domain} version {} is not evaluated (hint: {hint})", node.message.op_type, node.opset))
}
