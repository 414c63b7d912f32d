//! Values that a client binds, as literals of SQL.

use datafusion::sql::sqlparser::ast::{self, Expr, Value};

use super::numeric;
use super::text::{self, DAYS_TO_2000, MICROS_TO_2000};
use super::{Format, PgType};
use crate::error::{Result, WireError};
use crate::protocol::incoming::utf8;

/// A parameter as an expression: the value in quotes, cast to its type.
pub(crate) fn parameter_literal(value: Option<&[u8]>, format: Format, pg_type: &PgType) -> Result<Expr> {
    let text = match (value, format) {
        (None, _) => None,
        (Some(bytes), Format::Text) => Some(utf8(bytes)?),
        (Some(bytes), Format::Binary) => Some(binary_text(bytes, pg_type)?),
    };
    if let (Some(text), true) = (&text, *pg_type == PgType::BYTEA) {
        let digits = bytea_digits(text).ok_or_else(|| invalid(pg_type, text))?;
        return Ok(Expr::Value(Value::HexStringLiteral(digits).into()));
    }
    if let (Some(text), Some(element)) = (&text, pg_type.element()) {
        return array_literal(text, &element);
    }
    if let Some(text) = &text {
        check(text, pg_type)?;
    }
    let literal = match text {
        None => Expr::Value(Value::Null.into()),
        Some(text) => Expr::Value(Value::SingleQuotedString(text).into()),
    };
    if matches!(*pg_type, PgType::TEXT | PgType::UNKNOWN) && !matches!(&literal, Expr::Value(value) if value.value == Value::Null) {
        return Ok(literal);
    }
    Ok(cast(literal, pg_type))
}

