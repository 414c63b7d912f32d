//! Guessing columns from the first records of a file, so that a table over it needs no column list.

use std::fmt;
use std::sync::Arc;

use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::config::{CsvOptions, Header};
use super::csv::split_record;
use crate::error::{ConnectorError, Result};

/// Records looked at.
pub const SAMPLE_RECORDS_MAX: usize = 1_000;

/// What the values of a column seen so far have in common.
#[derive(Clone, Debug, PartialEq)]
enum Guess {
    Nothing,
    Bool,
    Int,
    Float,
    Date,
    /// Digits of the second's fraction: 3, 6 or 9.
    Timestamp(u8),
    Text,
    List(Box<Guess>),
    Object(Vec<(String, Guess)>),
}

impl Guess {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, guess) | (guess, Self::Nothing) => guess,
            (Self::Int, Self::Float) | (Self::Float, Self::Int) => Self::Float,
            (Self::Timestamp(a), Self::Timestamp(b)) => Self::Timestamp(a.max(b)),
            (Self::Date, Self::Timestamp(digits)) | (Self::Timestamp(digits), Self::Date) => Self::Timestamp(digits),
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.and(*b))),
            (Self::Object(a), Self::Object(b)) => Self::Object(merge(a, b)),
            (a, b) if a == b => a,
            _ => Self::Text,
        }
    }

    fn of_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Int,
            Value::Number(_) => Self::Float,
            Value::String(text) => Self::of_time(text).unwrap_or(Self::Text),
            Value::Array(values) => Self::List(Box::new(values.iter().map(Self::of_json).fold(Self::Nothing, Self::and))),
            Value::Object(fields) => Self::Object(fields.iter().map(|(name, value)| (name.clone(), Self::of_json(value))).collect()),
        }
    }

    fn of_text(text: &str, null: &str) -> Self {
        if text == null {
            return Self::Nothing;
        }
        if has_leading_zero(text) {
            // A postal code, a number of a phone: as a number it would lose its zeros.
            return Self::Text;
        }
        if text.parse::<i64>().is_ok() {
            return Self::Int;
        }
        let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        if numeric && text.parse::<f64>().is_ok() {
            return Self::Float;
        }
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            return Self::Bool;
        }
        Self::of_time(text).unwrap_or(Self::Text)
    }

    fn of_time(text: &str) -> Option<Self> {
        if text.len() < 10 || !text.as_bytes()[..4].iter().all(u8::is_ascii_digit) {
            return None;
        }
        string_to_datetime(&chrono::Utc, text).ok()?;
        if text.len() == 10 {
            return Some(Self::Date);
        }
        let fraction = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
        Some(Self::Timestamp(match fraction {
            0..=3 => 3,
            4..=6 => 6,
            _ => 9,
        }))
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Nothing | Self::Text => DataType::Utf8View,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp(3) => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::Timestamp(6) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamp(_) => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Self::List(item) => DataType::List(Arc::new(Field::new_list_field(item.data_type(), true))),
            Self::Object(fields) => DataType::Struct(to_fields(fields).into()),
        }
    }
}

fn merge(mut fields: Vec<(String, Guess)>, others: Vec<(String, Guess)>) -> Vec<(String, Guess)> {
    for (name, guess) in others {
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = std::mem::replace(known, Guess::Nothing).and(guess),
            None => fields.push((name, guess)),
        }
    }
    fields
}

fn to_fields(guesses: &[(String, Guess)]) -> Vec<FieldRef> {
    guesses.iter().map(|(name, guess)| Arc::new(Field::new(name, guess.data_type(), true))).collect()
}

