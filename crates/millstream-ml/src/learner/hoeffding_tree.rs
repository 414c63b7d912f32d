//! A decision tree that grows with the stream.

use super::error::{LearnError, Result};
use super::options::OptionReader;
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// The Hoeffding tree of Domingos and Hulten (Mining high-speed data streams, KDD 2000): a leaf splits as soon as its rows say, with
/// confidence `1 - split_delta`, that one feature is better than all others, or that it does not matter (`split_tie`). Numbers are
/// told apart by a normal distribution for each class (Pfahringer, Holmes, Kirkby: Handling numeric attributes in Hoeffding trees,
/// PAKDD 2008). A leaf predicts by its most frequent class or by naive Bayes, whichever was right more often there (Holmes, Kirkby,
/// Pfahringer: Stress-testing Hoeffding trees, PKDD 2005).
#[derive(Clone, Debug)]
struct HoeffdingTree {
    features: usize,
    grace_rows: f64,
    delta: f64,
    tie: f64,
    depth_max: usize,
    nodes_max: usize,
    classes: usize,
    /// The root first; children come behind their parents.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    depth: usize,
    /// Rows with a value up to the bound go left.
    split: Option<Split>,
    /// Of each class the rows; of a new leaf those that its parent expects.
    rows: Vec<f64>,
    /// Of each class and feature.
    seen: Vec<Spread>,
    /// Rows learned, and those at the last attempt to split.
    learned: f64,
    tried: f64,
    /// Rows that each way to predict has got right.
    right_by_rows: f64,
    right_by_bayes: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Split {
    feature: usize,
    bound: f64,
    left: usize,
    right: usize,
}

/// What the values of a feature look like in one class.
#[derive(Clone, Copy, Debug)]
struct Spread {
    rows: f64,
    mean: f64,
    squares: f64,
    low: f64,
    high: f64,
}

/// Bounds that are tried between the least and the greatest value.
const BOUNDS: usize = 10;
/// Numbers of a node and of a spread in the state.
const NODE_NUMBERS: usize = 9;
const SPREAD_NUMBERS: usize = 5;

/// `hoeffding_tree`.
pub(super) fn hoeffding_tree(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    let model = HoeffdingTree {
        features,
        grace_rows: options.count("grace_rows", 200, 1..=1_000_000)? as f64,
        delta: options.number("split_delta", 1e-7, f64::MIN_POSITIVE..=0.5)?,
        tie: options.number("split_tie", 0.05, 0.0..=1.0)?,
        depth_max: options.count("depth_max", 20, 1..=64)?,
        nodes_max: options.count("nodes_max", 1_023, 1..=1_000_000)?,
        classes: 0,
        nodes: vec![Node::default()],
    };
    Driver::boxed(model, options, features, "none", 0.5)
}

impl Spread {
    const NOTHING: Self = Self { rows: 0.0, mean: 0.0, squares: 0.0, low: f64::INFINITY, high: f64::NEG_INFINITY };

    fn learn(&mut self, x: f64) {
        self.rows += 1.0;
        let before = self.mean;
        self.mean += (x - before) / self.rows;
        self.squares += (x - before) * (x - self.mean);
        self.low = self.low.min(x);
        self.high = self.high.max(x);
    }

    fn deviation(&self) -> f64 {
        if self.rows > 1.0 { (self.squares / (self.rows - 1.0)).max(0.0).sqrt() } else { 0.0 }
    }

    /// Rows that are expected up to a bound.
    fn rows_to(&self, bound: f64) -> f64 {
        if self.rows == 0.0 || bound < self.low {
            return 0.0;
        }
        let deviation = self.deviation();
        if bound >= self.high || deviation == 0.0 {
            return if bound >= self.mean { self.rows } else { 0.0 };
        }
        self.rows * normal_to((bound - self.mean) / deviation)
    }

    fn log_density(&self, x: f64) -> f64 {
        let deviation = self.deviation();
        if deviation == 0.0 {
            return if x == self.mean { 0.0 } else { LEAST_LOG_DENSITY };
        }
        let z = (x - self.mean) / deviation;
        (-0.5 * z * z - deviation.ln() - 0.5 * std::f64::consts::TAU.ln()).max(LEAST_LOG_DENSITY)
    }
}

/// One value that a class never had must not rule it out.
const LEAST_LOG_DENSITY: f64 = -50.0;

/// The share of a normal distribution up to `z` (Abramowitz, Stegun: Handbook of mathematical functions, 26.2.17; to 7.5e-8).
fn normal_to(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let sum = t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let above = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt() * sum;
    if z >= 0.0 { 1.0 - above } else { above }
}

fn entropy(rows: &[f64]) -> f64 {
    let all: f64 = rows.iter().sum();
    let bits = |rows: &f64| if *rows > 0.0 { -(rows / all) * (rows / all).log2() } else { 0.0 };
    if all > 0.0 { rows.iter().map(bits).sum() } else { 0.0 }
}

fn greatest(numbers: &[f64]) -> usize {
    (1..numbers.len()).fold(0, |best, at| if numbers[at] > numbers[best] { at } else { best })
}

/// Rows of each class on both sides of a bound, and what knowing the side tells.
struct Candidate {
    gain: f64,
    feature: usize,
    bound: f64,
    left: Vec<f64>,
    right: Vec<f64>,
}

impl Node {
    fn grow(&mut self, classes: usize, features: usize) {
        self.rows.resize(classes, 0.0);
        self.seen.resize(classes * features, Spread::NOTHING);
    }

