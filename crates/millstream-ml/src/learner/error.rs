//! Errors of learners and metrics: who must act, a fact, a hint.

use thiserror::Error;

/// Result of learners, drift detectors and metrics.
pub type Result<T, E = LearnError> = std::result::Result<T, E>;

/// What went wrong, sorted by who must act.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LearnError {
    /// The user must fix an option, a column's type or the data.
    #[error("{0}")]
    User(String),
    /// A saved state is not what this model writes.
    #[error("{0}")]
    State(String),
    /// Arrow refused what we gave it: a bug of ours.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
}

impl LearnError {
    /// The user must act.
    pub fn user(message: impl Into<String>) -> Self {
        Self::User(message.into())
    }

    /// A state cannot be taken over.
    pub fn state(message: impl Into<String>) -> Self {
        Self::State(message.into())
    }
}
