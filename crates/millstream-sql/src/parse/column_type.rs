//! SQL types: how they are written and what they are in Arrow.
//!
//! PostgreSQL's and Flink's names mean the same types. Timestamps have the unit that holds their digits: up to 3
//! milliseconds, up to 6 microseconds (the default, as in PostgreSQL), up to 9 nanoseconds; with a time zone they are
//! kept in UTC.

use std::sync::Arc;

use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType as ArrowType, Field, Fields, IntervalUnit, TimeUnit,
};
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, StructBracketKind, StructField, TimezoneInfo};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{SqlError, SqlErrorKind, SqlResult, closest};

use super::grammar::Grammar;
use super::limits::{NESTING_DEPTH_MAX, nesting_error};
use super::script::identifier_text;

impl Grammar<'_> {
    /// The type of a column; `ROW`, `STRUCT`, `MAP` and `TIMESTAMP_LTZ` beyond what sqlparser reads.
    pub(super) fn column_type(&mut self) -> SqlResult<DataType> {
        self.type_at_depth(0)
    }

    fn type_at_depth(&mut self, depth: usize) -> SqlResult<DataType> {
        if depth > NESTING_DEPTH_MAX {
            return Err(nesting_error().with_span(self.here()));
        }
        let next = self.parser.peek_nth_token(1).token;
        let opens = matches!(next, Token::Lt | Token::LParen);
        let mut data_type = if self.peek_word(0, "ARRAY") && next == Token::Lt {
            let [element] = self.type_arguments(depth)?;
            DataType::Array(ArrayElemTypeDef::AngleBracket(Box::new(element)))
        } else if self.peek_word(0, "MAP") && next == Token::Lt {
            let [key, value] = self.type_arguments(depth)?;
            DataType::Map(Box::new(key), Box::new(value))
        } else if (self.peek_word(0, "ROW") || self.peek_word(0, "STRUCT")) && opens {
            self.row_type(depth)?
        } else {
            self.leaf_type()?
        };
        let mut brackets = depth;
        while self.parser.consume_token(&Token::LBracket) {
            brackets += 1;
            if brackets > NESTING_DEPTH_MAX {
                return Err(nesting_error().with_span(self.here()));
            }
            if matches!(self.parser.peek_token().token, Token::Number(..)) {
                self.parser.next_token();
            }
            self.parser.expect_token(&Token::RBracket)?;
            data_type = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(data_type), None));
        }
        if depth > 0 {
            let _ = self.words(&["NOT", "NULL"]) || self.word("NULL");
        }
        Ok(data_type)
    }

    /// `WORD<type, …>`
    fn type_arguments<const N: usize>(&mut self, depth: usize) -> SqlResult<[DataType; N]> {
        self.parser.next_token();
        self.parser.next_token();
        let mut types = [const { DataType::Unspecified }; N];
        for (n, place) in types.iter_mut().enumerate() {
            if n > 0 {
                self.parser.expect_token(&Token::Comma)?;
            }
            *place = self.type_at_depth(depth + 1)?;
        }
        self.parser.expect_token(&Token::Gt)?;
        Ok(types)
    }

    /// `ROW<a INT, b TEXT>` or `ROW(a INT, b TEXT)`
    fn row_type(&mut self, depth: usize) -> SqlResult<DataType> {
        self.parser.next_token();
        let closing = if self.parser.next_token().token == Token::Lt { Token::Gt } else { Token::RParen };
        let mut fields = Vec::new();
        loop {
            let field_name = Some(self.parser.parse_identifier()?);
            let _ = self.parser.consume_token(&Token::Colon);
            let field_type = self.type_at_depth(depth + 1)?;
            fields.push(StructField { field_name, field_type, options: None });
            if matches!(self.parser.peek_token().token, Token::SingleQuotedString(_)) {
                self.parser.next_token(); // Flink allows a comment on a field.
            }
            if !self.parser.consume_token(&Token::Comma) {
                self.parser.expect_token(&closing)?;
                return Ok(DataType::Struct(fields, StructBracketKind::AngleBrackets));
            }
        }
    }

    fn leaf_type(&mut self) -> SqlResult<DataType> {
        let span = self.here();
        if self.word("TIMESTAMP_LTZ") {
            let precision = self.parser.parse_optional_precision()?;
            return Ok(DataType::Timestamp(precision, TimezoneInfo::Tz));
        }
        let is_timestamp = self.peek_word(0, "TIMESTAMP");
        let words = if self.parser.peek_nth_token(1).token == Token::LParen { 4 } else { 1 };
        let local = ["WITH", "LOCAL", "TIME", "ZONE"].iter().enumerate().all(|(n, w)| self.peek_word(words + n, w));
        if is_timestamp && local {
            self.parser.next_token();
            let precision = self.parser.parse_optional_precision()?;
            self.words(&["WITH", "LOCAL", "TIME", "ZONE"]);
            return Ok(DataType::Timestamp(precision, TimezoneInfo::Tz));
        }
        if self.peek_word(0, "ARRAY") {
            return Err(self.expected("an element type: ARRAY<BIGINT> or BIGINT[]"));
        }
        let data_type = self.parser.parse_data_type()?;
        // An unknown name is told here, where its place is known.
        arrow_type(&data_type).map_err(|err| err.with_span(span))?;
        Ok(data_type)
    }
}

