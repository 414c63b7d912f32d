//! What an ONNX file says that a learner can begin with.
//!
//! Read are the files of `write.rs`, and what scikit-learn's linear models, standard scalers and nets with ReLU become: a chain of
//! a scale, weighted sums and ReLUs. What a file does besides (labels, probabilities) is the learner's own business.

use std::collections::HashMap;

use prost::Message;

use super::message::{AttributeProto, DOUBLE, FLOAT, GraphProto, ModelProto, NodeProto, TensorProto};
use super::{FOREIGN_ROWS, Found, NOTE_KEY, Note};
use crate::learner::error::{LearnError, Result};
use crate::learner::portable::{FixedScale, Gaussian, Layer, Portable};
use crate::learner::row::Task;

/// Operators that only bring numbers into another form.
const FORMS: [&str; 7] = ["Cast", "Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Constant"];
/// Operators that make labels and probabilities of the last sums.
const BEHIND: [&str; 14] = [
    "Concat",
    "ZipMap",
    "Sigmoid",
    "Softmax",
    "ArgMax",
    "ArgMin",
    "Greater",
    "Less",
    "Not",
    "Where",
    "Gather",
    "ArrayFeatureExtractor",
    "Normalizer",
    "LabelEncoder",
];

/// Reads a file that has been found to be in order.
pub(super) fn file(bytes: &[u8], task: Task) -> Result<Found> {
    let model = ModelProto::decode(bytes).map_err(|error| LearnError::user(error.to_string()))?;
    let graph = model.graph.unwrap_or_default();
    let note = model.metadata_props.iter().find(|entry| entry.key == NOTE_KEY);
    match note.map(|note| serde_json::from_str::<Note>(&note.value)) {
        Some(Ok(note)) => own(&graph, note),
        Some(Err(error)) => Err(LearnError::user(format!("its metadata {NOTE_KEY} cannot be read: {error}"))),
        None => foreign(&graph, task),
    }
}

/// A constant of the graph as numbers.
struct Constant {
    dims: Vec<usize>,
    values: Vec<f64>,
}

fn constants(graph: &GraphProto) -> HashMap<&str, Constant> {
    graph.initializer.iter().filter_map(|tensor| Some((tensor.name.as_str(), constant(tensor)?))).collect()
}

fn constant(tensor: &TensorProto) -> Option<Constant> {
    let values: Vec<f64> = match tensor.data_type {
        DOUBLE if tensor.raw_data.is_empty() => tensor.double_data.clone(),
        DOUBLE => tensor.raw_data.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
        FLOAT if tensor.raw_data.is_empty() => tensor.float_data.iter().map(|value| f64::from(*value)).collect(),
        FLOAT => tensor.raw_data.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
        _ => return None,
    };
    let dims: Vec<usize> = tensor.dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect();
    let count = dims.iter().try_fold(1_usize, |count, dim| count.checked_mul(*dim))?;
    (count == values.len() && values.iter().all(|value| !value.is_nan())).then_some(Constant { dims, values })
}

fn damaged(what: &str) -> LearnError {
    LearnError::user(format!("{what} of it does not fit the rest"))
}

/// A file of this program.
fn own(graph: &GraphProto, note: Note) -> Result<Found> {
    let all = constants(graph);
    let width = note.features.len();
    // Where a feature has the name, the constant has a longer one.
    let get = |name: &str| {
        let mut name = name.to_owned();
        while note.features.contains(&name) {
            name.push('_');
        }
        all.get(name.as_str())
    };
    let scale = match (get("scaler_low"), get("scaler_factor")) {
        (Some(low), Some(factor)) if low.values.len() == width && factor.values.len() == width => {
            let spread = factor.values.iter().map(|factor| if *factor == 0.0 { 0.0 } else { 1.0 / factor }).collect();
            FixedScale { kind: note.scaler, rows: note.scaler_rows, low: low.values.clone(), width: spread }
        }
        (None, None) => FixedScale::default(),
        _ => return Err(damaged("the scaler")),
    };
    let lists = |constant: &Constant| -> Vec<Vec<f64>> { constant.values.chunks(width.max(1)).map(<[f64]>::to_vec).collect() };
    let portable = if let Some(centre) = get("centre") {
        let centres = lists(centre);
        if centres.len() != note.rows.len() || centres.iter().any(|at| at.len() != width) {
            return Err(damaged("the centres"));
        }
        Portable::Centres(note.rows.into_iter().zip(centres).collect())
    } else if let (Some(mean), Some(exponent)) = (get("mean"), get("exponent")) {
        let (means, exponents) = (lists(mean), lists(exponent));
        if means.len() != note.rows.len()
            || exponents.len() != means.len()
            || means.iter().chain(&exponents).any(|list| list.len() != width)
        {
            return Err(damaged("the distributions"));
        }
        let variances = |list: Vec<f64>| list.into_iter().map(|exponent| if exponent < 0.0 { -0.5 / exponent } else { 0.0 }).collect();
        let classes = note.rows.iter().zip(means).zip(exponents);
        Portable::Gaussians(classes.map(|((rows, means), list)| Gaussian { rows: *rows, means, variances: variances(list) }).collect())
    } else {
        let mut layers = Vec::new();
        while let (Some(weight), Some(bias)) = (get(&format!("weight_{}", layers.len())), get(&format!("bias_{}", layers.len()))) {
            layers.push(turned(weight)?.with_biases(bias)?);
        }
        if layers.is_empty() { Portable::Identity } else { Portable::Layers(layers) }
    };
    Ok(Found { portable, scale, label_kind: note.label_kind, classes: note.classes, from: Some((note.kind, note.features)) })
}

