//! Which panes share a file, and pieces of stored layers read back.
//!
//! Neighbouring panes share a file until it has [`FILE_ROWS_MIN`] rows, so that small panes do not make thousands of objects, and
//! reading one pane back decodes little more than its own rows. A pane with more than [`FILE_ROWS_MAX`] rows has several files, so
//! that no more than that is decoded at a time. Where memory is limited, a large pane has a file for each part of its keys
//! ([`KeyPart`]), so that a window that closes part by part does not read every file for every part.

use std::collections::BTreeMap;

use datafusion::arrow::array::RecordBatch;
use millstream_checkpoint::{CheckpointError, StateFile};
use millstream_operators::{KeyPart, StateLayer, StoredPiece, key_columns, split_by_key};

use super::PipelineStore;
use super::state::{files_by_layer, memory_of_rows};
use crate::error::{Error, Result};

const FILE_ROWS_MIN: usize = 1 << 16;
const FILE_ROWS_MAX: usize = 1 << 20;

/// A pane that is just large is split into so many files, a larger one into more, but at most 32.
const PARTS_OF_LARGE: u64 = 8;
const PART_BITS_MAX: u8 = 5;

impl PipelineStore {
    /// The files that hold rows of a piece of the n-th operator in the newest checkpoint, and of which part of its keys; none if it is not in it any more.
    pub(crate) fn files_of(&self, operator: usize, piece: StoredPiece) -> Result<Vec<(StateFile, KeyPart)>> {
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
        Ok(files.map(|(layer, file)| (file, layer.part.unwrap_or(KeyPart::ALL))).collect())
    }

    /// The rows of a file of state.
    pub(crate) async fn read_rows(&self, file: &StateFile) -> Result<Vec<RecordBatch>> {
        Ok(self.retried(|| self.folder.read_state(file)).await?.batches)
    }

    /// Rows of a piece, and others; `None` if it has gone.
    pub(crate) async fn read_piece(&self, operator: usize, piece: StoredPiece) -> Result<Option<Vec<RecordBatch>>> {
        let mut rows = Vec::new();
        let files = self.files_of(operator, piece)?;
        for (file, _) in &files {
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

/// Rows of a layer that go into one file.
#[derive(Debug)]
pub(super) struct FileRows {
    pub(super) panes: Option<Vec<i64>>,
    pub(super) part: Option<KeyPart>,
    pub(super) batches: Vec<RecordBatch>,
}

/// The rows of a layer, file by file. Panes of at least `large` bytes are split by key.
pub(super) fn by_file(layer: &StateLayer, large: Option<u64>) -> Result<Vec<FileRows>> {
    let whole = |panes, batches| FileRows { panes, part: None, batches };
    let Some((panes, by_pane)) = layer.panes.as_ref().and_then(|panes| Some((panes, rows_by_pane(layer)?))) else {
        return Ok(vec![whole(layer.panes.clone(), layer.rows.clone())]);
    };
    let (mut small, mut files) = (Vec::new(), Vec::new());
    for &pane in panes {
        let batches = by_pane.get(&pane).map_or(&[][..], Vec::as_slice);
        let bytes: u64 = batches.iter().map(|batch| memory_of_rows(batch)).sum();
        let keys = batches.first().map_or(0..0, |batch| key_columns(batch.schema_ref()));
        match large {
            Some(large) if bytes >= large.max(1) && !keys.is_empty() => {
                files.extend(parts_of(pane, batches, bytes / (large / PARTS_OF_LARGE).max(1))?)
            }
            _ => small.push(pane),
        }
    }
    if !small.is_empty() || files.is_empty() {
        files.extend(shared_files(&small, &by_pane).into_iter().map(|(panes, batches)| whole(panes, batches)));
    }
    Ok(files)
}

/// One file a part of the keys of a pane.
fn parts_of(pane: i64, batches: &[&RecordBatch], parts: u64) -> Result<Vec<FileRows>> {
    let bits = KeyPart::bits_for(parts).min(PART_BITS_MAX);
    let mut files: Vec<FileRows> =
        KeyPart::of_bits(bits).map(|part| FileRows { panes: Some(vec![pane]), part: Some(part), batches: Vec::new() }).collect();
    for batch in batches {
        let split = split_by_key(batch, key_columns(batch.schema_ref()), bits).map_err(|error| Error::running(&error))?;
        for (part, rows) in split {
            files.iter_mut().filter(|file| file.part == Some(part)).for_each(|file| file.batches.push(rows.clone()));
        }
    }
    files.retain(|file| !file.batches.is_empty());
    Ok(files)
}

/// Files that neighbouring panes share.
fn shared_files(panes: &[i64], by_pane: &BTreeMap<i64, Vec<&RecordBatch>>) -> Vec<(Option<Vec<i64>>, Vec<RecordBatch>)> {
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

/// `None` if nobody says which pane a batch is of.
fn rows_by_pane(layer: &StateLayer) -> Option<BTreeMap<i64, Vec<&RecordBatch>>> {
    if layer.row_panes.len() != layer.rows.len() {
        return None;
    }
    let mut by_pane: BTreeMap<i64, Vec<&RecordBatch>> = BTreeMap::new();
    for (&pane, batch) in layer.row_panes.iter().zip(&layer.rows).filter(|(_, batch)| batch.num_rows() > 0) {
        by_pane.entry(pane).or_default().push(batch);
    }
    Some(by_pane)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Int64Array, TimestampMillisecondArray};

    use super::*;

    fn layer(rows: &[(i64, usize)]) -> StateLayer {
        let batch = |&(pane, rows): &(i64, usize)| {
            RecordBatch::try_from_iter([("pane_start", Arc::new(TimestampMillisecondArray::from(vec![pane; rows])) as _)]).unwrap()
        };
        let mut layer = StateLayer::of_panes(1);
        rows.iter().for_each(|rows| layer.add_pane(rows.0, Some(batch(rows))));
        layer
    }

    fn files(rows: &[(i64, usize)]) -> Vec<(Vec<i64>, usize)> {
        let files = by_file(&layer(rows), None).unwrap().into_iter();
        files.map(|file| (file.panes.unwrap(), file.batches.iter().map(RecordBatch::num_rows).sum())).collect()
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

    #[test]
    fn a_large_pane_has_a_file_for_each_part_of_its_keys() {
        let count = 5 * FILE_ROWS_MIN;
        let keys = Int64Array::from((0..i64::try_from(count).unwrap()).collect::<Vec<_>>());
        let starts = TimestampMillisecondArray::from(vec![7; count]);
        let rows = RecordBatch::try_from_iter([("pane_start", Arc::new(starts) as _), ("key_0_k", Arc::new(keys) as _)]).unwrap();
        let mut layer = StateLayer::of_panes(1);
        layer.add_pane(7, Some(rows));
        let files = by_file(&layer, Some(4 << 20)).unwrap();
        assert_eq!(files.len(), 16);
        let total: usize = files.iter().flat_map(|file| &file.batches).map(RecordBatch::num_rows).sum();
        assert_eq!(total, count);
        for file in &files {
            let part = file.part.unwrap();
            assert!(file.batches.iter().all(|rows| part.rows(rows, 1..2).unwrap().num_rows() == rows.num_rows()));
        }
        assert_eq!(by_file(&layer, Some(8 << 20)).unwrap().len(), 1);
    }
}
