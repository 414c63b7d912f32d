//! When a pipeline's checkpoints are taken, and where one is on its way.
//!
//! ```text
//!  seal      between two epochs: positions, new layers of state, what the sink has taken   the crank stands still
//!  write     encoded, uploaded, the manifest created (durable pipelines)                   beside the next epochs
//!  publish   the sink shows its rows                                                       between two epochs
//!  finish    marked as published, old checkpoints retired, layers merged                   beside the next epochs
//! ```
//!
//! At most one is on its way. Without a store (`--data` was not given) a checkpoint lives in memory and is published at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_connectors::Sealed;
use millstream_operators::StatefulOperator;
use millstream_operators::operator::OperatorSnapshot;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::requests::Request;
use crate::blocking::Blocking;
use crate::checkpoint::{CheckpointDraft, PipelineStore, Reason, Written};
use crate::error::{Error, Result};
use crate::input::InputPositions;

/// Where a pipeline can go on from.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) number: u64,
    pub(super) positions: InputPositions,
    pub(super) operators: Vec<OperatorSnapshot>,
}

impl Checkpoint {
    /// Keeps what is needed to take the next one, not the rows of state: they are in the store.
    pub(super) fn forget_rows(&mut self) {
        self.operators.iter_mut().flat_map(|operator| &mut operator.layers).for_each(|layer| layer.rows = Vec::new());
    }
}

/// When checkpoints are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) interval: Duration,
    /// Rows read since the last one; 0: they do not matter.
    pub(super) rows_max: u64,
    /// Bytes of output that may wait for the checkpoint on its way.
    pub(super) uncommitted_bytes_max: u64,
    pub(super) blocking: Blocking,
    /// Bytes of layers that are merged at a time.
    pub(super) merge_bytes_max: u64,
}

/// The checkpoints of one pipeline.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// The last one that exists.
    pub(super) last: Checkpoint,
    schedule: Schedule,
    store: Option<Arc<PipelineStore>>,
    on_its_way: Option<OnItsWay>,
    unpublished: Option<ToPublish>,
    finishing: Option<JoinHandle<()>>,
    merging: Option<JoinHandle<()>>,
    sealed_at: Duration,
    rows_since: u64,
    /// Something has happened since the last one.
    changed: bool,
    bytes_since: u64,
    waiting: Vec<oneshot::Sender<Result<u64>>>,
    asked: Option<Reason>,
}

/// Sealed, being written.
#[derive(Debug)]
struct OnItsWay {
    checkpoint: Checkpoint,
    sealed: Option<Sealed>,
    task: JoinHandle<Result<Written>>,
    waiting: Vec<oneshot::Sender<Result<u64>>>,
}

/// A checkpoint that exists and whose rows are to be shown.
#[derive(Debug)]
pub(super) struct ToPublish {
    pub(super) sealed: Option<Sealed>,
    /// What became of writing it; `None` in memory.
    pub(super) written: Option<Written>,
    number: u64,
    waiting: Vec<oneshot::Sender<Result<u64>>>,
}

impl Checkpoints {
    pub(super) fn new(first: Checkpoint, schedule: Schedule, store: Option<Arc<PipelineStore>>, now: Duration) -> Self {
        Self {
            last: first,
            schedule,
            store,
            on_its_way: None,
            unpublished: None,
            finishing: None,
            merging: None,
            sealed_at: now,
            rows_since: 0,
            changed: false,
            bytes_since: 0,
            waiting: Vec::new(),
            asked: None,
        }
    }

    pub(super) fn is_durable(&self) -> bool {
        self.store.is_some()
    }

    /// Rows came in, or went out.
    pub(super) fn count(&mut self, rows_in: u64, bytes_out: u64) {
        self.changed |= rows_in > 0 || bytes_out > 0;
        self.rows_since += rows_in;
        self.bytes_since += bytes_out;
    }

