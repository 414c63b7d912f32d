//! The rules of the input side, each shown with scripted lanes and a clock that stands still.

mod epochs;
mod failures;
mod fake;
mod readers;
mod restore;
mod watermarks;
