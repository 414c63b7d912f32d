//! Arrow arrays to the graph's input tensors.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int64Type};

use crate::error::{ModelError, ModelResult};
use crate::model::{Feature, FeatureKind, Signature};

use super::LoadLimits;
use super::message::{ValueInfo, element};
use super::onnxruntime::LibraryPort;
use super::tensor::{Data, Tensor, unsupported_element};

/// An input of the graph.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) kind: FeatureKind,
    /// Features that it takes.
    pub(super) width: usize,
    /// The dimensions of a row; none: a vector of rows.
    row: Vec<usize>,
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
    fill_unknown(&mut ports, unknown, features)?;
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
    let row = if flat { Vec::new() } else { vec![width] };
    Ok((Port { name: input.name.clone(), kind, width, row }, width > 0))
}

/// The inputs of a model that onnxruntime runs, and whether it takes one row at a time.
pub(super) fn library_ports(inputs: &[LibraryPort], features: Option<usize>, limits: &LoadLimits) -> ModelResult<(Vec<Port>, bool)> {
    let mut ports = Vec::with_capacity(inputs.len());
    let mut single = false;
    let mut unknown = 0;
    for input in inputs {
        let fixed = |error: &str| Err(ModelError::unsupported(format!("{error}: {:?}", input.dims)).at(&format!("input {}", input.name)));
        let rest = match input.dims.split_first() {
            None => return fixed("is one number for all rows"),
            Some((1, rest)) => {
                single = true;
                rest
            }
            Some((-1, rest)) => rest,
            Some(_) => return fixed("takes a fixed number of rows (hint: export the model with a dynamic batch)"),
        };
        let row: Vec<usize> = rest.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect();
        if row.contains(&0) {
            if row.len() > 1 {
                return fixed("has dimensions that the file does not fix (hint: a text model needs 'tokenizer' = 'tokenizer.json')");
            }
            unknown += 1;
        }
        let width = row.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
        let Some(width) = width.filter(|width| *width <= limits.library_features_max) else {
            return Err(ModelError::too_large(format!(
                "input {} takes more than {} values a row",
                input.name, limits.library_features_max
            )));
        };
        ports.push(Port { name: input.name.clone(), kind: input.kind, width, row });
    }
    fill_unknown(&mut ports, unknown, features)?;
    ports.iter_mut().filter(|port| port.row == [0]).for_each(|port| port.row = vec![port.width]);
    Ok((ports, single))
}

/// The width of the one input that does not say it, from how many features there are.
fn fill_unknown(ports: &mut [Port], unknown: usize, features: Option<usize>) -> ModelResult<()> {
    if unknown == 0 {
        return Ok(());
    }
    let known: usize = ports.iter().map(|port| port.width).sum();
    let rest = features.map(|features| features.saturating_sub(known));
    let Some(rest) = rest.filter(|rest| unknown == 1 && *rest > 0) else {
        return Err(ModelError::input("the file does not say how many features it takes (hint: name them, INPUT (a DOUBLE, b DOUBLE, …))"));
    };
    ports.iter_mut().filter(|port| port.width == 0).for_each(|port| (port.width, port.row) = (rest, vec![rest]));
    Ok(())
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
        std::iter::once(rows).chain(self.row.iter().copied()).collect()
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

/// The tensor of a batch whose features are in one array, row after row. `None` if it takes more than copying.
pub(super) fn tensor_of_vectors(ports: &[Port], values: &ArrayRef, rows: usize) -> ModelResult<Option<Vec<Tensor>>> {
    let [port] = ports else { return Ok(None) };
    let data = match port.kind {
        FeatureKind::Float32 => Data::F32(vector::<Float32Type>(values, f32::NAN)?),
        FeatureKind::Float64 => Data::F64(vector::<Float64Type>(values, f64::NAN)?),
        FeatureKind::Int64 => Data::I64(vector::<Int64Type>(values, 0)?),
        FeatureKind::Boolean | FeatureKind::Text => return Ok(None),
    };
    Ok(Some(vec![Tensor::new(port.dims(rows), data)?]))
}

/// The values of an array; NULL becomes `missing`.
fn vector<T: ArrowPrimitiveType>(array: &ArrayRef, missing: T::Native) -> ModelResult<Vec<T::Native>> {
    let array = converted(array, &T::DATA_TYPE)?;
    let array = array.as_primitive::<T>();
    let mut values = array.values().to_vec();
    if array.null_count() > 0 {
        for at in (0..values.len()).filter(|at| array.is_null(*at)) {
            values[at] = missing;
        }
    }
    Ok(values)
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
