//! Arithmetic of two or more tensors.

use crate::error::{ModelError, ModelResult};

use super::super::tensor::{Data, Tensor};
use super::broadcast::Pairing;
use super::{Budget, Inputs, Operator};

#[derive(Clone, Copy, Debug)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    /// Of any number of tensors.
    Max,
    Min,
    Sum,
    Mean,
}

pub(super) fn compile(name: &str) -> Option<Arithmetic> {
    Some(match name {
        "Add" => Arithmetic::Add,
        "Sub" => Arithmetic::Sub,
        "Mul" => Arithmetic::Mul,
        "Div" => Arithmetic::Div,
        "Pow" => Arithmetic::Pow,
        "Max" => Arithmetic::Max,
        "Min" => Arithmetic::Min,
        "Sum" => Arithmetic::Sum,
        "Mean" => Arithmetic::Mean,
        _ => return None,
    })
}

impl Operator for Arithmetic {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let first = inputs.get(0)?;
        let many = matches!(self, Self::Max | Self::Min | Self::Sum | Self::Mean);
        if !many {
            return Ok(vec![self.pair(first, inputs.get(1)?, budget)?]);
        }
        let mut result = first.clone();
        for at in 1..inputs.len() {
            result = self.pair(&result, inputs.get(at)?, budget)?;
        }
        if matches!(self, Self::Mean) {
            let count = Tensor::new(Vec::new(), scalar_like(&result.data, inputs.len() as f64)?)?;
            result = Self::Div.pair(&result, &count, budget)?;
        }
        Ok(vec![result])
    }
}

fn scalar_like(data: &Data, value: f64) -> ModelResult<Data> {
    Ok(match data {
        Data::F32(_) => Data::F32(vec![value as f32]),
        Data::F64(_) => Data::F64(vec![value]),
        other => return Err(ModelError::invalid(format!("a mean of {}", other.word()))),
    })
}

impl Arithmetic {
    fn pair(self, left: &Tensor, right: &Tensor, budget: &mut Budget) -> ModelResult<Tensor> {
        let pairing = Pairing::new(&left.dims, &right.dims)?;
        budget.elements(&pairing.dims)?;
        let data = match (&left.data, &right.data) {
            (Data::F32(a), Data::F32(b)) => Data::F32(self.floats(&pairing, a, b, f32::powf, f32::max, f32::min)),
            (Data::F64(a), Data::F64(b)) => Data::F64(self.floats(&pairing, a, b, f64::powf, f64::max, f64::min)),
            (Data::I64(a), Data::I64(b)) => Data::I64(self.integers(&pairing, a, b)),
            // Pow is the one whose exponent may have another type.
            (Data::F32(a), b) if matches!(self, Self::Pow) => {
                Data::F32(self.floats(&pairing, a, &b.to_f32()?, f32::powf, f32::max, f32::min))
            }
            (Data::F64(a), b) if matches!(self, Self::Pow) => {
                Data::F64(self.floats(&pairing, a, &b.to_f64()?, f64::powf, f64::max, f64::min))
            }
            (a, b) => return Err(ModelError::invalid(format!("{self:?} of {} and {}", a.word(), b.word()))),
        };
        Tensor::new(pairing.dims, data)
    }

    fn floats<T>(self, pairing: &Pairing, a: &[T], b: &[T], pow: fn(T, T) -> T, max: fn(T, T) -> T, min: fn(T, T) -> T) -> Vec<T>
    where
        T: Copy + std::ops::Add<Output = T> + std::ops::Sub<Output = T> + std::ops::Mul<Output = T> + std::ops::Div<Output = T>,
    {
        match self {
            Self::Add | Self::Sum | Self::Mean => pairing.map(a, b, |a, b| a + b),
            Self::Sub => pairing.map(a, b, |a, b| a - b),
            Self::Mul => pairing.map(a, b, |a, b| a * b),
            Self::Div => pairing.map(a, b, |a, b| a / b),
            Self::Pow => pairing.map(a, b, pow),
            Self::Max => pairing.map(a, b, max),
            Self::Min => pairing.map(a, b, min),
        }
    }

    fn integers(self, pairing: &Pairing, a: &[i64], b: &[i64]) -> Vec<i64> {
        match self {
            Self::Add | Self::Sum | Self::Mean => pairing.map(a, b, i64::wrapping_add),
            Self::Sub => pairing.map(a, b, i64::wrapping_sub),
            Self::Mul => pairing.map(a, b, i64::wrapping_mul),
            // Undefined in ONNX; zero rather than a crash.
            Self::Div => pairing.map(a, b, |a, b| a.checked_div(b).unwrap_or(0)),
            Self::Pow => pairing.map(a, b, |a, b| u32::try_from(b).map_or(0, |b| a.wrapping_pow(b))),
            Self::Max => pairing.map(a, b, i64::max),
            Self::Min => pairing.map(a, b, i64::min),
        }
    }
}
