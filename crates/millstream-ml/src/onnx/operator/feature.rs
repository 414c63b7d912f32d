//! FeatureVectorizer, ArrayFeatureExtractor, and ZipMap, which is dropped.

use arrow::array::{Array, StringArray};

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::tensor::{Data, Tensor};
use super::shape::concat;
use super::{Budget, Inputs, Operator};

/// Several inputs as one row of features.
#[derive(Debug)]
pub(super) struct FeatureVectorizer;

impl Operator for FeatureVectorizer {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let mut parts = Vec::with_capacity(inputs.len());
        for at in 0..inputs.len() {
            let input = inputs.get(at)?;
            // One value a row is one column.
            let (rows, columns) = if let [rows] = input.dims.as_slice() { (*rows, 1) } else { input.matrix_shape()? };
            budget.elements(&input.dims)?;
            parts.push(Tensor::new(vec![rows, columns], Data::F32(input.data.to_f32()?))?);
        }
        Ok(vec![concat(&parts.iter().collect::<Vec<_>>(), 1, budget)?])
    }
}

/// Chosen elements of the last dimension.
#[derive(Debug)]
pub(super) struct ArrayFeatureExtractor;

impl Operator for ArrayFeatureExtractor {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (tensor, indices) = (inputs.get(0)?, inputs.get(1)?.data.to_i64()?);
        let width = tensor.dims.last().copied().unwrap_or(1);
        let mut places = Vec::with_capacity(indices.len());
        for index in indices {
            let place = usize::try_from(index).ok().filter(|place| *place < width);
            places.push(place.ok_or_else(|| ModelError::invalid(format!("feature {index} of {width}")))?);
        }
        let before = tensor.data.len() / width.max(1);
        let mut dims = tensor.dims.clone();
        match dims.last_mut() {
            Some(last) if tensor.dims.len() > 1 => *last = places.len(),
            _ => dims = vec![1, places.len()],
        }
        budget.elements(&dims)?;
        let places = &places;
        let all = (0..before).flat_map(|row| places.iter().map(move |place| row * width + place));
        Ok(vec![Tensor::new(dims, tensor.data.take(all))?])
    }
}

/// A map from class to probability for each row. Its probabilities stay a tensor, its keys become the names of the classes.
#[derive(Debug)]
pub(super) struct ZipMap {
    classes: Vec<String>,
}

impl ZipMap {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        Ok(Self { classes: class_names(node, "classlabels_int64s", "classlabels_strings")?.0 })
    }
}

impl Operator for ZipMap {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        budget.elements(&input.dims)?;
        Ok(vec![input.clone()])
    }

    fn classes(&self) -> Option<Vec<String>> {
        Some(self.classes.clone())
    }
}

/// The labels of a classifier: as names and as values.
pub(in crate::onnx) fn class_names(node: &Node<'_>, integers: &str, strings: &str) -> ModelResult<(Vec<String>, Data)> {
    if node.has(strings) {
        let labels: StringArray = node.texts(strings)?;
        return Ok(((0..labels.len()).map(|at| labels.value(at).to_owned()).collect(), Data::Text(labels)));
    }
    let labels = node.ints(integers).to_vec();
    Ok((labels.iter().map(i64::to_string).collect(), Data::I64(labels)))
}
