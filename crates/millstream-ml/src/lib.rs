//! Models over Arrow batches: inference, learners that keep their state in Arrow columns, and metrics.
//!
//! [`model`] says what every model is. [`onnx`] reads ONNX files and evaluates them column by column without a shared library.

pub mod error;
pub mod model;
pub mod onnx;
