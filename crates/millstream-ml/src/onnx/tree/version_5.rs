//! Trees of TreeEnsemble (version 5): leaves in lists of their own.

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::tensor::{Data, Tensor};
use super::forest::{Draft, DraftKind, DraftNode, Mode};

fn broken(what: impl std::fmt::Display) -> ModelError {
    ModelError::invalid(format!("the trees are damaged: {what}"))
}

/// Reads branches, and then one leaf for each child that is one.
pub(super) fn read(node: &Node<'_>) -> ModelResult<Draft> {
    let tensor = |name: &str| node.tensor(name)?.ok_or_else(|| broken(format!("{name} is missing")));
    let splits = tensor("nodes_splits")?;
    let double = matches!(splits.data, Data::F64(_));
    let thresholds = splits.data.to_f64()?;
    let count = thresholds.len();
    if count.saturating_mul(3) > node.tree_nodes_max {
        return Err(ModelError::too_large(format!(
            "the trees have {count} nodes and their leaves, at most {} are read",
            node.tree_nodes_max
        )));
    }
    let modes = tensor("nodes_modes")?.data.to_i64()?;
    let missing = node.ints("nodes_missing_value_tracks_true");
    let mut reader =
        Reader { leaf_targets: node.ints("leaf_targetids"), leaf_weights: tensor("leaf_weights")?, nodes: Vec::with_capacity(count) };
    let list = |name: &str| {
        let list = node.ints(name);
        if list.len() == count { Ok(list) } else { Err(broken(format!("{} values of {name} for {count} nodes", list.len()))) }
    };
    let features = list("nodes_featureids")?;
    let (yes, no) = (list("nodes_truenodeids")?, list("nodes_falsenodeids")?);
    let (yes_leaf, no_leaf) = (list("nodes_trueleafs")?, list("nodes_falseleafs")?);
    if modes.len() != count || !(missing.is_empty() || missing.len() == count) {
        return Err(broken("lists of different lengths"));
    }
    // Places of branches are known before any leaf is made.
    reader.nodes = vec![DraftNode { kind: DraftKind::Leaf(Vec::new()) }; count];
    let mut sets = Sets::read(node)?;
    for at in 0..count {
        let (yes, no) = (reader.child(yes[at], yes_leaf[at], count)?, reader.child(no[at], no_leaf[at], count)?);
        let mode = mode(modes[at])?;
        reader.nodes[at].kind = DraftKind::Branch {
            feature: usize::try_from(features[at]).map_err(|_| broken(format!("feature {}", features[at])))?,
            threshold: if mode == Mode::Member { sets.next()? as f64 } else { thresholds[at] },
            mode,
            missing_is_true: missing.get(at).is_some_and(|flag| *flag != 0),
            yes,
            no,
        };
    }
    let roots = node.ints("tree_roots").iter().map(|root| place(*root, count)).collect::<ModelResult<Vec<_>>>()?;
    let targets = usize::try_from(node.int("n_targets", 1)).unwrap_or(0);
    Ok(Draft { nodes: reader.nodes, roots, targets, double, sets: sets.all })
}

fn place(index: i64, count: usize) -> ModelResult<usize> {
    usize::try_from(index).ok().filter(|place| *place < count).ok_or_else(|| broken(format!("node {index} of {count}")))
}

fn mode(code: i64) -> ModelResult<Mode> {
    Ok(match code {
        0 => Mode::LessOrEqual,
        1 => Mode::Less,
        2 => Mode::GreaterOrEqual,
        3 => Mode::Greater,
        4 => Mode::Equal,
        5 => Mode::NotEqual,
        6 => Mode::Member,
        other => return Err(broken(format!("branch of kind {other}"))),
    })
}

/// The sets of branches by membership: one list for all, in the order of such branches, a NaN behind each.
struct Sets {
    all: Vec<Vec<f64>>,
    taken: usize,
}

impl Sets {
    fn read(node: &Node<'_>) -> ModelResult<Self> {
        let values = node.tensor("membership_values")?.map(|tensor| tensor.data.to_f64()).transpose()?.unwrap_or_default();
        let mut all: Vec<Vec<f64>> = values.split(|value| value.is_nan()).map(<[f64]>::to_vec).collect();
        // What is behind the last NaN is no set, unless the last one is missing.
        if all.last().is_some_and(Vec::is_empty) {
            all.pop();
        }
        Ok(Self { all, taken: 0 })
    }

    /// The number of the next set.
    fn next(&mut self) -> ModelResult<usize> {
        self.taken += 1;
        if self.taken > self.all.len() {
            return Err(broken(format!("{} sets of members for more branches that ask for one", self.all.len())));
        }
        Ok(self.taken - 1)
    }
}

struct Reader<'a> {
    leaf_targets: &'a [i64],
    leaf_weights: Tensor,
    nodes: Vec<DraftNode>,
}

impl Reader<'_> {
    /// The place of a child; a leaf gets one.
    fn child(&mut self, index: i64, is_leaf: i64, count: usize) -> ModelResult<usize> {
        if is_leaf == 0 {
            return place(index, count);
        }
        let leaf = place(index, self.leaf_targets.len())?;
        let weight = match &self.leaf_weights.data {
            Data::F32(weights) => weights.get(leaf).map(|weight| f64::from(*weight)),
            Data::F64(weights) => weights.get(leaf).copied(),
            _ => None,
        };
        let weight = weight.ok_or_else(|| broken(format!("leaf {leaf} has no weight")))?;
        let target = u32::try_from(self.leaf_targets[leaf]).map_err(|_| broken("a negative target"))?;
        self.nodes.push(DraftNode { kind: DraftKind::Leaf(vec![(target, weight)]) });
        Ok(self.nodes.len() - 1)
    }
}
