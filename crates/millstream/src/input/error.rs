//! What can go wrong on the input side; every message names the table.

use datafusion::error::DataFusionError;
use millstream_connectors::ConnectorError;
use thiserror::Error;

/// Result of this module.
pub type Result<T, E = InputError> = std::result::Result<T, E>;

/// An error of a pipeline's input, sorted by who must act.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// The connector failed; it knows whether the user or the outside must act.
    #[error("table {table}: {source}")]
    Connector {
        /// The table read from.
        table: String,
        /// What the connector says.
        source: ConnectorError,
    },
    /// A row does not decode and the table does not allow that. The user must fix the data or the option.
    #[error("table {table}: bad row at {place}: {reason} (hint: the option bad_rows = 'skip' of the table counts such rows and goes on)")]
    BadRow {
        /// The table read from.
        table: String,
        /// Where the row stands.
        place: String,
        /// Why it does not decode, with the value.
        reason: String,
    },
    /// The watermark expression failed on a batch. The user must fix the expression or the data.
    #[error("table {table}: the watermark expression failed: {source}")]
    Watermark {
        /// The table read from.
        table: String,
        /// What the expression says.
        source: Box<DataFusionError>,
    },
    /// The description of the source or the positions to start from do not fit. The user must act.
    #[error("table {table}: {message}")]
    Config {
        /// The table read from.
        table: String,
        /// Fact, value, hint.
        message: String,
    },
    /// The positions to start from belong to another query.
    #[error("the stored input positions do not fit this query: {0}")]
    Positions(String),
    /// A contract inside Millstream is broken.
    #[error("table {table}: {message} (this is a bug in Millstream)")]
    Bug {
        /// The table read from.
        table: String,
        /// What was found.
        message: String,
    },
    /// `next` was called again after it had failed.
    #[error("the input has failed before and must be opened again")]
    AlreadyFailed,
}

impl InputError {
    pub(super) fn connector(table: &str, source: ConnectorError) -> Self {
        Self::Connector { table: table.to_owned(), source }
    }

    pub(super) fn watermark(table: &str, source: DataFusionError) -> Self {
        Self::Watermark { table: table.to_owned(), source: Box::new(source) }
    }

    pub(super) fn config(table: &str, message: impl Into<String>) -> Self {
        Self::Config { table: table.to_owned(), message: message.into() }
    }

    pub(super) fn bug(table: &str, message: impl Into<String>) -> Self {
        Self::Bug { table: table.to_owned(), message: message.into() }
    }
}
