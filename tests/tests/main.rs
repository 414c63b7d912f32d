//! Millstream seen from outside: SQL in, rows, plans and messages out.
//!
//! Read in this order: [`harness`] (an engine over given rows, rows as text), [`oracle`] (generated queries against the same
//! query as one batch), then one module a subject.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods, reason = "these are tests")]

mod engine_config;
mod harness;

mod durable;
mod golden;
mod hostile;
mod late_rows;
mod layering;
mod learning;
mod load;
mod models;
mod oracle;
mod other_readers;
mod pipelines;
mod re_execution;
mod remote_sink;
mod secrets;
mod simulation;
mod spilling;
mod stored_tables;
mod suites;
