//! Models that learn: the same parameters whatever happens, and what others see of them.

use std::path::Path;
use std::time::Duration;

use millstream::{Engine, Outcome, PipelineHandle, Session, Settings};

use crate::harness::{self, patiently};

const EVENTS: u64 = 60_000;
const MODEL: &str = "CREATE MODEL third TYPE logistic_regression FEATURES (a, b, log_price) LABEL y
    WITH ('optimizer' = 'adam', 'batch_size' = '7', 'drift_detector' = 'adwin')";
const ROWS: &str =
    "SELECT date_time, auction % 10 AS a, bidder % 7 AS b, ln(CAST(price AS DOUBLE)) AS log_price, auction % 3 = 0 AS y FROM bid";
const STATE: &str = "SELECT tensor, index, value, first_moment, second_moment, text FROM model_state('third')";

fn bids(more: &str) -> String {
    format!(
        "CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time AS date_time - INTERVAL '2' SECOND)
        WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '{EVENTS}', 'event_rate' = '1000'{more})"
    )
}

fn quick() -> Settings {
    Settings { checkpoint_interval_ms: 10, epoch_rows_max: 700, batch_rows: 150, ..harness::settings() }
}

async fn engine(data: &Path, parallelism: usize) -> Engine {
    let settings = Settings { parallelism, ..quick() };
    Engine::builder().data(data.display().to_string()).settings(settings).build().await.unwrap()
}

async fn pipeline(session: &Session, sql: &str) -> PipelineHandle {
    match session.execute(sql).await.unwrap().pop() {
        Some(Outcome::Pipeline(handle)) => handle,
        other => panic!("no pipeline: {other:?}"),
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    patiently(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The state of an engine that nothing happens to.
async fn undisturbed() -> Vec<String> {
    let engine = Engine::builder().settings(harness::settings()).build().await.unwrap();
    let session = engine.session();
    session.execute(&bids("")).await.unwrap();
    let handle = pipeline(&session, &format!("{MODEL} AS {ROWS}")).await;
    patiently("the end", handle.wait()).await.unwrap();
    harness::rows(&session, STATE).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_was_killed_learns_the_same_to_the_last_bit() {
    let expected = undisturbed().await;
    assert!(expected.iter().any(|row| row.starts_with("weight|")), "{expected:?}");
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut lives = vec![engine(&data, 1).await];
    let session = lives[0].session();
    session.execute(&bids(", 'rate' = '30000'")).await.unwrap();
    let mut handle = pipeline(&session, &format!("{MODEL} AS {ROWS}")).await;
    for parallelism in [2, 3, 1] {
        let before = handle.status().rows_in;
        until("rows are read", || handle.status().rows_in >= before + 8_000 || handle.status().state.is_final()).await;
        // The next process takes over while this one works: what it did since its last checkpoint is lost.
        let next = engine(&data, parallelism).await;
        handle = next.session().pipeline("third").unwrap();
        lives.push(next);
    }
    patiently("the end", handle.wait()).await.unwrap();
    let session = lives[3].session();
    assert_eq!(harness::rows(&session, STATE).await.unwrap(), expected);
    // Also of a pipeline that has ended.
    let after = engine(&data, 2).await;
    assert_eq!(harness::rows(&after.session(), STATE).await.unwrap(), expected);
    for life in lives {
        life.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_see_a_model_as_of_its_checkpoints() {
    let engine = Engine::builder().settings(quick()).build().await.unwrap();
    let session = engine.session();
    session.execute(&bids(", 'rate' = '20000'")).await.unwrap();
    session.execute(MODEL).await.unwrap();
    assert_eq!(harness::rows(&session, "SELECT third(1, 2, 3.0)").await.unwrap(), ["NULL"]);
    let learn = format!("SELECT date_time, y, prediction FROM LEARN(({ROWS}), third)");
    let blackhole = |name: &str| format!("CREATE SINK {name} WITH ('connector' = 'blackhole') AS {learn}");
    let first = pipeline(&session, &blackhole("first")).await;
    let error = session.execute(&blackhole("second")).await.unwrap_err().to_string();
    assert!(error.contains("pipeline first trains model third already"), "{error}");
    let error = session.execute("DROP MODEL third").await.unwrap_err().to_string();
    assert!(error.contains("pipeline first trains model third"), "{error}");
    patiently("the end", first.wait()).await.unwrap();
    let scores = harness::rows(&session, "SELECT third(a, 2, 6.0) BETWEEN 0 AND 1 FROM (VALUES (1), (2)) AS t(a)").await.unwrap();
    assert_eq!(scores, ["true", "true"]);
    let learned = harness::rows(&session, "SELECT value > 1000 FROM model_state('third') WHERE tensor = 'counters' AND index = 1").await;
    assert_eq!(learned.unwrap(), ["true"]);
    // The same rows learned once more give the same.
    let before = harness::rows(&session, STATE).await.unwrap();
    let second = pipeline(&session, &blackhole("second")).await;
    patiently("the end", second.wait()).await.unwrap();
    assert_eq!(harness::rows(&session, STATE).await.unwrap(), before);
    session.execute("DROP MODEL third").await.unwrap();
    assert!(session.execute("SELECT third(1, 2, 3.0)").await.is_err());
}