/// Weights that are written input by input.
fn turned(weight: &Constant) -> Result<Layer> {
    let [inputs, outputs] = weight.dims[..] else { return Err(damaged("a matrix")) };
    let weights = (0..outputs).flat_map(|output| (0..inputs).map(move |input| weight.values[input * outputs + output])).collect();
    Ok(Layer { inputs, weights, biases: vec![0.0; outputs] })
}

impl Layer {
    fn with_biases(self, bias: &Constant) -> Result<Self> {
        match bias.values.len() {
            length if length == self.biases.len() => Ok(Self { biases: bias.values.clone(), ..self }),
            1 => Ok(Self { biases: vec![bias.values[0]; self.biases.len()], ..self }),
            _ => Err(damaged("a bias")),
        }
    }
}

/// A file of another program: a chain of sums.
fn foreign(graph: &GraphProto, task: Task) -> Result<Found> {
    let constants = constants(graph);
    let inputs = graph.input.iter().map(|input| input.name.clone()).collect();
    let mut found = Chain { inputs, ..Chain::default() };
    for node in &graph.node {
        found.add(node, &constants, task)?;
    }
    if found.layers.is_empty() {
        return Err(LearnError::user("it has no weighted sums (hint: linear models and nets of ReLU have)"));
    }
    Ok(Found {
        portable: Portable::Layers(found.layers),
        scale: found.scale,
        label_kind: found.label_kind,
        classes: found.classes,
        from: None,
    })
}

#[derive(Default)]
struct Chain {
    inputs: Vec<String>,
    scale: FixedScale,
    layers: Vec<Layer>,
    label_kind: String,
    classes: Vec<Option<String>>,
}

impl Chain {
    fn add(&mut self, node: &NodeProto, constants: &HashMap<&str, Constant>, task: Task) -> Result<()> {
        let given = |at: usize| node.input.get(at).and_then(|name| constants.get(name.as_str()));
        match node.op_type.as_str() {
            "Scaler" => {
                let (offset, scale) = (floats(node, "offset"), floats(node, "scale"));
                let count = offset.len().max(scale.len());
                let at = |list: &[f64], n: usize, default: f64| list.get(n).or(list.first()).copied().unwrap_or(default);
                let low = (0..count).map(|n| at(&offset, n, 0.0)).collect();
                self.scaled(low, (0..count).map(|n| inverse(at(&scale, n, 1.0))).collect())
            }
            "Sub" if self.layers.is_empty() && given(1).is_some() => {
                let low = given(1).map(|low| low.values.clone()).unwrap_or_default();
                let width = vec![1.0; low.len()];
                self.scaled(low, width)
            }
            "Div" | "Mul" if self.layers.is_empty() && given(1).is_some() => {
                let by = given(1).map(|by| by.values.clone()).unwrap_or_default();
                let width: Vec<f64> = if node.op_type == "Div" { by } else { by.into_iter().map(inverse).collect() };
                let low = if self.scale.low.len() == width.len() { std::mem::take(&mut self.scale.low) } else { vec![0.0; width.len()] };
                self.scale = FixedScale::default();
                self.scaled(low, width)
            }
            "LinearRegressor" => {
                let (weights, biases) = (floats(node, "coefficients"), floats(node, "intercepts"));
                self.sums(weights, biases, integer(node, "targets", 1))
            }
            "LinearClassifier" => self.classifier(node, task),
            "MatMul" => match given(1) {
                Some(weight) => {
                    self.layers.push(turned(weight)?);
                    Ok(())
                }
                None => Err(unknown(node)),
            },
            "Gemm" => self.gemm(node, given(1), given(2)),
            "Add" => match (given(0).or(given(1)), self.layers.pop()) {
                (Some(bias), Some(layer)) if layer.biases.iter().all(|bias| *bias == 0.0) => {
                    self.layers.push(layer.with_biases(bias)?);
                    Ok(())
                }
                _ => Err(unknown(node)),
            },
            "Relu" if !self.layers.is_empty() => Ok(()),
            "Sub" if !self.layers.is_empty() && given(0).is_some() => Ok(()),
            // Features side by side, in their order.
            "Concat" | "FeatureVectorizer" if self.layers.is_empty() && node.input == self.inputs => Ok(()),
            operator if FORMS.contains(&operator) => Ok(()),
            operator if BEHIND.contains(&operator) && !self.layers.is_empty() => Ok(()),
            _ => Err(unknown(node)),
        }
    }

