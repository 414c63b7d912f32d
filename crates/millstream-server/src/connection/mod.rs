//! One client: its messages in, answers out, one after the other.
//!
//! ```text
//!  Wire ──message──▶ Connection ──▶ simple.rs    Query
//!                        │      └─▶ extended.rs  Parse, Bind, Describe, Execute, Close, Sync
//!                        ▼
//!                    execute.rs (a statement) ──▶ rows.rs, copy_out.rs, copy_in.rs, cursors.rs
//! ```
//! Whatever takes time runs in [`Connection::guarded`]: a cancel request, the statement's time limit and a client that has gone end it.

mod copy_in;
mod copy_out;
mod cursors;
mod execute;
mod extended;
mod login;
mod parameters;
mod permissions;
mod returning;
mod rows;
mod send;
mod simple;
mod subscription;
mod transaction;
mod work;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millstream::Session;
use parking_lot::Mutex;

use crate::cancel::{CancelFlag, Registration};
use crate::error::{Result, WireError};
use crate::protocol::{Message, Wire, outgoing};
use crate::server::{Place, ServerState};
use crate::settings::Variables;
use extended::{Portal, Prepared};
use transaction::Transaction;

pub(crate) use login::{accept, send_away};

/// Prepared statements of a connection at most, and portals.
const NAMES_MAX: usize = 10_000;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) process: i32,
    /// May do everything.
    pub(crate) is_superuser: bool,
}

/// A client that has logged in.
pub(crate) struct Connection {
    wire: Wire,
    server: Arc<ServerState>,
    /// Queries: what the sources hold now.
    session: Session,
    /// Pipelines and subscriptions, which run on.
    streaming: Session,
    identity: Identity,
    variables: Arc<Mutex<Variables>>,
    transaction: Transaction,
    /// Rows written outside of blocks by statements that belong together: until Sync, or until the end of a text of several.
    implicit: Option<Arc<millstream::Transaction>>,
    /// Such statements are running.
    gathers: bool,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
    registration: Registration,
    /// After an error of the extended protocol, messages up to Sync are skipped.
    skips_to_sync: bool,
    /// When the running statement must be done.
    deadline: Option<Duration>,
    /// Its place among the connections that there may be.
    _place: Place,
}

impl Connection {
    /// Serves the client until it goes.
    pub(crate) async fn run(mut self) {
        outgoing::ready(&mut self.wire.output, self.transaction.status());
        if self.wire.flush().await.is_err() {
            return;
        }
        loop {
            let message = match self.next_message().await {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(error) if error.is_fatal => {
                    outgoing::error(&mut self.wire.output, &error);
                    self.wire.close().await;
                    return;
                }
                Err(error) => {
                    // A message of the extended protocol that cannot be read.
                    self.report(&error);
                    self.skips_to_sync = true;
                    if self.flush().await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            if matches!(message, Message::Terminate) {
                return;
            }
            if let Err(error) = self.answer(message).await {
                if error.sqlstate != CLIENT_GONE {
                    outgoing::error(&mut self.wire.output, &WireError { is_fatal: true, ..error });
                    self.wire.close().await;
                }
                return;
            }
        }
    }

    /// The next message; a client that keeps a transaction or session open too long is sent away.
    async fn next_message(&mut self) -> Result<Option<Message>> {
        if self.wire.output.len() > FLUSH_BYTES && self.wire.flush().await.is_err() {
            return Ok(None);
        }
        let (name, sqlstate, what) = match self.transaction.is_open() {
            true => ("idle_in_transaction_session_timeout", "25P03", "idle-in-transaction timeout"),
            false => ("idle_session_timeout", "57P05", "idle-session timeout"),
        };
        let limit = self.variables.lock().timeout(name);
        let stopping = self.server.stopping();
        tokio::pin!(stopping);
        let server = Arc::clone(&self.server);
        let wait = async {
            match limit {
                Some(limit) => server.clock.sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            message = self.wire.next() => message,
            () = &mut stopping => Err(WireError::fatal("57P01", "terminating connection due to administrator command")),
            () = wait => Err(WireError::fatal(sqlstate, format!("terminating connection due to {what}"))),
        }
    }

    /// An error means that the connection must end.
    async fn answer(&mut self, message: Message) -> Result<()> {
        if self.skips_to_sync && message.is_extended() {
            return Ok(());
        }
        match message {
            Message::Query(sql) => {
                self.skips_to_sync = false;
                self.simple_query(&sql).await?;
                self.ready().await
            }
            Message::UnreadableQuery(error) => {
                self.skips_to_sync = false;
                self.report(&error);
                self.ready().await
            }
            Message::Sync => {
                self.skips_to_sync = false;
                self.finish_gathering().await;
                if !self.transaction.is_open() {
                    self.close_portals(false);
                }
                self.ready().await
            }
            Message::Flush => self.flush().await,
            // What is left of a COPY that has failed.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()),
            Message::Password(_) => Err(WireError::protocol("a password was not asked for")),
            message => {
                self.gathers = true;
                let result = self.extended(message).await;
                match result {
                    Err(error) if !error.is_fatal => {
                        self.drop_gathered();
                        self.report(&error);
                        self.skips_to_sync = true;
                        // A client that has sent Flush and no Sync waits for it, and its Flush is skipped.
                        self.flush().await
                    }
                    result => result,
                }
            }
        }
    }

    async fn ready(&mut self) -> Result<()> {
        outgoing::ready(&mut self.wire.output, self.transaction.status());
        self.flush().await
    }

    async fn flush(&mut self) -> Result<()> {
        self.wire.flush().await.map_err(|_| gone())
    }

    /// Tells the client of an error; the transaction has failed.
    fn report(&mut self, error: &WireError) {
        self.server.metrics.note_error(self.server.clock.now(), &self.identity.user, error);
        outgoing::error(&mut self.wire.output, error);
        self.transaction.fail();
    }

    fn notice(&mut self, severity: &str, notice: &WireError) {
        outgoing::notice(&mut self.wire.output, severity, notice);
    }

    /// A statement begins: from now on it can be cancelled, and its time runs.
    fn start_statement(&mut self) {
        self.registration.flag.clear();
        let limit = self.variables.lock().timeout("statement_timeout");
        self.deadline = limit.map(|limit| self.server.clock.monotonic() + limit);
    }

    /// Runs `work` unless it is cancelled, takes too long, or the client goes.
    async fn guarded<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let guard = Guard { wire: &mut self.wire, flag: &self.registration.flag, server: &self.server, deadline: self.deadline };
        guard.run(work).await
    }
}

/// What can end a statement before it is done.
struct Guard<'a> {
    wire: &'a mut Wire,
    flag: &'a CancelFlag,
    server: &'a ServerState,
    deadline: Option<Duration>,
}

impl Guard<'_> {
    async fn run<T>(self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let late = async {
            match self.deadline {
                Some(deadline) => self.server.clock.sleep(deadline.saturating_sub(self.server.clock.monotonic())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.flag.wait() => Err(WireError::canceled("user request")),
            () = late => Err(WireError::canceled("statement timeout")),
            () = self.server.stopping() => Err(WireError::fatal("57P01", "terminating connection due to administrator command")),
            result = work => result,
            () = self.wire.gone() => Err(gone()),
        }
    }
}

/// Output is sent when so much of it has gathered, or when there is nothing to do but wait.
const FLUSH_BYTES: usize = 64 << 10;

const CLIENT_GONE: &str = "08006";

fn gone() -> WireError {
    WireError::fatal(CLIENT_GONE, "the client has gone")
}
