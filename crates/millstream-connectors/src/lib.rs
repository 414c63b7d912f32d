//! What feeds a pipeline and what takes its results.
//!
//! A [`Source`] is a named input made of [lanes](Lane): each lane is what one reader reads *in order* (a Kafka partition, a
//! generator shard, a sequence of files). A lane hands out decoded Arrow batches, each with the [`Position`] at which reading
//! would resume after it. A [`Sink`] takes the output of epochs, [seals](Sink::seal) it when a checkpoint is taken and
//! [publishes](Sink::publish) it once the checkpoint is durable.
//!
//! The [`ConnectorRegistry`] makes both from the `WITH` [`Options`] of a table. What bytes mean is the matter of [`mod@format`].
//! Whoever writes a connector runs the checks of [`conformance`] over it.
//!
//! This crate knows Arrow and nothing of DataFusion, SQL or the engine; it spawns no tasks.

pub mod error;
pub mod source;

pub mod sink;

pub mod options;
pub mod registry;

pub mod format;

pub mod conformance;

pub mod blackhole;
pub mod channel;
pub mod datagen;
pub mod file;
pub mod memory;
pub mod nexmark;
pub mod socket;
pub mod stdout;

mod pace;
mod random;

pub use channel::{ChannelSender, channel_sink, channel_source};
pub use error::{ConnectorError, Result};
pub use memory::{MemoryOutput, MemorySink, MemorySource};
pub use options::Options;
pub use registry::{Connector, ConnectorRegistry, Role};
pub use sink::{Delivery, Sealed, Sink};
pub use source::{Boundedness, Lane, LaneBatch, LaneId, Position, Read, RejectedRow, Replay, Source};
