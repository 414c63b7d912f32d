//! One query through the public API, from SQL text to the last counted row.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use millstream::{Engine, Outcome, Session};
use tokio::runtime::{Builder, Runtime};

use crate::Result;
use crate::case::Run;
use crate::meter::Meter;
use crate::prepared::Prepared;

/// A query and what it needs.
#[derive(Clone, Debug, Default)]
pub struct EngineQuery {
    /// Worker threads, and the setting `parallelism`.
    pub threads: usize,
    /// Further settings.
    pub settings: Vec<(&'static str, String)>,
    /// Sources in memory.
    pub prepared: Prepared,
    /// Statements before the query; not measured.
    pub tables: String,
    /// The query; measured from its text to its last row.
    pub query: String,
    /// What the column `n` of all rows together must come to: whether every row was counted as often as it should.
    pub sum_of_n: Option<i64>,
}

/// A runtime with as many worker threads. (Lanes read ahead on threads of their own; what they use is in the CPU time.)
///
/// # Errors
/// The system gives no threads.
pub fn runtime(threads: usize) -> Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(threads).enable_all().build()?)
}

impl EngineQuery {
    /// Runs it to its end.
    ///
    /// # Errors
    /// Those of the engine; a wrong sum.
    pub fn run(&self) -> Result<Run> {
        runtime(self.threads)?.block_on(async {
            let session = self.session().await?;
            let meter = Meter::start();
            let mut query = session.query(&self.query).await?;
            let mut counted = Counted::default();
            while let Some(batch) = query.next().await {
                counted.add(&batch?);
            }
            let cost = meter.stop();
            let epochs = query.status().epochs;
            counted.check(self.sum_of_n)?;
            Ok(Run { cost, rows_out: counted.rows, epochs })
        })
    }

    /// A session of a new engine in which the tables exist.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn session(&self) -> Result<Session> {
        let engine = Engine::builder().with_connector(Arc::new(self.prepared.clone())).build().await?;
        let session = engine.session();
        session.set("parallelism", &self.threads.to_string())?;
        for (name, value) in &self.settings {
            session.set(name, value)?;
        }
        session.execute(&self.tables).await?;
        Ok(session)
    }
}

/// Runs a script whose pipelines end, and waits for them.
///
/// # Errors
/// Those of the engine.
pub fn run_script(sql: &str) -> Result<()> {
    runtime(2)?.block_on(async {
        let engine = Engine::builder().build().await?;
        for outcome in engine.session().execute(sql).await? {
            if let Outcome::Pipeline(pipeline) = outcome {
                pipeline.wait().await?;
            }
        }
        Ok(())
    })
}

/// Rows that came out, and the sum of their column `n`.
#[derive(Debug, Default)]
pub struct Counted {
    /// Rows.
    pub rows: u64,
    sum_of_n: i64,
}

impl Counted {
    /// Counts a batch.
    pub fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        if let Some(n) = batch.column_by_name("n").and_then(|column| column.as_primitive_opt::<Int64Type>()) {
            self.sum_of_n += datafusion::arrow::compute::sum(n).unwrap_or(0);
        }
    }

    /// Whether the sum is as expected.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self, expected: Option<i64>) -> Result<()> {
        match expected {
            Some(expected) if expected != self.sum_of_n => {
                Err(format!("the counts come to {}, expected {expected}: rows were lost or counted twice", self.sum_of_n).into())
            }
            _ => Ok(()),
        }
    }
}
