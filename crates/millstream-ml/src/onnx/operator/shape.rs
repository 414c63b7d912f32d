//! Operators that move, cut or convert values without computing.

use crate::error::{ModelError, ModelResult};

use super::super::attributes::Node;
use super::super::message::element;
use super::super::tensor::{Data, RANK_MAX, Tensor, element_count, unsupported_element};
use super::broadcast::{common_dims, strides, walk};
use super::reduce::sorted_axes;
use super::{Budget, Inputs, Operator};

#[derive(Debug)]
pub(super) struct Identity;

impl Operator for Identity {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        budget.elements(&input.dims)?;
        Ok(vec![input.clone()])
    }
}

/// Another type of elements.
#[derive(Debug)]
pub(super) struct Cast {
    to: i32,
}

impl Cast {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let to = i32::try_from(node.int("to", 0)).unwrap_or(0);
        match to {
            element::FLOAT | element::DOUBLE | element::INT64 | element::INT32 | element::BOOL | element::STRING => Ok(Self { to }),
            other => Err(unsupported_element(other)),
        }
    }
}

impl Operator for Cast {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let input = inputs.get(0)?;
        budget.elements(&input.dims)?;
        let from = &input.data;
        let data = match self.to {
            element::FLOAT => Data::F32(numbers_of(from)?.to_f32()?),
            element::DOUBLE => Data::F64(numbers_of(from)?.to_f64()?),
            element::BOOL => Data::Bool(numbers_of(from)?.to_f64()?.into_iter().map(|value| value != 0.0).collect()),
            element::INT32 => Data::I64(numbers_of(from)?.to_i64()?.into_iter().map(|value| i64::from(value as i32)).collect()),
            element::INT64 => Data::I64(numbers_of(from)?.to_i64()?),
            _ => Data::Text(match from {
                Data::F32(values) => values.iter().map(|value| Some(value.to_string())).collect(),
                Data::F64(values) => values.iter().map(|value| Some(value.to_string())).collect(),
                Data::I64(values) => values.iter().map(|value| Some(value.to_string())).collect(),
                Data::Bool(values) => values.iter().map(|value| Some(if *value { "True" } else { "False" })).collect(),
                Data::Text(values) => values.clone(),
            }),
        };
        Ok(vec![Tensor::new(input.dims.clone(), data)?])
    }
}

/// Texts as the numbers they spell; what spells none is NaN.
fn numbers_of(data: &Data) -> ModelResult<Data> {
    match data {
        Data::Text(values) => {
            Ok(Data::F64(values.iter().map(|value| value.and_then(|text| text.trim().parse().ok()).unwrap_or(f64::NAN)).collect()))
        }
        other => Ok(other.clone()),
    }
}

/// A value that the node itself holds.
#[derive(Debug)]
pub(super) struct Constant {
    value: Tensor,
}

impl Constant {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let value = if let Some(tensor) = node.tensor("value")? {
            tensor
        } else if node.has("value_float") {
            Tensor::new(Vec::new(), Data::F32(vec![node.float("value_float", 0.0)]))?
        } else if node.has("value_int") {
            Tensor::new(Vec::new(), Data::I64(vec![node.int("value_int", 0)]))?
        } else if node.has("value_floats") {
            Tensor::column(Data::F32(node.floats("value_floats").to_vec()))
        } else if node.has("value_ints") {
            Tensor::column(Data::I64(node.ints("value_ints").to_vec()))
        } else if node.has("value_strings") {
            Tensor::column(Data::Text(node.texts("value_strings")?))
        } else {
            return Err(ModelError::invalid("a Constant without a value"));
        };
        Ok(Self { value })
    }
}

impl Operator for Constant {
    fn run(&self, _: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        budget.elements(&self.value.dims)?;
        Ok(vec![self.value.clone()])
    }
}

#[derive(Debug)]
pub(super) struct Shape;

impl Operator for Shape {
    fn run(&self, inputs: &Inputs<'_>, _: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let dims = inputs.get(0)?.dims.iter().map(|dim| *dim as i64).collect();
        Ok(vec![Tensor::column(Data::I64(dims))])
    }
}

/// One value everywhere.
#[derive(Debug)]
pub(super) struct ConstantOfShape {
    value: Tensor,
}

impl ConstantOfShape {
    pub(super) fn compile(node: &Node<'_>) -> ModelResult<Self> {
        let value = match node.tensor("value")? {
            Some(value) => value,
            None => Tensor::column(Data::F32(vec![0.0])),
        };
        if value.data.len() != 1 {
            return Err(ModelError::invalid("ConstantOfShape needs one value"));
        }
        Ok(Self { value })
    }
}

