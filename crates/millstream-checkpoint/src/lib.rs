//! x
pub mod chain;
pub mod digest;
pub mod error;
pub mod folder;
pub mod retry;
pub use error::{CheckpointError, Result};
