//! Which panes share a file, and pieces of stored layers read back.
//!
//! Neighbouring panes share a file until it has [`FILE_ROWS_MIN`] rows, so that small panes do not make thousands of objects, and
//! reading one pane back decodes little more than its own rows. A pane with more than [`FILE_ROWS_MAX`] rows has several files, so
//! that no more than that is decoded at a time.

use std::collections::BTreeMap;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::TimestampMillisecondType;
use millstream_checkpoint::{CheckpointError, StateFile};
use millstream_operators::{StateLayer, StoredPiece};

use super::PipelineStore;
use super::state::files_by_layer;
use crate::error::{Error, Result};

const FILE_ROWS_MIN: usize = 1 << 16;
const FILE_ROWS_MAX: usize = 1 << 20;

impl PipelineStore {
    /// The files that hold rows of a piece of the n-th operator in the newest checkpoint; none if it is not in it any more.
    pub(crate) fn files_of(&self, operator: usize, piece: StoredPiece) -> Result<Vec<StateFile>> {
        let (identity, manifest) = {
            let known = self.known.lock();
            (known.identity.clone(), known.manifest.clone())
        };
        let (Some(identity), Some(manifest)) = (identity, manifest) else {
            return Err(Error::internal("state is read back before the pipeline is claimed"));
        };
        let id = identity.operators.get(operator);
        let Some(state) = manifest.operators.iter().find(|state| Some(&state.id) == id) else { return Ok(Vec::new()) };
        let files = files_by_layer(state)?
            .into_iter()
            .filter(|(layer, _)| layer.seal == piece.seal && layer.panes.as_ref().is_some_and(|panes| panes.contains(&piece.pane)));
        Ok(files.map(|(_, file)| file).collect())
    }

    /// The rows of a file of state.
    pub(crate) async fn read_rows(&self, file: &StateFile) -> Result<Vec<RecordBatch>> {
        Ok(self.retried(|| self.folder.read_state(file)).await?.batches)
    }

    /// Rows of a piece, and others; `None` if it has gone.
    pub(crate) async fn read_piece(&self, operator: usize, piece: StoredPiece) -> Result<Option<Vec<RecordBatch>>> {
        let mut rows = Vec::new();
        let files = self.files_of(operator, piece)?;
        for file in &files {
            match self.retried(|| self.folder.read_state(file)).await {
                Ok(read) => rows.extend(read.batches),
                // It went with a checkpoint that does not need it any more.
                Err(CheckpointError::Missing { .. }) if self.files_of(operator, piece)?.is_empty() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok((!files.is_empty()).then_some(rows))
    }
}

/// The rows of a layer, file by file, with the panes that each has.
pub(super) fn by_file(layer: &StateLayer) -> Vec<(Option<Vec<i64>>, Vec<RecordBatch>)> {
    let Some((panes, by_pane)) = layer.panes.as_ref().and_then(|panes| Some((panes, rows_by_pane(&layer.rows)?))) else {
        return vec![(layer.panes.clone(), layer.rows.clone())];
    };
    let mut files = Vec::new();
    let (mut shared, mut batches, mut rows) = (Vec::new(), Vec::new(), 0);
    for &pane in panes {
        shared.push(pane);
        for batch in by_pane.get(&pane).into_iter().flatten() {
            let mut from = 0;
            while from < batch.num_rows() {
                let part = (FILE_ROWS_MAX - rows).min(batch.num_rows() - from);
                batches.push(batch.slice(from, part));
                (from, rows) = (from + part, rows + part);
                if rows == FILE_ROWS_MAX {
                    files.push((Some(std::mem::replace(&mut shared, vec![pane])), std::mem::take(&mut batches)));
                    rows = 0;
                }
            }
        }
        if rows >= FILE_ROWS_MIN {
            files.push((Some(std::mem::take(&mut shared)), std::mem::take(&mut batches)));
            rows = 0;
        }
    }
    if !batches.is_empty() || files.is_empty() {
        files.push((Some(shared), batches));
    } else if let Some((Some(last), _)) = files.last_mut() {
        // Panes without rows: they are in no file, but no pane may be lost.
        last.extend(shared.into_iter().filter(|pane| !last.contains(pane)).collect::<Vec<_>>());
    }
    files
}

/// `None` if the first column is no pane start, or a batch has rows of several panes.
fn rows_by_pane(batches: &[RecordBatch]) -> Option<BTreeMap<i64, Vec<&RecordBatch>>> {
    let mut by_pane: BTreeMap<i64, Vec<&RecordBatch>> = BTreeMap::new();
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        let starts = batch.columns().first()?.as_primitive_opt::<TimestampMillisecondType>()?.values();
        let (first, last) = (starts.first()?, starts.last()?);
        if first != last {
            return None;
        }
        by_pane.entry(*first).or_default().push(batch);
    }
    Some(by_pane)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::TimestampMillisecondArray;

    use super::*;

    fn layer(rows: &[(i64, usize)]) -> StateLayer {
        let batch = |&(pane, rows): &(i64, usize)| {
            RecordBatch::try_from_iter([("pane_start", Arc::new(TimestampMillisecondArray::from(vec![pane; rows])) as _)]).unwrap()
        };
        let mut panes: Vec<i64> = rows.iter().map(|(pane, _)| *pane).collect();
        panes.dedup();
        StateLayer { seal: 1, panes: Some(panes), rows: rows.iter().map(batch).collect(), stored: None }
    }

    fn files(rows: &[(i64, usize)]) -> Vec<(Vec<i64>, usize)> {
        let files = by_file(&layer(rows)).into_iter();
        files.map(|(panes, batches)| (panes.unwrap(), batches.iter().map(RecordBatch::num_rows).sum())).collect()
    }

    #[test]
    fn small_panes_share_files_and_large_ones_have_several() {
        assert_eq!(files(&[(1, 10), (1, 5), (2, 7)]), [(vec![1, 2], 22)]);
        let large = FILE_ROWS_MIN;
        assert_eq!(files(&[(1, large), (2, 7), (3, 7), (4, large), (5, 1)]), [(vec![1], large), (vec![2, 3, 4], large + 14), (vec![5], 1)]);
        assert_eq!(files(&[(1, 10), (2, FILE_ROWS_MAX), (2, large)]), [(vec![1, 2], FILE_ROWS_MAX), (vec![2], large + 10)]);
        assert_eq!(files(&[(1, FILE_ROWS_MAX)]), [(vec![1], FILE_ROWS_MAX)]);
        assert_eq!(files(&[(1, large), (2, 0)]), [(vec![1, 2], large)]);
        assert_eq!(files(&[(1, 0)]), [(vec![1], 0)]);
    }
}