/// The Arrow type of a SQL type.
///
/// # Errors
/// A type without a counterpart, a precision out of range, an unknown name (with the closest known one).
pub fn arrow_type(data_type: &DataType) -> SqlResult<ArrowType> {
    let arrow = match data_type {
        DataType::Boolean | DataType::Bool => ArrowType::Boolean,
        DataType::TinyInt(_) => ArrowType::Int8,
        DataType::SmallInt(_) | DataType::Int2(_) | DataType::Int16 => ArrowType::Int16,
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) | DataType::Int32 | DataType::MediumInt(_) => ArrowType::Int32,
        DataType::BigInt(_) | DataType::Int8(_) | DataType::Int64 => ArrowType::Int64,
        DataType::TinyIntUnsigned(_) | DataType::UTinyInt | DataType::UInt8 => ArrowType::UInt8,
        DataType::SmallIntUnsigned(_) | DataType::Int2Unsigned(_) | DataType::USmallInt | DataType::UInt16 => ArrowType::UInt16,
        DataType::IntUnsigned(_) | DataType::IntegerUnsigned(_) | DataType::Int4Unsigned(_) | DataType::UInt32 => ArrowType::UInt32,
        DataType::BigIntUnsigned(_) | DataType::Int8Unsigned(_) | DataType::UBigInt | DataType::UInt64 => ArrowType::UInt64,
        DataType::Real | DataType::Float4 | DataType::Float32 => ArrowType::Float32,
        DataType::Float(precision) => float(precision),
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float64 => ArrowType::Float64,
        DataType::Decimal(info) | DataType::Numeric(info) | DataType::Dec(info) => decimal(data_type, info)?,
        DataType::Char(_)
        | DataType::Character(_)
        | DataType::Varchar(_)
        | DataType::Nvarchar(_)
        | DataType::CharacterVarying(_)
        | DataType::CharVarying(_)
        | DataType::Text
        | DataType::String(_)
        | DataType::Uuid
        | DataType::JSON
        | DataType::JSONB => ArrowType::Utf8,
        DataType::Bytea | DataType::Bytes(_) | DataType::Binary(_) | DataType::Varbinary(_) | DataType::Blob(_) => ArrowType::Binary,
        DataType::Date | DataType::Date32 => ArrowType::Date32,
        DataType::Time(precision, zone) => time(data_type, *precision, zone)?,
        DataType::Timestamp(precision, zone) => {
            let zone = matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz).then(|| Arc::from("UTC"));
            ArrowType::Timestamp(unit(data_type, *precision)?, zone)
        }
        DataType::TimestampNtz(precision) | DataType::Datetime(precision) => ArrowType::Timestamp(unit(data_type, *precision)?, None),
        DataType::Interval { .. } => ArrowType::Interval(IntervalUnit::MonthDayNano),
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(element) | ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::Parenthesis(element),
        ) => ArrowType::new_list(arrow_type(element)?, true),
        DataType::Struct(fields, _) => ArrowType::Struct(row_fields(fields)?),
        DataType::Map(key, value) => map(key, value)?,
        other => return named(other),
    };
    Ok(arrow)
}

