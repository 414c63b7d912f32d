//! Functions of one tensor, element by element.

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::tensor::{Data, Tensor};
use super::{Budget, Inputs, Operator};

#[derive(Clone, Copy, Debug)]
pub(super) enum Activation {
    Sqrt,
    Exp,
    Log,
    Neg,
    Abs,
    Relu,
    LeakyRelu { slope: f32 },
    Elu { scale: f32 },
    Sigmoid,
    Tanh,
    Softplus,
    Erf,
    Reciprocal,
    Floor,
    Ceil,
    Round,
    Sign,
    Clip,
}

pub(super) fn compile(name: &str, node: &Node<'_>) -> Option<Activation> {
    Some(match name {
        "Sqrt" => Activation::Sqrt,
        "Exp" => Activation::Exp,
        "Log" => Activation::Log,
        "Neg" => Activation::Neg,
        "Abs" => Activation::Abs,
        "Relu" => Activation::Relu,
        "LeakyRelu" => Activation::LeakyRelu { slope: node.float("alpha", 0.01) },
        "Elu" => Activation::Elu { scale: node.float("alpha", 1.0) },
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "Softplus" => Activation::Softplus,
        "Erf" => Activation::Erf,
        "Reciprocal" => Activation::Reciprocal,
        "Floor" => Activation::Floor,
        "Ceil" => Activation::Ceil,
        "Round" => Activation::Round,
        "Sign" => Activation::Sign,
        "Clip" if node.opset >= 11 => Activation::Clip,
        _ => return None,
    })
}

/// 1 / (1 + e^-x) without an overflow on either side.
pub(crate) fn logistic(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

fn logistic_f32(x: f32) -> f32 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// Formula 7.1.26 of Abramowitz and Stegun: error below 1.5e-7, less than a 32-bit float tells apart near 1.
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series = t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - series * (-x * x).exp()).copysign(x)
}

impl Operator for Activation {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        budget.elements(&input.dims)?;
        let data = match &input.data {
            Data::F32(values) => Data::F32(self.single(values, inputs)?),
            Data::F64(values) => Data::F64(self.double(values, inputs)?),
            Data::I64(values) => Data::I64(self.integer(values)?),
            other => return Err(self.wrong(other.word())),
        };
        Ok(vec![Tensor::new(input.dims.clone(), data)?])
    }
}

/// The bounds of Clip.
fn bounds(inputs: &Inputs<'_>) -> ModelResult<(f64, f64)> {
    let bound = |at: usize, default: f64| match inputs.optional(at) {
        None => Ok(default),
        Some(tensor) => Ok(tensor.data.to_f64()?.first().copied().unwrap_or(default)),
    };
    Ok((bound(1, f64::NEG_INFINITY)?, bound(2, f64::INFINITY)?))
}

impl Activation {
    fn wrong(self, word: &str) -> ModelError {
        ModelError::invalid(format!("{self:?} of {word}"))
    }

    fn single(self, values: &[f32], inputs: &Inputs<'_>) -> ModelResult<Vec<f32>> {
        fn map(values: &[f32], f: impl Fn(f32) -> f32) -> Vec<f32> {
            values.iter().map(|value| f(*value)).collect()
        }
        Ok(match self {
            Self::Sqrt => map(values, f32::sqrt),
            Self::Exp => map(values, f32::exp),
            Self::Log => map(values, f32::ln),
            Self::Neg => map(values, |x| -x),
            Self::Abs => map(values, f32::abs),
            Self::Relu => map(values, |x| if x < 0.0 { 0.0 } else { x }),
            Self::LeakyRelu { slope } => map(values, |x| if x < 0.0 { x * slope } else { x }),
            Self::Elu { scale } => map(values, |x| if x < 0.0 { scale * x.exp_m1() } else { x }),
            Self::Sigmoid => map(values, logistic_f32),
            Self::Tanh => map(values, f32::tanh),
            Self::Softplus => map(values, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
            Self::Erf => map(values, |x| erf(f64::from(x)) as f32),
            Self::Reciprocal => map(values, f32::recip),
            Self::Floor => map(values, f32::floor),
            Self::Ceil => map(values, f32::ceil),
            Self::Round => map(values, f32::round_ties_even),
            Self::Sign => map(values, |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }),
            Self::Clip => {
                let (low, high) = bounds(inputs)?;
                let (low, high) = (low as f32, high as f32);
                map(values, |x| if x < low { low } else { x }).into_iter().map(|x| if x > high { high } else { x }).collect()
            }
        })
    }

    fn double(self, values: &[f64], inputs: &Inputs<'_>) -> ModelResult<Vec<f64>> {
        fn map(values: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
            values.iter().map(|value| f(*value)).collect()
        }
        Ok(match self {
            Self::Sqrt => map(values, f64::sqrt),
            Self::Exp => map(values, f64::exp),
            Self::Log => map(values, f64::ln),
            Self::Neg => map(values, |x| -x),
            Self::Abs => map(values, f64::abs),
            Self::Relu => map(values, |x| if x < 0.0 { 0.0 } else { x }),
            Self::LeakyRelu { slope } => map(values, |x| if x < 0.0 { x * f64::from(slope) } else { x }),
            Self::Elu { scale } => map(values, |x| if x < 0.0 { f64::from(scale) * x.exp_m1() } else { x }),
            Self::Sigmoid => map(values, logistic),
            Self::Tanh => map(values, f64::tanh),
            Self::Softplus => map(values, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
            Self::Erf => map(values, erf),
            Self::Reciprocal => map(values, f64::recip),
            Self::Floor => map(values, f64::floor),
            Self::Ceil => map(values, f64::ceil),
            Self::Round => map(values, f64::round_ties_even),
            Self::Sign => map(values, |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }),
            Self::Clip => {
                let (low, high) = bounds(inputs)?;
                map(values, |x| if x < low { low } else { x }).into_iter().map(|x| if x > high { high } else { x }).collect()
            }
        })
    }

    fn integer(self, values: &[i64]) -> ModelResult<Vec<i64>> {
        Ok(match self {
            Self::Neg => values.iter().map(|x| x.wrapping_neg()).collect(),
            Self::Abs => values.iter().map(|x| x.wrapping_abs()).collect(),
            Self::Sign => values.iter().map(|x| x.signum()).collect(),
            Self::Relu => values.iter().map(|x| *x.max(&0)).collect(),
            _ => return Err(self.wrong("integer")),
        })
    }
}
