//! Intervals of months, days and nanoseconds, SQL's default, as plain columns: Parquet cannot hold them, so such a column is written
//! as a struct of three integers, marked in the metadata of its field, and turned back when it is read.
//!
//! Only columns of a batch are turned; an interval inside a list or a struct is refused by the writer.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, IntervalMonthDayNanoArray, RecordBatch, RecordBatchOptions, StructArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, Schema,
    SchemaRef,
};
use arrow::error::ArrowError;

const MARK: &str = "millstream.interval";

fn parts() -> Fields {
    let part = |name: &str, kind: DataType| Field::new(name, kind, false);
    Fields::from(vec![part("months", DataType::Int32), part("days", DataType::Int32), part("nanoseconds", DataType::Int64)])
}

fn plain_field(field: &FieldRef) -> FieldRef {
    if field.data_type() != &DataType::Interval(IntervalUnit::MonthDayNano) {
        return Arc::clone(field);
    }
    let mut metadata = field.metadata().clone();
    metadata.insert(MARK.to_owned(), "month_day_nano".to_owned());
    Arc::new(Field::new(field.name(), DataType::Struct(parts()), field.is_nullable()).with_metadata(metadata))
}

fn interval_field(field: &FieldRef) -> FieldRef {
    if !is_marked(field) {
        return Arc::clone(field);
    }
    let mut metadata = field.metadata().clone();
    metadata.remove(MARK);
    let kind = DataType::Interval(IntervalUnit::MonthDayNano);
    Arc::new(Field::new(field.name(), kind, field.is_nullable()).with_metadata(metadata))
}

fn is_marked(field: &Field) -> bool {
    field.metadata().contains_key(MARK) && field.data_type() == &DataType::Struct(parts())
}

/// The schema as it is written.
pub(crate) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Fields = schema.fields().iter().map(plain_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The schema as it was before [`plain_schema`].
pub(crate) fn interval_schema(schema: &Schema) -> SchemaRef {
    let fields: Fields = schema.fields().iter().map(interval_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// A batch as it is written; `schema` is the plain one.
pub(crate) fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| match column.as_primitive_opt::<IntervalMonthDayNanoType>() {
        Some(intervals) => to_parts(intervals),
        None => Ok(Arc::clone(column)),
    });
    with_columns(batch, schema, columns.collect::<Result<_, _>>()?)
}

/// A batch as it was before [`plain_batch`]; `schema` is the one with intervals.
pub(crate) fn interval_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let fields = batch.schema_ref().fields().iter().zip(batch.columns());
    let columns = fields.map(|(field, column)| if is_marked(field) { from_parts(column.as_struct()) } else { Arc::clone(column) });
    with_columns(batch, schema, columns.collect())
}

fn with_columns(batch: &RecordBatch, schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn to_parts(intervals: &IntervalMonthDayNanoArray) -> Result<ArrayRef, ArrowError> {
    let values = intervals.values();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(values.iter().map(|value| Some(value.months)).collect::<Int32Array>()),
        Arc::new(values.iter().map(|value| Some(value.days)).collect::<Int32Array>()),
        Arc::new(values.iter().map(|value| Some(value.nanoseconds)).collect::<Int64Array>()),
    ];
    Ok(Arc::new(StructArray::try_new(parts(), columns, intervals.nulls().cloned())?))
}

fn from_parts(parts: &StructArray) -> ArrayRef {
    let months = parts.column(0).as_primitive::<Int32Type>().values();
    let days = parts.column(1).as_primitive::<Int32Type>().values();
    let nanoseconds = parts.column(2).as_primitive::<Int64Type>().values();
    let values = months.iter().zip(days).zip(nanoseconds).map(|((months, days), nanos)| IntervalMonthDayNano::new(*months, *days, *nanos));
    let nulls: Option<NullBuffer> = parts.nulls().cloned();
    Arc::new(IntervalMonthDayNanoArray::new(values.collect(), nulls))
}
