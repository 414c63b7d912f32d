//! What a learner has to say, row by row, and the loop that every learner runs in.
//!
//! ```text
//! row ─▶ scale by the statistics so far ─▶ predict ─▶ take the row into the statistics ─▶ scale by the new ones ─▶ learn
//! ```
//!
//! Rows are taken one by one in the order of the stream, whatever batches they come in; so the same rows give the same parameters,
//! bit for bit.

use std::fmt;

use super::error::Result;
use super::labels::{Classes, LabelColumn};
use super::options::OptionReader;
use super::portable::{FixedScale, Portable, misfit};
use super::scaler::Scaler;
use super::state::{StateReader, StateWriter};
use crate::drift::{Detector, Drift};

/// What a learner predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// A number.
    Regression,
    /// The probability of the positive one of two classes.
    Binary,
    /// A probability per class.
    Classes,
    /// The nearest cluster and the distance to it. Takes no label.
    Cluster,
    /// How unusual a row is. Takes no label.
    Anomaly,
    /// The features on another scale. Takes no label.
    Scale,
}

impl Task {
    /// Whether it learns from labels.
    pub fn labelled(self) -> bool {
        matches!(self, Self::Regression | Self::Binary | Self::Classes)
    }
}

/// One kind of learner. Rows have as many features as the model, all finite.
pub(crate) trait RowLearner: Clone + fmt::Debug + Send + Sync + 'static {
    /// What it predicts.
    fn task(&self) -> Task;

    /// Leaves in `out`: the number; the probability of the positive class; a probability per class seen; cluster and distance; the
    /// score. Empty: nothing is known yet.
    fn predict(&mut self, row: &[f64], out: &mut Vec<f64>);

    /// Learns a row: `target` is a number or the number of a class. False, and nothing has changed, if the gradient is not finite.
    fn learn(&mut self, row: &[f64], target: f64) -> bool;

    /// Forgets everything learned.
    fn reset(&mut self);

    fn save(&self, state: &mut StateWriter);

    fn load(&mut self, state: &StateReader) -> Result<()>;

    /// What it has learned in a form that other programs know; `None`: there is none.
    fn portable(&self) -> Option<Portable> {
        None
    }

    /// Begins with what another program, or this one, has learned.
    fn take(&mut self, portable: Portable) -> Result<()> {
        misfit(&portable, "something that this type of model can begin with")
    }
}

/// A learner of any kind, by blocks of rows.
pub(crate) trait Learner: fmt::Debug + Send + Sync {
    fn task(&self) -> Task;
    fn run(&mut self, block: &Block<'_>, classes: &mut Classes, mode: Mode, out: &mut Predicted) -> Result<()>;
    fn counters(&self) -> &Counters;
    fn save(&self, state: &mut StateWriter);
    fn load(&mut self, state: &StateReader) -> Result<()>;
    fn boxed_clone(&self) -> Box<dyn Learner>;
    /// What it has learned, behind the scaling of its features.
    fn portable(&self) -> Option<(Portable, FixedScale)>;
    /// Begins with what was learned elsewhere.
    fn take(&mut self, portable: Portable, scale: FixedScale) -> Result<()>;
    /// Above it a probability is the positive class.
    fn threshold(&self) -> f64;
}

/// Whether rows are learned after they are predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Predict,
    TestThenTrain,
}

/// Rows of features, one after the other.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    /// `width` numbers a row.
    pub(crate) values: &'a [f64],
    pub(crate) width: usize,
    /// Whether no feature of the row is NULL.
    pub(crate) valid: &'a [bool],
    pub(crate) labels: &'a LabelColumn,
    /// The block's first row in `labels`.
    pub(crate) first: usize,
}

/// Predictions, a row each; NaN: none.
#[derive(Debug, Default)]
pub(crate) struct Predicted {
    /// A number or the number of a class or cluster, or 1 for an anomaly.
    pub(crate) prediction: Vec<f64>,
    pub(crate) score: Vec<f64>,
    /// If they are kept: the probabilities of all classes, or the scaled features, one row after the other; and how many a row has.
    pub(crate) all: Vec<f64>,
    pub(crate) lengths: Vec<u32>,
    keeps_all: bool,
}

impl Predicted {
    pub(crate) fn new(rows: usize, keeps_all: bool) -> Self {
        let (prediction, score) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        Self { prediction, score, all: Vec::new(), lengths: Vec::new(), keeps_all }
    }

    #[inline]
    fn push(&mut self, prediction: f64, score: f64, task: Task, out: &[f64]) {
        self.prediction.push(prediction);
        self.score.push(score);
        if self.keeps_all {
            match (task, out) {
                (Task::Binary, [positive]) => self.all.extend([1.0 - positive, *positive]),
                _ => self.all.extend_from_slice(out),
            }
            self.lengths.push(if task == Task::Binary && out.len() == 1 { 2 } else { out.len() as u32 });
        }
    }
}

