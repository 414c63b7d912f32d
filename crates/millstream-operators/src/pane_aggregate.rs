//! TUMBLE and HOP aggregates: rows go straight into one small table per pane, and a window is released when the watermark
//! passes its end.
//!
//! ```text
//!  partition 0:  pane 10:00 [key table + accumulators]   pane 10:10 [...]
//!  partition 1:  pane 10:00 [...]                        pane 10:10 [...]
//!  layers:       pane 10:00 [sealed] [sealed]            (sealed by a snapshot, or restored from one)
//!                    \__________ watermark ≥ 10:10: merged, evaluated, released ________/
//! ```
//!
//! Tables of several partitions and sealed layers of a pane are the same thing at release time: partial aggregates to merge
//! (late merge). Layers may be out of memory until then, and a window that does not fit is released in parts (see
//! [`layered_state`](crate::layered_state)). HOP hands complete panes to a [`PaneTree`], which answers windows.
//!
//! Each partition is updated by one task at a time; `advance` and snapshots run alone.

mod rows;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::common::Result;
use datafusion::physical_plan::PhysicalExpr;
use millstream_time::{Watermark, Window, WindowSpec};
use parking_lot::Mutex;

use crate::event_time::{time_millis, time_span};
use crate::layered_state::LayeredState;
use crate::operator::{OperatorMetrics, OperatorSnapshot, Released, StatefulOperator};
pub(crate) use crate::pane_aggregate::rows::PaneSplit;
use crate::pane_aggregate::rows::evaluate;
pub(crate) use crate::pane_aggregate::state::Layer;
use crate::pane_aggregate::state::{Layers, Parts};
use crate::pane_table::{PaneAggregateExpr, PaneTable, TableLayout};
use crate::pane_tree::{PaneTree, WindowValues};
use crate::window_assign::constant_column;

/// Released batches smaller than this are joined, so that the stage above does not run on crumbs.
const RELEASE_ROWS_MIN: usize = 8192;

/// Rows before the number of groups per row says anything.
const OBSERVED_ROWS_MIN: u64 = 100_000;

/// Where a row's windows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// A timestamp column; the window spec says which windows hold it.
    EventTime(usize),
    /// A window column: the row belongs to just the window that starts at its value plus `to_start_ms` (rows were assigned
    /// earlier in the stage).
    Assigned {
        /// The window column.
        column: usize,
        /// Added to its value, in milliseconds.
        to_start_ms: i64,
    },
    /// None: the global window.
    Nothing,
}

/// One column of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputColumn {
    /// First millisecond of the window.
    WindowStart,
    /// First millisecond after it.
    WindowEnd,
    /// Its last millisecond: the event time of the result row.
    WindowTime,
    /// The n-th key.
    Key(usize),
    /// The n-th aggregate.
    Aggregate(usize),
}

/// What to aggregate: immutable, shared.
#[derive(Debug)]
pub struct PaneAggregateSpec {
    /// The windows.
    pub window: WindowSpec,
    /// How a row finds its windows.
    pub time: TimeSource,
    /// Key expressions over the input (without window columns) and their result fields.
    pub keys: Vec<(Arc<dyn PhysicalExpr>, FieldRef)>,
    /// The aggregates over the input.
    pub aggregates: Vec<PaneAggregateExpr>,
    /// What each result column is.
    pub output: Vec<OutputColumn>,
    /// Schema of the result.
    pub schema: SchemaRef,
}

/// See the module's page.
#[derive(Debug)]
pub struct PaneAggregate {
    spec: PaneAggregateSpec,
    layout: TableLayout,
    partitions: Vec<Mutex<Partition>>,
    shared: Mutex<Shared>,
}

/// What one partition holds: active tables by pane start.
#[derive(Debug, Default)]
struct Partition {
    panes: BTreeMap<i64, PaneTable>,
    /// Rows are late for windows closed by this.
    watermark: Option<Watermark>,
    metrics: OperatorMetrics,
    ids: Vec<usize>,
}

