//! A pipeline's state as files and JSON, and back.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use millstream_checkpoint::{
    FileKind, FileName, Head, KeptFiles, Look, Manifest, OperatorState, PipelineOwner, StateFile, StateRows, state_file,
};
use millstream_connectors::Sealed;
use millstream_operators::KeyPart;
use millstream_operators::operator::{OperatorMetrics, OperatorSnapshot, StateLayer, StateShape, StoredRows};
use millstream_time::Watermark;
use serde::{Deserialize, Serialize};

use super::pieces::{self, FileRows};
use super::{PipelineStore, SINK, from_json, to_json};
use crate::checkpoint::Restored;
use crate::data_folder::new_nonce;
use crate::error::{Error, Result};
use crate::input::InputPositions;

/// `inputs` of a manifest.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredInputs {
    pub(super) positions: InputPositions,
    pub(super) finished: bool,
}

/// `detail` of an operator in a manifest.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredDetail {
    metrics: OperatorMetrics,
    next_seal: u64,
    /// One a file.
    pub(super) layers: Vec<StoredLayer>,
}

/// A file: what one seal has of some panes. Panes are in files of their own where they have many rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredLayer {
    pub(super) seal: u64,
    pub(super) panes: Option<Vec<i64>>,
    /// What the rows take in memory, about; 0: unknown.
    #[serde(default)]
    bytes: u64,
    /// Of which keys its rows are; `None`: of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<KeyPart>,
}

impl StoredLayer {
    /// The same file for the panes that are left; `None` if none is.
    fn left(&self, panes: Option<&[i64]>) -> Option<Self> {
        let panes = match (&self.panes, panes) {
            (Some(had), Some(left)) => Some(had.iter().copied().filter(|pane| left.contains(pane)).collect()),
            (_, left) => left.map(<[i64]>::to_vec),
        };
        (panes.as_ref().is_none_or(|panes: &Vec<i64>| !panes.is_empty())).then(|| Self { panes, ..self.clone() })
    }
}

impl PipelineStore {
    /// Files of one operator: layers that are stored are named again, the others are written. Also gives the bytes written.
    pub(super) async fn write_operator(
        &self,
        owner: &PipelineOwner,
        id: &str,
        snapshot: &OperatorSnapshot,
        base: Option<&Manifest>,
    ) -> Result<(OperatorState, u64)> {
        let stored: Vec<(StoredLayer, StateFile)> = match base.and_then(|manifest| manifest.operators.iter().find(|state| state.id == id)) {
            Some(state) => files_by_layer(state)?,
            None => Vec::new(),
        };
        let (mut files, mut layers, mut bytes_new) = (Vec::new(), Vec::new(), 0);
        for layer in &snapshot.layers {
            let known: Vec<&(StoredLayer, StateFile)> = stored.iter().filter(|(known, _)| known.seal == layer.seal).collect();
            for (known, file) in &known {
                if let Some(left) = known.left(layer.panes.as_deref()) {
                    layers.push(left);
                    files.push(file.clone());
                }
            }
            if !known.is_empty() {
                continue;
            }
            if layer.rows.is_empty() {
                return Err(Error::internal(format!("layer {} of {id} is in no file and has no rows", layer.seal)));
            }
            let (split, large) = (layer.clone(), self.large_pane);
            let by_file = self.blocking.run("splitting a checkpoint into files", move || pieces::by_file(&split, large)).await??;
            for FileRows { panes, part: keys, batches } in by_file {
                let part = u32::try_from(files.len()).unwrap_or(u32::MAX);
                let name = owner.new_file(FileKind::State, id, part, new_nonce(), "parquet")?;
                let bytes = batches.iter().map(memory_of_rows).sum();
                let rows = with_unique_names(&layer.rows[0].schema(), &batches)?;
                let file = self.write_file(name, rows).await?;
                bytes_new += file.bytes;
                layers.push(StoredLayer { seal: layer.seal, panes, bytes, part: keys });
                files.push(file);
            }
        }
        let detail = StoredDetail { metrics: snapshot.metrics, next_seal: snapshot.next_seal, layers };
        let shape = match snapshot.shape {
            StateShape::Layers => millstream_checkpoint::StateShape::Layers,
            StateShape::Buffer => millstream_checkpoint::StateShape::Buffer,
            StateShape::Keyed => millstream_checkpoint::StateShape::Keyed,
        };
        Ok((OperatorState { id: id.to_owned(), shape, watermark: snapshot.watermark.as_ms(), detail: to_json(&detail)?, files }, bytes_new))
    }

    /// Rows that the checkpoint keeps for its sink.
    pub(super) async fn write_staged(&self, owner: &PipelineOwner, batches: &[RecordBatch]) -> Result<Vec<StateFile>> {
        let Some(first) = batches.first() else { return Ok(Vec::new()) };
        let name = owner.new_file(FileKind::Staged, SINK, 0, new_nonce(), "parquet")?;
        let rows = StateRows { schema: first.schema(), batches: batches.to_vec() };
        Ok(vec![self.write_file(name, rows).await?])
    }

