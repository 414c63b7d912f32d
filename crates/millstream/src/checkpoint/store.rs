//! A pipeline's checkpoints in the data folder.
//!
//! ```text
//! claim     finish what the last owner has not published, then take over     once, at start
//! write     new layers to Parquet files, then the manifest                   C2–C4 of docs/checkpoints.md
//! finish    the marker, then retention and garbage                           C6, C7
//! ```
//!
//! A layer of state is one file, written by the first checkpoint that contains it and named again by those after. Whatever fails
//! in passing is tried again, for ever: checkpoints are late then, the stream goes on.

mod pieces;
mod state;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use millstream_checkpoint::{
    Backoff, CheckpointError, Claimed, Folder, Head, KeptFiles, Look, Manifest, ManifestKind, ManifestStats, PipelineFolder, PipelineOwner,
    Publication, Published, Recovery, SinkState, recovery,
};
use millstream_connectors::Sealed;
use millstream_time::Clock;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use self::state::StoredInputs;
use super::{CheckpointDraft, CheckpointFigures, Fingerprint, Restored, Written};
use crate::blocking::Blocking;
use crate::crash_point;
use crate::data_folder::new_nonce;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// The one sink of a pipeline, in its manifests.
const SINK: &str = "sink";

/// What a plan brings along to its state.
#[derive(Clone, Debug)]
pub(crate) struct PlanIdentity {
    pub(crate) fingerprint: Fingerprint,
    /// Ids of its operators, in order.
    pub(crate) operators: Vec<String>,
}

/// What an attempt to take a pipeline over came to.
#[derive(Debug)]
pub(crate) enum Claim {
    /// The newest checkpoint's rows may not be published yet: that comes first.
    Publish { number: u64, sealed: Option<Sealed> },
    /// The newest checkpoint is damaged: its sinks must say whether somebody may have seen its rows. `rows`: how many its sink has
    /// sealed, if that can still be read.
    Ask { number: u64, rows: Option<u64> },
    /// It is ours and goes on here; `None`: from the beginning.
    Owned(Option<Restored>),
}

/// The checkpoints of one pipeline.
#[derive(Debug)]
pub(crate) struct PipelineStore {
    folder: PipelineFolder,
    id: String,
    name: String,
    sql: String,
    keep: usize,
    /// Panes of so many bytes are split by key, because memory is limited.
    large_pane: Option<u64>,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    owner: tokio::sync::Mutex<Option<Box<PipelineOwner>>>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    identity: Option<PlanIdentity>,
    /// The newest manifest: its files can be named again.
    manifest: Option<Arc<Manifest>>,
    next_number: u64,
    /// Why the marker of the last checkpoint could not be set.
    failed: Option<Error>,
}