    /// Logarithms up to a common term; empty where nothing was seen.
    fn bayes(&self, row: &[f64]) -> Vec<f64> {
        let class = |(class, rows): (usize, &f64)| {
            let spreads = &self.seen[class * row.len()..(class + 1) * row.len()];
            if *rows == 0.0 || spreads.first().is_none_or(|spread| spread.rows == 0.0) {
                return f64::NEG_INFINITY;
            }
            rows.ln() + spreads.iter().zip(row).map(|(spread, x)| spread.log_density(*x)).sum::<f64>()
        };
        let scores: Vec<f64> = self.rows.iter().enumerate().map(class).collect();
        if scores.iter().any(|score| score.is_finite()) { scores } else { Vec::new() }
    }

    fn probabilities(&self, row: &[f64], out: &mut Vec<f64>) {
        if self.right_by_bayes >= self.right_by_rows {
            out.extend(self.bayes(row));
            if !out.is_empty() {
                super::gradient::softmax(out);
                return;
            }
        }
        let all: f64 = self.rows.iter().sum();
        if all > 0.0 {
            out.extend(self.rows.iter().map(|rows| rows / all));
        }
    }

    fn learn(&mut self, row: &[f64], class: usize) {
        if self.rows.iter().any(|rows| *rows > 0.0) {
            self.right_by_rows += f64::from(u8::from(greatest(&self.rows) == class));
            let bayes = self.bayes(row);
            self.right_by_bayes += f64::from(u8::from(!bayes.is_empty() && greatest(&bayes) == class));
        }
        self.rows[class] += 1.0;
        self.learned += 1.0;
        for (spread, x) in self.seen[class * row.len()..(class + 1) * row.len()].iter_mut().zip(row) {
            spread.learn(*x);
        }
    }

    /// The best bound of a feature.
    fn best(&self, feature: usize, features: usize) -> Option<Candidate> {
        let spreads: Vec<&Spread> = self.seen.iter().skip(feature).step_by(features).collect();
        let low = spreads.iter().map(|spread| spread.low).fold(f64::INFINITY, f64::min);
        let high = spreads.iter().map(|spread| spread.high).fold(f64::NEG_INFINITY, f64::max);
        let before = entropy(&spreads.iter().map(|spread| spread.rows).collect::<Vec<_>>());
        let mut best: Option<Candidate> = None;
        for step in 1..=BOUNDS {
            let bound = low + (high - low) * step as f64 / (BOUNDS + 1) as f64;
            let left: Vec<f64> = spreads.iter().map(|spread| spread.rows_to(bound)).collect();
            let right: Vec<f64> = spreads.iter().zip(&left).map(|(spread, left)| (spread.rows - left).max(0.0)).collect();
            let (on_left, on_right): (f64, f64) = (left.iter().sum(), right.iter().sum());
            let after = (on_left * entropy(&left) + on_right * entropy(&right)) / (on_left + on_right);
            let gain = before - after;
            if gain.is_finite() && on_left >= 1.0 && on_right >= 1.0 && best.as_ref().is_none_or(|best| gain > best.gain) {
                best = Some(Candidate { gain, feature, bound, left, right });
            }
        }
        best
    }
}

impl HoeffdingTree {
    fn leaf(&self, row: &[f64]) -> usize {
        let mut at = 0;
        while let Some(split) = &self.nodes[at].split {
            at = if row[split.feature] <= split.bound { split.left } else { split.right };
        }
        at
    }

    fn try_to_split(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.tried = node.learned;
        let several = node.seen.iter().step_by(self.features).filter(|spread| spread.rows > 0.0).count() > 1;
        if !several || node.depth >= self.depth_max || self.nodes.len() + 2 > self.nodes_max {
            return;
        }
        let node = &self.nodes[at];
        let (mut best, mut second): (Option<Candidate>, f64) = (None, 0.0);
        for candidate in (0..self.features).filter_map(|feature| node.best(feature, self.features)) {
            match &best {
                Some(known) if candidate.gain <= known.gain => second = second.max(candidate.gain),
                known => {
                    second = second.max(known.as_ref().map_or(0.0, |known| known.gain));
                    best = Some(candidate);
                }
            }
        }
        let Some(best) = best.filter(|best| best.gain > 0.0) else { return };
        let range = (self.classes.max(2) as f64).log2();
        let bound = (range * range * (1.0 / self.delta).ln() / (2.0 * node.learned)).sqrt();
        if best.gain - second > bound || bound < self.tie {
            self.split(at, best);
        }
    }

