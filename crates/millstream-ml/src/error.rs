//! What can be wrong with a model or with what it is given.

use std::fmt;

/// An error of this crate: a fact, then detail, then a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelError {
    kind: ModelErrorKind,
    message: String,
}

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelErrorKind {
    /// The file is damaged or contradicts itself.
    Invalid,
    /// The model is in order, but this evaluator does not run it.
    Unsupported,
    /// The model is larger than a limit allows.
    TooLarge,
    /// The rows do not fit the model.
    Input,
    /// Whoever asked for the prediction does not want it any more.
    Interrupted,
}

impl ModelError {
    pub(crate) fn new(kind: ModelErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ModelErrorKind::Invalid, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ModelErrorKind::Unsupported, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(ModelErrorKind::TooLarge, message)
    }

    /// The rows do not fit the model.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ModelErrorKind::Input, message)
    }

    /// The prediction is not wanted any more.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(ModelErrorKind::Interrupted, message)
    }

    /// Who must act.
    pub fn kind(&self) -> ModelErrorKind {
        self.kind
    }

    /// The same error, told with the place where it was found.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ModelError {}

/// Result of this crate.
pub type ModelResult<T> = Result<T, ModelError>;
