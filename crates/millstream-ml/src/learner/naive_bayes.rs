//! Gaussian naive Bayes.

use super::error::{LearnError, Result};
use super::options::OptionReader;
use super::portable::{Gaussian, Portable, misfit};
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// Classes by Bayes' rule, each feature of each class normal and independent of the others (John, Langley: Estimating continuous
/// distributions in Bayesian classifiers, UAI 1995); means and variances by Welford's formula, ddof 0.
#[derive(Clone, Debug)]
struct GaussianNaiveBayes {
    features: usize,
    rows: f64,
    classes: Vec<Class>,
}

#[derive(Clone, Debug)]
struct Class {
    rows: f64,
    means: Vec<f64>,
    /// Sums of squared deviations.
    squares: Vec<f64>,
}

/// Least density of a feature: what no row of the class had must not rule the class out.
pub(super) const DENSITY_MIN: f64 = 1e-9;

/// `gaussian_naive_bayes`.
pub(super) fn gaussian_naive_bayes(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    Driver::boxed(GaussianNaiveBayes { features, rows: 0.0, classes: Vec::new() }, options, features, "none", 0.5)
}

impl GaussianNaiveBayes {
    fn grow(&mut self, classes: usize) {
        while self.classes.len() < classes {
            self.classes.push(Class { rows: 0.0, means: vec![0.0; self.features], squares: vec![0.0; self.features] });
        }
    }
}

impl Class {
    fn log_likelihood(&self, row: &[f64], rows: f64) -> f64 {
        let mut sum = (self.rows / rows).ln();
        for ((x, mean), squares) in row.iter().zip(&self.means).zip(&self.squares) {
            let variance = squares / self.rows;
            let density = if variance > 0.0 {
                (-(x - mean).powi(2) / (2.0 * variance)).exp() / (std::f64::consts::TAU * variance).sqrt()
            } else {
                0.0
            };
            sum += (DENSITY_MIN + density).ln();
        }
        sum
    }
}

impl RowLearner for GaussianNaiveBayes {
    fn task(&self) -> Task {
        Task::Classes
    }

    fn predict(&mut self, row: &[f64], out: &mut Vec<f64>) {
        if self.rows == 0.0 {
            return;
        }
        out.extend(
            self.classes.iter().map(|class| if class.rows > 0.0 { class.log_likelihood(row, self.rows) } else { f64::NEG_INFINITY }),
        );
        super::gradient::softmax(out);
    }

    fn learn(&mut self, row: &[f64], target: f64) -> bool {
        let target = target as usize;
        self.grow(target + 1);
        self.rows += 1.0;
        let class = &mut self.classes[target];
        class.rows += 1.0;
        for ((x, mean), squares) in row.iter().zip(&mut class.means).zip(&mut class.squares) {
            let before = *mean;
            *mean += (x - before) / class.rows;
            *squares += (x - before) * (x - *mean);
        }
        true
    }

    fn reset(&mut self) {
        self.rows = 0.0;
        self.classes.clear();
    }

    fn save(&self, state: &mut StateWriter) {
        state.values("class_rows", &self.classes.iter().map(|class| class.rows).collect::<Vec<_>>());
        for (index, class) in self.classes.iter().enumerate() {
            state.values(&format!("mean_{index}"), &class.means);
            state.values(&format!("squares_{index}"), &class.squares);
        }
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        self.classes.clear();
        let rows = state.any("class_rows")?;
        if rows.iter().any(|rows| rows.is_nan() || *rows < 0.0) {
            return Err(LearnError::state("a class of a model's state has a number of rows below 0"));
        }
        self.grow(rows.len());
        self.rows = rows.iter().sum();
        for (index, (class, rows)) in self.classes.iter_mut().zip(rows).enumerate() {
            class.rows = rows;
            state.fill(&format!("mean_{index}"), &mut class.means)?;
            state.fill(&format!("squares_{index}"), &mut class.squares)?;
        }
        Ok(())
    }

    fn portable(&self) -> Option<Portable> {
        let classes = self.classes.iter().map(|class| Gaussian {
            rows: class.rows,
            means: class.means.clone(),
            variances: class.squares.iter().map(|squares| if class.rows > 0.0 { squares / class.rows } else { 0.0 }).collect(),
        });
        Some(Portable::Gaussians(classes.collect()))
    }

    fn take(&mut self, portable: Portable) -> Result<()> {
        match portable {
            Portable::Gaussians(classes) if classes.iter().all(|class| class.means.len() == self.features) => {
                self.rows = classes.iter().map(|class| class.rows).sum();
                let class = |class: Gaussian| Class {
                    squares: class.variances.iter().map(|variance| variance * class.rows).collect(),
                    rows: class.rows,
                    means: class.means,
                };
                self.classes = classes.into_iter().map(class).collect();
                Ok(())
            }
            other => misfit(&other, &format!("normal distributions of {} features", self.features)),
        }
    }
}
