//! Listening: accepts clients of both protocols until it is told to stop.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millstream::{Clock, Engine, SystemClock};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::cancel::Cancellations;
use crate::catalog::DeclaredTables;
use crate::config::ServerConfig;
use crate::error::{Result, WireError};
use crate::http::History;
use crate::metrics::Metrics;
use crate::security::{Roles, check_address, tls};
use crate::{connection, http};

/// How long connections may take to end when the server stops.
const STOP_MS_MAX: u64 = 5_000;

/// What all connections share.
pub(crate) struct ServerState {
    pub(crate) engine: Engine,
    pub(crate) config: ServerConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) roles: Roles,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) cancellations: Arc<Cancellations>,
    pub(crate) metrics: Metrics,
    /// What tables declare of their columns.
    pub(crate) declared: DeclaredTables,
    pub(crate) started_ms: i64,
    /// Held while a password is checked for HTTP.
    pub(crate) password_turn: tokio::sync::Mutex<()>,
    /// What the page draws.
    pub(crate) history: History,
    open: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
}

impl std::fmt::Debug for ServerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerState").field("open", &self.open).finish_non_exhaustive()
    }
}

/// A connection's place; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ServerState {
    /// A place for one more connection.
    pub(crate) fn enter(&self) -> Result<Place> {
        let taken = self.open.fetch_add(1, Ordering::SeqCst);
        let place = Place(Arc::clone(&self.open));
        if taken >= self.config.connections_max {
            self.metrics.refused.fetch_add(1, Ordering::Relaxed);
            return Err(WireError::fatal("53300", "sorry, too many clients already"));
        }
        self.metrics.connections.fetch_add(1, Ordering::Relaxed);
        Ok(place)
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Returns when the server stops.
    pub(crate) async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // The sender is ours: it cannot be gone.
        let _ = stop.wait_for(|stops| *stops).await;
    }
}

/// What listens, and what it serves once there is an engine: HTTP answers from the beginning, with 503 until then, and clients of
/// PostgreSQL are told to come again.
pub(crate) struct Lobby {
    pub(crate) config: ServerConfig,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) clock: Arc<dyn Clock>,
    roles: Mutex<Option<Roles>>,
    served: OnceLock<Arc<ServerState>>,
    stop: watch::Sender<bool>,
}

impl Lobby {
    /// The server, if the engine is there.
    pub(crate) fn served(&self) -> Option<&Arc<ServerState>> {
        self.served.get()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Returns when the server stops.
    pub(crate) async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // The sender is ours: it cannot be gone.
        let _ = stop.wait_for(|stops| *stops).await;
    }
}

/// Addresses that are taken, before there is an engine to serve.
pub struct Listening {
    lobby: Arc<Lobby>,
    pg: Option<SocketAddr>,
    http: Option<SocketAddr>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("pg", &self.pg).field("http", &self.http).finish_non_exhaustive()
    }
}

impl Listening {
    /// Takes the addresses of `config` and answers there that the engine is on its way.
    ///
    /// # Errors
    /// An address that is taken, or that others can reach without anything that protects it; certificates that cannot be used.
    pub async fn start(config: ServerConfig) -> Result<Self> {
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Some(tls::acceptor(cert, key)?),
            (None, None) => None,
            _ => {
                return Err(
                    WireError::new("22023", "a certificate needs its key, and a key its certificate").with_hint("--tls-cert and --tls-key")
                );
            }
        };
        let roles = Roles::new(&config)?;
        for (address, what) in [(config.pg, "--pg"), (config.http, "--http")] {
            if let Some(address) = address {
                check_address(address, &config, roles.asks_for_passwords(), what)?;
            }
        }
        let (pg, http) = (listen(config.pg).await?, listen(config.http).await?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let stop = watch::Sender::new(false);
        let lobby = Arc::new(Lobby { config, tls, clock, roles: Mutex::new(Some(roles)), served: OnceLock::new(), stop });
        let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let mut listening = Self { pg: address(&pg), http: address(&http), lobby: Arc::clone(&lobby), tasks: Vec::new() };
        if let Some(listener) = pg {
            listening.tasks.push(spawn(accept_clients(Arc::clone(&lobby), listener)));
        }
        if let Some(listener) = http {
            listening.tasks.push(spawn(http::serve(lobby, listener)));
        }
        Ok(listening)
    }

    /// Where HTTP is spoken.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where the Postgres protocol is spoken.
    pub fn pg_address(&self) -> Option<SocketAddr> {
        self.pg
    }

    /// Serves `engine` from now on.
    pub fn serve(self, engine: Engine) -> Server {
        let lobby = &self.lobby;
        let roles = lobby.roles.lock().take();
        if let Some(roles) = roles {
            let state = Arc::new(ServerState {
                engine,
                roles,
                config: lobby.config.clone(),
                started_ms: lobby.clock.now(),
                clock: Arc::clone(&lobby.clock),
                tls: lobby.tls.clone(),
                cancellations: Arc::default(),
                metrics: Metrics::default(),
                declared: DeclaredTables::default(),
                password_turn: tokio::sync::Mutex::default(),
                history: History::default(),
                open: Arc::default(),
                stop: lobby.stop.clone(),
            });
            // The roles were there, so nobody has set it yet.
            let _ = lobby.served.set(state);
        }
        Server { listening: self }
    }

    /// Stops listening: there will be no engine.
    pub async fn stop(self) {
        self.lobby.stop.send_replace(true);
        for task in self.tasks {
            // One that panicked has stopped too.
            let _ = task.await;
        }
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listening: Listening,
}

impl Server {
    /// Starts to listen, as `config` says.
    ///
    /// # Errors
    /// See [`Listening::start`].
    pub async fn start(engine: Engine, config: ServerConfig) -> Result<Self> {
        Ok(Listening::start(config).await?.serve(engine))
    }

    /// Where the Postgres protocol is spoken.
    pub fn pg_address(&self) -> Option<SocketAddr> {
        self.listening.pg
    }

    /// Where HTTP is spoken.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.listening.http
    }

    /// Stops listening, ends all sessions, and waits until they have ended.
    pub async fn stop(self) {
        let lobby = Arc::clone(&self.listening.lobby);
        self.listening.stop().await;
        let Some(state) = lobby.served() else { return };
        let deadline = state.clock.monotonic() + Duration::from_millis(STOP_MS_MAX);
        while state.open_connections() > 0 && state.clock.monotonic() < deadline {
            state.clock.sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => Err(WireError::new("58030", format!("cannot listen on {address}: {error}"))),
    }
}

async fn accept_clients(lobby: Arc<Lobby>, listener: TcpListener) {
    loop {
        tokio::select! {
            () = lobby.stopping() => return,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => match lobby.served() {
                    Some(state) => drop(spawn(connection::accept(Arc::clone(state), socket))),
                    None => drop(spawn(connection::send_away(Arc::clone(&lobby), socket))),
                },
                Err(error) => {
                    // Too many open files, usually: others end, then there is room again.
                    tracing::warn!(%error, "cannot accept a client");
                    lobby.clock.sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

/// A task of the server.
#[expect(clippy::disallowed_methods, reason = "one task a connection; the engine's tasks are the engine's")]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(future)
}