    fn split(&mut self, at: usize, by: Candidate) {
        let (left, depth) = (self.nodes.len(), self.nodes[at].depth + 1);
        for rows in [by.left, by.right] {
            let mut child = Node { depth, rows, ..Node::default() };
            child.grow(self.classes, self.features);
            self.nodes.push(child);
        }
        let split = Split { feature: by.feature, bound: by.bound, left, right: left + 1 };
        self.nodes[at] = Node { depth: depth - 1, split: Some(split), ..Node::default() };
    }
}

impl RowLearner for HoeffdingTree {
    fn task(&self) -> Task {
        Task::Classes
    }

    fn predict(&mut self, row: &[f64], out: &mut Vec<f64>) {
        self.nodes[self.leaf(row)].probabilities(row, out);
        if !out.is_empty() {
            out.resize(self.classes, 0.0);
        }
    }

    fn learn(&mut self, row: &[f64], target: f64) -> bool {
        let class = target as usize;
        self.classes = self.classes.max(class + 1);
        let (classes, features, at) = (self.classes, self.features, self.leaf(row));
        let node = &mut self.nodes[at];
        node.grow(classes, features);
        node.learn(row, class);
        if node.learned - node.tried >= self.grace_rows {
            self.try_to_split(at);
        }
        true
    }

    fn reset(&mut self) {
        self.nodes = vec![Node::default()];
        self.classes = 0;
    }

    fn save(&self, state: &mut StateWriter) {
        let node = |node: &Node| {
            let split = node.split.map_or([-1.0, 0.0, 0.0], |split| [split.feature as f64, split.bound, split.left as f64]);
            let [feature, bound, left] = split;
            [
                node.depth as f64,
                feature,
                bound,
                left,
                node.rows.len() as f64,
                node.learned,
                node.tried,
                node.right_by_rows,
                node.right_by_bayes,
            ]
        };
        state.values("tree", &[self.classes as f64, self.nodes.len() as f64]);
        state.values("node", &self.nodes.iter().flat_map(node).collect::<Vec<_>>());
        state.values("node_rows", &self.nodes.iter().flat_map(|node| node.rows.iter().copied()).collect::<Vec<_>>());
        let spread = |spread: &Spread| [spread.rows, spread.mean, spread.squares, spread.low, spread.high];
        state.values("node_spread", &self.nodes.iter().flat_map(|node| node.seen.iter().flat_map(spread)).collect::<Vec<_>>());
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        let damaged = || LearnError::state("the tree of a model's state does not fit together");
        let mut tree = [0.0; 2];
        state.fill("tree", &mut tree)?;
        self.classes = tree[0] as usize;
        let numbers = state.any("node")?;
        let (rows, spreads) = (state.any("node_rows")?, state.any("node_spread")?);
        if numbers.is_empty() || numbers.len() != (tree[1] as usize).saturating_mul(NODE_NUMBERS) || self.classes > rows.len() {
            return Err(damaged());
        }
        let count = numbers.len() / NODE_NUMBERS;
        let (mut rows, mut spreads) = (rows.as_slice(), spreads.as_slice());
        self.nodes.clear();
        for (at, node) in numbers.chunks_exact(NODE_NUMBERS).enumerate() {
            let classes = node[4] as usize;
            let (own_rows, rest) = rows.split_at_checked(classes).ok_or_else(damaged)?;
            let width = classes.saturating_mul(self.features).saturating_mul(SPREAD_NUMBERS);
            let (own_spreads, spreads_rest) = spreads.split_at_checked(width).ok_or_else(damaged)?;
            (rows, spreads) = (rest, spreads_rest);
            let (feature, left) = (node[1] as usize, node[3] as usize);
            let split = (node[1] >= 0.0).then_some(Split { feature, bound: node[2], left, right: left + 1 });
            // Children come behind, so that every way down ends.
            if classes > self.classes
                || split.is_some_and(|split| split.feature >= self.features || split.left <= at || split.right >= count)
            {
                return Err(damaged());
            }
            let spread = |list: &[f64]| Spread { rows: list[0], mean: list[1], squares: list[2], low: list[3], high: list[4] };
            self.nodes.push(Node {
                depth: node[0] as usize,
                split,
                rows: own_rows.to_vec(),
                seen: own_spreads.chunks_exact(SPREAD_NUMBERS).map(spread).collect(),
                learned: node[5],
                tried: node[6],
                right_by_rows: node[7],
                right_by_bayes: node[8],
            });
        }
        if rows.is_empty() && spreads.is_empty() { Ok(()) } else { Err(damaged()) }
    }
}
