//! What exists at a server, asked on a connection beside that of the statements.

use std::sync::Arc;

use chrono::NaiveDateTime;
use millstream::connectors::ConnectorRegistry;
use parking_lot::Mutex;
use tokio_postgres::SimpleQueryMessage;

use super::error::failure;
use super::link::{Link, Notices, Server};
use crate::shell::Failure;
use crate::shell::names::{Names, connectors_of, described};
use crate::status_line::Progress;

/// Columns of all tables, those of the catalog left out.
const COLUMNS: &str = "SELECT table_name, column_name, data_type FROM information_schema.columns \
     WHERE table_schema = 'public' ORDER BY table_name, ordinal_position";

const PIPELINES: &str = "SELECT pipeline, state, rows_in, rows_out, rejected_rows, late_rows, untimed_rows, busy_percent, held_back_percent, \
     watermark, clock, open_windows, state_bytes, stored_bytes, idle_sources, checkpoint_at, error FROM pipelines()";

/// The second connection.
pub(super) struct Side {
    server: Arc<Server>,
    /// Made when it is first needed; one question at a time.
    link: tokio::sync::Mutex<Option<Link>>,
    pipelines: Mutex<Vec<Progress>>,
}

impl Side {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, link: tokio::sync::Mutex::default(), pipelines: Mutex::default() }
    }

    /// The rows of a statement as text, NULL as nothing.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
        let mut link = self.link.lock().await;
        if link.as_ref().is_none_or(|link| link.client.is_closed()) {
            // What is told there is told on the other connection too.
            let made = self.server.connect(&Notices::default()).await.map_err(|error| Failure::Message(error.message))?;
            *link = Some(made);
        }
        let Some(link) = link.as_ref() else { return Ok(Vec::new()) };
        let answer = link.client.simple_query(sql).await.map_err(|error| failure(&error, sql, &link.end))?;
        let row = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|n| row.get(n).unwrap_or_default().to_owned()).collect()),
            _ => None,
        };
        Ok(answer.iter().filter_map(row).collect())
    }

    pub(super) async fn names(&self, before: Names) -> Names {
        let Ok(tables) = self.rows("SHOW TABLES").await else { return before };
        let mut names = described(tables, self.rows("SHOW VIEWS").await.unwrap_or_default());
        for row in self.rows(COLUMNS).await.unwrap_or_default() {
            if let [table, column, data_type] = row.as_slice() {
                names.columns.entry(table.clone()).or_default().push((column.clone(), data_type.clone()));
            }
        }
        let pair = |row: Vec<String>| (row[0].clone(), row.get(1).cloned().unwrap_or_default());
        names.functions = self.rows("SHOW FUNCTIONS").await.unwrap_or_default().into_iter().map(pair).collect();
        names.models = self.rows("SHOW MODELS").await.unwrap_or_default().into_iter().map(|row| row[0].clone()).collect();
        names.settings = self.rows("SHOW ALL").await.unwrap_or_default().into_iter().map(pair).collect();
        // A server of this version has these.
        let own = || connectors_of(&ConnectorRegistry::default().connectors().cloned().collect::<Vec<_>>());
        names.connectors = if before.connectors.is_empty() { own() } else { before.connectors };
        names.pipelines = self.seen_pipelines().into_iter().map(|pipeline| pipeline.name).collect();
        names
    }

    pub(super) fn seen_pipelines(&self) -> Vec<Progress> {
        self.pipelines.lock().clone()
    }

    /// Takes new figures for the prompt; none if the server cannot be asked.
    pub(super) async fn look_at_pipelines(&self) {
        if self.pipelines().await.is_err() {
            self.pipelines.lock().clear();
        }
    }

    pub(super) async fn pipelines(&self) -> Result<Vec<Progress>, Failure> {
        let pipelines: Vec<Progress> = self.rows(PIPELINES).await?.iter().map(|row| progress(row)).collect();
        self.pipelines.lock().clone_from(&pipelines);
        Ok(pipelines)
    }
}

/// A row of [`PIPELINES`].
fn progress(row: &[String]) -> Progress {
    let text = |n: usize| row.get(n).map(String::as_str).unwrap_or_default();
    let count = |n: usize| text(n).parse().unwrap_or(0);
    let share = |n: usize| text(n).parse::<f64>().ok();
    let millis =
        |n: usize| NaiveDateTime::parse_from_str(text(n), "%Y-%m-%d %H:%M:%S%.f").ok().map(|time| time.and_utc().timestamp_millis());
    let state = text(1);
    Progress {
        name: text(0).to_owned(),
        state: state.to_owned(),
        is_running: matches!(state, "starting" | "running"),
        error: Some(text(16).to_owned()).filter(|error| !error.is_empty()),
        rows_in: count(2),
        rows_out: count(3),
        rejected_rows: count(4),
        late_rows: count(5),
        untimed_rows: count(6),
        busy_percent: share(7),
        held_back_percent: share(8),
        watermark_ms: millis(9),
        clock_ms: millis(10).unwrap_or(0),
        open_windows: count(11),
        state_bytes: count(12),
        stored_bytes: count(13),
        idle_sources: text(14).split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        checkpoint_ms: millis(15),
        last_rejected: None,
        is_remote: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_text() {
        let row = "p|running|12|3|0|1|0|40|60.5|2024-01-01 00:00:01.5|2024-01-01 00:00:02|7|100|0|a, b||".split('|').map(str::to_owned);
        let progress = progress(&row.collect::<Vec<_>>());
        assert_eq!((progress.rows_in, progress.held_back_percent, progress.watermark_ms), (12, Some(60.5), Some(1_704_067_201_500)));
        assert!(progress.is_running && progress.error.is_none() && progress.idle_sources == ["a", "b"]);
    }
}
