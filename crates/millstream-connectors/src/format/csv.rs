//! CSV: separated fields, quoted where needed, with or without a header.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use arrow::csv::reader::{Decoder, Format as ArrowCsv, ReaderBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

use super::config::{CsvOptions, Header, hint};
use super::lines::{RecordsDecoder, Undecodable, project, shortened};
use super::type_name::sql_type;
use crate::error::{ConnectorError, Result};

/// Decodes CSV records into columns.
#[derive(Debug)]
pub struct CsvDecoder {
    format: ArrowCsv,
    /// All fields of a record, in the file's order.
    fields: SchemaRef,
    /// For each projected column its field.
    projection: Vec<usize>,
    /// The projected columns as declared.
    schema: SchemaRef,
}

impl CsvDecoder {
    /// `header`: the names of the fields in the file's order; without it, fields are in the order of `columns`.
    pub fn new(options: &CsvOptions, columns: &SchemaRef, projection: &[usize], header: Option<&[String]>) -> Result<Self> {
        if let Some(field) = columns.fields().iter().find(|field| !is_supported(field.data_type())) {
            return Err(ConnectorError::config(format!(
                "format 'csv' cannot hold column '{}': type {} (hint: declare it TEXT, or use 'format' = 'json')",
                field.name(),
                sql_type(field.data_type())
            )));
        }
        let fields = match header {
            Some(names) => Arc::new(Schema::new(fields_in_order_of(names, columns)?)),
            None => columns.clone(),
        };
        let projection: Vec<usize> = projection.iter().map(|idx| fields.index_of(columns.field(*idx).name()).unwrap_or_default()).collect();
        let schema = project(&fields, &projection)?;
        Ok(Self { format: arrow_csv(options)?, fields, projection, schema })
    }

    fn build(&self, schema: SchemaRef, projection: Vec<usize>, capacity: usize) -> Decoder {
        ReaderBuilder::new(schema).with_format(self.format.clone()).with_batch_size(capacity).with_projection(projection).build_decoder()
    }

    /// The fields of one record as texts, `None` for NULL; or what is wrong with their number.
    fn texts(&self, line: &[u8]) -> Result<Vec<Option<String>>, String> {
        let all: Vec<FieldRef> =
            self.fields.fields().iter().map(|field| Arc::new(Field::new(field.name(), DataType::Utf8, true))).collect();
        let count = all.len();
        let decoder = self.build(Arc::new(Schema::new(all)), (0..count).collect(), 2);
        let batch = feed_one(decoder, line).map_err(|error| field_count_message(&error, count))?;
        let text = |idx: usize| {
            let column = batch.column(idx).as_string::<i32>();
            column.is_valid(0).then(|| column.value(0).to_owned())
        };
        Ok((0..count).map(text).collect())
    }

    fn decodes(&self, column: usize, line: &[u8]) -> bool {
        feed_one(self.build(self.fields.clone(), vec![self.projection[column]], 2), line).is_ok()
    }
}

impl RecordsDecoder for CsvDecoder {
    fn decode(&mut self, bytes: &[u8], records: &[Range<usize>]) -> Result<RecordBatch, Undecodable> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Ok(RecordBatch::new_empty(self.schema.clone()));
        };
        // The reader joins the fields before it checks their text, so that half a character at the end of one field and the other
        // half at the start of the next would pass as text in no field: it must be seen here that there is none.
        if let Err(error) = std::str::from_utf8(&bytes[first.start..last.end]) {
            let at = first.start + error.valid_up_to();
            return Err(Undecodable { at: Some(records.partition_point(|record| record.end <= at)) });
        }
        // A new one each time: a reader that stopped inside a record keeps that state over a flush, and loses the bytes.
        let capacity = records.len() + 1;
        let mut decoder = self.build(self.fields.clone(), self.projection.clone(), capacity);
        for (idx, record) in records.iter().enumerate() {
            let whole = feed(&mut decoder, &bytes[record.clone()]).is_ok() && capacity - decoder.capacity() == idx + 1;
            if !whole {
                return Err(Undecodable { at: Some(idx) });
            }
        }
        let Ok(Some(batch)) = decoder.flush() else { return Err(Undecodable { at: None }) };
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        RecordBatch::try_new_with_options(self.schema.clone(), batch.columns().to_vec(), &options).map_err(|_| Undecodable { at: None })
    }

    fn explain(&mut self, record: &[u8]) -> String {
        let mut line = record.to_vec();
        line.push(b'\n');
        let texts = match self.texts(&line) {
            Ok(texts) => texts,
            Err(message) => return message,
        };
        for (column, field) in self.schema.fields().iter().enumerate() {
            let (name, sql) = (field.name(), sql_type(field.data_type()));
            match &texts[self.projection[column]] {
                None if !field.is_nullable() => return format!("column '{name}' is NOT NULL: the field is empty"),
                Some(text) if !self.decodes(column, &line) => return format!("column '{name}' is {sql}: got '{text}'"),
                Some(text) if matches!(field.data_type(), DataType::Timestamp(..)) && !is_in_range(text, field.data_type()) => {
                    return format!("column '{name}' is {sql}: got '{}', outside the years 1 to 9999", shortened(text));
                }
                _ => {}
            }
        }
        "it does not decode".to_owned()
    }

    fn reset(&mut self) {}
}

