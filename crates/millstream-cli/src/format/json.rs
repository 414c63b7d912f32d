//! JSON: one array of objects, or one object per line. NULLs are written; decimals are numbers with all their digits.

use std::io::{self, Write};
use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{LineDelimited, NullableEncoder, WriterBuilder};
use datafusion::arrow::json::{Encoder, EncoderFactory, EncoderOptions};
use datafusion::arrow::util::display::ArrayFormatter;

use super::RowFormat;
use super::cell::{DATE_FORMAT, TIME_FORMAT, TIMESTAMP_FORMAT, TIMESTAMP_TZ_FORMAT, formatter, has_own_text};

/// What stands around and between the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `[`, `,` and `]`.
    Array,
    /// Line ends.
    Lines,
}

/// The printer of both JSON formats.
#[derive(Debug)]
pub(crate) struct JsonRows {
    framing: Framing,
    rows: u64,
}

impl JsonRows {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, rows: 0 }
    }
}

impl RowFormat for JsonRows {
    fn begin(&mut self, _schema: &SchemaRef, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
        let lines = encode(batch).map_err(io::Error::other)?;
        if self.framing == Framing::Lines {
            return out.write_all(&lines);
        }
        // A line end inside a JSON string is escaped, so every line is one object.
        for object in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            // The comma leads, so that a row that has come is a complete line.
            out.write_all(if self.rows == 0 { b"[" } else { b"," })?;
            out.write_all(object)?;
            out.write_all(b"\n")?;
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.framing {
            Framing::Array if self.rows == 0 => out.write_all(b"[]\n"),
            Framing::Array => out.write_all(b"]\n"),
            Framing::Lines => Ok(()),
        }
    }
}

fn encode(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_timestamp_format(TIMESTAMP_FORMAT.into())
        .with_timestamp_tz_format(TIMESTAMP_TZ_FORMAT.into())
        .with_time_format(TIME_FORMAT.into())
        .with_date_format(DATE_FORMAT.into())
        .with_datetime_format(DATE_FORMAT.into())
        .with_encoder_factory(Arc::new(OwnText))
        .build::<_, LineDelimited>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Encodes as strings the types that every other format prints by our own formatters.
#[derive(Debug)]
struct OwnText;

impl EncoderFactory for OwnText {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        if !has_own_text(array.data_type()) {
            return Ok(None);
        }
        let encoder = TextEncoder { formatter: formatter(array)? };
        Ok(Some(NullableEncoder::new(Box::new(encoder), array.nulls().cloned())))
    }
}

struct TextEncoder<'a> {
    formatter: ArrayFormatter<'a>,
}

impl Encoder for TextEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        // These texts hold digits, letters and punctuation only: nothing to escape. Writing to memory cannot fail.
        _ = write!(out, "\"{}\"", self.formatter.value(row));
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        BinaryArray, BooleanArray, Decimal128Array, DurationMillisecondArray, Float64Array, ListArray, TimestampMillisecondArray,
    };
    use datafusion::arrow::datatypes::Int32Type;

    use super::super::tests::{batch, print};
    use super::super::{Look, OutputFormat};
    use super::*;

    #[test]
    fn every_line_is_json() {
        let decimals = Decimal128Array::from(vec![12_345_678_901_234_567_890]).with_precision_and_scale(30, 2).unwrap();
        let rows = batch(vec![
            ("d", Arc::new(decimals)),
            ("b", Arc::new(BooleanArray::from(vec![true]))),
            ("x", Arc::new(BinaryArray::from(vec![&b"\x01\xff"[..]]))),
            ("nan", Arc::new(Float64Array::from(vec![f64::NAN]))),
            ("l", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]))),
            ("i", Arc::new(DurationMillisecondArray::from(vec![1_500]))),
            ("tz", Arc::new(TimestampMillisecondArray::from(vec![0]).with_timezone("UTC"))),
        ]);
        let text = print(OutputFormat::Ndjson, Look::default(), &[rows]);
        let golden = "{\"d\":123456789012345678.90,\"b\":true,\"x\":\"01ff\",\"nan\":null,\"l\":[1,null],\
                      \"i\":\"00:00:01.500\",\"tz\":\"1970-01-01 00:00:00+00:00\"}\n";
        assert_eq!(text, golden);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}
