//! Sealed layers of open panes, a log-structured merge tree of partial aggregates in miniature.
//!
//! A snapshot seals what the active tables hold into one layer a pane; a layer never changes, so it is stored once. Layers of
//! similar size are merged (O'Neil et al., "The log-structured merge-tree", 1996), which bounds both the number of layers and how
//! often a row is stored again. Once stored, the rows of a layer can leave memory, those of the panes that close last first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{Result, internal_err};

/// Layers of a pane before some are merged.
const LAYERS_MAX: usize = 4;

/// Fewer are not merged: a row would be written again too often.
const CHOSEN_MIN: usize = 3;

/// One sealed layer of one pane.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// The snapshot that contains it first.
    pub(crate) seal: u64,
    /// Rows of [`snapshot_schema`](crate::pane_aggregate::PaneAggregate::snapshot_schema), all with the same `pane_start`. `None`:
    /// only the store has them. All rows of a seal and pane are in memory, or none is.
    pub(crate) batch: Option<RecordBatch>,
    /// How many; of stored ones about.
    pub(crate) rows: usize,
    /// Memory that they take, or would.
    pub(crate) bytes: u64,
    /// Tells it from all others of the operator.
    number: u64,
}

/// The layers of all open panes.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    by_start: BTreeMap<i64, Vec<Layer>>,
    /// Number of the next snapshot: layers made before it carry it.
    pub(crate) next_seal: u64,
    next_number: u64,
}

impl Layers {
    /// Adds rows of the pane that starts at `start`; oldest layers come first.
    pub(crate) fn add(&mut self, start: i64, rows: RecordBatch) {
        let layer = self.layer(rows);
        self.by_start.entry(start).or_default().push(layer);
    }

    /// Adds what is only in the store, under the number `next_seal`.
    pub(crate) fn add_stored(&mut self, start: i64, rows: u64, bytes: u64) {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let seal = self.next_seal;
        let layers = self.by_start.entry(start).or_default();
        if let Some(same) = layers.iter_mut().find(|layer| layer.seal == seal && layer.batch.is_none()) {
            (same.rows, same.bytes) = (same.rows.saturating_add(rows), same.bytes.saturating_add(bytes));
            return;
        }
        self.next_number += 1;
        layers.push(Layer { seal, batch: None, rows, bytes, number: self.next_number });
    }

    /// Adds what a snapshot has sealed before; `rows` are `None` if only the store has them. What a seal has of a pane is in memory as a
    /// whole or not at all.
    pub(crate) fn add_sealed(&mut self, start: i64, seal: u64, batch: Option<RecordBatch>, (rows, bytes): (usize, u64)) {
        self.next_number += 2;
        let layers = self.by_start.entry(start).or_default();
        let place = layers.iter().position(|layer| layer.seal > seal).unwrap_or(layers.len());
        let is_stored = batch.is_none();
        layers.insert(place, Layer { seal, batch, rows, bytes, number: self.next_number - 1 });
        if is_stored || layers.iter().any(|layer| layer.seal == seal && layer.batch.is_none()) {
            forget_rows(layers, seal, self.next_number);
        }
    }

    /// Puts rows of a stored layer back into memory that was taken out.
    pub(crate) fn put_back(&mut self, start: i64, seal: u64, batch: RecordBatch) {
        self.next_number += 1;
        let number = self.next_number;
        let layers = self.by_start.entry(start).or_default();
        let place = layers.iter().position(|layer| layer.seal > seal).unwrap_or(layers.len());
        layers.insert(place, Layer { seal, rows: batch.num_rows(), bytes: bytes_of(&batch), batch: Some(batch), number });
    }

    /// The layers of a pane.
    pub(crate) fn of(&self, start: i64) -> &[Layer] {
        self.by_start.get(&start).map_or(&[], Vec::as_slice)
    }

    /// Forgets the layers of a pane.
    pub(crate) fn remove(&mut self, start: i64) {
        self.by_start.remove(&start);
    }

    /// Takes all layers of a pane out; those in the store must have been recalled before.
    pub(crate) fn take(&mut self, start: i64) -> Result<Vec<RecordBatch>> {
        let layers = self.by_start.remove(&start).unwrap_or_default();
        let take = |layer: Layer| match layer.batch {
            Some(batch) => Ok(batch),
            None => internal_err!("layer {} of pane {start} is needed and was not read back", layer.seal),
        };
        layers.into_iter().map(take).collect()
    }

    /// Lets the rows of stored layers go, of the last panes first, until `bytes` are free; gives the bytes freed. Those of the panes
    /// `kept` stay.
    pub(crate) fn evict(&mut self, sealed_before: u64, bytes: u64, kept: &[i64]) -> u64 {
        let mut freed = 0;
        for (_, layers) in self.by_start.iter_mut().rev().filter(|(start, _)| !kept.contains(start)) {
            let next = |layers: &[Layer]| {
                let mut here = layers.iter().filter(|layer| layer.batch.is_some() && layer.seal < sealed_before);
                here.next().map(|layer| layer.seal)
            };
            while freed < bytes
                && let Some(seal) = next(layers)
            {
                self.next_number += 1;
                freed += forget_rows(layers, seal, self.next_number);
            }
        }
        freed
    }

