//! Errors of durable state: who must act, a fact, a hint.

use thiserror::Error;

use crate::digest::Digest;

/// Result of this crate.
pub type Result<T, E = CheckpointError> = std::result::Result<T, E>;

/// What went wrong, sorted by who must act.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The user must fix a path, a name or an option.
    #[error("{0}")]
    Config(String),
    /// A file is there, but its bytes are not those that were written.
    #[error("'{file}' is damaged: its hash should be {expected} and is {found} ({detail})")]
    Damaged {
        /// The file's name in its folder.
        file: String,
        /// The hash it should have, or why that is not known.
        expected: String,
        /// The hash of the bytes that are there.
        found: Digest,
        /// What else is known: a length, what could not be read.
        detail: String,
    },
    /// A file that something durable refers to is not there.
    #[error("'{file}' is missing: {detail}")]
    Missing {
        /// The file's name in its folder.
        file: String,
        /// Who refers to it.
        detail: String,
    },
    /// A file of a format that this version does not know.
    #[error("'{file}' has format version {found}: this program knows versions up to {known} (hint: use the newer program that wrote it)")]
    NewerFormat {
        /// The file's name in its folder.
        file: String,
        /// The version it states.
        found: u64,
        /// The newest version known here.
        known: u64,
    },
    /// Another process owns the chain now. Publish nothing and stop.
    #[error(
        "fenced by generation {generation}: entry {number} of '{chain}' is another owner's (hint: the same pipeline runs in another process)"
    )]
    Fenced {
        /// The chain's name.
        chain: String,
        /// The generation of the other owner, 0 if it could not be read.
        generation: u64,
        /// The entry that tells.
        number: u64,
    },
    /// The store failed; what was attempted may or may not have happened.
    #[error("{context}: {source}")]
    Storage {
        /// What was attempted, with the name.
        context: String,
        /// Whether trying again may help.
        transient: bool,
        /// The store's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Rows of a kind that files of state cannot hold.
    #[error("{0}")]
    Unsupported(String),
    /// A broken invariant: our own mistake.
    #[error("{0} (hint: this is a bug in Millstream, please report it)")]
    Bug(String),
}

impl CheckpointError {
    /// A configuration error.
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }

    /// A broken invariant.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::Bug(message.into())
    }

    /// Whether the same operation may succeed when tried again later. A transient failure is *ambiguous*: the operation may
    /// have taken effect although its answer was lost.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Storage { transient: true, .. })
    }

    /// Whether the error says that a particular file cannot be trusted or has gone.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Missing { .. })
    }

    /// An error of the local file system in its context.
    pub(crate) fn local(context: impl Into<String>, source: std::io::Error) -> Self {
        let transient = io_is_transient(source.kind());
        Self::Storage { context: context.into(), transient, source: Box::new(source) }
    }

    /// An error of an object store in its context.
    pub(crate) fn object(context: impl Into<String>, source: object_store::Error) -> Self {
        let transient = object_is_transient(&source);
        Self::Storage { context: context.into(), transient, source: Box::new(source) }
    }
}

/// A full disk and a failing one are transient: a pipeline pauses and tries again until somebody has made room.
fn io_is_transient(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind as Kind;
    !matches!(
        kind,
        Kind::NotFound
            | Kind::PermissionDenied
            | Kind::AlreadyExists
            | Kind::InvalidInput
            | Kind::InvalidFilename
            | Kind::ReadOnlyFilesystem
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::Unsupported
    )
}

/// Stores report resets, time-outs, 429 and 5xx as `Generic`; everything with a kind of its own is an answer, not an accident.
fn object_is_transient(error: &object_store::Error) -> bool {
    // The type that holds the status is private, so a bucket that does not exist can only be told from an accident by the text.
    let refused = |text: String| ["400", "401", "404", "405"].iter().any(|status| text.contains(&format!("status code: {status}")));
    matches!(error, object_store::Error::Generic { .. }) && !refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_may_be_tried_again_and_a_forbidden_one_not() {
        for (kind, transient) in [
            (std::io::ErrorKind::StorageFull, true),
            (std::io::ErrorKind::Other, true),
            (std::io::ErrorKind::TimedOut, true),
            (std::io::ErrorKind::PermissionDenied, false),
            (std::io::ErrorKind::ReadOnlyFilesystem, false),
        ] {
            assert_eq!(CheckpointError::local("x", kind.into()).is_transient(), transient, "{kind}");
        }
    }

    #[test]
    fn store_accidents_may_be_tried_again_and_answers_not() {
        let reset = object_store::Error::Generic { store: "s3", source: "connection reset".into() };
        assert!(CheckpointError::object("put", reset).is_transient());
        let missing = object_store::Error::Generic { store: "S3", source: "status code: 404 Not Found: NoSuchBucket".into() };
        assert!(!CheckpointError::object("list", missing).is_transient());
        let denied = object_store::Error::PermissionDenied { path: "x".into(), source: "403".into() };
        assert!(!CheckpointError::object("put", denied).is_transient());
    }
}
