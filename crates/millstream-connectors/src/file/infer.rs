//! The columns of a table over files that declares none.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::config::FileConfig;
use crate::error::{ConnectorError, Result};
use crate::format::Format;
use crate::format::buffer::LineBuffer;
use crate::format::frame::{Framing, frame};
use crate::format::infer::{SAMPLE_RECORDS_MAX, infer_csv, infer_json};
use crate::format::parquet::ParquetFile;

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
    let options = config.lines_of(path);
    let mut buffer = LineBuffer::default();
    if buffer.fill(&file).map_err(failed)? == 0 || memchr::memchr(b'\n', buffer.bytes()).is_none() {
        buffer.finish();
    }
    let framing = if format == Format::Csv { Framing::csv(&options.csv) } else { Framing::Lines };
    let mut records = Vec::new();
    let bytes = buffer.bytes();
    frame(&framing, bytes, SAMPLE_RECORDS_MAX + 1, options.max_line_bytes, &mut records);
    let is_comment = |record: &&[u8]| options.csv.comment.is_some_and(|comment| record.starts_with(&[comment]));
    let records = records.iter().map(|record| &bytes[record.clone()]);
    match format {
        Format::Csv => infer_csv(records.filter(|record| !is_comment(record)), &options.csv, &name),
        _ => infer_json(records, &name),
    }
}
