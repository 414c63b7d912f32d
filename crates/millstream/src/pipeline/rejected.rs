//! Rows that did not decode, on their way into stored tables: they are sealed and published with the checkpoint whose positions are
//! behind them, so over a restart none is lost and none is there twice.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_connectors::{RejectedRow, Sealed, Sink};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::stored_table::StoredTableSink;

/// Where the rejected rows of one source go.
#[derive(Debug)]
pub(crate) struct RejectedSink {
    /// Index of the source in the plan.
    source: usize,
    /// Its table.
    name: String,
    sink: StoredTableSink,
}

/// What a pipeline with such sinks seals.
#[derive(Debug, Serialize, Deserialize)]
struct SealedParts {
    /// `None`: whoever took the rows has gone.
    result: Option<Sealed>,
    rejected_rows: Vec<Sealed>,
}

impl RejectedSink {
    pub(crate) fn new(source: usize, name: String, sink: StoredTableSink) -> Self {
        Self { source, name, sink }
    }

    /// The columns of a table that takes rejected rows; their names do not matter.
    pub(crate) fn columns() -> SchemaRef {
        let text = |name| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(vec![text("source"), text("place"), text("reason"), Field::new("bytes", DataType::Binary, true)]))
    }

    fn batch(&self, rows: &[RejectedRow]) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|_| &self.name))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.place))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.reason))),
            Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.bytes))),
        ];
        RecordBatch::try_new(Self::columns(), columns).map_err(|error| Error::internal(error.to_string()))
    }
}

/// Takes the rejected rows of one source in one epoch.
pub(super) async fn write(sinks: &mut [RejectedSink], source: usize, rows: &[RejectedRow]) -> Result<()> {
    for sink in sinks.iter_mut().filter(|sink| sink.source == source && !rows.is_empty()) {
        let batch = sink.batch(rows)?;
        sink.sink.write(&[batch]).await?;
    }
    Ok(())
}

/// Seals the rejected rows beside the `result` of the pipeline; without such sinks that is all.
pub(super) async fn seal(sinks: &mut [RejectedSink], checkpoint: u64, result: Option<Sealed>) -> Result<Option<Sealed>> {
    if sinks.is_empty() {
        return Ok(result);
    }
    let mut rejected_rows = Vec::with_capacity(sinks.len());
    for sink in sinks {
        rejected_rows.push(sink.sink.seal(checkpoint).await?);
    }
    let mut result = result;
    let rows = result.as_ref().map_or(0, |result| result.rows);
    let staged = result.as_mut().map(|result| std::mem::take(&mut result.staged)).unwrap_or_default();
    let parts = SealedParts { result, rejected_rows };
    let detail = serde_json::to_value(parts).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Some(Sealed { checkpoint, rows, detail, staged }))
}

/// Publishes rejected rows; gives back what the pipeline's own sink has sealed.
pub(super) async fn publish(sinks: &mut [RejectedSink], sealed: &Sealed) -> Result<Option<Sealed>> {
    if sealed.detail.get("rejected_rows").is_none() {
        return Ok(Some(sealed.clone()));
    }
    let damaged = |why: String| Error::user("XX001", format!("checkpoint {} cannot be published: {why}", sealed.checkpoint));
    let parts = SealedParts::deserialize(&sealed.detail).map_err(|error| damaged(error.to_string()))?;
    if parts.rejected_rows.len() != sinks.len() {
        return Err(damaged("other tables than before keep their bad rows (hint: bring the former definitions back)".to_owned()));
    }
    for (sink, sealed) in sinks.iter_mut().zip(&parts.rejected_rows) {
        sink.sink.publish(sealed).await?;
    }
    Ok(parts.result.map(|result| Sealed { staged: sealed.staged.clone(), ..result }))
}

/// True if nobody can have seen the rows of `checkpoint`.
pub(super) async fn is_unseen(sinks: &mut [RejectedSink], checkpoint: u64) -> Result<bool> {
    for sink in sinks {
        if sink.sink.is_published(checkpoint).await? != Some(false) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes back what was written since the last seal.
pub(super) async fn discard(sinks: &mut [RejectedSink]) -> Result<()> {
    for sink in sinks {
        sink.sink.discard().await?;
    }
    Ok(())
}
