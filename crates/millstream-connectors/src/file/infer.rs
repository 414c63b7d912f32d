//! The columns of a table over files that declares none.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::config::FileConfig;
use crate::error::{ConnectorError, Result};
use crate::format::Format;
use crate::format::buffer::LineBuffer;
use crate::format::config::LineOptions;
use crate::format::frame::{Framing, frame};
use crate::format::infer::{SAMPLE_RECORDS_MAX, has_header, infer_csv, infer_json};
use crate::format::parquet::ParquetFile;
use crate::options::Options;

/// The columns of a file that nobody declared.
pub(super) fn infer_file(config: &FileConfig, path: &Path) -> Result<SchemaRef> {
    let name = path.display().to_string();
    let failed = |error| ConnectorError::io(format!("cannot read '{name}'"), error);
    let file = File::open(path).map_err(failed)?;
    let format = config.format_of(path)?;
    if format == Format::Parquet {
        return Ok(ParquetFile::open(file, &name)?.schema());
    }
    if format == Format::Raw {
        let field = Field::new("line", DataType::Utf8View, true);
        return Ok(Arc::new(Schema::new(vec![field])));
    }
    let mut buffer = LineBuffer::default();
    if buffer.fill(&file).map_err(failed)? == 0 || memchr::memchr(b'\n', buffer.bytes()).is_none() {
        buffer.finish();
    }
    infer_records(format, &config.lines_of(path), buffer.bytes(), &name).map(|head| head.schema)
}

/// What the first bytes of a text file say about all of it.
#[derive(Clone, Debug)]
pub struct TextHead {
    /// The columns.
    pub schema: SchemaRef,
    /// The first line names the columns.
    pub has_header: bool,
}

/// The columns of a text file of which only the beginning is there, up to the end of a line. Its format goes by the ending of `name`.
///
/// # Errors
/// Bytes that say nothing about columns.
pub fn infer_head(name: &str, head: &[u8]) -> Result<TextHead> {
    let config = FileConfig::parse(Options::from_pairs([("path", name)]))?;
    let path = Path::new(name);
    infer_records(config.format_of(path)?, &config.lines_of(path), head, name)
}

fn infer_records(format: Format, options: &LineOptions, bytes: &[u8], name: &str) -> Result<TextHead> {
    let framing = if format == Format::Csv { Framing::csv(&options.csv) } else { Framing::Lines };
    let mut records = Vec::new();
    frame(&framing, bytes, SAMPLE_RECORDS_MAX + 1, options.max_line_bytes, &mut records);
    let is_comment = |record: &&[u8]| options.csv.comment.is_some_and(|comment| record.starts_with(&[comment]));
    let records = records.iter().map(|record| &bytes[record.clone()]);
    match format {
        Format::Csv => {
            let mut records = records.filter(|record| !is_comment(record)).peekable();
            let has_header = records.peek().is_some_and(|first| has_header(first, &options.csv));
            Ok(TextHead { schema: infer_csv(records, &options.csv, name)?, has_header })
        }
        _ => Ok(TextHead { schema: infer_json(records, name)?, has_header: false }),
    }
}
