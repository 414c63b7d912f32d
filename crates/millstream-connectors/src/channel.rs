//! Sources and sinks that a program feeds and drains itself.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;

use crate::error::{ConnectorError, Result};
use crate::sink::{Delivery, Sealed, Sink};
use crate::source::{Boundedness, Lane, LaneBatch, LaneId, Position, Read, Replay, Source};

/// A source fed by a program, and the sender that feeds it. At most `capacity` batches wait; [`ChannelSender::send`] waits when
/// there are as many. When all senders are dropped the source ends. It can be opened once and not be replayed.
pub fn channel_source(schema: SchemaRef, capacity: usize) -> (ChannelSender, Arc<dyn Source>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    let source = ChannelSource { schema: schema.clone(), receiver: Mutex::new(Some(receiver)) };
    (ChannelSender { schema, sender }, Arc::new(source))
}

/// Feeds a [`channel_source`].
#[derive(Clone, Debug)]
pub struct ChannelSender {
    schema: SchemaRef,
    sender: mpsc::Sender<RecordBatch>,
}

impl ChannelSender {
    /// The columns that batches must have.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Hands a batch over; waits while the channel is full.
    pub async fn send(&self, batch: RecordBatch) -> Result<()> {
        check_columns(&self.schema, &batch)?;
        self.sender.send(batch).await.map_err(|_| ConnectorError::closed("the pipeline that reads this channel has ended"))
    }
}

fn check_columns(schema: &SchemaRef, batch: &RecordBatch) -> Result<()> {
    let same = schema.fields().len() == batch.num_columns()
        && schema.fields().iter().zip(batch.columns()).all(|(field, column)| field.data_type() == column.data_type());
    if same {
        return Ok(());
    }
    Err(ConnectorError::config(format!("batch does not fit the channel: its columns are {}, expected {schema}", batch.schema())))
}

#[derive(Debug)]
struct ChannelSource {
    schema: SchemaRef,
    receiver: Mutex<Option<mpsc::Receiver<RecordBatch>>>,
}

#[async_trait]
impl Source for ChannelSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Unbounded
    }

    fn replay(&self) -> Replay {
        Replay::None
    }

    async fn lanes(&self) -> Result<Vec<LaneId>> {
        Ok(vec![LaneId("channel".to_owned())])
    }

    async fn open(&self, lane: &LaneId, start: Option<&Position>, projection: &[usize]) -> Result<Box<dyn Lane>> {
        crate::source::check_lane(lane, &["channel"])?;
        let rows = start.map_or(Ok(0), |position| crate::source::row_of(position, "channel"))?;
        let Some(receiver) = self.receiver.lock().take() else {
            return Err(ConnectorError::config("a channel can be read once: another pipeline has it (hint: make a channel for each)"));
        };
        Ok(Box::new(ChannelLane { receiver, pending: None, rows, projection: projection.to_vec() }))
    }
}

struct ChannelLane {
    receiver: mpsc::Receiver<RecordBatch>,
    pending: Option<RecordBatch>,
    rows: u64,
    projection: Vec<usize>,
}

#[async_trait]
impl Lane for ChannelLane {
    async fn read(&mut self, rows_max: usize) -> Result<Read> {
        let batch = loop {
            let next = match self.pending.take() {
                Some(batch) => Some(batch),
                None => self.receiver.recv().await,
            };
            match next {
                None => return Ok(Read::Finished),
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => break batch,
            }
        };
        let count = batch.num_rows().min(rows_max);
        if count < batch.num_rows() {
            self.pending = Some(batch.slice(count, batch.num_rows() - count));
        }
        let rows = batch.slice(0, count).project(&self.projection);
        let rows = rows.map_err(|error| ConnectorError::config(format!("projection {:?} does not fit: {error}", self.projection)))?;
        self.rows += count as u64;
        Ok(Read::Batch(LaneBatch { rows, position: Position(json!({ "row": self.rows })), rejected: Vec::new(), bytes_read: 0 }))
    }
}

/// A sink that hands every batch to a program, and the receiver the program reads. At most `capacity` batches wait, then the
/// pipeline does. A dropped receiver is [`ConnectorError::Closed`].
pub fn channel_sink(capacity: usize) -> (Box<dyn Sink>, mpsc::Receiver<RecordBatch>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (Box::new(ChannelSink { sender, rows: 0 }), receiver)
}

#[derive(Debug)]
struct ChannelSink {
    sender: mpsc::Sender<RecordBatch>,
    rows: u64,
}

#[async_trait]
impl Sink for ChannelSink {
    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    async fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
            self.rows += batch.num_rows() as u64;
            self.sender.send(batch.clone()).await.map_err(|_| ConnectorError::closed("the reader of this channel has gone"))?;
        }
        Ok(())
    }

    async fn seal(&mut self, checkpoint: u64) -> Result<Sealed> {
        Ok(Sealed::new(checkpoint, std::mem::take(&mut self.rows), json!({})))
    }

    async fn publish(&mut self, _sealed: &Sealed) -> Result<()> {
        Ok(())
    }

    async fn discard(&mut self) -> Result<()> {
        self.rows = 0;
        Ok(())
    }
}
