//! What classifiers and regressors do with their sums, and how a class is chosen.

use crate::error::{ModelError, ModelResult};

use super::activation::logistic;

/// The function behind the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::onnx) enum PostTransform {
    None,
    Logistic,
    Softmax,
    /// Softmax that leaves zeros alone.
    SoftmaxZero,
    Probit,
}

impl PostTransform {
    pub(in crate::onnx) fn parse(text: &str) -> ModelResult<Self> {
        Ok(match text {
            "NONE" => Self::None,
            "LOGISTIC" => Self::Logistic,
            "SOFTMAX" => Self::Softmax,
            "SOFTMAX_ZERO" => Self::SoftmaxZero,
            "PROBIT" => Self::Probit,
            other => return Err(ModelError::invalid(format!("post_transform '{other}'"))),
        })
    }

    /// By the numbers of TreeEnsemble version 5.
    pub(in crate::onnx) fn of_number(number: i64) -> ModelResult<Self> {
        Ok(match number {
            0 => Self::None,
            1 => Self::Softmax,
            2 => Self::Logistic,
            3 => Self::SoftmaxZero,
            4 => Self::Probit,
            other => return Err(ModelError::invalid(format!("post_transform {other}"))),
        })
    }

    /// Over rows of `width` scores.
    pub(in crate::onnx) fn apply(self, scores: &mut [f64], width: usize) {
        match self {
            Self::None => {}
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
            Self::Softmax => scores.chunks_mut(width.max(1)).for_each(|row| softmax(row, |_| true)),
            Self::SoftmaxZero => scores.chunks_mut(width.max(1)).for_each(|row| softmax(row, |score| score.abs() > 1e-7)),
        }
    }
}

fn softmax(row: &mut [f64], counts: impl Fn(f64) -> bool) {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for score in row.iter_mut().filter(|score| counts(**score)) {
        *score = (*score - max).exp();
        sum += *score;
    }
    if sum > 0.0 {
        // What did not count is (about) zero and stays so.
        row.iter_mut().for_each(|score| *score /= sum);
    }
}

/// The inverse of the standard normal distribution by way of Winitzki's inverse error function, as ONNX runtimes compute it.
fn probit(p: f64) -> f64 {
    let x = 2.0 * p - 1.0;
    let log = (1.0 - x * x).ln();
    let v = 2.0 / (std::f64::consts::PI * 0.147) + 0.5 * log;
    let root = (v * v - log / 0.147).sqrt();
    std::f64::consts::SQRT_2 * (root - v).sqrt().copysign(x)
}

/// The place of the greatest score of each row, the first of equals.
pub(in crate::onnx) fn best(scores: &[f64], width: usize) -> impl Iterator<Item = usize> + Clone {
    scores.chunks(width.max(1)).map(|row| {
        let mut best = 0;
        for (at, score) in row.iter().enumerate().skip(1) {
            if *score > row[best] {
                best = at;
            }
        }
        best
    })
}

/// One score of two classes becomes one for each: of the first class what the second one leaves.
pub(in crate::onnx) fn both_classes(scores: &[f64], transform: PostTransform, complement: bool) -> Vec<f64> {
    let mut out = Vec::with_capacity(scores.len() * 2);
    for score in scores {
        match transform {
            PostTransform::Logistic => out.extend([logistic(-score), logistic(*score)]),
            PostTransform::Probit => out.extend([1.0 - probit(*score), probit(*score)]),
            _ if complement => out.extend([1.0 - score, *score]),
            _ => out.extend([-score, *score]),
        }
    }
    out
}
