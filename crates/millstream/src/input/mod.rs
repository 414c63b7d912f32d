//! The input side of the crank: lanes in, epochs out.
//!
//! [`Inputs`] opens every lane of every source of one pipeline, reads ahead in the background and hands out epochs: the batches
//! that are there, and how far event time has come.
//!
//! ```text
//!   source "bids"                          Inputs::next()
//!   lane 0 --read, decode, inspect--> [queue] --\
//!   lane 1 --read, decode, inspect--> [queue] ---+--> take in turn --> one epoch: batches, watermarks, epoch clock
//!   source "asks"                               /     (rows, bytes,
//!   lane 0 --read, decode, inspect--> [queue] -'       linger, drift)
//!        a blocking task per lane      bounded: a full queue is back-pressure
//! ```
//!
//! A lane's position and watermark count from the moment its batch is handed out, not from when it was read; so
//! [`Inputs::positions`] after an epoch is exactly what a checkpoint of that epoch needs.
//!
//! How to read this folder: [`settings`] (what goes in), [`epoch`] and [`positions`] (what comes out), `inputs` (the loop),
//! `pace` (when an epoch is full), `lane` and `source` (watermarks, idleness, drift), `reader` and `inspect` (the background).
//!
//! What it leaves out: which rows are late, timers of windows (the caller passes a deadline), and where rejected rows are stored.

pub mod epoch;
pub mod error;
pub mod metrics;
pub mod positions;
pub mod settings;

mod discovery;
mod event_time;
mod inputs;
mod inspect;
mod lane;
mod pace;
mod reader;
mod source;
#[cfg(test)]
mod tests;

pub use epoch::{EpochInput, SourceInput};
pub use error::{InputError, Result};
pub use inputs::Inputs;
pub use metrics::{RejectedExample, SourceMetrics};
pub use positions::{InputPositions, LanePosition, SourcePositions};
pub use settings::{BadRows, InputSettings, SourceSpec, WatermarkRule};
