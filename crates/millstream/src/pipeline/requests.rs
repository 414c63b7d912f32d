//! What can be asked of a running pipeline.

use tokio::sync::oneshot;

use crate::error::Result;

/// Requests that wait at most.
pub(super) const REQUESTS_MAX: usize = 64;

/// Answered between two epochs.
#[derive(Debug)]
pub(super) enum Request {
    /// Take a checkpoint now; answered with its number once its rows are published.
    Checkpoint(oneshot::Sender<Result<u64>>),
}