/// The columns of JSON objects, in the order in which their fields first occur. Lines that are no objects are left out.
pub fn infer_json<'a>(lines: impl Iterator<Item = &'a [u8]>, place: &str) -> Result<SchemaRef> {
    let mut fields = Vec::new();
    for line in lines.take(SAMPLE_RECORDS_MAX) {
        let Ok(object) = serde_json::from_slice::<OrderedObject>(line) else { continue };
        let guesses = object.0.into_iter().map(|(name, value)| (name, Guess::of_json(&value))).collect();
        fields = merge(fields, guesses);
    }
    if fields.is_empty() {
        return Err(ConnectorError::data(format!(
            "columns of '{place}' cannot be guessed: it has no line with a JSON object (hint: declare the columns)"
        )));
    }
    Ok(Arc::new(Schema::new(to_fields(&fields))))
}

/// `007`
fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// True if the first record of a CSV file names the columns.
pub fn has_header(first: &[u8], options: &CsvOptions) -> bool {
    let null = options.null_literal.as_deref().unwrap_or_default();
    match options.header {
        Header::Present => true,
        Header::Absent => false,
        Header::Auto => split_record(first, options).iter().all(|text| Guess::of_text(text, null) == Guess::Text),
    }
}

/// The columns of CSV records: named by the header, or `column_1`, `column_2`, …
pub fn infer_csv<'a>(mut records: impl Iterator<Item = &'a [u8]>, options: &CsvOptions, place: &str) -> Result<SchemaRef> {
    let Some(first) = records.next() else {
        return Err(ConnectorError::data(format!("columns of '{place}' cannot be guessed: it is empty (hint: declare the columns)")));
    };
    let null = options.null_literal.as_deref().unwrap_or_default();
    let guess = |text: &String| Guess::of_text(text, null);
    let is_header = has_header(first, options);
    let first = split_record(first, options);
    let mut fields: Vec<(String, Guess)> = if is_header {
        first.into_iter().map(|name| (name, Guess::Nothing)).collect()
    } else {
        first.iter().enumerate().map(|(idx, text)| (format!("column_{}", idx + 1), guess(text))).collect()
    };
    for record in records.take(SAMPLE_RECORDS_MAX) {
        for ((_, known), text) in fields.iter_mut().zip(split_record(record, options)) {
            *known = std::mem::replace(known, Guess::Nothing).and(guess(&text));
        }
    }
    Ok(Arc::new(Schema::new(to_fields(&fields))))
}

/// A JSON object whose fields keep their order.
struct OrderedObject(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for OrderedObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = OrderedObject;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OrderedObject, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(OrderedObject(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(schema: &Schema) -> Vec<(String, DataType)> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    }

    #[test]
    fn json_fields_keep_their_order_and_widen() {
        let lines = [
            br#"{"z": 1, "a": null, "t": "2024-01-01T00:00:00Z"}"#.as_slice(),
            b"no json",
            br#"{"z": 1.5, "a": true, "t": "2024-01-01 00:00:00.123456", "l": [1]}"#.as_slice(),
        ];
        let schema = infer_json(lines.into_iter(), "x").unwrap();
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
        assert_eq!(
            types(&schema),
            [
                ("z".into(), DataType::Float64),
                ("a".into(), DataType::Boolean),
                ("t".into(), DataType::Timestamp(TimeUnit::Microsecond, None)),
                ("l".into(), list)
            ]
        );
        assert!(infer_json(std::iter::empty(), "x").unwrap_err().to_string().contains("declare the columns"));
    }

    #[test]
    fn csv_header_is_seen() {
        let records = [b"id,name,day\n".as_slice(), b"1,x,2024-01-02\n", b"2,,\n"];
        let schema = infer_csv(records.into_iter(), &CsvOptions::default(), "x").unwrap();
        assert_eq!(types(&schema), [("id".into(), DataType::Int64), ("name".into(), DataType::Utf8View), ("day".into(), DataType::Date32)]);
        let schema = infer_csv([b"1,x\n".as_slice()].into_iter(), &CsvOptions::default(), "x").unwrap();
        assert_eq!(types(&schema), [("column_1".into(), DataType::Int64), ("column_2".into(), DataType::Utf8View)]);
    }
}
