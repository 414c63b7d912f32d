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
    Some((aggregate::min(column)?, aggregate::max(column)?))
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
