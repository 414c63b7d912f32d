//! The SQL dialect: statements, windows, labels, plans.

pub mod error;
pub mod parse;
