//! The trait of everything that remembers between epochs.

use std::fmt;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use millstream_time::Watermark;
use serde::{Deserialize, Serialize};

use crate::layered_state::LayeredState;

/// Names an operator's state: stable over restarts and plan changes elsewhere in the query (kind + ordinal in the SQL).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorId(pub String);

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an operator hands on when the watermark advances.
#[derive(Debug, Default)]
pub struct Released {
    /// The rows, window after window in the order of their ends.
    pub batches: Vec<RecordBatch>,
    /// Windows released (also those whose rows were all filtered out): the stage above runs only if this is not 0.
    pub windows: u64,
    /// Nothing further will ever come (`LIMIT` is reached).
    pub done: bool,
}

/// Figures of one operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorMetrics {
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that came after all their windows had closed; they are in no result.
    pub late_rows: u64,
    /// Rows without an event time (NULL); they are in no window.
    pub untimed_rows: u64,
    /// Windows released so far.
    pub windows_released: u64,
    /// Windows (panes) held.
    pub open_panes: u64,
    /// Groups or rows held.
    pub entries: u64,
    /// Bytes of state in memory, about.
    pub state_bytes: u64,
    /// Bytes that state takes in memory, about, and does not, because it is only in the store.
    pub stored_bytes: u64,
}

/// What the rows of a state mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateShape {
    /// Partial aggregates: `pane_start`, keys, accumulator states. Rows of one pane and key may occur several times (layers).
    Layers,
    /// Rows of open windows, as they came in.
    Buffer,
    /// One row per key, newest wins.
    Keyed,
}

/// A piece of state that no longer changes: what came in between two snapshots, or several such pieces merged.
#[derive(Clone, Debug, PartialEq)]
pub struct StateLayer {
    /// The snapshot that first contained it; unique within the operator.
    pub seal: u64,
    /// Starts of the panes of which it still holds valid rows; rows of others are to be ignored. `None`: all rows are valid.
    pub panes: Option<Vec<i64>>,
    /// The rows; empty in a snapshot `since` a later one, because whoever asks so has them.
    pub rows: Vec<RecordBatch>,
    /// The pane of each batch of `rows`; empty where they belong to no pane, or to several.
    pub row_panes: Vec<i64>,
    /// In a snapshot to be restored: there are no rows here, they stay in the store until they are needed.
    pub stored: Option<StoredRows>,
}

/// Rows of a layer that are only in the store, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredRows {
    /// How many.
    pub rows: u64,
    /// Bytes that they take in memory.
    pub bytes: u64,
}

/// Everything an operator must give back to continue exactly where it was; independent of how many partitions held it.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorSnapshot {
    /// The watermark up to which it has released.
    pub watermark: Watermark,
    /// Counters that go on.
    pub metrics: OperatorMetrics,
    /// What the rows mean.
    pub shape: StateShape,
    /// The rows, oldest seal first.
    pub layers: Vec<StateLayer>,
    /// Later snapshots put new rows into layers with this number or a greater one.
    pub next_seal: u64,
}

impl StateLayer {
    /// An empty layer of panes still to be named.
    pub fn of_panes(seal: u64) -> Self {
        Self { seal, panes: Some(Vec::new()), rows: Vec::new(), row_panes: Vec::new(), stored: None }
    }

    /// A layer of rows that belong to no panes.
    pub fn of_rows(seal: u64, rows: Vec<RecordBatch>) -> Self {
        Self { seal, panes: None, rows, row_panes: Vec::new(), stored: None }
    }

    /// Adds a pane, with its rows if they are wanted. Panes come in order.
    pub fn add_pane(&mut self, pane: i64, rows: Option<RecordBatch>) {
        if let Some(panes) = &mut self.panes
            && panes.last() != Some(&pane)
        {
            panes.push(pane);
        }
        if let Some(rows) = rows {
            self.rows.push(rows);
            self.row_panes.push(pane);
        }
    }
}

impl OperatorSnapshot {
    /// Fills in the rows of layers that `earlier` has: makes a snapshot `since` that one complete.
    pub fn complete_from(&mut self, earlier: &Self) {
        for layer in self.layers.iter_mut().filter(|layer| layer.seal < earlier.next_seal) {
            if let Some(known) = earlier.layers.iter().find(|known| known.seal == layer.seal) {
                layer.rows.clone_from(&known.rows);
                layer.row_panes.clone_from(&known.row_panes);
            }
        }
    }

    /// Rows in all layers.
    pub fn rows(&self) -> usize {
        self.layers.iter().flat_map(|layer| &layer.rows).map(RecordBatch::num_rows).sum()
    }
}

/// A bounded step over an epoch: rows in, then the watermark, rows out; state stays inside.
///
/// It spawns nothing, reads no clock and does no I/O. `update` may run on several partitions at once, each partition by one
/// task; `advance`, `snapshot` and `restore` run alone.
pub trait StatefulOperator: fmt::Debug + Send + Sync {
    /// Takes a batch of the epoch into the state of `partition`.
    fn update(&self, partition: usize, batch: &RecordBatch) -> Result<()>;

    /// Moves on to `watermark` (never back) after all input of the epoch and gives what it lets go.
    fn advance(&self, watermark: Watermark) -> Result<Released>;

    /// End of the n-th window (n ≥ 1, by end) that waits for the watermark, or of the last one if fewer wait; `None` if none
    /// does. Lets the crank advance in steps and set timers.
    fn nth_due(&self, n: usize) -> Option<i64>;

    /// Groups per input row so far, per partition: near 0 when partitions see the same few keys again and again, near 1 when
    /// nearly every row is a group. `None` while too little was seen, or where it does not matter.
    fn groups_per_row(&self) -> Option<f64> {
        None
    }

    /// From now on a key's rows come on one partition only.
    fn distribute_by_key(&self) -> Result<()> {
        Ok(())
    }

    /// The state as rows. The operator goes on with the same state.
    ///
    /// Layers sealed before `since` (0: none) come without their rows: what was sealed once does not change, except that panes
    /// go. So a snapshot costs what came in since the last one.
    fn snapshot(&self, since: u64) -> Result<OperatorSnapshot>;

    /// The checkpoint that the last snapshot went into exists: what was in it may be shown.
    fn committed(&self) {}

    /// Whether somebody waits for [`committed`](Self::committed): checkpoints are then taken even where the output needs none.
    fn publishes(&self) -> bool {
        false
    }

    /// Its sealed layers, if that is what its state consists of: they can be merged, and leave memory.
    fn layers(&self) -> Option<&dyn LayeredState> {
        None
    }

    /// Columns of its state, in every layer.
    fn state_schema(&self) -> SchemaRef;

    /// Takes a snapshot into a fresh operator with any number of partitions.
    fn restore(&self, snapshot: &OperatorSnapshot) -> Result<()>;

    /// Figures; cheap enough to ask each second.
    fn metrics(&self) -> OperatorMetrics;
}
