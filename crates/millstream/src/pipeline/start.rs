//! Starts a pipeline, and starts it again after a failure.
//!
//! An epoch succeeds or never happened: on a failure the operators and what the sink has not published are thrown away, and the
//! pipeline goes on from its last checkpoint (in memory). A second failure without any progress in between stops it.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::SessionState;
use millstream_connectors::Replay;
use millstream_operators::LeafId;
use millstream_sql::logical::label::TimeDomain;
use millstream_sql::logical::{OperatorKind, PipelinePlan};
use millstream_sql::physical::plan_pipeline;
use millstream_time::{Clock, WindowSpec};

use super::columns::{Columns, plan_columns};
use super::crank::{Checkpoint, Crank};
use super::output::Output;
use super::plan::EpochPlan;
use super::status::{PipelineHandle, PipelineState, Shared};
use crate::catalog::{LateRows, Stream};
use crate::context::EpochClock;
use crate::error::{Error, Result};
use crate::input::{Inputs, SourceSpec};
use crate::settings::Settings;

const RESTART_DELAY_MS: u64 = 100;

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
    pub(crate) output: Output,
}

/// Opens the inputs and spawns the crank; errors of the first start come back here.
pub(crate) async fn start(mut spec: PipelineSpec) -> Result<PipelineHandle> {
    let shared = Shared::new(&spec.name);
    let mut sources = Vec::new();
    let mut columns = Vec::new();
    for (number, (scan, stream)) in spec.plan.sources.iter().zip(&spec.streams).enumerate() {
        let windows = if stream.time.late_rows == LateRows::Strict { only_windows(&spec.plan, number)? } else { None };
        let (source, fills) = plan_columns(stream, &scan.columns, windows, &spec.state).map_err(|error| Error::running(&error))?;
        sources.push(source);
        columns.push(fills);
    }
    let inputs = Inputs::open(sources.clone(), None, spec.settings.input(), Arc::clone(&spec.clock)).await?;
    let plan = epoch_plan(&spec.plan, &spec.state, &spec.settings).await?;
    shared.status.lock().state = PipelineState::Running;
    let handle = PipelineHandle { shared: Arc::clone(&shared) };
    #[expect(clippy::disallowed_methods, reason = "this crate is the spawner of tasks")]
    tokio::spawn(async move {
        let ended = supervise(&mut spec, &sources, &mut columns, inputs, plan, &shared).await;
        let state = match ended {
            Ok(state) => state,
            Err(error) => {
                tracing::debug!(pipeline = spec.name, %error, "pipeline failed");
                spec.output.fail(&error).await;
                *shared.error.lock() = Some(error.clone());
                PipelineState::Failed(error.to_string())
            }
        };
        drop(spec);
        shared.status.lock().state = state;
        shared.ended.send_replace(true);
    });
    Ok(handle)
}

/// The windows that a source's rows go into, for strict lateness; an error if there are several kinds.
fn only_windows(plan: &PipelinePlan, source: usize) -> Result<Option<WindowSpec>> {
    let mut found = None;
    for (stage, operator) in plan.stages.iter().zip(&plan.operators) {
        let window = match &operator.kind {
            OperatorKind::Aggregate { window, .. } | OperatorKind::Buffer { window, .. } if operator.domain == TimeDomain::Event => *window,
            _ => continue,
        };
        if window == WindowSpec::Global || !stage.inputs.contains(&LeafId::Source(source)) {
            continue;
        }
        if found.is_some_and(|other| other != window) {
            let name = &plan.sources[source].table.name;
            return Err(Error::user(
                "0A000",
                format!("late_rows = 'strict' needs one kind of windows over {name} in a query (hint: split the query, or use 'lenient')"),
            ));
        }
        found = Some(window);
    }
    Ok(found)
}

async fn epoch_plan(plan: &PipelinePlan, state: &SessionState, settings: &Settings) -> Result<EpochPlan> {
    let physical = plan_pipeline(plan, state).await.map_err(|error| Error::running(&error))?;
    EpochPlan::new(plan, physical, &state.task_ctx(), settings).map_err(|error| Error::running(&error))
}

/// Turns the crank; after a failure goes back to the last checkpoint, as long as that leads on.
async fn supervise(
    spec: &mut PipelineSpec,
    sources: &[SourceSpec],
    columns: &mut [Columns],
    inputs: Inputs,
    plan: EpochPlan,
    shared: &Shared,
) -> Result<PipelineState> {
    let operators = plan.snapshot(&[]).map_err(|error| Error::running(&error))?;
    let mut checkpoint = Checkpoint { number: 0, positions: inputs.positions(), operators };
    let replayable = sources.iter().all(|source| source.source.replay() == Replay::Exact);
    let mut failed_at: Option<(u64, Error)> = None;
    let mut next = Some((inputs, plan));
    loop {
        let (inputs, plan) = match next.take() {
            Some(first) => first,
            None => {
                let start = Some(&checkpoint.positions);
                let inputs = Inputs::open(sources.to_vec(), start, spec.settings.input(), Arc::clone(&spec.clock)).await?;
                let plan = epoch_plan(&spec.plan, &spec.state, &spec.settings).await?;
                plan.restore(&checkpoint.operators).map_err(|error| Error::running(&error))?;
                (inputs, plan)
            }
        };
        let number = checkpoint.number;
        for ((fills, position), metrics) in columns.iter_mut().zip(&checkpoint.positions.sources).zip(inputs.metrics()) {
            fills.go_on_from(position.watermark, metrics.lanes);
        }
        let mut crank = Crank {
            inputs,
            columns: &mut *columns,
            plan,
            output: &mut spec.output,
            clock: &spec.clock,
            epoch_clock: &spec.epoch_clock,
            shared,
            checkpoint: &mut checkpoint,
            checkpoint_interval: Duration::from_millis(spec.settings.checkpoint_interval_ms),
            last_checkpoint: spec.clock.monotonic(),
            last_status: None,
        };
        let error = match crank.run().await {
            Ok(state) => return Ok(state),
            Err(error) => error,
        };
        drop(crank);
        if !replayable || !spec.output.can_discard() {
            return Err(error);
        }
        let progressed = checkpoint.number > number;
        if let Some((at, first)) = &failed_at
            && *at == checkpoint.number
            && !progressed
        {
            return Err(if first.to_string() == error.to_string() {
                error
            } else {
                Error::user(error.sqlstate(), format!("{error}\nbefore that, at the same place: {first}"))
            });
        }
        tracing::warn!(pipeline = spec.name, %error, checkpoint = checkpoint.number, "pipeline restarts from its last checkpoint");
        failed_at = Some((checkpoint.number, error));
        spec.output.discard().await?;
        shared.status.lock().restarts += 1;
        spec.clock.sleep(Duration::from_millis(RESTART_DELAY_MS)).await;
    }
}
