//! SVMClassifier and SVMRegressor: sums over support vectors.

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::tensor::{Data, Tensor};
use super::feature::class_names;
use super::scores::{PostTransform, both_classes};
use super::{Budget, Inputs, Operator};

/// How alike two rows are.
#[derive(Clone, Copy, Debug)]
enum Kernel {
    Linear,
    Polynomial { gamma: f64, shift: f64, degree: f64 },
    Radial { gamma: f64 },
    Sigmoid { gamma: f64, shift: f64 },
}

impl Kernel {
    fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let parameter = |at: usize| node.floats("kernel_params").get(at).map_or(0.0, |value| f64::from(*value));
        let (gamma, shift, degree) = (parameter(0), parameter(1), parameter(2));
        Ok(match node.text("kernel_type", "LINEAR")? {
            "LINEAR" => Self::Linear,
            "POLY" => Self::Polynomial { gamma, shift, degree },
            "RBF" => Self::Radial { gamma },
            "SIGMOID" => Self::Sigmoid { gamma, shift },
            other => return Err(ModelError::invalid(format!("kernel_type '{other}'"))),
        })
    }

    fn of(self, row: &[f64], vector: &[f64]) -> f64 {
        let product = || row.iter().zip(vector).map(|(a, b)| a * b).sum::<f64>();
        match self {
            Self::Linear => product(),
            Self::Polynomial { gamma, shift, degree } => (gamma * product() + shift).powf(degree),
            Self::Radial { gamma } => (-gamma * row.iter().zip(vector).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()).exp(),
            Self::Sigmoid { gamma, shift } => (gamma * product() + shift).tanh(),
        }
    }
}

/// The vectors that a model has kept, one behind the other.
#[derive(Debug)]
struct Supports {
    kernel: Kernel,
    values: Vec<f64>,
    vectors: usize,
    features: usize,
}

impl Supports {
    fn compile(node: &Node<'_>, vectors: usize, values: &[f32]) -> ModelResult<Self> {
        if vectors == 0 || values.is_empty() || !values.len().is_multiple_of(vectors) {
            return Err(ModelError::invalid(format!("{} values of {vectors} support vectors", values.len())));
        }
        let features = values.len() / vectors;
        Ok(Self { kernel: Kernel::compile(node)?, values: values.iter().map(|value| f64::from(*value)).collect(), vectors, features })
    }

    /// The rows of the input.
    fn rows(&self, input: &Tensor, budget: &mut Budget) -> ModelResult<(usize, Vec<f64>)> {
        let (rows, columns) = input.matrix_shape()?;
        if columns != self.features {
            return Err(ModelError::invalid(format!("the support vectors have {} features, they are given {columns}", self.features)));
        }
        budget.elements(&[rows, columns])?;
        budget.work(&[rows, self.vectors, columns])?;
        Ok((rows, input.data.to_f64()?))
    }

    /// The kernel of a row with each vector.
    fn kernels(&self, row: &[f64], out: &mut [f64]) {
        for (kernel, vector) in out.iter_mut().zip(self.values.chunks_exact(self.features)) {
            *kernel = self.kernel.of(row, vector);
        }
    }
}

fn narrow(scores: Vec<f64>) -> Data {
    Data::F32(scores.into_iter().map(|score| score as f32).collect())
}

/// One sum for each row; or, of one class, which side of the border it is on.
#[derive(Debug)]
pub(super) struct SvmRegressor {
    supports: Supports,
    coefficients: Vec<f64>,
    rho: f64,
    one_class: bool,
    transform: PostTransform,
}

impl SvmRegressor {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let coefficients = node.floats("coefficients");
        let vectors = usize::try_from(node.int("n_supports", 0)).map_err(|_| ModelError::invalid("n_supports is negative"))?;
        // Without support vectors the coefficients are the one vector.
        let (supports, coefficients) = match vectors {
            0 => (Supports::compile(node, 1, coefficients)?, vec![1.0]),
            vectors => {
                let supports = Supports::compile(node, vectors, node.floats("support_vectors"))?;
                (supports, coefficients.iter().map(|value| f64::from(*value)).collect())
            }
        };
        if coefficients.len() != supports.vectors {
            return Err(ModelError::invalid(format!("{} coefficients of {} support vectors", coefficients.len(), supports.vectors)));
        }
        let rho = node.floats("rho").first().map_or(0.0, |value| f64::from(*value));
        let transform = PostTransform::parse(node.text("post_transform", "NONE")?)?;
        Ok(Self { supports, coefficients, rho, one_class: node.int("one_class", 0) != 0, transform })
    }
}

