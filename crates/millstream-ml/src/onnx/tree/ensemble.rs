//! TreeEnsembleClassifier, TreeEnsembleRegressor and TreeEnsemble: the walk, and what becomes of the sums.

use std::sync::OnceLock;

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::operator::{Budget, Inputs, Operator, PostTransform, best, both_classes, class_names};
use super::super::tensor::{Data, Tensor};
use super::columns::{self, VoteNames};
use super::forest::{Draft, Forest};
use super::version_5;
use super::walk::Aggregate;

/// Features that a model can have.
const FEATURES_MAX: usize = 16_384;

/// A forest for the type of its features.
#[derive(Debug)]
struct Trees {
    /// `None` if the thresholds are doubles: features are compared as doubles then.
    single: Option<Forest<f32>>,
    /// Made when first needed, if the thresholds are single.
    double: OnceLock<Forest<f64>>,
    targets: usize,
    aggregate: Aggregate,
    /// Added to the sums; empty or one a target.
    base: Vec<f64>,
}

impl Trees {
    fn new(draft: &Draft, aggregate: Aggregate, base: Vec<f64>) -> ModelResult<Self> {
        if draft.targets == 0 || draft.targets > FEATURES_MAX {
            return Err(ModelError::invalid(format!("trees with {} targets", draft.targets)));
        }
        let double = OnceLock::new();
        let single = if draft.double {
            let _ = double.set(Forest::pack(draft, FEATURES_MAX)?);
            None
        } else {
            Some(Forest::pack(draft, FEATURES_MAX)?)
        };
        Ok(Self { single, double, targets: draft.targets, aggregate, base })
    }

    fn double(&self) -> ModelResult<&Forest<f64>> {
        match &self.single {
            Some(single) => Ok(self.double.get_or_init(|| single.widened())),
            None => self.double.get().ok_or_else(|| ModelError::invalid("no trees")),
        }
    }

    /// Rows, and a sum for each row and target.
    fn scores(&self, input: &Tensor, budget: &mut Budget) -> ModelResult<(usize, Vec<f64>)> {
        let (rows, width) = input.matrix_shape()?;
        budget.elements(&[rows, self.targets])?;
        budget.elements(&[rows, width])?;
        let as_single = match (&self.single, &input.data) {
            (Some(forest), Data::F32(_) | Data::I64(_) | Data::Bool(_)) => Some(forest),
            _ => None,
        };
        let (features, depth) = match as_single {
            Some(forest) => (forest.features, forest.depth),
            None => self.double().map(|forest| (forest.features, forest.depth))?,
        };
        budget.work(&[rows, depth])?;
        if width < features.max(1) {
            return Err(ModelError::invalid(format!("the trees use {} features, they are given {width}", features.max(1))));
        }
        let mut scores = match (as_single, &input.data) {
            (Some(forest), Data::F32(values)) => forest.scores(values, width, self.aggregate),
            (Some(forest), other) => forest.scores(&other.to_f32()?, width, self.aggregate),
            (None, Data::F64(values)) => self.double()?.scores(values, width, self.aggregate),
            (None, other) => self.double()?.scores(&other.to_f64()?, width, self.aggregate),
        };
        if self.base.len() == self.targets {
            for row in scores.chunks_mut(self.targets) {
                row.iter_mut().zip(&self.base).for_each(|(score, base)| *score += base);
            }
        }
        Ok((rows, scores))
    }
}

/// A number for each target.
#[derive(Debug)]
pub(in crate::onnx) struct Regressor {
    trees: Trees,
    transform: PostTransform,
    /// Version 5 gives doubles where the thresholds are.
    double: bool,
}