/// What a model has gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Rows that came in.
    pub rows: u64,
    /// Rows learned.
    pub learned: u64,
    /// Rows with a NULL feature; neither predicted nor learned.
    pub null_features: u64,
    /// Rows with a feature that is no finite number; neither predicted nor learned.
    pub non_finite_features: u64,
    /// Rows without a label; predicted, not learned.
    pub null_labels: u64,
    /// Rows that were not learned because the gradient was not finite.
    pub non_finite_gradients: u64,
    /// Times that the drift detector fired.
    pub drifts: u64,
    /// Predictions that could be compared with their label.
    pub tested: u64,
    /// Sum over them of mistakes (classes) or squared errors (numbers).
    pub loss: f64,
}

impl Counters {
    /// Names, in the order of [`Counters::numbers`].
    pub const NAMES: [&'static str; 9] =
        ["rows", "learned", "null_features", "non_finite_features", "null_labels", "non_finite_gradients", "drifts", "tested", "loss"];

    /// All of them as numbers.
    pub fn numbers(&self) -> [f64; 9] {
        let Self { rows, learned, null_features, non_finite_features, null_labels, non_finite_gradients, drifts, tested, loss } = *self;
        let [rows, learned, null_features, non_finite_features] = [rows, learned, null_features, non_finite_features].map(|n| n as f64);
        let [null_labels, non_finite_gradients, drifts, tested] = [null_labels, non_finite_gradients, drifts, tested].map(|n| n as f64);
        [rows, learned, null_features, non_finite_features, null_labels, non_finite_gradients, drifts, tested, loss]
    }

    /// Both together.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut sum = self.numbers();
        for (sum, more) in sum.iter_mut().zip(other.numbers()) {
            *sum += more;
        }
        Self::from_numbers(sum)
    }

    fn from_numbers(numbers: [f64; 9]) -> Self {
        let [rows, learned, null_features, non_finite_features, null_labels, non_finite_gradients, drifts, tested, loss] = numbers;
        let [rows, learned, null_features, non_finite_features] = [rows, learned, null_features, non_finite_features].map(|n| n as u64);
        let [null_labels, non_finite_gradients, drifts, tested] = [null_labels, non_finite_gradients, drifts, tested].map(|n| n as u64);
        Self { rows, learned, null_features, non_finite_features, null_labels, non_finite_gradients, drifts, tested, loss }
    }
}

/// A learner with its scaler and drift detector: the loop of this module.
#[derive(Clone, Debug)]
pub(crate) struct Driver<L> {
    learner: L,
    scaler: Scaler,
    detector: Option<Detector>,
    reset_on_drift: bool,
    /// Above it a probability is the positive class and a score an anomaly.
    threshold: f64,
    counters: Counters,
    scaled: Vec<f64>,
    out: Vec<f64>,
}

impl<L: RowLearner> Driver<L> {
    /// `scaler` and `threshold` hold where no option says otherwise.
    pub(crate) fn boxed(
        learner: L,
        options: &mut OptionReader<'_>,
        features: usize,
        scaler: &'static str,
        threshold: f64,
    ) -> Result<Box<dyn Learner>> {
        let scaler = Scaler::parse(options, features, scaler)?;
        let detector = Detector::parse(options)?;
        let reset_on_drift = options.choice("on_drift", &["ignore", "reset"])? == "reset";
        if reset_on_drift && detector.is_none() {
            return Err(super::error::LearnError::user(
                "'on_drift' = 'reset' needs a detector (hint: 'drift_detector' = 'adwin' or 'page_hinkley')",
            ));
        }
        let threshold = match learner.task() {
            Task::Binary => options.number("threshold", threshold, 0.0..=1.0)?,
            Task::Anomaly => options.number("threshold", threshold, 0.0..=1e12)?,
            _ => threshold,
        };
        let counters = Counters::default();
        let (scaled, out) = (vec![0.0; features], Vec::new());
        Ok(Box::new(Self { learner, scaler, detector, reset_on_drift, threshold, counters, scaled, out }))
    }

