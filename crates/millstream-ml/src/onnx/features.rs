//! Arrow arrays to the graph's input tensors.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int64Type};

use crate::error::{ModelError, ModelResult};
use crate::model::{Feature, FeatureKind, Signature};

use super::LoadLimits;
use super::message::{ValueInfo, element};
use super::tensor::{Data, Tensor, unsupported_element};

/// An input of the graph.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) kind: FeatureKind,
    /// Features that it takes.
    pub(super) width: usize,
    /// A vector of rows instead of a matrix.
    flat: bool,
}

/// The inputs of the graph. `features` is how many there are in all, if the caller knows.
pub(super) fn ports(inputs: &[ValueInfo], features: Option<usize>, limits: &LoadLimits) -> ModelResult<Vec<Port>> {
    if inputs.is_empty() {
        return Err(ModelError::unsupported("the model has no inputs"));
    }
    let mut ports = Vec::with_capacity(inputs.len());
    let mut unknown = 0;
    for input in inputs {
        let (port, known) = port(input).map_err(|error| error.at(&format!("input {}", input.name)))?;
        unknown += usize::from(!known);
        ports.push(port);
    }
    if unknown > 0 {
        let known: usize = ports.iter().map(|port| port.width).sum();
        let rest = features.map(|features| features.saturating_sub(known));
        let Some(rest) = rest.filter(|rest| unknown == 1 && *rest > 0) else {
            return Err(ModelError::input(
                "the file does not say how many features it takes (hint: name them, INPUT (a DOUBLE, b DOUBLE, …))",
            ));
        };
        ports.iter_mut().filter(|port| port.width == 0).for_each(|port| port.width = rest);
    }
    if ports.iter().map(|port| port.width).try_fold(0_usize, usize::checked_add).is_none_or(|all| all > limits.features_max) {
        return Err(ModelError::too_large(format!("the model has more than {} features", limits.features_max)));
    }
    Ok(ports)
}

/// A port, and whether its width is known.
fn port(input: &ValueInfo) -> ModelResult<(Port, bool)> {
    let tensor = input.value_type.as_ref().and_then(|value_type| value_type.tensor.as_ref());
    let tensor = tensor.ok_or_else(|| ModelError::unsupported("is no tensor (hint: export the model with tensors for inputs)"))?;
    let kind = match tensor.element {
        element::FLOAT => FeatureKind::Float32,
        element::DOUBLE => FeatureKind::Float64,
        element::INT64 | element::INT32 => FeatureKind::Int64,
        element::BOOL => FeatureKind::Boolean,
        element::STRING => FeatureKind::Text,
        other => return Err(unsupported_element(other)),
    };
    let dims: Option<Vec<i64>> = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(|dim| dim.value).collect());
    let (width, flat) = match dims.as_deref() {
        None => (0, false),
        Some([_]) => (1, true),
        Some([_, width]) => (usize::try_from(*width).unwrap_or(0), false),
        Some(dims) => {
            return Err(ModelError::unsupported(format!("has {} dimensions, rows of features have two", dims.len())));
        }
    };
    Ok((Port { name: input.name.clone(), kind, width, flat }, width > 0))
}

/// The features of the ports in order.
pub(super) fn features(ports: &[Port]) -> Vec<Feature> {
    let mut features = Vec::new();
    for port in ports {
        for at in 0..port.width {
            let name = if port.width == 1 { port.name.clone() } else { format!("{}_{at}", port.name) };
            features.push(Feature { name, kind: port.kind });
        }
    }
    features
}

/// Rows of zeros and empty texts.
pub(super) fn trial(ports: &[Port], rows: usize) -> ModelResult<Vec<Tensor>> {
    let zeros = |port: &Port| {
        let count = port.width * rows;
        match port.kind {
            FeatureKind::Float32 => Data::F32(vec![0.0; count]),
            FeatureKind::Float64 => Data::F64(vec![0.0; count]),
            FeatureKind::Int64 => Data::I64(vec![0; count]),
            FeatureKind::Boolean => Data::Bool(vec![false; count]),
            FeatureKind::Text => Data::Text(StringArray::from(vec![""; count])),
        }
    };
    ports.iter().map(|port| Tensor::new(port.dims(rows), zeros(port))).collect()
}

