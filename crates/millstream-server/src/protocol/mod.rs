//! Version 3 of the Postgres protocol: frames in, messages out.
//!
//! Everything that comes in is bounds-checked and capped before a byte is kept for it; the protocol's fuzz tests live on that.
//! `incoming` reads what a client may send, `outgoing` writes what it is told, `wire` is the socket between.

pub(crate) mod incoming;
pub(crate) mod outgoing;
pub(crate) mod startup;
mod wire;

pub(crate) use incoming::Message;
pub(crate) use startup::{Opening, StartupRequest};
pub(crate) use wire::{Stream, Wire};
