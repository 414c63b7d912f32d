//! Hidden files: being written, abandoned, complete.

use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::super::config::{FileCompression, FileConfig};
use crate::error::{ConnectorError, Result};
use crate::format::Format;
use crate::format::encode::{LineEncoder, line_encoder};

/// Names tried before giving up: far more than processes that write to one place.
const NAMES_MAX: u32 = 100_000;

/// A file being written. Dropped without [`StagedFile::finish`], it is removed.
pub(super) struct StagedFile {
    path: PathBuf,
    writer: Option<Writer>,
    rows: u64,
    /// Where its rows will begin in the one file they go to.
    pub(super) start: Option<u64>,
}

enum Writer {
    Lines { encoder: Box<dyn LineEncoder>, out: BufWriter<File>, bytes: Vec<u8> },
    Parquet(Box<ArrowWriter<File>>),
}

/// A complete hidden file, on disk.
pub(super) struct FinishedFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) rows: u64,
}

impl StagedFile {
    pub(super) fn create(
        folder: &Path,
        stem: &str,
        format: Format,
        config: &FileConfig,
        schema: &SchemaRef,
        with_header: bool,
        start: Option<u64>,
    ) -> Result<Self> {
        let (path, file) = create_locked(folder, stem)?;
        let writer = match format {
            Format::Parquet => Writer::Parquet(Box::new(parquet_writer(file, schema, config.compression, &path)?)),
            _ => {
                let encoder = line_encoder(format, &config.lines_of(&config.path), schema)?;
                let mut out = BufWriter::with_capacity(1 << 16, file);
                if with_header {
                    out.write_all(&encoder.header()?).map_err(|error| cannot_write(&path, error))?;
                }
                Writer::Lines { encoder, out, bytes: Vec::new() }
            }
        };
        Ok(Self { path, writer: Some(writer), rows: 0, start })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.writer {
            Some(Writer::Lines { encoder, out, bytes }) => {
                bytes.clear();
                encoder.encode(batch, bytes)?;
                out.write_all(bytes).map_err(|error| cannot_write(&self.path, error))?;
            }
            Some(Writer::Parquet(writer)) => writer.write(batch).map_err(|error| parquet_failed(&self.path, &error))?,
            None => return Err(ConnectorError::data("the file is finished: this is a bug")),
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Completes it and brings it to disk.
    pub(super) fn finish(mut self) -> Result<FinishedFile> {
        let settle = |path: &Path, file: &File| file.sync_all().and_then(|()| file.metadata()).map_err(|error| cannot_write(path, error));
        let metadata = match self.writer.take() {
            Some(Writer::Lines { out, .. }) => {
                settle(&self.path, &out.into_inner().map_err(|error| cannot_write(&self.path, error.into_error()))?)?
            }
            Some(Writer::Parquet(mut writer)) => {
                // `into_inner` alone would tell a full disk in words only.
                writer.finish().map_err(|error| parquet_failed(&self.path, &error))?;
                settle(&self.path, writer.inner())?
            }
            None => return Err(ConnectorError::data("the file is finished: this is a bug")),
        };
        let bytes = metadata.len();
        Ok(FinishedFile { path: std::mem::take(&mut self.path), bytes, rows: self.rows })
    }

    /// Throws it away.
    pub(super) fn remove(mut self) -> Result<()> {
        self.writer = None;
        let path = std::mem::take(&mut self.path);
        remove_if_there(&path)
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            self.writer = None;
            if let Err(error) = fs::remove_file(&self.path) {
                tracing::debug!(path = %self.path.display(), %error, "unfinished file stays until the next writer comes");
            }
        }
    }
}

pub(super) fn parquet_writer(file: File, schema: &SchemaRef, compression: FileCompression, path: &Path) -> Result<ArrowWriter<File>> {
    let compression = match compression {
        FileCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
        FileCompression::Snappy => Compression::SNAPPY,
        FileCompression::Lz4 => Compression::LZ4_RAW,
        FileCompression::None => Compression::UNCOMPRESSED,
    };
    let properties = WriterProperties::builder().set_compression(compression).build();
    ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(|error| parquet_failed(path, &error))
}

pub(super) fn parquet_failed(path: &Path, error: &parquet::errors::ParquetError) -> ConnectorError {
    if let parquet::errors::ParquetError::External(inner) = error
        && let Some(io) = inner.downcast_ref::<std::io::Error>()
    {
        return cannot_write(path, std::io::Error::new(io.kind(), io.to_string()));
    }
    ConnectorError::data(format!("cannot write Parquet to '{}': {error}", path.display()))
}

pub(super) fn cannot_write(path: &Path, error: std::io::Error) -> ConnectorError {
    ConnectorError::io(format!("cannot write '{}'", path.display()), error)
}

/// A new hidden file that is locked as long as it is open.
fn create_locked(folder: &Path, stem: &str) -> Result<(PathBuf, File)> {
    for number in 0..NAMES_MAX {
        let path = folder.join(format!(".{stem}-{number}.inprogress"));
        match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(cannot_write(&path, error)),
            Ok(file) => match file.try_lock() {
                // Between creation and lock somebody may have taken it for abandoned.
                Ok(()) if path.exists() => return Ok((path, file)),
                Ok(()) | Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(cannot_write(&path, error)),
            },
        }
    }
    Err(too_many_names(folder))
}