/// What all partitions share.
#[derive(Debug)]
struct Shared {
    watermark: Watermark,
    /// To be merged with the partitions' tables.
    layers: Layers,
    /// What came back from the store, by pane start; only between `recall` and `advance`.
    returned: BTreeMap<i64, PaneTable>,
    /// HOP: panes that are complete; `None` also where they are layers.
    tree: Option<PaneTree>,
    /// A window that is being released in parts.
    parts: Option<Parts>,
    /// Starts of panes whose layers stay as they are.
    pinned: Vec<i64>,
    windows_released: u64,
    /// A key occurs on one partition only (input hashed by key): tables need no merging.
    disjoint_partitions: bool,
    /// Groups of all tables released, before merging.
    groups_released: u64,
    ids: Vec<usize>,
    restored: OperatorMetrics,
}

impl PaneAggregate {
    /// A fresh operator over `partitions` input partitions.
    pub fn try_new(spec: PaneAggregateSpec, partitions: usize) -> Result<Self> {
        let keys = spec.keys.iter().map(|(_, field)| Arc::clone(field)).collect();
        let layout = TableLayout::try_new(keys, spec.aggregates.clone())?;
        let tree = match (spec.window, spec.time) {
            (WindowSpec::Hop { .. }, TimeSource::EventTime(_)) => Some(PaneTree::try_new(layout.clone(), spec.window.panes_per_window())?),
            _ => None,
        };
        let shared = Shared {
            watermark: Watermark::MIN,
            layers: Layers::default(),
            returned: BTreeMap::new(),
            tree,
            parts: None,
            pinned: Vec::new(),
            windows_released: 0,
            disjoint_partitions: false,
            groups_released: 0,
            ids: Vec::new(),
            restored: OperatorMetrics::default(),
        };
        let partitions = (0..partitions.max(1)).map(|_| Mutex::new(Partition::default())).collect();
        Ok(Self { spec, layout, partitions, shared: Mutex::new(shared) })
    }

    /// What it aggregates.
    pub fn spec(&self) -> &PaneAggregateSpec {
        &self.spec
    }

    /// The pane that holds a row with `time` in its time column.
    fn pane_of(&self, time: i64) -> Window {
        match self.spec.time {
            TimeSource::Assigned { to_start_ms, .. } => self.pane_starting(time + to_start_ms),
            _ => self.spec.window.pane_of(time),
        }
    }

    /// The pane that starts at `start`.
    fn pane_starting(&self, start: i64) -> Window {
        match (self.spec.time, self.spec.window.size_ms()) {
            (TimeSource::Assigned { .. }, Some(size)) => Window { start, end: start + size },
            _ => self.spec.window.pane_of(start),
        }
    }

    /// The watermark that makes rows of the pane late.
    fn last_end(&self, pane: Window) -> i64 {
        match self.spec.time {
            TimeSource::Assigned { .. } => pane.end,
            _ => self.spec.window.last_end(pane),
        }
    }

