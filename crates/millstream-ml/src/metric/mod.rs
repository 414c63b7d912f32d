//! Metrics of models as aggregates that can be merged: of windows, of panes, of what was saved in a checkpoint.
//!
//! A [`Metric`] says what is measured; [`Metric::states`] makes a [`MetricStates`], which holds the states of many groups and takes
//! whole batches. Rows in which an argument is NULL do not count. Where a metric is undefined (0/0) it is NULL, or what
//! `zero_division` says; in the mean over classes an undefined one counts as 0, as in scikit-learn.

mod confusion;
mod labels;
mod psi;
mod roc_auc;
mod rows;
mod sums;

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};

pub use labels::{LabelFamily, common_family};
pub use roc_auc::EXACT_ROWS_MAX;

use crate::learner::error::{LearnError, Result};
use crate::learner::options::did_you_mean;

/// How the scores of several classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Average {
    /// Of the positive class only.
    Binary,
    /// Mean over the classes.
    Macro,
    /// Of all decisions together.
    Micro,
    /// Mean over the classes by their number of rows.
    Weighted,
}

impl Average {
    /// By its name in SQL.
    pub fn parse(name: &str) -> Result<Self> {
        let names = ["binary", "macro", "micro", "weighted"];
        match name.trim().to_lowercase().as_str() {
            "binary" => Ok(Self::Binary),
            "macro" => Ok(Self::Macro),
            "micro" => Ok(Self::Micro),
            "weighted" => Ok(Self::Weighted),
            _ => {
                let hint = match did_you_mean(name, names) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => "for example 'macro'".to_owned(),
                };
                Err(LearnError::user(format!(
                    "an average must be one of 'binary', 'macro', 'micro', 'weighted': got '{name}' (hint: {hint})"
                )))
            }
        }
    }
}

/// Which share of the decisions is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// Of those predicted to be of a class, those that are.
    Precision,
    /// Of those that are of a class, those predicted to be.
    Recall,
    /// Harmonic mean of both.
    F1,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    /// Share of equal labels. Arguments: label, prediction.
    Accuracy,
    /// Precision, recall or F1. Arguments: label, prediction.
    Share {
        /// Which one.
        share: Share,
        /// How classes are averaged.
        average: Average,
        /// The positive class of a binary average; `None`: true or 1.
        positive: Option<String>,
        /// What stands for 0/0.
        zero_division: Option<f64>,
    },
    /// How many rows of each label were predicted as what. Arguments: label, prediction.
    ConfusionMatrix,
    /// Mean negative log likelihood, probabilities clipped by the machine's epsilon. Arguments: label, probability.
    LogLoss {
        /// The positive class; `None`: true or 1.
        positive: Option<String>,
    },
    /// Area under the ROC curve; ties count ½. Arguments: label, score.
    RocAuc {
        /// The positive class; `None`: true or 1.
        positive: Option<String>,
    },
    /// Mean absolute error. Arguments: value, prediction.
    MeanAbsoluteError,
    /// Root of the mean squared error. Arguments: value, prediction.
    RootMeanSquaredError,
    /// Share of the variance explained. Arguments: value, prediction.
    R2,
    /// Population stability index of two columns. Arguments: expected, actual; each counts where it is not NULL.
    Psi {
        /// How many bins there are.
        bins: usize,
        /// Where the first bin begins.
        low: f64,
        /// Where the last bin ends.
        high: f64,
    },
}

/// States of many groups.
pub trait MetricStates: fmt::Debug + Send + Sync {
    /// There are at least so many groups from now on.
    fn grow(&mut self, groups: usize);

    /// The same states once more.
    fn boxed_clone(&self) -> Box<dyn MetricStates>;

    /// Takes rows: row `i` belongs to group `groups[i]`, of `total` groups so far. Rows where `filter` is not true do not count.
    fn update(&mut self, arguments: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, total: usize) -> Result<()>;

    /// Takes states that [`MetricStates::take_states`] gave.
    fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()>;

    /// States of the first groups, which are forgotten; those after them move up.
    fn take_states(&mut self, groups: usize) -> Result<Vec<ArrayRef>>;

    /// Values of the first groups, which are forgotten; those after them move up.
    fn take_values(&mut self, groups: usize) -> Result<ArrayRef>;