impl Operator for ConstantOfShape {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let wanted = inputs.get(0)?.data.to_i64()?;
        if wanted.len() > RANK_MAX {
            return Err(ModelError::too_large("too many dimensions"));
        }
        let dims = wanted.iter().map(|dim| usize::try_from(*dim).map_err(|_| ModelError::invalid(format!("dimension {dim}"))));
        let dims = dims.collect::<ModelResult<Vec<_>>>()?;
        let count = budget.elements(&dims)?;
        Ok(vec![Tensor::new(dims, self.value.data.take(std::iter::repeat_n(0, count)))?])
    }
}

/// Tensors one after the other along an axis.
#[derive(Debug)]
pub(super) struct Concat {
    axis: i64,
}

impl Concat {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        Self { axis: node.int("axis", 0) }
    }
}

impl Operator for Concat {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let tensors = (0..inputs.len()).map(|at| inputs.get(at)).collect::<ModelResult<Vec<_>>>()?;
        concat(&tensors, self.axis, budget).map(|tensor| vec![tensor])
    }
}

pub(super) fn concat(tensors: &[&Tensor], axis: i64, budget: &mut Budget) -> ModelResult<Tensor> {
    let Some(first) = tensors.first() else { return Err(ModelError::invalid("nothing to put together")) };
    let axis = first.axis(axis)?;
    let mut dims = first.dims.clone();
    dims[axis] = 0;
    for tensor in tensors {
        let fits = tensor.dims.len() == dims.len() && (0..dims.len()).all(|at| at == axis || tensor.dims[at] == dims[at]);
        if !fits {
            let message = format!("tensors of dimensions {:?} and {:?} cannot be put together along axis {axis}", first.dims, tensor.dims);
            return Err(ModelError::invalid(message));
        }
        dims[axis] = dims[axis].saturating_add(tensor.dims[axis]);
    }
    let count = budget.elements(&dims)?;
    let before: usize = dims[..axis].iter().product();
    macro_rules! join {
        ($kind:path) => {{
            let parts = tensors.iter().map(|tensor| match &tensor.data {
                $kind(values) => Ok((values, values.len() / before.max(1))),
                other => Err(ModelError::invalid(format!("{} and {} cannot be put together", first.data.word(), other.word()))),
            });
            let parts = parts.collect::<ModelResult<Vec<_>>>()?;
            let mut out = Vec::with_capacity(count);
            for row in 0..before {
                parts.iter().for_each(|(values, width)| out.extend_from_slice(&values[row * width..(row + 1) * width]));
            }
            $kind(out)
        }};
    }
    let data = match &first.data {
        Data::F32(_) => join!(Data::F32),
        Data::F64(_) => join!(Data::F64),
        Data::I64(_) => join!(Data::I64),
        Data::Bool(_) => join!(Data::Bool),
        Data::Text(_) => concat_texts(tensors, before)?,
    };
    Tensor::new(dims, data)
}

fn concat_texts(tensors: &[&Tensor], before: usize) -> ModelResult<Data> {
    let mut builder = arrow::array::StringBuilder::new();
    for row in 0..before {
        for tensor in tensors {
            let Data::Text(values) = &tensor.data else {
                return Err(ModelError::invalid(format!("text and {} cannot be put together", tensor.data.word())));
            };
            let width = tensor.data.len() / before;
            (row * width..(row + 1) * width).for_each(|at| builder.append_value(values.value(at)));
        }
    }
    Ok(Data::Text(builder.finish()))
}

/// Other dimensions for the same elements.
fn reshaped(tensor: &Tensor, dims: Vec<usize>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
    budget.elements(&tensor.dims)?;
    Ok(vec![Tensor::new(dims, tensor.data.clone())?])
}

#[derive(Debug)]
pub(super) struct Reshape {
    allow_zero: bool,
}

impl Reshape {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        Self { allow_zero: node.int("allowzero", 0) != 0 }
    }
}

