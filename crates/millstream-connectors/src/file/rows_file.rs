//! A Parquet file, read row by row number.

use std::fs::File;
use std::path::Path;

use super::open_file::{FileRows, FileStep, Wanted};
use super::position::{FilePosition, Fingerprint, rewritten};
use crate::error::{ConnectorError, Result};
use crate::format::lines::project;
use crate::format::parquet::{ParquetFile, ParquetRows};

/// A Parquet file.
pub(super) struct RowsFile {
    rows: ParquetRows,
    row: u64,
    check: String,
    length: u64,
}

impl RowsFile {
    /// Opens at a row.
    pub(super) fn open(mut file: File, wanted: &Wanted, path: &Path, start: Option<&FilePosition>) -> Result<Self> {
        let failed = |error| ConnectorError::io(format!("cannot read '{}'", path.display()), error);
        let length = file.metadata().map_err(failed)?.len();
        // The footer names every page with its place and statistics: another footer is another file.
        let check = Fingerprint::of_file(&mut file, length).map_err(failed)?.text();
        if let Some(start) = start.filter(|start| start.check != check) {
            return Err(rewritten(path, format_args!("its fingerprint is {check}, it was {}", start.check)));
        }
        let parquet = ParquetFile::open(file, &path.display().to_string())?;
        let row = start.map_or(0, |start| start.at);
        let rows = parquet.read(project(&wanted.columns, &wanted.projection)?, row)?;
        Ok(Self { rows, row, check, length })
    }

    /// Rows done with, fingerprint.
    pub(super) fn progress(&self) -> (u64, u64, String) {
        (self.row, 0, self.check.clone())
    }

    /// Length of the file.
    pub(super) fn bytes_seen(&self) -> u64 {
        self.length
    }

    /// Up to `rows_max` rows.
    pub(super) fn next(&mut self, rows_max: usize) -> Result<FileStep> {
        let Some(rows) = self.rows.next(rows_max)? else { return Ok(FileStep::End) };
        self.row += rows.num_rows() as u64;
        Ok(FileStep::Rows(FileRows { rows, rejected: Vec::new(), bytes: 0 }))
    }
}