    fn scaled(&mut self, low: Vec<f64>, width: Vec<f64>) -> Result<()> {
        if !self.scale.is_none() || !self.layers.is_empty() {
            return Err(LearnError::user("it scales more than its features once"));
        }
        self.scale = FixedScale { kind: String::new(), rows: FOREIGN_ROWS, low, width };
        Ok(())
    }

    fn sums(&mut self, weights: Vec<f64>, biases: Vec<f64>, outputs: i64) -> Result<()> {
        let outputs = usize::try_from(outputs).unwrap_or(0);
        if outputs == 0 || weights.is_empty() || !weights.len().is_multiple_of(outputs) {
            return Err(damaged("a sum"));
        }
        let layer = Layer { inputs: weights.len() / outputs, weights, biases: vec![0.0; outputs] };
        let layer = if biases.is_empty() { layer } else { layer.with_biases(&Constant { dims: vec![biases.len()], values: biases })? };
        self.layers.push(layer);
        Ok(())
    }

    fn classifier(&mut self, node: &NodeProto, task: Task) -> Result<()> {
        let (weights, biases) = (floats(node, "coefficients"), floats(node, "intercepts"));
        let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
        let texts = attribute("classlabels_strings").map(|found| found.strings.clone()).unwrap_or_default();
        let numbers = attribute("classlabels_ints").map(|found| found.ints.clone()).unwrap_or_default();
        if texts.is_empty() {
            self.label_kind = "integer".to_owned();
            self.classes = numbers.iter().map(|label| Some(label.to_string())).collect();
        } else {
            self.label_kind = "text".to_owned();
            self.classes = texts.iter().map(|label| Some(String::from_utf8_lossy(label).into_owned())).collect();
        }
        let rows = biases.len().max(1);
        self.sums(weights, biases, rows as i64)?;
        let is_softmax = attribute("post_transform").is_some_and(|found| found.s == b"SOFTMAX");
        if let Some(layer) = self.layers.last_mut()
            && task == Task::Binary
            && layer.biases.len() == 2
        {
            // Two sums for two classes: the second is the positive one, alone or less the first.
            let (first, second) = layer.weights.split_at(layer.inputs);
            let less = |second: f64, first: f64| if is_softmax { second - first } else { second };
            let weights = second.iter().zip(first).map(|(second, first)| less(*second, *first)).collect();
            *layer = Layer { inputs: layer.inputs, weights, biases: vec![less(layer.biases[1], layer.biases[0])] };
        }
        Ok(())
    }

    fn gemm(&mut self, node: &NodeProto, weight: Option<&Constant>, bias: Option<&Constant>) -> Result<()> {
        let Some(weight) = weight else { return Err(unknown(node)) };
        let plain = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name).is_none_or(|alpha| alpha.f == 1.0);
        if !plain("alpha") || !plain("beta") || integer(node, "transA", 0) != 0 {
            return Err(unknown(node));
        }
        let layer = match (integer(node, "transB", 0), &weight.dims[..]) {
            (0, _) => turned(weight)?,
            (_, [outputs, inputs]) => Layer { inputs: *inputs, weights: weight.values.clone(), biases: vec![0.0; *outputs] },
            _ => return Err(damaged("a matrix")),
        };
        self.layers.push(match bias {
            Some(bias) => layer.with_biases(bias)?,
            None => layer,
        });
        Ok(())
    }
}

fn inverse(factor: f64) -> f64 {
    if factor == 0.0 { 0.0 } else { 1.0 / factor }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

fn floats(node: &NodeProto, name: &str) -> Vec<f64> {
    attribute(node, name).map(|found| found.floats.iter().map(|value| f64::from(*value)).collect()).unwrap_or_default()
}

fn integer(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, |found| found.i)
}

fn unknown(node: &NodeProto) -> LearnError {
    LearnError::user(format!(
        "{} {} is not among what a learner can begin with (hint: linear models, standard scalers and nets of ReLU are)",
        node.op_type, node.name
    ))
}