/// Names that sqlparser does not know as types.
fn named(data_type: &DataType) -> SqlResult<ArrowType> {
    if let DataType::Custom(name, modifiers) = data_type {
        let precision = match modifiers.as_slice() {
            [] => None,
            [digits] => digits.parse().ok(),
            _ => None,
        };
        match name.to_string().to_uppercase().as_str() {
            "TIMESTAMP_LTZ" => {
                return Ok(ArrowType::Timestamp(unit(data_type, precision)?, Some(Arc::from("UTC"))));
            }
            "TEXT" | "NAME" | "BPCHAR" => return Ok(ArrowType::Utf8),
            _ => {}
        }
    }
    let text = data_type.to_string();
    let base = text.split(['(', '<']).next().unwrap_or(&text).trim().to_owned();
    let err = SqlError::new(SqlErrorKind::Type, format!("type {text} does not exist"));
    Err(match closest(&base, TYPE_NAMES) {
        Some(better) if !better.eq_ignore_ascii_case(&base) => err.with_hint(format!("did you mean {better}?")),
        _ => err.with_hint(format!("types are: {}", TYPE_NAMES.join(", "))),
    })
}

const TYPE_NAMES: [&str; 20] = [
    "BOOLEAN",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "REAL",
    "DOUBLE",
    "DECIMAL",
    "NUMERIC",
    "TEXT",
    "STRING",
    "VARCHAR",
    "BYTES",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "TIMESTAMP_LTZ",
    "ARRAY",
    "MAP",
    "ROW",
];

/// `FLOAT` is 32 bits, as in Flink and in DataFusion's CAST; digits beyond those of 32 bits make it 64, as in PostgreSQL.
fn float(info: &ExactNumberInfo) -> ArrowType {
    match info {
        ExactNumberInfo::None | ExactNumberInfo::Precision(..=24) => ArrowType::Float32,
        _ => ArrowType::Float64,
    }
}

fn decimal(data_type: &DataType, info: &ExactNumberInfo) -> SqlResult<ArrowType> {
    let (precision, scale) = match *info {
        // Without digits PostgreSQL's type is unbounded; this is what DataFusion gives it.
        ExactNumberInfo::None => (38, 10),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let out_of_range = || {
        SqlError::new(SqlErrorKind::Type, format!("{data_type} is out of range"))
            .with_hint(format!("precision is 1 to {DECIMAL256_MAX_PRECISION}, scale 0 to precision"))
    };
    let digits = u8::try_from(precision).map_err(|_| out_of_range())?;
    let places = i8::try_from(scale).map_err(|_| out_of_range())?;
    if digits == 0 || digits > DECIMAL256_MAX_PRECISION || places < 0 || i64::from(places) > i64::from(digits) {
        return Err(out_of_range());
    }
    Ok(if digits <= DECIMAL128_MAX_PRECISION { ArrowType::Decimal128(digits, places) } else { ArrowType::Decimal256(digits, places) })
}

fn unit(data_type: &DataType, precision: Option<u64>) -> SqlResult<TimeUnit> {
    match precision {
        Some(0..=3) => Ok(TimeUnit::Millisecond),
        None | Some(4..=6) => Ok(TimeUnit::Microsecond),
        Some(7..=9) => Ok(TimeUnit::Nanosecond),
        Some(more) => Err(SqlError::new(SqlErrorKind::Type, format!("{data_type} asks for {more} digits of a second"))
            .with_hint("0 to 9 digits are possible")),
    }
}

fn time(data_type: &DataType, precision: Option<u64>, zone: &TimezoneInfo) -> SqlResult<ArrowType> {
    if matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) {
        return Err(SqlError::unsupported("TIME WITH TIME ZONE is not supported").with_hint("use TIME or TIMESTAMPTZ"));
    }
    Ok(match unit(data_type, precision)? {
        TimeUnit::Millisecond => ArrowType::Time32(TimeUnit::Millisecond),
        other => ArrowType::Time64(other),
    })
}

fn row_fields(fields: &[StructField]) -> SqlResult<Fields> {
    let mut arrow = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let name = field.field_name.as_ref().map_or_else(|| format!("f{index}"), identifier_text);
        arrow.push(Field::new(name, arrow_type(&field.field_type)?, true));
    }
    Ok(Fields::from(arrow))
}

/// Laid out as Arrow wants maps: a list of non-null `entries` of non-null `keys` and nullable `values`.
fn map(key: &DataType, value: &DataType) -> SqlResult<ArrowType> {
    let entries = Fields::from(vec![Field::new("keys", arrow_type(key)?, false), Field::new("values", arrow_type(value)?, true)]);
    Ok(ArrowType::Map(Arc::new(Field::new("entries", ArrowType::Struct(entries), false)), false))
}
