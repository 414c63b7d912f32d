//! What statements give.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::pipeline::{PipelineHandle, PipelineState, PipelineStatus};

/// What a statement gives.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It is done; the message is its command tag (`CREATE TABLE`).
    Done {
        /// The command tag.
        message: String,
    },
    /// Rows: SELECT, SHOW, DESCRIBE, EXPLAIN.
    Rows(Query),
    /// A pipeline runs on: INSERT INTO, CREATE SINK.
    Pipeline(PipelineHandle),
}

/// The rows of one query, as they come. Dropping it ends the query.
pub struct Query {
    schema: SchemaRef,
    rows: Rows,
    status: Box<PipelineStatus>,
}

enum Rows {
    /// Of a pipeline.
    Pipeline { rows: mpsc::Receiver<Result<RecordBatch>>, handle: PipelineHandle },
    /// Of a plan that ends by itself.
    Plan(SendableRecordBatchStream),
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query").field("schema", &self.schema).field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Query {
    pub(crate) fn of_pipeline(schema: SchemaRef, rows: mpsc::Receiver<Result<RecordBatch>>, handle: PipelineHandle) -> Self {
        let status = Box::new(handle.status());
        Self { schema, rows: Rows::Pipeline { rows, handle }, status }
    }

    pub(crate) fn of_plan(stream: SendableRecordBatchStream) -> Self {
        let mut status = PipelineStatus::new("query");
        status.state = PipelineState::Running;
        Self { schema: stream.schema(), rows: Rows::Plan(stream), status: Box::new(status) }
    }

    /// Columns of the rows.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// True if a pipeline makes the rows, and they come as its sources give them; false for a snapshot, which ends by itself.
    pub fn is_stream(&self) -> bool {
        matches!(self.rows, Rows::Pipeline { .. })
    }

    /// The next rows; `None` at the end. After an error nothing further comes.
    pub async fn next(&mut self) -> Option<Result<RecordBatch>> {
        match &mut self.rows {
            Rows::Pipeline { rows, .. } => rows.recv().await,
            Rows::Plan(stream) => {
                let next = stream.next().await.map(|batch| batch.map_err(|error| Error::running(&error)));
                match &next {
                    Some(Ok(batch)) => self.status.rows_out += batch.num_rows() as u64,
                    Some(Err(error)) => self.status.state = PipelineState::Failed(error.to_string()),
                    None => self.status.state = PipelineState::Finished,
                }
                next
            }
        }
    }

    /// All rows as one stream of Arrow batches; dropping it ends the query.
    pub fn stream(self) -> SendableRecordBatchStream {
        let schema = self.schema();
        let rows = futures::stream::unfold(self, |mut query| async move {
            let next = query.next().await?;
            Some((next.map_err(|error| DataFusionError::External(Box::new(error))), query))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }

    /// All rows, once the query has ended by itself.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }

    /// Its figures.
    pub fn status(&self) -> PipelineStatus {
        match &self.rows {
            Rows::Pipeline { handle, .. } => handle.status(),
            Rows::Plan(_) => self.status.as_ref().clone(),
        }
    }

    /// Ends it and waits until nothing of it is left.
    pub async fn stop(self) -> Result<()> {
        if let Rows::Pipeline { rows, handle } = self.rows {
            handle.request_stop();
            drop(rows);
            return handle.wait().await;
        }
        Ok(())
    }
}
