//! The crank: one turn is one epoch.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use millstream_operators::operator::OperatorSnapshot;
use millstream_time::{Clock, Watermark};
use tokio::sync::mpsc;

use super::checkpoints::{Checkpoint, Checkpoints, Sealing, ToPublish};
use super::columns::Columns;
use super::load::{Activity, LoadMeter};
use super::output::{Output, Written};
use super::plan::{EpochPlan, StepLimit, Times};
use super::relief::Relief;
use super::requests::Request;
use super::status::{PipelineState, Shared, SourceStatus};
use crate::checkpoint::Reason;
use crate::context::EpochClock;
use crate::crash_point;
use crate::error::{Error, Result};
use crate::input::{EpochInput, Inputs, SourceMetrics};
use crate::memory::MemoryShare;
use crate::model::PinnedModels;

/// Figures for people are refreshed this often.
const STATUS_INTERVAL: Duration = Duration::from_millis(100);

/// One pipeline, turning.
pub(super) struct Crank<'a> {
    pub(super) inputs: Inputs,
    pub(super) columns: &'a mut [Columns],
    pub(super) plan: EpochPlan,
    pub(super) output: &'a mut Output,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) epoch_clock: &'a EpochClock,
    pub(super) models: &'a PinnedModels,
    pub(super) shared: &'a Shared,
    pub(super) checkpoints: &'a mut Checkpoints,
    pub(super) memory: &'a mut MemoryShare,
    pub(super) relief: Relief,
    pub(super) requests: &'a mut mpsc::Receiver<Request>,
    pub(super) last_status: Option<Duration>,
    pub(super) load: &'a LoadMeter,
}

