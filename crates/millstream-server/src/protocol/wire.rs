//! A socket with buffers on both sides.
//!
//! Reading is cancel-safe, so a connection can wait for rows, for a cancel request and for the client at the same time: a client that
//! has gone is noticed while its query runs.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::incoming::Message;
use super::startup::{Opening, STARTUP_BYTES_MAX};
use crate::error::{Result, WireError};
use crate::server::ServerState;

/// Bytes that are read at once.
const READ_BYTES: usize = 16 << 10;

/// What a client may send ahead while its statement runs.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// Memory that an idle connection keeps for output.
const OUTPUT_BYTES_KEPT: usize = 256 << 10;

/// A connection's socket.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Taken by somebody else.
    Taken,
}

/// A socket with buffers.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    input: BytesMut,
    /// Messages on their way out; [`flush`](Self::flush) sends them.
    pub(crate) output: BytesMut,
    message_bytes_max: usize,
}

impl Wire {
    pub(crate) fn new(stream: Stream, message_bytes_max: usize) -> Self {
        Self { stream, input: BytesMut::new(), output: BytesMut::new(), message_bytes_max }
    }

    /// The whole of it; what stays behind is of no use.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self::new(Stream::Taken, self.message_bytes_max);
        std::mem::replace(self, empty)
    }

    /// Answers a request for TLS and begins it.
    pub(crate) async fn encrypt(&mut self, server: &ServerState) -> Result<()> {
        let Some(acceptor) = &server.tls else { return Err(WireError::protocol("there is no TLS here")) };
        self.answer(b'S').await?;
        // Whoever sends more in plain text before TLS begins is up to no good.
        if !self.input.is_empty() {
            return Err(WireError::protocol("received unencrypted data after SSL request"));
        }
        let Stream::Plain(socket) = std::mem::replace(&mut self.stream, Stream::Taken) else {
            return Err(WireError::protocol("TLS was begun already"));
        };
        let encrypted = acceptor.accept(socket).await?;
        self.stream = Stream::Tls(Box::new(encrypted));
        Ok(())
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Sends what was written. Cancel-safe: what is not sent yet stays.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        while !self.output.is_empty() {
            let sent = match &mut self.stream {
                Stream::Plain(stream) => stream.write(&self.output).await?,
                Stream::Tls(stream) => stream.write(&self.output).await?,
                Stream::Taken => return Err(io::ErrorKind::NotConnected.into()),
            };
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.output.advance(sent);
        }
        if let Stream::Tls(stream) = &mut self.stream {
            stream.flush().await?;
        }
        // A large result must not keep its memory for the life of the connection.
        if self.output.capacity() > OUTPUT_BYTES_KEPT {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Sends one byte that is no message.
    pub(crate) async fn answer(&mut self, byte: u8) -> io::Result<()> {
        self.output.extend_from_slice(&[byte]);
        self.flush().await
    }

    /// Ends it from this side.
    pub(crate) async fn close(&mut self) {
        // The client may have gone first.
        let _ = self.flush().await;
        let _ = match &mut self.stream {
            Stream::Plain(stream) => stream.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
            Stream::Taken => Ok(()),
        };
    }

    /// Reads what is there. `false`: the client has gone.
    async fn fill(&mut self) -> io::Result<bool> {
        self.input.reserve(READ_BYTES);
        let count = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.input).await?,
            Stream::Tls(stream) => stream.read_buf(&mut self.input).await?,
            Stream::Taken => return Ok(false),
        };
        Ok(count > 0)
    }

    /// Returns when the client has gone; reads ahead meanwhile. Cancel-safe.
    pub(crate) async fn gone(&mut self) {
        while self.input.len() < AHEAD_BYTES_MAX {
            match self.fill().await {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
        }
        std::future::pending().await
    }

    /// The next message; `None` if the client has gone. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            if let Some((kind, body)) = self.take_frame(1, self.message_bytes_max)? {
                return Message::read(kind, body).map(Some);
            }
            match self.fill().await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Ok(None),
            }
        }
    }

    /// The first message, which has no kind.
    pub(crate) async fn opening(&mut self) -> Result<Option<Opening>> {
        loop {
            if let Some((_, body)) = self.take_frame(0, STARTUP_BYTES_MAX)? {
                return Opening::read(body).map_err(|error| WireError { is_fatal: true, ..error }).map(Some);
            }
            match self.fill().await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Ok(None),
            }
        }
    }

    /// A whole frame, if it is there: `kind_bytes`, a length that counts itself, the body.
    fn take_frame(&mut self, kind_bytes: usize, bytes_max: usize) -> Result<Option<(u8, Bytes)>> {
        let head = kind_bytes + 4;
        if self.input.len() < head {
            return Ok(None);
        }
        let mut length = [0; 4];
        length.copy_from_slice(&self.input[kind_bytes..head]);
        let kind = if kind_bytes == 1 { self.input[0] } else { 0 };
        let length = u32::from_be_bytes(length) as usize;
        if length < 4 {
            return Err(WireError::protocol("invalid message length"));
        }
        if length > bytes_max {
            return Err(WireError::fatal("54000", format!("a message of {length} bytes is longer than the limit of {bytes_max}")));
        }
        if self.input.len() < kind_bytes + length {
            return Ok(None);
        }
        let mut frame = self.input.split_to(kind_bytes + length).freeze();
        Ok(Some((kind, frame.split_off(head))))
    }
}