impl Operator for Reshape {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (tensor, wanted) = (inputs.get(0)?, inputs.get(1)?.data.to_i64()?);
        let wrong = || ModelError::invalid(format!("a tensor of dimensions {:?} cannot become {wanted:?}", tensor.dims));
        if wanted.len() > RANK_MAX {
            return Err(wrong());
        }
        let mut dims = Vec::with_capacity(wanted.len());
        let mut rest = None;
        for (at, dim) in wanted.iter().enumerate() {
            match dim {
                -1 if rest.is_none() => {
                    rest = Some(at);
                    dims.push(1);
                }
                0 if !self.allow_zero => dims.push(*tensor.dims.get(at).ok_or_else(wrong)?),
                dim => dims.push(usize::try_from(*dim).map_err(|_| wrong())?),
            }
        }
        if let Some(at) = rest {
            let known = element_count(&dims).filter(|known| *known > 0 && tensor.data.len() % known == 0);
            dims[at] = match known {
                Some(known) => tensor.data.len() / known,
                None if tensor.data.len() == 0 => 0,
                None => return Err(wrong()),
            };
        }
        if element_count(&dims) != Some(tensor.data.len()) {
            return Err(wrong());
        }
        reshaped(tensor, dims, budget)
    }
}

#[derive(Debug)]
pub(super) struct Flatten {
    axis: i64,
}

impl Flatten {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        Self { axis: node.int("axis", 1) }
    }
}

impl Operator for Flatten {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let tensor = inputs.get(0)?;
        let rank = tensor.dims.len() as i64;
        let axis = if self.axis < 0 { self.axis.saturating_add(rank) } else { self.axis };
        let axis = usize::try_from(axis).ok().filter(|axis| *axis <= tensor.dims.len());
        let axis = axis.ok_or_else(|| ModelError::invalid(format!("axis {} of a tensor of {rank} dimensions", self.axis)))?;
        let (before, after) = tensor.dims.split_at(axis);
        reshaped(tensor, vec![before.iter().product(), after.iter().product()], budget)
    }
}

/// Axes of an attribute, or of the second input in newer versions.
fn axes_of(inputs: &Inputs<'_>, attribute: &[i64]) -> ModelResult<Vec<i64>> {
    match inputs.optional(1) {
        Some(axes) if axes.data.len() <= RANK_MAX => axes.data.to_i64(),
        Some(_) => Err(ModelError::invalid("too many axes")),
        None => Ok(attribute.to_vec()),
    }
}

#[derive(Debug)]
pub(super) struct Squeeze {
    axes: Vec<i64>,
}

impl Squeeze {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        Self { axes: node.ints("axes").to_vec() }
    }
}

impl Operator for Squeeze {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let tensor = inputs.get(0)?;
        let axes = sorted_axes(&axes_of(inputs, &self.axes)?, tensor.dims.len())?;
        let leaves = |at: usize, dim: usize| if axes.is_empty() { dim == 1 } else { axes.contains(&at) };
        if axes.iter().any(|axis| tensor.dims[*axis] != 1) {
            return Err(ModelError::invalid(format!("axes {axes:?} of a tensor of dimensions {:?} are not 1", tensor.dims)));
        }
        let dims = tensor.dims.iter().enumerate().filter(|(at, dim)| !leaves(*at, **dim)).map(|(_, dim)| *dim).collect();
        reshaped(tensor, dims, budget)
    }
}

#[derive(Debug)]
pub(super) struct Unsqueeze {
    axes: Vec<i64>,
}

impl Unsqueeze {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        Self { axes: node.ints("axes").to_vec() }
    }
}

impl Operator for Unsqueeze {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let tensor = inputs.get(0)?;
        let given = axes_of(inputs, &self.axes)?;
        if given.len() + tensor.dims.len() > RANK_MAX {
            return Err(ModelError::too_large("too many dimensions"));
        }
        let rank = tensor.dims.len() + given.len();
        let axes = sorted_axes(&given, rank)?;
        if axes.len() != given.len() {
            return Err(ModelError::invalid("an axis is given twice"));
        }
        let mut own = tensor.dims.iter();
        let dims = (0..rank).map(|at| if axes.contains(&at) { 1 } else { own.next().copied().unwrap_or(1) }).collect();
        reshaped(tensor, dims, budget)
    }
}

/// Slices of an axis, by index.
#[derive(Debug)]
pub(super) struct Gather {
    axis: i64,
}

impl Gather {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        Self { axis: node.int("axis", 0) }
    }
}

