//! Models that learn from a stream, a row at a time.
//!
//! [`OnlineModel`] is what others use: features and labels as Arrow columns in, predictions out, the state as Arrow rows. Inside of it
//! a learner of one of the [`KINDS`] runs in the loop of [`row`]: predict, then learn. A new kind is one file with a `RowLearner`
//! and one line in [`KINDS`].
//!
//! The order of things is that of River (Montiel et al.: River: machine learning for streaming data in Python, JMLR 2021), so
//! that both give the same figures for the same rows.

mod baseline;
pub mod error;
mod exchange;
mod gradient;
mod half_space_trees;
mod hoeffding_tree;
mod k_means;
mod labels;
mod linear;
mod model;
mod naive_bayes;
mod optimizer;
pub mod options;
mod penalty;
mod perceptron;
mod portable;
pub mod predictions;
mod random;
mod robust_z_score;
pub mod row;
mod scaler;
mod scaling;
mod snapshot;
mod softmax;
pub mod state;

pub use error::{LearnError, Result};
pub use model::{LearnerDefinition, OnlineModel};
pub use options::RawOptions;
pub use predictions::{Predictions, Wanted, probabilities_type};
pub use row::{Counters, Task};
pub use snapshot::LearnedModel;
pub use state::state_schema;

use options::OptionReader;
use row::Learner;

/// A kind of learner: the word after TYPE.
#[derive(Debug)]
pub struct Kind {
    /// Its name in SQL.
    pub name: &'static str,
    /// What it is, in a few words.
    pub help: &'static str,
    /// What it predicts.
    pub task: Task,
    make: fn(usize, &mut OptionReader<'_>) -> Result<Box<dyn Learner>>,
}

macro_rules! kind {
    ($module:ident :: $name:ident, $task:ident, $help:literal) => {
        Kind { name: stringify!($name), help: $help, task: Task::$task, make: $module::$name }
    };
}

/// Every kind of learner.
pub const KINDS: &[Kind] = &[
    kind!(linear::linear_regression, Regression, "a number as a weighted sum of the features"),
    kind!(linear::logistic_regression, Binary, "two classes by a weighted sum of the features"),
    kind!(softmax::softmax_regression, Classes, "any number of classes by weighted sums"),
    kind!(perceptron::mlp_classifier, Binary, "two classes by a small neural net"),
    kind!(perceptron::mlp_regressor, Regression, "a number by a small neural net"),
    kind!(naive_bayes::gaussian_naive_bayes, Classes, "any number of classes by Bayes' rule"),
    kind!(hoeffding_tree::hoeffding_tree, Classes, "any number of classes by a tree that grows"),
    kind!(baseline::majority_class, Classes, "the class of most rows so far, to compare with"),
    kind!(baseline::no_change, Classes, "the class of the row before, to compare with"),
    kind!(k_means::k_means, Cluster, "the nearest of several moving centres"),
    kind!(half_space_trees::half_space_trees, Anomaly, "anomalies in several features, by random trees"),
    kind!(robust_z_score::robust_z_score, Anomaly, "anomalies by median and median deviation"),
    kind!(scaling::standard_scaler, Scale, "the features less their means, by their standard deviations"),
    kind!(scaling::min_max_scaler, Scale, "the features in the range from 0 to 1"),
];

/// The kind of this name, in any case.
pub fn kind(name: &str) -> Result<&'static Kind> {
    if let Some(kind) = KINDS.iter().find(|kind| kind.name.eq_ignore_ascii_case(name)) {
        return Ok(kind);
    }
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let suggestion = match options::did_you_mean(name, names.iter().copied()) {
        Some(near) => format!("did you mean {near}? "),
        None => String::new(),
    };
    Err(LearnError::user(format!("there is no learner of type {name} (hint: {suggestion}types are {})", names.join(", "))))
}
