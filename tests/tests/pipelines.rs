//! Pipelines side by side, failing, stopping, waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{Int64Array, RecordBatch, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use datafusion::common::exec_err;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use millstream::{Engine, Outcome, PipelineHandle, PipelineState, Session, Settings};
use millstream_connectors::source::{Boundedness, Lane, LaneId, Position, Read, Replay, Source};
use millstream_connectors::{
    ChannelSender, Connector, ConnectorError, Delivery, MemoryOutput, MemorySink, Options, Role, Sealed, Sink, channel_source,
    options::OptionSpecs,
};
use millstream_testkit::{ManualClock, TestData};

use crate::harness;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]))
}

/// Rows `(k, ts)`.
fn batch(rows: &[(i64, i64)]) -> RecordBatch {
    let keys = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.1));
    RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(times)]).unwrap()
}

fn eager() -> Settings {
    Settings { checkpoint_interval_ms: 1, ..harness::settings() }
}

fn declare(name: &str, watermark: &str) -> String {
    format!("CREATE TABLE {name} (k BIGINT, ts TIMESTAMP(3){watermark}) WITH ('connector' = 'testdata', 'data' = '{name}')")
}

async fn pipeline(session: &Session, sql: &str) -> PipelineHandle {
    match session.execute(sql).await.unwrap().pop() {
        Some(Outcome::Pipeline(handle)) => handle,
        other => panic!("no pipeline: {other:?}"),
    }
}

/// Waits until `what` holds; how long that takes decides nothing.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    harness::patiently(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

