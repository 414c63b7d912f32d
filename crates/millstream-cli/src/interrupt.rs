//! Ctrl-C and SIGTERM: the first asks the program to stop gracefully, the second ends it at once.
//!
//! A thread of its own listens, so that a second Ctrl-C works even while the main thread is stuck writing to a slow reader.

use std::future::pending;
use std::io;
use std::process;
use std::thread;

use tokio::sync::watch;

/// What asked the program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A service manager, or `kill`.
    Terminate,
}

impl Signal {
    /// 128 + the signal's number, as shells have it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Hears of the first signal.
#[derive(Debug, Clone)]
pub(crate) struct Interrupts {
    first: watch::Receiver<Option<Signal>>,
}

impl Interrupts {
    /// Starts to listen.
    pub(crate) fn listen() -> io::Result<Self> {
        let (sender, first) = watch::channel(None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(pass_on(&sender)))?;
        Ok(Self { first })
    }

    /// The signal that has come, if one has.
    pub(crate) fn received(&self) -> Option<Signal> {
        *self.first.borrow()
    }

    /// Returns when a signal comes, or at once if one has come.
    pub(crate) async fn wait(&mut self) -> Signal {
        let signal = match self.first.wait_for(Option::is_some).await {
            Ok(signal) => *signal,
            Err(_) => None,
        };
        match signal {
            Some(signal) => signal,
            // The listening thread is gone (no handlers could be set): nothing will ever come.
            None => pending().await,
        }
    }
}

async fn pass_on(sender: &watch::Sender<Option<Signal>>) {
    let Ok(mut signals) = Signals::new() else {
        tracing::warn!("cannot listen for signals: Ctrl-C will end the program without a graceful stop");
        return;
    };
    sender.send_replace(Some(signals.next().await));
    let second = signals.next().await;
    process::exit(i32::from(second.exit_code()));
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => pending().await,
        }
    }
}
