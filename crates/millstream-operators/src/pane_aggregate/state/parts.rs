//! Windows of [`PaneAggregate`] that close part by part, and complete panes of a HOP that are layers like all others.
//!
//! While memory is plentiful complete panes of a HOP live in a [`PaneTree`](crate::pane_tree::PaneTree), where a window costs few
//! merges. A tree cannot leave memory in pieces, so under pressure it is given up: its leaves become layers, and a window merges the
//! layers of all its panes. That is slower and needs memory for one part of one window only.

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{Result, internal_err};
use millstream_time::{Watermark, Window, WindowSpec};

use super::{runs, to_batch};
use crate::key_part::{KeyPart, key_columns};
use crate::layered_state::{DueWindow, StoredPiece};
use crate::operator::Released;
use crate::pane_aggregate::{PaneAggregate, Shared, TimeSource};
use crate::pane_table::PaneTable;

/// A window that is being released in parts.
#[derive(Debug)]
pub(crate) struct Parts {
    window: Window,
    /// Starts of its panes.
    panes: Vec<i64>,
    /// Groups of the part at hand.
    pub(crate) table: PaneTable,
}

impl PaneAggregate {
    pub(crate) fn is_hop(&self) -> bool {
        matches!((self.spec.window, self.spec.time), (WindowSpec::Hop { .. }, TimeSource::EventTime(_)))
    }

    /// Whether complete panes are layers and not in a tree.
    pub(super) fn hops_in_layers(&self, shared: &Shared) -> bool {
        self.is_hop() && shared.tree.is_none()
    }

    /// The first window that `watermark` closes, with the starts of its panes; `None` if none does or complete panes are in a tree.
    pub(super) fn first_window(&self, shared: &Shared, watermark: Watermark) -> Option<(Window, Vec<i64>)> {
        if shared.tree.is_some() || watermark <= shared.watermark {
            return None;
        }
        let starts = self.pane_starts(shared);
        if !self.is_hop() {
            let start = *starts.first()?;
            let window = self.pane_starting(start);
            return (window.end <= watermark.as_ms()).then(|| (window, vec![start]));
        }
        let (spec, after) = (self.spec.window, shared.watermark.as_ms());
        let end = starts.iter().find_map(|&start| {
            let pane = self.pane_starting(start);
            let first = spec.first_end(pane);
            let due = if first > after { first } else { spec.next_end_after(after) };
            (due <= spec.last_end(pane)).then_some(due)
        })?;
        if end > watermark.as_ms() {
            return None;
        }
        let window = spec.window_ending(end);
        Some((window, starts.range(window.start..window.end).copied().collect()))
    }

    /// HOP without a tree, everything it needs in memory.
    pub(in crate::pane_aggregate) fn release_hops_in_layers(
        &self,
        shared: &mut Shared,
        watermark: Watermark,
        out: &mut Vec<RecordBatch>,
    ) -> Result<u64> {
        let mut windows = 0;
        while let Some((window, panes)) = self.first_window(shared, watermark) {
            let mut table = PaneTable::try_new(&self.layout)?;
            for pane in panes {
                self.seal_pane(shared, pane)?;
                if let Some(layer) = shared.layers.of(pane).iter().find(|layer| layer.batch.is_none()) {
                    return internal_err!("layer {} of pane {pane} is needed and was not read back", layer.seal);
                }
                self.merge_layers(shared, &mut table, pane, KeyPart::ALL)?;
            }
            out.push(self.window_batch(window, table.into_values()?)?);
            windows += 1;
            self.close_window(shared, window);
        }
        Ok(windows)
    }

    /// Adds what layers in memory have of one part of a pane.
    fn merge_layers(&self, shared: &mut Shared, table: &mut PaneTable, pane: i64, part: KeyPart) -> Result<()> {
        let Shared { layers, ids, .. } = shared;
        for batch in layers.of(pane).iter().filter_map(|layer| layer.batch.as_ref()) {
            let rows = part.rows(batch, key_columns(batch.schema_ref()))?;
            table.merge(&self.to_partial(&rows)?, ids)?;
        }
        Ok(())
    }

    /// Time goes on to the window's end; panes that no later window needs go.
    fn close_window(&self, shared: &mut Shared, window: Window) {
        shared.watermark.advance(Watermark::from_ms(window.end));
        for start in self.pane_starts(shared) {
            if self.last_end(self.pane_starting(start)) > window.end {
                continue;
            }
            shared.layers.remove(start);
            shared.returned.remove(&start);
            for partition in &self.partitions {
                partition.lock().panes.remove(&start);
            }
        }
        for partition in &self.partitions {
            partition.lock().watermark = Some(shared.watermark);
        }
    }

