//! Models over Arrow batches: inference, learners that keep their state in Arrow columns, and metrics.

pub mod drift;
pub mod learner;
pub mod metric;
