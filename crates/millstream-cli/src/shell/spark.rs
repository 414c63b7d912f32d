//! Small bars for lists of numbers: `▁▃▆█`.

use std::io;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A longer list is averaged down to so many bars.
const WIDTH_MAX: usize = 60;

/// One bar for each value, in at most `width` bars; values that are no numbers leave a gap.
pub(crate) fn sparkline(values: &[Option<f64>], width: usize) -> String {
    let values = shrunk(values, width);
    let finite = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    let bar = |value: &Option<f64>| match value {
        Some(value) if value.is_finite() && high > low => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7.99")]
            let step = ((value - low) / (high - low) * 7.99) as usize;
            BARS[step.min(7)]
        }
        Some(value) if value.is_finite() => BARS[3],
        _ => ' ',
    };
    values.iter().map(bar).collect()
}

fn shrunk(values: &[Option<f64>], width: usize) -> Vec<Option<f64>> {
    if values.len() <= width || width == 0 {
        return values.to_vec();
    }
    let mean = |bucket: usize| {
        let range = bucket * values.len() / width..(bucket + 1) * values.len() / width;
        let numbers: Vec<f64> = values[range].iter().flatten().copied().collect();
        #[expect(clippy::cast_precision_loss, reason = "a count of values")]
        let count = numbers.len() as f64;
        (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / count)
    };
    (0..width).map(mean).collect()
}

fn is_history(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => item.data_type().is_numeric(),
        _ => false,
    }
}

/// The schema with lists of numbers as texts.
pub(crate) fn schema_with_sparks(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| match is_history(field.data_type()) {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        false => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The rows with lists of numbers drawn.
pub(crate) fn with_sparks(batch: &RecordBatch, schema: &SchemaRef) -> io::Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| if is_history(column.data_type()) { drawn(column) } else { Ok(Arc::clone(column)) });
    let columns = columns.collect::<io::Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(io::Error::other)
}

fn drawn(column: &ArrayRef) -> io::Result<ArrayRef> {
    let item = Arc::new(Field::new("item", DataType::Float64, true));
    let lists = cast(column, &DataType::List(item)).map_err(io::Error::other)?;
    let lists = lists.as_list::<i32>();
    let line = |row: usize| {
        let values = lists.value(row);
        let values: &Float64Array = values.as_primitive::<Float64Type>();
        sparkline(&values.iter().collect::<Vec<_>>(), WIDTH_MAX)
    };
    let lines: StringArray = (0..lists.len()).map(|row| lists.is_valid(row).then(|| line(row))).collect();
    Ok(Arc::new(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_go_from_the_least_to_the_greatest() {
        let values: Vec<Option<f64>> = (0..8).map(|value| Some(f64::from(value))).collect();
        assert_eq!(sparkline(&values, 60), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[Some(5.0), None, Some(5.0)], 60), "▄ ▄");
        assert_eq!(sparkline(&values, 4), "▁▃▆█");
        assert_eq!(sparkline(&[], 4), "");
    }
}
