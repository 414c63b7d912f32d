//! All connections of a socket source as one lane: whatever arrives next.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use millstream_time::Clock;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::config::{Mode, SocketConfig};
use crate::error::{ConnectorError, Result};
use crate::format::buffer::{LineBuffer, Step};
use crate::format::lines::{DecodedLines, LineDecoder};
use crate::source::{Lane, LaneBatch, Position, Read};

/// Bytes taken from a peer at once.
const CHUNK_BYTES: usize = 64 << 10;

pub(super) struct SocketLane {
    config: Arc<SocketConfig>,
    decoder: LineDecoder,
    clock: Arc<dyn Clock>,
    listener: Option<TcpListener>,
    peers: Vec<Peer>,
    /// Whose turn it is, so that a busy peer does not starve the others.
    turn: usize,
    rows: u64,
}

/// One connection.
struct Peer {
    name: String,
    stream: TcpStream,
    buffer: LineBuffer,
    line: u64,
}

/// What happened on the wire.
enum Event {
    Connected(TcpStream, String),
    /// Bytes or an end at this peer.
    Input(usize),
}

impl SocketLane {
    pub(super) async fn open(config: Arc<SocketConfig>, decoder: LineDecoder, clock: Arc<dyn Clock>, rows: u64) -> Result<Self> {
        let mut lane = Self { config, decoder, clock, listener: None, peers: Vec::new(), turn: 0, rows };
        match lane.config.mode {
            Mode::Listen { .. } => {
                let address = lane.config.address();
                let listener = TcpListener::bind(&address).await;
                lane.listener = Some(listener.map_err(|error| cannot_listen(&address, error))?);
            }
            Mode::Connect { reconnect: None } => lane.connect().await?,
            // A first attempt that fails is one of many: made in `read`.
            Mode::Connect { reconnect: Some(_) } => {}
        }
        Ok(lane)
    }

    async fn connect(&mut self) -> Result<()> {
        let address = self.config.address();
        let stream = TcpStream::connect(&address).await.map_err(|error| cannot_connect(&address, &error))?;
        self.peers.push(Peer::new(stream, address));
        Ok(())
    }

    /// A connection that may bring something; `false`: there will be none.
    async fn ensure_connected(&mut self) -> Result<bool> {
        let Mode::Connect { reconnect } = self.config.mode else { return Ok(true) };
        while self.peers.is_empty() {
            let Some(wait) = reconnect else { return Ok(false) };
            if let Err(error) = self.connect().await {
                tracing::warn!(%error, ?wait, "no connection, trying again");
                self.clock.sleep(wait).await;
            }
        }
        Ok(true)
    }

    /// Rows that have arrived already, of the peer whose turn it is.
    fn decode(&mut self, rows_max: usize) -> Result<Option<LaneBatch>> {
        let mut left = self.peers.len();
        while left > 0 {
            left -= 1;
            let idx = self.turn % self.peers.len();
            let peer = &mut self.peers[idx];
            let (name, line) = (&peer.name, peer.line);
            let place = |nth: u64| format!("{name} line {}", line + nth + 1);
            match peer.buffer.decode(&mut self.decoder, rows_max, place)? {
                Step::Rows(decoded) => {
                    peer.line += decoded.lines;
                    if decoded.rows.num_rows() > 0 || !decoded.rejected.is_empty() {
                        self.turn = idx + 1;
                        return Ok(Some(self.batch(decoded)));
                    }
                    left += 1; // blank lines, or a piece of a long one: the same peer again
                }
                Step::Starved => self.turn = idx + 1,
                Step::End => {
                    // The next peer takes its place.
                    self.peers.remove(idx);
                    self.turn = idx;
                }
            }
        }
        Ok(None)
    }

    fn batch(&mut self, decoded: DecodedLines) -> LaneBatch {
        self.rows += (decoded.rows.num_rows() + decoded.rejected.len()) as u64;
        LaneBatch {
            rows: decoded.rows,
            position: Position(json!({ "row": self.rows })),
            rejected: decoded.rejected,
            bytes_read: decoded.consumed as u64,
        }
    }

    /// Waits for a client or for input.
    async fn wait(&mut self) -> Result<()> {
        let room = match self.config.mode {
            Mode::Listen { clients_max } => self.peers.len() < clients_max,
            Mode::Connect { .. } => false,
        };
        let (listener, peers, turn) = (self.listener.as_ref().filter(|_| room), self.peers.as_slice(), self.turn);
        let event = poll_fn(|cx| poll_event(listener, peers, turn, cx)).await;
        match event.map_err(|error| ConnectorError::io(format!("cannot accept clients at {}", self.config.address()), error))? {
            Event::Connected(stream, name) => self.peers.push(Peer::new(stream, name)),
            Event::Input(idx) => self.peers[idx].receive(),
        }
        Ok(())
    }
}

fn poll_event(listener: Option<&TcpListener>, peers: &[Peer], turn: usize, cx: &mut Context<'_>) -> Poll<io::Result<Event>> {
    if let Some(Poll::Ready(accepted)) = listener.map(|listener| listener.poll_accept(cx)) {
        return Poll::Ready(accepted.map(|(stream, address)| Event::Connected(stream, address.to_string())));
    }
    for nth in 0..peers.len() {
        let idx = (turn + nth) % peers.len();
        // An error shows when we read.
        if peers[idx].stream.poll_read_ready(cx).is_ready() {
            return Poll::Ready(Ok(Event::Input(idx)));
        }
    }
    Poll::Pending
}

impl Peer {
    fn new(stream: TcpStream, name: String) -> Self {
        Self { name, stream, buffer: LineBuffer::with_chunk(CHUNK_BYTES), line: 0 }
    }

    /// Takes what has arrived. A broken connection ends like a closed one: what came before is complete lines or is said to be bad.
    fn receive(&mut self) {
        struct Ready<'a>(&'a TcpStream);
        impl io::Read for Ready<'_> {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                self.0.try_read(bytes)
            }
        }
        match self.buffer.fill(Ready(&self.stream)) {
            Ok(0) => self.buffer.finish(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!(peer = %self.name, %error, "connection broke");
                self.buffer.finish();
            }
        }
    }
}

#[async_trait]
impl Lane for SocketLane {
    async fn read(&mut self, rows_max: usize) -> Result<Read> {
        loop {
            if let Some(batch) = self.decode(rows_max)? {
                return Ok(Read::Batch(batch));
            }
            if !self.ensure_connected().await? {
                return Ok(Read::Finished);
            }
            self.wait().await?;
        }
    }
}

fn cannot_connect(address: &str, error: &io::Error) -> ConnectorError {
    let port = address.rsplit(':').next().unwrap_or_default();
    let hint = match error.kind() {
        ErrorKind::ConnectionRefused => format!("nobody listens there: try `nc -lk {port}`, or 'reconnect' = '1s' to wait for it"),
        _ => "check 'hostname' and 'port'; 'reconnect' = '1s' tries again and again".to_owned(),
    };
    ConnectorError::io(format!("cannot connect to {address}"), io::Error::new(error.kind(), format!("{error} (hint: {hint})")))
}

fn cannot_listen(address: &str, error: io::Error) -> ConnectorError {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => "another process listens there: choose another 'port'",
        ErrorKind::PermissionDenied => "ports below 1024 are reserved: choose another 'port'",
        _ => "'hostname' must be an address of this machine, such as localhost or 0.0.0.0",
    };
    ConnectorError::io(format!("cannot listen at {address}"), io::Error::new(error.kind(), format!("{error} (hint: {hint})")))
}