impl Operator for SvmRegressor {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (rows, values) = self.supports.rows(inputs.get(0)?, budget)?;
        budget.elements(&[rows])?;
        let mut kernels = vec![0.0; self.supports.vectors];
        let mut scores = Vec::with_capacity(rows);
        for row in values.chunks_exact(self.supports.features) {
            self.supports.kernels(row, &mut kernels);
            let sum = kernels.iter().zip(&self.coefficients).map(|(kernel, coefficient)| kernel * coefficient).sum::<f64>() + self.rho;
            scores.push(match self.one_class {
                true if sum > 0.0 => 1.0,
                true => -1.0,
                false => sum,
            });
        }
        self.transform.apply(&mut scores, 1);
        Ok(vec![Tensor::new(vec![rows, 1], narrow(scores))?])
    }
}

/// Each class against each other; with `prob_a` and `prob_b` as probabilities.
#[derive(Debug)]
pub(super) struct SvmClassifier {
    supports: Supports,
    /// Where the vectors of each class start, and the end.
    starts: Vec<usize>,
    /// Classes less one × vectors.
    coefficients: Vec<f64>,
    /// One a pair of classes.
    rho: Vec<f64>,
    /// Slope and shift of each pair's logistic function, if there are probabilities.
    logistic: Option<Vec<(f64, f64)>>,
    transform: PostTransform,
    names: Vec<String>,
    labels: Data,
}

impl SvmClassifier {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let (names, labels) = class_names(node, "classlabels_ints", "classlabels_strings")?;
        let counts = node.ints("vectors_per_class");
        if counts.is_empty() {
            return Err(ModelError::unsupported("a classifier without support vectors (hint: LinearSVC is exported as a linear model)"));
        }
        if counts.len() != names.len() || names.len() < 2 {
            return Err(ModelError::invalid(format!("support vectors of {} classes, {} labels", counts.len(), names.len())));
        }
        let mut starts = vec![0_usize];
        for count in counts {
            let end = usize::try_from(*count).ok().and_then(|count| starts.last().copied().unwrap_or(0).checked_add(count));
            starts.push(end.ok_or_else(|| ModelError::invalid(format!("a class has {count} support vectors")))?);
        }
        let supports = Supports::compile(node, starts.last().copied().unwrap_or(0), node.floats("support_vectors"))?;
        let pairs = names.len() * (names.len() - 1) / 2;
        let doubles = |name: &str| node.floats(name).iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
        let (coefficients, rho, slopes, shifts) = (doubles("coefficients"), doubles("rho"), doubles("prob_a"), doubles("prob_b"));
        if coefficients.len() != (names.len() - 1).saturating_mul(supports.vectors) || rho.len() != pairs {
            return Err(ModelError::invalid(format!("{} coefficients and {} constants for {pairs} pairs", coefficients.len(), rho.len())));
        }
        let logistic = match slopes.len() {
            0 => None,
            given if given == pairs && shifts.len() == pairs => Some(slopes.into_iter().zip(shifts).collect()),
            given => return Err(ModelError::invalid(format!("{given} slopes and {} shifts for {pairs} pairs", shifts.len()))),
        };
        let transform = PostTransform::parse(node.text("post_transform", "NONE")?)?;
        Ok(Self { supports, starts, coefficients, rho, logistic, transform, names, labels })
    }

    /// One score a pair of classes, in the order (0, 1), (0, 2), …; positive ones are for the first class.
    fn decisions(&self, kernels: &[f64], out: &mut Vec<f64>) {
        let (classes, vectors) = (self.names.len(), self.supports.vectors);
        let sum = |row: usize, class: usize| {
            let range = self.starts[class]..self.starts[class + 1];
            let coefficients = &self.coefficients[row * vectors..][range.clone()];
            coefficients.iter().zip(&kernels[range]).map(|(coefficient, kernel)| coefficient * kernel).sum::<f64>()
        };
        out.clear();
        for first in 0..classes {
            for second in first + 1..classes {
                out.push(sum(second - 1, first) + sum(first, second) + self.rho[out.len()]);
            }
        }
    }

    /// The class that wins most pairs, the first of equals.
    fn most_votes(&self, decisions: &[f64], votes: &mut [u32]) -> usize {
        votes.fill(0);
        let mut pair = 0;
        for first in 0..votes.len() {
            for second in first + 1..votes.len() {
                votes[if decisions[pair] > 0.0 { first } else { second }] += 1;
                pair += 1;
            }
        }
        let mut winner = 0;
        for class in 1..votes.len() {
            if votes[class] > votes[winner] {
                winner = class;
            }
        }
        winner
    }
}

