//! Rows of a batch as DataRow messages and COPY lines: one typed writer a column, nothing allocated per row.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, GenericByteArray, GenericByteViewArray, PrimitiveArray, RecordBatch, types as arrow_types,
};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

use super::nested::{self, ListWriter, RowValueWriter};
use super::text::Short;
use super::{Column, Format, PgType, Zone, numeric, text};
use crate::error::{Result, WireError};

/// What the session says about text forms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) zone: Zone,
}

/// Writes the rows of one batch.
pub(crate) struct RowWriter {
    values: Vec<ValueWriter>,
}

impl RowWriter {
    /// `formats` has one entry a column.
    pub(crate) fn new(batch: &RecordBatch, columns: &[Column], formats: &[Format], style: Style) -> Result<Self> {
        let values = batch.columns().iter().zip(columns).zip(formats);
        let values = values.map(|((array, column), format)| ValueWriter::new(array, &column.pg_type, *format, style));
        Ok(Self { values: values.collect::<Result<_>>()? })
    }

    /// A DataRow message.
    pub(crate) fn data_row(&self, out: &mut BytesMut, row: usize) {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        self.fields(out, row);
        patch_length(out, start, 0);
    }

    /// The number of columns and each with its length, as in a DataRow and in COPY's binary format.
    pub(crate) fn fields(&self, out: &mut BytesMut, row: usize) {
        out.put_u16(u16::try_from(self.values.len()).unwrap_or(u16::MAX));
        for value in &self.values {
            value.with_length(out, row);
        }
    }

    /// Writes one value without its length; `false`: it is NULL.
    pub(crate) fn value(&self, out: &mut BytesMut, column: usize, row: usize) -> bool {
        self.values[column].value(out, row)
    }

    pub(crate) fn columns(&self) -> usize {
        self.values.len()
    }
}

