//! From the text a user gives to a [`Folder`].

use super::Folder;
use crate::error::{CheckpointError, Result};

pub(super) fn open(url: &str) -> Result<Folder> {
    match place(url)? {
        Place::Memory => Ok(Folder::memory()),
        Place::Local(path) => Ok(Folder::local(path)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Memory,
    Local(&'a str),
}

/// A scheme has at least two letters, so that `C:\data` is a path.
fn place(url: &str) -> Result<Place<'_>> {
    if url == "memory:" || url == "memory:///" {
        return Ok(Place::Memory);
    }
    if let Some(path) = url.strip_prefix("file://") {
        if path.starts_with('/') && !path.contains('%') {
            return Ok(Place::Local(path));
        }
        return Err(CheckpointError::config(format!("file URL must be file:///path without '%': got '{url}' (hint: give the plain path)")));
    }
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        None if url.is_empty() => Err(CheckpointError::config("data folder must have a path: got '' (hint: a path, file:///… or memory:)")),
        None => Ok(Place::Local(url)),
        Some(scheme) => Err(CheckpointError::config(format!(
            "data folder cannot be opened: scheme '{scheme}' is not known (hint: a path, file:///… or memory:; programs pass other stores as objects)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths() {
        assert_eq!(place("memory:").unwrap(), Place::Memory);
        for path in ["/a/b", "a/b", "./a", "a:b"] {
            assert_eq!(place(path).unwrap(), Place::Local(path));
        }
        assert_eq!(place("file:///a").unwrap(), Place::Local("/a"));
        for wrong in ["", "file://host/a", "file:///a%20b", "s3://bucket/a"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        let message = place("s3://bucket/a").unwrap_err().to_string();
        assert!(message.contains("scheme 's3' is not known"), "{message}");
    }
}