    fn update_pane(&self, partition: &mut Partition, pane: Window, rows: &rows::Evaluated) -> Result<()> {
        let Partition { panes, ids, .. } = partition;
        let table = match panes.entry(pane.start) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(PaneTable::try_new(&self.layout)?),
        };
        table.update(rows, ids)
    }

    fn is_late(&self, partition: &Partition, pane: Window) -> bool {
        partition.watermark.is_some_and(|watermark| self.last_end(pane) <= watermark.as_ms())
    }

    /// Rows that all have an event time.
    fn update_timed(&self, partition: &mut Partition, batch: &RecordBatch, time: usize) -> Result<()> {
        let Some((low, high)) = time_span(batch.column(time))? else { return Ok(()) };
        let (first, last) = (self.pane_of(low), self.pane_of(high));
        if first == last {
            if self.is_late(partition, first) {
                partition.metrics.late_rows += batch.num_rows() as u64;
                return Ok(());
            }
            return self.update_pane(partition, first, &evaluate(&self.spec, batch)?);
        }
        let times = time_millis(batch.column(time))?;
        let split = match self.spec.time {
            TimeSource::Assigned { .. } => PaneSplit::scattered(&times, |time| self.pane_of(time)),
            _ => PaneSplit::tiled(&times, low, high, |time| self.pane_of(time)),
        };
        let late = split.panes().iter().map(|&(pane, rows)| if self.is_late(partition, pane) { rows as u64 } else { 0 }).sum::<u64>();
        partition.metrics.late_rows += late;
        if late == batch.num_rows() as u64 {
            return Ok(());
        }
        let ordered = split.reorder(&evaluate(&self.spec, batch)?)?;
        let mut offset = 0;
        for &(pane, rows) in split.panes() {
            if rows > 0 && !self.is_late(partition, pane) {
                self.update_pane(partition, pane, &rows::slice(&ordered, offset, rows))?;
            }
            offset += rows;
        }
        Ok(())
    }

    /// All partial aggregates of a pane, as one table or, where partitions are disjoint, as several.
    fn take_pane(&self, shared: &mut Shared, start: i64) -> Result<Vec<PaneTable>> {
        let mut tables: Vec<PaneTable> = self.partitions.iter().filter_map(|partition| partition.lock().panes.remove(&start)).collect();
        let layers = shared.layers.take(start)?;
        shared.groups_released += tables.iter().map(|table| table.len() as u64).sum::<u64>();
        let returned = shared.returned.remove(&start);
        if returned.is_none() && layers.is_empty() && (tables.len() <= 1 || shared.disjoint_partitions) {
            return Ok(tables);
        }
        tables.extend(returned);
        tables.sort_by_key(PaneTable::len);
        let mut base = match tables.pop() {
            Some(largest) => largest,
            None => PaneTable::try_new(&self.layout)?,
        };
        for layer in &layers {
            base.merge(&self.to_partial(layer)?, &mut shared.ids)?;
        }
        for table in tables {
            base.merge(&table.into_partial()?, &mut shared.ids)?;
        }
        Ok(vec![base])
    }

    /// Starts of all panes held outside the tree.
    fn pane_starts(&self, shared: &Shared) -> std::collections::BTreeSet<i64> {
        let mut starts: std::collections::BTreeSet<i64> = shared.layers.starts().chain(shared.returned.keys().copied()).collect();
        for partition in &self.partitions {
            starts.extend(partition.lock().panes.keys());
        }
        starts
    }

    fn window_batch(&self, window: Window, (rows, keys, values): WindowValues) -> Result<RecordBatch> {
        let columns = self.spec.output.iter().zip(self.spec.schema.fields()).map(|(column, field)| -> ArrayRef {
            match column {
                OutputColumn::WindowStart => constant_column(window.start, rows, field.data_type()),
                OutputColumn::WindowEnd => constant_column(window.end, rows, field.data_type()),
                OutputColumn::WindowTime => constant_column(window.end - 1, rows, field.data_type()),
                OutputColumn::Key(key) => Arc::clone(&keys[*key]),
                OutputColumn::Aggregate(aggregate) => Arc::clone(&values[*aggregate]),
            }
        });
        let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.spec.schema), columns.collect(), &options)?)
    }

    /// TUMBLE, assigned and global windows: a pane is a window.
    fn release_panes(&self, shared: &mut Shared, watermark: Watermark, out: &mut Vec<RecordBatch>) -> Result<u64> {
        let mut windows = 0;
        for start in self.pane_starts(shared) {
            let window = self.pane_starting(start);
            if window.end > watermark.as_ms() {
                break;
            }
            for table in self.take_pane(shared, start)? {
                out.push(self.window_batch(window, table.into_values()?)?);
            }
            windows += 1;
        }
        if self.spec.time == TimeSource::Nothing && watermark == Watermark::MAX && windows == 0 && shared.windows_released == 0 {
            // SQL: an aggregate without GROUP BY over no rows is one row.
            if self.spec.keys.is_empty() {
                out.push(self.window_batch(self.pane_of(0), (1, Vec::new(), rows::values_of_nothing(&self.layout)?))?);
            }
            windows = 1;
        }
        Ok(windows)
    }

    /// HOP: complete panes move into the tree, which then answers the windows that are due.
    fn release_hops(&self, shared: &mut Shared, watermark: Watermark, out: &mut Vec<RecordBatch>) -> Result<u64> {
        let Some(mut tree) = shared.tree.take() else { return Ok(0) };
        let spec = self.spec.window;
        let before = shared.watermark.as_ms();
        for start in self.pane_starts(shared) {
            if self.pane_starting(start).end > watermark.as_ms() {
                break;
            }
            for table in self.take_pane(shared, start)? {
                tree.insert(spec.pane_ordinal(start), table.into_partial()?, shared.layers.next_seal)?;
            }
        }
        tree.settle()?;
        let mut windows = 0;
        let mut next_end = i64::MIN;
        while let Some(end) = self.first_due(&tree, before.max(next_end)) {
            if end > watermark.as_ms() {
                break;
            }
            let window = spec.window_ending(end);
            let (first, last) = (spec.pane_ordinal(window.start), spec.pane_ordinal(spec.pane_of(window.end).start));
            if let Some(values) = tree.window(first, last)? {
                out.push(self.window_batch(window, values)?);
                windows += 1;
            }
            next_end = end;
        }
        let horizon = watermark.as_ms().clamp(-millstream_time::EVENT_TIME_MS_MAX, millstream_time::EVENT_TIME_MS_MAX);
        // The oldest window still open ends after the watermark: panes before its start are done.
        let oldest = spec.window_ending(spec.first_end(Window { start: horizon, end: horizon + 1 })).start;
        if watermark == Watermark::MAX {
            tree.drop_before(i64::MAX >> 1)?;
        } else {
            tree.drop_before(spec.pane_ordinal(spec.pane_of(oldest).start))?;
        }
        shared.tree = Some(tree);
        Ok(windows)
    }

    /// End of the first window after `after` that covers a pane of the tree.
    fn first_due(&self, tree: &PaneTree, after: i64) -> Option<i64> {
        let spec = self.spec.window;
        tree.ordinals()
            .filter_map(|ordinal| {
                let pane = spec.pane_at(ordinal);
                let first = spec.first_end(pane);
                let due = if first > after { first } else { spec.next_end_after(after) };
                (due <= spec.last_end(pane)).then_some(due)
            })
            .min()
    }
}

