//! The output side: sinks, sealing and publication.
//!
//! ```text
//! write(epoch 1) write(epoch 2) seal(7) ... write(epoch 3) ...   publish(sealed 7)   seal(8) ...
//!                               |                                 |
//!                               what belongs to checkpoint 7      once checkpoint 7 is durable; may be repeated
//! ```
//!
//! Between seal and publish the rows must be durable (step C3 of docs/checkpoints.md), in one of two ways. A sink that can stage rows
//! where they will be published (files, stored tables) does that in `seal` and names them in [`Sealed::detail`]. A sink that
//! publishes by a transaction of a remote system (Kafka, a database) cannot keep one open until the checkpoint exists, nor find it
//! again after a crash: it hands the rows over in [`Sealed::staged`], the checkpoint keeps them, and `publish` gets them back, also in
//! the process after this one. Its transaction then holds the rows and a progress record `(pipeline, checkpoint)` that tells whether
//! it has happened: skip what is not newer.

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
    /// When their checkpoint exists; again if the process ends between showing them and noting that.
    AfterCheckpoint,
    /// When published, all rows of a checkpoint or none, once.
    Transactional,
}

/// What a sink wrote between two checkpoints: durable, not yet visible to readers. Goes into the checkpoint's manifest, so that
/// publication can be finished by another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// Number of the checkpoint it belongs to.
    pub checkpoint: u64,
    /// Rows in it.
    pub rows: u64,
    /// What the connector needs in order to publish (staged and final names, …).
    pub detail: serde_json::Value,
    /// Rows that the checkpoint keeps for the sink until they are published, as files beside the manifest.
    #[serde(skip)]
    pub staged: Vec<RecordBatch>,
}

impl Sealed {
    /// Of a sink that keeps its rows itself, or has none to keep.
    pub fn new(checkpoint: u64, rows: u64, detail: serde_json::Value) -> Self {
        Self { checkpoint, rows, detail, staged: Vec::new() }
    }

    /// Of a sink whose rows the checkpoint keeps.
    pub fn staged(checkpoint: u64, staged: Vec<RecordBatch>) -> Self {
        let rows = staged.iter().map(|batch| batch.num_rows() as u64).sum();
        Self { checkpoint, rows, detail: serde_json::Value::Null, staged }
    }
}

/// Takes the output of epochs. Used by one task; it may block on local I/O.
#[async_trait]
pub trait Sink: fmt::Debug + Send {
    /// When readers see rows.
    fn delivery(&self) -> Delivery;

    /// Told before anything else: a name of the pipeline whose rows it takes, the same after a restart, and no other pipeline's
    /// anywhere. With the number of a checkpoint it is what a progress record needs.
    fn serve(&mut self, pipeline: &str) {
        let _ = pipeline;
    }

    /// Takes one epoch's rows (all batches have the sink's schema). At-least-once sinks send them before returning.
    async fn write(&mut self, batches: &[RecordBatch]) -> Result<()>;

    /// Ends what belongs to `checkpoint` and makes it durable; what is written afterwards belongs to the next one.
    async fn seal(&mut self, checkpoint: u64) -> Result<Sealed>;

    /// Makes sealed rows visible. Idempotent, and safe on an instance that did not seal them (recovery).
    async fn publish(&mut self, sealed: &Sealed) -> Result<()>;

    /// Whether the rows of `checkpoint` are visible, asked when what was sealed for it cannot be read any more. `None`: the sink cannot
    /// tell.
    async fn is_published(&mut self, checkpoint: u64) -> Result<Option<bool>> {
        let _ = checkpoint;
        Ok(None)
    }

    /// Throws away what was written since the last seal (the epoch failed, the pipeline restarts).
    async fn discard(&mut self) -> Result<()>;
}