fn cast(expr: Expr, pg_type: &PgType) -> Expr {
    let data_type = sql_type_name(pg_type);
    Expr::Cast { kind: ast::CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// The type in SQL.
pub(crate) fn sql_type_name(pg_type: &PgType) -> ast::DataType {
    use ast::{DataType, ExactNumberInfo, TimezoneInfo};
    if let Some(element) = pg_type.element() {
        return DataType::Array(ast::ArrayElemTypeDef::SquareBracket(Box::new(sql_type_name(&element)), None));
    }
    match *pg_type {
        PgType::BOOL => DataType::Boolean,
        PgType::INT2 => DataType::SmallInt(None),
        PgType::INT4 => DataType::Integer(None),
        PgType::INT8 => DataType::BigInt(None),
        PgType::FLOAT4 => DataType::Real,
        PgType::FLOAT8 => DataType::DoublePrecision,
        PgType::NUMERIC => DataType::Numeric(ExactNumberInfo::PrecisionAndScale(38, 10)),
        PgType::BYTEA => DataType::Bytea,
        PgType::DATE => DataType::Date,
        PgType::TIME => DataType::Time(None, TimezoneInfo::None),
        PgType::TIMESTAMP => DataType::Timestamp(None, TimezoneInfo::None),
        PgType::TIMESTAMPTZ => DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
        PgType::INTERVAL => DataType::Interval { fields: None, precision: None },
        PgType::OID => DataType::Custom(ast::ObjectName::from(vec![ast::Ident::new("oid")]), vec![]),
        _ => DataType::Text,
    }
}

pub(super) fn invalid(pg_type: &PgType, text: &str) -> WireError {
    let name = match pg_type.name() {
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bool" => "boolean",
        "timestamptz" => "timestamp with time zone",
        other => other,
    };
    WireError::new("22P02", format!("invalid input syntax for type {name}: \"{text}\""))
}

/// Numbers and truth values are checked here: the message is the one that clients know.
fn check(text: &str, pg_type: &PgType) -> Result<()> {
    let trimmed = text.trim();
    let integer = |bits: u32| match trimmed.parse::<i128>() {
        Ok(value) if value >= -(1 << (bits - 1)) && value < (1 << (bits - 1)) => Ok(()),
        Ok(_) => Err(WireError::new("22003", format!("value \"{text}\" is out of range for type {}", pg_type.name()))),
        Err(_) => Err(invalid(pg_type, text)),
    };
    match *pg_type {
        PgType::INT2 => integer(16),
        PgType::INT4 => integer(32),
        PgType::INT8 => integer(64),
        PgType::FLOAT4 | PgType::FLOAT8 if trimmed.parse::<f64>().is_err() => Err(invalid(pg_type, text)),
        PgType::BOOL => {
            let known = ["t", "f", "true", "false", "yes", "no", "on", "off", "1", "0", "y", "n"];
            if known.contains(&trimmed.to_ascii_lowercase().as_str()) { Ok(()) } else { Err(invalid(pg_type, text)) }
        }
        _ => Ok(()),
    }
}

pub(super) fn bytea_digits(text: &str) -> Option<String> {
    match text.strip_prefix("\\x") {
        Some(digits) => (digits.len() % 2 == 0 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| digits.to_owned()),
        None => Some(text.bytes().map(|byte| format!("{byte:02x}")).collect()),
    }
}

/// A value in binary as the text of its type.
pub(crate) fn binary_text(bytes: &[u8], pg_type: &PgType) -> Result<String> {
    let wrong = || WireError::new("22P03", format!("incorrect binary data format for type {}", pg_type.name()));
    if pg_type.element().is_some() {
        return array_text(bytes, pg_type).ok_or_else(wrong);
    }
    let i64_of = || <[u8; 8]>::try_from(bytes).map(i64::from_be_bytes).map_err(|_| wrong());
    let i32_of = || <[u8; 4]>::try_from(bytes).map(i32::from_be_bytes).map_err(|_| wrong());
    let mut out = bytes::BytesMut::new();
    match *pg_type {
        PgType::BOOL => return Ok(if bytes == [0] { "false" } else { "true" }.to_owned()),
        PgType::INT2 => return <[u8; 2]>::try_from(bytes).map(|b| i16::from_be_bytes(b).to_string()).map_err(|_| wrong()),
        PgType::INT4 => return Ok(i32_of()?.to_string()),
        PgType::OID => return Ok(i32_of()?.cast_unsigned().to_string()),
        PgType::INT8 => return Ok(i64_of()?.to_string()),
        PgType::FLOAT4 => text::float32(&mut out, f32::from_bits(i32_of()?.cast_unsigned())),
        PgType::FLOAT8 => text::float64(&mut out, f64::from_bits(i64_of()?.cast_unsigned())),
        PgType::NUMERIC => return numeric::from_binary(bytes).ok_or_else(wrong),
        PgType::BYTEA => text::bytes(&mut out, bytes),
        PgType::DATE => text::date(&mut out, i32_of()?.saturating_add(DAYS_TO_2000)),
        PgType::TIME => text::time(&mut out, i64_of()?),
        PgType::TIMESTAMP => text::timestamp(&mut out, i64_of()?.saturating_add(MICROS_TO_2000), None),
        PgType::TIMESTAMPTZ => text::timestamp(&mut out, i64_of()?.saturating_add(MICROS_TO_2000), Some(text::Zone::UTC)),
        PgType::INTERVAL => {
            let parts: [u8; 16] = bytes.try_into().map_err(|_| wrong())?;
            let part = |from: usize| i32::from_be_bytes([parts[from], parts[from + 1], parts[from + 2], parts[from + 3]]);
            let micros = i64::from(part(0)) << 32 | i64::from(part(4).cast_unsigned());
            return Ok(interval_literal(part(12), part(8), micros));
        }
        PgType::UUID => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let [a, b, c, d, e] = [digits.get(..8), digits.get(8..12), digits.get(12..16), digits.get(16..20), digits.get(20..32)];
            return match (a, b, c, d, e) {
                (Some(a), Some(b), Some(c), Some(d), Some(e)) => Ok(format!("{a}-{b}-{c}-{d}-{e}")),
                _ => Err(wrong()),
            };
        }
        PgType::JSONB => return utf8(bytes.strip_prefix(&[1]).ok_or_else(wrong)?),
        _ => return utf8(bytes),
    }
    utf8(&out)
}

/// An interval as the planner reads it: units with numbers, no clock.
fn interval_literal(months: i32, days: i32, micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (seconds, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    format!("{months} months {days} days {sign}{seconds}.{fraction:06} seconds")
}

/// A binary array of one dimension in its text form.
fn array_text(bytes: &[u8], pg_type: &PgType) -> Option<String> {
    let word = |at: usize| Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (dimensions, element) = (word(0)?, PgType::from_oid(word(8)?.cast_unsigned()).or_else(|| pg_type.element())?);
    if dimensions == 0 {
        return Some("{}".to_owned());
    }
    let count = usize::try_from(word(12)?).ok().filter(|count| dimensions == 1 && *count <= bytes.len() / 4)?;
    let mut at = 20;
    let mut parts = Vec::with_capacity(count);
    for _ in 0..count {
        let length = word(at)?;
        at += 4;
        let Ok(length) = usize::try_from(length) else {
            parts.push("NULL".to_owned());
            continue;
        };
        let value = binary_text(bytes.get(at..at.checked_add(length)?)?, &element).ok()?;
        parts.push(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")));
        at += length;
    }
    Some(format!("{{{}}}", parts.join(",")))
}

/// `{a,"b c",NULL}` as `[CAST('a' AS …), …]`.
fn array_literal(text: &str, element: &PgType) -> Result<Expr> {
    let parts = array_parts(text)?;
    let elements = parts.iter().map(|part| parameter_literal(part.as_deref().map(str::as_bytes), Format::Text, element));
    let array = Expr::Array(ast::Array { elem: elements.collect::<Result<_>>()?, named: true });
    Ok(cast(array, &element.array()))
}

/// The elements of an array of one dimension in its text form.
pub(crate) fn array_parts(text: &str) -> Result<Vec<Option<String>>> {
    let malformed = || WireError::new("22P02", format!("malformed array literal: \"{text}\""));
    let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(malformed)?;
    let mut parts = Vec::new();
    let mut chars = inner.chars().peekable();
    while chars.peek().is_some() {
        let (mut value, mut quoted) = (String::new(), false);
        loop {
            match chars.next() {
                None | Some(',') => break,
                Some('"') => {
                    quoted = true;
                    loop {
                        match chars.next().ok_or_else(malformed)? {
                            '"' => break,
                            '\\' => value.push(chars.next().ok_or_else(malformed)?),
                            other => value.push(other),
                        }
                    }
                }
                Some('\\') => value.push(chars.next().ok_or_else(malformed)?),
                Some('{' | '}') => return Err(malformed()),
                Some(other) => value.push(other),
            }
        }
        parts.push(if !quoted && value.trim().eq_ignore_ascii_case("NULL") { None } else { Some(value) });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(bytes: &[u8], format: Format, pg_type: &PgType) -> String {
        parameter_literal(Some(bytes), format, pg_type).unwrap().to_string()
    }

    #[test]
    fn parameters_become_literals() {
        assert_eq!(literal(b"7", Format::Text, &PgType::INT8), "CAST('7' AS BIGINT)");
        assert_eq!(literal(&[0, 0, 0, 0, 0, 0, 0, 7], Format::Binary, &PgType::INT8), "CAST('7' AS BIGINT)");
        assert_eq!(literal(b"it's", Format::Text, &PgType::TEXT), "'it''s'");
        assert_eq!(literal(b"\\xdead", Format::Text, &PgType::BYTEA), "X'dead'");
        assert_eq!(
            literal(&[0, 2, 0xea, 0x5d, 0xbb, 0x1f, 0x6f, 0x35], Format::Binary, &PgType::TIMESTAMPTZ),
            "CAST('2026-01-02 03:04:05.678901+00' AS TIMESTAMP WITH TIME ZONE)"
        );
        assert_eq!(
            literal(
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xf0, 0xbd, 0xc0, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff],
                Format::Binary,
                &PgType::INTERVAL
            ),
            "CAST('-1 months 3 days -1.000000 seconds' AS INTERVAL)"
        );
        assert_eq!(parameter_literal(None, Format::Text, &PgType::INT4).unwrap().to_string(), "CAST(NULL AS INTEGER)");
        assert_eq!(
            literal(b"{1,NULL}", Format::Text, &PgType::INT4.array()),
            "CAST(ARRAY[CAST('1' AS INTEGER), CAST(NULL AS INTEGER)] AS INTEGER[])"
        );
    }

    #[test]
    fn what_is_no_value_of_its_type_is_refused() {
        let state = |bytes: &[u8], format, pg_type: &PgType| parameter_literal(Some(bytes), format, pg_type).unwrap_err().sqlstate;
        assert_eq!(state(b"seven", Format::Text, &PgType::INT8), "22P02");
        assert_eq!(state(b"70000", Format::Text, &PgType::INT2), "22003");
        assert_eq!(state(&[1, 2, 3], Format::Binary, &PgType::INT8), "22P03");
        assert_eq!(state(b"{1", Format::Text, &PgType::INT4.array()), "22P02");
        assert_eq!(
            state(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1], Format::Binary, &PgType::INT4.array()),
            "22P03"
        );
    }
}
