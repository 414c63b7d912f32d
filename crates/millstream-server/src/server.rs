//! Listening: accepts clients of both protocols until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millstream::{Clock, Engine, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::cancel::Cancellations;
use crate::catalog::DeclaredTables;
use crate::config::ServerConfig;
use crate::error::{Result, WireError};
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

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    state: Arc<ServerState>,
    pg: Option<SocketAddr>,
    http: Option<SocketAddr>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Server {
    /// Starts to listen, as `config` says.
    ///
    /// # Errors
    /// An address that is taken, or that others can reach without anything that protects it; certificates that cannot be used.
    pub async fn start(engine: Engine, config: ServerConfig) -> Result<Self> {
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Some(tls::acceptor(cert, key)?),
            (None, None) => None,
            _ => {
                return Err(
                    WireError::new("22023", "a certificate needs its key, and a key its certificate").with_hint("--tls-cert and --tls-key")
                );
            }
        };
        for (address, what) in [(config.pg, "--pg"), (config.http, "--http")] {
            if let Some(address) = address {
                check_address(address, &config, what)?;
            }
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let (pg, http) = (listen(config.pg).await?, listen(config.http).await?);
        let state = Arc::new(ServerState {
            engine,
            roles: Roles::new(&config)?,
            config,
            started_ms: clock.now(),
            clock,
            tls,
            cancellations: Arc::default(),
            metrics: Metrics::default(),
            declared: DeclaredTables::default(),
            open: Arc::default(),
            stop: watch::Sender::new(false),
        });
        let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let mut server = Self { pg: address(&pg), http: address(&http), state: Arc::clone(&state), tasks: Vec::new() };
        if let Some(listener) = pg {
            server.tasks.push(spawn(accept_clients(Arc::clone(&state), listener)));
        }
        if let Some(listener) = http {
            server.tasks.push(spawn(http::serve(state, listener)));
        }
        Ok(server)
    }

    /// Where the Postgres protocol is spoken.
    pub fn pg_address(&self) -> Option<SocketAddr> {
        self.pg
    }

    /// Where HTTP is spoken.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Stops listening, ends all sessions, and waits until they have ended.
    pub async fn stop(self) {
        self.state.stop.send_replace(true);
        for task in self.tasks {
            // One that panicked has stopped too.
            let _ = task.await;
        }
        let deadline = self.state.clock.monotonic() + Duration::from_millis(STOP_MS_MAX);
        while self.state.open_connections() > 0 && self.state.clock.monotonic() < deadline {
            self.state.clock.sleep(Duration::from_millis(10)).await;
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

async fn accept_clients(state: Arc<ServerState>, listener: TcpListener) {
    loop {
        tokio::select! {
            () = state.stopping() => return,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => drop(spawn(connection::accept(Arc::clone(&state), socket))),
                Err(error) => {
                    // Too many open files, usually: others end, then there is room again.
                    tracing::warn!(%error, "cannot accept a client");
                    state.clock.sleep(Duration::from_millis(100)).await;
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
