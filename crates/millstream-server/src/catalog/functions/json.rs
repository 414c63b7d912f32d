//! What the operators of JSON do: `->`, `->>`, `#>`, `#>>`; and what clients ask about documents.

use serde_json::Value;

use super::{Entry, entry, text_at};
use crate::catalog::shape::Cell;
use crate::error::WireError;

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Entry] = &[
    entry("json_get", "jsonb", |_, arguments| found(arguments, step, shown)),
    entry("json_get_text", "text", |_, arguments| found(arguments, step, plain)),
    entry("json_get_path", "jsonb", |_, arguments| found(arguments, path, shown)),
    entry("json_get_path_text", "text", |_, arguments| found(arguments, path, plain)),
    entry("jsonb_typeof", "text", |_, arguments| Ok(document(arguments)?.map(|value| type_name(&value).into()))),
    entry("json_typeof", "text", |_, arguments| Ok(document(arguments)?.map(|value| type_name(&value).into()))),
    entry("jsonb_array_length", "int4", |_, arguments| Ok(document(arguments)?.and_then(|value| length(&value)).map(Cell::Int))),
    entry("json_array_length", "int4", |_, arguments| Ok(document(arguments)?.and_then(|value| length(&value)).map(Cell::Int))),
];

fn document(arguments: &super::Arguments<'_>) -> Result<Option<Value>, WireError> {
    let Some(text) = text_at(arguments, 0) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|_| WireError::new("22P02", "invalid input syntax for type json"))
}

/// How one gets from a document to what is asked for.
type Step = for<'a> fn(&'a Value, &str) -> Option<&'a Value>;

fn found(arguments: &super::Arguments<'_>, step: Step, show: fn(&Value) -> Option<Cell>) -> Result<Option<Cell>, WireError> {
    let (Some(value), Some(key)) = (document(arguments)?, text_at(arguments, 1)) else { return Ok(None) };
    Ok(step(&value, key).and_then(show))
}

/// A key of an object, or a place of an array; places below zero count from the end.
fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(key),
        Value::Array(elements) => {
            let place: i64 = key.parse().ok()?;
            let place = if place < 0 { place.checked_add(i64::try_from(elements.len()).ok()?)? } else { place };
            elements.get(usize::try_from(place).ok()?)
        }
        _ => None,
    }
}

/// `{a,0,b}`
fn path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let inner = path.trim().strip_prefix('{')?.strip_suffix('}')?;
    inner.split(',').filter(|key| !key.is_empty()).try_fold(value, |value, key| step(value, key.trim().trim_matches('"')))
}

fn shown(value: &Value) -> Option<Cell> {
    Some(value.to_string().into())
}

fn plain(value: &Value) -> Option<Cell> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into()),
        other => Some(other.to_string().into()),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn length(value: &Value) -> Option<i64> {
    value.as_array().and_then(|elements| i64::try_from(elements.len()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_walked() {
        let value: Value = serde_json::from_str(r#"{"a": [1, {"b": "x"}], "n": null}"#).unwrap();
        assert_eq!(path(&value, "{a,1,b}").and_then(plain), Some(Cell::Text("x".to_owned())));
        assert_eq!(path(&value, "{a,-1}").and_then(shown), Some(Cell::Text(r#"{"b":"x"}"#.to_owned())));
        assert_eq!((step(&value, "n").and_then(plain), step(&value, "z")), (None, None));
        assert_eq!(length(&value), None);
    }
}
