//! Timestamp columns of any unit, in milliseconds rounded down.

use datafusion::arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{
    ArrowTimestampType, DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion::common::exec_err;
use datafusion::error::Result;

/// The largest time that is not null.
pub(super) fn max_ms(array: &dyn Array) -> Result<Option<i64>> {
    fn of<T: ArrowTimestampType>(array: &dyn Array) -> Option<i64> {
        compute::max(array.as_primitive::<T>()).map(|value| floor_ms(value, T::UNIT))
    }
    Ok(match unit(array)? {
        TimeUnit::Second => of::<TimestampSecondType>(array),
        TimeUnit::Millisecond => of::<TimestampMillisecondType>(array),
        TimeUnit::Microsecond => of::<TimestampMicrosecondType>(array),
        TimeUnit::Nanosecond => of::<TimestampNanosecondType>(array),
    })
}

/// Which rows are not later than `limit_ms`; a null is not.
pub(super) fn is_at_most(array: &dyn Array, limit_ms: i64) -> Result<BooleanArray> {
    fn of<T: ArrowTimestampType>(array: &dyn Array, limit_ms: i64) -> BooleanArray {
        let array: &PrimitiveArray<T> = array.as_primitive::<T>();
        // Not-null for every row, so that it can be used as a filter.
        array.iter().map(|value| Some(value.is_none_or(|value| floor_ms(value, T::UNIT) <= limit_ms))).collect()
    }
    Ok(match unit(array)? {
        TimeUnit::Second => of::<TimestampSecondType>(array, limit_ms),
        TimeUnit::Millisecond => of::<TimestampMillisecondType>(array, limit_ms),
        TimeUnit::Microsecond => of::<TimestampMicrosecondType>(array, limit_ms),
        TimeUnit::Nanosecond => of::<TimestampNanosecondType>(array, limit_ms),
    })
}

fn unit(array: &dyn Array) -> Result<TimeUnit> {
    match array.data_type() {
        DataType::Timestamp(unit, _) => Ok(*unit),
        other => exec_err!("event time must be a timestamp: got {other} (hint: cast it)"),
    }
}

fn floor_ms(value: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => value.saturating_mul(1000),
        TimeUnit::Millisecond => value,
        TimeUnit::Microsecond => value.div_euclid(1000),
        TimeUnit::Nanosecond => value.div_euclid(1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        ArrayRef, Int64Array, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };

    use super::*;

    #[test]
    fn every_unit_is_rounded_down_and_nulls_are_ignored() {
        let cases: Vec<(ArrayRef, Option<i64>)> = vec![
            (Arc::new(TimestampSecondArray::from(vec![Some(1), None, Some(-3)])), Some(1000)),
            (Arc::new(TimestampSecondArray::from(vec![i64::MAX])), Some(i64::MAX)),
            (Arc::new(TimestampMillisecondArray::from(vec![None, Some(7)])), Some(7)),
            (Arc::new(TimestampMicrosecondArray::from(vec![-1])), Some(-1)),
            (Arc::new(TimestampMicrosecondArray::from(vec![1999])), Some(1)),
            (Arc::new(TimestampNanosecondArray::from(vec![-1_000_001]).with_timezone("UTC")), Some(-2)),
            (Arc::new(TimestampNanosecondArray::from(vec![None, None])), None),
            (Arc::new(TimestampMillisecondArray::from(Vec::<i64>::new())), None),
        ];
        for (array, expected) in cases {
            assert_eq!(max_ms(&array).unwrap(), expected, "{array:?}");
        }
    }

    #[test]
    fn only_later_rows_are_beyond_the_limit() {
        let array = TimestampMicrosecondArray::from(vec![Some(10_000), Some(10_999), Some(11_000), None]);
        let kept: Vec<_> = is_at_most(&array, 10).unwrap().iter().flatten().collect();
        assert_eq!(kept, [true, true, false, true]);
    }

    #[test]
    fn another_type_is_an_error() {
        assert!(max_ms(&Int64Array::from(vec![1])).unwrap_err().to_string().contains("got Int64"));
    }
}