/// The length of what was written from `start` on, less `less`.
fn patch_length(out: &mut BytesMut, start: usize, less: usize) {
    let length = i32::try_from(out.len() - start - less).unwrap_or(i32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Writes the values of a column.
pub(super) struct ValueWriter {
    array: ArrayRef,
    kind: Kind,
    format: Format,
}

enum Kind {
    Null,
    Bool(BooleanArray),
    Int16(PrimitiveArray<arrow_types::Int16Type>),
    Int32(PrimitiveArray<arrow_types::Int32Type>),
    Int64(PrimitiveArray<arrow_types::Int64Type>),
    Oid(PrimitiveArray<arrow_types::UInt32Type>),
    Float32(PrimitiveArray<arrow_types::Float32Type>),
    Float64(PrimitiveArray<arrow_types::Float64Type>),
    Decimal(PrimitiveArray<arrow_types::Decimal128Type>, i8),
    /// NUMERIC without digits: as many behind the point as there are.
    PlainDecimal(PrimitiveArray<arrow_types::Decimal128Type>, i8),
    WideDecimal(PrimitiveArray<arrow_types::Decimal256Type>, i8),
    Text(GenericByteArray<arrow_types::Utf8Type>),
    TextView(GenericByteViewArray<arrow_types::StringViewType>),
    /// Text with a version byte before it in binary.
    Jsonb(GenericByteArray<arrow_types::Utf8Type>),
    Uuid(GenericByteArray<arrow_types::Utf8Type>),
    Bytes(GenericByteArray<arrow_types::BinaryType>),
    Date(PrimitiveArray<arrow_types::Date32Type>),
    Time(PrimitiveArray<arrow_types::Time64MicrosecondType>),
    Timestamp(PrimitiveArray<arrow_types::TimestampMicrosecondType>, Option<Zone>),
    Interval(PrimitiveArray<arrow_types::IntervalMonthDayNanoType>),
    List(Box<ListWriter>),
    /// What `ROW(…)` makes.
    Row(Box<RowValueWriter>),
    /// Other structs and MAP: JSON.
    Json(ArrayRef),
}

impl ValueWriter {
    pub(super) fn new(array: &ArrayRef, pg_type: &PgType, format: Format, style: Style) -> Result<Self> {
        let kind = Kind::of(array, pg_type, format, style)?;
        Ok(Self { array: ArrayRef::clone(array), kind, format })
    }

    pub(super) fn with_length(&self, out: &mut BytesMut, row: usize) {
        let start = out.len();
        out.put_i32(-1);
        if self.value(out, row) {
            patch_length(out, start, 4);
        }
    }

    /// Writes one value; `false`: it is NULL, nothing was written.
    pub(super) fn value(&self, out: &mut BytesMut, row: usize) -> bool {
        if self.array.is_null(row) || matches!(self.kind, Kind::Null) {
            return false;
        }
        match self.format {
            Format::Text => self.as_text(out, row),
            Format::Binary => self.as_binary(out, row),
        }
        true
    }

    fn as_text(&self, out: &mut BytesMut, row: usize) {
        match &self.kind {
            Kind::Null => {}
            Kind::Bool(values) => out.put_u8(if values.value(row) { b't' } else { b'f' }),
            Kind::Int16(values) => put_integer(out, i64::from(values.value(row))),
            Kind::Int32(values) => put_integer(out, i64::from(values.value(row))),
            Kind::Int64(values) => put_integer(out, values.value(row)),
            Kind::Oid(values) => put_integer(out, i64::from(values.value(row))),
            Kind::Float32(values) => text::float32(out, values.value(row)),
            Kind::Float64(values) => text::float64(out, values.value(row)),
            Kind::PlainDecimal(values, scale) => {
                let (value, scale) = numeric::trimmed(values.value(row), *scale);
                numeric::text(out, Short::of(value).as_str(), scale);
            }
            Kind::Decimal(values, scale) => numeric::text(out, Short::of(values.value(row)).as_str(), *scale),
            Kind::WideDecimal(values, scale) => numeric::text(out, &numeric::digits_256(values.value(row)), *scale),
            Kind::Text(values) | Kind::Jsonb(values) | Kind::Uuid(values) => out.put_slice(values.value(row).as_bytes()),
            Kind::TextView(values) => out.put_slice(values.value(row).as_bytes()),
            Kind::Bytes(values) => text::bytes(out, values.value(row)),
            Kind::Date(values) => text::date(out, values.value(row)),
            Kind::Time(values) => text::time(out, values.value(row)),
            Kind::Timestamp(values, zone) => text::timestamp(out, values.value(row), *zone),
            Kind::Interval(values) => {
                let value = values.value(row);
                text::interval(out, value.months, value.days, value.nanoseconds / 1000);
            }
            Kind::List(list) => list.text(out, row),
            Kind::Row(fields) => fields.text(out, row),
            Kind::Json(array) => nested::json(out, array, row),
        }
    }

    fn as_binary(&self, out: &mut BytesMut, row: usize) {
        match &self.kind {
            Kind::Null => {}
            Kind::Bool(values) => out.put_u8(u8::from(values.value(row))),
            Kind::Int16(values) => out.put_i16(values.value(row)),
            Kind::Int32(values) => out.put_i32(values.value(row)),
            Kind::Int64(values) => out.put_i64(values.value(row)),
            Kind::Oid(values) => out.put_u32(values.value(row)),
            Kind::Float32(values) => out.put_f32(values.value(row)),
            Kind::Float64(values) => out.put_f64(values.value(row)),
            Kind::PlainDecimal(values, scale) => {
                let (value, scale) = numeric::trimmed(values.value(row), *scale);
                numeric::binary(out, &value.to_string(), scale);
            }
            Kind::Decimal(values, scale) => numeric::binary(out, &values.value(row).to_string(), *scale),
            Kind::WideDecimal(values, scale) => numeric::binary(out, &numeric::digits_256(values.value(row)), *scale),
            Kind::Text(values) => out.put_slice(values.value(row).as_bytes()),
            Kind::TextView(values) => out.put_slice(values.value(row).as_bytes()),
            Kind::Jsonb(values) => {
                out.put_u8(1);
                out.put_slice(values.value(row).as_bytes());
            }
            Kind::Uuid(values) => put_uuid(out, values.value(row)),
            Kind::Bytes(values) => out.put_slice(values.value(row)),
            Kind::Date(values) => out.put_i32(values.value(row).saturating_sub(text::DAYS_TO_2000)),
            Kind::Time(values) => out.put_i64(values.value(row)),
            Kind::Timestamp(values, _) => out.put_i64(match values.value(row) {
                infinity @ (i64::MAX | i64::MIN) => infinity,
                micros => micros.saturating_sub(text::MICROS_TO_2000),
            }),
            Kind::Interval(values) => {
                let value = values.value(row);
                out.put_i64(value.nanoseconds / 1000);
                out.put_i32(value.days);
                out.put_i32(value.months);
            }
            Kind::List(list) => list.binary(out, row),
            Kind::Row(fields) => fields.binary(out, row),
            Kind::Json(array) => nested::json(out, array, row),
        }
    }
}

impl Kind {
    fn of(array: &ArrayRef, pg_type: &PgType, format: Format, style: Style) -> Result<Self> {
        let array = &fitted(&plainest(array)?, pg_type)?;
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(array.as_boolean().clone()),
            DataType::Int16 => Self::Int16(array.as_primitive().clone()),
            DataType::Int32 => Self::Int32(array.as_primitive().clone()),
            DataType::Int64 => Self::Int64(array.as_primitive().clone()),
            DataType::UInt32 => Self::Oid(array.as_primitive().clone()),
            DataType::Float32 => Self::Float32(array.as_primitive().clone()),
            DataType::Float64 => Self::Float64(array.as_primitive().clone()),
            DataType::Decimal128(38, scale @ 10) => Self::PlainDecimal(array.as_primitive().clone(), *scale),
            DataType::Decimal128(_, scale) => Self::Decimal(array.as_primitive().clone(), *scale),
            DataType::Decimal256(_, scale) => Self::WideDecimal(array.as_primitive().clone(), *scale),
            DataType::Utf8 if *pg_type == PgType::JSONB => Self::Jsonb(array.as_string().clone()),
            DataType::Utf8 if *pg_type == PgType::UUID => Self::Uuid(array.as_string().clone()),
            DataType::Utf8 if pg_type.element().is_some() && format == Format::Binary => {
                return Err(WireError::unsupported(format!("there is no binary form of {} here", pg_type.name())));
            }
            DataType::Utf8 => Self::Text(array.as_string().clone()),
            DataType::Utf8View => Self::TextView(array.as_string_view().clone()),
            DataType::Binary => Self::Bytes(array.as_binary().clone()),
            DataType::Date32 => Self::Date(array.as_primitive().clone()),
            DataType::Time64(_) => Self::Time(array.as_primitive().clone()),
            DataType::Timestamp(_, zone) => Self::Timestamp(array.as_primitive().clone(), zone.is_some().then_some(style.zone)),
            DataType::Interval(_) => Self::Interval(array.as_primitive().clone()),
            DataType::List(_) => Self::List(Box::new(ListWriter::new(array, pg_type, format, style)?)),
            DataType::Struct(_) if pg_type.name() == "record" => Self::Row(Box::new(RowValueWriter::new(array, format, style)?)),
            DataType::Struct(_) | DataType::Map(..) => Self::Json(ArrayRef::clone(array)),
            other => return Err(WireError::unsupported(format!("values of type {other} cannot be sent"))),
        })
    }
}

