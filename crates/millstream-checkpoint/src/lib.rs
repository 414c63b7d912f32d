//! What survives a crash.
//!
//! A pipeline's checkpoint is a **manifest**: a JSON entry in a [`chain`] that is created, never changed, and names every file that
//! belongs to it with length and hash. Files come first, then the manifest, in one atomic creation: before it the checkpoint never
//! happened, after it the checkpoint exists. Then sinks publish, and a marker says that they have. Whoever goes on with a pipeline
//! first *claims* its chain by a manifest of its own; whoever owned it before finds that out at its next append and stops. There is
//! no other fence, no lock and no clock.
//!
//! ```
//! # use millstream_checkpoint::{Chain, Folder, Generation, TakeOver};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> millstream_checkpoint::Result<()> {
//! let chain: Chain<u64> = Chain::new(Folder::memory(), "catalog")?;
//! let head = chain.head().await?;
//! let TakeOver::Owned(mut owner) = chain.take_over(&head, Generation(0), "random-a".into(), 0).await? else { return Ok(()) };
//! assert_eq!(owner.append(7).await?, 2);
//!
//! let head = chain.head().await?;
//! let TakeOver::Owned(_) = chain.take_over(&head, Generation(1), "random-b".into(), 7).await? else { return Ok(()) };
//! let error = owner.append(8).await.unwrap_err();
//! assert!(error.to_string().starts_with("fenced by generation 2"));
//! # Ok(())
//! # }
//! ```
//!
//! Read [`folder`] for what a store must do, [`chain`] for the fence, [`manifest`] for what a checkpoint is, [`state_file`] for rows,
//! [`pipeline_folder`] and [`pipeline_owner`] for one pipeline from claim to garbage, [`log`] for stored tables. What is decided is
//! decided without I/O, in [`chain::decide`], [`recovery`] and [`garbage`]; a model check explores those over all interleavings.
//!
//! This crate knows Arrow, Parquet and object stores, and nothing of DataFusion or the engine. It spawns nothing, sleeps never, reads
//! no clock and rolls no dice: nonces and times are given to it. On a local folder its methods block on the disk.

pub mod error;
pub mod folder;

pub mod chain;
pub mod digest;

pub mod file_name;
pub mod manifest;
pub mod state_file;

mod interval_column;

pub mod pipeline_folder;
pub mod pipeline_owner;

pub mod garbage;
pub mod recovery;

pub mod log;

pub mod retry;

pub use chain::{Chain, ChainOwner, Entry, Generation, Head, Link, Nonce, StoredEntry, TakeOver};
pub use digest::Digest;
pub use error::{CheckpointError, Result};
pub use file_name::{FileKind, FileName};
pub use folder::{Create, Folder, store_of};
pub use log::{LogMerge, LogSegment, TableLog};
pub use manifest::{Manifest, ManifestKind, ManifestStats, OperatorState, SinkState, StateFile, StateShape};
pub use pipeline_folder::{Claimed, KeptFiles, ListedCheckpoint, Look, PipelineFolder, Publication};
pub use pipeline_owner::{Collected, PipelineOwner};
pub use recovery::{Health, Published, Recovery};
pub use retry::Backoff;
pub use state_file::{EncodedFile, StateRows};
