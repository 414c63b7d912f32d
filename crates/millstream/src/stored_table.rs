//! Rows that are kept: stored tables, and the rows of materialized views.
//!
//! ```text
//!  INSERT ──────────────┐                         ┌──▶ rows (what readers see; a query takes a snapshot)
//!  sink: publish(N) ────┴─▶ writer, one a table ──┤
//!  sink: seal(N) ──▶ staged                       └──▶ log (data folder: tables/<id>/…, one segment a group commit)
//! ```
//!
//! The writer is a task with a queue. It takes whatever waits there, appends it as *one* segment, shows its rows and answers all who
//! waited: sessions that insert at the same time share one fsync. An INSERT is whole in one segment, so it is there or not.
//!
//! A pipeline's rows come with their [`Origin`] (the pipeline and the checkpoint), which is written into the segment that holds
//! them. So a publication that is repeated after a crash, by this process or another, finds that it has happened.
//!
//! Whoever opens a table of the data folder claims its log by a segment without rows: a process that is still alive and thinks the table
//! is its own finds that out at its next write.
//!
//! Without a retention the writer puts neighbouring segments together, so that many small INSERTs do not leave many files.
//!
//! All rows are held in memory too and read from there; the log is read once, when the table is opened, and every segment is checked
//! then. A table whose log is damaged is there and says so whenever it is used.

mod origin;
mod provider;
mod rows;
mod sink;
mod staging;
#[cfg(test)]
mod tests;
mod writer;
mod zones;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::TableProvider;
use millstream_checkpoint::{CheckpointError, Folder, LogSegment, TableLog};
use millstream_time::Clock;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot};

use crate::data_folder::new_nonce;
use crate::error::{Error, Result};
use crate::session::describe::sql_type;
use origin::{Origin, SegmentNote};
use provider::StoredTableProvider;
use rows::Rows;
use staging::{Staging, pause};
use writer::{Append, Request, Writer};
use zones::Zones;

pub use rows::TableTail;
pub(crate) use sink::StoredTableSink;

/// INSERTs that wait for a table's writer at most; more wait before they are let in.
const QUEUE_MAX: usize = 256;

/// What a table is called and what it holds.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    /// The statement that made it.
    pub(crate) sql: String,
    /// Rows written longer ago than this are dropped; `None`: never.
    pub(crate) retention: Option<Duration>,
}

/// Whether another process may have the table open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It was made just now.
    New,
    /// It was found in the data folder.
    TakeOver,
}

/// A table whose rows are kept here.
pub(crate) struct StoredTable {
    pub(crate) definition: Definition,
    pub(crate) schema: SchemaRef,
    rows: Arc<RwLock<Rows>>,
    requests: mpsc::Sender<Request>,
    staging: Staging,
    clock: Arc<dyn Clock>,
    /// Names of pipelines that have a sink into it.
    writers: Mutex<BTreeSet<String>>,
    zones: Zones,
}

impl fmt::Debug for StoredTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTable").field("name", &self.definition.name).finish_non_exhaustive()
    }
}

impl StoredTable {
    /// A table with its rows in memory only.
    pub(crate) fn in_memory(definition: Definition, schema: SchemaRef, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::start(definition, schema, clock, None, Staging::memory(), Rows::default())
    }

