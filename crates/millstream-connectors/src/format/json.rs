//! JSON lines: one object per line. Missing fields are NULL, fields that are no column are ignored.
//!
//! Texts are taken for numbers if they read as such, and numbers for TEXT. A number with a fraction is cut to fit an integer column,
//! as in Flink. A timestamp is ISO text, or a number in the unit of its column (milliseconds for `TIMESTAMP(3)`).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::json::reader::{Decoder, ReaderBuilder};
use serde_json::Value;

use super::lines::{RecordsDecoder, Undecodable, shortened};
use super::type_name::sql_type;
use crate::error::{ConnectorError, Result};

/// Deepest nesting; what is deeper is a bad row. (The decoder's own error messages recurse into a value.)
const DEPTH_MAX: usize = 128;

/// Decodes objects into columns.
pub struct JsonDecoder {
    schema: SchemaRef,
    decoder: Option<Decoder>,
    /// Records the decoder takes at once.
    capacity: usize,
}

impl fmt::Debug for JsonDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonDecoder").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl JsonDecoder {
    /// For these columns.
    pub fn new(schema: SchemaRef) -> Result<Self> {
        for field in schema.fields() {
            build(Arc::new(Schema::new([field.clone()])), 1).map_err(|error| {
                ConnectorError::config(format!(
                    "format 'json' cannot hold column '{}': type {} ({error})",
                    field.name(),
                    sql_type(field.data_type())
                ))
            })?;
        }
        Ok(Self { schema, decoder: None, capacity: 0 })
    }

    fn try_decode(&mut self, bytes: &[u8], records: &[Range<usize>]) -> Result<RecordBatch, Undecodable> {
        // One more than needed, so that a line with two objects is noticed.
        if self.capacity <= records.len() || self.decoder.is_none() {
            self.capacity = (records.len() + 1).next_power_of_two().max(64);
            self.decoder = build(self.schema.clone(), self.capacity).ok();
        }
        let decoder = self.decoder.as_mut().ok_or(Undecodable { at: None })?;
        for (idx, record) in records.iter().enumerate() {
            let line = &bytes[record.clone()];
            let fed = if is_too_deep(line) { None } else { decoder.decode(line).ok() };
            if fed != Some(line.len()) || decoder.has_partial_record() || decoder.len() != idx + 1 {
                return Err(Undecodable { at: Some(idx) });
            }
        }
        match decoder.flush() {
            Ok(Some(batch)) if numbers_are_finite(&batch) => Ok(batch),
            _ => Err(Undecodable { at: None }),
        }
    }
}

fn build(schema: SchemaRef, capacity: usize) -> Result<Decoder, arrow::error::ArrowError> {
    // Numbers and booleans are welcome in TEXT columns.
    ReaderBuilder::new(schema).with_batch_size(capacity).with_coerce_primitive(true).build_decoder()
}

impl RecordsDecoder for JsonDecoder {
    fn decode(&mut self, bytes: &[u8], records: &[Range<usize>]) -> Result<RecordBatch, Undecodable> {
        self.try_decode(bytes, records)
    }

    fn explain(&mut self, record: &[u8]) -> String {
        if is_too_deep(record) {
            return format!("JSON is nested too deep: more than {DEPTH_MAX} levels");
        }
        let object = match serde_json::from_slice(record) {
            Err(error) => return format!("not valid JSON: {}", error.to_string().replace(" at line 1 column ", " at byte ")),
            Ok(Value::Object(object)) => object,
            Ok(Value::Array(_)) => return "expected a JSON object, got a list (hint: write one object per line)".to_owned(),
            Ok(other) => return format!("expected a JSON object, got {}", shown(&other)),
        };
        match self.schema.fields().iter().find(|field| !decodes(field, record)) {
            Some(field) => explain_column(field, object.get(field.name())),
            None => "it does not decode".to_owned(),
        }
    }

    fn reset(&mut self) {
        self.decoder = None;
        self.capacity = 0;
    }
}

fn explain_column(field: &FieldRef, value: Option<&Value>) -> String {
    let name = field.name();
    match value {
        None => format!("column '{name}' is NOT NULL: the field is missing"),
        Some(Value::Null) => format!("column '{name}' is NOT NULL: the field is null"),
        Some(value) => format!("column '{name}' is {}: got {}", sql_type(field.data_type()), shown(value)),
    }
}

/// Whether the record decodes if it is only this column that is wanted.
fn decodes(field: &FieldRef, record: &[u8]) -> bool {
    let schema = Arc::new(Schema::new([field.clone()]));
    let options = super::LineOptions { max_line_bytes: usize::MAX - 2, ..super::LineOptions::default() };
    let mut line = record.to_vec();
    line.push(b'\n');
    super::lines::LineDecoder::new(super::Format::Json, &options, &schema, &[0], None).is_ok_and(|mut decoder| decoder.decodes_alone(&line))
}

fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

/// JSON knows no infinity: one comes from a number too large for its type.
fn numbers_are_finite(batch: &RecordBatch) -> bool {
    batch.columns().iter().all(|column| match column.data_type() {
        DataType::Float64 => !column.as_primitive::<Float64Type>().values().iter().any(|value| value.is_infinite()),
        DataType::Float32 => !column.as_primitive::<Float32Type>().values().iter().any(|value| value.is_infinite()),
        _ => true,
    })
}

/// Whether brackets nest deeper than [`DEPTH_MAX`].
fn is_too_deep(line: &[u8]) -> bool {
    // Cheap first: without that many brackets there is no such depth.
    if line.len() <= DEPTH_MAX || line.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in line {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}
