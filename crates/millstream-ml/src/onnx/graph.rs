//! The graph: operators in order, and where each value lives.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{ModelError, ModelResult};
use crate::model::Watch;

use super::LoadLimits;
use super::attributes::Node;
use super::message::{GraphProto, ModelProto, NodeProto, ValueInfo};
use super::operator::{Budget, Inputs, Operator, compile};
use super::tensor::{Data, Tensor};

/// An operator with the slots of its values.
#[derive(Debug)]
struct Step {
    /// Operator and node, for messages.
    place: String,
    operator: Box<dyn Operator>,
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
    /// Slots that nobody reads after this.
    last_uses: Vec<usize>,
}

/// A compiled graph. Slots 0… are the inputs.
#[derive(Debug)]
pub(super) struct Graph {
    steps: Vec<Step>,
    slots: usize,
    constants: Vec<(usize, Arc<Tensor>)>,
    /// Name and slot.
    pub(super) outputs: Vec<(String, usize)>,
}

impl Graph {
    /// Compiles; also gives the declarations of the inputs.
    pub(super) fn compile(message: ModelProto, limits: &LoadLimits) -> ModelResult<(Self, Vec<ValueInfo>)> {
        let graph = message.graph.ok_or_else(|| ModelError::invalid("the model has no graph"))?;
        let opsets: HashMap<&str, i64> = message.opset_import.iter().map(|opset| (opset.domain.as_str(), opset.version)).collect();
        let mut builder = Builder::default();
        let inputs = builder.declare(&graph)?;
        for node in &graph.node {
            let domain = if node.domain == "ai.onnx" { "" } else { node.domain.as_str() };
            let opset = opsets.get(domain).or_else(|| opsets.get(node.domain.as_str())).copied().unwrap_or(1);
            builder.add(node, opset, limits)?;
        }
        let mut outputs = Vec::new();
        for output in &graph.output {
            let slot = builder.slots.get(output.name.as_str()).copied();
            let slot = slot.ok_or_else(|| ModelError::invalid(format!("output {} is made by no operator", output.name)))?;
            outputs.push((output.name.clone(), slot));
        }
        if outputs.is_empty() {
            return Err(ModelError::invalid("the model has no outputs"));
        }
        let mut compiled = Self { steps: builder.steps, slots: builder.count, constants: builder.constants, outputs };
        compiled.find_last_uses();
        Ok((compiled, inputs))
    }

    fn find_last_uses(&mut self) {
        let mut used = vec![false; self.slots];
        self.outputs.iter().for_each(|(_, slot)| used[*slot] = true);
        for step in self.steps.iter_mut().rev() {
            for slot in step.inputs.iter().chain(&step.outputs).flatten() {
                if !std::mem::replace(&mut used[*slot], true) {
                    step.last_uses.push(*slot);
                }
            }
        }
    }

    /// Computes the outputs.
    pub(super) fn run(&self, inputs: Vec<Tensor>, budget: &mut Budget, watch: &dyn Watch) -> ModelResult<Vec<Arc<Tensor>>> {
        let mut values: Vec<Option<Arc<Tensor>>> = vec![None; self.slots];
        for (slot, tensor) in inputs.into_iter().enumerate() {
            values[slot] = Some(Arc::new(tensor));
        }
        for (slot, tensor) in &self.constants {
            values[*slot] = Some(Arc::clone(tensor));
        }
        for step in &self.steps {
            watch.check()?;
            let tensors: Vec<Option<&Tensor>> = step.inputs.iter().map(|slot| slot.and_then(|slot| values[slot].as_deref())).collect();
            let read: usize = tensors.iter().flatten().map(|tensor| tensor.data.len()).sum();
            budget.work(&[read])?;
            let made = step.operator.run(&Inputs { tensors }, budget).map_err(|error| error.at(&step.place))?;
            if made.len() < step.outputs.iter().rposition(Option::is_some).map_or(0, |at| at + 1) {
                return Err(ModelError::unsupported("an output that is not computed").at(&step.place));
            }
            for (slot, tensor) in step.outputs.iter().zip(made) {
                if let Some(slot) = slot {
                    values[*slot] = Some(Arc::new(tensor));
                }
            }
            step.last_uses.iter().for_each(|slot| values[*slot] = None);
        }
        let missing = |name: &str| ModelError::invalid(format!("output {name} was not computed"));
        self.outputs.iter().map(|(name, slot)| values[*slot].clone().ok_or_else(|| missing(name))).collect()
    }