/// A whole number as wide as its column: the planner computes in bigint what is an integer for clients.
fn fitted(array: &ArrayRef, pg_type: &PgType) -> Result<ArrayRef> {
    let target = match pg_type {
        pg_type if *pg_type == PgType::INT2 => DataType::Int16,
        pg_type if *pg_type == PgType::INT4 => DataType::Int32,
        pg_type if *pg_type == PgType::INT8 => DataType::Int64,
        _ => return Ok(ArrayRef::clone(array)),
    };
    if *array.data_type() == target || array.data_type().is_null() {
        return Ok(ArrayRef::clone(array));
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let name = if *pg_type == PgType::INT2 {
        "smallint"
    } else if *pg_type == PgType::INT4 {
        "integer"
    } else {
        "bigint"
    };
    cast_with_options(array, &target, &strict).map_err(|_| WireError::new("22003", format!("{name} out of range")))
}

/// The array with one of the few types that are written.
fn plainest(array: &ArrayRef) -> Result<ArrayRef> {
    let target = match array.data_type() {
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => DataType::Decimal128(*precision, *scale),
        DataType::LargeUtf8 => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(TimeUnit::Nanosecond) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(unit, zone) if *unit != TimeUnit::Microsecond => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Interval(unit) if *unit != IntervalUnit::MonthDayNano => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Duration(_) => return justified(array),
        DataType::LargeList(field) | DataType::FixedSizeList(field, _) | DataType::ListView(field) => {
            DataType::List(std::sync::Arc::clone(field))
        }
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        _ => return Ok(ArrayRef::clone(array)),
    };
    match cast(array, &target)? {
        cast if cast.data_type() == array.data_type() => Ok(cast),
        // A dictionary of something that is not plain itself.
        cast => plainest(&cast),
    }
}

/// What lies between two times, with days where there are 24 hours, as PostgreSQL gives it.
fn justified(array: &ArrayRef) -> Result<ArrayRef> {
    const DAY_MICROS: i64 = 86_400_000_000;
    let micros = cast(array, &DataType::Duration(TimeUnit::Microsecond))?;
    let micros = micros.as_primitive::<arrow_types::DurationMicrosecondType>();
    let interval = |micros: i64| arrow_types::IntervalMonthDayNano {
        months: 0,
        days: i32::try_from(micros / DAY_MICROS).unwrap_or(i32::MAX),
        nanoseconds: (micros % DAY_MICROS) * 1000,
    };
    let intervals: PrimitiveArray<arrow_types::IntervalMonthDayNanoType> = micros.unary(interval);
    Ok(std::sync::Arc::new(intervals))
}

fn put_integer(out: &mut BytesMut, value: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.put_u8(b'-');
    }
    out.put_slice(&digits[at..]);
}

fn put_uuid(out: &mut BytesMut, text: &str) {
    let digits = text.bytes().filter_map(|byte| char::from(byte).to_digit(16)).take(32);
    let mut high = None;
    let mut written = 0;
    for digit in digits {
        let digit = u8::try_from(digit).unwrap_or(0);
        match high.take() {
            None => high = Some(digit),
            Some(upper) => {
                out.put_u8(upper << 4 | digit);
                written += 1;
            }
        }
    }
    (written..16).for_each(|_| out.put_u8(0));
}
