//! What every source and every sink must keep to, as checks that anyone can run over a connector of their own.
//!
//! ```
//! # use std::sync::Arc;
//! # use arrow::datatypes::{DataType, Field, Schema};
//! use millstream_connectors::{MemoryOutput, MemorySource, conformance};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let batch = conformance::sink_rows(0, 1_000);
//! let source = MemorySource::new(batch.schema(), vec![vec![batch]]);
//! conformance::check_source(&source, 10_000).await?;
//!
//! let output = MemoryOutput::default();
//! let make = || Ok(Box::new(output.sink()) as _);
//! let visible = || Ok(conformance::sink_ids(&output.batches()));
//! conformance::check_sink(make, visible).await?;
//! # Ok::<(), conformance::Violation>(())
//! # })?;
//! # Ok(())
//! # }
//! ```

mod sink;
mod source;

use thiserror::Error;

pub use sink::{check_sink, sink_ids, sink_rows, sink_schema};
pub use source::check_source;

/// A rule that a connector breaks.
#[derive(Debug, Error)]
#[error("{rule}: {detail}")]
pub struct Violation {
    /// The rule.
    pub rule: &'static str,
    /// How it is broken.
    pub detail: String,
}

fn require(holds: bool, rule: &'static str, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { rule, detail: detail() }) }
}

/// The connector fails where it must not.
fn works<T>(result: crate::Result<T>, rule: &'static str) -> Result<T, Violation> {
    result.map_err(|error| Violation { rule, detail: error.to_string() })
}