impl Regressor {
    pub(in crate::onnx) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let targets = usize::try_from(node.int("n_targets", 1)).unwrap_or(0);
        let names = VoteNames { nodes: "target_nodeids", trees: "target_treeids", targets: "target_ids", weights: "target_weights" };
        let draft = columns::read(node, &names, targets)?;
        let aggregate = match node.text("aggregate_function", "SUM")? {
            "SUM" => Aggregate::Sum,
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Min,
            "MAX" => Aggregate::Max,
            other => return Err(ModelError::invalid(format!("aggregate_function '{other}'"))),
        };
        let (base, _) = node.numbers("base_values")?;
        if !(base.is_empty() || base.len() == targets) {
            return Err(ModelError::invalid(format!("{} base values for {targets} targets", base.len())));
        }
        let transform = PostTransform::parse(node.text("post_transform", "NONE")?)?;
        Ok(Self { trees: Trees::new(&draft, aggregate, base)?, transform, double: false })
    }

    pub(in crate::onnx) fn compile_version_5(node: &Node<'_>) -> ModelResult<Self> {
        let draft = version_5::read(node)?;
        let aggregate = match node.int("aggregate_function", 1) {
            0 => Aggregate::Average,
            1 => Aggregate::Sum,
            2 => Aggregate::Min,
            3 => Aggregate::Max,
            other => return Err(ModelError::invalid(format!("aggregate_function {other}"))),
        };
        let transform = PostTransform::of_number(node.int("post_transform", 0))?;
        let double = draft.double;
        Ok(Self { trees: Trees::new(&draft, aggregate, Vec::new())?, transform, double })
    }
}

impl Operator for Regressor {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (rows, mut scores) = self.trees.scores(inputs.get(0)?, budget)?;
        let targets = self.trees.targets;
        self.transform.apply(&mut scores, targets);
        let data = if self.double { Data::F64(scores) } else { narrow(scores) };
        Ok(vec![Tensor::new(vec![rows, targets], data)?])
    }
}

fn narrow(scores: Vec<f64>) -> Data {
    Data::F32(scores.into_iter().map(|score| score as f32).collect())
}

/// A class, and a score for each.
#[derive(Debug)]
pub(in crate::onnx) struct Classifier {
    trees: Trees,
    transform: PostTransform,
    names: Vec<String>,
    labels: Data,
    /// All leaves vote for one of two classes: the sum is about the second, whatever number it has.
    binary: Option<Binary>,
}

/// How one sum tells two classes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binary {
    /// Votes are shares of the second class: above a half.
    Share,
    /// Votes are for or against it: above zero.
    Signed,
}

impl Classifier {
    pub(in crate::onnx) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let (names, labels) = class_names(node, "classlabels_int64s", "classlabels_strings")?;
        let classes = names.len();
        if classes == 0 {
            return Err(ModelError::invalid("a classifier without classes"));
        }
        let votes = VoteNames { nodes: "class_nodeids", trees: "class_treeids", targets: "class_ids", weights: "class_weights" };
        let mut draft = columns::read(node, &votes, classes)?;
        let (mut base, _) = node.numbers("base_values")?;
        let voted = node.ints("class_ids");
        let one = voted.first().is_some_and(|first| voted.iter().all(|class| class == first));
        let mut binary = None;
        if classes == 2 && one {
            let (weights, _) = node.numbers("class_weights")?;
            binary = Some(if weights.iter().all(|weight| *weight >= 0.0) { Binary::Share } else { Binary::Signed });
            draft.votes_for_one();
            if base.len() == 2 {
                base.remove(0);
            }
        }
        if !(base.is_empty() || base.len() == draft.targets) {
            return Err(ModelError::invalid(format!("{} base values for {} scores", base.len(), draft.targets)));
        }
        let transform = PostTransform::parse(node.text("post_transform", "NONE")?)?;
        Ok(Self { trees: Trees::new(&draft, Aggregate::Sum, base)?, transform, names, labels, binary })
    }
}

impl Operator for Classifier {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (rows, mut scores) = self.trees.scores(inputs.get(0)?, budget)?;
        let classes = self.names.len();
        budget.elements(&[rows, classes])?;
        let labels = match self.binary {
            Some(binary) => {
                let share = binary == Binary::Share && self.transform == PostTransform::None;
                let threshold = if share { 0.5 } else { 0.0 };
                let labels = self.labels.take(scores.iter().map(|score| usize::from(*score > threshold)));
                scores = both_classes(&scores, self.transform, share);
                labels
            }
            None => {
                let labels = self.labels.take(best(&scores, classes));
                self.transform.apply(&mut scores, classes);
                labels
            }
        };
        Ok(vec![Tensor::column(labels), Tensor::new(vec![rows, classes], narrow(scores))?])
    }

    fn classes(&self) -> Option<Vec<String>> {
        Some(self.names.clone())
    }
}
