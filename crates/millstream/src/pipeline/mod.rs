//! Continuous queries: what one is made of, the crank that turns it, and the handle a program holds.
//!
//! ```text
//! start ── inputs ──▶ crank ── epoch ──▶ plan (stages, operators) ── rows ──▶ output
//!                       │                                                     └─ a query's channel, or a sink
//!                       ├── checkpoints: when one is taken, and where it is on its way
//!                       ├── load: at work, without input, or held back
//!                       └── status: figures for people; stop: ends it gracefully
//! ```

mod checkpoints;
mod columns;
mod crank;
mod figures;
mod lateness;
mod load;
mod output;
mod parts;
mod plan;
mod relief;
mod requests;
mod side_tables;
mod start;
mod status;

pub(crate) use figures::PipelineFigures;
pub use load::PipelineLoad;
pub(crate) use output::Output;
pub(crate) use side_tables::SideTable;
pub(crate) use start::{PipelineSpec, sources_with_windows, start};
pub use status::{PipelineFailure, PipelineHandle, PipelineState, PipelineStatus, SourceStatus};
