//! Whole lines as one TEXT column.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, LargeStringBuilder, RecordBatch, RecordBatchOptions, StringBuilder, StringViewBuilder};
use arrow::datatypes::{DataType, SchemaRef};

use super::lines::{RecordsDecoder, Undecodable};
use super::type_name::sql_type;
use crate::error::{ConnectorError, Result};

/// Takes lines as they are.
#[derive(Debug)]
pub struct RawDecoder {
    schema: SchemaRef,
}

impl RawDecoder {
    /// `columns` must be one TEXT column; `schema` is its projection.
    pub fn new(columns: &SchemaRef, schema: SchemaRef) -> Result<Self> {
        let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        match columns.fields().as_ref() {
            [field] if is_text(field.data_type()) => Ok(Self { schema }),
            fields => {
                let got = fields.iter().map(|field| format!("{} {}", field.name(), sql_type(field.data_type()))).collect::<Vec<_>>();
                Err(ConnectorError::config(format!(
                    "format 'raw' gives one TEXT column: got ({}) (hint: declare (line TEXT), or use 'format' = 'json' or 'csv')",
                    got.join(", ")
                )))
            }
        }
    }
}

impl RecordsDecoder for RawDecoder {
    fn decode(&mut self, bytes: &[u8], records: &[Range<usize>]) -> Result<RecordBatch, Undecodable> {
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        let mut columns = Vec::new();
        if let Some(field) = self.schema.fields().first() {
            columns.push(text_column(field.data_type(), bytes, records)?);
        }
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(|_| Undecodable { at: None })
    }

    fn explain(&mut self, _record: &[u8]) -> String {
        "it is no text".to_owned()
    }

    fn reset(&mut self) {}
}

fn text_column(data_type: &DataType, bytes: &[u8], records: &[Range<usize>]) -> Result<ArrayRef, Undecodable> {
    macro_rules! collect {
        ($builder:expr) => {{
            let mut builder = $builder;
            for (idx, record) in records.iter().enumerate() {
                let line = bytes[record.clone()].strip_suffix(b"\n").unwrap_or(&bytes[record.clone()]);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                builder.append_value(std::str::from_utf8(line).map_err(|_| Undecodable { at: Some(idx) })?);
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    Ok(match data_type {
        DataType::Utf8 => collect!(StringBuilder::new()),
        DataType::LargeUtf8 => collect!(LargeStringBuilder::new()),
        _ => collect!(StringViewBuilder::new()),
    })
}
