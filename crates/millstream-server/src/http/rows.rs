//! `/rows.json`: the newest rows of a stored table or materialized view, for the page's chart.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, types};
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::Serialize;
use serde_json::Value;

use crate::error::Result;
use crate::server::ServerState;

/// Rows of one answer at most.
const ROWS_MAX: usize = 5_000;

/// Rows of one answer, if nobody says.
const ROWS_USUAL: usize = 500;

/// Characters of a text that are shown.
const TEXT_CHARS_MAX: usize = 200;

#[derive(Debug, Serialize)]
pub(super) struct Rows {
    columns: Vec<Column>,
    /// Row by row; times as milliseconds since 1970.
    rows: Vec<Vec<Value>>,
    /// The place of the first row, and the place behind the last.
    from: u64,
    to: u64,
}

#[derive(Debug, Serialize)]
struct Column {
    name: String,
    kind: Kind,
}

/// How a column is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Time,
    Number,
    Text,
}

/// The last rows, or those from place `from` on that are among the last.
pub(super) fn rows(state: &ServerState, name: &str, from: Option<u64>, limit: Option<usize>) -> Result<Rows> {
    let limit = limit.unwrap_or(ROWS_USUAL).clamp(1, ROWS_MAX);
    let session = state.engine.session();
    let to = session.table_tail(name, u64::MAX)?.to;
    let newest = to.saturating_sub(limit as u64);
    let from = from.filter(|from| *from <= to).unwrap_or(0).max(newest);
    let tail = session.table_tail(name, from)?;
    let schema = state.engine.relation(name).map(|relation| relation.schema);
    let schema =
        tail.batches.first().map(RecordBatch::schema).or(schema).unwrap_or_else(|| Arc::new(datafusion::arrow::datatypes::Schema::empty()));
    let (columns, rows) = table(&schema, &tail.batches)?;
    let (from, to) = (tail.from.min(tail.to), tail.to);
    Ok(Rows { columns, rows, from, to })
}

fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(Vec<Column>, Vec<Vec<Value>>)> {
    let all = concat_batches(schema, batches)?;
    let mut columns = Vec::new();
    let mut rows = vec![Vec::with_capacity(schema.fields().len()); all.num_rows()];
    for (field, array) in schema.fields().iter().zip(all.columns()) {
        let kind = kind(field.data_type());
        for (row, value) in rows.iter_mut().zip(values(array, kind)?) {
            row.push(value);
        }
        columns.push(Column { name: field.name().clone(), kind });
    }
    Ok((columns, rows))
}

fn kind(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Kind::Time,
        data_type if data_type.is_numeric() => Kind::Number,
        _ => Kind::Text,
    }
}

fn values(array: &ArrayRef, kind: Kind) -> Result<Vec<Value>> {
    Ok(match kind {
        Kind::Time => {
            let millis = cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
            millis.as_primitive::<types::TimestampMillisecondType>().iter().map(|value| value.map_or(Value::Null, Value::from)).collect()
        }
        Kind::Number => {
            let numbers = cast(array, &DataType::Float64)?;
            // What is no number in JSON (NaN) is NULL.
            numbers.as_primitive::<types::Float64Type>().iter().map(|value| value.map_or(Value::Null, Value::from)).collect()
        }
        Kind::Text => {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(array, &options)?;
            let text = |row: usize| match array.is_null(row) {
                true => Value::Null,
                false => Value::from(formatter.value(row).to_string().chars().take(TEXT_CHARS_MAX).collect::<String>()),
            };
            (0..array.len()).map(text).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use datafusion::arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn rows_are_times_numbers_and_text() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("at", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None]))),
            ("n", Arc::new(Int64Array::from(vec![Some(-7), None]))),
            ("f", Arc::new(Float64Array::from(vec![f64::NAN, 0.5]))),
            ("d", Arc::new(Decimal128Array::from(vec![125, 0]).with_precision_and_scale(10, 2).unwrap())),
            ("t", Arc::new(StringArray::from(vec![Some("<b>"), None]))),
        ];
        let fields: Vec<Field> = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|(_, array)| array).collect()).unwrap();
        let (columns, rows) = table(&schema, &[batch]).unwrap();
        let kinds: Vec<Kind> = columns.iter().map(|column| column.kind).collect();
        assert_eq!(kinds, [Kind::Time, Kind::Number, Kind::Number, Kind::Number, Kind::Text]);
        let rows = serde_json::to_string(&rows).unwrap();
        assert_eq!(rows, r#"[[1500,-7.0,null,1.25,"<b>"],[null,null,0.5,0.0,null]]"#);
    }
}
