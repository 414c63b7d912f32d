//! Optimizers: how a gradient moves parameters.

use super::error::Result;
use super::options::OptionReader;
use super::state::{StateReader, StateWriter};

/// The rule, with its hyper-parameters.
#[derive(Clone, Debug)]
pub(crate) enum Optimizer {
    /// Robbins, Monro: A stochastic approximation method, 1951. With momentum: Polyak: Some methods of speeding up the convergence
    /// of iteration methods, 1964.
    Sgd { rate: f64, momentum: f64 },
    /// Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic optimization, JMLR 2011.
    AdaGrad { rate: f64, epsilon: f64 },
    /// Kingma, Ba: Adam, ICLR 2015, in the form of its section 2: bias correction in the rate, epsilon outside of the root.
    Adam { rate: f64, beta1: f64, beta2: f64, epsilon: f64 },
    /// McMahan et al.: Ad click prediction: a view from the trenches, KDD 2013, algorithm 1.
    Ftrl { alpha: f64, beta: f64, l1: f64, l2: f64 },
}

/// Parameters and what an optimizer remembers of each.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters {
    pub(crate) values: Vec<f64>,
    /// Adam: mean of gradients. FTRL: z. SGD with momentum: the velocity.
    first: Vec<f64>,
    /// Adam: mean of squared gradients. AdaGrad and FTRL: their sum.
    second: Vec<f64>,
    steps: u64,
}

impl Parameters {
    pub(crate) fn new(values: Vec<f64>, optimizer: &Optimizer) -> Self {
        let length = |kept: bool| if kept { values.len() } else { 0 };
        let has_first = match optimizer {
            Optimizer::Adam { .. } | Optimizer::Ftrl { .. } => true,
            Optimizer::Sgd { momentum, .. } => *momentum > 0.0,
            Optimizer::AdaGrad { .. } => false,
        };
        let first = vec![0.0; length(has_first)];
        let second = vec![0.0; length(!matches!(optimizer, Optimizer::Sgd { .. }))];
        Self { values, first, second, steps: 0 }
    }

    /// Parameters that were learned elsewhere, by an optimizer that has seen nothing yet.
    pub(crate) fn starting_at(values: Vec<f64>, optimizer: &Optimizer) -> Self {
        let mut parameters = Self::new(values, optimizer);
        if let Optimizer::Ftrl { alpha, beta, l1, l2 } = *optimizer {
            // FTRL keeps no weights: its z is the one that gives them while no gradient was seen.
            for (z, w) in parameters.first.iter_mut().zip(&parameters.values) {
                *z = if *w == 0.0 { 0.0 } else { -w * (beta / alpha + l2) - l1.copysign(*w) };
            }
        }
        parameters
    }

    pub(crate) fn save(&self, name: &str, state: &mut StateWriter) {
        state.moments(name, &self.values, &self.first, &self.second);
        state.values(&format!("{name}_steps"), &[self.steps as f64]);
    }

    pub(crate) fn load(&mut self, name: &str, state: &StateReader) -> Result<()> {
        state.fill_moments(name, &mut self.values, &mut self.first, &mut self.second)?;
        let mut steps = [0.0];
        state.fill(&format!("{name}_steps"), &mut steps)?;
        self.steps = steps[0] as u64;
        Ok(())
    }
}

impl Optimizer {
    /// `default` holds where no option says otherwise.
    pub(crate) fn parse(options: &mut OptionReader<'_>, choices: &[&'static str]) -> Result<Self> {
        let name = options.choice("optimizer", choices)?;
        let rate_default = if name == "adagrad" { 0.1 } else { 0.01 };
        Ok(match name {
            "ftrl" => Self::Ftrl {
                alpha: options.number("alpha", 0.05, f64::MIN_POSITIVE..=1e6)?,
                beta: options.number("beta", 1.0, 0.0..=1e6)?,
                l1: options.number("l1", 0.0, 0.0..=1e6)?,
                l2: options.number("l2", 1.0, 0.0..=1e6)?,
            },
            name => {
                let rate = options.number("learning_rate", rate_default, 0.0..=1e6)?;
                match name {
                    "adagrad" => Self::AdaGrad { rate, epsilon: options.number("epsilon", 1e-8, 0.0..=1.0)? },
                    "adam" => Self::Adam {
                        rate,
                        beta1: options.number("beta1", 0.9, 0.0..=1.0 - f64::EPSILON)?,
                        beta2: options.number("beta2", 0.999, 0.0..=1.0 - f64::EPSILON)?,
                        epsilon: options.number("epsilon", 1e-8, 0.0..=1.0)?,
                    },
                    _ => Self::Sgd { rate, momentum: options.number("momentum", 0.0, 0.0..=1.0 - f64::EPSILON)? },
                }
            }
        })
    }

    /// The rate that penalties outside of the optimizer go by.
    pub(crate) fn rate(&self) -> f64 {
        match *self {
            Self::Sgd { rate, .. } | Self::AdaGrad { rate, .. } | Self::Adam { rate, .. } => rate,
            Self::Ftrl { alpha, .. } => alpha,
        }
    }

    /// Whether penalties are its own business.
    pub(crate) fn regularizes(&self) -> bool {
        matches!(self, Self::Ftrl { .. })
    }

    /// One step along `gradient`.
    #[inline]
    pub(crate) fn step(&self, parameters: &mut Parameters, gradient: &[f64]) {
        let Parameters { values, first, second, steps } = parameters;
        *steps += 1;
        match *self {
            Self::Sgd { rate, momentum } if momentum > 0.0 => {
                for ((w, velocity), g) in values.iter_mut().zip(first).zip(gradient) {
                    *velocity = momentum * *velocity + g;
                    *w -= rate * *velocity;
                }
            }
            Self::Sgd { rate, .. } => {
                for (w, g) in values.iter_mut().zip(gradient) {
                    *w -= rate * g;
                }
            }
            Self::AdaGrad { rate, epsilon } => {
                for ((w, sum), g) in values.iter_mut().zip(second).zip(gradient) {
                    *sum += g * g;
                    *w -= rate / (*sum + epsilon).sqrt() * g;
                }
            }
            Self::Adam { rate, beta1, beta2, epsilon } => {
                let rate = rate * (1.0 - power(beta2, *steps)).sqrt() / (1.0 - power(beta1, *steps));
                for (((w, m), v), g) in values.iter_mut().zip(first).zip(second).zip(gradient) {
                    *m = beta1 * *m + (1.0 - beta1) * g;
                    *v = beta2 * *v + (1.0 - beta2) * (g * g);
                    *w -= rate * *m / (v.sqrt() + epsilon);
                }
            }
            Self::Ftrl { alpha, beta, l1, l2 } => {
                for (((w, z), n), g) in values.iter_mut().zip(first).zip(second).zip(gradient) {
                    let root = n.sqrt();
                    *w = if z.abs() > l1 { -(*z - l1.copysign(*z)) / ((beta + root) / alpha + l2) } else { 0.0 };
                    let squares = *n + g * g;
                    *z += g - (squares.sqrt() - root) / alpha * *w;
                    *n = squares;
                }
            }
        }
    }
}

/// `base` to the `steps`; where it no longer changes `1 - base^steps`, nothing is computed.
fn power(base: f64, steps: u64) -> f64 {
    let steps = steps as f64;
    if steps * base.ln() < -60.0 { 0.0 } else { base.powf(steps) }
}
