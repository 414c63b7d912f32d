//! Decoding records made of lines, many at a time, and finding the bad ones among them.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{concat_batches, max, min};
use arrow::datatypes::{
    DataType, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};

use super::config::{Format, LineOptions};
use super::frame::{Framed, Framing, frame};
use super::{csv, json, raw};
use crate::error::{ConnectorError, Result};
use crate::source::RejectedRow;

/// How much of a bad row is kept.
pub const REJECTED_BYTES_MAX: usize = 64 << 10;

/// How much of a value is shown in a message.
const SHOWN_CHARS_MAX: usize = 200;

/// Records did not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// Which one, if the decoder could tell; others may be bad too.
    pub at: Option<usize>,
}

/// Decodes records of one format: all of them or none.
pub trait RecordsDecoder: fmt::Debug + Send {
    /// Decodes the records, each a range of `bytes` with its newline.
    fn decode(&mut self, bytes: &[u8], records: &[Range<usize>]) -> Result<RecordBatch, Undecodable>;

    /// Why this one record does not decode: column, value, what was expected.
    fn explain(&mut self, record: &[u8]) -> String;

    /// Forgets half-done work after a failure.
    fn reset(&mut self);
}

/// Turns bytes into batches and rejected rows.
#[derive(Debug)]
pub struct LineDecoder {
    framing: Framing,
    decoder: Box<dyn RecordsDecoder>,
    schema: SchemaRef,
    max_line_bytes: usize,
    /// First byte of records to leave out.
    comment: Option<u8>,
    records: Vec<Range<usize>>,
}

/// One decoded stretch of bytes.
#[derive(Debug)]
pub struct DecodedLines {
    /// The good rows.
    pub rows: RecordBatch,
    /// The bad ones.
    pub rejected: Vec<RejectedRow>,
    /// Bytes that are done with.
    pub consumed: usize,
    /// Lines that are done with.
    pub lines: u64,
}

impl LineDecoder {
    /// For `columns` as declared; batches carry those in `projection`. `header` holds the names of a CSV file's fields in their
    /// order there.
    pub fn new(
        format: Format,
        options: &LineOptions,
        columns: &SchemaRef,
        projection: &[usize],
        header: Option<&[String]>,
    ) -> Result<Self> {
        let schema = project(columns, projection)?;
        let (framing, decoder): (_, Box<dyn RecordsDecoder>) = match format {
            Format::Json => (Framing::Lines, Box::new(json::JsonDecoder::new(schema.clone())?)),
            Format::Csv => (Framing::csv(&options.csv), Box::new(csv::CsvDecoder::new(&options.csv, columns, projection, header)?)),
            Format::Raw => (Framing::Lines, Box::new(raw::RawDecoder::new(columns, schema.clone())?)),
            Format::Parquet => {
                return Err(ConnectorError::config(
                    "format 'parquet' is read from files only: lines were asked for (hint: use 'format' = 'json', 'csv' or 'raw')",
                ));
            }
        };
        let comment = if format == Format::Csv { options.csv.comment } else { None };
        Ok(Self { framing, decoder, schema, max_line_bytes: options.max_line_bytes, comment, records: Vec::new() })
    }

    /// The columns of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Decodes up to `rows_max` complete records from the start of `bytes`. Returns nothing done (`consumed` = 0) if there is no
    /// complete one. At the end of input, `bytes` ends in a newline. `place` names the n-th line (from 0) for people.
    pub fn decode(&mut self, bytes: &[u8], at_end: bool, rows_max: usize, place: impl Fn(u64) -> String) -> Result<DecodedLines> {
        let give_up_bytes = if at_end { 0 } else { self.max_line_bytes };
        let mut records = std::mem::take(&mut self.records);
        let Framed { consumed, lines } = frame(&self.framing, bytes, rows_max, give_up_bytes, &mut records);
        if let Some(comment) = self.comment {
            records.retain(|record| bytes[record.start] != comment);
        }
        let (rows, bad) = self.good_and_bad(bytes, &records)?;
        let rejected = bad
            .into_iter()
            .map(|idx| {
                let record = records[idx].clone();
                let line = memchr::memchr_iter(b'\n', &bytes[..record.start]).count() as u64;
                self.reject(&bytes[record], place(line))
            })
            .collect();
        self.records = records;
        Ok(DecodedLines { rows, rejected, consumed, lines })
    }

    /// A rejected row for the start of a line that is too long to be kept whole.
    pub fn reject_long_line(&self, start: &[u8], place: String) -> RejectedRow {
        RejectedRow { bytes: cut(start), place, reason: too_long(None, self.max_line_bytes) }
    }

    /// Longest line.
    pub fn max_line_bytes(&self) -> usize {
        self.max_line_bytes
    }

    /// No rows.
    pub fn empty(&self) -> RecordBatch {
        RecordBatch::new_empty(self.schema.clone())
    }

    /// Whether this one record is good.
    pub(super) fn decodes_alone(&mut self, record: &[u8]) -> bool {
        self.decode_all(record, std::slice::from_ref(&(0..record.len()))).is_ok()
    }