/// As far as a probability of a pair may be from 0 and 1.
const PROBABILITY_MIN: f64 = 1e-7;

/// Probabilities of pairs to one for each class: Wu, Lin and Weng, "Probability estimates for multi-class classification by pairwise
/// coupling", 2004, second method. `pairs[i · k + j]` is the probability of class i where only i and j are possible.
fn couple(pairs: &[f64], classes: usize, out: &mut [f64]) {
    let rounds = classes.max(100);
    let enough = 0.005 / classes as f64;
    let at = |row: usize, column: usize| pairs[row * classes + column];
    let weight = |row: usize, column: usize| {
        if row == column {
            (0..classes).filter(|other| *other != row).map(|other| at(other, row) * at(other, row)).sum()
        } else {
            -at(column, row) * at(row, column)
        }
    };
    let weights: Vec<f64> = (0..classes * classes).map(|place| weight(place / classes, place % classes)).collect();
    out.fill(1.0 / classes as f64);
    let mut products = vec![0.0; classes];
    for _ in 0..rounds {
        for (row, product) in products.iter_mut().enumerate() {
            *product = weights[row * classes..][..classes].iter().zip(out.iter()).map(|(weight, p)| weight * p).sum();
        }
        let mut whole: f64 = out.iter().zip(&products).map(|(p, product)| p * product).sum();
        if products.iter().all(|product| (product - whole).abs() < enough) {
            return;
        }
        for class in 0..classes {
            let own = weights[class * classes + class];
            let step = (whole - products[class]) / own;
            out[class] += step;
            whole = (whole + step * (step * own + 2.0 * products[class])) / (1.0 + step) / (1.0 + step);
            for other in 0..classes {
                products[other] = (products[other] + step * weights[class * classes + other]) / (1.0 + step);
                out[other] /= 1.0 + step;
            }
        }
    }
}

impl Operator for SvmClassifier {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (rows, values) = self.supports.rows(inputs.get(0)?, budget)?;
        let classes = self.names.len();
        let pairs = self.rho.len();
        let width = if self.logistic.is_some() || pairs == 1 { classes } else { pairs };
        budget.elements(&[rows, width])?;
        budget.work(&[rows, pairs, self.supports.vectors])?;
        let (mut kernels, mut decisions) = (vec![0.0; self.supports.vectors], Vec::with_capacity(pairs));
        let (mut of_pairs, mut of_classes, mut votes) = (vec![0.0; classes * classes], vec![0.0; classes], vec![0; classes]);
        let (mut scores, mut winners) = (Vec::with_capacity(rows * width), Vec::with_capacity(rows));
        for row in values.chunks_exact(self.supports.features) {
            self.supports.kernels(row, &mut kernels);
            self.decisions(&kernels, &mut decisions);
            // Also where there are probabilities, which may say otherwise.
            winners.push(self.most_votes(&decisions, &mut votes));
            let Some(logistic) = &self.logistic else {
                scores.extend_from_slice(&decisions);
                continue;
            };
            let mut pair = 0;
            for first in 0..classes {
                for second in first + 1..classes {
                    let (slope, shift) = logistic[pair];
                    let p = super::activation::logistic(-(decisions[pair] * slope + shift)).clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
                    (of_pairs[first * classes + second], of_pairs[second * classes + first]) = (p, 1.0 - p);
                    pair += 1;
                }
            }
            couple(&of_pairs, classes, &mut of_classes);
            scores.extend_from_slice(&of_classes);
        }
        if self.logistic.is_none() && pairs == 1 {
            scores = both_classes(&scores, self.transform, false);
        } else {
            self.transform.apply(&mut scores, width);
        }
        Ok(vec![Tensor::column(self.labels.take(winners.into_iter())), Tensor::new(vec![rows, width], narrow(scores))?])
    }

    fn classes(&self) -> Option<Vec<String>> {
        Some(self.names.clone())
    }
}
