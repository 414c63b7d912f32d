//! An ONNX file of what a learner has learned.
//!
//! Everything is computed in doubles, as the learner does. Inputs are the features, one column each, by their names; outputs:
//!
//! | learner | outputs |
//! |---|---|
//! | regression | `prediction` |
//! | classifiers | `label`, `probabilities` |
//! | clusters | `distance`, `cluster` |
//! | scalers | `scaled` |

use prost::Message;

use super::message::{
    ATTRIBUTE_INT, AttributeProto, DOUBLE, Dimension, GraphProto, INT64, MetadataEntry, ModelProto, NodeProto, OperatorSetId, STRING,
    TensorProto, TensorShape, TensorType, TypeProto, ValueInfo,
};
use super::{NOTE_KEY, Note, needs_classes};
use crate::learner::error::{LearnError, Result};
use crate::learner::naive_bayes::DENSITY_MIN;
use crate::learner::portable::{FixedScale, Gaussian, Layer, Portable};
use crate::learner::row::Task;

/// Of the file format and the operators: what runtimes of 2022 and later know.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// What is written.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) features: &'a [String],
    pub(super) kind: &'a str,
    pub(super) task: Task,
    pub(super) portable: &'a Portable,
    pub(super) scale: &'a FixedScale,
    pub(super) classes: &'a [Option<String>],
    pub(super) label_kind: &'a str,
    pub(super) threshold: f64,
}

/// The bytes of the file.
pub(super) fn file(subject: &Subject<'_>) -> Result<Vec<u8>> {
    let mut graph = Graph::default();
    let mut row = graph.features(subject.features);
    if !subject.scale.is_none() {
        let width = subject.features.len();
        let low = graph.doubles("scaler_low", &[width], &subject.scale.low);
        let factor = graph.doubles("scaler_factor", &[width], &subject.scale.factors());
        row = graph.node("Sub", &[&row, &low]);
        row = graph.node("Mul", &[&row, &factor]);
    }
    let rows = match subject.portable {
        Portable::Identity => {
            graph.give("Identity", &[&row], "scaled", DOUBLE, Some(subject.features.len()));
            Vec::new()
        }
        Portable::Layers(layers) => {
            graph.layers(layers, row, subject)?;
            Vec::new()
        }
        Portable::Gaussians(classes) => {
            graph.gaussians(classes, &row, subject)?;
            classes.iter().map(|class| class.rows).collect()
        }
        Portable::Centres(centres) => {
            graph.centres(centres, &row);
            centres.iter().map(|(rows, _)| *rows).collect()
        }
    };
    let note = Note {
        kind: subject.kind.to_lowercase(),
        features: subject.features.to_vec(),
        scaler: subject.scale.kind.clone(),
        scaler_rows: subject.scale.rows,
        label_kind: subject.label_kind.to_owned(),
        classes: subject.classes.to_vec(),
        rows,
    };
    let note = serde_json::to_string(&note).map_err(|error| LearnError::state(error.to_string()))?;
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "millstream".to_owned(),
        graph: Some(GraphProto { name: subject.kind.to_lowercase(), ..graph.graph }),
        opset_import: vec![OperatorSetId { domain: String::new(), version: OPSET }],
        metadata_props: vec![MetadataEntry { key: NOTE_KEY.to_owned(), value: note }],
    };
    Ok(model.encode_to_vec())
}

/// A graph that grows; values are called by number.
#[derive(Debug, Default)]
struct Graph {
    graph: GraphProto,
    values: usize,
    /// Names of features, which no other value may have.
    taken: Vec<String>,
}

