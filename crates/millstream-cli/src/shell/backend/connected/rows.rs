//! The rows of a statement at a server, as Arrow batches.

use std::pin::Pin;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use futures::{FutureExt, StreamExt};
use tokio_postgres::types::Type;
use tokio_postgres::{Row, RowStream, Statement};

use super::error::failure;
use super::link::{Canceller, LinkEnd};
use super::values::{array_of, data_type};
use crate::shell::Failure;
use crate::shell::backend::Flow;
use crate::status_line::Progress;

/// Rows of a batch.
const BATCH_ROWS_MAX: usize = 1_024;

/// Rows as they come.
pub(crate) struct RemoteRows {
    stream: Pin<Box<RowStream>>,
    schema: SchemaRef,
    types: Vec<Type>,
    flow: Flow,
    sql: String,
    end: LinkEnd,
    canceller: Canceller,
    rows: u64,
    /// An error that came behind rows that are to be shown first.
    failed: Option<Failure>,
    is_finished: bool,
}

impl RemoteRows {
    pub(super) fn new(stream: RowStream, prepared: &Statement, sql: &str, end: LinkEnd, canceller: Canceller) -> Self {
        let columns = prepared.columns();
        let fields = columns.iter().map(|column| Field::new(column.name(), data_type(column.type_(), column.type_modifier()), true));
        Self {
            stream: Box::pin(stream),
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            types: columns.iter().map(|column| column.type_().clone()).collect(),
            flow: flow(sql),
            sql: sql.to_owned(),
            end,
            canceller,
            rows: 0,
            failed: None,
            is_finished: false,
        }
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }

    /// Waits for a row, and takes those that are there with it. May be dropped and called again without loss.
    pub(crate) async fn next(&mut self) -> Option<Result<RecordBatch, Failure>> {
        if let Some(failed) = self.failed.take() {
            self.is_finished = true;
            return Some(Err(failed));
        }
        if self.is_finished {
            return None;
        }
        let first = self.stream.next().await;
        let mut rows = match first {
            Some(Ok(row)) => vec![row],
            Some(Err(error)) => {
                self.is_finished = true;
                return Some(Err(failure(&error, &self.sql, &self.end)));
            }
            None => {
                self.is_finished = true;
                return None;
            }
        };
        while rows.len() < BATCH_ROWS_MAX {
            match self.stream.next().now_or_never() {
                Some(Some(Ok(row))) => rows.push(row),
                Some(Some(Err(error))) => {
                    self.failed = Some(failure(&error, &self.sql, &self.end));
                    break;
                }
                Some(None) => {
                    self.is_finished = true;
                    break;
                }
                None => break,
            }
        }
        self.rows += rows.len() as u64;
        Some(self.batch(&rows))
    }

    fn batch(&self, rows: &[Row]) -> Result<RecordBatch, Failure> {
        let column = |(n, field): (usize, &Arc<Field>)| {
            array_of(rows, n, &self.types[n], field.data_type())
                .map_err(|problem| Failure::Message(format!("column '{}' cannot be shown: {problem}", field.name())))
        };
        let columns = self.schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(self.schema(), columns).map_err(|error| Failure::Message(error.to_string()))
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress { name: self.end.to.clone(), rows_out: self.rows, is_remote: true, is_running: !self.is_finished, ..Progress::default() }
    }

    /// Cancels the statement, and waits until the server has stopped.
    pub(crate) async fn stop(mut self) {
        if self.is_finished {
            return;
        }
        self.canceller.cancel();
        while let Some(Ok(_)) = self.stream.next().await {}
    }
}

/// What is known of how rows come before any has.
fn flow(sql: &str) -> Flow {
    let first: String = sql.trim_start_matches('(').chars().take_while(char::is_ascii_alphabetic).collect();
    match first.to_ascii_lowercase().as_str() {
        "subscribe" => Flow::Stream,
        "select" | "with" | "table" | "execute" => Flow::Unknown,
        _ => Flow::Snapshot,
    }
}