    /// The table whose log is in `folder`. `schema` is what the log says if it is not empty. Damage does not keep it from being there.
    ///
    /// # Errors
    /// Neither a schema nor a segment that has one.
    pub(crate) async fn open(
        definition: Definition,
        schema: Option<SchemaRef>,
        folder: Folder,
        opening: Opening,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>> {
        let staging = Staging::folder(folder.sub("staged")?, Arc::clone(&clock));
        let read = match opening {
            Opening::New => read_log(folder.clone()).await,
            Opening::TakeOver => claim_log(&folder, schema.as_ref(), clock.as_ref()).await,
        };
        let (log, segments, failed) = match read {
            Ok((log, segments)) => (Some(log), segments, None),
            Err(error) => {
                let error = damaged(&definition.name, &folder, &error);
                tracing::error!(table = definition.name, %error, "a stored table cannot be read");
                (None, Vec::new(), Some(error))
            }
        };
        let stored = segments.last().map(|segment| plain_schema(&segment.schema));
        let schema = match (stored.or(schema), &failed) {
            (Some(schema), _) => schema,
            (None, Some(error)) => return Err(error.clone()),
            (None, None) => return Err(Error::user("XX001", format!("table {} has no rows that tell its columns", definition.name))),
        };
        let mut rows = Rows::from_log(segments, &schema, definition.retention)?;
        if let Some(error) = failed {
            rows.fail(error);
        }
        Ok(Self::start(definition, schema, clock, log, staging, rows))
    }

    fn start(
        definition: Definition,
        schema: SchemaRef,
        clock: Arc<dyn Clock>,
        log: Option<TableLog>,
        staging: Staging,
        rows: Rows,
    ) -> Arc<Self> {
        let (requests, taken) = mpsc::channel(QUEUE_MAX);
        let rows = Arc::new(RwLock::new(rows));
        let writer = Writer {
            name: definition.name.clone(),
            schema: Arc::clone(&schema),
            retention: definition.retention,
            rows: Arc::clone(&rows),
            log,
            clock: Arc::clone(&clock),
        };
        // It ends with the last sender, which is the table's.
        #[expect(clippy::disallowed_methods, reason = "this crate is the spawner of tasks")]
        tokio::spawn(writer::run(writer, taken));
        Arc::new(Self { definition, schema, rows, requests, staging, clock, writers: Mutex::default(), zones: Zones::default() })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.definition.name
    }

    /// As DataFusion sees it.
    pub(crate) fn provider(self: &Arc<Self>) -> Arc<dyn TableProvider> {
        Arc::new(StoredTableProvider::new(Arc::clone(self)))
    }

    /// What a reader sees now.
    ///
    /// # Errors
    /// It was dropped, or its log is damaged.
    pub(crate) fn snapshot(&self) -> Result<Vec<RecordBatch>> {
        self.rows.read().snapshot(self.oldest_ms())
    }

    /// How many rows are held, and in how many bytes of memory.
    pub(crate) fn held(&self) -> (u64, u64) {
        self.rows.read().held()
    }

    /// Its rows from a place on.
    ///
    /// # Errors
    /// See [`snapshot`](Self::snapshot).
    pub(crate) fn tail(&self, from: u64) -> Result<TableTail> {
        self.rows.read().tail(from)
    }

    /// Appends rows, all or none: durable (with a data folder) and seen by readers on return.
    ///
    /// # Errors
    /// NULL in a column that is NOT NULL; the log cannot be written.
    pub(crate) async fn insert(&self, batches: &[RecordBatch]) -> Result<u64> {
        let batches = self.conform(batches)?;
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        if rows > 0 {
            self.append(batches, None).await?;
        }
        Ok(rows)
    }

    /// Writes down what columns the table has, where its statement does not say.
    pub(crate) async fn keep_schema(&self) -> Result<()> {
        self.append(vec![RecordBatch::new_empty(Arc::clone(&self.schema))], None).await
    }

    /// The rows of a sealed checkpoint, once.
    async fn publish(&self, batches: Vec<RecordBatch>, origin: Origin) -> Result<()> {
        self.append(batches, Some(origin)).await
    }

    fn is_published(&self, origin: &Origin) -> bool {
        self.rows.read().is_published(origin)
    }

    async fn append(&self, batches: Vec<RecordBatch>, origin: Option<Origin>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::user("42P01", format!("table {} was dropped", self.name()));
        self.requests.send(Request::Append(Append { batches, origin, reply })).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// A sink of the pipeline `pipeline`, whose id in the data folder (or any other that no other pipeline has) is `id`. Rows of a
    /// `view` are seen as soon as they are written.
    pub(crate) fn sink(self: &Arc<Self>, pipeline: &str, id: &str, view: bool) -> StoredTableSink {
        self.writers.lock().insert(pipeline.to_owned());
        StoredTableSink::new(Arc::clone(self), pipeline.to_owned(), id.to_owned(), view)
    }

    /// Names of pipelines that have a sink into it.
    pub(crate) fn writers(&self) -> Vec<String> {
        self.writers.lock().iter().cloned().collect()
    }

    /// It is dropped: nothing is read or written any more. On return the writer is done with its files.
    pub(crate) async fn close(&self) {
        self.rows.write().fail(Error::user("42P01", format!("table {} was dropped (hint: make what reads it again)", self.name())));
        let (reply, closed) = oneshot::channel();
        if self.requests.send(Request::Close(reply)).await.is_ok() {
            // A writer that has gone is done too.
            let _ = closed.await;
        }
    }

    fn oldest_ms(&self) -> i64 {
        oldest_ms(self.definition.retention, self.clock.as_ref())
    }

    /// Batches with the table's own schema.
    pub(crate) fn conform(&self, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
        batches.iter().filter(|batch| batch.num_rows() > 0).map(|batch| conform(batch, &self.schema, self.name())).collect()
    }
}

/// What a reader sees of several tables at one moment.
pub(crate) fn snapshot_together(tables: &[Arc<StoredTable>]) -> Vec<Result<Vec<RecordBatch>>> {
    // Writers hold one lock at a time, so holding all of them waits for nobody who waits for us.
    let held: Vec<_> = tables.iter().map(|table| table.rows.read()).collect();
    tables.iter().zip(&held).map(|(table, rows)| rows.snapshot(table.oldest_ms())).collect()
}

/// The time before which rows are dropped, in milliseconds since 1970.
fn oldest_ms(retention: Option<Duration>, clock: &dyn Clock) -> i64 {
    let retention = retention.and_then(|retention| i64::try_from(retention.as_millis()).ok());
    retention.map_or(i64::MIN, |retention| clock.now().saturating_sub(retention))
}

/// Opens the log and appends a segment without rows. A process that had it before finds its next place taken and stops; what it
/// wrote up to then is in.
async fn claim_log(folder: &Folder, schema: Option<&SchemaRef>, clock: &dyn Clock) -> Result<(TableLog, Vec<LogSegment>), CheckpointError> {
    for attempt in 0.. {
        let (mut log, segments) = read_log(folder.clone()).await?;
        let Some(schema) = segments.last().map(|segment| &segment.schema).or(schema) else { return Ok((log, segments)) };
        let note = SegmentNote::new(clock.now(), Vec::new());
        let noted = note.write_into(schema).map_err(|error| CheckpointError::bug(error.to_string()))?;
        match log.append(&[RecordBatch::new_empty(noted)]).await {
            Ok(_) => return Ok((log, segments)),
            Err(CheckpointError::Fenced { .. }) => tracing::info!(%folder, "another process writes this table until now"),
            Err(error) if error.is_transient() => pause(clock, attempt, "a stored table", &error).await,
            Err(error) => return Err(error),
        }
    }
    Err(CheckpointError::bug("a retry ended"))
}

async fn read_log(folder: Folder) -> Result<(TableLog, Vec<LogSegment>), CheckpointError> {
    let writer = u128::from_str_radix(&new_nonce().0, 16).unwrap_or_default();
    let mut log = TableLog::open(folder, writer).await?;
    let segments = log.read_from(1).await?;
    Ok((log, segments))
}

fn damaged(table: &str, folder: &Folder, error: &CheckpointError) -> Error {
    let hint = "hint: bring the file back from a copy and start again, or DROP TABLE";
    Error::user("XX001", format!("rows of table {table} in {folder} cannot be read: {error} ({hint})"))
}

/// A segment's schema without what only the log needs.
fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().clone()))
}

fn conform(batch: &RecordBatch, schema: &SchemaRef, table: &str) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        if !field.is_nullable() && column.null_count() > 0 {
            return Err(Error::user("23502", format!("column {} of {table} is NOT NULL: a row has NULL in it", field.name())));
        }
        columns.push(match column.data_type() == field.data_type() {
            true => Arc::clone(column),
            false => cast(column, field.data_type())
                .map_err(|error| Error::user("42804", format!("column {} is {}: {error}", field.name(), sql_type(field.data_type()))))?,
        });
    }
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| Error::internal(format!("rows do not fit table {table}: {error}")))
}
