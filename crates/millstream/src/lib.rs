//! The Millstream engine: sessions, pipelines, the crank.

pub mod input;
