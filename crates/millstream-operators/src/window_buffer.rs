//! Rows held until their window closes, for what needs a whole window at once: window joins, Top-N, deduplication, sorting.
//!
//! Rows are kept by pane, as they came; a window is the rows of its panes with `window_start`, `window_end` and `window_time`
//! appended when it is released, so a hopping row is stored once. The global window holds rows to the end of a bounded input
//! and adds no columns.
//!
//! Rows that a checkpoint has stored can leave memory; those of a window are all back when it closes (`window_buffer/leaving.rs`).

mod leaving;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{filter_record_batch, take_record_batch};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{Result, internal_err};
use millstream_time::{Watermark, Window, WindowSpec};
use parking_lot::Mutex;

use crate::event_time::{time_millis, time_span};
use crate::layered_state::LayeredState;
use crate::operator::{OperatorMetrics, OperatorSnapshot, Released, StateLayer, StateShape, StatefulOperator};
use crate::pane_aggregate::{PaneSplit, join_crumbs};
use crate::window_assign::append_window_columns;

/// `window_start`, `window_end` and `window_time`.
const WINDOW_COLUMNS: usize = 3;

/// See the module's page.
#[derive(Debug)]
pub struct WindowBuffer {
    spec: WindowSpec,
    /// Event-time column of the input; not looked at by the global window.
    time: usize,
    /// Of the result: the input's columns, then the window's.
    schema: SchemaRef,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    panes: BTreeMap<i64, Vec<Piece>>,
    watermark: Watermark,
    metrics: OperatorMetrics,
    next_seal: u64,
    /// Starts of panes whose rows stay in memory.
    pinned: Vec<i64>,
}

/// Rows of one pane.
#[derive(Debug)]
struct Piece {
    /// The snapshot that contains them first.
    seal: u64,
    /// `None`: only the store has them. What a seal has of a pane is in memory as a whole or not at all.
    rows: Option<RecordBatch>,
    /// How many; of stored ones about.
    count: u64,
    /// Memory that they take, or would.
    bytes: u64,
}

impl Piece {
    fn new(seal: u64, rows: RecordBatch) -> Self {
        // Panes of one batch share its buffers: each counts its own rows.
        let bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_default() as u64;
        Self { seal, count: rows.num_rows() as u64, bytes: rows.columns().iter().map(bytes).sum(), rows: Some(rows) }
    }
}

impl State {
    fn add(&mut self, pane_start: i64, rows: RecordBatch) {
        let piece = Piece::new(self.next_seal, rows);
        self.panes.entry(pane_start).or_default().push(piece);
    }
}

impl WindowBuffer {
    /// A buffer over windows of `spec`; `schema` is the input's plus the window columns (the input's for the global window).
    pub fn new(spec: WindowSpec, time: usize, schema: SchemaRef) -> Self {
        Self { spec, time, schema, state: Mutex::new(State::default()) }
    }

    fn store(&self, state: &mut State, pane: Window, rows: RecordBatch) {
        if rows.num_rows() == 0 {
            return;
        }
        if self.spec.last_end(pane) <= state.watermark.as_ms() {
            state.metrics.late_rows += rows.num_rows() as u64;
        } else {
            state.add(pane.start, rows);
        }
    }

    fn update_timed(&self, state: &mut State, batch: &RecordBatch) -> Result<()> {
        let Some((low, high)) = time_span(batch.column(self.time))? else { return Ok(()) };
        let (first, last) = (self.spec.pane_of(low), self.spec.pane_of(high));
        if first == last {
            self.store(state, first, batch.clone());
            return Ok(());
        }
        let times = time_millis(batch.column(self.time))?;
        let split = PaneSplit::tiled(&times, low, high, |time| self.spec.pane_of(time));
        let ordered = take_record_batch(batch, split.order())?;
        let mut offset = 0;
        for &(pane, rows) in split.panes() {
            self.store(state, pane, ordered.slice(offset, rows));
            offset += rows;
        }
        Ok(())
    }

    /// Ends of the windows after the watermark that hold rows, at most `n`, in order.
    fn due(&self, state: &State, n: usize) -> BTreeSet<i64> {
        let after = state.watermark.as_ms();
        let mut ends = BTreeSet::new();
        for &start in state.panes.keys().take(n) {
            let pane = self.pane_starting(start);
            let last = self.spec.last_end(pane);
            let first = self.spec.first_end(pane);
            let mut end = if first > after { first } else { self.spec.next_end_after(after) };
            let mut added = 0;
            while end <= last && added < n {
                ends.insert(end);
                added += 1;
                end = self.spec.next_end(end);
            }
        }
        ends
    }

    fn pane_starting(&self, start: i64) -> Window {
        if self.spec == WindowSpec::Global { Window { start: i64::MIN, end: i64::MAX } } else { self.spec.pane_of(start) }
    }