fn channel(data: &TestData, name: &str) -> ChannelSender {
    let (sender, source) = channel_source(schema(), 4);
    data.put_source(name, source);
    sender
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failing_pipeline_leaves_the_others_running() {
    let data = Arc::new(TestData::new());
    let sender = channel(&data, "live");
    data.put("bad", schema(), vec![vec![batch(&[(1, 0), (0, 1), (2, 2)])]]);
    let engine = harness::engine(&data, eager()).await;
    let session = engine.session();
    for name in ["live", "bad", "out", "failed"] {
        session.execute(&declare(name, ", WATERMARK FOR ts")).await.unwrap();
    }
    let live = pipeline(
        &session,
        "INSERT INTO out SELECT count(*), window_start FROM TUMBLE(live, ts, INTERVAL '1' SECOND) GROUP BY window_start",
    )
    .await;
    let bad = pipeline(&session, "INSERT INTO failed SELECT 10 / k, ts FROM bad").await;
    sender.send(batch(&[(1, 100), (2, 200)])).await.unwrap();
    let error = harness::patiently("the failing pipeline", bad.wait()).await.unwrap_err().to_string();
    assert!(error.to_lowercase().contains("divi"), "{error}");
    assert!(matches!(bad.status().state, PipelineState::Failed(_)));
    assert_eq!(bad.status().restarts, 1, "it is tried again once");
    assert_eq!(data.output("failed").rows(), 0, "a failed epoch leaves nothing behind");
    assert_eq!(live.status().state, PipelineState::Running);
    sender.send(batch(&[(3, 1_500), (4, 2_500)])).await.unwrap();
    until("windows of the other pipeline", || data.output("out").rows() == 2).await;
    drop(sender);
    harness::patiently("the end", live.wait()).await.unwrap();
    let mut rows = harness::text(&data.output("out").batches());
    rows.sort();
    assert_eq!(rows, ["1|1970-01-01T00:00:01", "1|1970-01-01T00:00:02", "2|1970-01-01T00:00:00"]);
}

/// An engine whose function `fails_once(k)` fails when it first sees 150.
async fn engine_that_fails_once(data: &Arc<TestData>, calls: Arc<AtomicU64>) -> Engine {
    let connector: Arc<dyn millstream_connectors::Connector> = data.clone();
    let function = create_udf(
        "fails_once",
        vec![DataType::Int64],
        DataType::Int64,
        Volatility::Volatile,
        Arc::new(move |arguments: &[ColumnarValue]| {
            let column = arguments[0].to_array(1)?;
            let keys = datafusion::arrow::array::AsArray::as_primitive::<Int64Type>(&column);
            if keys.values().contains(&150) && calls.fetch_add(1, Ordering::SeqCst) == 0 {
                return exec_err!("the disk of the function was full");
            }
            Ok(ColumnarValue::Array(column))
        }),
    );
    let settings = Settings { epoch_rows_max: 10, batch_rows: 10, ..eager() };
    Engine::builder().with_connector(connector).with_udf(function).settings(settings).build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_epoch_restarts_from_its_checkpoint_and_gives_each_row_once() {
    let (data, calls) = (Arc::new(TestData::new()), Arc::new(AtomicU64::new(0)));
    let rows: Vec<(i64, i64)> = (0..300).map(|row| (row, row * 100)).collect();
    data.put("input", schema(), vec![rows.chunks(10).map(batch).collect()]);
    let engine = engine_that_fails_once(&data, Arc::clone(&calls)).await;
    let session = engine.session();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("windows").display().to_string();
    session.execute(&declare("input", ", WATERMARK FOR ts")).await.unwrap();
    let sql = format!(
        "CREATE SINK windows WITH ('connector' = 'file', 'path' = '{path}', 'format' = 'json') AS \
         SELECT window_start AS start, count(*) AS n, sum(fails_once(k)) AS s FROM HOP(input, ts, INTERVAL '1' SECOND, INTERVAL '2' SECOND) GROUP BY window_start"
    );
    let handle = pipeline(&session, &sql).await;
    harness::patiently("the pipeline", handle.wait()).await.unwrap();
    assert_eq!(handle.status().restarts, 1);
    assert_eq!(handle.status().state, PipelineState::Finished);
    assert!(calls.load(Ordering::SeqCst) >= 2, "the row is read again");
    let back = format!(
        "CREATE TABLE back (start TIMESTAMP(3), n BIGINT, s BIGINT) WITH ('connector' = 'file', 'path' = '{path}', 'format' = 'json')"
    );
    session.execute(&back).await.unwrap();
    let got = harness::rows(&session, "SELECT start, n, s FROM back").await.unwrap();
    // Ten rows a second: window w holds rows 10w to 10w + 19.
    let mut expected: Vec<String> = (-1..30)
        .map(|window: i64| {
            let held = rows.iter().filter(|row| (window * 10..window * 10 + 20).contains(&row.0));
            let time = chrono_text(window);
            format!("{time}|{}|{}", held.clone().count(), held.map(|row| row.0).sum::<i64>())
        })
        .collect();
    expected.sort();
    assert_eq!(got, expected);
}

fn chrono_text(second: i64) -> String {
    if second < 0 { "1969-12-31T23:59:59".to_owned() } else { format!("1970-01-01T00:00:{second:02}") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_failure_at_the_same_place_stops_and_says_why() {
    let data = Arc::new(TestData::new());
    data.put("input", schema(), vec![vec![batch(&[(0, 0)])]]);
    let engine = harness::engine(&data, eager()).await;
    let session = engine.session();
    session.execute(&declare("input", "")).await.unwrap();
    session.execute(&declare("out", "")).await.unwrap();
    let handle = pipeline(&session, "INSERT INTO out SELECT 1 / k, ts FROM input").await;
    harness::patiently("the pipeline", handle.wait()).await.unwrap_err();
    let status = handle.status();
    assert!(matches!(&status.state, PipelineState::Failed(why) if why.to_lowercase().contains("divi")), "{:?}", status.state);
    assert_eq!(status.restarts, 1);
    let shown = harness::rows(&session, "SHOW PIPELINES").await.unwrap();
    assert!(shown.len() == 1 && shown[0].contains("failed"), "{shown:?}");
}

/// The connector `flaky`: rows into a `MemoryOutput`, whose publication fails the second time.
#[derive(Debug, Default)]
struct Flaky {
    output: MemoryOutput,
    publications: Arc<AtomicU64>,
}

#[derive(Debug)]
struct FlakySink {
    inner: MemorySink,
    publications: Arc<AtomicU64>,
}

impl Connector for Flaky {
    fn name(&self) -> &str {
        "flaky"
    }

    fn about(&self) -> &str {
        "a sink that fails once"
    }

    fn role(&self) -> Role {
        Role::Sink
    }

    fn options(&self) -> OptionSpecs {
        &[]
    }

    fn sink(&self, _: Options, _: SchemaRef, _: Arc<dyn millstream::Clock>) -> millstream_connectors::Result<Box<dyn Sink>> {
        Ok(Box::new(FlakySink { inner: self.output.sink(), publications: Arc::clone(&self.publications) }))
    }
}

#[async_trait]
impl Sink for FlakySink {
    fn delivery(&self) -> Delivery {
        Delivery::Transactional
    }

    async fn write(&mut self, batches: &[RecordBatch]) -> millstream_connectors::Result<()> {
        self.inner.write(batches).await
    }

    async fn seal(&mut self, checkpoint: u64) -> millstream_connectors::Result<Sealed> {
        self.inner.seal(checkpoint).await
    }

    async fn publish(&mut self, sealed: &Sealed) -> millstream_connectors::Result<()> {
        if self.publications.fetch_add(1, Ordering::SeqCst) == 1 {
            return Err(ConnectorError::io("publishing", std::io::Error::other("the other side hung up")));
        }
        self.inner.publish(sealed).await
    }

    async fn discard(&mut self) -> millstream_connectors::Result<()> {
        self.inner.discard().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_fails_is_made_up_for() {
    let data = Arc::new(TestData::new());
    let rows: Vec<(i64, i64)> = (0..300).map(|row| (row, row * 100)).collect();
    data.put("input", schema(), vec![rows.chunks(10).map(batch).collect()]);
    for folder in [None, Some(tempfile::tempdir().unwrap())] {
        let flaky = Arc::new(Flaky::default());
        let (source, sink): (Arc<dyn Connector>, Arc<dyn Connector>) = (data.clone(), flaky.clone());
        let settings = Settings { epoch_rows_max: 10, batch_rows: 10, checkpoint_rows: 10, ..eager() };
        let engine = Engine::builder().with_connector(source).with_connector(sink).settings(settings);
        let engine = match &folder {
            Some(folder) => engine.data(folder.path().display().to_string()),
            None => engine,
        };
        let session = engine.build().await.unwrap().session();
        session.execute(&declare("input", "")).await.unwrap();
        let handle = pipeline(&session, "CREATE SINK s WITH ('connector' = 'flaky') AS SELECT k FROM input").await;
        harness::patiently("the pipeline", handle.wait()).await.unwrap();
        assert_eq!(handle.status().restarts, 0);
        assert_eq!(flaky.output.rows(), 300);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_publishes_what_was_put_out_and_no_open_window() {
    let data = Arc::new(TestData::new());
    let sender = channel(&data, "live");
    let engine = harness::engine(&data, Settings { checkpoint_interval_ms: 3_600_000, ..harness::settings() }).await;
    let session = engine.session();
    session.execute(&declare("live", ", WATERMARK FOR ts")).await.unwrap();
    session.execute(&declare("out", "")).await.unwrap();
    let handle = pipeline(
        &session,
        "INSERT INTO out SELECT count(*), window_start FROM TUMBLE(live, ts, INTERVAL '1' SECOND) GROUP BY window_start",
    )
    .await;
    sender.send(batch(&[(1, 0), (2, 10), (3, 1_000)])).await.unwrap();
    until("the first window", || handle.status().rows_out == 1).await;
    assert_eq!(data.output("out").rows(), 0, "nothing is published before a checkpoint");
    harness::patiently("the stop", handle.stop()).await.unwrap();
    assert_eq!(handle.status().state, PipelineState::Stopped);
    assert_eq!(harness::text(&data.output("out").batches()), ["2|1970-01-01T00:00:00"]);
    until("the reader of the channel is gone", || {
        let send = sender.send(batch(&[(4, 2_000)]));
        futures::FutureExt::now_or_never(send).is_some_and(|sent| sent.is_err())
    })
    .await;
}

/// An unbounded source whose lanes hold a token: none left means that no task of the pipeline is.
#[derive(Debug)]
struct Watched {
    token: Arc<()>,
    reads: Arc<AtomicU64>,
}

struct WatchedLane {
    _token: Arc<()>,
    reads: Arc<AtomicU64>,
    projection: Vec<usize>,
    rows: i64,
}

#[async_trait]
impl Source for Watched {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Unbounded
    }

    fn replay(&self) -> Replay {
        Replay::None
    }

    async fn lanes(&self) -> millstream_connectors::Result<Vec<LaneId>> {
        Ok(vec![LaneId("0".to_owned())])
    }

    async fn open(&self, _: &LaneId, _: Option<&Position>, projection: &[usize]) -> millstream_connectors::Result<Box<dyn Lane>> {
        Ok(Box::new(WatchedLane {
            _token: Arc::clone(&self.token),
            reads: Arc::clone(&self.reads),
            projection: projection.to_vec(),
            rows: 0,
        }))
    }
}

#[async_trait]
impl Lane for WatchedLane {
    async fn read(&mut self, _: usize) -> millstream_connectors::Result<Read> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.rows += 1;
        if self.rows > 3 {
            return std::future::pending().await;
        }
        let rows = batch(&[(self.rows, self.rows * 1_000)]).project(&self.projection).unwrap();
        let position = Position(serde_json::json!({ "row": self.rows }));
        Ok(Read::Batch(millstream_connectors::LaneBatch { rows, position, rejected: Vec::new(), bytes_read: 0 }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_query_leaves_no_task_behind() {
    let data = Arc::new(TestData::new());
    let token = Arc::new(());
    data.put_source("live", Arc::new(Watched { token: Arc::clone(&token), reads: Arc::default() }));
    let engine = harness::engine(&data, harness::settings()).await;
    let session = engine.session();
    session.execute(&declare("live", ", WATERMARK FOR ts")).await.unwrap();
    let tokens = Arc::strong_count(&token);
    for sql in ["SELECT k, ts FROM live", "SELECT window_start, count(*) FROM TUMBLE(live, ts, INTERVAL '1' SECOND) GROUP BY window_start"]
    {
        let mut query = session.query(sql).await.unwrap();
        harness::patiently(sql, query.next()).await.unwrap().unwrap();
        assert!(Arc::strong_count(&token) > tokens);
        drop(query);
        until("its lanes are gone", || Arc::strong_count(&token) == tokens).await;
        let query = session.query(sql).await.unwrap();
        drop(query.stream());
        until("its lanes are gone, dropped at once", || Arc::strong_count(&token) == tokens).await;
    }
    let query = session.query("SELECT k FROM live").await.unwrap();
    harness::patiently("stop", query.stop()).await.unwrap();
    until("its lanes are gone, stopped", || Arc::strong_count(&token) == tokens).await;
}

#[test]
fn an_idle_pipeline_does_not_turn() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (reads, wakeups, epochs) = runtime.block_on(async {
        let data = Arc::new(TestData::new());
        let reads = Arc::new(AtomicU64::new(0));
        data.put_source("live", Arc::new(Watched { token: Arc::default(), reads: Arc::clone(&reads) }));
        let engine = harness::engine(&data, harness::settings()).await;
        let session = engine.session();
        session.execute(&declare("live", ", WATERMARK FOR ts")).await.unwrap();
        session.execute(&declare("out", "")).await.unwrap();
        let handle = pipeline(
            &session,
            "INSERT INTO out SELECT count(*), window_start FROM TUMBLE(live, ts, INTERVAL '1' SECOND) GROUP BY window_start",
        )
        .await;
        until("two windows", || handle.status().rows_out == 2).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let metrics = tokio::runtime::Handle::current().metrics();
        let (parks, epochs) = (metrics.worker_park_count(0), handle.status().epochs);
        tokio::time::sleep(Duration::from_millis(500)).await;
        (reads.load(Ordering::SeqCst), metrics.worker_park_count(0) - parks, handle.status().epochs - epochs)
    });
    assert_eq!(reads, 4, "three rows and the wait for a fourth");
    assert!(wakeups <= 20, "{wakeups} wakeups in half a second of idleness");
    assert!(epochs <= 2, "{epochs} epochs without rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_over_processing_time_close_by_the_epoch_clock() {
    let data = Arc::new(TestData::new());
    let sender = channel(&data, "live");
    let clock = Arc::new(ManualClock::new(10_000));
    let connector: Arc<dyn millstream_connectors::Connector> = data.clone();
    let clock_of_engine: Arc<dyn millstream::Clock> = clock.clone();
    let engine = Engine::builder().with_connector(connector).with_clock(clock_of_engine).settings(eager()).build().await.unwrap();
    let session = engine.session();
    session
        .execute("CREATE TABLE live (k BIGINT, ts TIMESTAMP(3), proc AS PROCTIME()) WITH ('connector' = 'testdata', 'data' = 'live')")
        .await
        .unwrap();
    let mut query = session
        .query(
            "SELECT window_start, window_end, count(*) AS n FROM TUMBLE(live, proc, INTERVAL '2' SECOND) GROUP BY window_start, window_end",
        )
        .await
        .unwrap();
    sender.send(batch(&[(1, 0), (2, 0)])).await.unwrap();
    until("the rows are in", || query.status().epochs >= 1).await;
    clock.advance(1_999);
    sender.send(batch(&[(3, 0)])).await.unwrap();
    until("the third row is in", || query.status().epochs >= 2).await;
    // No row follows: the clock alone closes the window.
    clock.advance(1);
    let rows = harness::patiently("the window", query.next()).await.unwrap().unwrap();
    assert_eq!(harness::text(&[rows]), ["1970-01-01T00:00:10Z|1970-01-01T00:00:12Z|3"]);
    sender.send(batch(&[(4, 0)])).await.unwrap();
    drop(sender);
    let rows = harness::patiently("the end", query.next()).await.unwrap().unwrap();
    assert_eq!(harness::text(&[rows]), ["1970-01-01T00:00:12Z|1970-01-01T00:00:14Z|1"]);
    assert!(query.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_share_a_source_and_a_shutdown_ends_all() {
    let data = Arc::new(TestData::new());
    let rows: Vec<(i64, i64)> = (0..100).map(|row| (row % 5, row * 50)).collect();
    data.put("input", schema(), vec![rows.chunks(9).map(batch).collect()]);
    let _sender = channel(&data, "live");
    let engine = harness::engine(&data, eager()).await;
    let session = engine.session();
    for name in ["input", "live", "a", "b", "c"] {
        session.execute(&declare(name, ", WATERMARK FOR ts")).await.unwrap();
    }
    let one =
        pipeline(&session, "INSERT INTO a SELECT count(*), window_start FROM TUMBLE(input, ts, INTERVAL '1' SECOND) GROUP BY window_start")
            .await;
    let two = pipeline(&session, "INSERT INTO b SELECT k, ts FROM input WHERE k = 3").await;
    let three = pipeline(&session, "INSERT INTO c SELECT k, ts FROM live").await;
    harness::patiently("both", async { (one.wait().await, two.wait().await) }).await.0.unwrap();
    assert_eq!((data.output("a").rows(), data.output("b").rows()), (5, 20));
    assert_eq!(three.status().state, PipelineState::Running);
    harness::patiently("shutdown", engine.shutdown()).await;
    assert_eq!(three.status().state, PipelineState::Stopped);
    assert!(engine.pipelines().iter().all(|status| status.state.is_final()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_outgrows_the_memory_fails_and_the_others_run() {
    let engine = Engine::builder().memory_limit(20_000_000).settings(harness::settings()).build().await.unwrap();
    let session = engine.session();
    let numbers = "CREATE TABLE numbers (id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen',
        'rows-per-second' = '0', 'event_rate' = '1000', 'fields.id.kind' = 'sequence', 'fields.id.start' = '0', 'fields.id.end' = '999999999')";
    session.execute(numbers).await.unwrap();
    let count = |name: &str, key: &str| {
        format!(
            "CREATE SINK {name} WITH ('connector' = 'blackhole') AS SELECT window_start, {key} AS k, count(*) AS n
             FROM TUMBLE(numbers, ts, INTERVAL '365 days') GROUP BY window_start, window_end, {key}"
        )
    };
    let small = pipeline(&session, &count("small", "id % 10")).await;
    let large = pipeline(&session, &count("large", "id")).await;
    let error = harness::patiently("the large one", large.wait()).await.unwrap_err();
    assert_eq!(error.sqlstate(), "53200", "{error}");
    assert!(error.to_string().contains("memory limit of 20.0 MB is reached: pipeline large holds"), "{error}");
    assert!(error.to_string().contains("or --data DIR, into which state of open windows can leave"), "{error}");
    assert_eq!(large.status().restarts, 0);
    let rows = small.status().rows_in;
    until("the small one goes on", || small.status().rows_in > rows + 100_000).await;
    engine.shutdown().await;
}
