//! A checked, packed ensemble.
//!
//! All nodes of all trees are in one array, each tree breadth first, 16 bytes a node. A leaf is its own child, so that rows which have
//! arrived stay where they are while others walk on. What the votes of a leaf are is beside.

use crate::error::{ModelError, ModelResult};

/// How a value is compared with a node's threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    /// The threshold is the number of a set.
    Member,
}

/// A node as the file has it; children are places in the same list.
#[derive(Clone, Debug)]
pub(super) struct DraftNode {
    pub(super) kind: DraftKind,
}

#[derive(Clone, Debug)]
pub(super) enum DraftKind {
    Branch {
        feature: usize,
        threshold: f64,
        mode: Mode,
        missing_is_true: bool,
        yes: usize,
        no: usize,
    },
    /// Votes: target and weight.
    Leaf(Vec<(u32, f64)>),
}

/// Trees as the file has them.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) nodes: Vec<DraftNode>,
    pub(super) roots: Vec<usize>,
    pub(super) targets: usize,
    /// Thresholds are 64-bit floats.
    pub(super) double: bool,
    /// Sets that [`Mode::Member`] asks for.
    pub(super) sets: Vec<Vec<f64>>,
}

impl Draft {
    /// All votes are for one target.
    pub(super) fn votes_for_one(&mut self) {
        self.targets = 1;
        for node in &mut self.nodes {
            if let DraftKind::Leaf(votes) = &mut node.kind {
                votes.iter_mut().for_each(|(target, _)| *target = 0);
            }
        }
    }
}

/// A threshold's type: the one that features are compared in.
pub(super) trait Threshold: Copy + PartialOrd + Default {
    fn of(value: f64) -> Self;
    fn is_missing(self) -> bool;
    /// A small whole number.
    fn as_place(self) -> usize;
}

impl Threshold for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }

    fn is_missing(self) -> bool {
        self.is_nan()
    }

    fn as_place(self) -> usize {
        self as usize
    }
}

impl Threshold for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn is_missing(self) -> bool {
        self.is_nan()
    }

    fn as_place(self) -> usize {
        self as usize
    }
}

/// A packed node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<T> {
    pub(super) threshold: T,
    /// The feature; the highest bit says that a missing value goes to `yes`.
    pub(super) feature: u32,
    pub(super) yes: u32,
    pub(super) no: u32,
}

/// See [`Node::feature`].
pub(super) const MISSING_IS_TRUE: u32 = 1 << 31;

/// What the leaves of a forest say.
#[derive(Clone, Debug)]
pub(super) enum Votes {
    /// Each leaf one weight for target 0, by node.
    Single(Vec<f64>),
    /// Each leaf any number of votes: by node, where they start in the list, which ends with the next.
    Several { starts: Vec<u32>, votes: Vec<(u32, f64)> },
}

/// Trees, ready to be walked.
#[derive(Clone, Debug)]
pub(super) struct Forest<T> {
    pub(super) nodes: Vec<Node<T>>,
    /// By node; empty if all are `LessOrEqual` or all are `Less`.
    pub(super) modes: Vec<Mode>,
    /// The mode of all nodes, if `modes` is empty.
    pub(super) mode: Mode,
    pub(super) missing: bool,
    pub(super) roots: Vec<u32>,
    pub(super) votes: Votes,
    pub(super) targets: usize,
    /// One more than the greatest feature used.
    pub(super) features: usize,
    /// Comparisons for a row at most.
    pub(super) depth: usize,
    /// Sets in order, by the number that is the threshold of a [`Mode::Member`].
    pub(super) sets: Vec<Vec<T>>,
}

fn broken(what: &str) -> ModelError {
    ModelError::invalid(format!("the trees are damaged: {what}"))
}

/// Where the nodes of a draft go in the packed forest.
struct Layout {
    /// Draft nodes in packed order.
    order: Vec<usize>,
    roots: Vec<u32>,
    depth: usize,
}

/// Every tree breadth first. Each node is reached once: no cycles, no shared branches.
fn layout(draft: &Draft) -> ModelResult<Layout> {
    let mut seen = vec![false; draft.nodes.len()];
    let mut order: Vec<usize> = Vec::with_capacity(draft.nodes.len());
    let mut roots = Vec::with_capacity(draft.roots.len());
    let mut depth = 0;
    for root in &draft.roots {
        let first = order.len();
        roots.push(u32::try_from(first).map_err(|_| broken("too many nodes"))?);
        let (mut at, mut level_end, mut levels) = (first, first + 1, 0);
        visit(*root, &mut seen, &mut order)?;
        while at < order.len() {
            if at == level_end {
                level_end = order.len();
                levels += 1;
            }
            if let DraftKind::Branch { yes, no, .. } = &draft.nodes[order[at]].kind {
                visit(*yes, &mut seen, &mut order)?;
                visit(*no, &mut seen, &mut order)?;
            }
            at += 1;
        }
        depth += levels + 1;
    }
    if order.len() < draft.nodes.len() {
        return Err(broken("nodes that no root leads to, as in a cycle"));
    }
    Ok(Layout { order, roots, depth })
}