    /// Takes the layers of a pane out that are only in the store; their seals.
    pub(crate) fn take_stored(&mut self, start: i64) -> Vec<u64> {
        let Some(layers) = self.by_start.get_mut(&start) else { return Vec::new() };
        let seals = layers.iter().filter(|layer| layer.batch.is_none()).map(|layer| layer.seal).collect();
        layers.retain(|layer| layer.batch.is_some());
        if layers.is_empty() {
            self.by_start.remove(&start);
        }
        seals
    }

    /// Starts of the panes that have layers, ascending.
    pub(crate) fn starts(&self) -> impl Iterator<Item = i64> {
        self.by_start.keys().copied()
    }

    /// All layers by pane start.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Layer)> {
        self.by_start.iter().flat_map(|(&start, layers)| layers.iter().map(move |layer| (start, layer)))
    }

    /// The newest layers of a pane that has too many: those that are not much smaller than what would be merged with them, and at
    /// most `bytes_max` together.
    pub(crate) fn to_merge(&self, bytes_max: u64) -> Option<(i64, Vec<Layer>)> {
        let mut crowded: Vec<(i64, &Vec<Layer>)> =
            self.by_start.iter().map(|(&start, layers)| (start, layers)).filter(|(_, layers)| layers.len() > LAYERS_MAX).collect();
        crowded.sort_by_key(|(_, layers)| Reverse(layers.len()));
        crowded.into_iter().find_map(|(start, layers)| Some((start, newest_alike(layers, bytes_max)?.to_vec())))
    }

    /// Puts `merged` where the layers `chosen` were; false if some of them are gone (the window may have closed).
    pub(crate) fn replace(&mut self, start: i64, chosen: &[Layer], merged: RecordBatch) -> bool {
        let merged = self.layer(merged);
        let Some(layers) = self.by_start.get_mut(&start) else { return false };
        let Some(first) = layers.iter().position(|layer| layer.number == chosen[0].number) else { return false };
        let end = first + chosen.len();
        let same = layers.len() >= end && layers[first..end].iter().zip(chosen).all(|(now, then)| now.number == then.number);
        if same {
            layers.splice(first..end, [merged]);
        }
        same
    }

    fn layer(&mut self, batch: RecordBatch) -> Layer {
        self.next_number += 1;
        Layer { seal: self.next_seal, rows: batch.num_rows(), bytes: bytes_of(&batch), batch: Some(batch), number: self.next_number }
    }
}

fn bytes_of(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| column.get_array_memory_size() as u64).sum()
}

/// What one seal has of a pane, by all partitions, becomes one layer without rows. A merge that has chosen them finds another number.
fn forget_rows(layers: &mut Vec<Layer>, seal: u64, number: u64) -> u64 {
    let mut gone = Layer { seal, batch: None, rows: 0, bytes: 0, number };
    let mut freed = 0;
    for layer in layers.iter().filter(|layer| layer.seal == seal) {
        gone.rows = gone.rows.saturating_add(layer.rows);
        gone.bytes += layer.bytes;
        freed += if layer.batch.is_some() { layer.bytes } else { 0 };
    }
    let Some(first) = layers.iter().position(|layer| layer.seal == seal) else { return 0 };
    layers[first] = gone;
    let mut place = 0;
    layers.retain(|layer| {
        place += 1;
        place - 1 == first || layer.seal != seal
    });
    freed
}

