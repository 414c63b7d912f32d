//! Values between operators: dense, row-major, rows first.

use arrow::array::{Array, StringArray, StringBuilder};

use crate::error::{ModelError, ModelResult};

use super::message::{TensorProto, element};
use super::wire::external;

/// A dense array of any rank.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) dims: Vec<usize>,
    pub(super) data: Data,
}

/// The elements of a tensor. Narrow integers are held as 64 bits.
#[derive(Clone, Debug)]
pub(super) enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
    Text(StringArray),
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// The word for messages.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::I64(_) => "integer",
            Self::Bool(_) => "boolean",
            Self::Text(_) => "text",
        }
    }

    /// The elements at these places, each of which is within.
    pub(super) fn take(&self, places: impl Iterator<Item = usize> + Clone) -> Self {
        match self {
            Self::F32(values) => Self::F32(places.map(|at| values[at]).collect()),
            Self::F64(values) => Self::F64(places.map(|at| values[at]).collect()),
            Self::I64(values) => Self::I64(places.map(|at| values[at]).collect()),
            Self::Bool(values) => Self::Bool(places.map(|at| values[at]).collect()),
            Self::Text(values) => Self::Text(places.map(|at| Some(values.value(at))).collect()),
        }
    }

    /// As 32-bit floats; none of text.
    pub(super) fn to_f32(&self) -> ModelResult<Vec<f32>> {
        Ok(match self {
            Self::F32(values) => values.clone(),
            Self::F64(values) => values.iter().map(|value| *value as f32).collect(),
            Self::I64(values) => values.iter().map(|value| *value as f32).collect(),
            Self::Bool(values) => values.iter().map(|value| f32::from(u8::from(*value))).collect(),
            Self::Text(_) => return Err(ModelError::invalid("text where numbers are needed")),
        })
    }

    /// As 64-bit floats; none of text.
    pub(super) fn to_f64(&self) -> ModelResult<Vec<f64>> {
        Ok(match self {
            Self::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Self::F64(values) => values.clone(),
            Self::I64(values) => values.iter().map(|value| *value as f64).collect(),
            Self::Bool(values) => values.iter().map(|value| f64::from(u8::from(*value))).collect(),
            Self::Text(_) => return Err(ModelError::invalid("text where numbers are needed")),
        })
    }

    /// As integers, towards zero; none of text.
    pub(super) fn to_i64(&self) -> ModelResult<Vec<i64>> {
        Ok(match self {
            Self::F32(values) => values.iter().map(|value| *value as i64).collect(),
            Self::F64(values) => values.iter().map(|value| *value as i64).collect(),
            Self::I64(values) => values.clone(),
            Self::Bool(values) => values.iter().map(|value| i64::from(*value)).collect(),
            Self::Text(_) => return Err(ModelError::invalid("text where numbers are needed")),
        })
    }
}

/// The number of elements, if it can be told.
pub(super) fn element_count(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim))
}

/// The other dimensions of a tensor without elements: loops over them do nothing, but not for ever.
const EMPTY_MAX: usize = 1 << 20;

/// More dimensions than any model here has.
pub(super) const RANK_MAX: usize = 8;

impl Tensor {
    /// A tensor whose elements fill its dimensions.
    pub(super) fn new(dims: Vec<usize>, data: Data) -> ModelResult<Self> {
        if dims.len() > RANK_MAX {
            return Err(ModelError::too_large(format!("a tensor has {} dimensions, at most {RANK_MAX} are computed", dims.len())));
        }
        let others: Vec<usize> = dims.iter().map(|dim| *dim.max(&1)).collect();
        if data.len() == 0 && element_count(&others).is_none_or(|all| all > EMPTY_MAX) {
            return Err(ModelError::too_large(format!("an empty tensor of dimensions {dims:?}")));
        }
        if element_count(&dims) != Some(data.len()) {
            return Err(ModelError::invalid(format!("a tensor of dimensions {dims:?} has {} elements", data.len())));
        }
        Ok(Self { dims, data })
    }

    /// One value a row.
    pub(super) fn column(data: Data) -> Self {
        Self { dims: vec![data.len()], data }
    }

    /// Rows and columns; one dimension counts as one row, as the operators for classical models have it.
    pub(super) fn matrix_shape(&self) -> ModelResult<(usize, usize)> {
        match self.dims.as_slice() {
            [columns] => Ok((1, *columns)),
            [rows, columns] => Ok((*rows, *columns)),
            dims => Err(ModelError::invalid(format!("a table of rows and features is needed, the tensor has dimensions {dims:?}"))),
        }
    }