    /// Prediction and score of the row in `scaled`.
    #[inline]
    fn predict(&mut self, classes: &Classes) -> (f64, f64) {
        self.out.clear();
        self.learner.predict(&self.scaled, &mut self.out);
        match (self.learner.task(), self.out.as_slice()) {
            (Task::Regression, [value]) => (*value, *value),
            (Task::Binary, [positive]) => {
                let class = usize::from(*positive > self.threshold);
                (if classes.is_named(class) { class as f64 } else { f64::NAN }, *positive)
            }
            (Task::Cluster, [cluster, distance]) => (*cluster, *distance),
            (Task::Anomaly, [score]) => (f64::from(u8::from(*score > self.threshold)), *score),
            (Task::Classes, []) if classes.has_positive() => (f64::NAN, 0.5),
            (Task::Classes, probabilities) if !probabilities.is_empty() => {
                let mut best = 0;
                for (index, probability) in probabilities.iter().enumerate() {
                    if *probability > probabilities[best] {
                        best = index;
                    }
                }
                let score = match classes.positive_index() {
                    Some(index) => probabilities.get(index).copied().unwrap_or(0.0),
                    None if classes.has_positive() => 0.0,
                    None => probabilities[best],
                };
                (best as f64, score)
            }
            _ => (f64::NAN, f64::NAN),
        }
    }

    /// How wrong a prediction was, or the score of what has no label; tells the detector.
    fn test(&mut self, prediction: f64, score: f64, target: f64) {
        let error = match self.learner.task() {
            Task::Regression => prediction - target,
            Task::Binary | Task::Classes => f64::from(u8::from(prediction != target)),
            Task::Cluster | Task::Anomaly => score,
            Task::Scale => return,
        };
        if !error.is_finite() {
            return;
        }
        if self.learner.task().labelled() {
            self.counters.tested += 1;
            self.counters.loss += error * error;
        }
        let Some(detector) = &mut self.detector else { return };
        let drift = detector.update(error.abs());
        if drift != Drift::None {
            self.counters.drifts += 1;
        }
        // Errors that get smaller are no reason to forget.
        if drift == Drift::Up && self.reset_on_drift {
            self.learner.reset();
            self.scaler.reset();
        }
    }

    fn learn(&mut self, row: &[f64], target: Option<f64>, prediction: f64, score: f64) {
        let target = match target {
            Some(target) => target,
            None if self.learner.task().labelled() => {
                self.counters.null_labels += 1;
                return;
            }
            None => f64::NAN,
        };
        self.test(prediction, score, target);
        self.scaler.learn(row);
        self.scaler.transform(row, &mut self.scaled);
        match self.learner.learn(&self.scaled, target) {
            true => self.counters.learned += 1,
            false => self.counters.non_finite_gradients += 1,
        }
    }
}

impl<L: RowLearner> Learner for Driver<L> {
    fn task(&self) -> Task {
        self.learner.task()
    }

    fn run(&mut self, block: &Block<'_>, classes: &mut Classes, mode: Mode, out: &mut Predicted) -> Result<()> {
        let task = self.learner.task();
        for (index, row) in block.values.chunks_exact(block.width).enumerate() {
            if mode == Mode::TestThenTrain {
                self.counters.rows += 1;
            }
            if !block.valid[index] {
                self.counters.null_features += u64::from(mode == Mode::TestThenTrain);
                out.push(f64::NAN, f64::NAN, task, &[]);
                continue;
            }
            if row.iter().map(|x| x * 0.0).sum::<f64>() != 0.0 {
                self.counters.non_finite_features += u64::from(mode == Mode::TestThenTrain);
                out.push(f64::NAN, f64::NAN, task, &[]);
                continue;
            }
            self.scaler.transform(row, &mut self.scaled);
            let (prediction, score) = self.predict(classes);
            out.push(prediction, score, task, &self.out);
            if mode == Mode::TestThenTrain {
                // Only now: what the row's label is must not be known before the prediction.
                let target = classes.target(block.labels, block.first + index)?;
                self.learn(row, target, prediction, score);
            }
        }
        Ok(())
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn save(&self, state: &mut StateWriter) {
        state.named("counters", &Counters::NAMES, &self.counters.numbers());
        self.scaler.save(state);
        if let Some(detector) = &self.detector {
            detector.save(state);
        }
        self.learner.save(state);
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        let mut numbers = [0.0; 9];
        state.fill("counters", &mut numbers)?;
        self.counters = Counters::from_numbers(numbers);
        self.scaler.load(state)?;
        if let Some(detector) = &mut self.detector {
            detector.load(state)?;
        }
        self.learner.load(state)
    }

    fn boxed_clone(&self) -> Box<dyn Learner> {
        Box::new(self.clone())
    }

    fn portable(&self) -> Option<(Portable, FixedScale)> {
        Some((self.learner.portable()?, self.scaler.portable()))
    }

    fn take(&mut self, portable: Portable, scale: FixedScale) -> Result<()> {
        let rest = self.scaler.take(scale)?;
        self.learner.take(portable.behind(&rest)?)
    }

    fn threshold(&self) -> f64 {
        self.threshold
    }
}
