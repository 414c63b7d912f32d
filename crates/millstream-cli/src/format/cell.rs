//! The text of one value, the same in every text format.
//!
//! Arrow's formatters do the work; ours differ in three places: timestamps print as `2024-01-01 00:00:10` with a fraction only
//! when there is one, intervals and durations as PostgreSQL prints them, and NULL is left to the format.

use std::fmt::Write as _;
use std::io;

use datafusion::arrow::array::types::{
    ArrowTimestampType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, IntervalDayTimeType,
    IntervalMonthDayNanoType, IntervalYearMonthType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion::arrow::array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::temporal_conversions::as_datetime;
use datafusion::arrow::util::display::{ArrayFormatter, ArrayFormatterFactory, DisplayIndex, FormatOptions, FormatResult};

use super::interval::Interval;

/// How NULL looks inside a list or struct, and in the formats that show it.
pub(crate) const NULL: &str = "NULL";

/// A timestamp with a time zone; the fraction only when it is not zero.
pub(crate) const TIMESTAMP_TZ_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.f%:z";
/// A timestamp without time zone where our own formatter is not asked (a dictionary of timestamps).
pub(crate) const TIMESTAMP_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.f";
/// A time of day.
pub(crate) const TIME_FORMAT: &str = "%H:%M:%S%.f";
/// A date, also where Arrow keeps it in milliseconds.
pub(crate) const DATE_FORMAT: &str = "%Y-%m-%d";

const OPTIONS: FormatOptions<'static> = FormatOptions::new()
    .with_display_error(true)
    .with_null(NULL)
    .with_timestamp_format(Some(TIMESTAMP_FORMAT))
    .with_timestamp_tz_format(Some(TIMESTAMP_TZ_FORMAT))
    .with_time_format(Some(TIME_FORMAT))
    .with_date_format(Some(DATE_FORMAT))
    .with_datetime_format(Some(DATE_FORMAT))
    .with_formatter_factory(Some(&SqlText));

/// The values of one batch as text.
pub(crate) struct Cells<'a> {
    columns: Vec<Column<'a>>,
    rows: usize,
}

struct Column<'a> {
    formatter: ArrayFormatter<'a>,
    nulls: Option<NullBuffer>,
}

impl<'a> Cells<'a> {
    /// Fails for a type that Arrow cannot print.
    pub(crate) fn new(batch: &'a RecordBatch) -> io::Result<Self> {
        let columns = batch
            .columns()
            .iter()
            .map(|array| Ok(Column { formatter: formatter(array.as_ref())?, nulls: array.logical_nulls() }))
            .collect::<Result<_, ArrowError>>()
            .map_err(io::Error::other)?;
        Ok(Self { columns, rows: batch.num_rows() })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns.len()
    }

    pub(crate) fn is_null(&self, column: usize, row: usize) -> bool {
        self.columns[column].nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends the text of a value that is not NULL.
    pub(crate) fn append(&self, column: usize, row: usize, text: &mut String) -> io::Result<()> {
        self.columns[column].formatter.value(row).write(text).map_err(io::Error::other)
    }
}

/// A formatter for one array, of any type.
pub(crate) fn formatter(array: &dyn Array) -> Result<ArrayFormatter<'_>, ArrowError> {
    match SqlText.create_array_formatter(array, &OPTIONS, None)? {
        Some(ours) => Ok(ours),
        None => ArrayFormatter::try_new(array, &OPTIONS),
    }
}

/// True for the types that [`SqlText`] prints instead of Arrow.
pub(crate) fn has_own_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, None) | DataType::Interval(_) | DataType::Duration(_))
}

/// Escapes what would break a line or drive the terminal: everything but printable characters and, if `keep_lines`, `\n`.
pub(crate) fn append_printable(text: &str, keep_lines: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '\n' if keep_lines => out.push('\n'),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if other.is_control() => _ = write!(out, "\\x{:02x}", u32::from(other)),
            other => out.push(other),
        }
    }
}

