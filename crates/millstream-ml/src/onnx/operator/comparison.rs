//! Comparisons, logic and choice.

use crate::error::{ModelError, ModelResult};

use super::super::tensor::{Data, Tensor};
use super::broadcast::{Pairing, common_dims};
use super::{Budget, Inputs, Operator};

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    And,
    Or,
    Xor,
    Not,
    IsNan,
}

pub(super) fn compile(name: &str) -> Option<Comparison> {
    Some(match name {
        "Less" => Comparison::Less,
        "LessOrEqual" => Comparison::LessOrEqual,
        "Greater" => Comparison::Greater,
        "GreaterOrEqual" => Comparison::GreaterOrEqual,
        "Equal" => Comparison::Equal,
        "And" => Comparison::And,
        "Or" => Comparison::Or,
        "Xor" => Comparison::Xor,
        "Not" => Comparison::Not,
        "IsNaN" => Comparison::IsNan,
        _ => return None,
    })
}

impl Operator for Comparison {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let left = inputs.get(0)?;
        let wrong = |data: &Data| ModelError::invalid(format!("{self:?} of {}", data.word()));
        if matches!(self, Self::Not | Self::IsNan) {
            budget.elements(&left.dims)?;
            let data = match (self, &left.data) {
                (Self::Not, Data::Bool(values)) => values.iter().map(|value| !value).collect(),
                (Self::IsNan, Data::F32(values)) => values.iter().map(|value| value.is_nan()).collect(),
                (Self::IsNan, Data::F64(values)) => values.iter().map(|value| value.is_nan()).collect(),
                (_, data) => return Err(wrong(data)),
            };
            return Ok(vec![Tensor::new(left.dims.clone(), Data::Bool(data))?]);
        }
        let right = inputs.get(1)?;
        let pairing = Pairing::new(&left.dims, &right.dims)?;
        budget.elements(&pairing.dims)?;
        let data = match (&left.data, &right.data) {
            (Data::F32(a), Data::F32(b)) => self.ordered(&pairing, a, b),
            (Data::F64(a), Data::F64(b)) => self.ordered(&pairing, a, b),
            (Data::I64(a), Data::I64(b)) => self.ordered(&pairing, a, b),
            (Data::Bool(a), Data::Bool(b)) => self.logical(&pairing, a, b),
            (Data::Text(a), Data::Text(b)) if matches!(self, Self::Equal) => {
                let (a, b): (Vec<&str>, Vec<&str>) = (a.iter().flatten().collect(), b.iter().flatten().collect());
                Some(pairing.map(&a, &b, |a, b| a == b))
            }
            (data, _) => return Err(wrong(data)),
        };
        Ok(vec![Tensor::new(pairing.dims, Data::Bool(data.ok_or_else(|| wrong(&left.data))?))?])
    }
}

impl Comparison {
    fn ordered<T: Copy + PartialOrd>(self, pairing: &Pairing, a: &[T], b: &[T]) -> Option<Vec<bool>> {
        Some(match self {
            Self::Less => pairing.map(a, b, |a, b| a < b),
            Self::LessOrEqual => pairing.map(a, b, |a, b| a <= b),
            Self::Greater => pairing.map(a, b, |a, b| a > b),
            Self::GreaterOrEqual => pairing.map(a, b, |a, b| a >= b),
            Self::Equal => pairing.map(a, b, |a, b| a == b),
            _ => return None,
        })
    }

    fn logical(self, pairing: &Pairing, a: &[bool], b: &[bool]) -> Option<Vec<bool>> {
        Some(match self {
            Self::And => pairing.map(a, b, |a, b| a && b),
            Self::Or => pairing.map(a, b, |a, b| a || b),
            Self::Xor => pairing.map(a, b, |a, b| a != b),
            Self::Equal => pairing.map(a, b, |a, b| a == b),
            _ => return None,
        })
    }
}

/// One of two values, by a condition.
#[derive(Debug)]
pub(super) struct Where;

impl Operator for Where {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (condition, left, right) = (inputs.get(0)?, inputs.get(1)?, inputs.get(2)?);
        let Data::Bool(chosen) = &condition.data else {
            return Err(ModelError::invalid(format!("a condition of {}", condition.data.word())));
        };
        let dims = common_dims(&common_dims(&condition.dims, &left.dims)?, &right.dims)?;
        budget.elements(&dims)?;
        budget.elements(&dims)?;
        let data = match (&left.data, &right.data) {
            (Data::F32(a), Data::F32(b)) => Data::F32(choose(&dims, (condition, chosen), (left, a), (right, b))?),
            (Data::F64(a), Data::F64(b)) => Data::F64(choose(&dims, (condition, chosen), (left, a), (right, b))?),
            (Data::I64(a), Data::I64(b)) => Data::I64(choose(&dims, (condition, chosen), (left, a), (right, b))?),
            (Data::Bool(a), Data::Bool(b)) => Data::Bool(choose(&dims, (condition, chosen), (left, a), (right, b))?),
            (a, b) => return Err(ModelError::invalid(format!("a choice of {} and {}", a.word(), b.word()))),
        };
        Ok(vec![Tensor::new(dims, data)?])
    }
}

/// Of pairs of both, and then one of each pair.
fn choose<T: Copy>(
    dims: &[usize],
    (condition, chosen): (&Tensor, &[bool]),
    (left, a): (&Tensor, &[T]),
    (right, b): (&Tensor, &[T]),
) -> ModelResult<Vec<T>> {
    let both = Pairing::new(&left.dims, &right.dims)?;
    let pairs = both.map(a, b, |a, b| (a, b));
    let all = Pairing::new(&condition.dims, &both.dims)?;
    debug_assert_eq!(all.dims, dims);
    Ok(all.map(chosen, &pairs, |chosen, (a, b)| if chosen { a } else { b }))
}
