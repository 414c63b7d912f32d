//! Where a pipeline's rows go: to a query's reader, or into a sink.

use datafusion::arrow::array::RecordBatch;
use millstream_checkpoint::{Backoff, Published};
use millstream_connectors::{ConnectorError, Delivery, RejectedRow, Sealed, Sink};
use millstream_time::Clock;
use tokio::sync::mpsc;

use super::side_tables::{self, SideTable};
use crate::error::{Error, Result};

/// The receiving end of a pipeline.
#[derive(Debug)]
pub(crate) enum Output {
    /// The reader of a query; a full channel is back-pressure.
    Rows(mpsc::Sender<Result<RecordBatch>>),
    /// A sink, and the tables of the rows that are in no result.
    Sink { sink: Box<dyn Sink>, side_tables: Vec<SideTable> },
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
            Self::Sink { sink, .. } => {
                match sink.write(&batches).await {
                    // Whoever read it has had enough (`millstream … | head`): a quiet end.
                    Err(ConnectorError::Closed(_)) => return Ok(Written::Closed),
                    written => written?,
                }
            }
        }
        Ok(Written::Taken)
    }

    /// Takes rows of a source that did not decode. The reader of a query gets only their number.
    pub(super) async fn write_rejected(&mut self, source: usize, rows: &[RejectedRow]) -> Result<()> {
        match self {
            Self::Rows(_) => Ok(()),
            Self::Sink { side_tables, .. } => side_tables::write_rejected(side_tables, source, rows).await,
        }
    }

    /// Takes rows of a source that came too late, if somebody wants them.
    pub(super) async fn write_late(&mut self, source: usize, rows: &[RecordBatch]) -> Result<()> {
        match self {
            Self::Rows(_) => Ok(()),
            Self::Sink { side_tables, .. } => side_tables::write_late(side_tables, source, rows).await,
        }
    }

    /// The columns that late rows of a source are kept with, if they are.
    pub(super) fn late_columns(&self, source: usize) -> Option<&[usize]> {
        match self {
            Self::Rows(_) => None,
            Self::Sink { side_tables, .. } => side_tables.iter().find_map(|table| table.late_columns(source)),
        }
    }

    /// True if rows that are in no result wait for a checkpoint to be seen.
    pub(super) fn has_side_tables(&self) -> bool {
        matches!(self, Self::Sink { side_tables, .. } if !side_tables.is_empty())
    }

    /// True if rows written since the last checkpoint can be taken back.
    pub(super) fn can_discard(&self) -> bool {
        matches!(self, Self::Sink { sink, .. } if sink.delivery() != Delivery::AtLeastOnce)
    }

    /// Ends what belongs to `checkpoint`; `None` where nothing is kept back (a query's reader, a closed pipe).
    pub(super) async fn seal(&mut self, checkpoint: u64) -> Result<Option<Sealed>> {
        match self {
            Self::Rows(_) => Ok(None),
            Self::Sink { sink, side_tables } => {
                let sealed = match sink.seal(checkpoint).await {
                    Err(ConnectorError::Closed(_)) => None,
                    sealed => Some(sealed?),
                };
                side_tables::seal(side_tables, checkpoint, sealed).await
            }
        }
    }

    /// Makes sealed rows visible; may be repeated. When the outside fails, it is tried again with pauses; some minutes later it counts
    /// as failed.
    pub(super) async fn publish(&mut self, sealed: &Sealed, clock: &dyn Clock) -> Result<()> {
        let Self::Sink { sink, side_tables } = self else { return Ok(()) };
        let Some(sealed) = side_tables::publish(side_tables, sealed).await? else { return Ok(()) };
        for attempt in 0.. {
            let error = match sink.publish(&sealed).await {
                Err(error @ ConnectorError::Io { .. }) => error,
                published => return Ok(published?),
            };
            let Some(pause) = Backoff::default().delay(attempt, sealed.checkpoint) else { return Err(error.into()) };
            tracing::warn!(checkpoint = sealed.checkpoint, %error, attempt, "rows are not published; it is tried again");
            clock.sleep(pause).await;
        }
        Ok(())
    }

    /// Whether somebody may have seen rows of `checkpoint`, of which it is not known any more what was sealed, but perhaps how many
    /// `rows`. Those that nobody has seen nobody will see.
    pub(super) async fn published(&mut self, checkpoint: u64, rows: Option<u64>) -> Result<Published> {
        let unseen = match self {
            Self::Rows(_) => false,
            Self::Sink { sink, side_tables } => {
                (rows == Some(0) || sink.is_published(checkpoint).await? == Some(false))
                    && side_tables::is_unseen(side_tables, checkpoint).await?
            }
        };
        Ok(if unseen { Published::Nowhere } else { Published::Perhaps })
    }

    /// Takes back what was written since the last checkpoint.
    pub(super) async fn discard(&mut self) -> Result<()> {
        if let Self::Sink { sink, side_tables } = self {
            sink.discard().await?;
            side_tables::discard(side_tables).await?;
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
