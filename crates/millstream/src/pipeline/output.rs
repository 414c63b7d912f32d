//! Where a pipeline's rows go: to a query's reader, or into a sink.

use datafusion::arrow::array::RecordBatch;
use millstream_connectors::{ConnectorError, Delivery, Sealed, Sink};
use tokio::sync::mpsc;

use crate::error::{Error, Result};

/// The receiving end of a pipeline.
#[derive(Debug)]
pub(crate) enum Output {
    /// The reader of a query; a full channel is back-pressure.
    Rows(mpsc::Sender<Result<RecordBatch>>),
    /// A sink.
    Sink(Box<dyn Sink>),
}

/// What became of written rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Taken,
    /// The reader is gone.
    Closed,
}

impl Output {
    /// Hands over one epoch's rows.
    pub(super) async fn write(&mut self, batches: Vec<RecordBatch>) -> Result<Written> {
        match self {
            Self::Rows(reader) => {
                for batch in batches {
                    if reader.send(Ok(batch)).await.is_err() {
                        return Ok(Written::Closed);
                    }
                }
            }
            Self::Sink(sink) => {
                match sink.write(&batches).await {
                    // Whoever read it has had enough (`millstream … | head`): a quiet end.
                    Err(ConnectorError::Closed(_)) => return Ok(Written::Closed),
                    written => written?,
                }
            }
        }
        Ok(Written::Taken)
    }

    /// True if rows written since the last checkpoint can be taken back.
    pub(super) fn can_discard(&self) -> bool {
        matches!(self, Self::Sink(sink) if sink.delivery() == Delivery::Transactional)
    }

    /// Ends what belongs to `checkpoint`; `None` where nothing is kept back (a query's reader, a closed pipe).
    pub(super) async fn seal(&mut self, checkpoint: u64) -> Result<Option<Sealed>> {
        match self {
            Self::Rows(_) => Ok(None),
            Self::Sink(sink) => match sink.seal(checkpoint).await {
                Err(ConnectorError::Closed(_)) => Ok(None),
                sealed => Ok(Some(sealed?)),
            },
        }
    }

    /// Makes sealed rows visible; may be repeated.
    pub(super) async fn publish(&mut self, sealed: &Sealed) -> Result<()> {
        match self {
            Self::Rows(_) => Ok(()),
            Self::Sink(sink) => Ok(sink.publish(sealed).await?),
        }
    }

    /// Takes back what was written since the last checkpoint.
    pub(super) async fn discard(&mut self) -> Result<()> {
        if let Self::Sink(sink) = self {
            sink.discard().await?;
        }
        Ok(())
    }

    /// Tells a reader why no more rows come.
    pub(super) async fn fail(&mut self, error: &Error) {
        if let Self::Rows(reader) = self {
            // A reader that is gone does not want to know.
            let _ = reader.send(Err(error.clone())).await;
        }
    }

    /// Completes when the reader is gone; never for a sink.
    pub(super) async fn closed(&mut self) {
        match self {
            Self::Rows(reader) => reader.closed().await,
            Self::Sink(_) => std::future::pending().await,
        }
    }
}
