//! `'connector' = 'blackhole'`: counts rows and forgets them. For measuring.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_time::Clock;
use serde_json::json;

use crate::error::Result;
use crate::options::{ConfigReader, OptionSpecs, Options};
use crate::registry::{Connector, Role};
use crate::sink::{Delivery, Sealed, Sink};

/// Makes blackholes.
#[derive(Debug)]
pub struct BlackholeConnector;

impl Connector for BlackholeConnector {
    fn name(&self) -> &str {
        "blackhole"
    }

    fn about(&self) -> &str {
        "counts rows and forgets them"
    }

    fn role(&self) -> Role {
        Role::Sink
    }

    fn options(&self) -> OptionSpecs {
        &[]
    }

    fn sink(&self, options: Options, _schema: SchemaRef, _clock: Arc<dyn Clock>) -> Result<Box<dyn Sink>> {
        ConfigReader::new(self.name(), options, self.options())?;
        Ok(Box::<BlackholeSink>::default())
    }
}

/// Counts rows.
#[derive(Debug, Default)]
pub struct BlackholeSink {
    total: Arc<AtomicU64>,
    unsealed: u64,
}

impl BlackholeSink {
    /// All rows ever written, for whoever looks while the sink runs.
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.total.clone()
    }
}

#[async_trait]
impl Sink for BlackholeSink {
    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    async fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        self.total.fetch_add(rows, Ordering::Relaxed);
        self.unsealed += rows;
        Ok(())
    }

    async fn seal(&mut self, checkpoint: u64) -> Result<Sealed> {
        Ok(Sealed::new(checkpoint, std::mem::take(&mut self.unsealed), json!({})))
    }

    async fn publish(&mut self, _sealed: &Sealed) -> Result<()> {
        Ok(())
    }

    async fn discard(&mut self) -> Result<()> {
        self.unsealed = 0;
        Ok(())
    }
}
