//! What the outputs of a graph are: found out by a trial with one row.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, FixedSizeListArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field};

use crate::error::{ModelError, ModelResult};
use crate::model::{Output, Signature, Task};

use super::features::{self, Port};
use super::runner::Runner;
use super::tensor::{Data, Tensor};

/// The signature, by what one row has given.
pub(super) fn of(runner: &Runner, ports: &[Port], outputs: &[Arc<Tensor>]) -> ModelResult<Signature> {
    let mut columns = Vec::with_capacity(outputs.len());
    for (name, tensor) in runner.outputs().into_iter().zip(outputs) {
        let data_type = output_type(tensor).map_err(|error| error.at(&format!("output {name}")))?;
        columns.push(Output { name: name.to_owned(), data_type });
    }
    let task = task(runner, &columns);
    Ok(Signature { features: features::features(ports), outputs: columns, task })
}

/// Values that the tensor has for each row.
fn width_of(tensor: &Tensor, rows: usize) -> ModelResult<usize> {
    match tensor.dims.as_slice() {
        [first, rest @ ..] if *first == rows => Ok(rest.iter().product()),
        dims => Err(ModelError::unsupported(format!("has dimensions {dims:?} for {rows} rows: it does not predict row by row"))),
    }
}

fn output_type(tensor: &Tensor) -> ModelResult<DataType> {
    let width = width_of(tensor, 1)?;
    let element = match &tensor.data {
        Data::F32(_) | Data::F64(_) => DataType::Float64,
        Data::I64(_) => DataType::Int64,
        Data::Bool(_) => DataType::Boolean,
        Data::Text(_) if width == 1 => DataType::Utf8,
        Data::Text(_) => return Err(ModelError::unsupported("has several texts a row")),
    };
    match (width, i32::try_from(width)) {
        (0, _) => Err(ModelError::unsupported("is empty")),
        (1, _) => Ok(element),
        (_, Ok(width)) => Ok(DataType::FixedSizeList(element_field(element), width)),
        (_, Err(_)) => Err(ModelError::too_large(format!("has {width} values a row"))),
    }
}

fn element_field(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", data_type, false))
}

/// What the outputs mean, by their types and the operators behind them.
fn task(runner: &Runner, outputs: &[Output]) -> Task {
    if let [label, probabilities] = outputs
        && matches!(label.data_type, DataType::Int64 | DataType::Utf8)
        && let DataType::FixedSizeList(element, width) = &probabilities.data_type
        && *element.data_type() == DataType::Float64
    {
        let width = usize::try_from(*width).unwrap_or(0);
        let classes = runner.classes().filter(|classes| classes.len() == width);
        let classes = classes.unwrap_or_else(|| (0..width).map(|class| class.to_string()).collect());
        return Task::Classification { label: 0, probabilities: 1, classes };
    }
    match outputs {
        [only] if only.data_type == DataType::Float64 => Task::Regression { value: 0 },
        _ => Task::Other,
    }
}

/// The outputs of a batch as arrays.
pub(super) fn arrays(signature: &Signature, outputs: Vec<Arc<Tensor>>, rows: usize) -> ModelResult<Vec<ArrayRef>> {
    let pairs = signature.outputs.iter().zip(outputs);
    pairs.map(|(output, tensor)| array(output, &tensor, rows).map_err(|error| error.at(&format!("output {}", output.name)))).collect()
}

fn array(output: &Output, tensor: &Tensor, rows: usize) -> ModelResult<ArrayRef> {
    let width = width_of(tensor, rows)?;
    let flat: ArrayRef = match &tensor.data {
        Data::F32(values) => Arc::new(Float64Array::from_iter_values(values.iter().map(|value| f64::from(*value)))),
        Data::F64(values) => Arc::new(Float64Array::from(values.clone())),
        Data::I64(values) => Arc::new(Int64Array::from(values.clone())),
        Data::Bool(values) => Arc::new(BooleanArray::from(values.clone())),
        Data::Text(values) => Arc::new(values.clone()),
    };
    let array = match i32::try_from(width) {
        Ok(width) if width > 1 => {
            let list = FixedSizeListArray::try_new(element_field(flat.data_type().clone()), width, flat, None);
            Arc::new(list.map_err(|error| ModelError::invalid(error.to_string()))?)
        }
        _ => flat,
    };
    if *array.data_type() != output.data_type {
        return Err(ModelError::unsupported(format!("is {} for {rows} rows and {} for one", array.data_type(), output.data_type)));
    }
    Ok(array)
}