/// True for the types whose columns are aligned to the right.
pub(crate) fn is_numeric(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_numeric(value),
        other => other.is_numeric(),
    }
}

#[derive(Debug)]
struct SqlText;

impl ArrayFormatterFactory for SqlText {
    fn create_array_formatter<'f>(
        &self,
        array: &'f dyn Array,
        options: &FormatOptions<'f>,
        _field: Option<&'f Field>,
    ) -> Result<Option<ArrayFormatter<'f>>, ArrowError> {
        let display = match array.data_type() {
            DataType::Timestamp(unit, None) => timestamp(array, *unit),
            DataType::Interval(unit) => interval(array, *unit),
            DataType::Duration(unit) => duration(array, *unit),
            _ => return Ok(None),
        };
        Ok(Some(ArrayFormatter::new(display, options.safe())))
    }
}

fn timestamp(array: &dyn Array, unit: TimeUnit) -> Box<dyn DisplayIndex + '_> {
    match unit {
        TimeUnit::Second => Box::new(Timestamp(array.as_primitive::<TimestampSecondType>())),
        TimeUnit::Millisecond => Box::new(Timestamp(array.as_primitive::<TimestampMillisecondType>())),
        TimeUnit::Microsecond => Box::new(Timestamp(array.as_primitive::<TimestampMicrosecondType>())),
        TimeUnit::Nanosecond => Box::new(Timestamp(array.as_primitive::<TimestampNanosecondType>())),
    }
}

struct Timestamp<'a, T: ArrowTimestampType>(&'a PrimitiveArray<T>);

impl<T: ArrowTimestampType> DisplayIndex for Timestamp<'_, T> {
    fn write(&self, row: usize, out: &mut dyn std::fmt::Write) -> FormatResult {
        if self.0.is_null(row) {
            return Ok(out.write_str(NULL)?);
        }
        let value = self.0.value(row);
        match as_datetime::<T>(value) {
            Some(time) => Ok(write!(out, "{time}")?),
            // Outside the calendar's range: the raw number is more use than an error.
            None => Ok(write!(out, "{value}")?),
        }
    }
}

fn interval(array: &dyn Array, unit: IntervalUnit) -> Box<dyn DisplayIndex + '_> {
    match unit {
        IntervalUnit::YearMonth => periods(array.as_primitive::<IntervalYearMonthType>(), Interval::from_months),
        IntervalUnit::DayTime => periods(array.as_primitive::<IntervalDayTimeType>(), Interval::from_day_time),
        IntervalUnit::MonthDayNano => periods(array.as_primitive::<IntervalMonthDayNanoType>(), Interval::from_month_day_nano),
    }
}

fn duration(array: &dyn Array, unit: TimeUnit) -> Box<dyn DisplayIndex + '_> {
    match unit {
        TimeUnit::Second => periods(array.as_primitive::<DurationSecondType>(), |value| Interval::from_duration(value, 1_000_000_000)),
        TimeUnit::Millisecond => {
            periods(array.as_primitive::<DurationMillisecondType>(), |value| Interval::from_duration(value, 1_000_000))
        }
        TimeUnit::Microsecond => periods(array.as_primitive::<DurationMicrosecondType>(), |value| Interval::from_duration(value, 1_000)),
        TimeUnit::Nanosecond => periods(array.as_primitive::<DurationNanosecondType>(), |value| Interval::from_duration(value, 1)),
    }
}

struct Periods<'a, T: ArrowPrimitiveType> {
    array: &'a PrimitiveArray<T>,
    convert: fn(T::Native) -> Interval,
}

fn periods<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, convert: fn(T::Native) -> Interval) -> Box<dyn DisplayIndex + '_> {
    Box::new(Periods { array, convert })
}

