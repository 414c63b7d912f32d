//! Errors of connectors: who must act, a fact, a hint.

use thiserror::Error;

/// Result of this crate.
pub type Result<T, E = ConnectorError> = std::result::Result<T, E>;

/// What went wrong, sorted by who must act.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// The user must fix an option, the schema or the SQL.
    #[error("{0}")]
    Config(String),
    /// The data is wrong (truncated file, rewritten file, bad header, …).
    #[error("{0}")]
    Data(String),
    /// Whoever took the output has gone (a closed pipe, a dropped channel): end quietly, there is nobody left to tell.
    #[error("{0}")]
    Closed(String),
    /// The outside failed (disk, network); trying again may help.
    #[error("{context}: {source}")]
    Io {
        /// What was attempted, with the path or address.
        context: String,
        /// The system's error.
        source: std::io::Error,
    },
}

impl ConnectorError {
    /// A configuration error.
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }

    /// A data error.
    pub fn data(message: impl Into<String>) -> Self {
        Self::Data(message.into())
    }

    /// The other side has gone.
    pub fn closed(message: impl Into<String>) -> Self {
        Self::Closed(message.into())
    }

    /// An I/O error in its context.
    pub fn io(context: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { context: context.into(), source }
    }
}
