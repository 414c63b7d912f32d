//! State that leaves memory when the limit presses, and comes back before its window closes.
//!
//! Only what a checkpoint has stored can leave; if that is not enough a checkpoint is taken early, and above the limit the stream waits
//! for it. Before a window closes of which something has left, the epoch's rows are taken in first, so that a checkpoint can make
//! room between two steps, and then windows are released one by one, those that do not fit part by part (`parts.rs`).

use std::time::Duration;

use super::crank::Crank;
use super::load::Activity;
use super::plan::{StepLimit, Times};
use crate::checkpoint::Reason;
use crate::error::{Error, Result};
use crate::memory::Pressure;

/// Bytes of state that a row makes at most, as a guess: memory is looked at again before the rows read can have filled it.
const ROW_BYTES: u64 = 512;

/// ... and at least as often as this.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A table of groups takes so many times the bytes of its rows.
pub(super) const TABLE_PER_ROWS: u64 = 2;

/// What the crank knows of its memory.
#[derive(Debug, Default)]
pub(super) struct Relief {
    /// The next epoch waits until a checkpoint has made room.
    pub(super) waits: bool,
    /// Rows read since memory was looked at.
    pub(super) rows: u64,
    looked: Option<Duration>,
}

impl Crank<'_> {
    /// Looks at memory if it may have changed much.
    pub(super) fn look_at_memory(&mut self) -> Result<()> {
        if !self.memory.is_limited() {
            return Ok(());
        }
        let now = self.clock.monotonic();
        let late = self.relief.looked.is_none_or(|looked| now >= looked + LOOK_INTERVAL);
        if !late && self.relief.rows.saturating_mul(ROW_BYTES) < self.memory.left() {
            return Ok(());
        }
        self.relieve()
    }

    /// Lets state leave memory if there is too much; an error if that is not possible.
    pub(super) fn relieve(&mut self) -> Result<()> {
        self.relief = Relief { waits: false, rows: 0, looked: Some(self.clock.monotonic()) };
        let mut pressure = self.hold(0);
        if pressure.excess > 0 && self.evict(pressure.excess) > 0 {
            pressure = self.hold(0);
        }
        if pressure.excess == 0 {
            return Ok(());
        }
        let durable = self.checkpoints.is_durable();
        if durable && (self.checkpoints.is_on_its_way() || self.plan.can_leave() >= self.memory.worth_while()) {
            self.checkpoints.ask_for_room();
            self.relief.waits = pressure.over > 0;
            return Ok(());
        }
        if pressure.over > 0 { Err(self.outgrown()) } else { Ok(()) }
    }

    /// Reads back what the step `limit` needs. The rows of the epoch have been taken in.
    pub(super) async fn bring_back(&mut self, times: &Times, limit: StepLimit) -> Result<()> {
        let Some(store) = self.checkpoints.store() else { return Err(Error::internal("state has left memory without a store")) };
        self.make_room(self.plan.due_back(times, limit).saturating_mul(TABLE_PER_ROWS)).await?;
        for (operator, piece) in self.plan.recall(times, limit) {
            let files = store.files_of(operator, piece)?;
            if files.is_empty() {
                return Err(Error::internal(format!("layer {} of pane {} is in no file", piece.seal, piece.pane)));
            }
            for (file, _) in files {
                let rows = store.read_rows(&file).await?;
                self.plan.take_back(operator, piece, &rows).map_err(|error| Error::running(&error))?;
                self.stay_within()?;
            }
        }
        Ok(())
    }

    /// Lets state leave memory for what has come back; an error if that is not enough.
    pub(super) fn stay_within(&mut self) -> Result<()> {
        let over = self.hold(0).over;
        if over > 0 && self.evict(over) < over { Err(self.outgrown()) } else { Ok(()) }
    }

    /// Tries to have `bytes` of the limit free, by a checkpoint if need be.
    pub(super) async fn make_room(&mut self, bytes: u64) -> Result<()> {
        loop {
            let over = self.hold(bytes).over;
            if over == 0 || self.evict(over) >= over {
                return Ok(());
            }
            if let Some(done) = self.load.during(Activity::HeldBack, self.checkpoints.drain()).await {
                self.publish(done?).await?;
            } else if self.plan.can_leave() >= self.memory.worth_while() {
                self.seal(Reason::Memory).await?;
            } else {
                return Ok(());
            }
        }
    }

    /// Says how much state there is, and that so many bytes more are to come.
    fn hold(&mut self, more: u64) -> Pressure {
        let bytes = self.plan.state_bytes();
        let mut status = self.shared.status.lock();
        status.state_bytes_max = status.state_bytes_max.max(bytes);
        drop(status);
        self.memory.hold(bytes.saturating_add(more))
    }

    /// Bytes of stored state that left memory.
    fn evict(&self, bytes: u64) -> u64 {
        if !self.checkpoints.is_durable() {
            return 0;
        }
        let freed = self.plan.evict(&self.checkpoints.last.operators, bytes);
        let mut status = self.shared.status.lock();
        status.stored_bytes = self.plan.metrics().map(|operator| operator.stored_bytes).sum();
        status.stored_bytes_max = status.stored_bytes_max.max(status.stored_bytes);
        drop(status);
        tracing::debug!(freed, wanted = bytes, "state leaves memory");
        freed
    }

    fn outgrown(&self) -> Error {
        self.memory.outgrown(&self.shared.status.lock().name, self.checkpoints.is_durable())
    }
}
