//! Tests of all connectors through the public API, in one binary.

mod file_source;
mod nexmark;
mod simple;
mod support;
