//! `DECLARE`, `FETCH`, `MOVE`, `CLOSE`: portals that SQL names.

use std::time::Duration;

use super::execute::Answer;
use super::extended::Portal;
use super::rows::ResultRows;
use super::{Connection, NAMES_MAX};
use crate::error::{Result, WireError};
use crate::statement::{Fetch, Rows};
use crate::values::Column;

impl Connection {
    pub(super) async fn declare(&mut self, name: &str, with_hold: bool, query: &Rows) -> Result<Answer> {
        let is_subscription = matches!(query, Rows::Subscription { .. });
        if !with_hold && !is_subscription && !self.transaction.is_open() {
            return Err(WireError::new("25P01", "DECLARE CURSOR can only be used in transaction blocks")
                .with_hint("DECLARE … CURSOR WITH HOLD FOR …"));
        }
        if self.portals.contains_key(name) {
            return Err(WireError::new("42P03", format!("cursor \"{name}\" already exists")));
        }
        self.check_room(self.portals.len())?;
        let rows = self.open_rows(query).await?;
        // A subscription lives as long as its client wants: no row of it waits for a transaction.
        let portal = Portal::of_cursor(rows, with_hold || is_subscription);
        self.portals.insert(name.to_owned(), portal);
        Ok(Answer::Done("DECLARE CURSOR".to_owned()))
    }

    pub(super) fn check_room(&self, names: usize) -> Result<()> {
        match names < NAMES_MAX {
            true => Ok(()),
            false => Err(WireError::new("54000", format!("the session has more than {NAMES_MAX} prepared statements or cursors"))),
        }
    }

    /// The rows asked for, collected: FETCH is a statement with a result of its own.
    pub(super) async fn fetch(&mut self, fetch: &Fetch) -> Result<Answer> {
        let mut portal = self.portals.remove(&fetch.cursor).ok_or_else(|| no_cursor(&fetch.cursor))?;
        let fetched = match portal.rows_mut() {
            Some(rows) => self.fetch_from(rows, fetch).await,
            None => Err(WireError::new("34000", format!("portal \"{}\" gives no rows", fetch.cursor))),
        };
        self.portals.insert(fetch.cursor.clone(), portal);
        let (rows, count) = fetched?;
        match fetch.shows_rows {
            true => Ok(Answer::Rows(rows)),
            false => Ok(Answer::Done(format!("MOVE {count}"))),
        }
    }

    async fn fetch_from(&mut self, rows: &mut ResultRows, fetch: &Fetch) -> Result<(ResultRows, u64)> {
        let mut left = fetch.rows.unwrap_or(u64::MAX);
        let mut batches = Vec::new();
        let mut count = 0;
        let start = self.server.clock.monotonic();
        let limit = fetch.timeout_ms.map(Duration::from_millis);
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(usize::MAX);
            let clock = std::sync::Arc::clone(&self.server.clock);
            let next = match (rows.ready(step), limit) {
                (Some(next), _) => next?,
                (None, None) => self.guarded(rows.next(step)).await?,
                (None, Some(limit)) => {
                    let wait = limit.saturating_sub(clock.monotonic().saturating_sub(start));
                    let timed = async {
                        tokio::select! {
                            biased;
                            next = rows.next(step) => next.map(Some),
                            () = clock.sleep(wait) => Ok(None),
                        }
                    };
                    match self.guarded(timed).await? {
                        Some(next) => next,
                        // What has come up to now is the answer.
                        None => break,
                    }
                }
            };
            let Some(slice) = next else { break };
            left -= slice.rows.len() as u64;
            count += slice.rows.len() as u64;
            batches.push(slice.batch.slice(slice.rows.start, slice.rows.len()));
        }
        Ok((ResultRows::of_batches(batches, rows.columns.clone()), count))
    }

    pub(super) fn cursor_columns(&self, name: &str) -> Result<Vec<Column>> {
        let portal = self.portals.get(name).ok_or_else(|| no_cursor(name))?;
        portal.columns().ok_or_else(|| no_cursor(name))
    }

    pub(super) fn close_cursor(&mut self, name: Option<&str>) -> Result<Answer> {
        match name {
            None => {
                self.close_portals(true);
                Ok(Answer::Done("CLOSE CURSOR ALL".to_owned()))
            }
            Some(name) => match self.portals.remove(name) {
                Some(_) => Ok(Answer::Done("CLOSE CURSOR".to_owned())),
                None => Err(no_cursor(name)),
            },
        }
    }

    /// Closes portals; those that are held stay, unless `all`.
    pub(super) fn close_portals(&mut self, all: bool) {
        self.portals.retain(|_, portal| !all && portal.is_held());
    }
}

fn no_cursor(name: &str) -> WireError {
    WireError::new("34000", format!("cursor \"{name}\" does not exist"))
}
