//! One lane as the taker sees it: what has been handed out, and what is gathered for the next epoch.

use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use millstream_connectors::{LaneId, Position, RejectedRow};
use millstream_time::Watermark;
use tokio::sync::mpsc::error::TryRecvError;

use super::error::{InputError, Result};
use super::inspect::{InspectedBatch, Item};
use super::metrics::Figures;
use super::positions::LanePosition;
use super::reader::Reader;

/// One lane: the handed-out state, and the state after what is gathered.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: LaneId,
    /// Index of its source.
    pub(super) source: usize,
    /// As of what has been handed out.
    told: LanePosition,
    gathered: Gathered,
    /// The next item, looked at but not taken.
    head: Option<Item>,
    /// `None` when the lane had ended before it was restored.
    reader: Option<Reader>,
}

/// What is taken from the queue for the next epoch. It stays here until the epoch is handed out, so that a cancelled wait loses
/// nothing.
#[derive(Debug, Default)]
struct Gathered {
    batches: Vec<RecordBatch>,
    rejected: Vec<RejectedRow>,
    position: Option<Position>,
    watermark: Watermark,
    finished: bool,
    figures: Figures,
}

/// What a batch adds to the size of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Rows, rejected ones included: they too are progress that a checkpoint should cover.
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// What taking one item from a lane gave.
#[derive(Debug)]
pub(super) enum Taken {
    /// A batch of this size was gathered.
    Batch(Size),
    /// The lane is open, or has ended.
    Event,
    /// Nothing was there.
    Nothing,
    /// Reading failed.
    Failed(InputError),
}

impl Lane {
    /// A lane that continues at `told`; no reader if that is the lane's end.
    pub(super) fn new(id: LaneId, source: usize, told: LanePosition, reader: Option<Reader>) -> Self {
        let gathered = Gathered { watermark: told.watermark, finished: told.finished, ..Gathered::default() };
        Self { id, source, told, gathered, head: None, reader }
    }

    /// Waits until the lane is open.
    pub(super) async fn opened(&mut self, table: &str) -> Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        match reader.queue.recv().await {
            Some(Item::Failed(error)) => Err(error),
            Some(Item::Opened) => Ok(()),
            other => Err(InputError::bug(table, format!("lane {} began with {other:?}", self.id))),
        }
    }

    pub(super) fn told(&self) -> &LanePosition {
        &self.told
    }

    /// The watermark if everything gathered were handed out.
    pub(super) fn watermark(&self) -> Watermark {
        self.gathered.watermark
    }

    /// Whether it will have ended once everything gathered is handed out.
    pub(super) fn is_finished(&self) -> bool {
        self.gathered.finished
    }

    /// Whether it counts for its source's watermark.
    pub(super) fn is_active(&self) -> bool {
        !self.gathered.finished && !self.told.idle
    }

    /// Looks at the next item without taking it; the size of the epoch's next batch if it is one.
    pub(super) fn peek(&mut self, table: &str) -> Option<Size> {
        if self.head.is_none() && !self.is_finished() {
            self.head = match self.reader.as_mut()?.queue.try_recv() {
                Ok(item) => Some(item),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => {
                    let message = format!("the reader of lane {} stopped without a word", self.id);
                    Some(Item::Failed(InputError::bug(table, message)))
                }
            };
        }
        match &self.head {
            Some(Item::Batch(batch)) => Some(size_of(batch)),
            _ => None,
        }
    }

    /// Takes the item that was looked at, if there was one. Not what has come since: nobody has checked that it fits.
    pub(super) fn take(&mut self) -> Taken {
        match self.head.take() {
            None => Taken::Nothing,
            Some(Item::Opened) => Taken::Event,
            Some(Item::Finished) => {
                self.gathered.finished = true;
                Taken::Event
            }
            Some(Item::Failed(error)) => Taken::Failed(error),
            Some(Item::Batch(batch)) => Taken::Batch(self.gather(*batch)),
        }
    }

    fn gather(&mut self, batch: InspectedBatch) -> Size {
        let size = size_of(&batch);
        let gathered = &mut self.gathered;
        gathered.watermark.advance(batch.watermark);
        gathered.position = Some(batch.position);
        gathered.figures.add(Figures {
            rows: batch.rows.num_rows() as u64,
            bytes: batch.bytes_read,
            rejected_rows: batch.rejected_rows as u64,
            last_rejected: batch.last_rejected,
            future_skew_rows: batch.future_skew_rows as u64,
        });
        gathered.rejected.extend(batch.rejected);
        if batch.rows.num_rows() > 0 {
            gathered.batches.push(batch.rows);
        }
        self.told.idle = false;
        size
    }

    /// Hands out what is gathered, rows and rejected rows; adds its figures to `figures`.
    pub(super) fn hand_out(&mut self, figures: &mut Figures) -> (Vec<RecordBatch>, Vec<RejectedRow>) {
        let gathered = &mut self.gathered;
        self.told.watermark.advance(gathered.watermark);
        self.told.finished = gathered.finished;
        self.told.idle &= !gathered.finished;
        if let Some(position) = gathered.position.take() {
            self.told.position = Some(position);
        }
        figures.add(std::mem::take(&mut gathered.figures));
        if gathered.finished {
            self.reader = None;
        }
        (std::mem::take(&mut gathered.batches), std::mem::take(&mut gathered.rejected))
    }

    /// When (monotonic) the lane becomes idle if nothing comes until then.
    pub(super) fn idle_at(&self, timeout: Duration) -> Option<Duration> {
        if !self.is_active() || self.head.is_some() {
            return None;
        }
        self.reader.as_ref()?.empty_since()?.checked_add(timeout)
    }

    /// The lane is idle until rows come.
    pub(super) fn set_idle(&mut self) {
        self.told.idle = true;
    }
}

fn size_of(batch: &InspectedBatch) -> Size {
    // At least 1, so that even a lane that gives empty batches for ever fills an epoch.
    Size { rows: (batch.rows.num_rows() + batch.rejected_rows).max(1), bytes: batch.bytes }
}
