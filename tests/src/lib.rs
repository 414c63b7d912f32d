//! Tests of Millstream through its public API: one binary, `tests/main.rs`.
