//! Starts a pipeline, and starts it again after a failure.
//!
//! An epoch succeeds or never happened: on a failure the operators and what the sink has not published are thrown away, and the
//! pipeline goes on from its last checkpoint. A second failure without any progress in between stops it. A durable pipeline
//! starts from the last checkpoint in its store, once it has claimed the store and finished that checkpoint's publication.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::SessionState;
use millstream_connectors::Replay;
use millstream_operators::operator::OperatorSnapshot;
use millstream_sql::logical::PipelinePlan;
use millstream_sql::physical::plan_pipeline;
use millstream_time::Clock;
use tokio::sync::mpsc;

use super::checkpoints::{Checkpoint, Checkpoints, Schedule};
use super::columns::{Columns, Wanted, plan_columns};
use super::crank::Crank;
use super::lateness::SourceWindows;
use super::load::{Activity, LoadMeter};
use super::output::Output;
use super::plan::EpochPlan;
use super::relief::Relief;
use super::requests::Request;
use super::status::{PipelineHandle, PipelineState, Shared, SourceStatus};
use crate::blocking::Blocking;
use crate::catalog::{LateRows, Stream};
use crate::checkpoint::{Claim, Fingerprint, PipelineStore, PlanIdentity};
use crate::context::EpochClock;
use crate::error::{Error, Result};
use crate::input::{Inputs, SourceSpec};
use crate::memory::MemoryShare;
use crate::model::{ModelUse, PinnedModels};
use crate::settings::Settings;

const RESTART_DELAY_MS: u64 = 100;

/// Between two tries of a sink whose disk is full.
const FULL_DISK_DELAY_MS: u64 = 1_000;

/// Everything a pipeline needs to start.
pub(crate) struct PipelineSpec {
    pub(crate) name: String,
    pub(crate) plan: Box<PipelinePlan>,
    /// One a source of the plan.
    pub(crate) streams: Vec<Arc<Stream>>,
    pub(crate) state: SessionState,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) epoch_clock: EpochClock,
    /// The versions of models that the plan uses.
    pub(crate) models: PinnedModels,
    /// Keeps those models from being dropped for as long as the pipeline runs.
    #[expect(dead_code, reason = "a guard")]
    pub(crate) model_uses: Vec<ModelUse>,
    pub(crate) output: Output,
    /// Where its checkpoints are kept; `None`: in memory.
    pub(crate) store: Option<Arc<PipelineStore>>,
    pub(crate) memory: MemoryShare,
}

