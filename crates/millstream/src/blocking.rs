//! The door for work that keeps a thread busy: reading files, encoding a checkpoint, merging layers.
//!
//! It goes to threads of its own, so that the runtime's stay free; in a simulation it is done on the spot, because there one thread
//! does everything and a seed decides what happens next.

use crate::error::{Error, Result};

/// Where blocking work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocking {
    /// On threads of its own.
    Threads,
    /// By whoever asks for it.
    OnTheSpot,
}

impl Blocking {
    /// As [`Settings::background_threads`](crate::Settings::background_threads) says.
    pub(crate) fn of(background_threads: bool) -> Self {
        if background_threads { Self::Threads } else { Self::OnTheSpot }
    }

    /// Does `work` and waits for it. `Err`: it panicked, or the runtime ends.
    pub(crate) async fn run<T: Send + 'static>(self, what: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        match self {
            Self::OnTheSpot => Ok(work()),
            Self::Threads => {
                let done = tokio::task::spawn_blocking(work).await;
                done.map_err(|error| Error::internal(format!("{what} ended: {error}")))
            }
        }
    }

    /// Starts `work`, which may block between its await points. Nobody waits for it.
    #[expect(clippy::disallowed_methods, reason = "this crate is the spawner of tasks")]
    pub(crate) fn start(self, work: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::OnTheSpot => drop(tokio::spawn(work)),
            Self::Threads => {
                let runtime = tokio::runtime::Handle::current();
                drop(tokio::task::spawn_blocking(move || runtime.block_on(work)));
            }
        }
    }
}
