//! Rows to the client, sent as soon as there is nothing better to do.

use super::rows::ResultRows;
use super::{Connection, FLUSH_BYTES};
use crate::error::{Result, WireError};
use crate::statement::{Command, WireStatement};
use crate::values::{RowWriter, Style};

/// How sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// There are no more rows.
    All,
    /// The limit was reached.
    Some,
}

impl Sent {
    /// The command tag of a statement that has given `rows` rows.
    pub(super) fn tag(self, statement: &WireStatement, rows: u64) -> String {
        match &statement.command {
            Command::Show(_) => "SHOW".to_owned(),
            Command::Fetch(_) => format!("FETCH {rows}"),
            Command::InsertReturning { .. } => format!("INSERT 0 {rows}"),
            Command::Subscribe(_) => format!("SUBSCRIBE {rows}"),
            Command::Engine(parsed) => match &parsed.statement {
                millstream_sql::parse::Statement::Show(_) => "SHOW".to_owned(),
                millstream_sql::parse::Statement::Explain(_) => "EXPLAIN".to_owned(),
                _ => format!("SELECT {rows}"),
            },
            _ => format!("SELECT {rows}"),
        }
    }
}

impl Connection {
    /// Sends up to `limit` rows as DataRow messages.
    pub(super) async fn send_rows(&mut self, rows: &mut ResultRows, limit: Option<u64>) -> Result<Sent> {
        let style = self.style();
        let rows_max = self.server.config.result_rows_max;
        let mut left = limit.unwrap_or(u64::MAX);
        let formats = rows.formats.clone();
        let columns = rows.columns.clone();
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(usize::MAX);
            let next = match rows.ready(step) {
                Some(next) => next?,
                None => {
                    self.flush_guarded().await?;
                    self.guarded(rows.next(step)).await?
                }
            };
            let Some(slice) = next else { return Ok(Sent::All) };
            if rows_max > 0 && rows.taken > rows_max {
                return Err(WireError::new("53400", format!("the result has more than {rows_max} rows"))
                    .with_hint("the server was started with a limit: use LIMIT, or aggregate"));
            }
            left -= slice.rows.len() as u64;
            self.server.metrics.rows_sent.fetch_add(slice.rows.len() as u64, std::sync::atomic::Ordering::Relaxed);
            let writer = RowWriter::new(&slice.batch, &columns, &formats, style)?;
            for row in slice.rows {
                writer.data_row(&mut self.wire.output, row);
                if self.wire.output.len() >= FLUSH_BYTES {
                    self.flush_guarded().await?;
                }
            }
        }
        Ok(if rows.may_have_more()? { Sent::Some } else { Sent::All })
    }

    pub(super) fn style(&self) -> Style {
        Style { zone: self.variables.lock().zone() }
    }

    /// Sends what there is; a client that does not read can be cancelled, and a statement's time runs meanwhile.
    pub(super) async fn flush_guarded(&mut self) -> Result<()> {
        let late = async {
            match self.deadline {
                Some(deadline) => self.server.clock.sleep(deadline.saturating_sub(self.server.clock.monotonic())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.registration.flag.wait() => Err(WireError::canceled("user request")),
            flushed = self.wire.flush() => flushed.map_err(|_| super::gone()),
            () = late => Err(WireError::canceled("statement timeout")),
        }
    }
}
