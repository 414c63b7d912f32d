//! Finds lanes that appear after the start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millstream_connectors::LaneId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::reader::ReaderContext;

/// New lanes that wait to be taken at most.
const LANES_AHEAD: usize = 16;

/// A lane that was not there before.
#[derive(Debug)]
pub(super) struct NewLane {
    /// Index of its source.
    pub(super) source: usize,
    pub(super) id: LaneId,
}

/// Asks sources for new lanes from time to time. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Discovery {
    tasks: JoinSet<()>,
    interval: Duration,
    sender: mpsc::Sender<NewLane>,
    found: mpsc::Receiver<NewLane>,
}

impl Discovery {
    pub(super) fn new(interval: Duration) -> Self {
        let (sender, found) = mpsc::channel(LANES_AHEAD);
        Self { tasks: JoinSet::new(), interval, sender, found }
    }

    /// Watches a source that has the lanes `known` by now.
    pub(super) fn watch(&mut self, source: usize, context: &ReaderContext, known: BTreeSet<LaneId>) {
        let watched = Watched { source, context: context.clone(), known, sender: self.sender.clone() };
        self.tasks.spawn(watched.run(self.interval));
    }

    /// The next new lane, if there is one.
    pub(super) fn take(&mut self) -> Option<NewLane> {
        self.found.try_recv().ok()
    }
}

struct Watched {
    source: usize,
    context: ReaderContext,
    known: BTreeSet<LaneId>,
    sender: mpsc::Sender<NewLane>,
}

impl Watched {
    async fn run(mut self, interval: Duration) {
        let clock = Arc::clone(&self.context.clock);
        loop {
            clock.sleep(interval).await;
            let lanes = match self.context.source.lanes().await {
                Ok(lanes) => lanes,
                Err(error) => {
                    // The lanes that are known are read on; if the outside is really gone, they fail by themselves.
                    tracing::warn!(table = self.context.table, %error, "could not look for new lanes; trying again later");
                    continue;
                }
            };
            for id in lanes {
                if self.known.insert(id.clone()) {
                    if self.sender.send(NewLane { source: self.source, id }).await.is_err() {
                        return;
                    }
                    self.context.wake.notify_one();
                }
            }
        }
    }
}
