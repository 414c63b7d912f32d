//! A transaction over stored tables: what it reads, and rows that it has written and nobody else sees yet.
//!
//! ```text
//!  SELECT ──▶ StoredTableProvider::scan ──▶ Reads ──▶ pinned rows (or the rows of now) + rows of this transaction
//!  INSERT, COPY ──▶ Transaction::write (kept here) ──commit──▶ StoredTable::insert, table by table
//! ```
//! What a transaction pins are batches that readers share anyway: it costs memory only for rows that are retired meanwhile. Rows of
//! pipelines and definitions are not part of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::SessionState;
use parking_lot::Mutex;

use crate::catalog::Object;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::stored_table::{StoredTable, snapshot_together};

/// Bytes that a transaction may have written before it is committed.
const WRITTEN_BYTES_MAX: usize = 1 << 30;

/// What the statements of a transaction see of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// `READ COMMITTED`: each statement what is there when it begins.
    Statement,
    /// `REPEATABLE READ`: all statements what is there when the first of them begins, in all tables and materialized views.
    #[default]
    Transaction,
}

/// Reads and writes of stored tables that belong together. Sessions take part in it by
/// [`Session::set_transaction`](crate::Session::set_transaction).
pub struct Transaction {
    isolation: Isolation,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By address: tables that are in here are alive.
    tables: BTreeMap<usize, Part>,
    is_pinned: bool,
    is_over: bool,
    written_bytes: usize,
    wrote_outside: bool,
}

struct Part {
    table: Arc<StoredTable>,
    pinned: Option<Vec<RecordBatch>>,
    written: Vec<RecordBatch>,
}

/// How much a transaction had written at a savepoint.
#[derive(Clone, Debug, Default)]
pub struct TransactionMark(BTreeMap<usize, usize>);

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("isolation", &self.isolation).finish_non_exhaustive()
    }
}

fn address(table: &Arc<StoredTable>) -> usize {
    Arc::as_ptr(table) as usize
}

impl Transaction {
    /// One that has read and written nothing yet.
    pub fn new(isolation: Isolation) -> Arc<Self> {
        Arc::new(Self { isolation, state: Mutex::default() })
    }

    /// Before a statement runs: the first one fixes what all of them read.
    pub async fn pin(&self, engine: &Engine) {
        if self.isolation == Isolation::Statement || self.state.lock().is_pinned {
            return;
        }
        // Not between the tables of another one's commit.
        let _commits = engine.inner.commits.write().await;
        let kept = |object: &Object| match object {
            Object::Stored(table) | Object::MaterializedView(table) => Some(Arc::clone(table)),
            _ => None,
        };
        let tables: Vec<Arc<StoredTable>> = engine.inner.catalog.read().iter().filter_map(|(_, object)| kept(object)).collect();
        let snapshots = snapshot_together(&tables);
        let mut state = self.state.lock();
        for (table, rows) in tables.into_iter().zip(snapshots) {
            // One that cannot be read says so when it is.
            if let Ok(rows) = rows {
                state.part(&table).pinned = Some(rows);
            }
        }
        state.is_pinned = true;
    }

    /// Keeps rows for a table until the commit.
    pub(crate) fn write(&self, table: &Arc<StoredTable>, batches: &[RecordBatch]) -> Result<u64> {
        let batches = table.conform(batches)?;
        let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let mut state = self.state.lock();
        if state.is_over {
            return Err(Error::user("25P01", "the transaction has ended"));
        }
        if state.written_bytes.saturating_add(bytes) > WRITTEN_BYTES_MAX {
            let hint = "hint: COMMIT more often; rows of a transaction are held in memory until then";
            return Err(Error::user("53200", format!("a transaction may write {WRITTEN_BYTES_MAX} bytes ({hint})")));
        }
        state.written_bytes += bytes;
        state.part(table).written.extend(batches);
        Ok(rows)
    }

    /// Rows as a statement of the transaction sees them: what is pinned, if it is, and what it has written. `None`: it has ended.
    fn rows(&self, table: &Arc<StoredTable>) -> Option<(Option<Vec<RecordBatch>>, Vec<RecordBatch>)> {
        let state = self.state.lock();
        let part = state.tables.get(&address(table));
        (!state.is_over).then(|| part.map(|part| (part.pinned.clone(), part.written.clone())).unwrap_or_default())
    }

    /// True if it has neither read nor written.
    pub fn is_untouched(&self) -> bool {
        let state = self.state.lock();
        !state.is_pinned && state.tables.is_empty()
    }

    /// Something has been written that a rollback cannot take back.
    pub(crate) fn note_outside(&self) {
        self.state.lock().wrote_outside = true;
    }

