//! All rows to a client: as rows in text and binary, and by COPY. A socket that only counts reads them, so that it is the servers that
//! are measured.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Arguments;
use super::servers::Server;
use crate::Result;
use crate::case::median;
use crate::report::{self, rounded};

/// What is asked: its name, the statement, and whether rows come in binary.
const CASES: &[(&str, &str, bool)] = &[
    ("rows, text", "SELECT id, k, name, price, at FROM points", false),
    ("rows, binary", "SELECT id, k, name, price, at FROM points", true),
    ("COPY, text", "COPY (SELECT id, k, name, price, at FROM points) TO STDOUT", false),
    ("COPY, binary", "COPY (SELECT id, k, name, price, at FROM points) TO STDOUT (FORMAT binary)", false),
    ("one group of 1,000", "SELECT k, count(*), sum(price) FROM points GROUP BY k", false),
];

/// Measures each case on each server, in turn.
///
/// # Errors
/// A server refuses.
pub async fn measure(arguments: &Arguments, servers: &[Server]) -> Result<()> {
    for (name, sql, is_binary) in CASES {
        let mut runs: Vec<Vec<(Duration, Duration, u64, u64)>> = vec![Vec::new(); servers.len()];
        for round in 0..=arguments.runs {
            for (server, runs) in servers.iter().zip(&mut runs) {
                let run = scan(server, sql, *is_binary).await?;
                if round > 0 {
                    runs.push(run);
                }
            }
        }
        for (server, runs) in servers.iter().zip(&runs) {
            let middle = |of: fn(&(Duration, Duration, u64, u64)) -> f64| median(runs.iter().map(of).collect());
            let (first_ms, seconds) = (middle(|run| run.0.as_secs_f64() * 1e3), middle(|run| run.1.as_secs_f64()));
            let Some((_, _, rows, bytes)) = runs.first() else { continue };
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let (rows, bytes) = (*rows as f64, *bytes as f64);
            report::line(
                "scan",
                &json!({
                    "server": server.name,
                    "case": name,
                    "rows": rows,
                    "first_row_ms": rounded(first_ms, 1),
                    "seconds": rounded(seconds, 3),
                    "rows_per_second": (rows / seconds).round(),
                    "mb_per_second": (bytes / seconds / 1e6).round(),
                    "server_memory_mb": server.memory_mb().map(f64::round),
                }),
            )?;
        }
    }
    Ok(())
}

/// Time to the first row and to the last, rows, bytes.
#[expect(clippy::disallowed_methods, reason = "this is what measures")]
async fn scan(server: &Server, sql: &str, is_binary: bool) -> Result<(Duration, Duration, u64, u64)> {
    let mut counting = Counting::connect(server.port).await?;
    let began = Instant::now();
    counting.ask(sql, is_binary).await?;
    let (mut first, mut rows) = (None, 0);
    loop {
        match counting.next().await? {
            b'D' | b'd' => {
                first.get_or_insert_with(|| began.elapsed());
                rows += 1;
            }
            b'E' => return Err(format!("{} refuses: {sql}", server.name).into()),
            b'Z' => break,
            _ => {}
        }
    }
    Ok((first.unwrap_or_default(), began.elapsed(), rows, counting.bytes))
}

/// A client that counts messages and looks at nothing in them.
#[derive(Debug)]
pub(super) struct Counting {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer is read, and to where it is filled.
    read: usize,
    filled: usize,
    /// Bytes that have come.
    pub(super) bytes: u64,
}

impl Counting {
    /// A client that has logged in.
    pub(super) async fn connect(port: u16) -> Result<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        let parameters = b"user\0postgres\0database\0postgres\0\0";
        let length = u32::try_from(parameters.len() + 8)?;
        socket.write_all(&[&length.to_be_bytes()[..], &[0, 3, 0, 0], parameters].concat()).await?;
        let mut counting = Self { socket, buffer: vec![0; 256 << 10], read: 0, filled: 0, bytes: 0 };
        while counting.next().await? != b'Z' {}
        counting.bytes = 0;
        Ok(counting)
    }

    /// Sends a statement: as text, or by the extended protocol with rows in binary.
    pub(super) async fn ask(&mut self, sql: &str, is_binary: bool) -> Result<()> {
        let frame =
            |kind: u8, body: &[u8]| -> Result<Vec<u8>> { Ok([&[kind][..], &u32::try_from(body.len() + 4)?.to_be_bytes(), body].concat()) };
        let bytes = if is_binary {
            [
                frame(b'P', format!("\0{sql}\0\0\0").as_bytes())?,
                frame(b'B', &[0, 0, 0, 0, 0, 0, 0, 1, 0, 1])?,
                frame(b'E', &[0, 0, 0, 0, 0])?,
                frame(b'S', &[])?,
            ]
            .concat()
        } else {
            frame(b'Q', format!("{sql}\0").as_bytes())?
        };
        Ok(self.socket.write_all(&bytes).await?)
    }

    /// The kind of the next message; what is in it is skipped.
    pub(super) async fn next(&mut self) -> Result<u8> {
        while self.filled - self.read < 5 {
            self.fill().await?;
        }
        let head = &self.buffer[self.read..self.read + 5];
        let (kind, length) = (head[0], u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize);
        let mut left = length + 1;
        while left > self.filled - self.read {
            left -= self.filled - self.read;
            self.read = self.filled;
            self.fill().await?;
        }
        self.read += left;
        Ok(kind)
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.copy_within(self.read..self.filled, 0);
        self.filled -= self.read;
        self.read = 0;
        let count = self.socket.read(&mut self.buffer[self.filled..]).await?;
        if count == 0 {
            return Err("the server has gone".into());
        }
        self.filled += count;
        self.bytes += count as u64;
        Ok(())
    }
}
