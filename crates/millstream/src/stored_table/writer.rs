//! The one writer of a table: group commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use millstream_checkpoint::TableLog;
use millstream_time::Clock;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

use super::oldest_ms;
use super::origin::{Origin, SegmentNote};
use super::rows::{BATCH_ROWS, Rows};
use super::staging::pause;
use crate::error::{Error, Result};

/// A group takes no more requests once it has so many bytes.
const GROUP_BYTES_MAX: usize = 64 << 20;

pub(super) enum Request {
    Append(Append),
    /// The last one: answered when nothing is written any more.
    Close(oneshot::Sender<()>),
}

/// Rows that want into the log.
pub(super) struct Append {
    /// With the table's schema.
    pub(super) batches: Vec<RecordBatch>,
    pub(super) origin: Option<Origin>,
    pub(super) reply: oneshot::Sender<Result<()>>,
}

pub(super) struct Writer {
    pub(super) name: String,
    pub(super) schema: SchemaRef,
    pub(super) retention: Option<Duration>,
    pub(super) rows: Arc<RwLock<Rows>>,
    /// `None`: the rows live in memory.
    pub(super) log: Option<TableLog>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Takes what waits, group by group, until the table is dropped or forgotten.
pub(super) async fn run(mut writer: Writer, mut requests: mpsc::Receiver<Request>) {
    while let Some(first) = requests.recv().await {
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Append(append) => {
                    bytes += append.batches.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
                    group.push(append);
                }
                Request::Close(reply) => {
                    writer.commit(group).await;
                    // Whoever wanted to know may have gone.
                    let _ = reply.send(());
                    return;
                }
            }
            next = if bytes < GROUP_BYTES_MAX { requests.try_recv().ok() } else { None };
        }
        writer.commit(group).await;
        writer.retire().await;
        if let Err(error) = writer.merge().await {
            // Nothing depends on it: the next group tries again.
            tracing::warn!(table = writer.name, %error, "small segments are not merged");
        }
    }
}

impl Writer {
    /// One segment for all, then the answers.
    async fn commit(&mut self, group: Vec<Append>) {
        let group = self.without_published(group);
        if group.is_empty() {
            return;
        }
        let done = self.append(&group).await;
        for append in group {
            // A session that was interrupted does not wait for its answer; its rows are in all the same.
            let _ = append.reply.send(done.clone());
        }
    }

    /// Leaves out, and answers, what is in the log already.
    fn without_published(&self, group: Vec<Append>) -> Vec<Append> {
        let mut rows = self.rows.write();
        let mut fresh = Vec::with_capacity(group.len());
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for append in group {
            if let Some(origin) = &append.origin {
                let in_group = seen.get(&origin.pipeline).is_some_and(|last| *last >= origin.checkpoint);
                if in_group || rows.is_published(origin) {
                    rows.forget_ahead(origin.checkpoint);
                    let _ = append.reply.send(Ok(()));
                    continue;
                }
                seen.insert(origin.pipeline.clone(), origin.checkpoint);
            }
            fresh.push(append);
        }
        fresh
    }

    async fn append(&mut self, group: &[Append]) -> Result<()> {
        if let Some(error) = self.rows.read().failure() {
            return Err(error);
        }
        let batches: Vec<RecordBatch> = group.iter().flat_map(|append| append.batches.iter().cloned()).collect();
        let origins = group.iter().filter_map(|append| append.origin.clone()).collect();
        let note = SegmentNote::new(self.clock.now(), origins);
        let sequence = match self.log_segment(&note, &batches).await {
            Ok(sequence) => sequence,
            Err(error) if error.is_fenced() => {
                self.rows.write().fail(error.clone());
                return Err(error);
            }
            Err(error) => {
                // Whether the rows are in the log is not known: only opening it again can tell.
                let error = Error::outside(format!("table {} cannot be written any more: {error} (hint: restart)", self.name));
                self.rows.write().fail(error.clone());
                return Err(error);
            }
        };
        self.rows.write().commit(sequence, &note, batches, self.retention.is_none());
        Ok(())
    }

    /// Its sequence, once it is durable. What fails in passing is tried again for ever: a full disk is made room on some day.
    async fn log_segment(&mut self, note: &SegmentNote, batches: &[RecordBatch]) -> Result<u64> {
        let Some(log) = &mut self.log else { return Ok(0) };
        let schema = note.write_into(&self.schema)?;
        let noted = |batch: &RecordBatch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec());
        let batches: Result<Vec<RecordBatch>, _> = batches.iter().map(noted).collect();
        let batches = batches.map_err(|error| Error::internal(error.to_string()))?;
        let mut appended = log.append(&batches).await;
        for attempt in 0.. {
            match appended {
                Err(error) if error.is_transient() => pause(self.clock.as_ref(), attempt, &self.name, &error).await,
                appended => return Ok(appended?),
            }
            appended = log.resume().await;
        }
        Err(Error::internal("a retry ended"))
    }

    /// Puts small segments together. Where rows go by their age they are gone before there are many.
    async fn merge(&mut self) -> Result<()> {
        let Some(log) = self.log.as_mut().filter(|_| self.retention.is_none()) else { return Ok(()) };
        while self.rows.read().failure().is_none()
            && let Some(merge) = log.to_merge().await?
        {
            let segments = log.read_parts(&merge).await?;
            let note = SegmentNote::of_all(&segments)?;
            let schema = note.write_into(&self.schema)?;
            let rows = segments.iter().flat_map(|segment| &segment.batches).map(|batch| batch.columns().to_vec());
            let noted: std::result::Result<Vec<RecordBatch>, _> =
                rows.map(|rows| RecordBatch::try_new(Arc::clone(&schema), rows)).collect();
            let rows = join_small(&noted.map_err(|error| Error::internal(error.to_string()))?, &schema)?;
            log.merge(&merge, &rows).await?;
        }
        Ok(())
    }

    /// Drops what the retention does not keep. The newest segment stays in the log, unseen: it says what is published.
    async fn retire(&mut self) {
        let oldest = oldest_ms(self.retention, self.clock.as_ref());
        let Some(sequence) = self.rows.write().retire(oldest) else { return };
        if let Some(log) = &mut self.log
            && let Err(error) = log.retire(sequence).await
        {
            // The next one takes it up.
            tracing::warn!(table = self.name, %error, "old segments are not deleted");
        }
    }
}

/// The same rows in batches that are not small; one without rows if there are none.
fn join_small(batches: &[RecordBatch], schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let mut joined = Vec::new();
    let (mut from, mut rows) = (0, 0);
    for to in 0..=batches.len() {
        let next = batches.get(to).map_or(0, RecordBatch::num_rows);
        if to == batches.len() || (rows + next > BATCH_ROWS && rows > 0) {
            if rows > 0 || joined.is_empty() && to == batches.len() {
                joined.push(concat_batches(schema, &batches[from..to]).map_err(|error| Error::internal(error.to_string()))?);
            }
            (from, rows) = (to, 0);
        }
        rows += next;
    }
    Ok(joined)
}