/// The end of `layers` that is worth merging.
fn newest_alike(layers: &[Layer], bytes_max: u64) -> Option<&[Layer]> {
    let mut first = layers.len().checked_sub(1)?;
    let (mut rows, mut bytes) = (layers[first].rows, layers[first].bytes);
    while first > 0 && (layers[first - 1].rows <= rows.saturating_mul(2) || layers.len() - first < CHOSEN_MIN) {
        if bytes + layers[first - 1].bytes > bytes_max {
            break;
        }
        first -= 1;
        rows = rows.saturating_add(layers[first].rows);
        bytes += layers[first].bytes;
    }
    // What is stored under one number stays or goes as a whole.
    while let Some(earlier) = layers[..first].iter().position(|old| layers[first..].iter().any(|chosen| chosen.seal == old.seal)) {
        first = earlier;
    }
    let chosen = &layers[first..];
    let bytes: u64 = chosen.iter().map(|layer| layer.bytes).sum();
    (chosen.len() >= CHOSEN_MIN && bytes <= bytes_max).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::Int64Array;

    use super::*;

    fn rows(count: usize) -> RecordBatch {
        let column = Arc::new(Int64Array::from(vec![0; count]));
        RecordBatch::try_from_iter([("pane_start", column as _)]).unwrap()
    }

    fn sizes(layers: &Layers) -> Vec<usize> {
        layers.iter().map(|(_, layer)| layer.rows).collect()
    }

    #[test]
    fn equal_layers_are_merged_and_a_large_old_one_stays() {
        let mut layers = Layers::default();
        layers.add(0, rows(10_000));
        layers.next_seal = 1;
        (0..LAYERS_MAX).for_each(|_| layers.add(0, rows(10)));
        let (start, chosen) = layers.to_merge(u64::MAX).unwrap();
        assert_eq!((start, chosen.len()), (0, LAYERS_MAX));
        assert!(layers.replace(start, &chosen, rows(10)));
        assert_eq!(sizes(&layers), [10_000, 10]);
        assert!(layers.to_merge(u64::MAX).is_none());
    }

    #[test]
    fn a_merge_of_layers_that_are_gone_changes_nothing() {
        let mut layers = Layers::default();
        (0..=LAYERS_MAX).for_each(|_| layers.add(0, rows(1)));
        let (start, chosen) = layers.to_merge(u64::MAX).unwrap();
        layers.take(0).unwrap();
        layers.add(0, rows(5));
        assert!(!layers.replace(start, &chosen, rows(1)));
        assert_eq!(sizes(&layers), [5]);
    }

    #[test]
    fn layers_of_one_seal_are_merged_together_or_not_at_all() {
        let mut layers = Layers { next_seal: 3, ..Layers::default() };
        layers.add(0, rows(10_000));
        layers.add(0, rows(10));
        layers.next_seal = 4;
        (0..LAYERS_MAX).for_each(|_| layers.add(0, rows(10)));
        let (_, chosen) = layers.to_merge(u64::MAX).unwrap();
        assert_eq!(chosen.len(), LAYERS_MAX + 2);
    }

    #[test]
    fn the_number_of_layers_stays_small_however_many_come() {
        let mut layers = Layers::default();
        for seal in 0..1000 {
            layers.next_seal = seal;
            layers.add(0, rows(7));
            while let Some((start, chosen)) = layers.to_merge(u64::MAX) {
                let all = chosen.iter().map(|layer| layer.rows).sum();
                assert!(layers.replace(start, &chosen, rows(all)));
            }
            assert!(sizes(&layers).len() <= LAYERS_MAX);
        }
        assert_eq!(sizes(&layers).iter().sum::<usize>(), 7000);
    }

    #[test]
    fn the_panes_that_close_last_leave_first_and_come_back_as_pieces() {
        let mut layers = Layers { next_seal: 1, ..Layers::default() };
        for pane in [0, 10, 20] {
            layers.add(pane, rows(100));
            layers.add(pane, rows(50)); // of another partition
        }
        layers.next_seal = 2;
        layers.add(20, rows(7));
        let bytes = |layers: &Layers| layers.iter().filter(|(_, layer)| layer.batch.is_some()).map(|(_, layer)| layer.bytes).sum::<u64>();
        let before = bytes(&layers);
        let freed = layers.evict(2, 1, &[]);
        assert_eq!((freed > 0, bytes(&layers)), (true, before - freed));
        let stored = |layers: &Layers| {
            let stored = layers.iter().filter(|(_, layer)| layer.batch.is_none());
            stored.map(|(start, layer)| (start, layer.seal, layer.rows)).collect::<Vec<_>>()
        };
        assert_eq!(stored(&layers), [(20, 1, 150)], "a seal and pane leaves as a whole");
        layers.evict(2, u64::MAX, &[]);
        assert_eq!(stored(&layers), [(0, 1, 150), (10, 1, 150), (20, 1, 150)]);
        assert_eq!(layers.evict(2, u64::MAX, &[]), 0, "what is not stored yet stays");
        assert!(layers.take(20).unwrap_err().to_string().contains("was not read back"));
        assert_eq!(layers.take_stored(10), [1]);
        assert_eq!(layers.starts().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn a_merge_of_layers_that_have_left_meanwhile_changes_nothing() {
        let mut layers = Layers::default();
        (0..=LAYERS_MAX as u64).for_each(|seal| {
            layers.next_seal = seal;
            layers.add(0, rows(1));
        });
        let (start, chosen) = layers.to_merge(u64::MAX).unwrap();
        layers.evict(1, u64::MAX, &[]);
        assert!(!layers.replace(start, &chosen, rows(5)));
        let (start, chosen) = layers.to_merge(u64::MAX).unwrap();
        assert!(chosen[0].batch.is_none());
        assert!(layers.replace(start, &chosen, rows(5)));
        assert_eq!(sizes(&layers), [5]);
    }

    #[test]
    fn merges_stay_small_and_the_number_of_layers_too() {
        let mut layers = Layers::default();
        let one = {
            let mut one = Layers::default();
            one.add(0, rows(100));
            one.iter().map(|(_, layer)| layer.bytes).sum::<u64>()
        };
        for seal in 0..1000 {
            layers.next_seal = seal;
            layers.add(0, rows(100));
            layers.evict(seal, u64::MAX, &[]);
            while let Some((start, chosen)) = layers.to_merge(one * 20) {
                assert!(chosen.iter().map(|layer| layer.bytes).sum::<u64>() <= one * 20);
                assert!(layers.replace(start, &chosen, rows(chosen.iter().map(|layer| layer.rows).sum())));
            }
        }
        assert_eq!(sizes(&layers).iter().sum::<usize>(), 100_000);
        assert!(sizes(&layers).len() <= 200, "{:?}", sizes(&layers).len());
    }
}
