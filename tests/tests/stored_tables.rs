//! Rows that are kept: written by many, over restarts, in the place of others.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{Int64Array, RecordBatch, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream::{Engine, Error, Outcome, PipelineHandle, PipelineState, Session, Settings};
use millstream_connectors::source::{Boundedness, Lane, LaneBatch, LaneId, Position, Read, Replay, Source};
use millstream_testkit::TestData;
use tokio::sync::watch;

use crate::harness;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]))
}

/// Rows `(k, 100 k)` for k = 0, 1, … as far as the test lets it go; can be read again from any place.
#[derive(Debug)]
struct Tap {
    open: watch::Sender<i64>,
}

struct TapLane {
    open: watch::Receiver<i64>,
    next: i64,
    projection: Vec<usize>,
}

#[async_trait]
impl Source for Tap {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Unbounded
    }

    fn replay(&self) -> Replay {
        Replay::Exact
    }

    async fn lanes(&self) -> millstream_connectors::Result<Vec<LaneId>> {
        Ok(vec![LaneId("0".to_owned())])
    }

    async fn open(&self, _: &LaneId, start: Option<&Position>, projection: &[usize]) -> millstream_connectors::Result<Box<dyn Lane>> {
        let next = start.map_or(0, |position| position.0["row"].as_i64().unwrap());
        Ok(Box::new(TapLane { open: self.open.subscribe(), next, projection: projection.to_vec() }))
    }
}

#[async_trait]
impl Lane for TapLane {
    async fn read(&mut self, _: usize) -> millstream_connectors::Result<Read> {
        let next = self.next;
        // The test may be over.
        if self.open.wait_for(|open| *open > next).await.is_err() {
            return std::future::pending().await;
        }
        let end = (*self.open.borrow()).min(next + 7);
        let keys = Int64Array::from_iter_values(next..end);
        let times = TimestampMillisecondArray::from_iter_values((next..end).map(|k| k * 100));
        let rows = RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(times)]).unwrap().project(&self.projection).unwrap();
        self.next = end;
        let position = Position(serde_json::json!({ "row": end }));
        Ok(Read::Batch(LaneBatch { rows, position, rejected: Vec::new(), bytes_read: 0 }))
    }
}

async fn over(folder: &Path, data: &Arc<TestData>) -> Result<Engine, Error> {
    let connector: Arc<dyn millstream_connectors::Connector> = data.clone();
    let settings = Settings { checkpoint_interval_ms: 5, ..harness::settings() };
    Engine::builder().with_connector(connector).settings(settings).data(folder.display().to_string()).build().await
}

async fn pipeline(session: &Session, sql: &str) -> PipelineHandle {
    match session.execute(sql).await.unwrap().pop() {
        Some(Outcome::Pipeline(handle)) => handle,
        other => panic!("no pipeline: {other:?}"),
    }
}

async fn rows(session: &Session, sql: &str) -> Vec<String> {
    harness::rows(session, sql).await.unwrap()
}

async fn error(session: &Session, sql: &str) -> String {
    session.execute(sql).await.unwrap_err().to_string()
}

