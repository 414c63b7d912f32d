//! Rows that are sealed and not published: durable objects beside the log, or memory.
//!
//! ```text
//!   tables/<id>/staged/<pipeline>-<checkpoint>-<nonce>.arrow     Arrow IPC stream; its hash is in the checkpoint's manifest
//! ```

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use millstream_checkpoint::{Backoff, CheckpointError, Digest, Folder};
use millstream_time::Clock;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::origin::Origin;
use crate::data_folder::new_nonce;
use crate::error::{Error, Result};

/// Where sealed rows wait.
#[derive(Debug)]
pub(super) enum Staging {
    Memory(Mutex<BTreeMap<(String, u64), Vec<RecordBatch>>>),
    Folder { folder: Folder, clock: Arc<dyn Clock> },
}

/// Which object holds them; goes into the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Staged {
    /// `None`: in memory.
    file: Option<StagedFile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StagedFile {
    name: String,
    bytes: u64,
    sha256: Digest,
}

impl Staging {
    pub(super) fn memory() -> Self {
        Self::Memory(Mutex::default())
    }

    pub(super) fn folder(folder: Folder, clock: Arc<dyn Clock>) -> Self {
        Self::Folder { folder, clock }
    }

    /// Makes rows durable (with a data folder) without showing them.
    pub(super) async fn put(&self, origin: &Origin, schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<Staged> {
        match self {
            Self::Memory(sealed) => {
                sealed.lock().insert((origin.pipeline.clone(), origin.checkpoint), batches);
                Ok(Staged { file: None })
            }
            Self::Folder { folder, clock } => {
                let bytes = encode(schema, &batches).map_err(|error| Error::user("0A000", format!("rows cannot be stored: {error}")))?;
                let name = format!("{}-{:020}-{}.arrow", origin.pipeline, origin.checkpoint, new_nonce().0);
                let file = StagedFile { name, bytes: bytes.len() as u64, sha256: Digest::of(&bytes) };
                let bytes = bytes::Bytes::from(bytes);
                for attempt in 0.. {
                    match folder.create(&file.name, bytes.clone()).await {
                        Err(error) if error.is_transient() => pause(clock.as_ref(), attempt, &file.name, &error).await,
                        // Nobody else makes this name: if it exists, it is ours.
                        created => {
                            created?;
                            break;
                        }
                    }
                }
                Ok(Staged { file: Some(file) })
            }
        }
    }

    /// The rows again, checked.
    pub(super) async fn get(&self, origin: &Origin, staged: &Staged) -> Result<Vec<RecordBatch>> {
        let lost = |what: String| {
            Error::user("XX001", format!("rows of checkpoint {} of pipeline {}: {what}", origin.checkpoint, origin.pipeline))
        };
        match (self, &staged.file) {
            (Self::Folder { folder, .. }, Some(file)) => {
                let bytes = folder.read(&file.name).await?;
                let found = Digest::of(&bytes);
                if found != file.sha256 {
                    return Err(lost(format!("'{}' is damaged: its hash should be {} and is {found}", file.name, file.sha256)));
                }
                let batches = StreamReader::try_new(Cursor::new(bytes), None).and_then(Iterator::collect);
                batches.map_err(|error| lost(format!("'{}' cannot be read: {error}", file.name)))
            }
            (Self::Memory(sealed), None) => {
                let sealed = sealed.lock();
                let key = (origin.pipeline.clone(), origin.checkpoint);
                sealed.get(&key).cloned().ok_or_else(|| lost("they were not sealed here".to_owned()))
            }
            _ => Err(lost("they are kept in another kind of place".to_owned())),
        }
    }

    /// The rows are in the log.
    pub(super) async fn remove(&self, origin: &Origin, staged: &Staged) {
        match (self, &staged.file) {
            (Self::Folder { folder, .. }, Some(file)) => {
                if let Err(error) = folder.delete(&file.name).await {
                    tracing::warn!(file = file.name, %error, "published rows are not deleted from where they waited");
                }
            }
            (Self::Memory(sealed), _) => drop(sealed.lock().remove(&(origin.pipeline.clone(), origin.checkpoint))),
            _ => {}
        }
    }

    /// Removes what a pipeline has sealed before `next` in an earlier life and no checkpoint names. Nothing of it may wait for
    /// publication. Later ones may be of another process, which has taken over from this one.
    pub(super) async fn sweep(&self, next: &Origin) -> Result<()> {
        let is_left = |owner: &str, checkpoint: u64| owner == next.pipeline && checkpoint < next.checkpoint;
        match self {
            Self::Memory(sealed) => sealed.lock().retain(|(owner, checkpoint), _| !is_left(owner, *checkpoint)),
            Self::Folder { folder, .. } => {
                for name in folder.list().await? {
                    let mut parts = name.split('-');
                    let (owner, checkpoint) = (parts.next().unwrap_or_default(), parts.next().and_then(|number| number.parse().ok()));
                    if checkpoint.is_some_and(|checkpoint| is_left(owner, checkpoint)) {
                        folder.delete(&name).await?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn encode(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut stream = StreamWriter::try_new(Vec::new(), schema)?;
    batches.iter().try_for_each(|batch| stream.write(batch))?;
    stream.into_inner()
}

/// Waits before something that failed in passing is tried again.
pub(super) async fn pause(clock: &dyn Clock, attempt: u32, what: &str, error: &CheckpointError) {
    let backoff = Backoff::default();
    tracing::warn!(what, %error, attempt, "the data folder fails; it is tried again");
    clock.sleep(backoff.delay(attempt.min(backoff.retries_max - 1), u64::from(attempt)).unwrap_or_default()).await;
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Int64Array;
    use millstream_time::SystemClock;
    use object_store::memory::InMemory;

    use super::*;

    /// A process that was taken over from and does not know it yet must not take away what its successor has sealed.
    #[tokio::test]
    async fn only_what_was_sealed_before_is_swept() {
        let folder = Folder::from_store(Arc::new(InMemory::new()), "staged").unwrap();
        let stagings = [Staging::memory(), Staging::folder(folder, Arc::new(SystemClock::default()))];
        for staging in stagings {
            let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap();
            let origin = |pipeline: &str, checkpoint| Origin { pipeline: pipeline.to_owned(), checkpoint };
            let mut sealed = Vec::new();
            for origin in [origin("7", 2), origin("7", 3), origin("7", 5), origin("7r0", 2), origin("8", 2)] {
                let staged = staging.put(&origin, &batch.schema(), vec![batch.clone()]).await.unwrap();
                sealed.push((origin, staged));
            }
            staging.sweep(&origin("7", 4)).await.unwrap();
            for (origin, staged) in sealed {
                let is_there = staging.get(&origin, &staged).await.is_ok();
                assert_eq!(is_there, origin.pipeline != "7" || origin.checkpoint > 4, "{origin:?}");
            }
        }
    }
}
