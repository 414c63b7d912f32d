//! Models over Arrow batches: inference, learners that keep their state in Arrow columns, and metrics.
//!
//! [`model`] says what every model is. [`onnx`] reads ONNX files and evaluates them column by column without a shared library.
//! [`learner`] are models that learn from a stream, [`drift`] watches how wrong they are, [`metric`] measures it.

pub mod drift;
pub mod error;
pub mod learner;
pub mod metric;
pub mod model;
pub mod onnx;