/// Waits until a query gives `expected`; how long that takes decides nothing.
async fn until(session: &Session, sql: &str, expected: &str) {
    let polled = async {
        while rows(session, sql).await != [expected] {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    harness::patiently(&format!("{sql} gives {expected}"), polled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_inserts_sinks_and_views_are_there_after_restarts_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(TestData::new());
    let tap = Arc::new(Tap { open: watch::Sender::new(0) });
    data.put_source("input", Arc::clone(&tap) as Arc<dyn Source>);
    let engine = over(folder.path(), &data).await.unwrap();
    let session = engine.session();
    for sql in [
        "CREATE TABLE input (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts) WITH ('connector' = 'testdata', 'data' = 'input')",
        "CREATE TABLE t (k BIGINT NOT NULL, ts TIMESTAMP(3))",
        "CREATE TABLE notes (n BIGINT, word TEXT)",
        "INSERT INTO notes VALUES (0, 'first'), (1, 'second')",
    ] {
        session.execute(sql).await.unwrap();
    }
    pipeline(&session, "CREATE SINK copied INTO t AS SELECT k, ts FROM input").await;
    pipeline(&session, "INSERT INTO t (k) SELECT -k - 1 FROM input WHERE k % 2 = 0").await;
    pipeline(
        &session,
        "CREATE MATERIALIZED VIEW v AS SELECT window_start, count(*) AS n, sum(k) AS s FROM TUMBLE(input, ts, INTERVAL '1' SECOND) GROUP BY window_start",
    )
    .await;
    pipeline(&session, "CREATE MATERIALIZED VIEW some AS SELECT k FROM input WHERE k % 3 = 0").await;
    session.execute("CREATE VIEW totals AS SELECT count(*) AS windows, sum(n) AS rows FROM v").await.unwrap();
    let mut engine = engine;
    for round in 1..=4_i64 {
        let (session, open) = (engine.session(), round * 95);
        tap.open.send_replace(open);
        session.execute(&format!("INSERT INTO notes VALUES ({}, 'round')", round + 1)).await.unwrap();
        // Windows of ten rows; the one that holds the last row is open.
        let closed = (open - 1) / 10;
        until(&session, "SELECT count(*), count(DISTINCT k) FROM t WHERE k >= 0", &format!("{open}|{open}")).await;
        until(&session, "SELECT count(*) FROM t WHERE k < 0", &((open + 1) / 2).to_string()).await;
        until(&session, "SELECT windows, rows FROM totals", &format!("{closed}|{}", closed * 10)).await;
        until(&session, "SELECT count(*), count(DISTINCT k) FROM some", &format!("{0}|{0}", (open + 2) / 3)).await;
        harness::patiently("shutdown", engine.shutdown()).await;
        engine = over(folder.path(), &data).await.unwrap();
        // What is there is there before any pipeline has turned.
        let session = engine.session();
        assert_eq!(rows(&session, "SELECT count(*), sum(n) FROM notes").await, [format!("{}|{}", round + 2, (1..=round + 1).sum::<i64>())]);
        assert_eq!(rows(&session, "SELECT windows FROM totals").await, [closed.to_string()]);
        assert!(engine.pipelines().iter().all(|status| status.state == PipelineState::Running), "{:?}", engine.pipelines());
    }
    let sums = rows(&engine.session(), "SELECT s FROM v").await;
    let mut expected: Vec<String> = (0..37).map(|window: i64| (window * 100 + 45).to_string()).collect();
    expected.sort();
    assert_eq!(sums, expected);
    harness::patiently("shutdown", engine.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inserts_of_32_sessions_are_all_there_and_durable() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(TestData::new());
    let engine = over(folder.path(), &data).await.unwrap();
    engine.session().execute("CREATE TABLE t (session BIGINT, n BIGINT)").await.unwrap();
    let writers = (0..32).map(|writer| {
        let session = engine.session();
        tokio::spawn(async move {
            for n in 0..10 {
                session.execute(&format!("INSERT INTO t VALUES ({writer}, {n}), ({writer}, {n})")).await.unwrap();
                // A session reads what it wrote.
                let mine = harness::rows(&session, &format!("SELECT count(*) FROM t WHERE session = {writer}")).await.unwrap();
                assert_eq!(mine, [(2 * (n + 1)).to_string()]);
            }
        })
    });
    for writer in harness::patiently("the sessions", futures::future::join_all(writers)).await {
        writer.unwrap();
    }
    let all = "SELECT count(*), count(DISTINCT session), sum(n) FROM t";
    assert_eq!(rows(&engine.session(), all).await, ["640|32|2880"]);
    let segments = std::fs::read_dir(folder.path().join("tables/1")).unwrap().count();
    assert!(segments <= 320, "{segments} segments for 320 inserts");
    drop(engine);
    assert_eq!(rows(&over(folder.path(), &data).await.unwrap().session(), all).await, ["640|32|2880"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_and_made_again_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(TestData::new());
    let tap = Arc::new(Tap { open: watch::Sender::new(10) });
    data.put_source("input", Arc::clone(&tap) as Arc<dyn Source>);
    let engine = over(folder.path(), &data).await.unwrap();
    let session = engine.session();
    let (view, count) = ("CREATE MATERIALIZED VIEW v AS SELECT k FROM input", "SELECT count(*) FROM v");
    for sql in [
        "CREATE TABLE input (k BIGINT, ts TIMESTAMP(3)) WITH ('connector' = 'testdata', 'data' = 'input')",
        "CREATE TABLE t (k BIGINT)",
        "INSERT INTO t VALUES (1)",
        "DROP TABLE t",
        "CREATE TABLE t (k BIGINT)",
        "CREATE TABLE r AS SELECT 1 AS k",
        "CREATE OR REPLACE TABLE r (k BIGINT)",
        view,
    ] {
        session.execute(sql).await.unwrap();
    }
    until(&session, count, "10").await;
    session.execute("DROP MATERIALIZED VIEW v").await.unwrap();
    tap.open.send_replace(0);
    session.execute(view).await.unwrap();
    assert_eq!(rows(&session, count).await, ["0"]);
    tap.open.send_replace(20);
    until(&session, count, "20").await;
    session.execute("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k FROM input WHERE k > 14").await.unwrap();
    until(&session, count, "5").await;
    engine.shutdown().await;
    // Nothing is left of what was dropped or replaced but folders without files.
    let kept = |place: &str| {
        let folders = std::fs::read_dir(folder.path().join(place)).unwrap().map(|entry| entry.unwrap().path());
        folders.filter(|folder| std::fs::read_dir(folder).unwrap().any(|file| file.unwrap().path().is_file())).count()
    };
    assert_eq!((kept("tables"), kept("pipelines")), (1, 1), "only the view has rows");
    let session = over(folder.path(), &data).await.unwrap().session();
    for (name, expected) in [("t", "0"), ("r", "0"), ("v", "5")] {
        assert_eq!(rows(&session, &format!("SELECT count(*) FROM {name}")).await, [expected], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_written_cannot_be_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(TestData::new());
    let tap = Arc::new(Tap { open: watch::Sender::new(10) });
    data.put_source("input", Arc::clone(&tap) as Arc<dyn Source>);
    let engine = over(folder.path(), &data).await.unwrap();
    let session = engine.session();
    session.execute("CREATE TABLE input (k BIGINT, ts TIMESTAMP(3)) WITH ('connector' = 'testdata', 'data' = 'input')").await.unwrap();
    session.execute("CREATE TABLE t (k BIGINT)").await.unwrap();
    pipeline(&session, "CREATE SINK s INTO t AS SELECT k FROM input").await;
    for sql in ["DROP TABLE t", "CREATE OR REPLACE TABLE t (x INT)"] {
        assert_eq!(error(&session, sql).await, "pipeline s writes into table t (hint: DROP PIPELINE s first)");
    }
    session.execute("PAUSE PIPELINE s").await.unwrap();
    assert!(error(&session, "DROP TABLE t").await.contains("DROP PIPELINE s"));
    engine.shutdown().await;
    let engine = over(folder.path(), &data).await.unwrap();
    let session = engine.session();
    assert!(error(&session, "DROP TABLE t").await.contains("DROP PIPELINE s"), "it may be resumed");
    session.execute("RESUME PIPELINE s").await.unwrap();
    until(&session, "SELECT count(*) FROM t", "10").await;
    session.execute("DROP PIPELINE s; DROP TABLE t").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_view_is_there_and_goes_on_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(TestData::new());
    let tap = Arc::new(Tap { open: watch::Sender::new(10) });
    data.put_source("input", Arc::clone(&tap) as Arc<dyn Source>);
    let engine = over(folder.path(), &data).await.unwrap();
    let session = engine.session();
    session.execute("CREATE TABLE input (k BIGINT, ts TIMESTAMP(3)) WITH ('connector' = 'testdata', 'data' = 'input')").await.unwrap();
    pipeline(&session, "CREATE MATERIALIZED VIEW v AS SELECT k FROM input").await;
    let count = "SELECT count(*), count(DISTINCT k) FROM v";
    until(&session, count, "10|10").await;
    session.execute("PAUSE PIPELINE v").await.unwrap();
    tap.open.send_replace(30);
    assert_eq!(rows(&session, count).await, ["10|10"]);
    session.execute("RESUME PIPELINE v").await.unwrap();
    until(&session, count, "30|30").await;
    session.execute("PAUSE PIPELINE v").await.unwrap();
    engine.shutdown().await;
    let engine = over(folder.path(), &data).await.unwrap();
    let session = engine.session();
    tap.open.send_replace(41);
    assert_eq!(rows(&session, count).await, ["30|30"]);
    assert!(rows(&session, "SHOW PIPELINES").await[0].starts_with("v|stopped|"));
    session.execute("RESUME PIPELINE v").await.unwrap();
    until(&session, count, "41|41").await;
    assert!(error(&session, "RESTORE PIPELINE v").await.contains("CREATE OR REPLACE MATERIALIZED VIEW"));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_shows_rows_that_no_checkpoint_has_yet_and_a_table_does_not() {
    let data = Arc::new(TestData::new());
    let tap = Arc::new(Tap { open: watch::Sender::new(10) });
    data.put_source("input", Arc::clone(&tap) as Arc<dyn Source>);
    let engine = harness::engine(&data, Settings { checkpoint_interval_ms: 3_600_000, ..harness::settings() }).await;
    let session = engine.session();
    session.execute("CREATE TABLE input (k BIGINT, ts TIMESTAMP(3)) WITH ('connector' = 'testdata', 'data' = 'input')").await.unwrap();
    session.execute("CREATE TABLE t (k BIGINT)").await.unwrap();
    let view = pipeline(&session, "CREATE MATERIALIZED VIEW v AS SELECT k FROM input").await;
    let sink = pipeline(&session, "INSERT INTO t SELECT k FROM input").await;
    until(&session, "SELECT count(*) FROM v", "10").await;
    let written = async {
        while sink.status().rows_out < 10 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    harness::patiently("rows into the table", written).await;
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["0"]);
    sink.checkpoint().await.unwrap();
    view.checkpoint().await.unwrap();
    assert_eq!(rows(&session, "SELECT (SELECT count(*) FROM t) AS t, (SELECT count(*) FROM v) AS v").await, ["10|10"]);
    engine.shutdown().await;
    assert_eq!(rows(&session, "SELECT (SELECT count(*) FROM t) AS t, (SELECT count(*) FROM v) AS v").await, ["10|10"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_is_told_by_name_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(TestData::new());
    let session = over(folder.path(), &data).await.unwrap().session();
    session.execute("CREATE TABLE a (k BIGINT); CREATE TABLE b (k BIGINT)").await.unwrap();
    session.execute("INSERT INTO a VALUES (1); INSERT INTO a VALUES (2); INSERT INTO b VALUES (3)").await.unwrap();
    let file = folder.path().join("tables/1/00000000000000000001.arrow");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(100);
    std::fs::write(&file, bytes).unwrap();
    let session = over(folder.path(), &data).await.unwrap().session();
    assert_eq!(rows(&session, "SELECT * FROM b").await, ["3"]);
    for sql in ["SELECT * FROM a", "INSERT INTO a VALUES (4)", "SELECT * FROM b JOIN a ON a.k = b.k"] {
        let error = error(&session, sql).await;
        assert!(error.contains("rows of table a") && error.contains("'00000000000000000001.arrow' is damaged"), "{error}");
    }
    session.execute("DROP TABLE a; CREATE TABLE a (k BIGINT)").await.unwrap();
    assert_eq!(rows(&session, "SELECT * FROM a").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_table_refuses_stops_the_pipeline_and_leaves_nothing() {
    let data = Arc::new(TestData::new());
    let batch = RecordBatch::try_new(
        schema(),
        vec![Arc::new(Int64Array::from(vec![Some(1), None])), Arc::new(TimestampMillisecondArray::from(vec![0, 1]))],
    );
    data.put("input", schema(), vec![vec![batch.unwrap()]]);
    let engine = harness::engine(&data, harness::settings()).await;
    let session = engine.session();
    session.execute("CREATE TABLE input (k BIGINT, ts TIMESTAMP(3)) WITH ('connector' = 'testdata', 'data' = 'input')").await.unwrap();
    session.execute("CREATE TABLE t (k BIGINT NOT NULL)").await.unwrap();
    let handle = pipeline(&session, "INSERT INTO t SELECT k FROM input").await;
    let error = harness::patiently("the pipeline", handle.wait()).await.unwrap_err().to_string();
    assert_eq!(error, "column k of t is NOT NULL: a row has NULL in it");
    assert_eq!(rows(&session, "SELECT * FROM t").await, [""; 0]);
}

/// Lines of which every third does not decode; more are appended by the test.
fn append_lines(file: &Path, ids: std::ops::Range<i64>) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    for id in ids {
        let line = if id % 3 == 0 { format!("broken {id}") } else { format!("{{\"id\": {id}}}") };
        writeln!(file, "{line}").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_kept_once_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let data = Arc::new(TestData::new());
    let file = folder.path().join("lines.json");
    append_lines(&file, 0..1);
    let engine = over(&folder.path().join("data"), &data).await.unwrap();
    let session = engine.session();
    session.execute("CREATE TABLE bad (source TEXT, place TEXT, reason TEXT, bytes BYTEA); CREATE TABLE good (id BIGINT)").await.unwrap();
    let lines = format!(
        "CREATE TABLE lines (id BIGINT) WITH ('connector' = 'file', 'path' = '{}', 'follow' = 'true', 'poll_interval' = '2ms', 'bad_rows' = 'bad')",
        file.display()
    );
    session.execute(&lines).await.unwrap();
    pipeline(&session, "INSERT INTO good SELECT id FROM lines").await;
    let mut engine = engine;
    for round in 1..=4_i64 {
        let session = engine.session();
        // The first round has bad rows only.
        if round > 1 {
            append_lines(&file, (round - 1) * 100 - 99..round * 100 - 99);
        }
        let end = round * 100 - 99;
        let bad = (end + 2) / 3;
        until(&session, "SELECT count(*), count(DISTINCT bytes) FROM bad", &format!("{bad}|{bad}")).await;
        until(&session, "SELECT count(*), count(DISTINCT id) FROM good", &format!("{0}|{0}", end - bad)).await;
        if round % 2 == 0 {
            assert!(error(&session, "DROP TABLE bad").await.contains("DROP PIPELINE"));
            harness::patiently("shutdown", engine.shutdown()).await;
        } else {
            // Like a crash: the older engine is fenced when it comes to write again.
            session.execute("CHECKPOINT PIPELINE insert_into_good_1").await.unwrap();
        }
        engine = over(&folder.path().join("data"), &data).await.unwrap();
    }
    let places = rows(&engine.session(), "SELECT count(DISTINCT place) FROM bad WHERE source = 'lines' AND reason <> ''").await;
    assert_eq!(places, ["101"]);
    harness::patiently("shutdown", engine.shutdown()).await;
}

/// Appends `{"id", "ts"}` in order of `ids`; every seventh is ten seconds behind.
fn append_times(file: &Path, ids: std::ops::Range<i64>) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    for id in ids {
        let second = if id % 7 == 0 { id - 10 } else { id } + 100;
        writeln!(file, "{{\"id\": {id}, \"ts\": \"2024-06-01 08:{:02}:{:02}\"}}", second / 60, second % 60).unwrap();
    }
}

/// R9 over restarts: each row is in the result or in the table of late rows, once, whatever the epochs were.
#[tokio::test(flavor = "multi_thread")]
async fn late_rows_are_kept_once_over_restarts() {
    for rule in ["strict", "lenient"] {
        let folder = tempfile::tempdir().unwrap();
        let data = Arc::new(TestData::new());
        let file = folder.path().join("times.json");
        append_times(&file, 1..2);
        let mut engine = over(&folder.path().join("data"), &data).await.unwrap();
        let session = engine.session();
        let sql = format!(
            "CREATE TABLE times (id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts)
             WITH ('connector' = 'file', 'path' = '{}', 'follow' = 'true', 'poll_interval' = '2ms', 'late_rows' = '{rule}');
             CREATE TABLE late (LIKE times); CREATE TABLE counts (n BIGINT, ids BIGINT)",
            file.display()
        );
        session.execute(&sql).await.unwrap();
        let from = "TUMBLE(times, ts, INTERVAL '2 seconds')";
        pipeline(&session, &format!("INSERT INTO counts SELECT count(*), sum(id) FROM {from} GROUP BY window_start LATE ROWS INTO late"))
            .await;
        for round in 1..=4_i64 {
            let session = engine.session();
            append_times(&file, round * 100 - 98..round * 100 + 2);
            let end = round * 100 + 1;
            // By the strict rule each seventh row is late; by the other one those whose windows had closed before their epoch.
            if rule == "strict" {
                until(&session, "SELECT count(*), count(DISTINCT id) FROM late", &format!("{0}|{0}", end / 7)).await;
            }
            // The last window is open: it has the last row that is not behind, and the one before it if both are of one window.
            let last = if end % 7 == 0 { end - 1 } else { end };
            let open: Vec<i64> = (last - last % 2..=last).filter(|id| id % 7 != 0).collect();
            let all = "SELECT (SELECT count(*) FROM late) + (SELECT sum(n) FROM counts)";
            until(&session, all, &(end - i64::try_from(open.len()).unwrap()).to_string()).await;
            let sum = "SELECT (SELECT coalesce(sum(id), 0) FROM late) + (SELECT sum(ids) FROM counts)";
            let closed = end * (end + 1) / 2 - open.iter().sum::<i64>();
            assert_eq!(rows(&session, sum).await, [closed.to_string()], "{rule}, round {round}");
            if round % 2 == 0 {
                assert!(error(&session, "DROP TABLE late").await.contains("DROP PIPELINE"));
                harness::patiently("shutdown", engine.shutdown()).await;
            } else {
                session.execute("CHECKPOINT PIPELINE insert_into_counts_1").await.unwrap();
            }
            engine = over(&folder.path().join("data"), &data).await.unwrap();
        }
        harness::patiently("shutdown", engine.shutdown()).await;
    }
}