    /// Encodes rows on a thread of their own and creates their file, however often that takes.
    async fn write_file(&self, name: FileName, rows: StateRows) -> Result<StateFile> {
        let encoded = self.blocking.run("encoding rows of a checkpoint", move || state_file::encode(&name, &rows)).await??;
        for attempt in 0.. {
            match self.folder.create_file(&encoded).await {
                Ok(()) => break,
                Err(error) if error.is_transient() => self.wait_after(attempt, &error).await,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(encoded.file)
    }

    /// The newest checkpoint, if it is whole and not marked as published, and what its sink has sealed.
    pub(super) async fn unpublished(&self, look: &Look) -> Result<Option<(u64, Option<Sealed>)>> {
        let Head::Entry(stored) = &look.head else { return Ok(None) };
        if look.committed || look.damage.is_some() {
            return Ok(None);
        }
        let Some(sink) = stored.entry.body.sinks.first() else { return Ok(Some((stored.entry.number, None))) };
        let mut sealed: Sealed = from_json(&sink.sealed, "sealed rows")?;
        for file in &sink.staged {
            sealed.staged.extend(self.retried(|| self.folder.read_state(file)).await?.batches);
        }
        Ok(Some((stored.entry.number, Some(sealed))))
    }

    /// `None`: it was taken over before its first checkpoint. Files among `kept` are not read again.
    pub(super) async fn restored(&self, manifest: &Manifest, room: u64, kept: &mut KeptFiles) -> Result<Option<Restored>> {
        if manifest.inputs.is_null() {
            return Ok(None);
        }
        let inputs: StoredInputs = from_json(&manifest.inputs, "positions")?;
        let mut bytes: u64 = 0;
        for state in &manifest.operators {
            bytes += files_by_layer(state)?.iter().map(|(layer, file)| memory_of(layer, file)).sum::<u64>();
        }
        let mut operators = Vec::new();
        for state in &manifest.operators {
            operators.push(self.read_operator(state, bytes <= room, kept).await?);
        }
        Ok(Some(Restored { number: 0, positions: inputs.positions, operators, finished: inputs.finished }))
    }

    /// `fits`: all state does. Otherwise layers whose panes are known stay where they are.
    async fn read_operator(&self, state: &OperatorState, fits: bool, kept: &mut KeptFiles) -> Result<OperatorSnapshot> {
        let detail: StoredDetail = from_json(&state.detail, "state of an operator")?;
        let mut layers = Vec::new();
        for (layer, file) in detail.layers.into_iter().zip(&state.files) {
            let (mut rows, mut stored) = (Vec::new(), None);
            if fits || layer.panes.is_none() {
                rows = match kept.take(file)? {
                    Some(rows) => rows.batches,
                    None => self.read_rows(file).await?,
                };
            } else {
                stored = Some(StoredRows { rows: file.rows, bytes: memory_of(&layer, file) });
            }
            layers.push(StateLayer { seal: layer.seal, panes: layer.panes, rows, row_panes: Vec::new(), stored });
        }
        let shape = match state.shape {
            millstream_checkpoint::StateShape::Layers => StateShape::Layers,
            millstream_checkpoint::StateShape::Buffer => StateShape::Buffer,
            _ => StateShape::Keyed,
        };
        let watermark = Watermark::from_ms(state.watermark);
        Ok(OperatorSnapshot { watermark, metrics: detail.metrics, shape, layers, next_seal: detail.next_seal })
    }
}

/// An operator's files, and which layer each is.
pub(super) fn files_by_layer(state: &OperatorState) -> Result<Vec<(StoredLayer, StateFile)>> {
    let detail: StoredDetail = from_json(&state.detail, "state of an operator")?;
    Ok(detail.layers.into_iter().zip(state.files.iter().cloned()).collect())
}

/// Bytes of the rows, without those beside them in the same buffers.
pub(super) fn memory_of_rows(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_default() as u64).sum()
}

/// Bytes that the rows of a file take in memory; a guess if nobody noted it.
fn memory_of(layer: &StoredLayer, file: &StateFile) -> u64 {
    if layer.bytes > 0 { layer.bytes } else { file.bytes.saturating_mul(3) }
}

/// The rows of a layer under names that occur once, so that any reader of Parquet can tell columns apart.
fn with_unique_names(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<StateRows> {
    let mut taken = std::collections::HashSet::new();
    let unique = |field: &Arc<Field>| {
        let mut name = field.name().clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            name = format!("{}_{number}", field.name());
        }
        // Layers of one state differ in nullability.
        Arc::new(field.as_ref().clone().with_name(name).with_nullable(true))
    };
    let schema: SchemaRef = Arc::new(Schema::new(schema.fields().iter().map(unique).collect::<Vec<_>>()));
    let renamed = batches.iter().map(|batch| {
        let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options)
    });
    let batches = renamed.collect::<Result<_, _>>().map_err(|error| Error::internal(format!("layers of a state differ: {error}")))?;
    Ok(StateRows { schema, batches })
}
