//! One prediction of a batch: NULL features, chunks, the timeout, what becomes of failures, and the figures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StructArray, UInt32Array, new_null_array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{cast, concat, nullif, take};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use millstream_ml::error::{ModelError, ModelResult};
use millstream_ml::model::Watch;
use millstream_time::Clock;

use super::function::{carried, vector_of};
use super::options::{NullFeatures, OnError};
use super::pinned::Pin;
use super::registry::ModelVersion;
use super::shape::{ResultColumn, ResultSource, class_fields};
use crate::error::Error;

/// The clock of one call.
struct Deadline<'a> {
    clock: &'a Arc<dyn Clock>,
    at: Duration,
    timeout: Duration,
}

impl Watch for Deadline<'_> {
    fn check(&self) -> ModelResult<()> {
        if self.clock.monotonic() <= self.at {
            return Ok(());
        }
        Err(ModelError::interrupted(format!(
            "took longer than {} ms (hint: raise 'timeout', or use a smaller model)",
            self.timeout.as_millis()
        )))
    }
}

/// The columns of the prediction. `arrays` are the arguments, or one list that holds them all.
pub(super) fn predict(
    pin: &Pin,
    arrays: &[ArrayRef],
    rows: usize,
    columns: &[ResultColumn],
    clock: &Arc<dyn Clock>,
) -> Result<Vec<ArrayRef>> {
    let started = clock.monotonic();
    let options = &pin.version.options;
    let deadline = Deadline { clock, at: started.saturating_add(options.timeout), timeout: options.timeout };
    let evaluated = || catch_unwind(AssertUnwindSafe(|| evaluated(pin, arrays, rows, columns, &deadline)));
    // A model may take its time: the other tasks of this thread go on elsewhere.
    let outcome = if pin.model.counters.is_slow() && may_block() { tokio::task::block_in_place(evaluated) } else { evaluated() };
    let outcome = outcome.unwrap_or_else(|_| Err(ModelError::input("it failed on this batch in a way it should not (hint: report it)")));
    let took = clock.monotonic().saturating_sub(started);
    let null_rows = outcome.as_ref().ok().and_then(|(_, nulls)| nulls.as_ref()).map_or(0, NullBuffer::null_count);
    pin.model.counters.count(rows, null_rows, took, outcome.is_err());
    match outcome {
        Ok((results, None)) => Ok(results),
        Ok((results, Some(nulls))) => {
            let missing = BooleanArray::new(!nulls.inner(), None);
            results.iter().map(|array| without(array, &missing)).collect()
        }
        Err(_) if options.on_error == OnError::Null => Ok(columns.iter().map(|column| new_null_array(&column.data_type, rows)).collect()),
        Err(error) => Err(carried(Error::user("38000", format!("model {}: {error}", pin.model.name)))),
    }
}

/// NULL where something is missing; of a struct its fields too, because `predict_proba(…)['yes']` looks at those alone.
fn without(array: &ArrayRef, missing: &BooleanArray) -> Result<ArrayRef> {
    let Some(fields) = array.as_struct_opt() else { return Ok(nullif(array, missing)?) };
    let columns = fields.columns().iter().map(|column| without(column, missing)).collect::<Result<Vec<_>>>()?;
    let present = NullBuffer::new(!missing.values());
    Ok(Arc::new(StructArray::try_new(fields.fields().clone(), columns, NullBuffer::union(Some(&present), fields.nulls()))?))
}

/// True on a thread of a runtime that has others.
fn may_block() -> bool {
    tokio::runtime::Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread)
}

/// The columns of the prediction, and which rows have none because a feature is NULL.
fn evaluated(
    pin: &Pin,
    arrays: &[ArrayRef],
    rows: usize,
    columns: &[ResultColumn],
    deadline: &Deadline<'_>,
) -> ModelResult<(Vec<ArrayRef>, Option<NullBuffer>)> {
    let options = &pin.version.options;
    let (features, nulls) = features_of(&pin.version, arrays, rows)?;
    let null_rows = nulls.as_ref().map_or(0, NullBuffer::null_count);
    if null_rows > 0 && options.null_features == NullFeatures::Error {
        return Err(ModelError::input(
            "a feature is NULL (hint: 'null_features' = 'null' predicts NULL, 'missing' lets the model see NaN)",
        ));
    }
    let _passed = pin.model.gate.pass(options.threads, deadline)?;
    let results = in_chunks(&pin.version, &features, rows, columns, deadline)?;
    Ok((results, nulls.filter(|_| options.null_features == NullFeatures::Null)))
}

/// What a model is given.
enum Features {
    /// One array a feature.
    Columns(Vec<ArrayRef>),
    /// All features of a row, then those of the next, in one array.
    Vectors { values: ArrayRef, width: usize },
}

/// The features, and the rows that have none of them NULL.
fn features_of(version: &ModelVersion, arrays: &[ArrayRef], rows: usize) -> ModelResult<(Features, Option<NullBuffer>)> {
    let width = version.shape.arguments.len();
    let (features, nulls) = match arrays {
        [only] if vector_of(only.data_type()).is_some() => {
            let values = vectors(only, width, rows)?;
            let complete = values.logical_nulls().filter(|nulls| nulls.null_count() > 0);
            let complete = complete.map(|nulls| {
                let row = |row: usize| nulls.slice(row * width, width).null_count() == 0;
                NullBuffer::from_iter((0..rows).map(row))
            });
            (Features::Vectors { values, width }, complete)
        }
        arrays => {
            let nulls = arrays.iter().fold(None, |nulls, array| NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref()));
            (Features::Columns(arrays.to_vec()), nulls)
        }
    };
    Ok((features, nulls.filter(|nulls| nulls.null_count() > 0)))
}

