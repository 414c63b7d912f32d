//! What a pipeline tells about itself, and the handle to it.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::load::{LoadMeter, PipelineLoad};
use super::requests::{REQUESTS_MAX, Request};
use crate::checkpoint::CheckpointFigures;
use crate::error::{Error, Result};

/// Where a pipeline is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum PipelineState {
    /// Planned, its inputs are being opened.
    Starting,
    /// The crank turns.
    Running,
    /// All its inputs have ended, or its LIMIT is reached.
    Finished,
    /// It was asked to stop.
    Stopped,
    /// It failed; the message says why.
    Failed(String),
}

impl PipelineState {
    /// True once it will not change any more.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Starting | Self::Running)
    }
}

impl fmt::Display for PipelineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed(_) => "failed",
        })
    }
}

/// Failures of a pipeline that its status remembers.
const FAILURES_MAX: usize = 16;

/// What a pipeline has read from one of its sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SourceStatus {
    /// The stream's name.
    pub name: String,
    /// Rows read.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Rows that did not decode.
    pub rejected_rows: u64,
    /// Its watermark, in milliseconds since 1970; `None` before the first row and after the end.
    pub watermark_ms: Option<i64>,
    /// Pieces it is read in.
    pub lanes: u64,
    /// All of them wait for rows.
    pub is_idle: bool,
    /// All of them have ended.
    pub is_finished: bool,
}

/// A failure of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PipelineFailure {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What went wrong.
    pub message: String,
    /// It went on from its last checkpoint; false: it has ended.
    pub restarted: bool,
}

/// Figures of a pipeline, as of its last epoch.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PipelineStatus {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: PipelineState,
    /// Epochs run.
    pub epochs: u64,
    /// Rows read.
    pub rows_in: u64,
    /// Rows put out.
    pub rows_out: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Rows that did not decode.
    pub rejected_rows: u64,
    /// Where the last of them stood and why.
    pub last_rejected: Option<String>,
    /// Rows that came after all their windows had closed.
    pub late_rows: u64,
    /// Rows without an event time.
    pub untimed_rows: u64,
    /// Panes held.
    pub open_windows: u64,
    /// Bytes of state in memory, about.
    pub state_bytes: u64,
    /// The most of them that were seen.
    pub state_bytes_max: u64,
    /// Bytes of state that has left memory and is only in the data folder: what it would take in memory, about.
    pub stored_bytes: u64,
    /// The most of them there were.
    pub stored_bytes_max: u64,
    /// Smallest watermark of its sources, in milliseconds since 1970; `None` before the first row and after the end.
    pub watermark_ms: Option<i64>,
    /// The epoch clock.
    pub clock_ms: i64,
    /// Sources all of whose lanes are idle.
    pub idle_sources: Vec<String>,
    /// What it reads.
    pub sources: Vec<SourceStatus>,
    /// The table, materialized view or sink that its rows go to; `None`: to whoever reads the query.
    pub writes_into: Option<String>,
    /// Restarts after failures.
    pub restarts: u64,
    /// Its last failures, oldest first.
    pub failures: Vec<PipelineFailure>,
    /// How it spends its time.
    pub load: PipelineLoad,
    /// The last checkpoint of a durable pipeline that was taken since it started.
    pub last_checkpoint: Option<CheckpointFigures>,
}

impl PipelineStatus {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: PipelineState::Starting,
            epochs: 0,
            rows_in: 0,
            rows_out: 0,
            bytes_in: 0,
            rejected_rows: 0,
            last_rejected: None,
            late_rows: 0,
            untimed_rows: 0,
            open_windows: 0,
            state_bytes: 0,
            state_bytes_max: 0,
            stored_bytes: 0,
            stored_bytes_max: 0,
            watermark_ms: None,
            clock_ms: 0,
            idle_sources: Vec::new(),
            sources: Vec::new(),
            writes_into: None,
            restarts: 0,
            failures: Vec::new(),
            load: PipelineLoad::default(),
            last_checkpoint: None,
        }
    }
}

/// Shared between a pipeline's task and its handles.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) status: Mutex<PipelineStatus>,
    pub(super) error: Mutex<Option<Error>>,
    pub(super) ended: watch::Sender<bool>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) requests: mpsc::Sender<Request>,
    /// None for one that never ran.
    pub(super) load: Option<Arc<LoadMeter>>,
}

impl Shared {
    pub(super) fn new(name: &str, load: Option<Arc<LoadMeter>>) -> (Arc<Self>, mpsc::Receiver<Request>) {
        let (requests, taken) = mpsc::channel(REQUESTS_MAX);
        let shared = Self {
            status: Mutex::new(PipelineStatus::new(name)),
            error: Mutex::new(None),
            ended: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            requests,
            load,
        };
        (Arc::new(shared), taken)
    }

    /// Remembers a failure.
    pub(super) fn note_failure(&self, at_ms: i64, error: &Error, restarted: bool) {
        let mut status = self.status.lock();
        status.restarts += u64::from(restarted);
        if status.failures.len() >= FAILURES_MAX {
            status.failures.remove(0);
        }
        status.failures.push(PipelineFailure { at_ms, message: error.to_string(), restarted });
    }
}

/// A running (or ended) pipeline. Cheap to clone; dropping it does not stop the pipeline.
#[derive(Clone, Debug)]
pub struct PipelineHandle {
    pub(super) shared: Arc<Shared>,
}

impl PipelineHandle {
    /// Of a pipeline that does not run: it is paused, or failed before it could start.
    pub(crate) fn ended(name: &str, error: Option<Error>) -> Self {
        let (shared, _) = Shared::new(name, None);
        shared.status.lock().state = error.as_ref().map_or(PipelineState::Stopped, |error| PipelineState::Failed(error.to_string()));
        *shared.error.lock() = error;
        shared.ended.send_replace(true);
        Self { shared }
    }

    /// Of a pipeline whose inputs had ended in an earlier process.
    pub(super) fn finished(name: &str) -> Self {
        let handle = Self::ended(name, None);
        handle.shared.status.lock().state = PipelineState::Finished;
        handle
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.shared.status.lock().name.clone()
    }

    /// Its figures.
    pub fn status(&self) -> PipelineStatus {
        let mut status = self.shared.status.lock().clone();
        status.load = self.shared.load.as_ref().map(|load| load.figures()).unwrap_or_default();
        status
    }

    /// Says where its rows go, for people.
    pub(crate) fn set_target(&self, name: &str) {
        self.shared.status.lock().writes_into = Some(name.to_owned());
    }

    /// Waits until it has ended; the error it failed with, if it did.
    pub async fn wait(&self) -> Result<()> {
        let mut ended = self.shared.ended.subscribe();
        // The sender lives as long as this handle.
        let _ = ended.wait_for(|ended| *ended).await;
        match self.shared.error.lock().clone() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Takes a checkpoint now and waits until its rows are published; its number.
    ///
    /// # Errors
    /// The pipeline has ended, or the checkpoint cannot be written.
    pub async fn checkpoint(&self) -> Result<u64> {
        let (reply, answer) = oneshot::channel();
        let ended = || Error::user("55000", format!("pipeline {} has ended: it takes no checkpoints", self.name()));
        self.shared.requests.send(Request::Checkpoint(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Asks it to stop gracefully and waits: what was put out is published, open windows are not.
    pub async fn stop(&self) -> Result<()> {
        self.request_stop();
        self.wait().await
    }

    /// Asks it to stop, without waiting.
    pub fn request_stop(&self) {
        self.shared.stop.send_replace(true);
    }
}