/// Opens the inputs and spawns the crank; errors of the first start come back here.
pub(crate) async fn start(mut spec: PipelineSpec) -> Result<PipelineHandle> {
    let load = Arc::new(LoadMeter::new(Arc::clone(&spec.clock)));
    let (shared, mut requests) = Shared::new(&spec.name, Some(Arc::clone(&load)));
    shared.status.lock().sources =
        spec.plan.sources.iter().map(|scan| SourceStatus { name: scan.table.name.clone(), ..SourceStatus::default() }).collect();
    let mut sources = Vec::new();
    let mut columns = Vec::new();
    for (number, (scan, stream)) in spec.plan.sources.iter().zip(&spec.streams).enumerate() {
        let late = spec.output.late_columns(number);
        let windows = match (late, stream.time.late_rows) {
            (Some(_), _) => SourceWindows::of(&spec.plan, number, "LATE ROWS INTO")?,
            (None, LateRows::Strict) => SourceWindows::of(&spec.plan, number, "late_rows = 'strict'")?,
            (None, LateRows::Lenient) => None,
        };
        let wanted = Wanted { source: number, columns: &scan.columns, late, windows: windows.as_ref() };
        let (source, fills) = plan_columns(stream, wanted, &spec.state, &spec.models).map_err(|error| Error::running(&error))?;
        sources.push(source);
        columns.push(fills);
    }
    let plan = epoch_plan(&spec.plan, &spec.state, &spec.settings).await?;
    let restored = match &spec.store {
        Some(store) => {
            let operators = plan.operators();
            let fingerprint = Fingerprint::of(&spec.plan, operators.iter().map(AsRef::as_ref));
            let operators = spec.plan.operators.iter().map(|operator| operator.name.clone()).collect();
            recover(store, PlanIdentity { fingerprint, operators }, spec.memory.room(), &mut spec.output, spec.clock.as_ref()).await?
        }
        None => None,
    };
    if let Some(store) = &spec.store {
        spec.models.go_on_with(&store.restored_models())?;
    }
    if let Some((checkpoint, true)) = &restored {
        if plan.operators().iter().any(|operator| operator.publishes()) {
            plan.restore(&checkpoint.operators).map_err(|error| Error::running(&error))?;
        }
        // Nothing can come any more.
        return Ok(PipelineHandle::finished(&spec.name));
    }
    let restored = restored.map(|(checkpoint, _)| checkpoint);
    let start = restored.as_ref().map(|checkpoint| &checkpoint.positions);
    let inputs = Inputs::open(sources.clone(), start, spec.settings.input(), Arc::clone(&spec.clock)).await?;
    let checkpoint = match restored {
        Some(mut checkpoint) => {
            plan.restore(&checkpoint.operators).map_err(|error| Error::running(&error))?;
            checkpoint.forget_rows();
            checkpoint
        }
        None => {
            let operators = plan.snapshot(&[]).map_err(|error| Error::running(&error))?;
            Checkpoint { number: 0, positions: inputs.positions(), operators }
        }
    };
    shared.status.lock().state = PipelineState::Running;
    let handle = PipelineHandle { shared: Arc::clone(&shared) };
    #[expect(clippy::disallowed_methods, reason = "this crate is the spawner of tasks")]
    tokio::spawn(async move {
        let ended = supervise(&mut spec, &sources, &mut columns, (inputs, plan, checkpoint), &mut requests, &shared, &load).await;
        let state = match ended {
            Ok(state) => state,
            Err(error) => {
                tracing::debug!(pipeline = spec.name, %error, "pipeline failed");
                spec.output.fail(&error).await;
                shared.note_failure(spec.clock.now(), &error, false);
                *shared.error.lock() = Some(error.clone());
                PipelineState::Failed(error.to_string())
            }
        };
        drop(spec);
        load.end();
        shared.status.lock().state = state;
        shared.ended.send_replace(true);
    });
    Ok(handle)
}

/// The sources of a plan whose rows go straight into windows: those of which rows can be late.
pub(crate) fn sources_with_windows(plan: &PipelinePlan) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    for source in 0..plan.sources.len() {
        if SourceWindows::of(plan, source, "LATE ROWS INTO")?.is_some() {
            found.push(source);
        }
    }
    Ok(found)
}

async fn epoch_plan(plan: &PipelinePlan, state: &SessionState, settings: &Settings) -> Result<EpochPlan> {
    let physical = plan_pipeline(plan, state).await.map_err(|error| Error::running(&error))?;
    EpochPlan::new(plan, physical, &state.task_ctx(), settings).map_err(|error| Error::running(&error))
}

/// Claims the store of a durable pipeline, finishes what was left unfinished, and gives its last checkpoint, and whether its inputs
/// had ended.
async fn recover(
    store: &PipelineStore,
    identity: PlanIdentity,
    room: u64,
    output: &mut Output,
    clock: &dyn Clock,
) -> Result<Option<(Checkpoint, bool)>> {
    let mut asked = None;
    let restored = loop {
        match store.claim(&identity, asked, room).await? {
            Claim::Ask { number, rows } => asked = Some((number, output.published(number, rows).await?)),
            Claim::Publish { number, sealed } => {
                if let Some(sealed) = sealed {
                    output.publish(&sealed, clock).await?;
                }
                store.mark_published(number).await?;
            }
            Claim::Owned(None) => return Ok(None),
            Claim::Owned(Some(restored)) => break restored,
        }
    };
    let checkpoint = Checkpoint { number: restored.number, positions: restored.positions, operators: restored.operators };
    Ok(Some((checkpoint, restored.finished)))
}

/// Inputs and plan as of a checkpoint.
async fn start_again(spec: &mut PipelineSpec, sources: &[SourceSpec], last: &Checkpoint) -> Result<(Inputs, EpochPlan)> {
    let inputs = Inputs::open(sources.to_vec(), Some(&last.positions), spec.settings.input(), Arc::clone(&spec.clock)).await?;
    let plan = epoch_plan(&spec.plan, &spec.state, &spec.settings).await?;
    plan.restore(&operators_of(last, spec.store.as_deref(), spec.memory.room()).await?).map_err(|error| Error::running(&error))?;
    Ok((inputs, plan))
}