    /// How many groups there are.
    fn groups(&self) -> usize;

    /// Bytes, about.
    fn size(&self) -> usize;
}

impl Metric {
    /// Type of the value.
    pub fn value_type(&self) -> DataType {
        match self {
            Self::ConfusionMatrix => DataType::List(Arc::new(Field::new_list_field(confusion::cell_type(), false))),
            _ => DataType::Float64,
        }
    }

    /// Columns of the state.
    pub fn state_fields(&self) -> Vec<FieldRef> {
        let list =
            |name: &str, item: DataType| Arc::new(Field::new(name, DataType::List(Arc::new(Field::new_list_field(item, false))), false));
        match self {
            // The same for every average: what DataFusion asks for the columns of a state does not know it.
            Self::ConfusionMatrix | Self::Share { .. } => vec![list("cells", confusion::cell_type())],
            Self::RocAuc { .. } => {
                vec![list("positives", DataType::Float64), list("negatives", DataType::Float64), list("histogram", DataType::Int64)]
            }
            Self::Psi { .. } => vec![list("counts", DataType::Float64)],
            _ => ["a", "b", "c", "d"].map(|name| Arc::new(Field::new(name, DataType::Float64, false))).to_vec(),
        }
    }

    /// Whether the first argument is a label that is compared with something.
    pub fn labelled(&self) -> bool {
        matches!(self, Self::Accuracy | Self::Share { .. } | Self::ConfusionMatrix | Self::LogLoss { .. } | Self::RocAuc { .. })
    }

    /// Whether the second argument is a label too.
    pub fn compares_labels(&self) -> bool {
        matches!(self, Self::Accuracy | Self::Share { .. } | Self::ConfusionMatrix)
    }

    /// The positive class, where there is one; refused if labels of this family need it said and it is not.
    pub fn check_positive(&self, family: LabelFamily) -> Result<()> {
        let positive = match self {
            Self::Share { average: Average::Binary, positive, .. } | Self::LogLoss { positive } | Self::RocAuc { positive } => positive,
            _ => return Ok(()),
        };
        labels::Positive::new(family, positive.as_deref()).map(|_| ())
    }

    /// No groups yet.
    pub fn states(&self, family: LabelFamily) -> Result<Box<dyn MetricStates>> {
        Ok(match self {
            Self::ConfusionMatrix => Box::new(confusion::ConfusionStates::new(confusion::Output::Cells)),
            Self::Share { share, average, zero_division, .. } if *average != Average::Binary => {
                Box::new(confusion::ConfusionStates::new(confusion::Output::Share(*share, *average, *zero_division)))
            }
            Self::RocAuc { positive } => Box::new(roc_auc::RocAucStates::new(labels::Positive::new(family, positive.as_deref())?)),
            Self::Psi { bins, low, high } => Box::new(psi::PsiStates::new(*bins, *low, *high)?),
            Self::Share { share, positive, zero_division, .. } => {
                let positive = labels::Positive::new(family, positive.as_deref())?;
                Box::new(sums::SumStates::new(sums::Sum::Share(*share, positive, *zero_division)))
            }
            Self::LogLoss { positive } => {
                Box::new(sums::SumStates::new(sums::Sum::LogLoss(labels::Positive::new(family, positive.as_deref())?)))
            }
            Self::Accuracy => Box::new(sums::SumStates::new(sums::Sum::Accuracy)),
            Self::MeanAbsoluteError => Box::new(sums::SumStates::new(sums::Sum::Absolute)),
            Self::RootMeanSquaredError => Box::new(sums::SumStates::new(sums::Sum::Squared)),
            Self::R2 => Box::new(sums::SumStates::new(sums::Sum::R2)),
        })
    }
}

/// Precision, recall or F1 of true positives, false positives and false negatives; `None` where it is 0/0.
pub(crate) fn share(share: Share, tp: f64, fp: f64, negatives: f64) -> Option<f64> {
    let (numerator, denominator) = match share {
        Share::Precision => (tp, tp + fp),
        Share::Recall => (tp, tp + negatives),
        Share::F1 => (2.0 * tp, 2.0 * tp + fp + negatives),
    };
    (denominator > 0.0).then(|| numerator / denominator)
}