impl Crank<'_> {
    /// Turns until the inputs end, LIMIT is reached, the reader goes or a stop is asked for.
    pub(super) async fn run(&mut self) -> Result<PipelineState> {
        let mut stop = self.shared.stop.subscribe();
        loop {
            self.load.enter(Activity::Busy);
            if let Some(reason) = self.checkpoint_due() {
                self.seal(reason).await?;
            }
            let deadline = self.deadline();
            let takes_rows = !self.checkpoints.is_full() && !self.relief.waits;
            self.load.enter(if takes_rows { Activity::Idle } else { Activity::HeldBack });
            let epoch = tokio::select! {
                biased;
                () = stop_requested(&mut stop) => return self.end(PipelineState::Stopped).await,
                () = self.output.closed() => return self.end(PipelineState::Stopped).await,
                done = self.checkpoints.written() => {
                    self.publish(done?).await?;
                    self.relieve()?;
                    continue;
                }
                Some(request) = self.requests.recv() => {
                    self.checkpoints.ask(request);
                    continue;
                }
                epoch = self.inputs.next(deadline), if takes_rows => epoch?,
            };
            self.load.enter(Activity::Busy);
            if !self.turn(epoch).await? || self.inputs.is_finished() {
                return self.end(PipelineState::Finished).await;
            }
            self.tell(false);
            self.look_at_memory()?;
        }
    }

    /// One epoch; false if nothing further will ever come out.
    async fn turn(&mut self, epoch: EpochInput) -> Result<bool> {
        self.epoch_clock.set(epoch.clock_ms);
        self.models.refresh();
        let times =
            Times { watermarks: epoch.sources.iter().map(|source| source.watermark).collect(), clock: Watermark::from_ms(epoch.clock_ms) };
        let mut rows_in = 0;
        for (number, source) in epoch.sources.iter().enumerate() {
            self.output.write_rejected(number, &source.rejected).await?;
            rows_in += source.rejected.len();
        }
        let mut rows = self.fill(epoch, &times).await?;
        rows_in += rows.iter().flatten().map(RecordBatch::num_rows).sum::<usize>();
        self.checkpoints.count(rows_in as u64, 0);
        self.relief.rows += rows_in as u64;
        loop {
            let Some(limit) = self.limit_of_step(&rows, &times).await? else { return Ok(false) };
            let step = self.plan.step(std::mem::take(&mut rows), &times, limit).await.map_err(|error| Error::running(&error))?;
            let written = self.put_out(step.batches).await?;
            let mut status = self.shared.status.lock();
            if step.done || written == Written::Closed {
                status.epochs += 1;
                return Ok(false);
            }
            // A stop does not wait for all windows that are due.
            if step.caught_up || *self.shared.stop.borrow() {
                status.epochs += 1;
                status.clock_ms = times.clock.as_ms();
                return Ok(true);
            }
        }
    }

    /// Rows that come out of the plan go to the sink or the reader.
    pub(super) async fn put_out(&mut self, batches: Vec<RecordBatch>) -> Result<Written> {
        if batches.is_empty() {
            return Ok(Written::Taken);
        }
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        self.checkpoints.count(0, batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum());
        let written = self.load.during(Activity::HeldBack, self.output.write(batches)).await?;
        self.shared.status.lock().rows_out += rows as u64;
        Ok(written)
    }

    /// How many windows the next step may release, each operator. Where state has left memory: none before all rows are taken in,
    /// and then one after the other. `None`: nobody wants further rows.
    async fn limit_of_step(&mut self, rows: &[Vec<RecordBatch>], times: &Times) -> Result<Option<StepLimit>> {
        let all = StepLimit { windows: self.plan.windows_max(), before: usize::MAX };
        // Without a limit nothing leaves memory.
        if !self.memory.is_limited() || self.plan.due_back(times, all) == 0 {
            return Ok(Some(all));
        }
        if rows.iter().any(|batches| !batches.is_empty()) {
            return Ok(Some(StepLimit { windows: 0, ..all }));
        }
        let (before, written) = self.release_in_parts(times).await?;
        if written == Written::Closed {
            return Ok(None);
        }
        let one = StepLimit { windows: 1, before };
        self.bring_back(times, one).await?;
        Ok(Some(one))
    }

    /// The epoch's rows by source, with all columns that the pipeline reads.
    async fn fill(&mut self, epoch: EpochInput, times: &Times) -> Result<Vec<Vec<RecordBatch>>> {
        let mut all = Vec::with_capacity(epoch.sources.len());
        for (number, (source, columns)) in epoch.sources.into_iter().zip(self.columns.iter_mut()).enumerate() {
            let mut filled = Vec::with_capacity(source.batches.len());
            let mut late = Vec::new();
            for batch in source.batches.iter().filter(|batch| batch.num_rows() > 0) {
                filled.push(columns.fill(batch, epoch.clock_ms, &mut late).map_err(|error| Error::running(&error))?);
            }
            columns.epoch_done(&times.watermarks);
            self.output.write_late(number, &late).await?;
            all.push(filled);
        }
        Ok(all)
    }

    /// When the next turn is due even without input, by the clock's monotonic time.
    fn deadline(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        let window = self.plan.next_clock_due().map(|due| {
            let wait = u64::try_from(due.saturating_sub(self.clock.now())).unwrap_or(0);
            now + Duration::from_millis(wait)
        });
        let checkpoint = self.checkpoints.next_due().filter(|_| self.wants_checkpoints());
        window.into_iter().chain(checkpoint).min()
    }

    /// False for a query whose rows are gone once they are read.
    fn wants_checkpoints(&self) -> bool {
        let publishes = || self.plan.operators().iter().any(|operator| operator.publishes());
        self.checkpoints.is_durable() || self.output.can_discard() || self.output.has_side_tables() || publishes()
    }

    fn checkpoint_due(&self) -> Option<Reason> {
        self.checkpoints.due(self.clock.monotonic()).filter(|reason| self.wants_checkpoints() || *reason == Reason::Command)
    }

    /// Takes what belongs to a checkpoint; writing it runs beside the next epochs.
    pub(super) async fn seal(&mut self, reason: Reason) -> Result<()> {
        crash_point::reach("before-seal");
        let started = self.clock.monotonic();
        let operators = self.snapshot()?;
        let number = self.checkpoints.next_number();
        let sealed = self.load.during(Activity::HeldBack, self.output.seal(number)).await?;
        crash_point::reach("after-seal");
        let checkpoint = Checkpoint { number, positions: self.inputs.positions(), operators };
        let rows_in = self.inputs.metrics().iter().map(|source| source.rows).sum();
        let now = self.clock.monotonic();
        let sealing = Sealing { reason, rows_in, stall: now.saturating_sub(started), models: self.models.manifest() };
        self.models.release();
        match self.checkpoints.sealed(checkpoint, sealed, sealing, now) {
            Some(done) => self.publish(done).await,
            None => Ok(()),
        }
    }

    /// The state, as far as a checkpoint of this pipeline needs it.
    fn snapshot(&self) -> Result<Vec<OperatorSnapshot>> {
        let durable = self.checkpoints.is_durable();
        if !self.wants_checkpoints() {
            return Ok(Vec::new()); // It cannot go back.
        }
        let earlier = &self.checkpoints.last.operators;
        let mut operators = self.plan.snapshot(earlier).map_err(|error| Error::running(&error))?;
        if !durable {
            operators.iter_mut().zip(earlier).for_each(|(operator, earlier)| operator.complete_from(earlier));
        }
        Ok(operators)
    }

    /// Shows the rows of a checkpoint that exists.
    pub(super) async fn publish(&mut self, done: ToPublish) -> Result<()> {
        if let Some(sealed) = &done.sealed {
            let shown = self.load.during(Activity::HeldBack, self.output.publish(sealed, self.clock.as_ref())).await;
            if let Err(error) = shown {
                self.checkpoints.keep_unpublished(done);
                return Err(error);
            }
            crash_point::reach("after-publish");
        }
        self.plan.operators().iter().for_each(|operator| operator.committed());
        self.shared.status.lock().last_checkpoint = done.written.clone().map(|written| written.figures);
        self.checkpoints.published(done, self.plan.operators());
        Ok(())
    }

    /// The last checkpoint: nothing is left open behind it.
    async fn end(&mut self, state: PipelineState) -> Result<PipelineState> {
        if let Some(done) = self.checkpoints.drain().await {
            self.publish(done?).await?;
        }
        self.seal(if state == PipelineState::Finished { Reason::Finished } else { Reason::Stop }).await?;
        if let Some(done) = self.checkpoints.drain().await {
            self.publish(done?).await?;
        }
        self.checkpoints.finished().await;
        self.tell(true);
        Ok(state)
    }

    /// Refreshes the figures.
    fn tell(&mut self, now: bool) {
        let time = self.clock.monotonic();
        if !now && self.last_status.is_some_and(|last| time < last + STATUS_INTERVAL) {
            return;
        }
        self.last_status = Some(time);
        let sources = self.inputs.metrics();
        let mut status = self.shared.status.lock();
        status.state = PipelineState::Running;
        status.rows_in = sources.iter().map(|source| source.rows).sum();
        status.bytes_in = sources.iter().map(|source| source.bytes).sum();
        status.rejected_rows = sources.iter().map(|source| source.rejected_rows).sum();
        status.last_rejected =
            sources.iter().find_map(|source| source.last_rejected.as_ref()).map(|example| format!("{}: {}", example.place, example.reason));
        let watermark = sources.iter().map(|source| source.watermark).min().unwrap_or_default();
        status.watermark_ms = shown(watermark);
        status.sources = sources.iter().map(told).collect();
        status.idle_sources = status.sources.iter().filter(|source| source.is_idle).map(|source| source.name.clone()).collect();
        status.late_rows = self.columns.iter().map(Columns::late_rows).sum();
        (status.untimed_rows, status.open_windows, status.state_bytes, status.stored_bytes) = (0, 0, 0, 0);
        for operator in self.plan.metrics() {
            status.late_rows += operator.late_rows;
            status.untimed_rows += operator.untimed_rows;
            status.open_windows += operator.open_panes;
            status.state_bytes += operator.state_bytes;
            status.stored_bytes += operator.stored_bytes;
        }
        status.state_bytes_max = status.state_bytes_max.max(status.state_bytes);
    }
}

/// A watermark that says something.
fn shown(watermark: Watermark) -> Option<i64> {
    (watermark != Watermark::MIN && watermark != Watermark::MAX).then(|| watermark.as_ms())
}

/// What people are told of a source.
fn told(source: &SourceMetrics) -> SourceStatus {
    SourceStatus {
        name: source.name.clone(),
        rows: source.rows,
        bytes: source.bytes,
        rejected_rows: source.rejected_rows,
        watermark_ms: shown(source.watermark),
        lanes: source.lanes as u64,
        is_idle: source.idle_lanes > 0 && source.idle_lanes + source.finished_lanes == source.lanes,
        is_finished: source.lanes > 0 && source.finished_lanes == source.lanes,
    }
}

async fn stop_requested(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // The sender is part of what the crank shares with its handles.
    let _ = stop.wait_for(|stop| *stop).await;
}
