//! The output side: sinks, sealing and publication.
//!
//! ```text
//! write(epoch 1) write(epoch 2) seal(7) ... write(epoch 3) ...   publish(sealed 7)   seal(8) ...
//!                               |                                 |
//!                               what belongs to checkpoint 7      once checkpoint 7 is durable; may be repeated
//! ```

use std::fmt;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// When readers of a sink see rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once, when written; again after a crash.
    AtLeastOnce,
    /// When published, all rows of a checkpoint or none.
    Transactional,
}

/// What a sink wrote between two checkpoints: durable, not yet visible to readers. Goes into the checkpoint's manifest, so that
/// publication can be finished by another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Number of the checkpoint it belongs to.
    pub checkpoint: u64,
    /// Rows in it.
    pub rows: u64,
    /// What the connector needs in order to publish (staged and final names, …).
    pub detail: serde_json::Value,
}

/// Takes the output of epochs. Used by one task; it may block on local I/O.
#[async_trait]
pub trait Sink: fmt::Debug + Send {
    /// When readers see rows.
    fn delivery(&self) -> Delivery;

    /// Takes one epoch's rows (all batches have the sink's schema). At-least-once sinks send them before returning.
    async fn write(&mut self, batches: &[RecordBatch]) -> Result<()>;

    /// Ends what belongs to `checkpoint` and makes it durable; what is written afterwards belongs to the next one.
    async fn seal(&mut self, checkpoint: u64) -> Result<Sealed>;

    /// Makes sealed rows visible. Idempotent, and safe on an instance that did not seal them (recovery).
    async fn publish(&mut self, sealed: &Sealed) -> Result<()>;

    /// Throws away what was written since the last seal (the epoch failed, the pipeline restarts).
    async fn discard(&mut self) -> Result<()>;
}
