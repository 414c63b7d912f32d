//! The SQL dialect: statements, windows, labels, plans.

pub mod error;
pub mod explain;
pub mod logical;
pub mod parse;
pub mod physical;