impl PipelineStore {
    pub(crate) fn new(folder: Folder, id: u64, name: &str, sql: &str, settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self {
            folder: PipelineFolder::new(folder)?,
            id: id.to_string(),
            name: name.to_owned(),
            sql: sql.to_owned(),
            keep: settings.checkpoint_keep,
            large_pane: None,
            clock,
            blocking: Blocking::of(settings.background_threads),
            owner: tokio::sync::Mutex::new(None),
            known: Mutex::new(Known { next_number: 1, ..Known::default() }),
        })
    }

    /// Panes of so many bytes are to be split by key, so that their windows can close part by part.
    pub(crate) fn splits(self, large_pane: Option<u64>) -> Self {
        Self { large_pane, ..self }
    }

    /// Number of the next checkpoint.
    pub(crate) fn next_number(&self) -> u64 {
        self.known.lock().next_number
    }

    /// Versions and hashes of the models that the claimed checkpoint was made with, by name.
    pub(crate) fn restored_models(&self) -> std::collections::BTreeMap<String, serde_json::Value> {
        self.known.lock().manifest.as_ref().map(|manifest| manifest.models.clone()).unwrap_or_default()
    }

    /// The rows of an earlier owner's checkpoint are published.
    pub(crate) async fn mark_published(&self, number: u64) -> Result<()> {
        Ok(self.retried(|| self.folder.mark_committed(number)).await?)
    }

    /// Takes the pipeline over and reads where it goes on. Refused, before anything is changed, if the stored state is not one of
    /// this plan. `asked` is what sinks say of a damaged checkpoint. State of more than `room` bytes stays here until it is needed, if
    /// it can.
    pub(crate) async fn claim(&self, identity: &PlanIdentity, asked: Option<(u64, Published)>, room: u64) -> Result<Claim> {
        loop {
            // Files and their rows are in memory together for a moment.
            let mut look = self.retried(|| self.folder.look_and_keep(room / 2)).await?;
            if let Some((number, sealed)) = self.unpublished(&look).await? {
                return Ok(Claim::Publish { number, sealed });
            }
            let published = asked.map_or(Published::Perhaps, |(_, published)| published);
            let mut publication = Publication::Finished;
            let manifest = match look.choose(published) {
                Recovery::Fresh => self.first_manifest(identity)?,
                Recovery::Stop { damaged, .. } | Recovery::FallBack { damaged, .. }
                    if asked.is_none_or(|(number, _)| number != damaged) =>
                {
                    return Ok(Claim::Ask { number: damaged, rows: sealed_rows(&look) });
                }
                Recovery::Resume(number) => self.manifest_of(identity, number).await?.as_takeover(number, self.clock.now()),
                Recovery::FallBack { to, damaged } => {
                    let damage = look.damage.as_ref().map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(pipeline = self.name, damage, "checkpoint {damaged} is damaged, nobody has seen its rows: {to} goes on");
                    publication = Publication::GivenUp;
                    self.manifest_of(identity, to).await?.as_takeover(to, self.clock.now())
                }
                Recovery::Stop { offer, .. } => {
                    let damage = look.damage.as_ref().map(ToString::to_string).unwrap_or_default();
                    return Err(Error::user("XX001", recovery::stop_message(&self.name, &damage, offer)));
                }
            };
            let restored = self.restored(&manifest, room, &mut look.kept).await?;
            let Some(number) = self.take_over(&look, manifest, publication).await? else { continue };
            crash_point::reach("after-claim");
            self.known.lock().identity = Some(identity.clone());
            return Ok(Claim::Owned(restored.map(|restored| Restored { number, ..restored })));
        }
    }

    /// A manifest whose state fits this plan.
    async fn manifest_of(&self, identity: &PlanIdentity, number: u64) -> Result<Manifest> {
        let manifest = self.manifest(number).await?;
        self.check_fingerprint(identity, &manifest, number)?;
        Ok(manifest)
    }

    /// Writes a checkpoint. After a failure that is none in passing nothing of it exists, or another process owns the pipeline.
    pub(crate) async fn write(&self, draft: CheckpointDraft) -> Result<Written> {
        let started = self.clock.monotonic();
        let created_ms = self.clock.now();
        if let Some(error) = self.known.lock().failed.take() {
            return Err(error);
        }
        let mut owner = self.owner.lock().await;
        let Some(owner) = owner.as_mut() else { return Err(Error::internal("a checkpoint is written before the pipeline is claimed")) };
        let (identity, base) = {
            let known = self.known.lock();
            (known.identity.clone(), known.manifest.clone())
        };
        let Some(identity) = identity else { return Err(Error::internal("a checkpoint is written without a plan")) };
        let mut bytes_new = 0;
        let mut operators = Vec::new();
        for (id, snapshot) in identity.operators.iter().zip(&draft.operators) {
            let (state, written) = self.write_operator(owner, id, snapshot, base.as_deref()).await?;
            bytes_new += written;
            operators.push(state);
        }
        crash_point::reach("after-state");
        let inputs = StoredInputs { positions: draft.positions, finished: draft.reason == super::Reason::Finished };
        let mut sinks = Vec::new();
        if let Some(sealed) = &draft.sealed {
            let staged = self.write_staged(owner, &sealed.staged).await?;
            bytes_new += staged.iter().map(|file| file.bytes).sum::<u64>();
            sinks.push(SinkState { name: SINK.to_owned(), sealed: to_json(sealed)?, staged });
        }
        let mut manifest = Manifest {
            kind: ManifestKind::Checkpoint,
            created_at_ms: created_ms,
            reason: draft.reason.as_str().to_owned(),
            inputs: to_json(&inputs)?,
            operators,
            models: draft.models,
            sinks,
            ..self.first_manifest(&identity)?
        };
        let duration = self.clock.monotonic().saturating_sub(started);
        manifest.stats = ManifestStats {
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            stall_us: u64::try_from(draft.stall.as_micros()).unwrap_or(u64::MAX),
            rows_in: draft.rows_in,
            bytes_new,
            bytes_total: manifest.bytes_total(),
            state_rows: manifest.state_rows(),
        };
        let number = self.commit(owner, manifest.clone()).await?;
        crash_point::reach("after-manifest");
        if number != draft.number {
            return Err(Error::internal(format!("checkpoint {} got number {number}", draft.number)));
        }
        let figures = figures(number, &manifest);
        let mut known = self.known.lock();
        (known.manifest, known.next_number) = (Some(Arc::new(manifest)), number + 1);
        Ok(Written { figures })
    }

    /// The sink has published the newest checkpoint: marks it and retires old ones.
    pub(crate) async fn finish(&self, number: u64) {
        let mut owner = self.owner.lock().await;
        let Some(owner) = owner.as_mut() else { return };
        for attempt in 0.. {
            match owner.mark_committed().await {
                Ok(()) => break,
                Err(error) if error.is_transient() => self.wait_after(attempt, &error).await,
                Err(error) => {
                    self.known.lock().failed = Some(error.into());
                    return;
                }
            }
        }
        crash_point::reach("after-committed");
        match owner.collect_garbage(self.keep).await {
            Ok(_) => crash_point::reach("after-retention"),
            // Nothing depends on it: the next checkpoint tries again.
            Err(error) => tracing::warn!(pipeline = self.name, checkpoint = number, %error, "old checkpoints are not retired"),
        }
    }

    /// A kept checkpoint with the rows of its state, as far as they take no more than `room` bytes.
    pub(crate) async fn read(&self, number: u64, room: u64) -> Result<Restored> {
        match self.restored(&self.manifest(number).await?, room, &mut KeptFiles::default()).await? {
            Some(restored) => Ok(Restored { number, ..restored }),
            None => Err(Error::user("55000", format!("checkpoint {number} of pipeline {} has no state: it was starting", self.name))),
        }
    }

    /// What a kept checkpoint says.
    pub(crate) async fn manifest(&self, number: u64) -> Result<Manifest> {
        match self.retried(|| self.folder.manifest(number)).await {
            Ok(stored) => Ok(stored.entry.body),
            Err(CheckpointError::Missing { .. }) => {
                let kept = self.list().await?.iter().map(|figures| figures.number.to_string()).collect::<Vec<_>>().join(", ");
                let hint = if kept.is_empty() { "it has none yet".to_owned() } else { format!("there are {kept}") };
                Err(Error::user("42704", format!("pipeline {} has no checkpoint {number} (hint: {hint})", self.name)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The rows of one operator's state in a kept checkpoint, as they are stored.
    pub(crate) async fn operator_rows(&self, number: u64, operator: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let manifest = self.manifest(number).await?;
        let Some(state) = manifest.operators.iter().find(|state| state.id == operator) else {
            let ids = manifest.operators.iter().map(|state| state.id.as_str()).collect::<Vec<_>>().join(", ");
            let hint = if ids.is_empty() { "it keeps no state".to_owned() } else { format!("there are {ids}") };
            return Err(Error::user("42704", format!("checkpoint {number} of {} has no operator '{operator}' (hint: {hint})", self.name)));
        };
        let mut schema: SchemaRef = Arc::new(Schema::empty());
        let mut batches = Vec::new();
        for file in &state.files {
            let rows = self.retried(|| self.folder.read_state(file)).await?;
            schema = rows.schema;
            batches.extend(rows.batches);
        }
        Ok((schema, batches))
    }

    /// All kept checkpoints, oldest first.
    pub(crate) async fn list(&self) -> Result<Vec<CheckpointFigures>> {
        let mut all = Vec::new();
        for listed in self.retried(|| self.folder.checkpoints()).await? {
            match listed.manifest {
                Ok(stored) => all.push(figures(listed.number, &stored.entry.body)),
                Err(error) => all.push(CheckpointFigures { reason: error.to_string(), ..CheckpointFigures::unknown(listed.number) }),
            }
        }
        Ok(all)
    }

    /// Puts a kept checkpoint at the end of the chain: the next claim goes on from it. Nobody may be running the pipeline.
    pub(crate) async fn restore_from(&self, number: u64) -> Result<()> {
        loop {
            let look = self.retried(|| self.folder.look()).await?;
            let manifest = self.manifest(number).await?.as_restore(number, self.clock.now());
            // What the newest has sealed and not shown is written again after the older checkpoint.
            let publication = if look.committed && look.damage.is_none() { Publication::Finished } else { Publication::GivenUp };
            if self.take_over(&look, manifest, publication).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Does it again, with pauses, while it fails in passing; gives up after some minutes.
    async fn retried<T, F>(&self, call: impl Fn() -> F) -> Result<T, CheckpointError>
    where
        F: Future<Output = Result<T, CheckpointError>>,
    {
        let mut attempt = 0;
        loop {
            match call().await {
                Err(error) if error.is_transient() && attempt < Backoff::default().retries_max => self.wait_after(attempt, &error).await,
                done => return done,
            }
            attempt += 1;
        }
    }

    /// `None` if another process was faster.
    async fn take_over(&self, look: &Look, manifest: Manifest, publication: Publication) -> Result<Option<u64>> {
        match self.folder.take_over(look, new_nonce(), manifest.clone(), publication).await {
            Ok(Claimed::Owned(owner)) => {
                let number = owner.number();
                *self.owner.lock().await = Some(owner);
                let mut known = self.known.lock();
                (known.manifest, known.next_number) = (Some(Arc::new(manifest)), number + 1);
                Ok(Some(number))
            }
            Ok(Claimed::Raced) => Ok(None),
            Err(error) if error.is_transient() => {
                self.wait_after(0, &error).await;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A manifest without state.
    fn first_manifest(&self, identity: &PlanIdentity) -> Result<Manifest> {
        Ok(Manifest {
            kind: ManifestKind::Takeover,
            pipeline: self.id.clone(),
            sql: self.sql.clone(),
            fingerprint: to_json(&identity.fingerprint)?,
            created_at_ms: self.clock.now(),
            reason: "start".to_owned(),
            from: None,
            inputs: serde_json::Value::Null,
            operators: Vec::new(),
            sinks: Vec::new(),
            models: std::collections::BTreeMap::new(),
            stats: ManifestStats::default(),
        })
    }

    fn check_fingerprint(&self, identity: &PlanIdentity, manifest: &Manifest, number: u64) -> Result<()> {
        let stored: Fingerprint = from_json(&manifest.fingerprint, "fingerprint")?;
        match identity.fingerprint.difference(&stored) {
            None => Ok(()),
            Some(difference) => Err(Error::user(
                "55000",
                format!(
                    "pipeline {} cannot go on from checkpoint {number}, its state is of another query: {difference} (hint: bring the former definition back, or DROP PIPELINE {} and start it anew)",
                    self.name, self.name
                ),
            )),
        }
    }

    async fn commit(&self, owner: &mut PipelineOwner, manifest: Manifest) -> Result<u64> {
        let mut committed = owner.commit(manifest).await;
        for attempt in 0.. {
            match committed {
                Err(error) if error.is_transient() => self.wait_after(attempt, &error).await,
                Err(CheckpointError::Fenced { generation, .. }) => {
                    return Err(Error::fenced(format!(
                        "pipeline {} is fenced by generation {generation}: another process has taken it over (hint: only one may run over a data folder)",
                        self.name
                    )));
                }
                committed => return Ok(committed?),
            }
            committed = owner.resume_commit().await;
        }
        Err(Error::internal("a retry ended"))
    }

    async fn wait_after(&self, attempt: u32, error: &CheckpointError) {
        let backoff = Backoff::default();
        let pause = backoff.delay(attempt.min(backoff.retries_max - 1), self.next_number()).unwrap_or_default();
        tracing::warn!(pipeline = self.name, %error, attempt, "the data folder fails; it is tried again");
        self.clock.sleep(pause).await;
    }
}

/// Rows that the sink of the newest checkpoint has sealed, if its manifest can be read.
fn sealed_rows(look: &Look) -> Option<u64> {
    let Head::Entry(stored) = &look.head else { return None };
    let Some(sink) = stored.entry.body.sinks.first() else { return Some(0) };
    Some(Sealed::deserialize(&sink.sealed).ok()?.rows)
}

fn figures(number: u64, manifest: &Manifest) -> CheckpointFigures {
    let stats = manifest.stats;
    CheckpointFigures {
        number,
        created_ms: manifest.created_at_ms,
        duration_ms: stats.duration_ms,
        stall_us: stats.stall_us,
        bytes_new: stats.bytes_new,
        bytes_total: stats.bytes_total,
        rows: stats.state_rows,
        reason: manifest.reason.clone(),
    }
}

fn to_json(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| Error::internal(format!("a manifest cannot be written: {error}")))
}

fn from_json<T: for<'a> Deserialize<'a>>(value: &serde_json::Value, what: &str) -> Result<T> {
    T::deserialize(value).map_err(|error| Error::user("XX001", format!("{what} in a manifest cannot be understood: {error}")))
}
