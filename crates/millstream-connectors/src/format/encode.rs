//! Writing rows as lines: JSON, CSV, and the bracketed form of `print`.

use std::fmt;
use std::io::Write;

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder as CsvWriterBuilder;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::json::writer::{LineDelimited, WriterBuilder as JsonWriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::config::{Format, Header, LineOptions};
use super::type_name::sql_type;
use crate::error::{ConnectorError, Result};

/// Turns batches into bytes.
pub trait LineEncoder: fmt::Debug + Send {
    /// What stands before the first row.
    fn header(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Appends the rows of a batch.
    fn encode(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()>;
}

/// The encoder of a line format.
pub fn line_encoder(format: Format, options: &LineOptions, schema: &SchemaRef) -> Result<Box<dyn LineEncoder>> {
    match format {
        Format::Json => Ok(Box::new(JsonEncoder { explicit_nulls: !options.json_omit_nulls })),
        Format::Csv => Ok(Box::new(CsvEncoder::new(options, schema)?)),
        Format::Raw => match schema.fields().len() {
            1 => Ok(Box::new(RawEncoder)),
            count => Err(ConnectorError::config(format!("format 'raw' writes one column: got {count} (hint: use 'format' = 'json')"))),
        },
        Format::Parquet => {
            Err(ConnectorError::config("format 'parquet' is written to files only (hint: use 'connector' = 'file', or 'format' = 'json')"))
        }
    }
}

#[derive(Debug)]
struct JsonEncoder {
    explicit_nulls: bool,
}

impl LineEncoder for JsonEncoder {
    fn encode(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let mut writer = JsonWriterBuilder::new().with_explicit_nulls(self.explicit_nulls).build::<_, LineDelimited>(out);
        writer.write(batch).and_then(|()| writer.finish()).map_err(|error| cannot_write("json", &error))
    }
}

#[derive(Debug)]
struct CsvEncoder {
    schema: SchemaRef,
    header: bool,
    delimiter: u8,
    quote: u8,
    escape: Option<u8>,
    null: String,
}

impl CsvEncoder {
    fn new(options: &LineOptions, schema: &SchemaRef) -> Result<Self> {
        if let Some(field) = schema.fields().iter().find(|field| field.data_type().is_nested()) {
            return Err(ConnectorError::config(format!(
                "format 'csv' cannot hold column '{}': type {} (hint: use 'format' = 'json')",
                field.name(),
                sql_type(field.data_type())
            )));
        }
        Ok(Self {
            schema: schema.clone(),
            header: options.csv.header != Header::Absent,
            delimiter: options.csv.delimiter,
            quote: options.csv.quote.unwrap_or(b'"'),
            escape: options.csv.escape,
            null: options.csv.null_literal.clone().unwrap_or_default(),
        })
    }

    fn write(&self, batch: &RecordBatch, header: bool, out: &mut Vec<u8>) -> Result<()> {
        let mut builder =
            CsvWriterBuilder::new().with_header(header).with_delimiter(self.delimiter).with_quote(self.quote).with_null(self.null.clone());
        if let Some(escape) = self.escape {
            builder = builder.with_escape(escape).with_double_quote(false);
        }
        builder.build(out).write(batch).map_err(|error| cannot_write("csv", &error))
    }
}

impl LineEncoder for CsvEncoder {
    fn header(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        if self.header {
            self.write(&RecordBatch::new_empty(self.schema.clone()), true, &mut out)?;
        }
        Ok(out)
    }

    fn encode(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.write(batch, false, out)
    }
}

#[derive(Debug)]
struct RawEncoder;

impl LineEncoder for RawEncoder {
    fn encode(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let column = batch.columns().first().ok_or_else(|| ConnectorError::config("format 'raw' writes one column: got none"))?;
        let options = FormatOptions::default();
        let values = ArrayFormatter::try_new(column, &options).map_err(|error| cannot_write("raw", &error))?;
        for row in 0..batch.num_rows() {
            writeln!(out, "{}", values.value(row)).map_err(|error| ConnectorError::io("cannot format a row", error))?;
        }
        Ok(())
    }
}

/// One row a line in brackets, the way Flink's `print` shows rows: `+I[1, one, NULL]`.
#[derive(Debug)]
pub struct PrintEncoder {
    /// Stands before each row: `name> `.
    pub prefix: String,
}

impl LineEncoder for PrintEncoder {
    fn encode(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let options = FormatOptions::default().with_null("NULL");
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| cannot_write("print", &error))?;
        for row in 0..batch.num_rows() {
            out.extend_from_slice(self.prefix.as_bytes());
            out.extend_from_slice(b"+I[");
            for (idx, column) in columns.iter().enumerate() {
                let comma = if idx == 0 { "" } else { ", " };
                write!(out, "{comma}{}", column.value(row)).map_err(|error| ConnectorError::io("cannot format a row", error))?;
            }
            out.extend_from_slice(b"]\n");
        }
        Ok(())
    }
}

fn cannot_write(format: &str, error: &arrow::error::ArrowError) -> ConnectorError {
    ConnectorError::data(format!("a row cannot be written as {format}: {error}"))
}

/// Whether a column of this type can be written as one field of text.
pub fn is_flat(data_type: &DataType) -> bool {
    !data_type.is_nested()
}