fn visit(node: usize, seen: &mut [bool], order: &mut Vec<usize>) -> ModelResult<()> {
    match seen.get_mut(node) {
        None => Err(broken("a child that is not there")),
        Some(true) => Err(broken("a node is reached twice, by a cycle or by two parents")),
        Some(seen) => {
            *seen = true;
            order.push(node);
            Ok(())
        }
    }
}

impl<T: Threshold> Forest<T> {
    /// Checks and packs.
    pub(super) fn pack(draft: &Draft, features_max: usize) -> ModelResult<Self> {
        let Layout { order, roots, depth } = layout(draft)?;
        let mut place = vec![0_u32; draft.nodes.len()];
        for (packed, node) in order.iter().enumerate() {
            place[*node] = packed as u32;
        }
        let mut nodes = Vec::with_capacity(order.len());
        let mut modes = Vec::with_capacity(order.len());
        let (mut features, mut missing) = (0, false);
        for (packed, node) in order.iter().enumerate() {
            let own = packed as u32;
            match &draft.nodes[*node].kind {
                DraftKind::Leaf(_) => {
                    nodes.push(Node { threshold: T::default(), feature: 0, yes: own, no: own });
                    modes.push(None);
                }
                DraftKind::Branch { feature, threshold, mode, missing_is_true, yes, no } => {
                    if *feature >= features_max {
                        return Err(broken(&format!("feature {feature}")));
                    }
                    features = features.max(feature + 1);
                    missing |= missing_is_true;
                    let flag = if *missing_is_true { MISSING_IS_TRUE } else { 0 };
                    nodes.push(Node { threshold: T::of(*threshold), feature: *feature as u32 | flag, yes: place[*yes], no: place[*no] });
                    modes.push(Some(*mode));
                }
            }
        }
        let votes = votes(draft, &order)?;
        let (mode, modes) = one_mode(&modes);
        let sets = draft.sets.iter().map(|set| {
            let mut set: Vec<T> = set.iter().map(|value| T::of(*value)).collect();
            set.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            set
        });
        Ok(Self { nodes, modes, mode, missing, roots, votes, targets: draft.targets, features, depth, sets: sets.collect() })
    }
}

impl Forest<f32> {
    /// The same thresholds, for features that are doubles.
    pub(super) fn widened(&self) -> Forest<f64> {
        let widen = |node: &Node<f32>| Node { threshold: f64::from(node.threshold), feature: node.feature, yes: node.yes, no: node.no };
        Forest {
            nodes: self.nodes.iter().map(widen).collect(),
            modes: self.modes.clone(),
            mode: self.mode,
            missing: self.missing,
            roots: self.roots.clone(),
            votes: self.votes.clone(),
            targets: self.targets,
            features: self.features,
            depth: self.depth,
            sets: self.sets.iter().map(|set| set.iter().map(|value| f64::from(*value)).collect()).collect(),
        }
    }
}

/// The mode of all branches if it is one that has a loop of its own; else that of each node.
fn one_mode(modes: &[Option<Mode>]) -> (Mode, Vec<Mode>) {
    let mut branches = modes.iter().flatten();
    let first = branches.next().copied().unwrap_or(Mode::LessOrEqual);
    if matches!(first, Mode::LessOrEqual | Mode::Less) && branches.all(|mode| *mode == first) {
        return (first, Vec::new());
    }
    (first, modes.iter().map(|mode| mode.unwrap_or(Mode::LessOrEqual)).collect())
}

fn votes(draft: &Draft, order: &[usize]) -> ModelResult<Votes> {
    let leaf = |node: &usize| match &draft.nodes[*node].kind {
        DraftKind::Leaf(votes) => Some(votes),
        DraftKind::Branch { .. } => None,
    };
    if order.iter().filter_map(leaf).flatten().any(|(target, _)| *target as usize >= draft.targets) {
        return Err(broken("a leaf votes for a target that is not there"));
    }
    if draft.targets == 1 && order.iter().filter_map(leaf).all(|votes| votes.len() <= 1) {
        let weight = |node: &usize| leaf(node).and_then(|votes| votes.first()).map_or(0.0, |(_, weight)| *weight);
        return Ok(Votes::Single(order.iter().map(weight).collect()));
    }
    let mut starts = Vec::with_capacity(order.len() + 1);
    let mut all = Vec::new();
    for node in order {
        starts.push(u32::try_from(all.len()).map_err(|_| broken("too many votes"))?);
        all.extend_from_slice(leaf(node).map_or(&[], |votes| votes));
    }
    starts.push(u32::try_from(all.len()).map_err(|_| broken("too many votes"))?);
    Ok(Votes::Several { starts, votes: all })
}
