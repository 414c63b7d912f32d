//! A [`Folder`]: named objects that are created once, read, listed and deleted, and never overwritten.
//!
//! ```text
//!   Folder ── sub("pipelines") ── sub("7") ── create("manifest-3.json")
//!     │
//!     └─ back: local files (we fsync them ourselves) | any object store with put-if-absent | memory
//! ```
//!
//! `create` is the only durable step of every protocol in this crate. When it fails with a transient error it may have happened
//! all the same: read the object back and compare ([`CheckpointError::is_transient`]). Names are made of plain segments
//! ([`name_is_plain`]) so that they mean the same in every store.

mod local;
mod object;
mod url;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ObjectStore;

pub use self::url::store_of;
use crate::error::{CheckpointError, Result};

/// What [`Folder::create`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// The object is there now, with our bytes, and stays there after a loss of power.
    Created,
    /// An object of that name was there before and was left alone. It is durable too.
    Exists,
}

/// The five things a place for objects must do. Names are full names from the root of the back, segments separated by `/`.
#[async_trait]
pub(crate) trait Back: fmt::Debug + Send + Sync {
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Create>;
    async fn read_if_exists(&self, name: &str) -> Result<Option<Bytes>>;
    /// Full names, in any order. `folder` may be empty or absent.
    async fn list(&self, folder: &str, depth: Depth) -> Result<Vec<String>>;
    async fn delete(&self, name: &str) -> Result<()>;
    /// Everything in `folder` that a reader can see now, and every deletion in it, outlasts a loss of power from here on.
    async fn settle(&self, folder: &str) -> Result<()>;
    async fn remove_leftovers(&self, folder: &str) -> Result<()>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Children,
    All,
}

/// A place for objects in some store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Folder {
    back: Arc<dyn Back>,
    /// Empty, or ends in `/`.
    prefix: String,
}

impl Folder {
    /// A folder of the local file system; it is made when the first object is created. An object is durable (file and directory
    /// fsynced) when `create` returns.
    ///
    /// Its methods block on local I/O for the length of a write and an fsync.
    pub fn local(path: impl AsRef<Path>) -> Self {
        Self { back: Arc::new(local::LocalFiles::new(path.as_ref())), prefix: String::new() }
    }

    /// A folder that is gone with the last clone of it.
    pub fn memory() -> Self {
        let store = Arc::new(object_store::memory::InMemory::new());
        Self { back: Arc::new(object::Objects::new(store)), prefix: String::new() }
    }

    /// The objects below `prefix` (empty: all) of a store that knows conditional creation.
    ///
    /// Errors: a prefix that is not made of plain names.
    pub fn from_store(store: Arc<dyn ObjectStore>, prefix: &str) -> Result<Self> {
        let root = Self { back: Arc::new(object::Objects::new(store)), prefix: String::new() };
        if prefix.is_empty() { Ok(root) } else { root.sub(prefix) }
    }

    /// The folder at `url`: a plain path, `file:///…`, `memory:`, `s3://bucket/…`, `gs://bucket/…`, `az://container/…` or `abfss://…`.
    /// Credentials come from the environment, as for each cloud's own tools.
    ///
    /// Errors: any other scheme (make the store with the `object_store` crate and use [`Folder::from_store`]), and settings of the
    /// environment that do not fit together. Whether the bucket can be reached is seen at the first read.
    pub fn from_url(url: &str) -> Result<Self> {
        url::open(url)
    }

    /// A folder in this one; several segments are allowed.
    ///
    /// Errors: a name that is not plain.
    pub fn sub(&self, name: &str) -> Result<Self> {
        Ok(Self { back: Arc::clone(&self.back), prefix: format!("{}/", self.full(name)?) })
    }

    /// Creates `name` with `bytes` unless it exists; of any number of racing creators one gets [`Create::Created`].
    ///
    /// Errors: a transient one leaves open whether the object was created.
    pub async fn create(&self, name: &str, bytes: Bytes) -> Result<Create> {
        self.back.create(&self.full(name)?, bytes).await
    }

    /// The object's bytes.
    ///
    /// Errors: [`CheckpointError::Missing`] if there is none.
    pub async fn read(&self, name: &str) -> Result<Bytes> {
        let found = self.read_if_exists(name).await?;
        found.ok_or_else(|| CheckpointError::Missing { file: name.to_owned(), detail: format!("not found in {self}") })
    }

    /// The object's bytes, `None` if there is none.
    pub async fn read_if_exists(&self, name: &str) -> Result<Option<Bytes>> {
        self.back.read_if_exists(&self.full(name)?).await
    }

    /// Names of the objects right in this folder, ascending by bytes. Sub-folders are left out.
    pub async fn list(&self) -> Result<Vec<String>> {
        self.names(Depth::Children).await
    }

