//! What a crash, a lost answer, a second process or a bad disk may do, and what must hold all the same.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::disallowed_methods, reason = "these are tests")]

mod damage;
mod golden;
mod model;
mod round_trip;
mod simulation;