impl Operator for Gather {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (tensor, indices) = (inputs.get(0)?, inputs.get(1)?);
        let axis = tensor.axis(self.axis)?;
        let length = tensor.dims[axis];
        let mut places = Vec::with_capacity(indices.data.len());
        for index in indices.data.to_i64()? {
            let place = if index < 0 { index.saturating_add(length as i64) } else { index };
            let place = usize::try_from(place).ok().filter(|place| *place < length);
            places.push(place.ok_or_else(|| ModelError::invalid(format!("index {index} of an axis of {length}")))?);
        }
        let (before, after) = (tensor.dims[..axis].iter().product::<usize>(), tensor.dims[axis + 1..].iter().product::<usize>());
        let dims = [&tensor.dims[..axis], &indices.dims, &tensor.dims[axis + 1..]].concat();
        budget.elements(&dims)?;
        let places = &places;
        let all =
            (0..before).flat_map(|row| places.iter().flat_map(move |place| (0..after).map(move |at| (row * length + place) * after + at)));
        Ok(vec![Tensor::new(dims, tensor.data.take(all))?])
    }
}

#[derive(Debug)]
pub(super) struct Transpose {
    order: Vec<i64>,
}

impl Transpose {
    pub(super) fn compile(node: &Node<'_>) -> Self {
        Self { order: node.ints("perm").to_vec() }
    }
}

impl Operator for Transpose {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let tensor = inputs.get(0)?;
        let rank = tensor.dims.len();
        let order: Vec<usize> = match self.order.is_empty() {
            true => (0..rank).rev().collect(),
            false => self.order.iter().map(|axis| tensor.axis(*axis)).collect::<ModelResult<_>>()?,
        };
        if (0..rank).any(|axis| !order.contains(&axis)) || order.len() != rank {
            return Err(ModelError::invalid(format!("{:?} is no order of {rank} axes", self.order)));
        }
        let dims: Vec<usize> = order.iter().map(|axis| tensor.dims[*axis]).collect();
        budget.elements(&dims)?;
        let own: Vec<usize> = (0..rank).map(|axis| tensor.dims[axis + 1..].iter().product()).collect();
        let steps: Vec<usize> = order.iter().map(|axis| own[*axis]).collect();
        Ok(vec![pick(tensor, dims, 0, &steps)?])
    }
}

/// The elements that lie `steps` apart, from `first` on.
fn pick(tensor: &Tensor, dims: Vec<usize>, first: usize, steps: &[usize]) -> ModelResult<Tensor> {
    let mut places = Vec::new();
    walk(&dims, |place| places.push(first + place.iter().zip(steps).map(|(n, step)| n * step).sum::<usize>()));
    let data = tensor.data.take(places.into_iter());
    Tensor::new(dims, data)
}

/// A part of each axis, forwards.
#[derive(Debug)]
pub(super) struct Slice;

impl Operator for Slice {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let tensor = inputs.get(0)?;
        let rank = tensor.dims.len();
        let list = |at: usize| inputs.optional(at).map(|tensor| tensor.data.to_i64()).transpose();
        let (starts, ends) = (inputs.get(1)?.data.to_i64()?, inputs.get(2)?.data.to_i64()?);
        let axes = list(3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list(4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.iter().any(|step| *step != 1) || steps.len() != starts.len() {
            return Err(ModelError::unsupported("Slice with steps other than 1"));
        }
        let own: Vec<usize> = (0..rank).map(|axis| tensor.dims[axis + 1..].iter().product()).collect();
        let (mut dims, mut first) = (tensor.dims.clone(), 0);
        for ((start, end), axis) in starts.iter().zip(&ends).zip(&axes) {
            let axis = tensor.axis(*axis)?;
            let length = tensor.dims[axis];
            let bound = |at: i64| {
                let at = if at < 0 { at.saturating_add(length as i64) } else { at };
                at.clamp(0, length as i64) as usize
            };
            let (from, to) = (bound(*start), bound(*end));
            dims[axis] = to.saturating_sub(from);
            first += from * own[axis];
        }
        budget.elements(&dims)?;
        Ok(vec![pick(tensor, dims, first, &own)?])
    }
}

/// Repeated up to a shape.
#[derive(Debug)]
pub(super) struct Expand;

impl Operator for Expand {
    fn run(&self, inputs: &Inputs<'_>, budget: &mut Budget) -> ModelResult<Vec<Tensor>> {
        let (tensor, wanted) = (inputs.get(0)?, inputs.get(1)?.data.to_i64()?);
        if wanted.len() > RANK_MAX {
            return Err(ModelError::too_large("too many dimensions"));
        }
        let wanted: Vec<usize> = wanted.iter().map(|dim| usize::try_from(*dim).unwrap_or(1)).collect();
        let dims = common_dims(&tensor.dims, &wanted)?;
        budget.elements(&dims)?;
        let steps = strides(&tensor.dims, &dims);
        Ok(vec![pick(tensor, dims, 0, &steps)?])
    }
}
