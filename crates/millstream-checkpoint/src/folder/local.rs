//! Objects as local files, durable without help from `object_store`, which never fsyncs.
//!
//! ```text
//!   write  .manifest-3.json.<process>-<count>.tmp     invisible to listings
//!   fsync  the file                                   its bytes outlast a loss of power
//!   link   it to manifest-3.json                      atomic, fails if the name exists
//!   unlink the temporary name, fsync the directory    the name outlasts it too
//! ```
//!
//! The methods block; see `docs/decisions/0005-durable-state.md`.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Back, Create, Depth};
use crate::error::{CheckpointError, Result};

const TEMPORARY: &str = ".tmp";

/// A creation whose temporary file is swept away by [`Back::remove_leftovers`] of another owner starts again so often.
const SWEPT_RETRIES_MAX: u32 = 8;

/// Makes temporary names differ within the process.
static TEMPORARY_COUNT: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct LocalFiles {
    root: PathBuf,
}

impl LocalFiles {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn create_now(&self, name: &str, bytes: &[u8]) -> Result<Create> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root);
        make_folder(folder)?;
        let mut swept = 0;
        let linked = loop {
            let temporary = write_temporary(&path, bytes)?;
            let linked = fs::hard_link(&temporary, &path);
            // If this fails the leftover is removed by the next owner.
            let _ = fs::remove_file(&temporary);
            match linked {
                Err(error) if error.kind() == ErrorKind::NotFound && swept < SWEPT_RETRIES_MAX => swept += 1,
                other => break other,
            }
        };
        let created = match linked {
            Ok(()) => Create::Created,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Create::Exists,
            Err(error) => return Err(failed("cannot create", &path, error)),
        };
        // Also when it exists: its creator may have died before this step, or it was ourselves and the fsync failed.
        sync_folder(folder)?;
        Ok(created)
    }

    fn list_now(&self, folder: &str, depth: Depth) -> Result<Vec<String>> {
        let mut names = Vec::new();
        walk(&self.root.join(folder), depth, &mut |path| {
            let name = path.strip_prefix(&self.root).unwrap_or(path);
            if !is_temporary(path)
                && let Some(name) = name.to_str()
            {
                names.push(name.to_owned());
            }
            Ok(())
        })?;
        Ok(names)
    }
}

#[async_trait]
impl Back for LocalFiles {
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Create> {
        self.create_now(name, &bytes)
    }

    async fn read_if_exists(&self, name: &str) -> Result<Option<Bytes>> {
        let path = self.root.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("cannot read", &path, error)),
        }
    }

    async fn list(&self, folder: &str, depth: Depth) -> Result<Vec<String>> {
        self.list_now(folder, depth)
    }

    async fn delete(&self, name: &str) -> Result<()> {
        remove(&self.root.join(name))
    }

    async fn settle(&self, folder: &str) -> Result<()> {
        let folder = self.root.join(folder);
        if folder.exists() { sync_folder(&folder) } else { Ok(()) }
    }

    async fn remove_leftovers(&self, folder: &str) -> Result<()> {
        walk(&self.root.join(folder), Depth::All, &mut |path| if is_temporary(path) { remove(path) } else { Ok(()) })
    }
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with('.') && name.ends_with(TEMPORARY))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("cannot delete", path, error)),
        _ => Ok(()),
    }
}

/// Folders are few levels deep because we made them: `pipelines/<id>/state/<operator>`.
fn walk(folder: &Path, depth: Depth, visit: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(failed("cannot list", &folder, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed("cannot list", &folder, error))?;
            // Symbolic links are not followed: nothing of ours is one.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth == Depth::All => open.push(entry.path()),
                Ok(kind) if kind.is_file() => visit(&entry.path())?,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed("cannot list", &entry.path(), error)),
            }
        }
    }
    Ok(())
}

/// Writes and fsyncs a file beside `path` that nobody else can see.
fn write_temporary(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    loop {
        let count = TEMPORARY_COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_file_name(format!(".{name}.{}-{count}{TEMPORARY}", std::process::id()));
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => file,
            // Left by a process of the same number before a crash; the counter gets past it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(failed("cannot create", &temporary, error)),
        };
        if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
            let _ = fs::remove_file(&temporary);
            return Err(failed("cannot write", &temporary, error));
        }
        return Ok(temporary);
    }
}

/// Makes the folder and those above it, each durable in the one above.
fn make_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        make_folder(above)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed("cannot create folder", folder, error)),
        _ => {}
    }
    sync_folder(above.unwrap_or(Path::new(".")))
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed("cannot fsync folder", folder, error))
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> CheckpointError {
    CheckpointError::local(format!("{what} '{}'", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::super::Folder;
    use super::*;

    #[tokio::test]
    async fn a_torn_creation_is_not_listed_and_removed() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::local(place.path());
        folder.create("s/a", Bytes::from("a")).await.unwrap();
        fs::write(place.path().join("s/.b.1-0.tmp"), "torn").unwrap();
        assert_eq!(folder.list_all().await.unwrap(), ["s/a"]);
        folder.remove_leftovers().await.unwrap();
        assert_eq!(fs::read_dir(place.path().join("s")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_path_in_the_way_is_an_error_that_names_it() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("s"), "a file").unwrap();
        let error = Folder::local(place.path()).create("s/a", Bytes::new()).await.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("/s"), "{error}");
    }
}