    /// Names of all objects below, relative to this folder, ascending by bytes.
    pub async fn list_all(&self) -> Result<Vec<String>> {
        self.names(Depth::All).await
    }

    async fn names(&self, depth: Depth) -> Result<Vec<String>> {
        let listed = self.back.list(self.prefix.trim_end_matches('/'), depth).await?;
        let mut names: Vec<String> = listed.iter().filter_map(|name| Some(name.strip_prefix(&self.prefix)?.to_owned())).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Deletes the object; fine if there is none.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.back.delete(&self.full(name)?).await
    }

    /// Makes durable what can be seen right in this folder, deletions included. Needed before acting on an object that another
    /// process created, perhaps without living to see it on disk.
    pub async fn settle(&self) -> Result<()> {
        self.back.settle(self.prefix.trim_end_matches('/')).await
    }

    /// Removes what creations cut short by a crash have left in this folder and below. A creation going on in another process may
    /// fail by it and must be tried again.
    pub async fn remove_leftovers(&self) -> Result<()> {
        self.back.remove_leftovers(self.prefix.trim_end_matches('/')).await
    }

    fn full(&self, name: &str) -> Result<String> {
        if name.split('/').all(name_is_plain) {
            return Ok(format!("{}{name}", self.prefix));
        }
        Err(CheckpointError::config(format!(
            "name of an object must be plain: got '{name}' (hint: letters, digits, '_', '-', '=' and inner '.', at most 200 characters a segment)"
        )))
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}", self.back, self.prefix.trim_end_matches('/'))
    }
}

/// A segment every store and file system takes as it is, and that cannot be mistaken for a creation in progress.
///
/// Prevents escapes from the folder (`..`), names that differ only after escaping, and objects hidden from listings.
pub fn name_is_plain(segment: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '=' | '.');
    (1..=200).contains(&segment.len()) && segment.chars().all(plain) && !segment.starts_with('.') && !segment.ends_with(".tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backs() -> Vec<(Folder, Option<tempfile::TempDir>)> {
        let place = tempfile::tempdir().unwrap();
        vec![(Folder::memory(), None), (Folder::local(place.path().join("a/b")), Some(place))]
    }

    #[tokio::test]
    async fn every_back_creates_reads_lists_and_deletes() {
        for (folder, _place) in backs() {
            assert_eq!(folder.list_all().await.unwrap(), Vec::<String>::new());
            assert_eq!(folder.create("x.json", Bytes::from("1")).await.unwrap(), Create::Created);
            assert_eq!(folder.create("x.json", Bytes::from("2")).await.unwrap(), Create::Exists);
            let deep = folder.sub("s/t").unwrap();
            assert_eq!(deep.create("y", Bytes::new()).await.unwrap(), Create::Created);
            assert_eq!(folder.read("x.json").await.unwrap(), "1");
            assert_eq!(folder.read_if_exists("z").await.unwrap(), None);
            assert!(matches!(folder.read("z").await, Err(CheckpointError::Missing { file, .. }) if file == "z"));
            assert_eq!(folder.list().await.unwrap(), ["x.json"]);
            assert_eq!(folder.list_all().await.unwrap(), ["s/t/y", "x.json"]);
            assert_eq!(deep.list().await.unwrap(), ["y"]);
            folder.settle().await.unwrap();
            folder.delete("x.json").await.unwrap();
            folder.delete("x.json").await.unwrap();
            assert_eq!(folder.list_all().await.unwrap(), ["s/t/y"]);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 8)]
    async fn of_32_racing_creators_one_wins() {
        for (folder, _place) in backs() {
            let racers = (0..32).map(|racer: u32| {
                let folder = folder.clone();
                #[allow(clippy::disallowed_methods, reason = "the race is the test")]
                tokio::spawn(async move { (racer, folder.create("s/one", Bytes::from(racer.to_string())).await.unwrap()) })
            });
            let ends: Vec<_> = futures::future::join_all(racers).await.into_iter().map(|end| end.unwrap()).collect();
            let winners: Vec<u32> = ends.iter().filter(|(_, end)| *end == Create::Created).map(|(racer, _)| *racer).collect();
            assert_eq!(winners.len(), 1, "{winners:?}");
            assert_eq!(folder.read("s/one").await.unwrap(), winners[0].to_string());
            assert_eq!(folder.list_all().await.unwrap(), ["s/one"]);
        }
    }

    #[test]
    fn names_cannot_escape() {
        for name in ["manifest-1.json", "a=b", "x.y", "A_1"] {
            assert!(name_is_plain(name), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "a b", "ä", "x.tmp", "a\0", "%2e", &"a".repeat(201)] {
            assert!(!name_is_plain(name), "{name}");
        }
        assert!(Folder::memory().sub("a/../b").is_err());
    }
}
