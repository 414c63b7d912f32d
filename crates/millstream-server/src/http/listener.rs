//! The sockets of HTTP: so many at once, none idle for long, with TLS where others can reach them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::{Lobby, spawn};

/// Sockets at once at most; more wait until there is room.
const SOCKETS_MAX: usize = 256;

/// A socket on which nothing has come or gone for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(75);

/// How long a client may take to begin TLS.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// What axum accepts from.
pub(super) struct Bounded {
    address: io::Result<SocketAddr>,
    ready: mpsc::Receiver<(Socket, SocketAddr)>,
}

impl Bounded {
    pub(super) fn new(socket: TcpListener, lobby: Arc<Lobby>) -> Self {
        let address = socket.local_addr();
        let (sender, ready) = mpsc::channel(1);
        drop(spawn(accept_all(socket, lobby, sender)));
        Self { address, ready }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The server stops; axum is told so too.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.address.as_ref().copied().map_err(|error| error.kind().into())
    }
}

async fn accept_all(socket: TcpListener, lobby: Arc<Lobby>, ready: mpsc::Sender<(Socket, SocketAddr)>) {
    let places = Arc::new(Semaphore::new(SOCKETS_MAX));
    let is_public = socket.local_addr().is_ok_and(|address| !address.ip().is_loopback());
    let tls = lobby.tls.clone().filter(|_| is_public);
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = lobby.stopping() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => drop(spawn(hand_over(Arc::clone(&lobby), tls.clone(), stream, address, place, ready.clone()))),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client of HTTP");
                lobby.clock.sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Begins TLS, if there is any, and gives the socket to axum.
async fn hand_over(
    lobby: Arc<Lobby>,
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    ready: mpsc::Sender<(Socket, SocketAddr)>,
) {
    // Without it answers are slower, not wrong.
    let _ = stream.set_nodelay(true);
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(tls) => tokio::select! {
            encrypted = tls.accept(stream) => match encrypted {
                Ok(encrypted) => Stream::Tls(Box::new(encrypted)),
                Err(error) => return tracing::debug!(%error, %address, "no TLS with a client of HTTP"),
            },
            () = lobby.clock.sleep(HANDSHAKE_MAX) => return,
        },
    };
    let socket = Socket { stream, idle: IdleTime { lobby, timer: None }, _place: place };
    // If axum is gone the server stops.
    let _ = ready.send((socket, address)).await;
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A socket that ends when nothing happens on it.
pub(super) struct Socket {
    stream: Stream,
    idle: IdleTime,
    _place: OwnedSemaphorePermit,
}

/// Runs while a read or write waits.
struct IdleTime {
    lobby: Arc<Lobby>,
    timer: Option<BoxFuture<'static, ()>>,
}

impl IdleTime {
    /// What a read or write has come to; an error if it has waited for too long.
    fn judge<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.timer = None;
            return polled;
        }
        let clock = Arc::clone(&self.lobby.clock);
        let timer = self.timer.get_or_insert_with(|| Box::pin(async move { clock.sleep(IDLE_MAX).await }));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        self.idle.judge(polled, cx)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.idle.judge(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
