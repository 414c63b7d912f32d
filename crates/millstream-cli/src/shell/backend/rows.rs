//! Rows on their way to the screen.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use millstream::Query;

use super::connected::RemoteRows;
use crate::shell::Failure;
use crate::status_line::Progress;

/// Whether rows end by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// They are there and end.
    Snapshot,
    /// They come as sources give them.
    Stream,
    /// Only time will tell: a server does not say.
    Unknown,
}

/// The rows of one statement.
pub(crate) enum Rows {
    Embedded(Box<Query>),
    Remote(Box<RemoteRows>),
}

impl Rows {
    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            Self::Embedded(query) => query.schema(),
            Self::Remote(rows) => rows.schema(),
        }
    }

    pub(crate) fn flow(&self) -> Flow {
        match self {
            Self::Embedded(query) if query.is_stream() => Flow::Stream,
            Self::Embedded(_) => Flow::Snapshot,
            Self::Remote(rows) => rows.flow(),
        }
    }

    /// The next rows; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<RecordBatch, Failure>> {
        match self {
            Self::Embedded(query) => query.next().await.map(|batch| batch.map_err(Failure::from)),
            Self::Remote(rows) => rows.next().await,
        }
    }

    /// Figures of the query; of one at a server, what has come.
    pub(crate) fn progress(&self) -> Progress {
        match self {
            Self::Embedded(query) => Progress::of(&query.status()),
            Self::Remote(rows) => rows.progress(),
        }
    }

    /// Ends it before its end.
    pub(crate) async fn stop(self) {
        match self {
            // It winds down by itself; what it failed with is known already.
            Self::Embedded(query) => _ = query.stop().await,
            Self::Remote(rows) => rows.stop().await,
        }
    }
}
