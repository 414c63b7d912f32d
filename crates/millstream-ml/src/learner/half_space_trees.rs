//! Half-space trees: anomalies by how many rows of the last window fell beside a row.

use super::error::{LearnError, Result};
use super::options::OptionReader;
use super::perceptron::load_random;
use super::random::Random;
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// Tan, Ting, Liu: Fast anomaly detection for streaming data, IJCAI 2011. Trees of random half-space cuts over features in 0..1
/// (the scaler's `min_max`); a window's rows are counted in every node, and the counts of the window before score.
///
/// The score is 1 minus the mass beside the row as a share of the greatest possible: near 1 where hardly any row was, 0 in the
/// first window. A tree is an array: the children of node `i` are `2i + 1` and `2i + 2`.
#[derive(Clone, Debug)]
struct HalfSpaceTrees {
    features: usize,
    trees: usize,
    height: usize,
    window: usize,
    random: Random,
    /// Of inner nodes, tree after tree: which feature is cut where.
    cuts: Vec<(usize, f64)>,
    /// Rows of the last whole window in each node, and of the one that fills.
    reference: Vec<f64>,
    latest: Vec<f64>,
    /// Rows in the window that fills.
    rows: usize,
    ready: bool,
}

/// How much of the space beyond a cut is kept on both sides of it.
const PADDING: f64 = 0.15;
/// A node with a smaller share of the window than this is not looked into.
const SIZE_LIMIT: f64 = 0.1;
/// Most nodes of a model.
const NODES_MAX: usize = 1 << 22;

/// `half_space_trees`.
pub(super) fn half_space_trees(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    let trees = options.count("trees", 25, 1..=10_000)?;
    let height = options.count("height", 8, 1..=20)?;
    let window = options.count("window_size", 250, 1..=10_000_000)?;
    let random = Random::new(options.count("seed", 0, 0..=usize::MAX)? as u64);
    let nodes = trees * ((1 << (height + 1)) - 1);
    if nodes > NODES_MAX {
        return Err(LearnError::user(format!(
            "half_space_trees of {trees} trees of height {height} have {nodes} nodes: at most {NODES_MAX} (hint: 'trees' = '25', 'height' = '8')"
        )));
    }
    let (reference, latest) = (vec![0.0; nodes], vec![0.0; nodes]);
    let mut model = HalfSpaceTrees { features, trees, height, window, random, cuts: Vec::new(), reference, latest, rows: 0, ready: false };
    model.grow();
    Driver::boxed(model, options, features, "min_max", 0.95)
}

impl HalfSpaceTrees {
    fn nodes(&self) -> usize {
        (1 << (self.height + 1)) - 1
    }

    fn inner(&self) -> usize {
        (1 << self.height) - 1
    }

    /// Draws the cuts.
    fn grow(&mut self) {
        self.cuts.clear();
        for _ in 0..self.trees {
            let mut ranges = vec![vec![(0.0, 1.0); self.features]];
            for node in 0..self.inner() {
                let mut left = std::mem::take(&mut ranges[node]);
                let feature = self.random.below(self.features);
                let (low, high) = left[feature];
                let pad = PADDING * (high - low);
                let cut = self.random.between(low + pad, high - pad);
                let mut right = left.clone();
                left[feature].1 = cut;
                right[feature].0 = cut;
                self.cuts.push((feature, cut));
                // Nodes are visited level by level, so children come to be in the order of their numbers.
                ranges.extend([left, right]);
            }
        }
    }
}

impl RowLearner for HalfSpaceTrees {
    fn task(&self) -> Task {
        Task::Anomaly
    }

    fn predict(&mut self, row: &[f64], out: &mut Vec<f64>) {
        if !self.ready {
            out.push(0.0);
            return;
        }
        let limit = SIZE_LIMIT * self.window as f64;
        let mut mass = 0.0;
        for tree in 0..self.trees {
            let cuts = &self.cuts[tree * self.inner()..];
            let counts = &self.reference[tree * self.nodes()..];
            let (mut node, mut share) = (0, 1.0);
            for _ in 0..self.height {
                if counts[node] < limit {
                    break;
                }
                mass += counts[node] * share;
                let (feature, cut) = cuts[node];
                node = 2 * node + if row[feature] < cut { 1 } else { 2 };
                share *= 2.0;
            }
            mass += counts[node] * share;
        }
        let greatest = (self.trees * self.window) as f64 * self.nodes() as f64;
        out.push(1.0 - mass / greatest);
    }

    fn learn(&mut self, row: &[f64], _: f64) -> bool {
        for tree in 0..self.trees {
            let (inner, nodes) = (self.inner(), self.nodes());
            let cuts = &self.cuts[tree * inner..];
            let counts = &mut self.latest[tree * nodes..];
            let mut node = 0;
            for _ in 0..self.height {
                counts[node] += 1.0;
                let (feature, cut) = cuts[node];
                node = 2 * node + if row[feature] < cut { 1 } else { 2 };
            }
            counts[node] += 1.0;
        }
        self.rows += 1;
        if self.rows == self.window {
            self.rows = 0;
            self.ready = true;
            std::mem::swap(&mut self.reference, &mut self.latest);
            self.latest.fill(0.0);
        }
        true
    }

    fn reset(&mut self) {
        self.grow();
        self.reference.fill(0.0);
        self.latest.fill(0.0);
        self.rows = 0;
        self.ready = false;
    }

    fn save(&self, state: &mut StateWriter) {
        let (features, cuts): (Vec<f64>, Vec<f64>) = self.cuts.iter().map(|(feature, cut)| (*feature as f64, *cut)).unzip();
        state.values("cut_feature", &features);
        state.values("cut", &cuts);
        state.values("mass_reference", &self.reference);
        state.values("mass_latest", &self.latest);
        state.values("window", &[self.rows as f64, f64::from(u8::from(self.ready))]);
        state.texts("random", [Some(self.random.state().to_string().as_str())]);
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        let mut features = vec![0.0; self.cuts.len()];
        let mut cuts = features.clone();
        state.fill("cut_feature", &mut features)?;
        state.fill("cut", &mut cuts)?;
        if features.iter().any(|feature| !(0.0..self.features as f64).contains(feature)) {
            return Err(LearnError::state("a cut of a model's state is in a feature that there is not"));
        }
        self.cuts = features.into_iter().map(|feature| feature as usize).zip(cuts).collect();
        state.fill("mass_reference", &mut self.reference)?;
        state.fill("mass_latest", &mut self.latest)?;
        let mut window = [0.0; 2];
        state.fill("window", &mut window)?;
        self.rows = window[0] as usize;
        self.ready = window[1] != 0.0;
        self.random = load_random(state)?;
        Ok(())
    }
}
