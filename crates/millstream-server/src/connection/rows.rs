//! A result that is read piece by piece: portals with row limits, cursors, subscriptions.

use std::collections::VecDeque;

use datafusion::arrow::array::RecordBatch;
use futures::FutureExt;

use super::subscription::Subscription;
use crate::error::{Result, WireError};
use crate::values::{Column, Format};

/// Rows on their way to a client.
pub(crate) struct ResultRows {
    pub(crate) columns: Vec<Column>,
    pub(crate) formats: Vec<Format>,
    source: Source,
    /// A batch and how many rows of it were taken.
    pending: Option<(RecordBatch, usize)>,
    /// Rows taken so far.
    pub(crate) taken: u64,
    is_finished: bool,
}

enum Source {
    Query(Box<millstream::Query>),
    Batches(VecDeque<RecordBatch>),
    Subscription(Box<Subscription>),
}

/// Rows of one batch.
pub(crate) struct Slice {
    pub(crate) batch: RecordBatch,
    pub(crate) rows: std::ops::Range<usize>,
}

impl ResultRows {
    pub(crate) fn of_query(query: millstream::Query, columns: Vec<Column>) -> Self {
        Self::new(Source::Query(Box::new(query)), columns)
    }

    pub(crate) fn of_batches(batches: Vec<RecordBatch>, columns: Vec<Column>) -> Self {
        Self::new(Source::Batches(batches.into()), columns)
    }

    pub(crate) fn of_subscription(subscription: Subscription, columns: Vec<Column>) -> Self {
        Self::new(Source::Subscription(Box::new(subscription)), columns)
    }

    fn new(source: Source, columns: Vec<Column>) -> Self {
        let formats = vec![Format::Text; columns.len()];
        Self { columns, formats, source, pending: None, taken: 0, is_finished: false }
    }

    /// Up to `limit` rows if some are there now; `None`: they must be waited for.
    pub(crate) fn ready(&mut self, limit: usize) -> Option<Result<Option<Slice>>> {
        self.next(limit).now_or_never()
    }

    /// Up to `limit` rows (at least one) of one batch; `None` at the end. Cancel-safe.
    pub(crate) async fn next(&mut self, limit: usize) -> Result<Option<Slice>> {
        loop {
            if let Some((batch, from)) = self.pending.take()
                && from < batch.num_rows()
            {
                let to = batch.num_rows().min(from.saturating_add(limit));
                self.taken += (to - from) as u64;
                let slice = Slice { batch: batch.clone(), rows: from..to };
                self.pending = Some((batch, to));
                return Ok(Some(slice));
            }
            if self.is_finished {
                return Ok(None);
            }
            let next = match &mut self.source {
                Source::Query(query) => query.next().await.transpose().map_err(WireError::from),
                Source::Batches(batches) => Ok(batches.pop_front()),
                Source::Subscription(subscription) => subscription.next().await,
            };
            match next {
                Ok(Some(batch)) => self.pending = Some((batch, 0)),
                Ok(None) => self.is_finished = true,
                Err(error) => {
                    self.is_finished = true;
                    return Err(error);
                }
            }
        }
    }

    /// Waits for the first rows, so that an error comes before anything is sent. Cancel-safe.
    pub(crate) async fn look_ahead(&mut self) -> Result<()> {
        if let (Source::Query(query), None, false) = (&mut self.source, &self.pending, self.is_finished) {
            match query.next().await.transpose()? {
                Some(batch) => self.pending = Some((batch, 0)),
                None => self.is_finished = true,
            }
        }
        Ok(())
    }

    /// Looks whether there is another row, so that a limit that is met exactly is not taken for more to come. Rows that must be waited
    /// for may come.
    pub(crate) fn may_have_more(&mut self) -> Result<bool> {
        if let Some((batch, from)) = &self.pending
            && *from < batch.num_rows()
        {
            return Ok(true);
        }
        loop {
            if self.is_finished {
                return Ok(false);
            }
            let next = match &mut self.source {
                Source::Query(query) => match query.next().now_or_never() {
                    None => return Ok(true),
                    Some(next) => next.transpose().map_err(WireError::from)?,
                },
                Source::Batches(batches) => batches.pop_front(),
                Source::Subscription(_) => return Ok(true),
            };
            match next {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    self.pending = Some((batch, 0));
                    return Ok(true);
                }
                None => self.is_finished = true,
            }
        }
    }
}
