//! What a learner has learned in forms that other programs know: sums, normal distributions, centres. Optimizers and counters are not
//! in them.

use super::error::{LearnError, Result};

/// Parameters in a common form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Portable {
    /// Weighted sums, layer by layer; between two layers negative values become 0.
    Layers(Vec<Layer>),
    /// A normal distribution for each class and feature.
    Gaussians(Vec<Gaussian>),
    /// Centres of clusters, and how many rows each has.
    Centres(Vec<(f64, Vec<f64>)>),
    /// The features as they are.
    Identity,
}

/// Weighted sums of the same inputs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layer {
    pub(crate) inputs: usize,
    /// Sum by sum the weights of its inputs.
    pub(crate) weights: Vec<f64>,
    pub(crate) biases: Vec<f64>,
}

/// What the features of a class look like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gaussian {
    pub(crate) rows: f64,
    pub(crate) means: Vec<f64>,
    pub(crate) variances: Vec<f64>,
}

/// `(x - low) / width`, 0 where the width is 0. Without numbers: nothing is scaled.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FixedScale {
    /// The option's word; empty where another program has made it.
    pub(crate) kind: String,
    /// Rows it was made of.
    pub(crate) rows: f64,
    pub(crate) low: Vec<f64>,
    pub(crate) width: Vec<f64>,
}

impl FixedScale {
    pub(crate) fn is_none(&self) -> bool {
        self.low.is_empty()
    }

    /// What the difference to `low` is multiplied by.
    pub(crate) fn factors(&self) -> Vec<f64> {
        self.width.iter().map(|width| if *width == 0.0 { 0.0 } else { 1.0 / width }).collect()
    }
}

impl Layer {
    pub(crate) fn is_of(&self, inputs: usize, outputs: usize) -> bool {
        self.inputs == inputs && self.biases.len() == outputs
    }
}

impl Portable {
    /// The same with a scale before it taken in.
    pub(crate) fn behind(mut self, scale: &FixedScale) -> Result<Self> {
        if scale.is_none() {
            return Ok(self);
        }
        let Self::Layers(layers) = &mut self else {
            return Err(LearnError::user(format!(
                "the file scales its features, the model does not (hint: WITH ('scaler' = '{}'))",
                if scale.kind.is_empty() { "standard" } else { &scale.kind }
            )));
        };
        let factors = scale.factors();
        if let Some(layer) = layers.first_mut().filter(|layer| layer.inputs == factors.len()) {
            for (weights, bias) in layer.weights.chunks_exact_mut(factors.len()).zip(&mut layer.biases) {
                for ((weight, factor), low) in weights.iter_mut().zip(&factors).zip(&scale.low) {
                    *weight *= factor;
                    *bias -= *weight * low;
                }
            }
        }
        Ok(self)
    }

    fn describe(&self) -> String {
        match self {
            Self::Layers(layers) => {
                let sizes: Vec<String> = layers.iter().map(|layer| layer.biases.len().to_string()).collect();
                format!("sums of {} features in layers of {}", layers.first().map_or(0, |layer| layer.inputs), sizes.join(", "))
            }
            Self::Gaussians(classes) => format!("normal distributions of {} classes", classes.len()),
            Self::Centres(centres) => format!("{} centres of {} features", centres.len(), centres.first().map_or(0, |(_, at)| at.len())),
            Self::Identity => "a scale for features".to_owned(),
        }
    }
}

/// The error of what cannot be begun with.
pub(crate) fn misfit<T>(portable: &Portable, needs: &str) -> Result<T> {
    Err(LearnError::user(format!(
        "the file has {}, the model needs {needs} (hint: TYPE, FEATURES and options like 'hidden' must say the same)",
        portable.describe()
    )))
}
