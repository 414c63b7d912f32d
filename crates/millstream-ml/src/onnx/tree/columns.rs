//! Trees of TreeEnsembleClassifier and TreeEnsembleRegressor: lists of attributes, one value a node or a vote.

use std::collections::HashMap;

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::forest::{Draft, DraftKind, DraftNode, Mode};

fn broken(what: impl std::fmt::Display) -> ModelError {
    ModelError::invalid(format!("the trees are damaged: {what}"))
}

/// Names of the attributes that hold the votes.
pub(super) struct VoteNames {
    pub(super) nodes: &'static str,
    pub(super) trees: &'static str,
    pub(super) targets: &'static str,
    pub(super) weights: &'static str,
}

/// Reads the nodes, and the votes into the leaves.
pub(super) fn read(node: &Node<'_>, names: &VoteNames, targets: usize) -> ModelResult<Draft> {
    let ids = Ids::new(node.ints("nodes_treeids"), node.ints("nodes_nodeids"))?;
    let count = ids.count;
    if count > node.tree_nodes_max {
        return Err(ModelError::too_large(format!("the trees have {count} nodes, at most {} are read", node.tree_nodes_max)));
    }
    let (thresholds, double) = node.numbers("nodes_values")?;
    let lists = Lists {
        features: of_length(node.ints("nodes_featureids"), count, "nodes_featureids")?,
        yes: of_length(node.ints("nodes_truenodeids"), count, "nodes_truenodeids")?,
        no: of_length(node.ints("nodes_falsenodeids"), count, "nodes_falsenodeids")?,
        modes: of_length(node.strings("nodes_modes"), count, "nodes_modes")?,
        missing: node.ints("nodes_missing_value_tracks_true"),
        thresholds: of_length(&thresholds, count, "nodes_values")?,
    };
    if !lists.missing.is_empty() {
        of_length(lists.missing, count, "nodes_missing_value_tracks_true")?;
    }
    let mut nodes = Vec::with_capacity(count);
    let mut has_parent = vec![false; count];
    for at in 0..count {
        let kind = lists.kind(at, &ids)?;
        if let DraftKind::Branch { yes, no, .. } = &kind {
            has_parent[*yes] = true;
            has_parent[*no] = true;
        }
        nodes.push(DraftNode { kind });
    }
    let roots = roots(&ids, &has_parent)?;
    read_votes(node, names, &ids, &mut nodes)?;
    Ok(Draft { nodes, roots, targets, double, sets: Vec::new() })
}

fn of_length<'a, T>(list: &'a [T], count: usize, name: &str) -> ModelResult<&'a [T]> {
    if list.len() == count { Ok(list) } else { Err(broken(format!("{} values of {name} for {count} nodes", list.len()))) }
}

/// Where a node of a tree is in the lists.
struct Ids<'a> {
    count: usize,
    trees: &'a [i64],
    /// Nodes are numbered from 0 in each tree, trees one after the other: the usual case needs no map.
    starts: HashMap<i64, usize>,
    map: Option<HashMap<(i64, i64), usize>>,
    nodes: &'a [i64],
}

impl<'a> Ids<'a> {
    fn new(trees: &'a [i64], nodes: &'a [i64]) -> ModelResult<Self> {
        if trees.len() != nodes.len() || trees.is_empty() {
            return Err(broken(format!("{} numbers of trees and {} of nodes", trees.len(), nodes.len())));
        }
        let mut starts = HashMap::new();
        let mut in_order = true;
        let mut start = 0;
        for at in 0..trees.len() {
            if at == 0 || trees[at] != trees[at - 1] {
                in_order &= starts.insert(trees[at], at).is_none();
                start = at;
            }
            in_order &= usize::try_from(nodes[at]).is_ok_and(|number| number == at - start);
        }
        let mut map = None;
        if !in_order {
            let mut all = HashMap::with_capacity(trees.len());
            for at in 0..trees.len() {
                if all.insert((trees[at], nodes[at]), at).is_some() {
                    return Err(broken(format!("tree {} has two nodes {}", trees[at], nodes[at])));
                }
            }
            map = Some(all);
        }
        Ok(Self { count: trees.len(), trees, starts, map, nodes })
    }

