//! One connection: made within a time, its notices kept, its end remembered.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use millstream_time::{Clock, SystemClock};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, CancelToken, Client};

use super::Shared;
use super::address::Address;
use super::error::chain;
use super::tls::Tls;
use crate::shell::backend::Notice;

/// A server that is starting is asked again after so long.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Notices that are kept until somebody looks.
const NOTICES_MAX: usize = 200;

/// A server that can be connected to.
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) tls: Tls,
    pub(super) clock: SystemClock,
    pub(super) runtime: Handle,
}

/// A connection.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) end: LinkEnd,
}

/// How a connection has ended, if it has.
#[derive(Clone)]
pub(super) struct LinkEnd {
    /// The server.
    pub(super) to: String,
    pub(super) reason: Shared<Option<String>>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct ConnectError {
    /// Complete.
    pub(super) message: String,
    pub(super) needs_password: bool,
    pub(super) is_starting: bool,
}

impl Server {
    /// Makes a connection. Its notices go to `notices`. A server that says that it is starting is asked again, as long as one that says
    /// nothing is waited for.
    pub(super) async fn connect(&self, notices: &Notices) -> Result<Link, ConnectError> {
        let deadline = self.clock.monotonic() + self.address.within;
        loop {
            match self.connect_once(notices).await {
                Err(ConnectError { is_starting: true, .. }) if self.clock.monotonic() < deadline => self.clock.sleep(ASK_AGAIN_AFTER).await,
                other => return other,
            }
        }
    }

    async fn connect_once(&self, notices: &Notices) -> Result<Link, ConnectError> {
        let to = &self.address.shown;
        let connected = tokio::select! {
            connected = self.address.config.connect(self.tls.clone()) => connected,
            () = self.clock.sleep(self.address.within) => {
                let message = format!("{to} does not answer within {} s", self.address.within.as_secs());
                return Err(ConnectError { message: format!("{message} (hint: is 'millstream serve' running there?)"), needs_password: false, is_starting: false });
            }
        };
        let (client, mut connection) = connected.map_err(|error| self.refused(&error))?;
        let end = LinkEnd { to: to.clone(), reason: Arc::default() };
        let (reason, notices) = (Arc::clone(&end.reason), notices.clone());
        self.runtime.spawn(async move {
            loop {
                match poll_fn(|cx| connection.poll_message(cx)).await {
                    Some(Ok(AsyncMessage::Notice(notice))) => notices.push(match notice.severity() {
                        "WARNING" => Notice::Warning(notice.message().to_owned()),
                        _ => Notice::Note(notice.message().to_owned()),
                    }),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        *reason.lock() = Some(chain(&error));
                        return;
                    }
                    None => return,
                }
            }
        });
        Ok(Link { client, end })
    }

    fn refused(&self, error: &tokio_postgres::Error) -> ConnectError {
        let (to, user) = (&self.address.shown, self.address.user());
        if let Some(told) = error.as_db_error() {
            let hint = told.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
            let message = format!("{to} refuses {user}: {} (SQLSTATE {}){hint}", told.message(), told.code().code());
            let is_starting = *told.code() == SqlState::CANNOT_CONNECT_NOW;
            return ConnectError { message, needs_password: false, is_starting };
        }
        let reason = chain(error);
        let needs_password = reason.contains("password missing");
        let message = match needs_password {
            true => format!("{to} asks {user} for a password (hint: MILLSTREAM_PASSWORD or PGPASSWORD in the environment holds it)"),
            false => {
                let is_tls = reason.contains("TLS");
                let hint = if is_tls { "sslmode=… in the address chooses TLS" } else { "is 'millstream serve' running there?" };
                format!("cannot connect to {to}: {reason} (hint: {hint})")
            }
        };
        ConnectError { message, needs_password, is_starting: false }
    }

    /// What can stop the statements of a connection.
    pub(super) fn canceller(self: &Arc<Self>, link: &Link) -> Canceller {
        Canceller { token: link.client.cancel_token(), server: Arc::clone(self) }
    }
}

/// Sends cancel requests.
#[derive(Clone)]
pub(super) struct Canceller {
    token: CancelToken,
    server: Arc<Server>,
}

impl Canceller {
    /// Sends a request; does not wait for it.
    pub(super) fn cancel(&self) {
        let (token, server) = (self.token.clone(), Arc::clone(&self.server));
        self.server.runtime.spawn(async move {
            tokio::select! {
                // If it does not get there, nothing else would.
                _ = token.cancel_query(server.tls.clone()) => {}
                () = server.clock.sleep(server.address.within) => {}
            }
        });
    }
}

/// What a server has told beside its answers.
#[derive(Clone, Default)]
pub(super) struct Notices(Arc<Mutex<VecDeque<Notice>>>);

impl Notices {
    pub(super) fn push(&self, notice: Notice) {
        let mut notices = self.0.lock();
        if notices.len() < NOTICES_MAX {
            notices.push_back(notice);
        }
    }

    pub(super) fn take(&self) -> Vec<Notice> {
        self.0.lock().drain(..).collect()
    }
}
