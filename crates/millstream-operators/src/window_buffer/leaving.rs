//! Rows of [`WindowBuffer`] that leave memory and come back. A window is handed on whole, so all its rows must fit when it closes.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::take_record_batch;
use datafusion::common::{Result, internal_err};
use millstream_time::{Watermark, WindowSpec};

use super::{Piece, State, WindowBuffer};
use crate::event_time::{time_millis, time_span};
use crate::layered_state::{LayerMerge, LayeredState, StoredPiece};
use crate::operator::{StateLayer, StatefulOperator};
use crate::pane_aggregate::PaneSplit;

impl WindowBuffer {
    /// Starts of the panes that windows due by `watermark` may need.
    fn due_panes(&self, state: &State, watermark: Watermark) -> Vec<i64> {
        if watermark <= state.watermark || self.due(state, 1).first().is_none_or(|&end| end > watermark.as_ms()) {
            return Vec::new();
        }
        state.panes.keys().copied().take_while(|&start| self.pane_starting(start).end <= watermark.as_ms()).collect()
    }

    /// What a snapshot says is only in the store.
    pub(super) fn restore_stored(&self, layer: &StateLayer) -> Result<()> {
        let Some(stored) = layer.stored else { return Ok(()) };
        let Some(panes) = &layer.panes else { return internal_err!("a stored layer without panes") };
        let share = panes.len().max(1) as u64;
        let mut state = self.state.lock();
        let watermark = state.watermark.as_ms();
        for &pane in panes {
            if self.spec != WindowSpec::Global && self.spec.last_end(self.pane_starting(pane)) <= watermark {
                continue;
            }
            let pieces = state.panes.entry(pane).or_default();
            pieces.push(Piece { seal: layer.seal, rows: None, count: stored.rows / share, bytes: stored.bytes / share });
            gather_stored(pieces, layer.seal);
        }
        Ok(())
    }

    /// The rows of one pane.
    fn rows_of(&self, pane: i64, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        if self.spec == WindowSpec::Global {
            return Ok(Some(batch.clone()));
        }
        let Some((low, high)) = time_span(batch.column(self.time))? else { return Ok(None) };
        let (first, last) = (self.spec.pane_of(low), self.spec.pane_of(high));
        if first == last {
            return Ok((first.start == pane).then(|| batch.clone()));
        }
        let times = time_millis(batch.column(self.time))?;
        let split = PaneSplit::tiled(&times, low, high, |time| self.spec.pane_of(time));
        let before: usize = split.panes().iter().take_while(|(window, _)| window.start != pane).map(|(_, rows)| rows).sum();
        let Some((_, rows)) = split.panes().iter().find(|(window, _)| window.start == pane) else { return Ok(None) };
        Ok(Some(take_record_batch(batch, &split.order().slice(before, *rows))?))
    }
}

impl LayeredState for WindowBuffer {
    fn can_leave(&self) -> u64 {
        let state = self.state.lock();
        state.panes.values().flatten().filter(|piece| piece.rows.is_some()).map(|piece| piece.bytes).sum()
    }

    fn evict(&self, sealed_before: u64, bytes: u64) -> u64 {
        let mut state = self.state.lock();
        let State { panes, pinned, .. } = &mut *state;
        let mut freed = 0;
        for (_, pieces) in panes.iter_mut().rev().filter(|(start, _)| !pinned.contains(start)) {
            while freed < bytes
                && let Some(seal) = pieces.iter().find(|piece| piece.rows.is_some() && piece.seal < sealed_before).map(|piece| piece.seal)
            {
                for piece in pieces.iter_mut().filter(|piece| piece.seal == seal) {
                    freed += if piece.rows.take().is_some() { piece.bytes } else { 0 };
                }
                gather_stored(pieces, seal);
            }
        }
        freed
    }

    fn due_back(&self, watermark: Watermark) -> u64 {
        let state = self.state.lock();
        let due = self.due_panes(&state, watermark).into_iter().filter_map(|pane| state.panes.get(&pane)).flatten();
        due.filter(|piece| piece.rows.is_none()).map(|piece| piece.bytes).sum()
    }

    fn recall(&self, watermark: Watermark) -> Vec<StoredPiece> {
        let mut state = self.state.lock();
        let panes = self.due_panes(&state, watermark);
        state.pinned.clone_from(&panes);
        let mut recalled = Vec::new();
        for pane in panes {
            let Some(pieces) = state.panes.get_mut(&pane) else { continue };
            recalled.extend(pieces.iter().filter(|piece| piece.rows.is_none()).map(|piece| StoredPiece { seal: piece.seal, pane }));
            pieces.retain(|piece| piece.rows.is_some());
        }
        recalled
    }

    fn take_back(&self, piece: StoredPiece, rows: &[RecordBatch]) -> Result<()> {
        let schema = self.state_schema();
        let mut state = self.state.lock();
        let pieces = state.panes.entry(piece.pane).or_default();
        for batch in rows {
            let Some(rows) = self.rows_of(piece.pane, batch)? else { continue };
            // Files may have other names and nullability.
            let rows = RecordBatch::try_new(Arc::clone(&schema), rows.columns().to_vec())?;
            let place = pieces.iter().position(|other| other.seal > piece.seal).unwrap_or(pieces.len());
            pieces.insert(place, Piece::new(piece.seal, rows));
        }
        Ok(())
    }

    fn next_merge(&self, _: u64) -> Option<LayerMerge> {
        None // Rows do not become fewer by it.
    }

    fn merge(&self, _: &LayerMerge, _: &[(StoredPiece, Vec<RecordBatch>)]) -> Result<()> {
        Ok(())
    }
}

/// What a seal has of a pane and is only in the store becomes one piece.
fn gather_stored(pieces: &mut Vec<Piece>, seal: u64) {
    let stored = pieces.iter().filter(|piece| piece.seal == seal && piece.rows.is_none());
    let (count, bytes) = stored.fold((0, 0), |(count, bytes), piece| (count + piece.count, bytes + piece.bytes));
    let Some(first) = pieces.iter().position(|piece| piece.seal == seal && piece.rows.is_none()) else { return };
    (pieces[first].count, pieces[first].bytes) = (count, bytes);
    let mut place = 0;
    pieces.retain(|piece| {
        place += 1;
        place - 1 <= first || piece.seal != seal || piece.rows.is_some()
    });
}
