//! Sinks whose sealed rows the checkpoint keeps: the conformance suite over a table that is written by transactions, and rows that a
//! process sealed, published by the next one.

use std::sync::Arc;

use millstream::{Engine, PipelineState, Settings};
use millstream_connectors::Connector;
use millstream_connectors::conformance::{check_sink, sink_ids};
use millstream_testkit::{Dice, RemoteTable};

use crate::harness::{self, patiently};

#[tokio::test]
async fn a_remote_table_keeps_to_what_sinks_promise() {
    let table = RemoteTable::new(Arc::new(Dice::new(1)), 0);
    check_sink(|| Ok(table.sink("p")), || Ok(sink_ids(&table.batches()))).await.unwrap();
}

const TABLE: &str = "CREATE TABLE bid (auction BIGINT, price BIGINT, date_time TIMESTAMP(3)) WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '20000')";
const SINK: &str = "CREATE SINK s WITH ('connector' = 'remote') AS SELECT auction, price FROM bid";

/// The other side is down for as long as the first process lives: everything it published was sealed by it and published by the second.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_sealed_the_next_one_publishes() {
    let folder = tempfile::tempdir().unwrap();
    let down = RemoteTable::new(Arc::new(Dice::new(1)), 1_000);
    let up = down.without_faults();
    let engine = |remote: &RemoteTable| {
        let connector: Arc<dyn Connector> = Arc::new(remote.clone());
        let settings = Settings { checkpoint_interval_ms: 20, ..harness::settings() };
        Engine::builder().with_connector(connector).settings(settings).data(folder.path().display().to_string())
    };
    {
        let first = engine(&down).build().await.unwrap();
        let session = first.session();
        session.execute(TABLE).await.unwrap();
        session.execute(SINK).await.unwrap();
        let staged = || {
            let mut folders = vec![folder.path().to_owned()];
            while let Some(next) = folders.pop() {
                for entry in std::fs::read_dir(next).unwrap().flatten() {
                    match entry.path() {
                        path if path.is_dir() => folders.push(path),
                        path if path.components().any(|part| part.as_os_str() == "staged") => return true,
                        _ => {}
                    }
                }
            }
            false
        };
        patiently("rows are staged", async {
            while !staged() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    let second = engine(&up).build().await.unwrap();
    let handle = second.session().pipeline("s").unwrap();
    patiently("the pipeline", handle.wait()).await.unwrap();
    assert_eq!(handle.status().state, PipelineState::Finished);
    let session = second.session();
    let expected = harness::rows(&session, "SELECT auction, price FROM bid").await.unwrap();
    let mut found = harness::text(&up.batches());
    found.sort();
    assert!(found == expected, "{} rows, expected {}", found.len(), expected.len());
}