    /// The pipeline goes back to the last checkpoint: nothing has happened since.
    pub(super) fn go_back(&mut self, now: Duration) {
        (self.sealed_at, self.rows_since, self.changed, self.bytes_since) = (now, 0, false, 0);
    }

    /// Somebody wants one now.
    pub(super) fn ask(&mut self, request: Request) {
        let Request::Checkpoint(reply) = request;
        self.waiting.push(reply);
        self.asked = Some(Reason::Command);
    }

    /// What leaves memory must be stored first.
    pub(super) fn ask_for_room(&mut self) {
        if self.asked.is_none() && self.on_its_way.is_none() {
            self.asked = Some(Reason::Memory);
        }
    }

    pub(super) fn is_on_its_way(&self) -> bool {
        self.on_its_way.is_some()
    }

    pub(super) fn store(&self) -> Option<Arc<PipelineStore>> {
        self.store.clone()
    }

    /// True if the next epoch must wait for the checkpoint on its way.
    pub(super) fn is_full(&self) -> bool {
        self.on_its_way.is_some() && self.bytes_since > self.schedule.uncommitted_bytes_max
    }

    /// Why one is to be taken now, if one is.
    pub(super) fn due(&self, now: Duration) -> Option<Reason> {
        if self.on_its_way.is_some() {
            return None;
        }
        if self.asked.is_some() {
            return self.asked;
        }
        if !self.changed {
            return None;
        }
        if self.schedule.rows_max > 0 && self.rows_since >= self.schedule.rows_max {
            return Some(Reason::Rows);
        }
        (now >= self.sealed_at + self.schedule.interval).then_some(Reason::Interval)
    }

    /// When the crank must look again even without input.
    pub(super) fn next_due(&self) -> Option<Duration> {
        (self.on_its_way.is_none() && self.changed).then(|| self.sealed_at + self.schedule.interval)
    }

    /// Number of the checkpoint to be sealed next.
    pub(super) fn next_number(&self) -> u64 {
        self.store.as_ref().map_or(self.last.number + 1, |store| store.next_number())
    }

