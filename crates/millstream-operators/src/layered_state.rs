//! State in sealed layers, which may be in memory or only in the store.
//!
//! ```text
//!  active table ── snapshot ──▶ layer in memory ── stored by a checkpoint, evict ──▶ layer in the store
//!       ▲                                                                               │ recall, before its pane closes
//!       └── rows of a pane, merged when it closes  ◀── take_back, piece after piece ────┘
//! ```
//!
//! An operator does no I/O: it says which pieces it needs, and whoever turns the crank reads them and hands them over. So a pane that
//! comes back needs memory for its groups and one piece, not for all its pieces.
//!
//! A window whose groups do not fit either is released in parts, each of some of its keys ([`KeyPart`]): `open_parts`, then for each part
//! `take_into_part` for every piece and `release_part`, then `close_parts`. Nothing else is asked of the operator in between.

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use millstream_time::Watermark;

use crate::key_part::KeyPart;
use crate::operator::Released;
use crate::pane_aggregate::Layer;

/// What one layer has of one pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredPiece {
    /// The snapshot that contained the layer first.
    pub seal: u64,
    /// Start of the pane.
    pub pane: i64,
}

/// A window that can be released in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueWindow {
    /// Its end.
    pub end: i64,
    /// Bytes of all its rows in memory and in the store, before those of equal keys are merged.
    pub bytes: u64,
    /// Of them those that are only in the store.
    pub stored_bytes: u64,
}

/// Layers of a pane that are to become one.
#[derive(Debug)]
pub struct LayerMerge {
    pub(crate) pane: i64,
    pub(crate) chosen: Vec<Layer>,
}

impl LayerMerge {
    /// Pieces that are not in memory; merging needs their rows.
    pub fn stored(&self) -> Vec<StoredPiece> {
        let stored = self.chosen.iter().filter(|layer| layer.batch.is_none());
        stored.map(|layer| StoredPiece { seal: layer.seal, pane: self.pane }).collect()
    }
}

/// The state of an operator whose snapshots are [layers](crate::StateShape::Layers).
///
/// `next_merge` and `merge` may run beside everything else, on a thread of their own; the others run alone.
pub trait LayeredState: Send + Sync {
    /// Bytes in memory that can leave it once the next snapshot is stored.
    fn can_leave(&self) -> u64;

    /// Lets rows of layers with a seal before `sealed_before` go until `bytes` are free, those that are needed last first. They must
    /// be stored. Gives the bytes freed.
    fn evict(&self, sealed_before: u64, bytes: u64) -> u64;

    /// Bytes that must come back before the operator advances to `watermark`.
    fn due_back(&self, watermark: Watermark) -> u64;

    /// The pieces that [`due_back`](Self::due_back) speaks of. From now on the operator counts on each of them being given to
    /// [`take_back`](Self::take_back) before it advances to `watermark`.
    fn recall(&self, watermark: Watermark) -> Vec<StoredPiece>;

    /// Takes rows of a recalled piece; those of other panes among them are left out. A piece may come in several parts.
    fn take_back(&self, piece: StoredPiece, rows: &[RecordBatch]) -> Result<()>;

    /// The first window that advancing to `watermark` releases, if it could be released in parts.
    fn due_window(&self, _watermark: Watermark) -> Option<DueWindow> {
        None
    }

    /// Begins to release the window in parts. Gives the stored pieces that each part needs, as far as they have rows of it.
    fn open_parts(&self, _due: DueWindow) -> Result<Vec<StoredPiece>> {
        Ok(Vec::new())
    }

    /// Takes those rows of a piece that belong to `part`; rows of other panes and parts among them are left out. `within`: there are no
    /// rows of other parts.
    fn take_into_part(&self, _piece: StoredPiece, _part: KeyPart, _within: bool, _rows: &[RecordBatch]) -> Result<()> {
        Ok(())
    }

    /// The rows of one part of the window.
    fn release_part(&self, _part: KeyPart) -> Result<Released> {
        Ok(Released::default())
    }

    /// All parts are released: the window is closed, and the watermark is its end.
    fn close_parts(&self) {}

    /// Layers that should be merged and take at most `bytes_max` together.
    fn next_merge(&self, bytes_max: u64) -> Option<LayerMerge>;

    /// Merges them; `stored` are the rows of all that [`LayerMerge::stored`] names. If some of the layers have gone meanwhile nothing
    /// changes.
    fn merge(&self, merge: &LayerMerge, stored: &[(StoredPiece, Vec<RecordBatch>)]) -> Result<()>;
}