impl Graph {
    /// One input a feature, side by side.
    fn features(&mut self, names: &[String]) -> String {
        self.taken = names.to_vec();
        for name in names {
            self.graph.input.push(value(name, DOUBLE, Some(1)));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.node_with("Concat", &names, &[("axis", 1)])
    }

    fn free(&self, name: &str) -> String {
        let mut name = name.to_owned();
        while self.taken.contains(&name) {
            name.push('_');
        }
        name
    }

    fn constant(&mut self, name: &str, dims: &[usize], data_type: i32, fill: impl FnOnce(&mut TensorProto)) -> String {
        let name = self.free(name);
        let dims = dims.iter().map(|dim| *dim as i64).collect();
        let mut tensor = TensorProto { dims, data_type, name: name.clone(), ..TensorProto::default() };
        fill(&mut tensor);
        self.graph.initializer.push(tensor);
        name
    }

    fn doubles(&mut self, name: &str, dims: &[usize], values: &[f64]) -> String {
        self.constant(name, dims, DOUBLE, |tensor| tensor.raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn integers(&mut self, name: &str, values: &[i64]) -> String {
        self.constant(name, &[values.len()], INT64, |tensor| {
            tensor.raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect()
        })
    }

    fn node(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.node_with(operator, inputs, &[])
    }

    fn node_with(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, i64)]) -> String {
        self.values += 1;
        let output = self.free(&format!("value_{}", self.values));
        self.push(operator, inputs, attributes, &output);
        output
    }

    fn push(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, i64)], output: &str) {
        let attribute = attributes.iter().map(|(name, number)| AttributeProto {
            name: (*name).to_owned(),
            i: *number,
            kind: ATTRIBUTE_INT,
            ..AttributeProto::default()
        });
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("node_{}", self.graph.node.len()),
            op_type: operator.to_owned(),
            attribute: attribute.collect(),
            domain: String::new(),
        });
    }

    /// A node whose value is an output of the graph, of `width` numbers a row; `None`: of one, without a dimension for it.
    fn give(&mut self, operator: &str, inputs: &[&str], name: &str, element: i32, width: Option<usize>) {
        self.give_with(operator, inputs, &[], name, element, width);
    }

    fn give_with(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, i64)], name: &str, element: i32, width: Option<usize>) {
        let name = self.free(name);
        self.push(operator, inputs, attributes, &name);
        self.graph.output.push(value(&name, element, width));
    }

    fn layers(&mut self, layers: &[Layer], mut row: String, subject: &Subject<'_>) -> Result<()> {
        for (index, layer) in layers.iter().enumerate() {
            let (inputs, outputs) = (layer.inputs, layer.biases.len());
            // ONNX has them input by input.
            let turned = (0..inputs).flat_map(|input| (0..outputs).map(move |output| layer.weights[output * inputs + input]));
            let weight = self.doubles(&format!("weight_{index}"), &[inputs, outputs], &turned.collect::<Vec<_>>());
            let bias = self.doubles(&format!("bias_{index}"), &[outputs], &layer.biases);
            let product = self.node("MatMul", &[&row, &weight]);
            let is_last = index + 1 == layers.len();
            if is_last && subject.task == Task::Regression {
                self.give("Add", &[&product, &bias], "prediction", DOUBLE, Some(1));
                return Ok(());
            }
            row = self.node("Add", &[&product, &bias]);
            if !is_last {
                row = self.node("Relu", &[&row]);
            }
        }
        match subject.task {
            Task::Binary => self.two_classes(&row, subject),
            _ => self.classes(&row, subject),
        }
    }

    /// The label, then both probabilities.
    fn two_classes(&mut self, raw: &str, subject: &Subject<'_>) -> Result<()> {
        let labels = self.labels(subject)?;
        let positive = self.node("Sigmoid", &[raw]);
        let (one, threshold) = (self.doubles("one", &[1], &[1.0]), self.doubles("threshold", &[1], &[subject.threshold]));
        let (flat, negative) = (self.integers("flat", &[-1]), self.node("Sub", &[&one, &positive]));
        let is_positive = self.node("Greater", &[&positive, &threshold]);
        let index = self.node_with("Cast", &[&is_positive], &[("to", i64::from(INT64))]);
        let index = self.node("Reshape", &[&index, &flat]);
        self.give_with("Gather", &[&labels, &index], &[("axis", 0)], "label", label_element(subject), None);
        self.give_with("Concat", &[&negative, &positive], &[("axis", 1)], "probabilities", DOUBLE, Some(2));
        Ok(())
    }

    /// Of scores, a column for each class.
    fn classes(&mut self, scores: &str, subject: &Subject<'_>) -> Result<()> {
        let labels = self.labels(subject)?;
        let probabilities = self.node_with("Softmax", &[scores], &[("axis", 1)]);
        let index = self.node_with("ArgMax", &[&probabilities], &[("axis", 1), ("keepdims", 0)]);
        self.give_with("Gather", &[&labels, &index], &[("axis", 0)], "label", label_element(subject), None);
        self.give("Identity", &[&probabilities], "probabilities", DOUBLE, Some(subject.classes.len()));
        Ok(())
    }

    fn labels(&mut self, subject: &Subject<'_>) -> Result<String> {
        let names: Option<Vec<&str>> = subject.classes.iter().map(Option::as_deref).collect();
        let known = |names: &Vec<&str>| !(needs_classes(subject.task) && names.is_empty());
        let Some(names) = names.filter(known) else {
            return Err(LearnError::user("the model has not seen all of its labels yet"));
        };
        let numbers = |number: &dyn Fn(&str) -> i64| names.iter().map(|name| number(name)).collect::<Vec<i64>>();
        Ok(match subject.label_kind {
            "boolean" => self.integers("labels", &numbers(&|name| i64::from(name == "true"))),
            "integer" => self.integers("labels", &numbers(&|name| name.parse().unwrap_or_default())),
            _ => self.constant("labels", &[names.len()], STRING, |tensor| {
                tensor.string_data = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            }),
        })
    }

    /// The logarithm of each class's likelihood.
    fn gaussians(&mut self, classes: &[Gaussian], row: &str, subject: &Subject<'_>) -> Result<()> {
        let dims = [classes.len(), subject.features.len()];
        let of = |number: &dyn Fn(&Gaussian, usize) -> f64| -> Vec<f64> {
            classes.iter().flat_map(|class| (0..class.means.len()).map(move |feature| number(class, feature))).collect()
        };
        let mean = self.doubles("mean", &dims, &of(&|class, feature| class.means[feature]));
        let inverse = |variance: f64, number: f64| if variance > 0.0 { number } else { 0.0 };
        let exponent = of(&|class, feature| inverse(class.variances[feature], -0.5 / class.variances[feature]));
        let peak = of(&|class, feature| inverse(class.variances[feature], 1.0 / (std::f64::consts::TAU * class.variances[feature]).sqrt()));
        let (exponent, peak) = (self.doubles("exponent", &dims, &exponent), self.doubles("peak", &dims, &peak));
        let least = self.doubles("density_min", &[1], &[DENSITY_MIN]);
        let all: f64 = classes.iter().map(|class| class.rows).sum();
        let prior: Vec<f64> = classes.iter().map(|class| (class.rows / all).ln()).collect();
        let prior = self.doubles("log_prior", &[classes.len()], &prior);
        let (axis_1, axis_2) = (self.integers("axis_1", &[1]), self.integers("axis_2", &[2]));
        let row = self.node("Unsqueeze", &[row, &axis_1]);
        let apart = self.node("Sub", &[&row, &mean]);
        let square = self.node("Mul", &[&apart, &apart]);
        let power = self.node("Mul", &[&square, &exponent]);
        let power = self.node("Exp", &[&power]);
        let density = self.node("Mul", &[&power, &peak]);
        let density = self.node("Add", &[&density, &least]);
        let logarithm = self.node("Log", &[&density]);
        let sum = self.node_with("ReduceSum", &[&logarithm, &axis_2], &[("keepdims", 0)]);
        let score = self.node("Add", &[&sum, &prior]);
        self.classes(&score, subject)
    }

    fn centres(&mut self, centres: &[(f64, Vec<f64>)], row: &str) {
        let width = centres.first().map_or(0, |(_, at)| at.len());
        let at: Vec<f64> = centres.iter().flat_map(|(_, at)| at.iter().copied()).collect();
        let centre = self.doubles("centre", &[centres.len(), width], &at);
        let (axis_1, axis_2) = (self.integers("axis_1", &[1]), self.integers("axis_2", &[2]));
        let row = self.node("Unsqueeze", &[row, &axis_1]);
        let apart = self.node("Sub", &[&row, &centre]);
        let square = self.node("Mul", &[&apart, &apart]);
        let squares = self.node_with("ReduceSum", &[&square, &axis_2], &[("keepdims", 0)]);
        let distances = self.node("Sqrt", &[&squares]);
        self.give_with("ReduceMin", &[&distances], &[("axes", 1), ("keepdims", 0)], "distance", DOUBLE, None);
        if let Some(axes) = self.graph.node.last_mut().and_then(|node| node.attribute.first_mut()) {
            // A list of one.
            (axes.ints, axes.i, axes.kind) = (vec![1], 0, 7);
        }
        self.give_with("ArgMin", &[&squares], &[("axis", 1), ("keepdims", 0)], "cluster", INT64, None);
    }
}

fn label_element(subject: &Subject<'_>) -> i32 {
    if subject.label_kind == "text" { STRING } else { INT64 }
}

fn value(name: &str, element: i32, width: Option<usize>) -> ValueInfo {
    let mut dim = vec![Dimension { value: 0, name: "rows".to_owned() }];
    dim.extend(width.map(|width| Dimension { value: width as i64, name: String::new() }));
    let tensor = TensorType { element, shape: Some(TensorShape { dim }) };
    ValueInfo { name: name.to_owned(), value_type: Some(TypeProto { tensor: Some(tensor) }) }
}
