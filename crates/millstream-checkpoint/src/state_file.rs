//! Rows of state as one Parquet file of plain columns, and back without loss.
//!
//! ```text
//!   batches ── encode (any thread) ──▶ bytes + StateFile {rows, bytes, sha256} ── create ──▶ state/<operator>/….parquet
//!   StateFile ── read ── length and hash agree? ── decode ──▶ batches of exactly the same types
//! ```
//!
//! The Arrow schema goes along in the file's metadata, so that types Parquet does not know (zones, views, dictionaries) come back.
//! Compression is LZ4: state is written often and read once, and it must not cost the pipeline a core. Statistics are off: nobody
//! prunes these files. Other readers see ordinary Parquet.

use std::sync::Arc;

use arrow::array::{ArrayRef, NullArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::digest::Digest;
use crate::error::{CheckpointError, Result};
use crate::file_name::FileName;
use crate::interval_column::{interval_batch, interval_schema, plain_batch, plain_schema};
use crate::manifest::StateFile;

/// Rows in a batch that is read back.
const READ_BATCH_ROWS: usize = 8192;

/// Parquet cannot count rows without columns, so such rows get this one.
const NO_COLUMNS: &str = "__millstream_no_columns";

/// Rows with their types; the types are known even if there are no rows.
#[derive(Clone, Debug, PartialEq)]
pub struct StateRows {
    /// Types, names, metadata.
    pub schema: SchemaRef,
    /// Rows in the order they were written; batches are cut anew.
    pub batches: Vec<RecordBatch>,
}

impl StateRows {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// A file that is ready to be created.
#[derive(Clone, Debug)]
pub struct EncodedFile {
    /// Name, rows, length and hash.
    pub file: StateFile,
    /// The whole file.
    pub bytes: Bytes,
}

/// Encodes rows. Pure computation: run it where it does not stop the crank.
///
/// Errors: [`CheckpointError::Unsupported`] for types Parquet cannot hold (unions, structs without fields, intervals of mixed
/// units inside of lists and structs), and for batches that are not of `rows.schema`.
pub fn encode(name: &FileName, rows: &StateRows) -> Result<EncodedFile> {
    let unsupported = |error: parquet::errors::ParquetError| {
        CheckpointError::Unsupported(format!("state of '{}' cannot be written as Parquet: {error} (schema: {:?})", name.of, rows.schema))
    };
    let empty = rows.schema.fields().is_empty();
    let schema = if empty { with_marker(&rows.schema) } else { plain_schema(&rows.schema) };
    let properties =
        WriterProperties::builder().set_compression(Compression::LZ4_RAW).set_statistics_enabled(EnabledStatistics::None).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties)).map_err(unsupported)?;
    for batch in &rows.batches {
        if batch.schema_ref().fields() != rows.schema.fields() {
            return Err(CheckpointError::bug(format!("batch of '{}' is not of the schema of its state", name.of)));
        }
        let written = if empty { marked_batch(batch, &schema) } else { plain_batch(batch, &schema) };
        let batch = written.map_err(|error| CheckpointError::bug(error.to_string()))?;
        writer.write(&batch).map_err(unsupported)?;
    }
    let bytes: Bytes = writer.into_inner().map_err(unsupported)?.into();
    let file = StateFile { name: name.to_string(), rows: rows.rows() as u64, bytes: bytes.len() as u64, sha256: Digest::of(&bytes) };
    Ok(EncodedFile { file, bytes })
}

fn marked_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(NullArray::new(batch.num_rows())) as ArrayRef])
}

fn with_marker(schema: &Schema) -> SchemaRef {
    let marker = Field::new(NO_COLUMNS, DataType::Null, true);
    Arc::new(Schema::new_with_metadata(vec![marker], schema.metadata().clone()))
}

/// The bytes are the ones the manifest speaks of.
///
/// Prevents that rows of a truncated, changed or exchanged file are ever looked at.
///
/// Errors: [`CheckpointError::Damaged`] with both hashes.
pub fn check(file: &StateFile, bytes: &[u8]) -> Result<()> {
    let found = Digest::of(bytes);
    if found == file.sha256 && bytes.len() as u64 == file.bytes {
        return Ok(());
    }
    let detail = format!("{} bytes, should be {}", bytes.len(), file.bytes);
    Err(CheckpointError::Damaged { file: file.name.clone(), expected: file.sha256.to_string(), found, detail })
}

/// Checks and decodes a file.
///
/// Errors: [`CheckpointError::Damaged`] naming the file; nothing is decoded from bytes that are not the manifest's.
pub fn decode(file: &StateFile, bytes: &Bytes) -> Result<StateRows> {
    check(file, bytes)?;
    decode_whole(file, bytes)
}

/// Decodes a file that was checked.
///
/// Errors: as [`decode`].
pub(crate) fn decode_whole(file: &StateFile, bytes: &Bytes) -> Result<StateRows> {
    let damaged = |detail: String| CheckpointError::Damaged {
        file: file.name.clone(),
        expected: file.sha256.to_string(),
        found: file.sha256,
        detail: format!("the hash agrees, but {detail}"),
    };
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(|error| damaged(format!("it is no Parquet: {error}")))?;
    let schema = interval_schema(builder.schema());
    let reader = builder.with_batch_size(READ_BATCH_ROWS).build().map_err(|error| damaged(error.to_string()))?;
    // The reader's batches have lost the metadata of the schema; here they get it back.
    let batches: Result<Vec<RecordBatch>, _> = reader.map(|batch| interval_batch(&batch?, &schema)).collect();
    let batches = batches.map_err(|error| damaged(error.to_string()))?;
    let rows = without_marker(StateRows { schema, batches })?;
    if rows.rows() as u64 != file.rows {
        return Err(damaged(format!("it has {} rows, should have {}", rows.rows(), file.rows)));
    }
    Ok(rows)
}

fn without_marker(rows: StateRows) -> Result<StateRows> {
    if rows.schema.fields().len() != 1 || rows.schema.field(0).name() != NO_COLUMNS {
        return Ok(rows);
    }
    let schema = Arc::new(Schema::new_with_metadata(Vec::<Field>::new(), rows.schema.metadata().clone()));
    let strip = |batch: &RecordBatch| {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&schema), Vec::new(), &options)
    };
    let batches: Result<Vec<RecordBatch>, _> = rows.batches.iter().map(strip).collect();
    Ok(StateRows { batches: batches.map_err(|error| CheckpointError::bug(error.to_string()))?, schema })
}