    fn reject(&mut self, record: &[u8], place: String) -> RejectedRow {
        let record = record.trim_ascii_end();
        let reason = if record.len() > self.max_line_bytes {
            too_long(Some(record.len()), self.max_line_bytes)
        } else if let Err(error) = std::str::from_utf8(record) {
            format!("invalid UTF-8 at byte {}: 0x{:02x}", error.valid_up_to(), record[error.valid_up_to()])
        } else {
            catch_unwind(AssertUnwindSafe(|| self.decoder.explain(record))).unwrap_or_else(|_| "it makes the decoder fail".to_owned())
        };
        RejectedRow { bytes: cut(record), place, reason }
    }

    /// Halves what fails until the bad records stand alone. A decoder that knows the culprit saves the search.
    fn good_and_bad(&mut self, bytes: &[u8], records: &[Range<usize>]) -> Result<(RecordBatch, Vec<usize>)> {
        let mut parts = Vec::new();
        let mut bad = Vec::new();
        let mut todo = Vec::new();
        if !records.is_empty() {
            todo.push(0..records.len());
        }
        while let Some(range) = todo.pop() {
            match self.decode_all(bytes, &records[range.clone()]) {
                Ok(batch) => parts.push(batch),
                Err(_) if range.len() == 1 => bad.push(range.start),
                Err(Undecodable { at }) => {
                    let (left, right) = match at {
                        Some(at) => (range.start + at, range.start + at + 1),
                        None => (range.start + range.len() / 2, range.start + range.len() / 2),
                    };
                    // The last pushed is next, so that rows stay in order.
                    todo.extend([right..range.end, left..right, range.start..left].into_iter().filter(|part| !part.is_empty()));
                }
            }
        }
        let rows = match parts.len() {
            0 => self.empty(),
            1 => parts.remove(0),
            _ => concat_batches(&self.schema, &parts).map_err(|error| ConnectorError::data(format!("cannot join rows: {error}")))?,
        };
        Ok((rows, bad))
    }

    fn decode_all(&mut self, bytes: &[u8], records: &[Range<usize>]) -> Result<RecordBatch, Undecodable> {
        if let Some(at) = records.iter().position(|record| record.len() > self.max_line_bytes.saturating_add(2)) {
            return Err(Undecodable { at: Some(at) });
        }
        // Nothing from outside may panic the process: a panic in a decoder is a bad row.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.decoder.decode(bytes, records)));
        match decoded.unwrap_or(Err(Undecodable { at: None })) {
            Ok(batch) if batch.num_rows() == records.len() && times_are_sane(&batch) => Ok(batch),
            Ok(_) => {
                self.decoder.reset();
                Err(Undecodable { at: None })
            }
            Err(undecodable) => {
                self.decoder.reset();
                Err(undecodable)
            }
        }
    }
}

/// The columns in `projection`, as a schema.
pub(crate) fn project(columns: &SchemaRef, projection: &[usize]) -> Result<SchemaRef> {
    let schema: Schema = columns.project(projection).map_err(|_| {
        ConnectorError::config(format!("projection {projection:?} does not fit the columns: there are {}", columns.fields().len()))
    })?;
    Ok(Arc::new(schema))
}

fn too_long(bytes: Option<usize>, max: usize) -> String {
    let length = bytes.map(|bytes| format!("{bytes} bytes")).unwrap_or_else(|| format!("more than {max} bytes"));
    format!("line is too long: {length}, 'max_line_bytes' is {max}")
}

/// A value as it is shown in a message.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn cut(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(REJECTED_BYTES_MAX)].to_vec()
}

/// Years 1 to 9999 in seconds since 1970. Outside, arithmetic on timestamps overflows sooner or later, and such a value is damage.
const SECONDS: (i64, i64) = (-62_135_596_800, 253_402_300_799);

/// Whether a timestamp of this unit lies in the years 1 to 9999.
pub(crate) fn time_is_sane(value: i64, unit: TimeUnit) -> bool {
    let seconds = match unit {
        TimeUnit::Second => value,
        TimeUnit::Millisecond => value.div_euclid(1_000),
        TimeUnit::Microsecond => value.div_euclid(1_000_000),
        TimeUnit::Nanosecond => return true, // 64 bits of nanoseconds reach from 1677 to 2262; the decoders check that
    };
    (SECONDS.0..=SECONDS.1).contains(&seconds)
}

fn times_are_sane(batch: &RecordBatch) -> bool {
    batch.columns().iter().all(|column| {
        let DataType::Timestamp(unit, _) = column.data_type() else { return true };
        let (least, most) = match unit {
            TimeUnit::Second => (min(column.as_primitive::<TimestampSecondType>()), max(column.as_primitive::<TimestampSecondType>())),
            TimeUnit::Millisecond => {
                (min(column.as_primitive::<TimestampMillisecondType>()), max(column.as_primitive::<TimestampMillisecondType>()))
            }
            TimeUnit::Microsecond => {
                (min(column.as_primitive::<TimestampMicrosecondType>()), max(column.as_primitive::<TimestampMicrosecondType>()))
            }
            TimeUnit::Nanosecond => {
                // A number too large for its type saturates in the JSON decoder.
                let column = column.as_primitive::<TimestampNanosecondType>();
                return max(column) != Some(i64::MAX) && min(column) != Some(i64::MIN);
            }
        };
        least.is_none_or(|time| time_is_sane(time, *unit)) && most.is_none_or(|time| time_is_sane(time, *unit))
    })
}