    /// Gives the tree up: complete panes become layers, those of snapshots before `sealed_before` without their rows. Gives the bytes
    /// freed.
    pub(super) fn give_up_tree(&self, shared: &mut Shared, sealed_before: u64) -> Result<u64> {
        let Some(tree) = &shared.tree else { return Ok(0) };
        let (schema, size) = (self.snapshot_schema(), tree.size() as u64);
        let mut kept = 0;
        let mut leaves = Vec::new();
        for leaf in tree.leaves(sealed_before)? {
            let start = self.spec.window.pane_at(leaf.ordinal).start;
            let batch = leaf.partial.map(|partial| to_batch(&schema, start, &partial)).transpose()?;
            kept += if batch.is_some() { leaf.bytes } else { 0 };
            leaves.push((start, leaf.seal, batch, (leaf.rows, leaf.bytes)));
        }
        for (start, seal, batch, size) in leaves {
            shared.layers.add_sealed(start, seal, batch, size);
        }
        shared.tree = None;
        tracing::debug!(bytes = size, "complete panes of a HOP become layers, so that they can leave memory");
        Ok(size.saturating_sub(kept))
    }

    pub(super) fn window_due(&self, watermark: Watermark) -> Option<DueWindow> {
        if self.layout.keys.fields().is_empty() {
            return None; // One group.
        }
        let shared = self.shared.lock();
        let (window, panes) = self.first_window(&shared, watermark)?;
        let mut due = DueWindow { end: window.end, bytes: 0, stored_bytes: 0 };
        for pane in panes {
            for layer in shared.layers.of(pane) {
                due.bytes += layer.bytes;
                due.stored_bytes += if layer.batch.is_none() { layer.bytes } else { 0 };
            }
            due.bytes += shared.returned.get(&pane).map_or(0, |table| table.size() as u64);
            let active = self.partitions.iter().map(|partition| partition.lock().panes.get(&pane).map_or(0, |table| table.size() as u64));
            due.bytes += active.sum::<u64>();
        }
        Some(due)
    }

    pub(super) fn begin_parts(&self, due: DueWindow) -> Result<Vec<StoredPiece>> {
        let mut shared = self.shared.lock();
        let Some((window, panes)) = self.first_window(&shared, Watermark::from_ms(due.end)) else {
            return internal_err!("no window that ends at {} waits", due.end);
        };
        let mut pieces = Vec::new();
        for &pane in &panes {
            self.seal_pane(&mut shared, pane)?;
            let stored = shared.layers.of(pane).iter().filter(|layer| layer.batch.is_none());
            pieces.extend(stored.map(|layer| StoredPiece { seal: layer.seal, pane }));
        }
        shared.pinned.clone_from(&panes);
        shared.parts = Some(Parts { window, panes, table: PaneTable::try_new(&self.layout)? });
        Ok(pieces)
    }

    pub(super) fn add_to_part(&self, piece: StoredPiece, part: KeyPart, within: bool, batches: &[RecordBatch]) -> Result<()> {
        let mut shared = self.shared.lock();
        let Shared { parts: Some(parts), ids, .. } = &mut *shared else { return internal_err!("no window is being released in parts") };
        for batch in batches {
            self.check_width(batch)?;
            for (start, rows) in runs(batch)? {
                if start == piece.pane {
                    let rows = if within { rows } else { part.rows(&rows, key_columns(rows.schema_ref()))? };
                    parts.table.merge(&self.to_partial(&rows)?, ids)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish_part(&self, part: KeyPart) -> Result<Released> {
        let mut shared = self.shared.lock();
        let Some(mut parts) = shared.parts.take() else { return internal_err!("no window is being released in parts") };
        for &pane in &parts.panes {
            self.merge_layers(&mut shared, &mut parts.table, pane, part)?;
        }
        let table = std::mem::replace(&mut parts.table, PaneTable::try_new(&self.layout)?);
        let rows = self.window_batch(parts.window, table.into_values()?)?;
        shared.parts = Some(parts);
        Ok(Released { batches: if rows.num_rows() > 0 { vec![rows] } else { Vec::new() }, windows: 1, done: false })
    }

    pub(super) fn end_parts(&self) {
        let mut shared = self.shared.lock();
        shared.pinned.clear();
        if let Some(parts) = shared.parts.take() {
            shared.windows_released += 1;
            self.close_window(&mut shared, parts.window);
        }
    }
}
