//! PostgreSQL's binary values as Arrow columns.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Decimal128Array, ListArray, PrimitiveArray, StringArray, types,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Kind, Type};

/// Days from 1970 to 2000, where PostgreSQL counts from.
const DAYS_TO_2000: i32 = 10_957;
const MICROS_TO_2000: i64 = DAYS_TO_2000 as i64 * 86_400_000_000;
/// Digits of the largest decimal that is shown as a number.
const DECIMAL_DIGITS_MAX: u8 = 38;
/// What a type modifier has before its own bits.
const MODIFIER_HEAD: i32 = 4;

/// The Arrow type of a column.
pub(super) fn data_type(of: &Type, modifier: i32) -> DataType {
    if let Kind::Array(element) = of.kind() {
        return DataType::List(Arc::new(Field::new_list_field(data_type(element, -1), true)));
    }
    match *of {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::OID => DataType::UInt32,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => match modifier.checked_sub(MODIFIER_HEAD) {
            Some(bits) if bits >= 0 => match (u8::try_from(bits >> 16), i8::try_from(bits & 0x7ff)) {
                (Ok(digits), Ok(scale)) if (1..=DECIMAL_DIGITS_MAX).contains(&digits) => DataType::Decimal128(digits, scale),
                _ => DataType::Utf8,
            },
            _ => DataType::Utf8,
        },
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => DataType::Utf8,
    }
}

/// A value as it came.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A column of some rows. The error says what is wrong.
pub(super) fn array_of(rows: &[Row], column: usize, of: &Type, target: &DataType) -> Result<ArrayRef, String> {
    let value = |row| -> Result<Option<&[u8]>, String> {
        let raw: Result<Option<Raw<'_>>, _> = Row::try_get(row, column);
        raw.map(|raw| raw.map(|raw| raw.0)).map_err(|error| error.to_string())
    };
    array(&rows.iter().map(value).collect::<Result<Vec<_>, _>>()?, of, target)
}

fn array(values: &[Option<&[u8]>], of: &Type, target: &DataType) -> Result<ArrayRef, String> {
    let wrong = || format!("a value is no {}", of.name());
    Ok(match target {
        DataType::Boolean => Arc::new(values.iter().map(|value| value.map(|value| value.first() == Some(&1))).collect::<BooleanArray>()),
        DataType::Int16 => fixed::<types::Int16Type, 2>(values, i16::from_be_bytes).ok_or_else(wrong)?,
        DataType::Int32 => fixed::<types::Int32Type, 4>(values, i32::from_be_bytes).ok_or_else(wrong)?,
        DataType::Int64 => fixed::<types::Int64Type, 8>(values, i64::from_be_bytes).ok_or_else(wrong)?,
        DataType::UInt32 => fixed::<types::UInt32Type, 4>(values, u32::from_be_bytes).ok_or_else(wrong)?,
        DataType::Float32 => fixed::<types::Float32Type, 4>(values, f32::from_be_bytes).ok_or_else(wrong)?,
        DataType::Float64 => fixed::<types::Float64Type, 8>(values, f64::from_be_bytes).ok_or_else(wrong)?,
        DataType::Date32 => {
            fixed::<types::Date32Type, 4>(values, |bytes| i32::from_be_bytes(bytes).saturating_add(DAYS_TO_2000)).ok_or_else(wrong)?
        }
        DataType::Time64(_) => fixed::<types::Time64MicrosecondType, 8>(values, i64::from_be_bytes).ok_or_else(wrong)?,
        DataType::Timestamp(_, zone) => {
            let micros = |bytes| i64::from_be_bytes(bytes).saturating_add(MICROS_TO_2000);
            let array = primitive::<types::TimestampMicrosecondType, 8>(values, micros).ok_or_else(wrong)?;
            Arc::new(array.with_timezone_opt(zone.clone()))
        }
        DataType::Interval(_) => fixed::<types::IntervalMonthDayNanoType, 16>(values, interval).ok_or_else(wrong)?,
        DataType::Decimal128(digits, scale) => {
            let unscaled = |value: &&[u8]| numeric(value).and_then(|text| unscaled(&text, *scale)).ok_or_else(wrong);
            let unscaled = values.iter().map(|value| value.as_ref().map(unscaled).transpose()).collect::<Result<Decimal128Array, _>>()?;
            Arc::new(unscaled.with_precision_and_scale(*digits, *scale).map_err(|error| error.to_string())?)
        }
        DataType::Binary => Arc::new(BinaryArray::from_iter(values.iter().copied())),
        DataType::List(field) => list(values, of, field)?,
        _ => Arc::new(values.iter().map(|value| value.map(|value| text(value, of))).collect::<StringArray>()),
    })
}

