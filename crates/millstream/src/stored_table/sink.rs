//! A stored table as the sink of a pipeline: its rows are seen when their checkpoint is published, each once.
//!
//! | step | durable | readers |
//! |---|---|---|
//! | `write` | nothing | of a materialized view: see them at once |
//! | `seal(N)` | a staged object, named in the manifest of N | |
//! | `publish(N)` | a segment with the origin (pipeline, N); skipped if there is one | see them, once |

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use millstream_connectors::error::{ConnectorError, Result};
use millstream_connectors::{Delivery, Sealed, Sink};
use serde::Deserialize;

use super::StoredTable;
use super::origin::Origin;
use super::staging::Staged;
use crate::error::{Error, ErrorKind};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct StoredTableSink {
    table: Arc<StoredTable>,
    name: String,
    /// Id of the pipeline.
    pipeline: String,
    /// Its rows are a materialized view's.
    view: bool,
    written: Vec<RecordBatch>,
    /// Leftovers of an earlier life are gone.
    swept: bool,
}

impl StoredTableSink {
    /// `name` and id of the pipeline.
    pub(super) fn new(table: Arc<StoredTable>, name: String, pipeline: String, view: bool) -> Self {
        Self { table, name, pipeline, view, written: Vec::new(), swept: false }
    }

    fn origin(&self, checkpoint: u64) -> Origin {
        Origin { pipeline: self.pipeline.clone(), checkpoint }
    }
}

impl Drop for StoredTableSink {
    fn drop(&mut self) {
        self.table.writers.lock().remove(&self.name);
        if self.view {
            // What is not published now is written again by whoever goes on.
            self.table.rows.write().step_back();
        }
    }
}

#[async_trait]
impl Sink for StoredTableSink {
    fn delivery(&self) -> Delivery {
        Delivery::Transactional
    }

    async fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let failure = self.table.rows.read().failure();
        if let Some(error) = failure {
            return Err(outside(error));
        }
        let batches = self.table.conform(batches).map_err(outside)?;
        if self.view {
            self.table.rows.write().show(&batches);
        }
        self.written.extend(batches);
        Ok(())
    }

    async fn seal(&mut self, checkpoint: u64) -> Result<Sealed> {
        let origin = self.origin(checkpoint);
        if !self.swept {
            // When the first checkpoint is sealed, those of earlier lives have been published or never were.
            self.table.staging.sweep(&origin).await.map_err(outside)?;
            self.swept = true;
        }
        let rows: u64 = self.written.iter().map(|batch| batch.num_rows() as u64).sum();
        let batches = std::mem::take(&mut self.written);
        let detail = if rows == 0 {
            serde_json::Value::Null
        } else {
            let staged = self.table.staging.put(&origin, &self.table.schema, batches).await.map_err(outside)?;
            serde_json::to_value(staged).map_err(|error| outside(Error::internal(error.to_string())))?
        };
        if self.view {
            self.table.rows.write().seal(checkpoint);
        }
        Ok(Sealed::new(checkpoint, rows, detail))
    }

    async fn publish(&mut self, sealed: &Sealed) -> Result<()> {
        if sealed.rows == 0 {
            return Ok(());
        }
        let origin = self.origin(sealed.checkpoint);
        let staged = Staged::deserialize(&sealed.detail)
            .map_err(|error| ConnectorError::data(format!("checkpoint {} cannot be published: {error}", sealed.checkpoint)))?;
        if !self.table.is_published(&origin) {
            let batches = self.table.staging.get(&origin, &staged).await.map_err(outside)?;
            let batches = self.table.conform(&batches).map_err(outside)?;
            self.table.publish(batches, origin.clone()).await.map_err(outside)?;
        }
        self.table.staging.remove(&origin, &staged).await;
        Ok(())
    }

    async fn is_published(&mut self, checkpoint: u64) -> Result<Option<bool>> {
        Ok(Some(self.table.is_published(&self.origin(checkpoint))))
    }

    async fn discard(&mut self) -> Result<()> {
        self.written.clear();
        if self.view {
            self.table.rows.write().discard_open();
        }
        Ok(())
    }
}

/// In the words of connectors.
fn outside(error: Error) -> ConnectorError {
    match error.kind() {
        ErrorKind::User => ConnectorError::config(error.to_string()),
        ErrorKind::Data => ConnectorError::data(error.to_string()),
        _ => ConnectorError::io("a stored table", std::io::Error::other(error.to_string())),
    }
}
