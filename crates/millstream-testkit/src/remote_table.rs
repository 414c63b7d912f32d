//! A table of a remote system that publishes by transactions, and the connector `remote` that writes into it exactly once: what a sink
//! for Kafka or a database does, without the network. Its transactions fail by a seed, before their effect and after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_connectors::error::{ConnectorError, Result};
use millstream_connectors::options::{OptionSpecs, Options};
use millstream_connectors::registry::{Connector, Role};
use millstream_connectors::sink::{Delivery, Sealed, Sink};
use millstream_time::Clock;
use parking_lot::Mutex;

use crate::faulty_store::Dice;

/// The table; clones are the same one.
#[derive(Clone, Debug)]
pub struct RemoteTable {
    committed: Arc<Mutex<Committed>>,
    dice: Arc<Dice>,
    faults_per_mille: u64,
}

#[derive(Debug, Default)]
struct Committed {
    rows: Vec<RecordBatch>,
    /// The newest checkpoint of each pipeline.
    progress: BTreeMap<String, u64>,
    /// Transactions that came with what was there already.
    repeated: u64,
}

impl RemoteTable {
    /// An empty one. Of 1000 transactions `faults_per_mille` fail, half of them after their effect.
    pub fn new(dice: Arc<Dice>, faults_per_mille: u64) -> Self {
        Self { committed: Arc::default(), dice, faults_per_mille }
    }

    /// The same table for a process with a better connection.
    pub fn without_faults(&self) -> Self {
        Self { faults_per_mille: 0, ..self.clone() }
    }

    /// What a reader sees.
    pub fn batches(&self) -> Vec<RecordBatch> {
        self.committed.lock().rows.clone()
    }

    /// How often a transaction was not needed any more.
    pub fn repeated(&self) -> u64 {
        self.committed.lock().repeated
    }

    /// One transaction: the rows, and the progress that tells that they are there.
    async fn transact(&self, pipeline: &str, checkpoint: u64, rows: &[RecordBatch]) -> Result<()> {
        for _ in 0..self.dice.roll(4) {
            tokio::task::yield_now().await;
        }
        let failure = || ConnectorError::io("remote transaction", std::io::Error::other("connection reset"));
        let fault = self.dice.roll(2_000);
        if fault < self.faults_per_mille {
            return Err(failure());
        }
        {
            let mut committed = self.committed.lock();
            let done = committed.progress.get(pipeline).copied().unwrap_or(0);
            if checkpoint > done {
                committed.rows.extend_from_slice(rows);
                committed.progress.insert(pipeline.to_owned(), checkpoint);
            } else {
                committed.repeated += 1;
            }
        }
        if fault < 2 * self.faults_per_mille { Err(failure()) } else { Ok(()) }
    }

    /// A sink of the pipeline of that name.
    pub fn sink(&self, pipeline: &str) -> Box<dyn Sink> {
        Box::new(RemoteSink { table: self.clone(), pipeline: pipeline.to_owned(), written: Vec::new() })
    }
}

impl Connector for RemoteTable {
    fn name(&self) -> &str {
        "remote"
    }

    fn about(&self) -> &str {
        "a table that is written by transactions"
    }

    fn role(&self) -> Role {
        Role::Sink
    }

    fn options(&self) -> OptionSpecs {
        &[]
    }

    fn sink(&self, _: Options, _: SchemaRef, _: Arc<dyn Clock>) -> Result<Box<dyn Sink>> {
        Ok(RemoteTable::sink(self, ""))
    }
}

#[derive(Debug)]
struct RemoteSink {
    table: RemoteTable,
    pipeline: String,
    written: Vec<RecordBatch>,
}

#[async_trait]
impl Sink for RemoteSink {
    fn delivery(&self) -> Delivery {
        Delivery::Transactional
    }

    fn serve(&mut self, pipeline: &str) {
        pipeline.clone_into(&mut self.pipeline);
    }

    async fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        self.written.extend(batches.iter().filter(|batch| batch.num_rows() > 0).cloned());
        Ok(())
    }

    async fn seal(&mut self, checkpoint: u64) -> Result<Sealed> {
        Ok(Sealed::staged(checkpoint, std::mem::take(&mut self.written)))
    }

    async fn publish(&mut self, sealed: &Sealed) -> Result<()> {
        if sealed.staged.is_empty() {
            return Ok(());
        }
        self.table.transact(&self.pipeline, sealed.checkpoint, &sealed.staged).await
    }

    async fn is_published(&mut self, checkpoint: u64) -> Result<Option<bool>> {
        let done = self.table.committed.lock().progress.get(&self.pipeline).copied().unwrap_or(0);
        Ok(Some(done >= checkpoint))
    }

    async fn discard(&mut self) -> Result<()> {
        self.written.clear();
        Ok(())
    }
}