    /// Takes a sealed checkpoint: to be published at once if it needs no store.
    pub(super) fn sealed(
        &mut self,
        mut checkpoint: Checkpoint,
        sealed: Option<Sealed>,
        draft: Sealing,
        now: Duration,
    ) -> Option<ToPublish> {
        self.go_back(now);
        self.asked = None;
        let waiting = std::mem::take(&mut self.waiting);
        let Some(store) = &self.store else {
            let number = checkpoint.number;
            self.last = checkpoint;
            return Some(ToPublish { sealed, written: None, number, waiting });
        };
        let draft = CheckpointDraft {
            number: checkpoint.number,
            reason: draft.reason,
            positions: checkpoint.positions.clone(),
            operators: checkpoint.operators.clone(),
            sealed: sealed.clone(),
            rows_in: draft.rows_in,
            stall: draft.stall,
            models: draft.models,
        };
        checkpoint.forget_rows();
        let store = Arc::clone(store);
        let before = self.finishing.take();
        #[expect(clippy::disallowed_methods, reason = "this crate is the spawner of tasks")]
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // The one before must be marked as published first; what goes wrong with that is told by `write`.
                let _ = before.await;
            }
            store.write(draft).await
        });
        self.on_its_way = Some(OnItsWay { checkpoint, sealed, task, waiting });
        None
    }

    /// Completes when the checkpoint on its way exists; never if none is.
    pub(super) async fn written(&mut self) -> Result<ToPublish> {
        let Some(on_its_way) = &mut self.on_its_way else { return std::future::pending().await };
        let outcome = match (&mut on_its_way.task).await {
            Ok(outcome) => outcome,
            Err(error) => Err(Error::internal(format!("writing a checkpoint ended: {error}"))),
        };
        let Some(done) = self.on_its_way.take() else { return Err(Error::internal("no checkpoint is on its way")) };
        match outcome {
            Ok(written) => {
                let number = done.checkpoint.number;
                self.last = done.checkpoint;
                Ok(ToPublish { sealed: done.sealed, written: Some(written), number, waiting: done.waiting })
            }
            Err(error) => {
                done.waiting.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
                Err(error)
            }
        }
    }

    /// The checkpoint on its way, if any, to its end.
    pub(super) async fn drain(&mut self) -> Option<Result<ToPublish>> {
        if self.on_its_way.is_none() { None } else { Some(self.written().await) }
    }

    /// Its rows could not be shown. Nothing may go on before they are: the next checkpoint does not contain them.
    pub(super) fn keep_unpublished(&mut self, done: ToPublish) {
        self.unpublished = Some(done);
    }

    /// A checkpoint that exists and whose rows are not shown: one that failed to be, or the one on its way, to its end.
    pub(super) async fn left_unpublished(&mut self) -> Option<Result<ToPublish>> {
        match self.unpublished.take() {
            Some(done) => Some(Ok(done)),
            None => self.drain().await,
        }
    }

    /// Its rows are shown: marks it, retires old ones, and tells who waits.
    pub(super) fn published(&mut self, done: ToPublish, operators: Vec<Arc<dyn StatefulOperator>>) {
        let (store, number, waiting) = (self.store.clone(), done.number, done.waiting);
        let merge_store = self.store.clone();
        #[expect(clippy::disallowed_methods, reason = "this crate is the spawner of tasks")]
        let task = tokio::spawn(async move {
            if let Some(store) = store {
                store.finish(number).await;
            }
            waiting.into_iter().for_each(|reply| drop(reply.send(Ok(number))));
        });
        self.finishing = Some(task);
        if self.merging.as_ref().is_none_or(JoinHandle::is_finished) {
            #[expect(clippy::disallowed_methods, reason = "this crate is the spawner of tasks")]
            let merging = tokio::spawn(merge_layers(operators, merge_store, self.schedule));
            self.merging = Some(merging);
        }
    }

    /// Waits for what goes on behind the last published checkpoint.
    pub(super) async fn finished(&mut self) {
        if let Some(task) = self.finishing.take() {
            // It reports what goes wrong itself: nothing of it is lost.
            let _ = task.await;
        }
    }
}

/// Merges sealed layers where there are many.
async fn merge_layers(operators: Vec<Arc<dyn StatefulOperator>>, store: Option<Arc<PipelineStore>>, schedule: Schedule) {
    for (number, operator) in operators.iter().enumerate() {
        if let Err(error) = merge_layers_of(number, operator, store.as_deref(), schedule).await {
            tracing::warn!(%error, "layers of state are not merged");
        }
    }
}

/// Reads what is not in memory, and merges on a thread of its own.
async fn merge_layers_of(
    number: usize,
    operator: &Arc<dyn StatefulOperator>,
    store: Option<&PipelineStore>,
    schedule: Schedule,
) -> Result<()> {
    while let Some(merge) = operator.layers().and_then(|layers| layers.next_merge(schedule.merge_bytes_max)) {
        let mut stored = Vec::new();
        for piece in merge.stored() {
            let Some(store) = store else { return Err(Error::internal("a layer has left memory without a store")) };
            // If it has gone, so has its pane: there is another round after the next checkpoint.
            let Some(rows) = store.read_piece(number, piece).await? else { return Ok(()) };
            stored.push((piece, rows));
        }
        let operator = Arc::clone(operator);
        let merging = move || operator.layers().map_or(Ok(()), |layers| layers.merge(&merge, &stored));
        schedule.blocking.run("merging layers", merging).await?.map_err(|error| Error::running(&error))?;
    }
    Ok(())
}

/// What only the crank knows about a seal.
#[derive(Clone, Debug)]
pub(super) struct Sealing {
    pub(super) reason: Reason,
    pub(super) rows_in: u64,
    pub(super) stall: Duration,
    /// The models in use.
    pub(super) models: BTreeMap<String, serde_json::Value>,
}
