//! LinearClassifier and LinearRegressor.

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::tensor::{Data, Tensor};
use super::feature::class_names;
use super::matrix::{product, transposed};
use super::scores::{PostTransform, best, both_classes};
use super::{Budget, Inputs, Operator};

/// Weights of several targets.
#[derive(Debug)]
struct Weights {
    /// Features × targets.
    weights: Vec<f64>,
    intercepts: Vec<f64>,
    features: usize,
    targets: usize,
}

impl Weights {
    fn compile(node: &Node<'_>, targets: usize) -> ModelResult<Self> {
        let by_target: Vec<f64> = node.floats("coefficients").iter().map(|value| f64::from(*value)).collect();
        if targets == 0 || by_target.is_empty() || !by_target.len().is_multiple_of(targets) {
            return Err(ModelError::invalid(format!("{} coefficients for {targets} targets", by_target.len())));
        }
        let features = by_target.len() / targets;
        let mut intercepts: Vec<f64> = node.floats("intercepts").iter().map(|value| f64::from(*value)).collect();
        if intercepts.is_empty() {
            intercepts = vec![0.0; targets];
        }
        if intercepts.len() != targets {
            return Err(ModelError::invalid(format!("{} intercepts for {targets} targets", intercepts.len())));
        }
        Ok(Self { weights: transposed(&by_target, targets, features), intercepts, features, targets })
    }

    /// A score for each row and target.
    fn scores(&self, input: &Tensor, budget: &mut Budget) -> ModelResult<(usize, Vec<f64>)> {
        let (rows, columns) = input.matrix_shape()?;
        if columns != self.features {
            return Err(ModelError::invalid(format!("the model has {} features, it is given {columns}", self.features)));
        }
        budget.elements(&[rows, self.targets + columns])?;
        budget.work(&[rows, columns, self.targets])?;
        let mut scores = product(&input.data.to_f64()?, &self.weights, rows, columns, self.targets);
        for row in scores.chunks_mut(self.targets) {
            row.iter_mut().zip(&self.intercepts).for_each(|(score, intercept)| *score += intercept);
        }
        Ok((rows, scores))
    }
}

#[derive(Debug)]
pub(super) struct LinearRegressor {
    weights: Weights,
    transform: PostTransform,
}

impl LinearRegressor {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let targets = usize::try_from(node.int("targets", 1)).unwrap_or(0);
        Ok(Self { weights: Weights::compile(node, targets)?, transform: PostTransform::parse(node.text("post_transform", "NONE")?)? })
    }
}

impl Operator for LinearRegressor {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (rows, mut scores) = self.weights.scores(inputs.get(0)?, budget)?;
        self.transform.apply(&mut scores, self.weights.targets);
        Ok(vec![Tensor::new(vec![rows, self.weights.targets], narrow(scores))?])
    }
}

fn narrow(scores: Vec<f64>) -> Data {
    Data::F32(scores.into_iter().map(|score| score as f32).collect())
}

#[derive(Debug)]
pub(super) struct LinearClassifier {
    weights: Weights,
    transform: PostTransform,
    names: Vec<String>,
    labels: Data,
}

impl LinearClassifier {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let (names, labels) = class_names(node, "classlabels_ints", "classlabels_strings")?;
        let targets = match node.floats("intercepts").len() {
            0 => names.len(),
            given => given,
        };
        let weights = Weights::compile(node, targets)?;
        if names.is_empty() || !(targets == names.len() || (targets == 1 && names.len() == 2)) {
            return Err(ModelError::invalid(format!("{targets} scores for {} classes", names.len())));
        }
        Ok(Self { weights, transform: PostTransform::parse(node.text("post_transform", "NONE")?)?, names, labels })
    }
}

impl Operator for LinearClassifier {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (rows, mut scores) = self.weights.scores(inputs.get(0)?, budget)?;
        let classes = self.names.len();
        budget.elements(&[rows, classes])?;
        let labels = if self.weights.targets == classes {
            let labels = self.labels.take(best(&scores, classes));
            self.transform.apply(&mut scores, classes);
            labels
        } else {
            let labels = self.labels.take(scores.iter().map(|score| usize::from(*score > 0.0)));
            scores = both_classes(&scores, self.transform, true);
            labels
        };
        Ok(vec![Tensor::column(labels), Tensor::new(vec![rows, classes], narrow(scores))?])
    }

    fn classes(&self) -> Option<Vec<String>> {
        Some(self.names.clone())
    }
}
