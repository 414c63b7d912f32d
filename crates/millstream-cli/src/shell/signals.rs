//! Ctrl-C stops what runs, never the shell; SIGTERM and SIGHUP end it in an orderly way.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;

use crate::interrupt::Signal;

/// The signals that come while a statement runs.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// Set when the shell must end; the line editor looks at it too.
    pub(crate) must_end: Arc<AtomicBool>,
}

impl Signals {
    /// Starts to listen. Needs a runtime around it.
    pub(crate) fn listen() -> io::Result<Self> {
        let must_end = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            watch_for_end(Arc::clone(&must_end))?;
            Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, must_end })
        }
        #[cfg(not(unix))]
        Ok(Self { must_end })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        if self.must_end.load(Ordering::Relaxed) {
            return Signal::Terminate;
        }
        #[cfg(unix)]
        {
            tokio::select! {
                _ = self.interrupt.recv() => Signal::Interrupt,
                _ = self.terminate.recv() => Signal::Terminate,
            }
        }
        #[cfg(not(unix))]
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }

    /// Forgets a Ctrl-C that came while nothing ran.
    pub(crate) fn forget(&mut self) {
        #[cfg(unix)]
        while self.interrupt.recv().now_or_never().flatten().is_some() {}
    }
}

/// A thread of its own, because the line editor blocks the main one.
#[cfg(unix)]
fn watch_for_end(must_end: Arc<AtomicBool>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let watch = move || {
        runtime.block_on(async move {
            let (Ok(mut terminate), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else { return };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            must_end.store(true, Ordering::Relaxed);
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
}
