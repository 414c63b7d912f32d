//! Sealed layers of open panes, a log-structured merge tree of partial aggregates in miniature.
//!
//! A snapshot seals what the active tables hold into one layer a pane; a layer never changes, so it is stored once. Layers of
//! similar size are merged (O'Neil et al., "The log-structured merge-tree", 1996), which bounds both the number of layers and how
//! often a row is stored again.

use std::collections::BTreeMap;

use datafusion::arrow::array::RecordBatch;

/// Layers of a pane before some are merged.
const LAYERS_MAX: usize = 4;

/// One sealed layer of one pane.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// The snapshot that contains it first.
    pub(crate) seal: u64,
    /// Rows of [`snapshot_schema`](crate::pane_aggregate::PaneAggregate::snapshot_schema), all with the same `pane_start`.
    pub(crate) rows: RecordBatch,
    /// Memory it holds.
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

    /// Takes all layers of a pane out.
    pub(crate) fn take(&mut self, start: i64) -> Vec<RecordBatch> {
        self.by_start.remove(&start).unwrap_or_default().into_iter().map(|layer| layer.rows).collect()
    }

    /// Starts of the panes that have layers, ascending.
    pub(crate) fn starts(&self) -> impl Iterator<Item = i64> {
        self.by_start.keys().copied()
    }

    /// All layers by pane start.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Layer)> {
        self.by_start.iter().flat_map(|(&start, layers)| layers.iter().map(move |layer| (start, layer)))
    }

    /// The newest layers of a pane that has too many: those that are not much smaller than what would be merged with them.
    pub(crate) fn to_merge(&self) -> Option<(i64, Vec<Layer>)> {
        let (&start, layers) = self.by_start.iter().max_by_key(|(_, layers)| layers.len())?;
        if layers.len() <= LAYERS_MAX {
            return None;
        }
        let mut first = layers.len() - 1;
        let mut rows = layers[first].rows.num_rows();
        while first > 0 && (layers[first - 1].rows.num_rows() <= 2 * rows || layers.len() - first < 3) {
            first -= 1;
            rows += layers[first].rows.num_rows();
        }
        // What is stored under one number stays or goes as a whole.
        while let Some(earlier) = layers[..first].iter().position(|old| layers[first..].iter().any(|chosen| chosen.seal == old.seal)) {
            first = earlier;
        }
        Some((start, layers[first..].to_vec()))
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

    fn layer(&mut self, rows: RecordBatch) -> Layer {
        self.next_number += 1;
        let bytes = rows.columns().iter().map(|column| column.get_array_memory_size() as u64).sum();
        Layer { seal: self.next_seal, rows, bytes, number: self.next_number }
    }
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
        layers.iter().map(|(_, layer)| layer.rows.num_rows()).collect()
    }

    #[test]
    fn equal_layers_are_merged_and_a_large_old_one_stays() {
        let mut layers = Layers::default();
        layers.add(0, rows(10_000));
        layers.next_seal = 1;
        (0..LAYERS_MAX).for_each(|_| layers.add(0, rows(10)));
        let (start, chosen) = layers.to_merge().unwrap();
        assert_eq!((start, chosen.len()), (0, LAYERS_MAX));
        assert!(layers.replace(start, &chosen, rows(10)));
        assert_eq!(sizes(&layers), [10_000, 10]);
        assert!(layers.to_merge().is_none());
    }

    #[test]
    fn a_merge_of_layers_that_are_gone_changes_nothing() {
        let mut layers = Layers::default();
        (0..=LAYERS_MAX).for_each(|_| layers.add(0, rows(1)));
        let (start, chosen) = layers.to_merge().unwrap();
        layers.take(0);
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
        let (_, chosen) = layers.to_merge().unwrap();
        assert_eq!(chosen.len(), LAYERS_MAX + 2);
    }

    #[test]
    fn the_number_of_layers_stays_small_however_many_come() {
        let mut layers = Layers::default();
        for seal in 0..1000 {
            layers.next_seal = seal;
            layers.add(0, rows(7));
            while let Some((start, chosen)) = layers.to_merge() {
                let all = chosen.iter().map(|layer| layer.rows.num_rows()).sum();
                assert!(layers.replace(start, &chosen, rows(all)));
            }
            assert!(sizes(&layers).len() <= LAYERS_MAX);
        }
        assert_eq!(sizes(&layers).iter().sum::<usize>(), 7000);
    }
}
