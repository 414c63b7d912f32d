//! Timestamp columns as milliseconds since the Unix epoch.

use std::borrow::Cow;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{Array, PrimitiveArray};
use datafusion::arrow::compute::kernels::aggregate;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion::common::{Result, exec_err};
use millstream_time::EVENT_TIME_MS_MAX;

/// Earliest and latest time in a column, in milliseconds (floor); `None` if it has no non-null row. One pass, no allocation.
pub fn time_span(column: &dyn Array) -> Result<Option<(i64, i64)>> {
    let span = match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => span_of::<TimestampSecondType>(column),
        DataType::Timestamp(TimeUnit::Millisecond, _) => span_of::<TimestampMillisecondType>(column),
        DataType::Timestamp(TimeUnit::Microsecond, _) => span_of::<TimestampMicrosecondType>(column),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => span_of::<TimestampNanosecondType>(column),
        other => return exec_err!("a window needs a TIMESTAMP column: got {other}"),
    };
    let Some((low, high)) = span else { return Ok(None) };
    let (low, high) = (to_millis(low, column.data_type()), to_millis(high, column.data_type()));
    for time in [low, high] {
        if !(-EVENT_TIME_MS_MAX..=EVENT_TIME_MS_MAX).contains(&time) {
            return exec_err!("event time out of range: {time} ms since 1970 (accepted: ±{EVENT_TIME_MS_MAX} ms)");
        }
    }
    Ok(Some((low, high)))
}

fn span_of<T: ArrowPrimitiveType<Native = i64>>(column: &dyn Array) -> Option<(i64, i64)> {
    let column: &PrimitiveArray<T> = column.as_primitive();
    if column.null_count() > 0 {
        return Some((aggregate::min(column)?, aggregate::max(column)?));
    }
    (!column.is_empty()).then(|| span_of_values(column.values()))
}

/// Smallest and largest value of at least one. Four of each at a time, because a single chain of comparisons is bound by its latency.
fn span_of_values(values: &[i64]) -> (i64, i64) {
    let (mut low, mut high) = ([i64::MAX; 4], [i64::MIN; 4]);
    let chunks = values.chunks_exact(4);
    for &value in chunks.remainder() {
        (low[0], high[0]) = (low[0].min(value), high[0].max(value));
    }
    for chunk in chunks {
        for lane in 0..4 {
            low[lane] = low[lane].min(chunk[lane]);
            high[lane] = high[lane].max(chunk[lane]);
        }
    }
    (low.into_iter().fold(i64::MAX, i64::min), high.into_iter().fold(i64::MIN, i64::max))
}

/// One value of a timestamp column's type in milliseconds, rounded down.
fn to_millis(value: i64, data_type: &DataType) -> i64 {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => value.saturating_mul(1_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => value.div_euclid(1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => value.div_euclid(1_000_000),
        _ => value,
    }
}

/// A timestamp column's values in milliseconds, rounded down; what stands in null rows is meaningless. No copy for milliseconds.
pub fn time_millis(column: &dyn Array) -> Result<Cow<'_, [i64]>> {
    let data_type = column.data_type();
    Ok(match data_type {
        DataType::Timestamp(TimeUnit::Millisecond, _) => Cow::Borrowed(column.as_primitive::<TimestampMillisecondType>().values()),
        DataType::Timestamp(TimeUnit::Second, _) => converted(column.as_primitive::<TimestampSecondType>().values(), data_type),
        DataType::Timestamp(TimeUnit::Microsecond, _) => converted(column.as_primitive::<TimestampMicrosecondType>().values(), data_type),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => converted(column.as_primitive::<TimestampNanosecondType>().values(), data_type),
        other => return exec_err!("a window needs a TIMESTAMP column: got {other}"),
    })
}

fn converted(values: &[i64], data_type: &DataType) -> Cow<'static, [i64]> {
    Cow::Owned(values.iter().map(|&value| to_millis(value, data_type)).collect())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::TimestampMillisecondArray;

    use super::*;

    #[test]
    fn the_span_of_columns_of_any_length() {
        for length in 0..20_i64 {
            let values: Vec<i64> = (0..length).map(|n| (n * 7919) % 23 - 11).collect();
            let expected = values.iter().min().copied().zip(values.iter().max().copied());
            assert_eq!(time_span(&TimestampMillisecondArray::from(values.clone())).unwrap(), expected, "{values:?}");
            let with_null: Vec<Option<i64>> = std::iter::once(None).chain(values.into_iter().map(Some)).collect();
            assert_eq!(time_span(&TimestampMillisecondArray::from(with_null)).unwrap(), expected);
        }
    }
}
