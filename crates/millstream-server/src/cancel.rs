//! CancelRequest: another connection names a process and its secret, and what that process does stops.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Tells a connection to stop its statement.
#[derive(Debug, Default)]
pub(crate) struct CancelFlag {
    is_set: AtomicBool,
    notify: Notify,
}

impl CancelFlag {
    /// A statement begins: what was asked before it does not concern it.
    pub(crate) fn clear(&self) {
        self.is_set.store(false, Ordering::SeqCst);
    }

    pub(crate) fn set(&self) {
        self.is_set.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
        self.notify.notify_one();
    }

    /// Returns once it is set.
    pub(crate) async fn wait(&self) {
        loop {
            let notified = self.notify.notified();
            if self.is_set.load(Ordering::SeqCst) {
                return;
            }
            notified.await;
        }
    }
}

/// The connections that can be told.
#[derive(Debug, Default)]
pub(crate) struct Cancellations {
    next: AtomicI32,
    by_process: Mutex<HashMap<i32, (i32, Arc<CancelFlag>)>>,
}

/// A connection's place among them; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    all: Arc<Cancellations>,
    pub(crate) process: i32,
    pub(crate) secret: i32,
    pub(crate) flag: Arc<CancelFlag>,
}

impl Cancellations {
    /// A new process number with a secret.
    pub(crate) fn register(self: &Arc<Self>, secret: i32) -> Registration {
        let process = self.next.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & i32::MAX;
        let flag = Arc::new(CancelFlag::default());
        self.by_process.lock().insert(process, (secret, Arc::clone(&flag)));
        Registration { all: Arc::clone(self), process, secret, flag }
    }

    /// Cancels, if the secret is right. Says nothing about whether it was.
    pub(crate) fn cancel(&self, process: i32, secret: i32) {
        let found = self.by_process.lock().get(&process).cloned();
        if let Some((right, flag)) = found
            && right == secret
        {
            flag.set();
        }
    }

    /// Cancels on the word of a session (`pg_cancel_backend`); false: there is no such process.
    pub(crate) fn cancel_process(&self, process: i32) -> bool {
        let found = self.by_process.lock().get(&process).cloned();
        found.inspect(|(_, flag)| flag.set()).is_some()
    }

    pub(crate) fn processes(&self) -> Vec<i32> {
        self.by_process.lock().keys().copied().collect()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.all.by_process.lock().remove(&self.process);
    }
}
