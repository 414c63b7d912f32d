//! Where a pipeline's rows go: to a query's reader, or into a sink.

use datafusion::arrow::array::RecordBatch;
use millstream_connectors::{ConnectorError, Delivery, Sink};
use tokio::sync::mpsc;

use crate::error::{Error, Result};

/// The receiving end of a pipeline.
#[derive(Debug)]
pub(crate) enum Output {
    /// The reader of a query; a full channel is back-pressure.
    Rows(mpsc::Sender<Result<RecordBatch>>),
    /// A sink and what it has taken since its last seal.
    Sink { sink: Box<dyn Sink>, rows_unsealed: u64 },
}

/// What became of written rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Taken,
    /// The reader is gone.
    Closed,
}

impl Output {
    pub(crate) fn sink(sink: Box<dyn Sink>) -> Self {
        Self::Sink { sink, rows_unsealed: 0 }
    }

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
            Self::Sink { sink, rows_unsealed } => {
                *rows_unsealed += batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
                match sink.write(&batches).await {
                    // Whoever read it has had enough (`millstream … | head`): a quiet end.
                    Err(ConnectorError::Closed(_)) => return Ok(Written::Closed),
                    written => written?,
                }
            }
        }
        Ok(Written::Taken)
    }

    /// True if rows wait for publication.
    pub(super) fn has_unpublished(&self) -> bool {
        matches!(self, Self::Sink { sink, rows_unsealed } if *rows_unsealed > 0 && sink.delivery() == Delivery::Transactional)
    }

    /// True if rows written since the last checkpoint can be taken back.
    pub(super) fn can_discard(&self) -> bool {
        matches!(self, Self::Sink { sink, .. } if sink.delivery() == Delivery::Transactional)
    }

    /// Seals and publishes what was written since the last time.
    pub(super) async fn publish(&mut self, checkpoint: u64) -> Result<()> {
        if let Self::Sink { sink, rows_unsealed } = self {
            *rows_unsealed = 0;
            match sink.seal(checkpoint).await {
                Err(ConnectorError::Closed(_)) => {}
                sealed => sink.publish(&sealed?).await?,
            }
        }
        Ok(())
    }

    /// Takes back what was written since the last checkpoint.
    pub(super) async fn discard(&mut self) -> Result<()> {
        if let Self::Sink { sink, rows_unsealed } = self {
            sink.discard().await?;
            *rows_unsealed = 0;
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
            Self::Sink { .. } => std::future::pending().await,
        }
    }
}