    /// The names of the classes that an output is about: those of the last operator on its way that tells classes apart.
    pub(super) fn classes_behind(&self, output: usize) -> Option<Vec<String>> {
        let mut slots = vec![self.outputs.get(output)?.1];
        for step in self.steps.iter().rev() {
            if !step.outputs.iter().flatten().any(|slot| slots.contains(slot)) {
                continue;
            }
            if let Some(classes) = step.operator.classes() {
                return Some(classes);
            }
            slots.extend(step.inputs.iter().flatten());
        }
        None
    }

    /// The constant list that the label is chosen from.
    pub(super) fn label_names(&self) -> Option<Vec<String>> {
        names_of(self.labels_behind(0)?.as_ref())
    }

    /// A constant list of labels that the last operators on the way to an output choose from: exports of neural networks.
    fn labels_behind(&self, output: usize) -> Option<Arc<Tensor>> {
        let mut slot = self.outputs.get(output)?.1;
        for step in self.steps.iter().rev() {
            if !step.outputs.contains(&Some(slot)) {
                continue;
            }
            slot = (*step.inputs.first()?)?;
            if let Some((_, labels)) = self.constants.iter().find(|(constant, _)| *constant == slot) {
                return Some(Arc::clone(labels));
            }
        }
        None
    }
}

/// Labels as names.
pub(super) fn names_of(labels: &Tensor) -> Option<Vec<String>> {
    Some(match &labels.data {
        Data::I64(labels) => labels.iter().map(i64::to_string).collect(),
        Data::Text(labels) => labels.iter().flatten().map(str::to_owned).collect(),
        _ => return None,
    })
}

/// Names to slots, while the graph is read.
#[derive(Default)]
struct Builder {
    slots: HashMap<String, usize>,
    count: usize,
    constants: Vec<(usize, Arc<Tensor>)>,
    steps: Vec<Step>,
}

impl Builder {
    fn slot(&mut self, name: &str) -> ModelResult<usize> {
        let slot = self.count;
        if self.slots.insert(name.to_owned(), slot).is_some() {
            return Err(ModelError::invalid(format!("value {name} is made twice")));
        }
        self.count += 1;
        Ok(slot)
    }

    /// Inputs first, then constants. Older files list constants among the inputs.
    fn declare(&mut self, graph: &GraphProto) -> ModelResult<Vec<ValueInfo>> {
        let constants: std::collections::HashSet<&str> = graph.initializer.iter().map(|constant| constant.name.as_str()).collect();
        let inputs: Vec<ValueInfo> = graph.input.iter().filter(|input| !constants.contains(input.name.as_str())).cloned().collect();
        for input in &inputs {
            self.slot(&input.name)?;
        }
        for constant in &graph.initializer {
            let tensor = Tensor::of_message(constant).map_err(|error| error.at(&format!("constant {}", constant.name)))?;
            let slot = self.slot(&constant.name)?;
            self.constants.push((slot, Arc::new(tensor)));
        }
        Ok(inputs)
    }

    fn add(&mut self, message: &NodeProto, opset: i64, limits: &LoadLimits) -> ModelResult<()> {
        let place = match message.name.is_empty() {
            true => message.op_type.clone(),
            false => format!("{} {}", message.op_type, message.name),
        };
        let node = Node { message, opset, tree_nodes_max: limits.tree_nodes_max };
        let operator = compile(&node).map_err(|error| error.at(&place))?;
        let mut inputs = Vec::with_capacity(message.input.len());
        for name in &message.input {
            inputs.push(match name.as_str() {
                "" => None,
                name => {
                    let slot = self.slots.get(name).copied();
                    // Nodes are in order: what is not there yet never comes, or comes in a circle.
                    Some(slot.ok_or_else(|| ModelError::invalid(format!("value {name} is used before it is made")).at(&place))?)
                }
            });
        }
        let mut outputs = Vec::with_capacity(message.output.len());
        for name in &message.output {
            outputs.push(if name.is_empty() { None } else { Some(self.slot(name)?) });
        }
        self.steps.push(Step { place, operator, inputs, outputs, last_uses: Vec::new() });
        Ok(())
    }
}