    /// The place of an axis that may be counted from the end.
    pub(super) fn axis(&self, axis: i64) -> ModelResult<usize> {
        axis_of(axis, self.dims.len())
    }

    /// A constant of the file.
    pub(super) fn of_message(message: &TensorProto) -> ModelResult<Self> {
        if message.data_location == 1 {
            return Err(external());
        }
        let mut dims = Vec::with_capacity(message.dims.len().min(RANK_MAX));
        for dim in &message.dims {
            dims.push(usize::try_from(*dim).map_err(|_| ModelError::invalid(format!("a constant has dimension {dim}")))?);
        }
        Self::new(dims, data_of(message)?)
    }
}

/// The place of an axis of `rank` that may be counted from the end.
pub(super) fn axis_of(axis: i64, rank: usize) -> ModelResult<usize> {
    let place = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    match place.and_then(|place| usize::try_from(place).ok()) {
        Some(place) if place < rank => Ok(place),
        _ => Err(ModelError::invalid(format!("axis {axis} of a tensor of {rank} dimensions"))),
    }
}

fn data_of(message: &TensorProto) -> ModelResult<Data> {
    let raw = &message.raw_data;
    Ok(match message.data_type {
        element::FLOAT if raw.is_empty() => Data::F32(message.float_data.clone()),
        element::FLOAT => Data::F32(of_raw(raw, f32::from_le_bytes)?),
        element::DOUBLE if raw.is_empty() => Data::F64(message.double_data.clone()),
        element::DOUBLE => Data::F64(of_raw(raw, f64::from_le_bytes)?),
        element::INT64 if raw.is_empty() => Data::I64(message.int64_data.clone()),
        element::INT64 => Data::I64(of_raw(raw, i64::from_le_bytes)?),
        element::BOOL if raw.is_empty() => Data::Bool(message.int32_data.iter().map(|value| *value != 0).collect()),
        element::BOOL => Data::Bool(raw.iter().map(|value| *value != 0).collect()),
        element::UINT32 if raw.is_empty() => Data::I64(message.uint64_data.iter().map(|value| i64::from(*value as u32)).collect()),
        element::UINT32 => Data::I64(of_raw(raw, |bytes| i64::from(u32::from_le_bytes(bytes)))?),
        element::INT32 if !raw.is_empty() => Data::I64(of_raw(raw, |bytes| i64::from(i32::from_le_bytes(bytes)))?),
        element::INT16 if !raw.is_empty() => Data::I64(of_raw(raw, |bytes| i64::from(i16::from_le_bytes(bytes)))?),
        element::UINT16 if !raw.is_empty() => Data::I64(of_raw(raw, |bytes| i64::from(u16::from_le_bytes(bytes)))?),
        element::INT8 if !raw.is_empty() => Data::I64(of_raw(raw, |bytes| i64::from(i8::from_le_bytes(bytes)))?),
        element::UINT8 if !raw.is_empty() => Data::I64(of_raw(raw, |bytes| i64::from(u8::from_le_bytes(bytes)))?),
        element::INT32 | element::INT16 | element::UINT16 | element::INT8 | element::UINT8 => {
            Data::I64(message.int32_data.iter().map(|value| i64::from(*value)).collect())
        }
        element::STRING => Data::Text(texts(&message.string_data)?),
        other => return Err(unsupported_element(other)),
    })
}

/// An error about a type of elements that is not computed with.
pub(super) fn unsupported_element(code: i32) -> ModelError {
    let name = match code {
        element::UINT64 => "uint64",
        10 => "float16",
        14 => "complex64",
        15 => "complex128",
        16 => "bfloat16",
        _ => return ModelError::unsupported(format!("elements of type {code} are not computed with")),
    };
    ModelError::unsupported(format!("elements of type {name} are not computed with (hint: export the model with float or double)"))
}

fn of_raw<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> ModelResult<Vec<T>> {
    let (chunks, rest) = raw.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(ModelError::invalid("a constant is cut short"));
    }
    Ok(chunks.iter().map(|bytes| read(*bytes)).collect())
}

/// Texts of the file as an array.
pub(super) fn texts(values: &[Vec<u8>]) -> ModelResult<StringArray> {
    let mut builder = StringBuilder::with_capacity(values.len(), values.iter().map(Vec::len).sum());
    for value in values {
        builder.append_value(std::str::from_utf8(value).map_err(|_| ModelError::invalid("a text is not UTF-8"))?);
    }
    Ok(builder.finish())
}