/// A list a row as one array of all values; those of a list that is NULL are NULL.
fn vectors(lists: &ArrayRef, count: usize, rows: usize) -> ModelResult<ArrayRef> {
    let wrong = |error: &dyn std::fmt::Display| ModelError::input(error.to_string());
    let (values, starts): (ArrayRef, Vec<Option<u32>>) = match lists.data_type() {
        DataType::FixedSizeList(_, _) => {
            let lists = lists.as_fixed_size_list();
            let start = |row: usize| lists.is_valid(row).then(|| lists.value_offset(row) as u32);
            (Arc::clone(lists.values()), (0..rows).map(start).collect())
        }
        _ => {
            let lists = cast(
                lists,
                &DataType::new_list(vector_of(lists.data_type()).map_or(DataType::Float64, |field| field.data_type().clone()), true),
            );
            let lists = lists.map_err(|error| wrong(&error))?;
            let lists = lists.as_list::<i32>();
            if let Some(row) = (0..rows).find(|row| lists.is_valid(*row) && lists.value_length(*row) as usize != count) {
                let given = lists.value_length(row);
                return Err(ModelError::input(format!("a list of {given} values where the model takes {count} features")));
            }
            let start = |row: usize| lists.is_valid(row).then(|| lists.value_offsets()[row] as u32);
            (Arc::clone(lists.values()), (0..rows).map(start).collect())
        }
    };
    // The usual case: one behind the other, none missing.
    if let Some(first) = starts.first().copied().unwrap_or(Some(0))
        && starts.iter().enumerate().all(|(row, start)| *start == Some(first + (row * count) as u32))
    {
        return Ok(values.slice(first as usize, rows * count));
    }
    let places: UInt32Array =
        starts.iter().flat_map(|start| (0..count as u32).map(move |feature| start.map(|start| start + feature))).collect();
    take(&values, &places, None).map_err(|error| wrong(&error))
}

/// The columns, chunk by chunk.
fn in_chunks(
    version: &ModelVersion,
    features: &Features,
    rows: usize,
    columns: &[ResultColumn],
    deadline: &Deadline<'_>,
) -> ModelResult<Vec<ArrayRef>> {
    let wanted: Vec<usize> = columns.iter().map(|column| column.from.output()).collect();
    let step = version.options.batch_rows_max;
    let mut chunks = Vec::with_capacity(rows.div_ceil(step));
    let mut first = 0;
    while first < rows || chunks.is_empty() {
        let length = step.min(rows - first);
        let outputs = match features {
            Features::Columns(columns) => {
                let slices: Vec<ArrayRef> = columns.iter().map(|array| array.slice(first, length)).collect();
                version.model.predict_wanted(&slices, length, &wanted, deadline)?
            }
            Features::Vectors { values, width } => {
                version.model.predict_vectors(&values.slice(first * width, length * width), length, deadline)?
            }
        };
        deadline.check()?;
        let results = columns.iter().map(|column| result(column, &outputs)).collect::<Result<Vec<_>>>();
        chunks.push(results.map_err(|error| ModelError::input(error.to_string()))?);
        first += length.max(1);
    }
    if chunks.len() == 1 {
        return Ok(chunks.swap_remove(0));
    }
    let column = |at: usize| {
        let parts: Vec<&dyn Array> = chunks.iter().map(|chunk| chunk[at].as_ref()).collect();
        concat(&parts).map_err(|error| ModelError::input(error.to_string()))
    };
    (0..columns.len()).map(column).collect()
}

/// A column of the prediction from the model's outputs.
fn result(column: &ResultColumn, outputs: &[ArrayRef]) -> Result<ArrayRef> {
    let array: ArrayRef = match &column.from {
        ResultSource::Output(output) => Arc::clone(&outputs[*output]),
        ResultSource::Element { output, element } => every(&outputs[*output], *element)?,
        ResultSource::Classes { output, classes } => {
            let arrays = (0..classes.len()).map(|class| every(&outputs[*output], class)).collect::<Result<Vec<_>>>()?;
            Arc::new(StructArray::try_new(class_fields(classes).into(), arrays, None)?)
        }
    };
    if *array.data_type() == column.data_type { Ok(array) } else { Ok(cast(&array, &column.data_type)?) }
}

/// The same element of each list.
fn every(lists: &ArrayRef, element: usize) -> Result<ArrayRef> {
    let lists = lists.as_fixed_size_list_opt().ok_or_else(|| exec_datafusion_err!("probabilities are no lists"))?;
    let width = lists.value_length() as usize;
    let values = lists.values().as_primitive_opt::<datafusion::arrow::datatypes::Float64Type>();
    let values = values.ok_or_else(|| exec_datafusion_err!("probabilities are no doubles"))?;
    let picked = values.values().iter().skip(element).step_by(width.max(1)).copied();
    Ok(Arc::new(datafusion::arrow::array::Float64Array::from_iter_values(picked)))
}