fn primitive<T: ArrowPrimitiveType, const N: usize>(
    values: &[Option<&[u8]>],
    read: impl Fn([u8; N]) -> T::Native,
) -> Option<PrimitiveArray<T>> {
    let value = |value: &Option<&[u8]>| match value {
        Some(value) => <[u8; N]>::try_from(*value).ok().map(|bytes| Some(read(bytes))),
        None => Some(None),
    };
    values.iter().map(value).collect::<Option<PrimitiveArray<T>>>()
}

fn fixed<T: ArrowPrimitiveType, const N: usize>(values: &[Option<&[u8]>], read: impl Fn([u8; N]) -> T::Native) -> Option<ArrayRef> {
    primitive::<T, N>(values, read).map(|array| Arc::new(array) as ArrayRef)
}

/// Microseconds, days, months.
fn interval(bytes: [u8; 16]) -> IntervalMonthDayNano {
    let (micros, rest) = bytes.split_at(8);
    let (days, months) = rest.split_at(4);
    let int = |bytes: &[u8]| bytes.try_into().map_or(0, i32::from_be_bytes);
    let micros: i64 = micros.try_into().map_or(0, i64::from_be_bytes);
    IntervalMonthDayNano::new(int(months), int(days), micros.saturating_mul(1_000))
}

/// Reads numbers of two and four bytes one after the other.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take(2)?.try_into().ok().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take(4)?.try_into().ok().map(i32::from_be_bytes)
    }
}

/// Lists of one dimension.
fn list(values: &[Option<&[u8]>], of: &Type, field: &Arc<Field>) -> Result<ArrayRef, String> {
    let Kind::Array(element) = of.kind() else { return Err(format!("{} is no array", of.name())) };
    let mut elements = Vec::new();
    let mut lengths = Vec::with_capacity(values.len());
    for value in values {
        let before = elements.len();
        if let Some(value) = value {
            elements_of(value, &mut elements).ok_or_else(|| format!("a value is no {} of one dimension", of.name()))?;
        }
        lengths.push(elements.len() - before);
    }
    let elements = array(&elements, element, field.data_type())?;
    let nulls = NullBuffer::from_iter(values.iter().map(Option::is_some));
    let list = ListArray::try_new(Arc::clone(field), OffsetBuffer::from_lengths(lengths), elements, Some(nulls));
    list.map(|list| Arc::new(list) as ArrayRef).map_err(|error| error.to_string())
}

fn elements_of<'a>(value: &'a [u8], elements: &mut Vec<Option<&'a [u8]>>) -> Option<()> {
    let mut bytes = Bytes(value);
    let (dimensions, _has_nulls, _element) = (bytes.i32()?, bytes.i32()?, bytes.i32()?);
    if dimensions == 0 {
        return Some(());
    }
    let (count, _first) = (bytes.i32()?, bytes.i32()?);
    if dimensions != 1 {
        return None;
    }
    for _ in 0..count {
        let length = bytes.i32()?;
        elements.push(if length < 0 { None } else { Some(bytes.take(usize::try_from(length).ok()?)?) });
    }
    Some(())
}

/// Values that are shown as text.
fn text(value: &[u8], of: &Type) -> String {
    match *of {
        Type::NUMERIC => numeric(value).unwrap_or_else(|| "?".to_owned()),
        Type::JSONB => String::from_utf8_lossy(value.strip_prefix(&[1]).unwrap_or(value)).into_owned(),
        Type::UUID => uuid(value),
        _ => String::from_utf8_lossy(value).into_owned(),
    }
}

