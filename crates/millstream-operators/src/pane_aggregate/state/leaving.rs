//! Layers of [`PaneAggregate`] that leave memory, come back, and are merged.

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{Result, internal_err};
use millstream_time::Watermark;

use super::{runs, to_batch};
use crate::key_part::KeyPart;
use crate::layered_state::{DueWindow, LayerMerge, LayeredState, StoredPiece};
use crate::operator::Released;
use crate::pane_aggregate::{PaneAggregate, Shared};
use crate::pane_table::PaneTable;

impl PaneAggregate {
    /// Starts of the panes with layers that `advance(watermark)` takes.
    fn due(&self, shared: &Shared, watermark: Watermark) -> Vec<i64> {
        if watermark <= shared.watermark {
            return Vec::new();
        }
        if self.hops_in_layers(shared) && self.first_window(shared, watermark).is_none() {
            return Vec::new();
        }
        shared.layers.starts().take_while(|&start| self.pane_starting(start).end <= watermark.as_ms()).collect()
    }

    /// Bytes of the tables that rows go into.
    fn active_bytes(&self) -> u64 {
        let active = |table: &PaneTable| table.size() as u64;
        self.partitions.iter().map(|partition| partition.lock().panes.values().map(active).sum::<u64>()).sum()
    }

    /// Adds the rows of one pane among `batches` to its table.
    fn merge_rows(&self, table: &mut PaneTable, pane: i64, batches: &[RecordBatch], ids: &mut Vec<usize>) -> Result<()> {
        for batch in batches {
            self.check_width(batch)?;
            for (start, rows) in runs(batch)? {
                if start == pane {
                    table.merge(&self.to_partial(&rows)?, ids)?;
                }
            }
        }
        Ok(())
    }
}

impl LayeredState for PaneAggregate {
    fn can_leave(&self) -> u64 {
        let shared = self.shared.lock();
        let sealed: u64 = shared.layers.iter().filter(|(_, layer)| layer.batch.is_some()).map(|(_, layer)| layer.bytes).sum();
        sealed + self.active_bytes() + shared.tree.as_ref().map_or(0, |tree| tree.size() as u64)
    }

    fn evict(&self, sealed_before: u64, bytes: u64) -> u64 {
        let mut shared = self.shared.lock();
        let Shared { layers, pinned, tree, .. } = &mut *shared;
        let freed = layers.evict(sealed_before, bytes, pinned);
        let tree_bytes = tree.as_ref().map_or(0, |tree| tree.size() as u64);
        // What is active can leave after the next checkpoint: only if that is not the most of it the tree must go.
        if freed >= bytes || tree_bytes <= self.active_bytes() {
            return freed;
        }
        match self.give_up_tree(&mut shared, sealed_before) {
            Ok(more) => freed + more,
            Err(error) => {
                tracing::warn!(%error, "complete panes of a HOP stay in memory");
                freed
            }
        }
    }

    fn due_back(&self, watermark: Watermark) -> u64 {
        let shared = self.shared.lock();
        if watermark <= shared.watermark || (self.hops_in_layers(&shared) && self.first_window(&shared, watermark).is_none()) {
            return 0;
        }
        let due = shared.layers.iter().take_while(|(start, _)| self.pane_starting(*start).end <= watermark.as_ms());
        due.filter(|(_, layer)| layer.batch.is_none()).map(|(_, layer)| layer.bytes).sum()
    }

    fn recall(&self, watermark: Watermark) -> Vec<StoredPiece> {
        let mut shared = self.shared.lock();
        let mut pieces = Vec::new();
        let panes = self.due(&shared, watermark);
        shared.pinned.clone_from(&panes);
        for pane in panes {
            pieces.extend(shared.layers.take_stored(pane).into_iter().map(|seal| StoredPiece { seal, pane }));
        }
        pieces
    }

    fn take_back(&self, piece: StoredPiece, rows: &[RecordBatch]) -> Result<()> {
        let mut shared = self.shared.lock();
        if self.hops_in_layers(&shared) {
            // Later windows need it too, so it stays what it was.
            for batch in rows {
                self.check_width(batch)?;
                for (_, rows) in runs(batch)?.into_iter().filter(|(start, _)| *start == piece.pane) {
                    shared.layers.put_back(piece.pane, piece.seal, rows);
                }
            }
            return Ok(());
        }
        let Shared { returned, ids, .. } = &mut *shared;
        let table = match returned.entry(piece.pane) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(PaneTable::try_new(&self.layout)?),
        };
        self.merge_rows(table, piece.pane, rows, ids)
    }

    fn due_window(&self, watermark: Watermark) -> Option<DueWindow> {
        self.window_due(watermark)
    }

    fn open_parts(&self, due: DueWindow) -> Result<Vec<StoredPiece>> {
        self.begin_parts(due)
    }

    fn take_into_part(&self, piece: StoredPiece, part: KeyPart, within: bool, rows: &[RecordBatch]) -> Result<()> {
        self.add_to_part(piece, part, within, rows)
    }

    fn release_part(&self, part: KeyPart) -> Result<Released> {
        self.finish_part(part)
    }

    fn close_parts(&self) {
        self.end_parts();
    }

    fn next_merge(&self, bytes_max: u64) -> Option<LayerMerge> {
        let (pane, chosen) = self.shared.lock().layers.to_merge(bytes_max)?;
        Some(LayerMerge { pane, chosen })
    }

    /// Holds nobody up meanwhile.
    fn merge(&self, merge: &LayerMerge, stored: &[(StoredPiece, Vec<RecordBatch>)]) -> Result<()> {
        let mut table = PaneTable::try_new(&self.layout)?;
        let mut ids = Vec::new();
        for layer in &merge.chosen {
            let piece = StoredPiece { seal: layer.seal, pane: merge.pane };
            let batches = match &layer.batch {
                Some(batch) => std::slice::from_ref(batch),
                None => match stored.iter().find(|(given, _)| *given == piece) {
                    Some((_, batches)) => batches.as_slice(),
                    None => return internal_err!("layer {} of pane {} is to be merged and was not read", piece.seal, piece.pane),
                },
            };
            self.merge_rows(&mut table, merge.pane, batches, &mut ids)?;
        }
        let merged = to_batch(&self.snapshot_schema(), merge.pane, &table.into_partial()?)?;
        let mut shared = self.shared.lock();
        if shared.pinned.contains(&merge.pane) {
            return Ok(()); // Its layers are being read one by one.
        }
        let replaced = shared.layers.replace(merge.pane, &merge.chosen, merged);
        let next_seal = shared.layers.next_seal;
        if let Some(tree) = &mut shared.tree
            && replaced
        {
            // Rows of a complete pane may be stored under the number of a layer that is gone now.
            tree.reseal(self.spec.window.pane_ordinal(merge.pane), next_seal);
        }
        Ok(())
    }
}
