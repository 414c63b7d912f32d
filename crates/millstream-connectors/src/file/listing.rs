//! Which files a path stands for, in order.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::config::{FileConfig, FileOrder};
use crate::error::{ConnectorError, Result};
use crate::format::Format;

/// One file, as it was when listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileEntry {
    /// Where it is; also its name in positions.
    pub(super) path: PathBuf,
    /// Time of last change, nanoseconds since 1970.
    pub(super) modified: i64,
    /// Length in bytes.
    pub(super) bytes: u64,
}

impl FileEntry {
    /// What files are ordered by.
    pub(super) fn key(&self, order: FileOrder) -> (i64, &Path) {
        match order {
            FileOrder::Name => (0, &self.path),
            FileOrder::Modified => (self.modified, &self.path),
        }
    }
}

/// The files there are now, in order; none if the path stands for none.
pub(super) fn list(config: &FileConfig) -> Result<Vec<FileEntry>> {
    let mut entries = Vec::new();
    match fs::metadata(&config.path) {
        Ok(metadata) if metadata.is_dir() => list_folder(config, &mut entries)?,
        Ok(metadata) => entries.push(entry(config.path.clone(), &metadata)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => list_pattern(config, &mut entries)?,
        Err(error) => return Err(ConnectorError::io(format!("cannot look at '{}'", config.path.display()), error)),
    }
    entries.sort_by(|a, b| a.key(config.order).cmp(&b.key(config.order)));
    Ok(entries)
}

/// An error that says why there is no file.
pub(super) fn nothing_found(config: &FileConfig) -> ConnectorError {
    let path = config.path.display();
    if is_pattern(&config.path) {
        return ConnectorError::data(format!("no file matches '{path}' (hint: {})", working_directory()));
    }
    if config.path.is_dir() {
        let extensions = |format: Format| format.extensions().join(", .");
        let expected = match config.format {
            Some(format) => format!(".{}", extensions(format)),
            None => ".json, .csv, .parquet, …".to_owned(),
        };
        return ConnectorError::data(format!(
            "folder '{path}' has no file to read: looked for {expected} (hint: use a pattern like '{path}/*', or 'follow' = 'true' to wait)"
        ));
    }
    let near = config.path.parent().and_then(|parent| {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let names: Vec<String> =
            fs::read_dir(parent).ok()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let wanted = config.path.file_name()?.to_string_lossy();
        crate::options::did_you_mean(&wanted, names.iter().map(String::as_str)).map(str::to_owned)
    });
    let near = near.map(|name| format!("did you mean '{name}'? ")).unwrap_or_default();
    ConnectorError::data(format!("file '{path}' does not exist (hint: {near}{})", working_directory()))
}

fn working_directory() -> String {
    match std::env::current_dir() {
        Ok(folder) => format!("paths are relative to '{}'", folder.display()),
        Err(_) => "paths are relative to the working directory".to_owned(),
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

fn list_folder(config: &FileConfig, entries: &mut Vec<FileEntry>) -> Result<()> {
    let failed = |error| ConnectorError::io(format!("cannot list '{}'", config.path.display()), error);
    for found in fs::read_dir(&config.path).map_err(failed)? {
        let path = found.map_err(failed)?.path();
        if fits(config, &path) {
            push(path, entries)?;
        }
    }
    Ok(())
}

/// Of a folder's files those are read whose extension is one of the format's; with a `format` option also those without any.
fn fits(config: &FileConfig, path: &Path) -> bool {
    if is_hidden(path) {
        return false;
    }
    match (config.format, path.extension().and_then(|extension| extension.to_str())) {
        (Some(_), None) => true,
        (Some(format), Some(extension)) => Format::from_extension(extension) == Some(format),
        (None, Some(extension)) => Format::from_extension(extension).is_some_and(|format| format != Format::Raw),
        (None, None) => false,
    }
}

/// Names that writers give to what is not finished, and markers.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']))
}

fn list_pattern(config: &FileConfig, entries: &mut Vec<FileEntry>) -> Result<()> {
    if !is_pattern(&config.path) {
        return Ok(());
    }
    let pattern = config.path.to_string_lossy();
    let paths = glob::glob(&pattern).map_err(|error| {
        ConnectorError::config(format!(
            "path '{pattern}' is no valid pattern: {error} (hint: for example 'data/*.csv' or 'data/**/*.json')"
        ))
    })?;
    for found in paths {
        let path = found.map_err(|error| {
            let path = error.path().display().to_string();
            ConnectorError::io(format!("cannot list '{path}'"), error.into())
        })?;
        if !is_hidden(&path) {
            push(path, entries)?;
        }
    }
    Ok(())
}

fn push(path: PathBuf, entries: &mut Vec<FileEntry>) -> Result<()> {
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => entries.push(entry(path, &metadata)),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {} // gone in the meantime
        Err(error) => return Err(ConnectorError::io(format!("cannot look at '{}'", path.display()), error)),
    }
    Ok(())
}

fn entry(path: PathBuf, metadata: &Metadata) -> FileEntry {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or_default();
    FileEntry { path, modified, bytes: metadata.len() }
}