/// Removes files in progress that nobody holds: their writers have crashed.
pub(super) fn remove_abandoned(folder: &Path, stem: &str) -> Result<()> {
    let failed = |error| ConnectorError::io(format!("cannot list '{}'", folder.display()), error);
    let start = format!(".{stem}-");
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(".inprogress"));
        if number.is_none_or(|number| number.parse::<u32>().is_err()) {
            continue;
        }
        let path = folder.join(&name);
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_ok() {
            remove_if_there(&path)?;
            tracing::debug!(path = %path.display(), "removed an unfinished file of an earlier run");
        }
    }
    Ok(())
}

/// The hidden name that keeps `published` for whoever creates it.
pub(super) fn reservation(published: &str) -> String {
    format!(".{published}.sealed")
}

/// The hidden name of a complete file that has a reservation, with whose it is and what for.
pub(super) fn owned(reservation: &str, owner: &str, checkpoint: u64) -> String {
    let name = reservation.strip_suffix(".sealed").unwrap_or(reservation);
    format!("{name}.{owner}-{checkpoint:08}.sealed")
}

/// Removes complete hidden files of `owner` that were sealed for checkpoints before `checkpoint`: none has come to be with them.
/// `reserved`: each has a reservation beside it.
pub(super) fn remove_sealed(folder: &Path, owner: &str, checkpoint: u64, reserved: bool) -> Result<()> {
    for (name, stem, sealed_for) in sealed_by(folder, owner)? {
        if sealed_for < checkpoint {
            remove_if_there(&folder.join(&name))?;
            if reserved {
                remove_if_there(&folder.join(format!("{}.sealed", stem.strip_suffix(WITHDRAWN).unwrap_or(&stem))))?;
            }
            tracing::debug!(%name, "removed a file of an earlier run that no checkpoint names");
        }
    }
    Ok(())
}

/// In the names of complete files that must not be published any more.
const WITHDRAWN: &str = ".withdrawn";

/// Keeps what `owner` has sealed for `checkpoint` from ever being published, also by a process that is about to; false if there is
/// nothing, because it was published or because there were no rows.
pub(super) fn withdraw(folder: &Path, owner: &str, checkpoint: u64) -> Result<bool> {
    if !folder.is_dir() {
        return Ok(false);
    }
    let mut found = false;
    for (name, stem, _) in sealed_by(folder, owner)?.into_iter().filter(|(_, _, sealed_for)| *sealed_for == checkpoint) {
        if !stem.ends_with(WITHDRAWN) {
            match fs::rename(folder.join(&name), folder.join(owned(&format!("{stem}{WITHDRAWN}.sealed"), owner, checkpoint))) {
                Ok(()) => sync_folder(folder)?,
                // Just now it was published.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(ConnectorError::io(format!("cannot rename '{name}' in '{}'", folder.display()), error)),
            }
        }
        found = true;
    }
    Ok(found)
}

/// Complete hidden files of `owner`: name, the part of it before the owner, checkpoint.
fn sealed_by(folder: &Path, owner: &str) -> Result<Vec<(String, String, u64)>> {
    let failed = |error| ConnectorError::io(format!("cannot list '{}'", folder.display()), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let Some((stem, mark)) = name.strip_suffix(".sealed").and_then(|name| name.rsplit_once('.')) else { continue };
        let sealed_for = mark.strip_prefix(owner).and_then(|mark| mark.strip_prefix('-')?.parse::<u64>().ok());
        if let (true, Some(sealed_for)) = (stem.starts_with('.'), sealed_for) {
            found.push((name.clone(), stem.to_owned(), sealed_for));
        }
    }
    Ok(found)
}

pub(super) fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ConnectorError::io(format!("cannot remove '{}'", path.display()), error)),
        _ => Ok(()),
    }
}

/// Takes the first (hidden, published) pair of names that is free: the hidden one by creating it, so that of two writers only one
/// gets it. `published_must_be_free`: nobody's file is ever replaced.
pub(super) fn reserve(folder: &Path, names: impl Fn(u32) -> (String, String), published_must_be_free: bool) -> Result<(String, String)> {
    for sequence in 0..NAMES_MAX {
        let (hidden, published) = names(sequence);
        if published_must_be_free && folder.join(&published).exists() {
            continue;
        }
        match File::create_new(folder.join(&hidden)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(cannot_write(&folder.join(hidden), error)),
            // Somebody may have published between the look and the reservation.
            Ok(_) if published_must_be_free && folder.join(&published).exists() => remove_if_there(&folder.join(hidden))?,
            Ok(_) => return Ok((hidden, published)),
        }
    }
    Err(too_many_names(folder))
}

fn too_many_names(folder: &Path) -> ConnectorError {
    ConnectorError::data(format!(
        "folder '{}' has no free name: {NAMES_MAX} were tried (hint: remove hidden files in it)",
        folder.display()
    ))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| ConnectorError::io(format!("cannot rename '{}' to '{}'", from.display(), to.display()), error))
}

/// Brings the names in a folder to disk.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| ConnectorError::io(format!("cannot sync folder '{}'", folder.display()), error))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    /// The system's device that is always full.
    #[test]
    fn parquet_on_a_full_disk_fails_as_a_full_disk() {
        let path = Path::new("/dev/full");
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        let mut writer = parquet_writer(file, &batch.schema(), FileCompression::None, path).unwrap();
        let failed = writer.write(&batch).and_then(|()| writer.finish());
        let error = parquet_failed(path, &failed.unwrap_err());
        assert!(matches!(&error, ConnectorError::Io { source, .. } if source.kind() == ErrorKind::StorageFull), "{error:?}");
    }
}