fn is_in_range(text: &str, data_type: &DataType) -> bool {
    let DataType::Timestamp(unit, _) = data_type else { return true };
    let parsed = arrow::compute::kernels::cast_utils::string_to_datetime(&chrono::Utc, text);
    let in_unit = |time: chrono::DateTime<chrono::Utc>| match unit {
        TimeUnit::Second => time.timestamp(),
        TimeUnit::Millisecond => time.timestamp_millis(),
        _ => time.timestamp_micros(),
    };
    let unit = if *unit == TimeUnit::Nanosecond { TimeUnit::Microsecond } else { *unit };
    parsed.is_ok_and(|time| super::lines::time_is_sane(in_unit(time), unit))
}

/// Feeds one record. The reader knows only `\n` as its end (else a lone `\r` would make two records of one), so the `\r` of `\r\n`
/// is left out.
fn feed(decoder: &mut Decoder, record: &[u8]) -> Result<(), arrow::error::ArrowError> {
    let (content, end): (&[u8], &[u8]) = match record.strip_suffix(b"\r\n") {
        Some(content) => (content, b"\n"),
        None => (record, b""),
    };
    for mut bytes in [content, end] {
        while !bytes.is_empty() {
            let fed = decoder.decode(bytes)?;
            if fed == 0 {
                return Err(arrow::error::ArrowError::CsvError("more than one record".to_owned()));
            }
            bytes = &bytes[fed..];
        }
    }
    Ok(())
}

/// Decodes one record on its own.
fn feed_one(mut decoder: Decoder, record: &[u8]) -> Result<RecordBatch, String> {
    let before = decoder.capacity();
    feed(&mut decoder, record).map_err(|error| error.to_string())?;
    if before - decoder.capacity() != 1 {
        return Err(String::new());
    }
    decoder.flush().map_err(|error| error.to_string())?.ok_or_else(String::new)
}

/// From the reader's `incorrect number of fields for line 1, expected 3 got 2`.
fn field_count_message(error: &str, expected: usize) -> String {
    match error.rsplit_once(" got ") {
        Some((head, got)) if head.contains("incorrect number of fields") => {
            format!("expected {expected} fields, got {got}")
        }
        _ => "a quote is not closed".to_owned(),
    }
}

fn arrow_csv(options: &CsvOptions) -> Result<ArrowCsv> {
    let mut format = ArrowCsv::default().with_header(false).with_terminator(b'\n').with_delimiter(options.delimiter);
    // Without quoting: a byte that cannot occur in UTF-8 text.
    format = format.with_quote(options.quote.unwrap_or(0xff));
    if let Some(escape) = options.escape {
        format = format.with_escape(escape);
    }
    if let Some(comment) = options.comment {
        format = format.with_comment(comment);
    }
    if let Some(literal) = &options.null_literal {
        let exactly = format!("^(?:{})$", regex::escape(literal));
        let regex = regex::Regex::new(&exactly)
            .map_err(|error| ConnectorError::config(format!("option 'csv.null-literal' is too long: {error}")))?;
        format = format.with_null_regex(regex);
    }
    Ok(format)
}

fn is_supported(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::Boolean | DataType::Null => true,
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) => true,
        DataType::Decimal128(..) | DataType::Decimal256(..) => true,
        other => other.is_numeric(),
    }
}

/// What the first line of a file says about its fields: their names if it is a header.
pub fn header_of(first_record: &[u8], options: &CsvOptions, columns: &Schema, place: &str) -> Result<Option<Vec<String>>> {
    if options.header == Header::Absent {
        return Ok(None);
    }
    let names = split_record(first_record, options);
    let is_header = columns.fields().iter().all(|field| names.iter().any(|name| same_name(name, field.name())));
    match (options.header, is_header) {
        (_, true) => Ok(Some(names)),
        (Header::Present, false) => {
            // Same number of fields is not enough: a column under a wrong name is wrong data.
            fields_in_order_of(&names, &Arc::new(columns.clone()))
                .map(|_| Some(names))
                .map_err(|error| ConnectorError::data(format!("{place}: {error}")))
        }
        _ => Ok(None),
    }
}

/// The texts of one record.
pub(super) fn split_record(record: &[u8], options: &CsvOptions) -> Vec<String> {
    let record = record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record);
    let text = String::from_utf8_lossy(record.trim_ascii_end());
    let (delimiter, quote) = (options.delimiter as char, options.quote.map(|quote| quote as char));
    let mut names = vec![String::new()];
    let mut in_quotes = false;
    for c in text.chars() {
        if Some(c) == quote {
            in_quotes = !in_quotes;
        } else if c == delimiter && !in_quotes {
            names.push(String::new());
        } else if let Some(name) = names.last_mut() {
            name.push(c);
        }
    }
    names.into_iter().map(|name| name.trim().to_owned()).collect()
}

fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The file's fields: those that are columns with their type, others as text that nobody reads.
fn fields_in_order_of(names: &[String], columns: &SchemaRef) -> Result<Vec<FieldRef>> {
    for field in columns.fields() {
        let found = names.iter().filter(|name| same_name(name, field.name())).count();
        if found == 0 {
            let near = hint(field.name(), names.iter().map(String::as_str));
            return Err(ConnectorError::data(format!(
                "CSV header has no field for column '{}': got {}{near}",
                field.name(),
                names.join(", ")
            )));
        }
        if found > 1 {
            return Err(ConnectorError::data(format!("CSV header names '{}' {found} times: {}", field.name(), names.join(", "))));
        }
    }
    let field_for = |name: &String| match columns.fields().iter().find(|field| same_name(name, field.name())) {
        Some(field) => field.clone(),
        None => Arc::new(Field::new(format!("{name} (not a column)"), DataType::Utf8, true)),
    };
    Ok(names.iter().map(field_for).collect())
}
