//! Reading Parquet files: the projected columns, from any row on.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::config::hint;
use super::type_name::sql_type;
use crate::error::{ConnectorError, Result};

/// Rows decoded at once; smaller batches are slices of such a one.
const DECODE_ROWS: usize = 8_192;

/// A Parquet file whose footer has been read.
#[derive(Debug)]
pub struct ParquetFile {
    file: File,
    metadata: ArrowReaderMetadata,
    /// For messages.
    name: String,
}

impl ParquetFile {
    /// Reads the footer.
    pub fn open(file: File, name: &str) -> Result<Self> {
        let metadata = guarded(name, || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?;
        Ok(Self { file, metadata, name: name.to_owned() })
    }

    /// The file's own columns, TEXT as SQL has it here.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.metadata.schema().fields().iter().map(with_views).collect::<Vec<_>>()))
    }

    /// Rows in the file.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// Reads `wanted` (by name, cast to the declared types) from row `start` on.
    pub fn read(&self, wanted: SchemaRef, start: u64) -> Result<ParquetRows> {
        let file_fields = self.metadata.schema().fields();
        let mut roots = Vec::new();
        for field in wanted.fields() {
            roots.push(self.root_of(field)?);
        }
        let supplied: Vec<FieldRef> = file_fields.iter().map(with_views).collect();
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(supplied)));
        let metadata = guarded(&self.name, || ArrowReaderMetadata::try_new(self.metadata.metadata().clone(), options))
            .unwrap_or_else(|_| self.metadata.clone());
        let file = self.file.try_clone().map_err(|error| ConnectorError::io(format!("cannot open '{}'", self.name), error))?;
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots.iter().copied());
        let (row_groups, offset) = self.row_groups_from(start);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_projection(mask)
            .with_row_groups(row_groups)
            .with_offset(offset)
            .with_batch_size(DECODE_ROWS);
        let reader = guarded(&self.name, || builder.build())?;
        // The reader gives the columns in the file's order.
        let mut in_file_order = roots.clone();
        in_file_order.sort_unstable();
        in_file_order.dedup();
        let columns = roots.iter().map(|root| in_file_order.binary_search(root).unwrap_or_default()).collect();
        Ok(ParquetRows { reader, pending: None, columns, wanted, name: self.name.clone() })
    }

    fn root_of(&self, field: &Field) -> Result<usize> {
        let names = || self.metadata.schema().fields().iter().map(|field| field.name().as_str());
        let found = names().position(|name| name == field.name());
        let found = found.or_else(|| names().position(|name| name.eq_ignore_ascii_case(field.name())));
        found.ok_or_else(|| {
            let has = names().collect::<Vec<_>>().join(", ");
            ConnectorError::data(format!("'{}' has no column '{}': it has {has}{}", self.name, field.name(), hint(field.name(), names())))
        })
    }

    /// The row groups that hold rows from `start` on, and how many rows of the first to leave out.
    fn row_groups_from(&self, start: u64) -> (Vec<usize>, usize) {
        let mut before = 0;
        let groups = self.metadata.metadata().row_groups();
        for (idx, group) in groups.iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).unwrap_or_default();
            if start < before + rows {
                return ((idx..groups.len()).collect(), (start - before) as usize);
            }
            before += rows;
        }
        (Vec::new(), 0)
    }
}

/// The rows of a Parquet file, in order.
pub struct ParquetRows {
    reader: ParquetRecordBatchReader,
    pending: Option<RecordBatch>,
    /// For each wanted column its place in the reader's batches.
    columns: Vec<usize>,
    wanted: SchemaRef,
    name: String,
}

impl ParquetRows {
    /// Up to `rows_max` rows, `None` at the end.
    pub fn next(&mut self, rows_max: usize) -> Result<Option<RecordBatch>> {
        let batch = match self.pending.take() {
            Some(batch) => batch,
            None => match self.decode()? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        if batch.num_rows() <= rows_max {
            return Ok(Some(batch));
        }
        self.pending = Some(batch.slice(rows_max, batch.num_rows() - rows_max));
        Ok(Some(batch.slice(0, rows_max)))
    }

    fn decode(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let decoded = guarded(&self.name, || self.reader.next().transpose())?;
            match decoded {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => return self.as_declared(&batch).map(Some),
                None => return Ok(None),
            }
        }
    }

    fn as_declared(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (field, column) in self.wanted.fields().iter().zip(&self.columns) {
            let array = batch.column(*column);
            if array.data_type() == field.data_type() {
                arrays.push(array.clone());
                continue;
            }
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            arrays.push(cast_with_options(array, field.data_type(), &strict).map_err(|error| {
                ConnectorError::data(format!(
                    "'{}' column '{}' is {}, declared as {}: {error}",
                    self.name,
                    field.name(),
                    sql_type(array.data_type()),
                    sql_type(field.data_type())
                ))
            })?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.wanted.clone(), arrays, &options)
            .map_err(|error| ConnectorError::data(format!("'{}' does not fit the declared columns: {error}", self.name)))
    }
}

/// TEXT and BYTEA as view types, which is what SQL's types are here.
fn with_views(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        _ => return field.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// Damaged files may make the decoder panic; that is an error about the file.
fn guarded<T, E: std::fmt::Display>(name: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ConnectorError::data(format!("'{name}' is no intact Parquet file: {error}"))),
        Err(_) => Err(ConnectorError::data(format!("'{name}' is no intact Parquet file: it makes the decoder fail"))),
    }
}
