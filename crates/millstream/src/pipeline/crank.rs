//! The crank: one turn is one epoch.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use millstream_operators::operator::OperatorSnapshot;
use millstream_time::{Clock, Watermark};

use super::columns::Columns;
use super::output::{Output, Written};
use super::plan::{EpochPlan, Times};
use super::status::{PipelineState, Shared};
use crate::context::EpochClock;
use crate::error::{Error, Result};
use crate::input::{EpochInput, InputPositions, Inputs};

/// Figures for people are refreshed this often.
const STATUS_INTERVAL: Duration = Duration::from_millis(100);

/// Where a pipeline can go on from: everything before it is published.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) number: u64,
    pub(super) positions: InputPositions,
    pub(super) operators: Vec<OperatorSnapshot>,
}

/// One pipeline, turning.
pub(super) struct Crank<'a> {
    pub(super) inputs: Inputs,
    pub(super) columns: &'a mut [Columns],
    pub(super) plan: EpochPlan,
    pub(super) output: &'a mut Output,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) epoch_clock: &'a EpochClock,
    pub(super) shared: &'a Shared,
    pub(super) checkpoint: &'a mut Checkpoint,
    pub(super) checkpoint_interval: Duration,
    pub(super) last_checkpoint: Duration,
    pub(super) last_status: Option<Duration>,
}

impl Crank<'_> {
    /// Turns until the inputs end, LIMIT is reached, the reader goes or a stop is asked for.
    pub(super) async fn run(&mut self) -> Result<PipelineState> {
        let mut stop = self.shared.stop.subscribe();
        loop {
            let deadline = self.deadline();
            let epoch = tokio::select! {
                biased;
                () = stop_requested(&mut stop) => None,
                () = self.output.closed() => None,
                epoch = self.inputs.next(deadline) => Some(epoch?),
            };
            let Some(epoch) = epoch else { return self.end(PipelineState::Stopped).await };
            if !self.turn(epoch).await? || self.inputs.is_finished() {
                return self.end(PipelineState::Finished).await;
            }
            if self.checkpoint_is_due() {
                self.take_checkpoint().await?;
            }
            self.tell(false);
        }
    }

    /// One epoch; false if nothing further will ever come out.
    async fn turn(&mut self, epoch: EpochInput) -> Result<bool> {
        self.epoch_clock.set(epoch.clock_ms);
        let times =
            Times { watermarks: epoch.sources.iter().map(|source| source.watermark).collect(), clock: Watermark::from_ms(epoch.clock_ms) };
        let mut rows = self.fill(epoch)?;
        loop {
            let step = self.plan.step(std::mem::take(&mut rows), &times).await.map_err(|error| Error::running(&error))?;
            let rows_out: usize = step.batches.iter().map(RecordBatch::num_rows).sum();
            let written = if step.batches.is_empty() { Written::Taken } else { self.output.write(step.batches).await? };
            let mut status = self.shared.status.lock();
            status.rows_out += rows_out as u64;
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

    /// The epoch's rows by source, with all columns that the pipeline reads.
    fn fill(&mut self, epoch: EpochInput) -> Result<Vec<Vec<RecordBatch>>> {
        let mut all = Vec::with_capacity(epoch.sources.len());
        for (source, columns) in epoch.sources.into_iter().zip(self.columns.iter_mut()) {
            let mut filled = Vec::with_capacity(source.batches.len());
            for batch in source.batches.iter().filter(|batch| batch.num_rows() > 0) {
                filled.push(columns.fill(batch, epoch.clock_ms).map_err(|error| Error::running(&error))?);
            }
            columns.epoch_done(source.watermark);
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
        let publication = self.output.has_unpublished().then(|| self.last_checkpoint + self.checkpoint_interval);
        window.into_iter().chain(publication).min()
    }

    fn checkpoint_is_due(&self) -> bool {
        self.output.can_discard() && self.clock.monotonic() >= self.last_checkpoint + self.checkpoint_interval
    }

    /// Publishes what was put out and remembers where to go on from.
    async fn take_checkpoint(&mut self) -> Result<()> {
        let mut operators = self.plan.snapshot(&self.checkpoint.operators).map_err(|error| Error::running(&error))?;
        for (operator, earlier) in operators.iter_mut().zip(&self.checkpoint.operators) {
            operator.complete_from(earlier);
        }
        let number = self.checkpoint.number + 1;
        if self.output.has_unpublished() {
            self.output.publish(number).await?;
        }
        *self.checkpoint = Checkpoint { number, positions: self.inputs.positions(), operators };
        self.last_checkpoint = self.clock.monotonic();
        Ok(())
    }

    async fn end(&mut self, state: PipelineState) -> Result<PipelineState> {
        self.output.publish(self.checkpoint.number + 1).await?;
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
        status.watermark_ms = (watermark != Watermark::MIN && watermark != Watermark::MAX).then(|| watermark.as_ms());
        let idle = sources.iter().filter(|source| source.idle_lanes > 0 && source.idle_lanes + source.finished_lanes == source.lanes);
        status.idle_sources = idle.map(|source| source.name.clone()).collect();
        status.late_rows = self.columns.iter().map(Columns::late_rows).sum();
        (status.untimed_rows, status.open_windows, status.state_bytes) = (0, 0, 0);
        for operator in self.plan.metrics() {
            status.late_rows += operator.late_rows;
            status.untimed_rows += operator.untimed_rows;
            status.open_windows += operator.open_panes;
            status.state_bytes += operator.state_bytes;
        }
    }
}

async fn stop_requested(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // The sender is part of what the crank shares with its handles.
    let _ = stop.wait_for(|stop| *stop).await;
}