fn uuid(value: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (n, byte) in value.iter().enumerate() {
        if [4, 6, 8, 10].contains(&n) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// A number of digits to the base of 10,000, in decimal.
fn numeric(value: &[u8]) -> Option<String> {
    const NEGATIVE: u16 = 0x4000;
    let mut bytes = Bytes(value);
    let count = usize::try_from(bytes.i16()?).ok()?;
    let weight = i32::from(bytes.i16()?);
    let sign = bytes.i16()? as u16;
    let scale = usize::try_from(bytes.i16()?).ok()?;
    match sign {
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("Infinity".to_owned()),
        0xf000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let digits = (0..count).map(|_| bytes.i16()).collect::<Option<Vec<_>>>()?;
    let group = |at: i32| usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    let mut text = String::new();
    for at in 0..=weight.max(0) {
        // Groups before the first digit are left out.
        text.push_str(&format!("{:04}", if weight < 0 { 0 } else { group(at) }));
    }
    let whole = text.trim_start_matches('0');
    let mut fraction = String::new();
    let mut at = weight + 1;
    while fraction.len() < scale {
        fraction.push_str(&format!("{:04}", group(at)));
        at += 1;
    }
    fraction.truncate(scale);
    if weight < -1 {
        // The groups between the point and the first digit.
        let zeros = usize::try_from(-weight - 1).ok()? * 4;
        let known: String = digits.iter().map(|digits| format!("{digits:04}")).collect();
        fraction = format!("{}{known}", "0".repeat(zeros));
        fraction.push_str(&"0".repeat(scale));
        fraction.truncate(scale);
    }
    let sign = if sign == NEGATIVE { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// A decimal text times ten to the power of `scale`.
fn unscaled(text: &str, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(scale).collect();
    format!("{whole}{fraction}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(weight: i16, sign: u16, scale: i16, digits: &[i16]) -> Vec<u8> {
        let head = [i16::try_from(digits.len()).unwrap(), weight, sign as i16, scale];
        head.iter().chain(digits).flat_map(|number| number.to_be_bytes()).collect()
    }

    #[test]
    fn numbers_of_any_size() {
        for (value, text) in [
            (encoded(0, 0, 2, &[12, 3400]), "12.34"),
            (encoded(2, 0x4000, 0, &[1, 2]), "-100020000"),
            (encoded(-1, 0, 3, &[50]), "0.005"),
            (encoded(-2, 0, 8, &[12]), "0.00000012"),
            (encoded(0, 0, 0, &[]), "0"),
            (encoded(0, 0xc000, 0, &[]), "NaN"),
        ] {
            assert_eq!(numeric(&value).as_deref(), Some(text));
        }
        assert_eq!(unscaled("-12.3", 2), Some(-1230));
        assert_eq!(numeric(&[0, 9, 0]), None);
    }

    #[test]
    fn arrays_and_their_nulls() {
        let mut value: Vec<u8> = [1_i32, 1, 20, 2, 1, 8].iter().flat_map(|n| n.to_be_bytes()).collect();
        value.extend(7_i64.to_be_bytes());
        value.extend((-1_i32).to_be_bytes());
        let empty: Vec<u8> = [0_i32, 0, 20].iter().flat_map(|n| n.to_be_bytes()).collect();
        let of = Type::INT8_ARRAY;
        let array = array(&[Some(&value), None, Some(&empty)], &of, &data_type(&of, -1)).unwrap();
        let shown = datafusion::arrow::util::pretty::pretty_format_columns("a", &[array]).unwrap().to_string();
        assert!(shown.contains("[7, ]") && shown.contains("[]"), "{shown}");
        assert!(super::array(&[Some(&value[..20])], &of, &data_type(&of, -1)).is_err());
    }

    #[test]
    fn times_count_from_2000() {
        let array = array(&[Some(&1_000_000_i64.to_be_bytes())], &Type::TIMESTAMP, &data_type(&Type::TIMESTAMP, -1)).unwrap();
        let shown = datafusion::arrow::util::pretty::pretty_format_columns("a", &[array]).unwrap().to_string();
        assert!(shown.contains("2000-01-01T00:00:01"), "{shown}");
    }
}
