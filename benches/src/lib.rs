//! What Millstream costs, measured from outside: SQL in, counted rows out.
//!
//! The program is `src/bin/nexmark.rs`. It puts together the cases of the suites it is asked for, runs them in turn
//! ([`case::run_in_turn`]: A B A B, because the machine may be shared), prints one JSON line a measurement and judges the
//! [floors](floors).
//!
//! How to read the code: [`arguments`], [`case`] (what is measured, and how a median comes about), [`meter`] (time, CPU time,
//! memory), [`engine_run`] (one query through the public API), then the suites: [`aggregates`] beside their [`limit`], the
//! [`auction_site`], [`epoch_cost`], [`idle_cost`], [`first_result`], [`models`]. [`events`] and [`prepared`] make the input in memory.
//!
//! `src/bin/wire.rs` measures the server from outside, beside PostgreSQL: [`wire`].

pub mod aggregates;
pub mod arguments;
pub mod auction_site;
pub mod case;
pub mod checkpoint_cost;
pub mod engine_run;
pub mod epoch_cost;
pub mod events;
pub mod first_result;
pub mod floors;
pub mod idle_cost;
pub mod limit;
pub mod meter;
pub mod models;
pub mod prepared;
pub mod report;
pub mod wire;

/// Any failure: the program says it and ends.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
