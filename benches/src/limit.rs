//! The limit: the same aggregation by DataFusion as one batch query, with its default settings, over the same batches in memory.
//! It knows that the input ends, needs no watermark and gives its rows at the end: what a stream can hope to reach.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;

use crate::Result;
use crate::case::Run;
use crate::engine_run::{Counted, runtime};
use crate::meter::Meter;

/// A query over the table `events`.
#[derive(Clone, Debug)]
pub struct BatchQuery {
    /// Worker threads and `target_partitions`.
    pub threads: usize,
    /// The batches, one list a partition.
    pub partitions: Vec<Vec<RecordBatch>>,
    /// The query; measured from its text to its last row.
    pub query: String,
    /// See [`EngineQuery`](crate::engine_run::EngineQuery).
    pub sum_of_n: Option<i64>,
}

impl BatchQuery {
    /// Runs it to its end.
    ///
    /// # Errors
    /// Those of DataFusion; a wrong sum.
    pub fn run(&self) -> Result<Run> {
        let Some(first) = self.partitions.iter().flatten().next() else { return Err("the limit needs rows".into()) };
        let table = MemTable::try_new(first.schema(), self.partitions.clone())?;
        runtime(self.threads)?.block_on(async {
            let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(self.threads));
            context.register_table("events", Arc::new(table))?;
            let meter = Meter::start();
            let mut rows = context.sql(&self.query).await?.execute_stream().await?;
            let mut counted = Counted::default();
            while let Some(batch) = rows.next().await {
                counted.add(&batch?);
            }
            let cost = meter.stop();
            counted.check(self.sum_of_n)?;
            Ok(Run { cost, rows_out: counted.rows, epochs: 0 })
        })
    }
}