/// What was sealed before a failure is whole: it becomes a checkpoint, unless that is what failed.
async fn finish_checkpoint(checkpoints: &mut Checkpoints, output: &mut Output, clock: &dyn Clock) -> Result<()> {
    if let Some(done) = checkpoints.left_unpublished().await {
        let done = done?;
        if let Some(sealed) = &done.sealed {
            output.publish(sealed, clock).await?;
        }
        checkpoints.published(done, Vec::new());
    }
    checkpoints.finished().await;
    Ok(())
}

/// The state of the last checkpoint, from where its rows are, in memory up to `room` bytes.
async fn operators_of(last: &Checkpoint, store: Option<&PipelineStore>, room: u64) -> Result<Vec<OperatorSnapshot>> {
    match store {
        Some(store) if last.number > 0 => Ok(store.read(last.number, room).await?.operators),
        _ => Ok(last.operators.clone()),
    }
}

/// Turns the crank; after a failure goes back to the last checkpoint, as long as that leads on.
async fn supervise(
    spec: &mut PipelineSpec,
    sources: &[SourceSpec],
    columns: &mut [Columns],
    (inputs, plan, checkpoint): (Inputs, EpochPlan, Checkpoint),
    requests: &mut mpsc::Receiver<Request>,
    shared: &Shared,
    load: &LoadMeter,
) -> Result<PipelineState> {
    let schedule = Schedule {
        interval: Duration::from_millis(spec.settings.checkpoint_interval_ms),
        rows_max: spec.settings.checkpoint_rows,
        uncommitted_bytes_max: spec.settings.uncommitted_bytes_max,
        blocking: Blocking::of(spec.settings.background_threads),
        merge_bytes_max: spec.memory.worth_while(),
    };
    let mut checkpoints = Checkpoints::new(checkpoint, schedule, spec.store.clone(), spec.clock.monotonic());
    let replayable = sources.iter().all(|source| source.source.replay() == Replay::Exact);
    let mut failed_at: Option<(u64, Error)> = None;
    let mut next = Some((inputs, plan));
    loop {
        let (inputs, plan) = match next.take() {
            Some(first) => first,
            None => {
                checkpoints.go_back(spec.clock.monotonic());
                start_again(spec, sources, &checkpoints.last).await?
            }
        };
        let number = checkpoints.last.number;
        for (fills, metrics) in columns.iter_mut().zip(inputs.metrics()) {
            fills.go_on_from(&checkpoints.last, metrics.lanes);
        }
        let mut crank = Crank {
            inputs,
            columns: &mut *columns,
            plan,
            output: &mut spec.output,
            memory: &mut spec.memory,
            clock: &spec.clock,
            epoch_clock: &spec.epoch_clock,
            models: &spec.models,
            shared,
            checkpoints: &mut checkpoints,
            requests: &mut *requests,
            relief: Relief::default(),
            last_status: None,
            load,
        };
        let error = match crank.run().await {
            Ok(state) => return Ok(state),
            Err(error) => error,
        };
        drop(crank);
        load.enter(Activity::HeldBack);
        finish_checkpoint(&mut checkpoints, &mut spec.output, spec.clock.as_ref()).await?;
        if !replayable || !spec.output.can_discard() || error.is_final() {
            return Err(error);
        }
        if error.is_full_disk() && !*shared.stop.borrow() {
            // Somebody will make room; until then the pipeline waits, however long that takes.
            tracing::warn!(pipeline = spec.name, %error, checkpoint = checkpoints.last.number, "the sink's disk is full; it is tried again");
            spec.output.discard().await?;
            shared.note_failure(spec.clock.now(), &error, true);
            spec.clock.sleep(Duration::from_millis(FULL_DISK_DELAY_MS)).await;
            continue;
        }
        let progressed = checkpoints.last.number > number;
        if let Some((at, first)) = &failed_at
            && *at == checkpoints.last.number
            && !progressed
        {
            return Err(if first.to_string() == error.to_string() {
                error
            } else {
                Error::user(error.sqlstate(), format!("{error}\nbefore that, at the same place: {first}"))
            });
        }
        tracing::warn!(pipeline = spec.name, %error, checkpoint = checkpoints.last.number, "pipeline restarts from its last checkpoint");
        shared.note_failure(spec.clock.now(), &error, true);
        failed_at = Some((checkpoints.last.number, error));
        spec.output.discard().await?;
        spec.clock.sleep(Duration::from_millis(RESTART_DELAY_MS)).await;
    }
}
