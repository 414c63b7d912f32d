//! Tests of all connectors through the public API, in one binary.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod conformance;
mod datagen;
mod file_sink;
mod file_source;
mod follow;
mod hostile;
mod nexmark;
mod resume;
mod simple;
mod socket;
mod support;
mod throughput;
