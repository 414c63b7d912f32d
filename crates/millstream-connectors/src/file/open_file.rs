//! One open file of a sequence: rows out, and how far it is read.

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::config::FileConfig;
use super::lines_file::LinesFile;
use super::position::FilePosition;
use super::rows_file::RowsFile;
use crate::error::{ConnectorError, Result};
use crate::format::Format;
use crate::source::RejectedRow;

/// What to decode of each file.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// All declared columns.
    pub(super) columns: SchemaRef,
    /// Those that are asked for.
    pub(super) projection: Vec<usize>,
}

/// Rows of a file.
#[derive(Debug)]
pub(super) struct FileRows {
    /// Good ones.
    pub(super) rows: RecordBatch,
    /// Bad ones.
    pub(super) rejected: Vec<RejectedRow>,
    /// Bytes of the file they were.
    pub(super) bytes: u64,
}

/// What a file gives next.
#[derive(Debug)]
pub(super) enum FileStep {
    /// Rows.
    Rows(FileRows),
    /// No more for now; it may grow.
    Dry,
    /// No more.
    End,
}

/// An open file.
pub(super) enum OpenFile {
    /// Of lines.
    Lines(Box<LinesFile>),
    /// Parquet.
    Parquet(Box<RowsFile>),
}

impl OpenFile {
    /// Opens at the beginning, or where `start` says after checking that the file is still the same.
    pub(super) fn open(config: &FileConfig, wanted: &Wanted, path: &Path, start: Option<&FilePosition>) -> Result<Self> {
        let file = File::open(path).map_err(|error| ConnectorError::io(format!("cannot open '{}'", path.display()), error))?;
        match config.format_of(path)? {
            Format::Parquet => RowsFile::open(file, wanted, path, start).map(|file| Self::Parquet(Box::new(file))),
            format => {
                let reading = LinesFile::open(file, format, config, wanted, path, start)?;
                Ok(Self::Lines(Box::new(reading)))
            }
        }
    }

    /// Up to `rows_max` rows.
    pub(super) fn next(&mut self, rows_max: usize) -> Result<FileStep> {
        match self {
            Self::Lines(file) => file.next(rows_max),
            Self::Parquet(file) => file.next(rows_max),
        }
    }

    /// It will not grow any more: what is left is its end.
    pub(super) fn finish(&mut self) {
        if let Self::Lines(file) = self {
            file.finish();
        }
    }

    /// Bytes or rows done with, lines done with, fingerprint.
    pub(super) fn progress(&self) -> (u64, u64, String) {
        match self {
            Self::Lines(file) => file.progress(),
            Self::Parquet(file) => file.progress(),
        }
    }

    /// Bytes of the file that were seen: it must stay this long once it is done with.
    pub(super) fn bytes_seen(&self) -> u64 {
        match self {
            Self::Lines(file) => file.bytes_seen(),
            Self::Parquet(file) => file.bytes_seen(),
        }
    }
}
