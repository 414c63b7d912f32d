//! `COPY … FROM STDIN` and `COPY … TO STDOUT` at a server: bytes in the server's text or CSV, as they are.

use std::pin::Pin;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio_postgres::{CopyInSink, CopyOutStream};

use super::error::failure;
use super::link::{Canceller, LinkEnd};
use crate::shell::Failure;

/// Rows on their way to the server. Dropped before its end, it takes back all of them.
pub(crate) struct CopyIn {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    sql: String,
    end: LinkEnd,
}

impl CopyIn {
    pub(super) fn new(sink: CopyInSink<Bytes>, sql: &str, end: LinkEnd) -> Self {
        Self { sink: Box::pin(sink), sql: sql.to_owned(), end }
    }

    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.sink.send(bytes).await.map_err(|error| failure(&error, &self.sql, &self.end))
    }

    /// All rows are sent; how many the server has taken.
    pub(crate) async fn finish(mut self) -> Result<u64, Failure> {
        self.sink.as_mut().finish().await.map_err(|error| failure(&error, &self.sql, &self.end))
    }
}

/// Rows on their way from the server.
pub(crate) struct CopyOut {
    stream: Pin<Box<CopyOutStream>>,
    sql: String,
    end: LinkEnd,
    canceller: Canceller,
}

impl CopyOut {
    pub(super) fn new(stream: CopyOutStream, sql: &str, end: LinkEnd, canceller: Canceller) -> Self {
        Self { stream: Box::pin(stream), sql: sql.to_owned(), end, canceller }
    }

    /// The next row; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        let next = self.stream.next().await?;
        Some(next.map_err(|error| failure(&error, &self.sql, &self.end)))
    }

    /// Ends it before its end.
    pub(crate) async fn stop(mut self) {
        self.canceller.cancel();
        while let Some(Ok(_)) = self.stream.next().await {}
    }
}