    fn window_rows(&self, state: &State, window: Window, out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut batches = Vec::new();
        for (pane, piece) in
            state.panes.range(window.start..window.end).flat_map(|(pane, pieces)| pieces.iter().map(move |piece| (pane, piece)))
        {
            match &piece.rows {
                Some(rows) => batches.push(rows.clone()),
                None => return internal_err!("rows {} of pane {pane} are needed and were not read back", piece.seal),
            }
        }
        for rows in join_crumbs(batches)? {
            out.push(match self.spec {
                WindowSpec::Global => rows,
                _ => append_window_columns(&rows, window, &self.schema)?,
            });
        }
        Ok(())
    }
}

impl StatefulOperator for WindowBuffer {
    fn update(&self, _: usize, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut state = self.state.lock();
        state.metrics.rows_in += batch.num_rows() as u64;
        if self.spec == WindowSpec::Global {
            state.add(i64::MIN, batch.clone());
            return Ok(());
        }
        let column = batch.column(self.time);
        if column.null_count() == 0 {
            return self.update_timed(&mut state, batch);
        }
        state.metrics.untimed_rows += column.null_count() as u64;
        let timed: BooleanArray = (0..column.len()).map(|row| Some(column.is_valid(row))).collect();
        self.update_timed(&mut state, &filter_record_batch(batch, &timed)?)
    }

    fn advance(&self, watermark: Watermark) -> Result<Released> {
        let mut state = self.state.lock();
        if watermark <= state.watermark {
            return Ok(Released::default());
        }
        let mut batches = Vec::new();
        let mut windows = 0;
        while let Some(&end) = self.due(&state, 1).first() {
            if end > watermark.as_ms() {
                break;
            }
            self.window_rows(&state, self.spec.window_ending(end), &mut batches)?;
            windows += 1;
            state.watermark = Watermark::from_ms(end);
            let spec = self.spec;
            state.panes.retain(|&start, _| spec != WindowSpec::Global && spec.last_end(spec.pane_of(start)) > end);
        }
        if self.spec == WindowSpec::Global && watermark == Watermark::MAX && state.metrics.windows_released == 0 {
            // The end has come even if no row did.
            windows = 1;
        }
        state.watermark = watermark;
        state.pinned.clear();
        state.metrics.windows_released += windows;
        Ok(Released { batches, windows, done: false })
    }

    fn nth_due(&self, n: usize) -> Option<i64> {
        let state = self.state.lock();
        if self.spec == WindowSpec::Global {
            return (state.metrics.windows_released == 0).then_some(i64::MAX);
        }
        let ends = self.due(&state, n);
        ends.iter().nth(n.saturating_sub(1)).or_else(|| ends.last()).copied()
    }

    fn snapshot(&self, since: u64) -> Result<OperatorSnapshot> {
        let metrics = self.metrics();
        let mut state = self.state.lock();
        let mut layers: BTreeMap<u64, StateLayer> = BTreeMap::new();
        for (&pane, pieces) in &state.panes {
            for piece in pieces {
                let rows = if piece.seal >= since { piece.rows.clone() } else { None };
                layers.entry(piece.seal).or_insert_with(|| StateLayer::of_panes(piece.seal)).add_pane(pane, rows);
            }
        }
        state.next_seal += 1;
        Ok(OperatorSnapshot {
            watermark: state.watermark,
            metrics,
            shape: StateShape::Buffer,
            layers: layers.into_values().collect(),
            next_seal: state.next_seal,
        })
    }

    fn layers(&self) -> Option<&dyn LayeredState> {
        Some(self)
    }

    fn state_schema(&self) -> SchemaRef {
        let window_columns = if self.spec == WindowSpec::Global { 0 } else { WINDOW_COLUMNS };
        let fields = &self.schema.fields()[..self.schema.fields().len() - window_columns];
        Arc::new(Schema::new(fields.to_vec()))
    }

    fn restore(&self, snapshot: &OperatorSnapshot) -> Result<()> {
        if snapshot.shape != StateShape::Buffer {
            return internal_err!("a window buffer restores rows");
        }
        // A stored layer may hold rows whose windows have closed since: by this watermark they are left out.
        self.state.lock().watermark = snapshot.watermark;
        for layer in &snapshot.layers {
            self.state.lock().next_seal = layer.seal;
            self.restore_stored(layer)?;
            for batch in &layer.rows {
                self.update(0, batch)?;
            }
        }
        let mut state = self.state.lock();
        state.metrics = snapshot.metrics;
        state.next_seal = snapshot.next_seal;
        Ok(())
    }

    fn metrics(&self) -> OperatorMetrics {
        let state = self.state.lock();
        let mut metrics = state.metrics;
        metrics.open_panes = state.panes.len() as u64;
        (metrics.entries, metrics.state_bytes, metrics.stored_bytes) = (0, 0, 0);
        for piece in state.panes.values().flatten() {
            metrics.entries += piece.count;
            *(if piece.rows.is_some() { &mut metrics.state_bytes } else { &mut metrics.stored_bytes }) += piece.bytes;
        }
        metrics
    }
}
