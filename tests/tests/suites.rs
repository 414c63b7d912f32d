//! The `.slt` suites of the dialect: SQL and the rows it gives, written down by hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use millstream::{Engine, Error, Outcome, Session, Settings};
use millstream_testkit::{ManualClock, TestData};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::harness;

/// 2024-06-01T12:00:00Z
const NOW_MS: i64 = 1_717_243_200_000;

struct Connection(Session);

#[async_trait]
impl AsyncDB for Connection {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        harness::patiently(sql, run(&self.0, sql)).await
    }

    async fn shutdown(&mut self) {
        self.0.engine().shutdown().await;
    }

    fn engine_name(&self) -> &str {
        "millstream"
    }
}

async fn run(session: &Session, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
    match session.execute(sql).await?.pop() {
        Some(Outcome::Rows(query)) => {
            let types = vec![DefaultColumnType::Any; query.schema().fields().len()];
            let rows = harness::cells(&query.collect().await?);
            let rows = rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
            Ok(DBOutput::Rows { types, rows })
        }
        Some(Outcome::Pipeline(handle)) => {
            handle.wait().await?;
            Ok(DBOutput::StatementComplete(handle.status().rows_out))
        }
        _ => Ok(DBOutput::StatementComplete(0)),
    }
}

fn suites() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    files
}

async fn connect(settings: Settings) -> Connection {
    let data: Arc<dyn millstream_connectors::Connector> = Arc::new(TestData::new());
    let clock: Arc<dyn millstream::Clock> = Arc::new(ManualClock::new(NOW_MS));
    let engine = Engine::builder().with_connector(data).with_clock(clock).settings(settings).build().await.unwrap();
    Connection(engine.session())
}

/// Every suite, in epochs of all rows on one partition and of one row on four.
#[tokio::test(flavor = "multi_thread")]
async fn the_suites_hold_in_epochs_of_any_size() {
    let suites = suites();
    assert!(suites.len() >= 7, "{suites:?}");
    let mut failures = Vec::new();
    for suite in suites {
        for (rows, parallelism) in [(1_000_000, 1), (1, 4)] {
            let settings = Settings { epoch_rows_max: rows, batch_rows: rows.min(100_000), parallelism, ..harness::settings() };
            let mut runner = Runner::new(|| {
                let settings = settings.clone();
                async move { Ok(connect(settings).await) }
            });
            if let Err(error) = runner.run_file_async(&suite).await {
                failures.push(format!("epochs of {rows} rows, {parallelism} partitions: {}", error.display(false)));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
