//! One file that takes the rows of all checkpoints.
//!
//! Each checkpoint's rows have their place in it, known when they are sealed. So it can be told from the file alone whether they
//! are in it, not yet, or (after a crash) in part: publishing twice adds nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::super::config::FileCompression;
use super::SealedFile;
use super::staged::{cannot_write, parquet_failed, parquet_writer, remove_if_there, rename, sync_folder};
use crate::error::{ConnectorError, Result};
use crate::format::Format;
use crate::format::parquet::ParquetFile;

const COPY_ROWS: usize = 8_192;

/// Length of the file as it is now: bytes of lines, rows of Parquet. 0 if there is none.
pub(super) fn length(path: &Path, format: Format) -> Result<u64> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(ConnectorError::io(format!("cannot open '{}'", path.display()), error)),
        Ok(file) if format == Format::Parquet => Ok(ParquetFile::open(file, &path.display().to_string())?.rows()),
        Ok(file) => Ok(file.metadata().map_err(|error| ConnectorError::io(format!("cannot look at '{}'", path.display()), error))?.len()),
    }
}

/// Where a file stands with regard to rows that belong at `start..end` of it.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// They come next.
    Next,
    /// The first of them are in it.
    Part,
    /// They are in it.
    Done,
    /// What belongs before them is missing.
    Gap,
}

fn standing(length: u64, start: u64, end: u64) -> Standing {
    match length {
        _ if length < start => Standing::Gap,
        _ if length == start => Standing::Next,
        _ if length < end => Standing::Part,
        _ => Standing::Done,
    }
}

pub(super) fn publish_at(folder: &Path, file: &SealedFile, start: u64, format: Format) -> Result<()> {
    // Of two processes that publish, one waits.
    let lock_path = folder.join(format!(".{}.lock", file.published));
    let lock = File::create(&lock_path).map_err(|error| cannot_write(&lock_path, error))?;
    lock.lock().map_err(|error| ConnectorError::io(format!("cannot lock '{}'", lock_path.display()), error))?;
    let published = folder.join(&file.published);
    let end = start + if format == Format::Parquet { file.rows } else { file.bytes };
    let now = length(&published, format)?;
    let staged = folder.join(&file.staged);
    match (standing(now, start, end), staged.exists()) {
        (Standing::Done, false) => {}
        (Standing::Done, true) => {
            if format != Format::Parquet {
                check_same(&published, &staged, start, file.bytes)?;
            }
        }
        (Standing::Next | Standing::Part, true) if format == Format::Parquet => {
            if now != start {
                return Err(conflict(&published, format_args!("it has {now} rows, a checkpoint's rows begin at {start}")));
            }
            add_row_groups(folder, &published, &staged)?;
        }
        (Standing::Next, true) if !published.exists() => rename(&staged, &published)?,
        (Standing::Next | Standing::Part, true) => append(&published, &staged, start, now)?,
        (Standing::Gap, _) => {
            return Err(conflict(&published, format_args!("it ends at {now}, a checkpoint's rows begin at {start}")));
        }
        (_, false) => {
            return Err(ConnectorError::data(format!(
                "rows of a checkpoint are lost: '{}' is not there and '{}' ends at {now} instead of {end}",
                staged.display(),
                published.display()
            )));
        }
    }
    remove_if_there(&staged)?;
    sync_folder(folder)
}

/// Adds the rest of the staged bytes, of which the first `now - start` are there already.
fn append(published: &Path, staged: &Path, start: u64, now: u64) -> Result<()> {
    check_same(published, staged, start, now - start)?;
    let mut from = open(staged)?;
    from.seek(SeekFrom::Start(now - start)).map_err(|error| cannot_write(staged, error))?;
    let mut to = OpenOptions::new().append(true).open(published).map_err(|error| cannot_write(published, error))?;
    std::io::copy(&mut from, &mut to).and_then(|_| to.flush()).and_then(|()| to.sync_all()).map_err(|error| cannot_write(published, error))
}

/// The published bytes from `start` on must be the first `bytes` staged ones: else they are somebody else's.
fn check_same(published: &Path, staged: &Path, start: u64, bytes: u64) -> Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let failed = |error| ConnectorError::io(format!("cannot read '{}'", published.display()), error);
    let mut there = open(published)?;
    there.seek(SeekFrom::Start(start)).map_err(failed)?;
    let (mut there, mut ours) = (there.take(bytes), open(staged)?.take(bytes));
    let (mut one, mut other) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = there.read(&mut one).map_err(failed)?;
        if read == 0 {
            return Ok(());
        }
        ours.read_exact(&mut other[..read]).map_err(failed)?;
        if one[..read] != other[..read] {
            return Err(conflict(published, format_args!("bytes from {start} on are not those of the checkpoint")));
        }
    }
}

/// Parquet cannot grow: a new file with the rows of both takes its place.
fn add_row_groups(folder: &Path, published: &Path, staged: &Path) -> Result<()> {
    if !published.exists() {
        return rename(staged, published);
    }
    let merged_path = folder.join(format!(".{}.merging", published.file_name().unwrap_or_default().to_string_lossy()));
    let added = ParquetFile::open(open(staged)?, &staged.display().to_string())?;
    let there = ParquetFile::open(open(published)?, &published.display().to_string())?;
    let schema = added.schema();
    let file = File::create(&merged_path).map_err(|error| cannot_write(&merged_path, error))?;
    let mut writer = parquet_writer(file, &schema, FileCompression::Zstd, &merged_path)?;
    for part in [&there, &added] {
        let mut rows = part.read(schema.clone(), 0)?;
        while let Some(batch) = rows.next(COPY_ROWS)? {
            writer.write(&batch).map_err(|error| parquet_failed(&merged_path, &error))?;
        }
    }
    // `into_inner` alone would tell a full disk in words only.
    writer.finish().map_err(|error| parquet_failed(&merged_path, &error))?;
    writer.inner().sync_all().map_err(|error| cannot_write(&merged_path, error))?;
    rename(&merged_path, published)
}

fn open(path: &Path) -> Result<File> {
    fs::File::open(path).map_err(|error| ConnectorError::io(format!("cannot open '{}'", path.display()), error))
}

fn conflict(path: &Path, fact: impl std::fmt::Display) -> ConnectorError {
    ConnectorError::data(format!(
        "file '{}' was changed by somebody else: {fact} (hint: let one pipeline write it, or write to a folder)",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standings() {
        let all: Vec<Standing> = [5, 10, 15, 20, 25].map(|length| standing(length, 10, 20)).into();
        assert_eq!(all, [Standing::Gap, Standing::Next, Standing::Part, Standing::Done, Standing::Done]);
    }
}
