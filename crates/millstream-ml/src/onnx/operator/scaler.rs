//! Scaler, Normalizer, Imputer, Binarizer: one value of a feature at a time, or one row.

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::tensor::{Data, Tensor};
use super::{Budget, Inputs, Operator};

/// The width of the last dimension.
fn width(tensor: &Tensor) -> usize {
    tensor.dims.last().copied().unwrap_or(1)
}

/// One value for each of `width` features, or the same for all.
fn fits<T>(what: &str, values: &[T], width: usize) -> ModelResult<()> {
    if values.len() == width || values.len() == 1 {
        return Ok(());
    }
    Err(ModelError::invalid(format!("{} values of {what} for {width} features", values.len())))
}

/// (x − offset) · scale
#[derive(Debug)]
pub(super) struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

impl Scaler {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        let or = |values: &[f32], default: f32| if values.is_empty() { vec![default] } else { values.to_vec() };
        Self { offset: or(node.floats("offset"), 0.0), scale: or(node.floats("scale"), 1.0) }
    }
}

impl Operator for Scaler {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        let width = width(input);
        fits("offset", &self.offset, width)?;
        fits("scale", &self.scale, width)?;
        budget.elements(&input.dims)?;
        let mut values = input.data.to_f32()?;
        for row in values.chunks_mut(width.max(1)) {
            match (self.offset.as_slice(), self.scale.as_slice()) {
                (offset, scale) if offset.len() == width && scale.len() == width => {
                    row.iter_mut().zip(offset).zip(scale).for_each(|((x, offset), scale)| *x = (*x - offset) * scale);
                }
                (offset, scale) => {
                    let (offset, scale) = (offset.iter().cycle(), scale.iter().cycle());
                    row.iter_mut().zip(offset).zip(scale).for_each(|((x, offset), scale)| *x = (*x - offset) * scale);
                }
            }
        }
        Ok(vec![Tensor::new(input.dims.clone(), Data::F32(values))?])
    }
}

#[derive(Clone, Copy, Debug)]
enum Norm {
    Max,
    L1,
    L2,
}

/// Each row by its norm.
#[derive(Debug)]
pub(super) struct Normalizer {
    norm: Norm,
}

impl Normalizer {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let norm = match node.text("norm", "MAX")? {
            "MAX" => Norm::Max,
            "L1" => Norm::L1,
            "L2" => Norm::L2,
            other => return Err(ModelError::invalid(format!("norm '{other}'"))),
        };
        Ok(Self { norm })
    }
}

impl Operator for Normalizer {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        budget.elements(&input.dims)?;
        let mut values = input.data.to_f32()?;
        for row in values.chunks_mut(width(input).max(1)) {
            let norm = match self.norm {
                Norm::Max => row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                Norm::L1 => row.iter().map(|x| x.abs()).sum(),
                Norm::L2 => row.iter().map(|x| x * x).sum::<f32>().sqrt(),
            };
            if norm != 0.0 {
                row.iter_mut().for_each(|x| *x /= norm);
            }
        }
        Ok(vec![Tensor::new(input.dims.clone(), Data::F32(values))?])
    }
}

/// What is missing gets a value.
#[derive(Debug)]
pub(super) struct Imputer {
    floats: Vec<f32>,
    replaced_float: f32,
    integers: Vec<i64>,
    replaced_integer: i64,
}

impl Imputer {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        Self {
            floats: node.floats("imputed_value_floats").to_vec(),
            replaced_float: node.float("replaced_value_float", 0.0),
            integers: node.ints("imputed_value_int64s").to_vec(),
            replaced_integer: node.int("replaced_value_int64", 0),
        }
    }
}

impl Operator for Imputer {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        let width = width(input);
        budget.elements(&input.dims)?;
        let data = match &input.data {
            Data::I64(values) => {
                fits("an imputer", &self.integers, width)?;
                let mut values = values.clone();
                replace(&mut values, &self.integers, width, |value| value == self.replaced_integer);
                Data::I64(values)
            }
            Data::F64(values) => {
                fits("an imputer", &self.floats, width)?;
                let (with, missing): (Vec<f64>, f64) =
                    (self.floats.iter().map(|value| f64::from(*value)).collect(), f64::from(self.replaced_float));
                let mut values = values.clone();
                replace(&mut values, &with, width, |value| value == missing || (missing.is_nan() && value.is_nan()));
                Data::F64(values)
            }
            other => {
                fits("an imputer", &self.floats, width)?;
                let (mut values, missing) = (other.to_f32()?, self.replaced_float);
                replace(&mut values, &self.floats, width, |value| value == missing || (missing.is_nan() && value.is_nan()));
                Data::F32(values)
            }
        };
        Ok(vec![Tensor::new(input.dims.clone(), data)?])
    }
}

fn replace<T: Copy>(values: &mut [T], with: &[T], width: usize, missing: impl Fn(T) -> bool) {
    for row in values.chunks_mut(width.max(1)) {
        for (value, with) in row.iter_mut().zip(with.iter().cycle()) {
            if missing(*value) {
                *value = *with;
            }
        }
    }
}

/// 1 above a threshold, else 0.
#[derive(Debug)]
pub(super) struct Binarizer {
    threshold: f32,
}

impl Binarizer {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        Self { threshold: node.float("threshold", 0.0) }
    }
}

impl Operator for Binarizer {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        budget.elements(&input.dims)?;
        let values = input.data.to_f32()?.into_iter().map(|x| f32::from(u8::from(x > self.threshold))).collect();
        Ok(vec![Tensor::new(input.dims.clone(), Data::F32(values))?])
    }
}
