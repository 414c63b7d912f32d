//! Values of one column for a range of rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewBuilder, TimestampMillisecondArray, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use super::config::{DatagenConfig, FieldConfig, FieldKind};
use crate::error::{ConnectorError, Result};
use crate::random::{Letters, Seed, Stream, below, unit};

/// Makes the values of one column.
#[derive(Debug)]
pub(super) struct FieldGenerator {
    field: FieldRef,
    config: FieldConfig,
    values: Stream,
    nulls: Stream,
    letters: Arc<Letters>,
    start_ms: i64,
    event_rate: u64,
}

pub(super) fn generators(config: &DatagenConfig, columns: &Schema) -> Vec<FieldGenerator> {
    let seed = Seed::new(config.seed);
    let letters = Arc::new(Letters::new(seed));
    let fields = columns.fields().iter().zip(&config.fields).enumerate();
    let generator = |(idx, (field, field_config)): (usize, (&FieldRef, &FieldConfig))| FieldGenerator {
        field: field.clone(),
        config: field_config.clone(),
        values: seed.stream(2 * idx as u64),
        nulls: seed.stream(2 * idx as u64 + 1),
        letters: letters.clone(),
        start_ms: config.start_ms,
        event_rate: config.event_rate,
    };
    fields.map(generator).collect()
}

impl FieldGenerator {
    pub(super) fn make(&self, rows: Range<u64>) -> Result<ArrayRef> {
        let values = self.values(rows.clone());
        let values = as_declared(values, &self.field)?;
        if self.config.null_rate == 0.0 {
            return Ok(values);
        }
        let nulls: NullBuffer = rows.map(|row| unit(self.nulls.at(row)) >= self.config.null_rate).collect::<Vec<bool>>().into();
        let data = values.to_data().into_builder().nulls(Some(nulls)).build();
        data.map(make_array).map_err(|error| ConnectorError::data(format!("datagen column '{}': {error}", self.field.name())))
    }

    fn values(&self, rows: Range<u64>) -> ArrayRef {
        let bits = |row: u64| self.values.at(row);
        match self.config.kind {
            FieldKind::Sequence { start } => Arc::new(Int64Array::from_iter_values(rows.map(|row| start.wrapping_add_unsigned(row)))),
            FieldKind::Integer { min, max } => {
                let span = max.abs_diff(min);
                let value = |row| match span.checked_add(1) {
                    Some(count) => min.wrapping_add_unsigned(below(bits(row), count)),
                    None => bits(row) as i64,
                };
                Arc::new(Int64Array::from_iter_values(rows.map(value)))
            }
            FieldKind::Float { min, max } => Arc::new(Float64Array::from_iter_values(rows.map(|row| min + (max - min) * unit(bits(row))))),
            FieldKind::Boolean => Arc::new(BooleanArray::from(rows.map(|row| bits(row) & 1 == 1).collect::<Vec<bool>>())),
            FieldKind::Text { length } => {
                let mut builder = StringViewBuilder::with_capacity((rows.end - rows.start) as usize);
                for row in rows {
                    builder.append_value(self.letters.text(bits(row), length));
                }
                Arc::new(builder.finish())
            }
            FieldKind::Time { max_past_ms } => {
                let past = |row| if max_past_ms == 0 { 0 } else { below(bits(row), max_past_ms.saturating_add(1)) };
                let time = |row| self.event_time(row).saturating_sub_unsigned(past(row));
                Arc::new(TimestampMillisecondArray::from_iter_values(rows.map(time)))
            }
        }
    }

    fn event_time(&self, row: u64) -> i64 {
        let since = u128::from(row) * 1_000 / u128::from(self.event_rate);
        self.start_ms.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }
}

fn as_declared(values: ArrayRef, field: &Field) -> Result<ArrayRef> {
    if values.data_type() == field.data_type() {
        return Ok(values);
    }
    let failed = |error| ConnectorError::data(format!("datagen column '{}' overflows its type: {error}", field.name()));
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    if field.data_type() == &DataType::Date32 {
        // Dates are days in 32 bits.
        let days = cast_with_options(&values, &DataType::Int32, &strict).map_err(failed)?;
        return cast_with_options(&days, field.data_type(), &strict).map_err(failed);
    }
    cast_with_options(&values, field.data_type(), &strict).map_err(failed)
}