impl StatefulOperator for PaneAggregate {
    fn update(&self, partition: usize, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut partition = self.partitions[partition].lock();
        partition.metrics.rows_in += batch.num_rows() as u64;
        let time = match self.spec.time {
            TimeSource::EventTime(column) | TimeSource::Assigned { column, .. } => column,
            TimeSource::Nothing => {
                let pane = self.pane_of(0);
                return self.update_pane(&mut partition, pane, &evaluate(&self.spec, batch)?);
            }
        };
        let column = batch.column(time);
        if column.null_count() == 0 {
            return self.update_timed(&mut partition, batch, time);
        }
        partition.metrics.untimed_rows += column.null_count() as u64;
        let timed: BooleanArray = (0..column.len()).map(|row| Some(column.is_valid(row))).collect();
        self.update_timed(&mut partition, &filter_record_batch(batch, &timed)?, time)
    }

    fn advance(&self, watermark: Watermark) -> Result<Released> {
        let mut shared = self.shared.lock();
        if watermark <= shared.watermark {
            return Ok(Released::default());
        }
        let mut batches = Vec::new();
        let windows = if shared.tree.is_some() {
            self.release_hops(&mut shared, watermark, &mut batches)?
        } else if self.is_hop() {
            self.release_hops_in_layers(&mut shared, watermark, &mut batches)?
        } else {
            self.release_panes(&mut shared, watermark, &mut batches)?
        };
        shared.pinned.clear();
        shared.watermark = watermark;
        shared.windows_released += windows;
        for partition in &self.partitions {
            partition.lock().watermark = Some(watermark);
        }
        Ok(Released { batches: join_crumbs(batches)?, windows, done: false })
    }

