//! A pipeline's state as files and JSON, and back.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use millstream_checkpoint::{FileKind, FileName, Head, Look, Manifest, OperatorState, PipelineOwner, StateFile, StateRows, state_file};
use millstream_connectors::Sealed;
use millstream_operators::operator::{OperatorMetrics, OperatorSnapshot, StateLayer, StateShape};
use millstream_time::Watermark;
use serde::{Deserialize, Serialize};

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
struct StoredDetail {
    metrics: OperatorMetrics,
    next_seal: u64,
    /// One a file.
    layers: Vec<StoredLayer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredLayer {
    seal: u64,
    panes: Option<Vec<i64>>,
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
        let stored = base.and_then(|manifest| manifest.operators.iter().find(|state| state.id == id));
        let stored: Vec<(u64, StateFile)> = match stored {
            Some(state) => {
                let detail: StoredDetail = from_json(&state.detail, "state of an operator")?;
                detail.layers.iter().map(|layer| layer.seal).zip(state.files.iter().cloned()).collect()
            }
            None => Vec::new(),
        };
        let (mut files, mut layers, mut bytes_new) = (Vec::new(), Vec::new(), 0);
        for (part, layer) in snapshot.layers.iter().enumerate() {
            layers.push(StoredLayer { seal: layer.seal, panes: layer.panes.clone() });
            if let Some((_, file)) = stored.iter().find(|(seal, _)| *seal == layer.seal) {
                files.push(file.clone());
                continue;
            }
            let Some(first) = layer.rows.first() else {
                return Err(Error::internal(format!("layer {} of {id} is in no file and has no rows", layer.seal)));
            };
            let name = owner.new_file(FileKind::State, id, u32::try_from(part).unwrap_or(u32::MAX), new_nonce(), "parquet")?;
            let rows = with_unique_names(&first.schema(), &layer.rows)?;
            let file = self.write_file(name, rows).await?;
            bytes_new += file.bytes;
            files.push(file);
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

    /// `None`: it was taken over before its first checkpoint.
    pub(super) async fn restored(&self, manifest: &Manifest) -> Result<Option<Restored>> {
        if manifest.inputs.is_null() {
            return Ok(None);
        }
        let inputs: StoredInputs = from_json(&manifest.inputs, "positions")?;
        let mut operators = Vec::new();
        for state in &manifest.operators {
            operators.push(self.read_operator(state).await?);
        }
        Ok(Some(Restored { number: 0, positions: inputs.positions, operators, finished: inputs.finished }))
    }

    async fn read_operator(&self, state: &OperatorState) -> Result<OperatorSnapshot> {
        let detail: StoredDetail = from_json(&state.detail, "state of an operator")?;
        let mut layers = Vec::new();
        for (layer, file) in detail.layers.into_iter().zip(&state.files) {
            let rows = self.retried(|| self.folder.read_state(file)).await?.batches;
            layers.push(StateLayer { seal: layer.seal, panes: layer.panes, rows });
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