impl<T: ArrowPrimitiveType> DisplayIndex for Periods<'_, T> {
    fn write(&self, row: usize, out: &mut dyn std::fmt::Write) -> FormatResult {
        if self.array.is_null(row) {
            return Ok(out.write_str(NULL)?);
        }
        Ok(write!(out, "{}", (self.convert)(self.array.value(row)))?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationMillisecondArray, Float64Array, Int64Array, ListArray,
        StringArray, StructArray, TimestampMillisecondArray, TimestampNanosecondArray,
    };
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    fn texts(array: ArrayRef) -> Vec<String> {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap();
        let cells = Cells::new(&batch).unwrap();
        (0..cells.rows())
            .map(|row| {
                let mut text = String::new();
                match cells.is_null(0, row) {
                    true => text.push_str("<null>"),
                    false => cells.append(0, row, &mut text).unwrap(),
                }
                text
            })
            .collect()
    }

    #[test]
    fn timestamps_show_a_fraction_only_when_there_is_one() {
        let millis = TimestampMillisecondArray::from(vec![Some(1_704_067_210_000), Some(1_704_067_210_500), None]);
        assert_eq!(texts(Arc::new(millis.clone())), ["2024-01-01 00:00:10", "2024-01-01 00:00:10.500", "<null>"]);
        assert_eq!(
            texts(Arc::new(millis.with_timezone("+02:00"))),
            ["2024-01-01 02:00:10+02:00", "2024-01-01 02:00:10.500+02:00", "<null>"]
        );
        let nanos = TimestampNanosecondArray::from(vec![1, -1, 0]);
        assert_eq!(texts(Arc::new(nanos)), ["1970-01-01 00:00:00.000000001", "1969-12-31 23:59:59.999999999", "1970-01-01 00:00:00"]);
        let absurd = TimestampMillisecondArray::from(vec![i64::MAX]);
        assert_eq!(texts(Arc::new(absurd)), ["9223372036854775807"]);
    }

    #[test]
    fn floats_are_the_shortest_text_that_reads_back() {
        let floats = Float64Array::from(vec![0.1, 1.0, 1e300, f64::NAN, f64::INFINITY, -0.0, 1.0 / 3.0]);
        assert_eq!(texts(Arc::new(floats)), ["0.1", "1.0", "1e300", "NaN", "inf", "-0.0", "0.3333333333333333"]);
    }

    #[test]
    fn other_scalars() {
        assert_eq!(texts(Arc::new(BooleanArray::from(vec![true, false]))), ["true", "false"]);
        assert_eq!(texts(Arc::new(BinaryArray::from(vec![&b"\x00\xffA"[..]]))), ["00ff41"]);
        assert_eq!(texts(Arc::new(Date32Array::from(vec![19_723]))), ["2024-01-01"]);
        let decimals = Decimal128Array::from(vec![12_345, -5]).with_precision_and_scale(10, 2).unwrap();
        assert_eq!(texts(Arc::new(decimals)), ["123.45", "-0.05"]);
        assert_eq!(texts(Arc::new(DurationMillisecondArray::from(vec![10_000, 90_000_500]))), ["00:00:10", "25:00:00.500"]);
    }

    #[test]
    fn nested_values_show_null_and_our_timestamps() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
        assert_eq!(texts(Arc::new(list)), ["[1, NULL]", "<null>", "[]"]);
        let fields: Vec<(&str, ArrayRef)> = vec![
            ("a", Arc::new(Int64Array::from(vec![Some(7)]))),
            ("s", Arc::new(StringArray::from(vec![None::<&str>]))),
            ("t", Arc::new(TimestampMillisecondArray::from(vec![1_704_067_210_000]))),
        ];
        let value = StructArray::try_from(fields).unwrap();
        assert_eq!(texts(Arc::new(value)), ["{a: 7, s: NULL, t: 2024-01-01 00:00:10}"]);
    }

    #[test]
    fn control_characters_cannot_drive_the_terminal() {
        let mut out = String::new();
        append_printable("a\x1b[2J\tb\nc", true, &mut out);
        assert_eq!(out, "a\\x1b[2J\\tb\nc");
    }
}