    fn nth_due(&self, n: usize) -> Option<i64> {
        let shared = self.shared.lock();
        let after = shared.watermark.as_ms();
        let mut ends: std::collections::BTreeSet<i64> = std::collections::BTreeSet::new();
        let mut add = |pane: Window| {
            let last = self.last_end(pane);
            let mut end = match self.spec.time {
                TimeSource::Assigned { .. } => pane.end,
                _ => self.spec.window.first_end(pane),
            };
            if end <= after {
                end = self.spec.window.next_end_after(after);
            }
            let mut added = 0;
            while end <= last && added < n {
                ends.insert(end);
                added += 1;
                end = self.spec.window.next_end(end);
            }
        };
        // Panes in order of start have their windows in order of end: the first n panes decide.
        self.pane_starts(&shared).into_iter().take(n).for_each(|start| add(self.pane_starting(start)));
        if let Some(tree) = &shared.tree {
            tree.ordinals().take(n).for_each(|ordinal| add(self.spec.window.pane_at(ordinal)));
        }
        if ends.is_empty() && self.spec.time == TimeSource::Nothing && shared.windows_released == 0 {
            return Some(i64::MAX);
        }
        ends.iter().nth(n.saturating_sub(1)).or_else(|| ends.last()).copied()
    }

    fn groups_per_row(&self) -> Option<f64> {
        let rows: u64 = self.partitions.iter().map(|partition| partition.lock().metrics.rows_in).sum();
        (rows >= OBSERVED_ROWS_MIN).then(|| self.shared.lock().groups_released as f64 / rows as f64)
    }

    fn distribute_by_key(&self) -> Result<()> {
        let mut shared = self.shared.lock();
        // Tables filled so far share keys; as layers they are merged.
        self.seal_active(&mut shared)?;
        shared.disjoint_partitions = true;
        Ok(())
    }

    fn snapshot(&self, since: u64) -> Result<OperatorSnapshot> {
        self.take_snapshot(since)
    }

    fn state_schema(&self) -> SchemaRef {
        self.snapshot_schema()
    }

    fn layers(&self) -> Option<&dyn LayeredState> {
        Some(self)
    }

    fn restore(&self, snapshot: &OperatorSnapshot) -> Result<()> {
        self.take_in(snapshot)
    }

    fn metrics(&self) -> OperatorMetrics {
        self.sum_metrics()
    }
}

/// Joins neighbouring small batches.
pub(crate) fn join_crumbs(batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let mut joined = Vec::with_capacity(batches.len());
    let mut crumbs: Vec<RecordBatch> = Vec::new();
    let mut rows = 0;
    for batch in batches {
        if batch.num_rows() == 0 {
            continue;
        }
        rows += batch.num_rows();
        crumbs.push(batch);
        if rows >= RELEASE_ROWS_MIN {
            joined.push(concat_crumbs(&mut crumbs)?);
            rows = 0;
        }
    }
    if !crumbs.is_empty() {
        joined.push(concat_crumbs(&mut crumbs)?);
    }
    Ok(joined)
}

fn concat_crumbs(crumbs: &mut Vec<RecordBatch>) -> Result<RecordBatch> {
    let batch = match crumbs.as_slice() {
        [only] => only.clone(),
        several => concat_batches(&several[0].schema(), several)?,
    };
    crumbs.clear();
    Ok(batch)
}
