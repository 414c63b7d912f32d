//! Files that Millstream stores and publishes, read by Python, DuckDB and pyarrow: they must find the same rows.
//!
//! What is not installed is told on standard error and left out. `MILLSTREAM_PYTHON` names another python, as that of a virtual
//! environment after `pip install duckdb pyarrow`.

use std::path::Path;
use std::process::Command;

use millstream::{Engine, Settings};

use crate::harness::{self, patiently};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other_readers.py");

/// What the script prints; `None`: there is no python.
fn found(data: &Path, sink: &Path) -> Option<Vec<String>> {
    let python = std::env::var("MILLSTREAM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let Ok(output) = Command::new(&python).arg(SCRIPT).args([data, sink]).arg("key_0_auction").output() else {
        eprintln!("SKIPPED: there is no {python}");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_readers_find_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (data, sink) = (folder.path().join("data"), folder.path().join("out"));
    let settings = Settings { checkpoint_interval_ms: 3_600_000, ..harness::settings() };
    let engine = Engine::builder().data(data.display().to_string()).settings(settings).build().await.unwrap();
    let session = engine.session();
    let script = format!(
        "CREATE TABLE bid (auction BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND)
         WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '20000', 'rate' = '100000', 'event_rate' = '1000');
         CREATE SINK copied WITH ('connector' = 'file', 'path' = '{}', 'format' = 'parquet') AS SELECT auction, price FROM bid;
         CREATE TABLE stored (a BIGINT, b TEXT); INSERT INTO stored VALUES (1, 'x'), (2, NULL); INSERT INTO stored VALUES (3, 'y');",
        sink.display()
    );
    session.execute(&script).await.unwrap();
    patiently("the copy", engine.wait()).await.unwrap();
    // Endless, so that there is state to look at.
    let endless = "CREATE TABLE more (auction BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time)
        WITH ('connector' = 'nexmark', 'table' = 'bid', 'rate' = '20000', 'event_rate' = '1000');
        CREATE SINK counted WITH ('connector' = 'blackhole') AS SELECT window_start, auction, count(*) AS n
        FROM TUMBLE(more, date_time, INTERVAL '1 hour') GROUP BY window_start, window_end, auction";
    session.execute(endless).await.unwrap();
    let handle = session.pipeline("counted").unwrap();
    let rows_come = async {
        while handle.status().rows_in < 5_000 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    patiently("rows come", rows_come).await;
    let number = handle.checkpoint().await.unwrap();
    // The only checkpoint there is: every file of state is its own.
    let state = format!("SELECT count(*), sum(key_0_auction) FROM checkpoint_state('counted', {number}, 'aggregate_1')");
    let state = harness::rows(&session, &state).await.unwrap().remove(0);
    let copied = harness::rows(&session, "SELECT count(*), sum(price) FROM bid").await.unwrap().remove(0);
    let lines = found(&data, &sink);
    engine.shutdown().await;
    let Some(lines) = lines else { return };
    let expected = [
        "json|True|True".to_owned(),
        format!("duckdb|{state}|{copied}"),
        format!("pyarrow|{state}|{copied}"),
        "pyarrow segments|3|['a', 'b']".to_owned(),
    ];
    for line in &lines {
        match line.strip_prefix("missing|") {
            Some(module) => eprintln!("SKIPPED: python has no module {module} (pip install {module})"),
            None => assert!(expected.contains(line), "{line}: not one of {expected:?}"),
        }
    }
    assert!(lines.len() >= 3, "{lines:?}");
}