impl Port {
    fn dims(&self, rows: usize) -> Vec<usize> {
        if self.flat { vec![rows] } else { vec![rows, self.width] }
    }
}

/// One array a feature, each of `rows` values.
pub(super) fn check(signature: &Signature, arrays: &[ArrayRef], rows: usize) -> ModelResult<()> {
    if arrays.len() != signature.features.len() {
        let message = format!("the model takes {} features, it is given {}", signature.features.len(), arrays.len());
        return Err(ModelError::input(message));
    }
    match arrays.iter().find(|array| array.len() != rows) {
        Some(array) => Err(ModelError::input(format!("a feature has {} values for {rows} rows", array.len()))),
        None => Ok(()),
    }
}

/// The tensors of a batch.
pub(super) fn tensors(ports: &[Port], mut arrays: &[ArrayRef], rows: usize) -> ModelResult<Vec<Tensor>> {
    let mut tensors = Vec::with_capacity(ports.len());
    for port in ports {
        let (own, rest) = arrays.split_at(port.width);
        arrays = rest;
        let data = match port.kind {
            FeatureKind::Float32 => Data::F32(numbers::<Float32Type>(own, rows, f32::NAN)?),
            FeatureKind::Float64 => Data::F64(numbers::<Float64Type>(own, rows, f64::NAN)?),
            FeatureKind::Int64 => Data::I64(numbers::<Int64Type>(own, rows, 0)?),
            FeatureKind::Boolean => Data::Bool(truths(own, rows)?),
            FeatureKind::Text => Data::Text(texts(own, rows)?),
        };
        tensors.push(Tensor::new(port.dims(rows), data)?);
    }
    Ok(tensors)
}

/// An array as the model computes with it.
fn converted(array: &ArrayRef, to: &DataType) -> ModelResult<ArrayRef> {
    if array.data_type() == to {
        return Ok(ArrayRef::clone(array));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options)
        .map_err(|error| ModelError::input(format!("a feature of type {} does not fit {to}: {error}", array.data_type())))
}

/// Columns to rows; NULL becomes `missing`.
fn numbers<T: ArrowPrimitiveType>(arrays: &[ArrayRef], rows: usize, missing: T::Native) -> ModelResult<Vec<T::Native>> {
    let width = arrays.len();
    let mut out = vec![T::default_value(); rows * width];
    for (column, array) in arrays.iter().enumerate() {
        let array = converted(array, &T::DATA_TYPE)?;
        let array = array.as_primitive::<T>();
        for (to, value) in out.iter_mut().skip(column).step_by(width).zip(array.values()) {
            *to = *value;
        }
        if array.null_count() > 0 {
            for row in (0..rows).filter(|row| array.is_null(*row)) {
                out[row * width + column] = missing;
            }
        }
    }
    Ok(out)
}

fn truths(arrays: &[ArrayRef], rows: usize) -> ModelResult<Vec<bool>> {
    let width = arrays.len();
    let mut out = vec![false; rows * width];
    for (column, array) in arrays.iter().enumerate() {
        let array = converted(array, &DataType::Boolean)?;
        let array: &BooleanArray = array.as_boolean();
        for (to, value) in out.iter_mut().skip(column).step_by(width).zip(array) {
            *to = value.unwrap_or(false);
        }
    }
    Ok(out)
}

fn texts(arrays: &[ArrayRef], rows: usize) -> ModelResult<StringArray> {
    let arrays = arrays.iter().map(|array| converted(array, &DataType::Utf8)).collect::<ModelResult<Vec<_>>>()?;
    let columns: Vec<&StringArray> = arrays.iter().map(|array| array.as_string::<i32>()).collect();
    if let [column] = columns.as_slice()
        && column.null_count() == 0
    {
        return Ok((*column).clone());
    }
    let mut builder = arrow::array::StringBuilder::with_capacity(rows * columns.len(), 0);
    for row in 0..rows {
        columns.iter().for_each(|column| builder.append_value(if column.is_valid(row) { column.value(row) } else { "" }));
    }
    Ok(builder.finish())
}