    fn find(&self, tree: i64, node: i64) -> ModelResult<usize> {
        let missing = || broken(format!("tree {tree} has no node {node}"));
        if let Some(map) = &self.map {
            return map.get(&(tree, node)).copied().ok_or_else(missing);
        }
        let start = self.starts.get(&tree).ok_or_else(missing)?;
        let place = usize::try_from(node).ok().and_then(|node| start.checked_add(node)).filter(|place| *place < self.count);
        place.filter(|place| self.trees[*place] == tree && self.nodes[*place] == node).ok_or_else(missing)
    }
}

/// The lists of attributes.
struct Lists<'a> {
    features: &'a [i64],
    yes: &'a [i64],
    no: &'a [i64],
    modes: &'a [Vec<u8>],
    missing: &'a [i64],
    thresholds: &'a [f64],
}

impl Lists<'_> {
    fn kind(&self, at: usize, ids: &Ids<'_>) -> ModelResult<DraftKind> {
        let mode = match self.modes[at].as_slice() {
            b"LEAF" => return Ok(DraftKind::Leaf(Vec::new())),
            b"BRANCH_LEQ" => Mode::LessOrEqual,
            b"BRANCH_LT" => Mode::Less,
            b"BRANCH_GTE" => Mode::GreaterOrEqual,
            b"BRANCH_GT" => Mode::Greater,
            b"BRANCH_EQ" => Mode::Equal,
            b"BRANCH_NEQ" => Mode::NotEqual,
            other => return Err(broken(format!("branch '{}'", String::from_utf8_lossy(&other[..other.len().min(30)])))),
        };
        let tree = ids.trees[at];
        Ok(DraftKind::Branch {
            feature: usize::try_from(self.features[at]).map_err(|_| broken(format!("feature {}", self.features[at])))?,
            threshold: self.thresholds[at],
            mode,
            missing_is_true: self.missing.get(at).is_some_and(|flag| *flag != 0),
            yes: ids.find(tree, self.yes[at])?,
            no: ids.find(tree, self.no[at])?,
        })
    }
}

/// The one node of each tree that is nobody's child, in the order of trees.
fn roots(ids: &Ids<'_>, has_parent: &[bool]) -> ModelResult<Vec<usize>> {
    let mut roots = Vec::new();
    let mut seen = HashMap::new();
    for at in (0..ids.count).filter(|at| !has_parent[*at]) {
        if seen.insert(ids.trees[at], at).is_some() {
            return Err(broken(format!("tree {} has two roots", ids.trees[at])));
        }
        roots.push(at);
    }
    if let Some(tree) = ids.trees.iter().find(|tree| !seen.contains_key(tree)) {
        return Err(broken(format!("tree {tree} has no root, so it has a cycle")));
    }
    Ok(roots)
}

fn read_votes(node: &Node<'_>, names: &VoteNames, ids: &Ids<'_>, nodes: &mut [DraftNode]) -> ModelResult<()> {
    let (weights, _) = node.numbers(names.weights)?;
    let count = weights.len();
    let leaves = of_length(node.ints(names.nodes), count, names.nodes)?;
    let trees = of_length(node.ints(names.trees), count, names.trees)?;
    let targets = of_length(node.ints(names.targets), count, names.targets)?;
    for at in 0..count {
        let target = u32::try_from(targets[at]).map_err(|_| broken(format!("target {}", targets[at])))?;
        match &mut nodes[ids.find(trees[at], leaves[at])?].kind {
            DraftKind::Leaf(votes) => votes.push((target, weights[at])),
            DraftKind::Branch { .. } => return Err(broken(format!("node {} of tree {} votes and is no leaf", leaves[at], trees[at]))),
        }
    }
    Ok(())
}
