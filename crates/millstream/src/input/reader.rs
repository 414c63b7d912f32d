//! The background task that reads one lane ahead.
//!
//! It runs on a blocking thread, because a lane may block on local I/O, and ends when the lane does or when the other end of its
//! queue is dropped, be it waiting for rows or for room in the queue.

use std::sync::Arc;
use std::time::Duration;

use millstream_connectors::{LaneId, Position, Source};
use millstream_time::Clock;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::error::InputError;
use super::inspect::{Inspector, Item};
use crate::blocking::Blocking;

/// What a reader needs to know of its source; shared by all readers of it.
#[derive(Clone, Debug)]
pub(super) struct ReaderContext {
    pub(super) table: String,
    pub(super) source: Arc<dyn Source>,
    pub(super) projection: Arc<[usize]>,
    pub(super) inspector: Arc<Inspector>,
    pub(super) rows_max: usize,
    pub(super) batches_ahead: usize,
    pub(super) clock: Arc<dyn Clock>,
    /// Wakes the one that takes the batches.
    pub(super) wake: Arc<Notify>,
    pub(super) blocking: Blocking,
}

/// The taking end of a lane's queue. Dropping it ends the reader.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) queue: mpsc::Receiver<Item>,
    waiting_since: Arc<Mutex<Option<Duration>>>,
}

impl Reader {
    /// Starts reading a lane.
    pub(super) fn start(context: &ReaderContext, lane: LaneId, start: Option<Position>) -> Self {
        let (sender, queue) = mpsc::channel(context.batches_ahead.max(1));
        let waiting_since = Arc::new(Mutex::new(None));
        let outlet = Outlet {
            sender: Some(sender),
            waiting_since: Arc::clone(&waiting_since),
            clock: Arc::clone(&context.clock),
            wake: Arc::clone(&context.wake),
        };
        // It ends with the queue.
        context.blocking.start(read_lane(context.clone(), lane, start, outlet));
        Self { queue, waiting_since }
    }

    /// Since when (monotonic) the reader has been waiting for its lane while nothing is left in the queue. `None` while it decodes,
    /// waits for room, or there is something to take: that is back-pressure, not idleness.
    pub(super) fn empty_since(&self) -> Option<Duration> {
        // In this order: what was sent before the reader began to wait is then seen in the queue.
        let since = *self.waiting_since.lock();
        since.filter(|_| self.queue.is_empty())
    }
}

async fn read_lane(context: ReaderContext, id: LaneId, start: Option<Position>, mut outlet: Outlet) {
    let opened = tokio::select! {
        biased;
        () = outlet.closed() => return,
        opened = context.source.open(&id, start.as_ref(), &context.projection) => opened,
    };
    let mut lane = match opened {
        Ok(lane) => lane,
        Err(error) => {
            let _ = outlet.send(Item::Failed(InputError::connector(&context.table, error))).await;
            return;
        }
    };
    let mut item = Item::Opened;
    loop {
        let last = item.is_last();
        if outlet.send(item).await.is_err() || last {
            return;
        }
        let read = tokio::select! {
            biased;
            () = outlet.closed() => return,
            read = lane.read(context.rows_max) => read,
        };
        outlet.stop_waiting();
        item = context.inspector.inspect(read);
    }
}

/// The giving end of a lane's queue.
struct Outlet {
    /// `Some` until dropped.
    sender: Option<mpsc::Sender<Item>>,
    waiting_since: Arc<Mutex<Option<Duration>>>,
    clock: Arc<dyn Clock>,
    wake: Arc<Notify>,
}

/// Nobody takes the items any more.
struct Closed;

impl Outlet {
    async fn closed(&self) {
        match &self.sender {
            Some(sender) => sender.closed().await,
            None => std::future::ready(()).await,
        }
    }

    /// Waits for room; afterwards the reader counts as waiting for its lane, unless it was the last item.
    async fn send(&mut self, item: Item) -> Result<(), Closed> {
        let goes_on = !item.is_last();
        let Some(sender) = &self.sender else { return Err(Closed) };
        sender.send(item).await.map_err(|_| Closed)?;
        if goes_on {
            *self.waiting_since.lock() = Some(self.clock.monotonic());
        }
        // Last, so that whoever wakes also sees that the reader waits and can set a timer for its idleness.
        self.wake.notify_one();
        Ok(())
    }

    fn stop_waiting(&self) {
        *self.waiting_since.lock() = None;
    }
}

impl Drop for Outlet {
    /// The taker must learn of the end also when the reader panicked: close the queue, then wake.
    fn drop(&mut self) {
        self.sender = None;
        self.wake.notify_one();
    }
}
