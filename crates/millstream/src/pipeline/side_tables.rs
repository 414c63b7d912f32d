//! Rows that are in no result, on their way into stored tables: those that did not decode (`bad_rows`), and those that came too late
//! (`LATE ROWS INTO`). They are sealed and published with the checkpoint whose positions are behind them, so over a restart none is
//! lost and none is there twice.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_connectors::{RejectedRow, Sealed, Sink};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::stored_table::StoredTableSink;

/// Where such rows of one source go.
#[derive(Debug)]
pub(crate) struct SideTable {
    /// Index of the source in the plan.
    source: usize,
    rows: SideRows,
    sink: StoredTableSink,
}

/// Which rows.
#[derive(Debug)]
enum SideRows {
    /// Those that did not decode, of the table of this name.
    Rejected { name: String },
    /// Those that were late: these columns of the stream.
    Late { columns: Vec<usize> },
}

/// What a pipeline with such tables seals.
#[derive(Debug, Serialize, Deserialize)]
struct SealedParts {
    /// `None`: whoever took the rows has gone.
    result: Option<Sealed>,
    rejected_rows: Vec<Sealed>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    late_rows: Vec<Sealed>,
}

impl SideTable {
    /// For rows of `name` that do not decode.
    pub(crate) fn rejected(source: usize, name: String, sink: StoredTableSink) -> Self {
        Self { source, rows: SideRows::Rejected { name }, sink }
    }

    /// For late rows: `columns` of the stream, one a column of the table, of the same types.
    pub(crate) fn late(source: usize, columns: Vec<usize>, sink: StoredTableSink) -> Self {
        Self { source, rows: SideRows::Late { columns }, sink }
    }

    /// The columns of a table that takes rejected rows; their names do not matter.
    pub(crate) fn rejected_columns() -> SchemaRef {
        let text = |name| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(vec![text("source"), text("place"), text("reason"), Field::new("bytes", DataType::Binary, true)]))
    }

    /// The columns of the stream that the late rows of `source` are kept with.
    pub(super) fn late_columns(&self, source: usize) -> Option<&[usize]> {
        match &self.rows {
            SideRows::Late { columns } if self.source == source => Some(columns),
            _ => None,
        }
    }
}

fn rejected_batch(name: &str, rows: &[RejectedRow]) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|_| name))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.place))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.reason))),
        Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.bytes))),
    ];
    RecordBatch::try_new(SideTable::rejected_columns(), columns).map_err(|error| Error::internal(error.to_string()))
}

/// Takes the rows of one source in one epoch that did not decode.
pub(super) async fn write_rejected(tables: &mut [SideTable], source: usize, rows: &[RejectedRow]) -> Result<()> {
    for table in tables.iter_mut().filter(|table| table.source == source && !rows.is_empty()) {
        if let SideRows::Rejected { name } = &table.rows {
            let batch = rejected_batch(name, rows)?;
            table.sink.write(&[batch]).await?;
        }
    }
    Ok(())
}

/// Takes the rows of one source in one epoch that came too late, with the columns of their table.
pub(super) async fn write_late(tables: &mut [SideTable], source: usize, rows: &[RecordBatch]) -> Result<()> {
    for table in tables.iter_mut().filter(|table| table.late_columns(source).is_some() && !rows.is_empty()) {
        table.sink.write(rows).await?;
    }
    Ok(())
}

/// Seals such rows beside the `result` of the pipeline; without such tables that is all.
pub(super) async fn seal(tables: &mut [SideTable], checkpoint: u64, result: Option<Sealed>) -> Result<Option<Sealed>> {
    if tables.is_empty() {
        return Ok(result);
    }
    let (mut rejected_rows, mut late_rows) = (Vec::new(), Vec::new());
    for table in tables {
        let sealed = table.sink.seal(checkpoint).await?;
        match table.rows {
            SideRows::Rejected { .. } => rejected_rows.push(sealed),
            SideRows::Late { .. } => late_rows.push(sealed),
        }
    }
    let mut result = result;
    let rows = result.as_ref().map_or(0, |result| result.rows);
    let staged = result.as_mut().map(|result| std::mem::take(&mut result.staged)).unwrap_or_default();
    let parts = SealedParts { result, rejected_rows, late_rows };
    let detail = serde_json::to_value(parts).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Some(Sealed { checkpoint, rows, detail, staged }))
}

/// Publishes such rows; gives back what the pipeline's own sink has sealed.
pub(super) async fn publish(tables: &mut [SideTable], sealed: &Sealed) -> Result<Option<Sealed>> {
    if sealed.detail.get("rejected_rows").is_none() {
        return Ok(Some(sealed.clone()));
    }
    let damaged = |why: String| Error::user("XX001", format!("checkpoint {} cannot be published: {why}", sealed.checkpoint));
    let parts = SealedParts::deserialize(&sealed.detail).map_err(|error| damaged(error.to_string()))?;
    let (rejected, late): (Vec<_>, Vec<_>) = tables.iter_mut().partition(|table| matches!(table.rows, SideRows::Rejected { .. }));
    for (what, tables, sealed) in [("bad", rejected, &parts.rejected_rows), ("late", late, &parts.late_rows)] {
        if sealed.len() != tables.len() {
            return Err(damaged(format!("other tables than before keep {what} rows (hint: bring the former definitions back)")));
        }
        for (table, sealed) in tables.into_iter().zip(sealed) {
            table.sink.publish(sealed).await?;
        }
    }
    Ok(parts.result.map(|result| Sealed { staged: sealed.staged.clone(), ..result }))
}

/// True if nobody can have seen the rows of `checkpoint`.
pub(super) async fn is_unseen(tables: &mut [SideTable], checkpoint: u64) -> Result<bool> {
    for table in tables {
        if table.sink.is_published(checkpoint).await? != Some(false) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes back what was written since the last seal.
pub(super) async fn discard(tables: &mut [SideTable]) -> Result<()> {
    for table in tables {
        table.sink.discard().await?;
    }
    Ok(())
}
