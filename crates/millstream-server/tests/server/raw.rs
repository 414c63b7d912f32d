//! A client that sends what it is told, byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A message of the server: its kind and body.
pub(crate) type Answer = (u8, Vec<u8>);

pub(crate) struct Raw {
    socket: TcpStream,
}

impl Raw {
    pub(crate) async fn connect(port: u16) -> Self {
        Self { socket: TcpStream::connect(("127.0.0.1", port)).await.unwrap() }
    }

    /// Connected and past the start-up.
    pub(crate) async fn session(port: u16) -> (Self, Vec<Answer>) {
        let mut raw = Self::connect(port).await;
        raw.send(&startup(b"user\0me\0database\0stream\0\0")).await;
        let answers = raw.until_ready().await;
        (raw, answers)
    }

    /// The server may have hung up: that is an answer too.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    pub(crate) async fn message(&mut self, kind: u8, body: &[u8]) {
        self.send(&frame(kind, body)).await;
    }

    /// The next message; `None` if the server has hung up.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let mut head = [0; 5];
        self.socket.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        self.socket.read_exact(&mut body).await.ok()?;
        Some((head[0], body))
    }

    /// Everything up to ReadyForQuery or the end.
    pub(crate) async fn until_ready(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer().await {
            let is_ready = answer.0 == b'Z';
            answers.push(answer);
            if is_ready {
                break;
            }
        }
        answers
    }

    /// Runs a text by the simple protocol.
    pub(crate) async fn query(&mut self, sql: &str) -> Vec<Answer> {
        self.message(b'Q', format!("{sql}\0").as_bytes()).await;
        self.until_ready().await
    }
}

pub(crate) fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}

pub(crate) fn startup(parameters: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(parameters.len() + 8).unwrap().to_be_bytes().to_vec();
    bytes.extend([0, 3, 0, 0]);
    bytes.extend(parameters);
    bytes
}

/// The kinds of messages, in order.
pub(crate) fn kinds(answers: &[Answer]) -> String {
    answers.iter().map(|(kind, _)| char::from(*kind)).collect()
}

/// The SQLSTATE in an error.
pub(crate) fn error_state(answers: &[Answer]) -> Option<String> {
    let (_, body) = answers.iter().find(|(kind, _)| *kind == b'E')?;
    body.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"C")).map(|state| String::from_utf8_lossy(state).into_owned())
}