    /// True if rows went where a rollback cannot take them back.
    pub fn has_written_outside(&self) -> bool {
        self.state.lock().wrote_outside
    }

    /// A savepoint.
    pub fn mark(&self) -> TransactionMark {
        TransactionMark(self.state.lock().tables.iter().map(|(key, part)| (*key, part.written.len())).collect())
    }

    /// Takes back what was written since the savepoint.
    pub fn back_to(&self, mark: &TransactionMark) {
        let mut state = self.state.lock();
        for (key, part) in &mut state.tables {
            part.written.truncate(mark.0.get(key).copied().unwrap_or(0));
        }
        let bytes = |part: &Part| part.written.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
        state.written_bytes = state.tables.values().map(bytes).sum();
    }

    /// A transaction that reads of `table` nothing but what this one has written into it since the savepoint.
    pub fn written_since(&self, mark: &TransactionMark, engine: &Engine, table: &str) -> Arc<Self> {
        let view = Self::new(Isolation::Transaction);
        if let Some(Object::Stored(table)) = engine.inner.catalog.read().get(table) {
            let state = self.state.lock();
            let written = state.tables.get(&address(table)).map(|part| part.written.as_slice()).unwrap_or_default();
            let from = mark.0.get(&address(table)).copied().unwrap_or(0).min(written.len());
            let mut seen = view.state.lock();
            seen.part(table).pinned = Some(written[from..].to_vec());
            seen.is_pinned = true;
        }
        view
    }

    /// The table is dropped by a statement of the transaction: its rows go with it.
    pub(crate) fn forget(&self, table: &Arc<StoredTable>) {
        self.state.lock().tables.remove(&address(table));
    }

    /// Makes everything written durable and seen by others; how many rows. Rows of one table come together; those of several are seen
    /// together by transactions that begin, and a crash in between may leave those of the first tables only.
    ///
    /// # Errors
    /// A table that is gone or cannot be written.
    pub async fn commit(&self, engine: &Engine) -> Result<u64> {
        let written = self.end();
        let _together = match written.len() {
            0 | 1 => None,
            _ => Some(engine.inner.commits.read().await),
        };
        let mut rows = 0;
        for inserted in futures::future::join_all(written.iter().map(|(table, batches)| table.insert(batches))).await {
            rows += inserted?;
        }
        Ok(rows)
    }

    /// Forgets everything written.
    pub fn rollback(&self) {
        self.end();
    }

    fn end(&self) -> Vec<(Arc<StoredTable>, Vec<RecordBatch>)> {
        let mut state = self.state.lock();
        state.is_over = true;
        let tables = std::mem::take(&mut state.tables);
        tables.into_values().filter(|part| !part.written.is_empty()).map(|part| (part.table, part.written)).collect()
    }
}

impl State {
    fn part(&mut self, table: &Arc<StoredTable>) -> &mut Part {
        let new = || Part { table: Arc::clone(table), pinned: None, written: Vec::new() };
        self.tables.entry(address(table)).or_insert_with(new)
    }
}

/// What one statement reads of stored tables: a table that is named twice has the same rows both times.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    transaction: Option<Arc<Transaction>>,
    /// Rows of tables that were read already, by address; `None`: whoever reads this runs on and wants what is there then.
    seen: Option<Mutex<HashMap<usize, Vec<RecordBatch>>>>,
}

impl Reads {
    /// Those of a statement that ends.
    pub(crate) fn of_statement(transaction: Option<Arc<Transaction>>) -> Self {
        Self { transaction, seen: Some(Mutex::default()) }
    }

    /// Gives the statement's plans these reads.
    pub(crate) fn put_into(self, state: &mut SessionState) {
        state.config_mut().set_extension(Arc::new(self));
    }

    /// The statement becomes a pipeline: it starts with what its transaction sees, and when it starts again reads what is there then.
    pub(crate) fn run_on(state: &mut SessionState) {
        let transaction = state.config().get_extension::<Self>().and_then(|reads| reads.transaction.clone());
        Self { transaction, seen: None }.put_into(state);
    }

    /// The rows of a table.
    pub(crate) fn rows(&self, table: &Arc<StoredTable>) -> Result<Vec<RecordBatch>> {
        let (pinned, written) = self.transaction.as_ref().and_then(|transaction| transaction.rows(table)).unwrap_or_default();
        let mut rows = match (pinned, &self.seen) {
            (Some(pinned), _) => pinned,
            (None, None) => table.snapshot()?,
            (None, Some(seen)) => match seen.lock().entry(address(table)) {
                std::collections::hash_map::Entry::Occupied(known) => known.get().clone(),
                std::collections::hash_map::Entry::Vacant(place) => place.insert(table.snapshot()?).clone(),
            },
        };
        rows.extend(written);
        Ok(rows)
    }
}
