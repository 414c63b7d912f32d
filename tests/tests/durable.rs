//! Pipelines over a data folder: engines that end and come back, take each other over, find damage, are told to go back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream::{Clock, Engine, Outcome, PipelineHandle, PipelineState, Session, Settings, SystemClock};
use millstream_testkit::{Dice, FaultyStore};
use object_store::memory::InMemory;

use crate::harness::{self, patiently};

const EVENTS: u64 = 120_000;
const BIDS: &str =
    "CREATE TABLE bid (auction BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND)
    WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '{events}', 'event_rate' = '1000'{more})";
const WINDOWS: &str =
    "SELECT window_start, auction, count(*) AS n, sum(price) AS total FROM {from} GROUP BY window_start, window_end, auction";
const TUMBLE: &str = "TUMBLE(bid, date_time, INTERVAL '10 seconds')";
const HOP: &str = "HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds')";

/// A folder for the data and one for the sink.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn data(&self) -> String {
        self.0.path().join("data").display().to_string()
    }

    fn sink(&self) -> std::path::PathBuf {
        self.0.path().join("out")
    }

    async fn engine(&self, parallelism: usize) -> Engine {
        self.engine_with(Settings { parallelism, ..quick() }).await
    }

    async fn engine_with(&self, settings: Settings) -> Engine {
        Engine::builder().data(self.data()).settings(settings).build().await.unwrap()
    }

    /// Makes the table and the pipeline `s` over `from`; slow enough to be caught in the middle.
    async fn start(&self, session: &Session, from: &str) -> PipelineHandle {
        self.start_at(60_000, session, from).await
    }

    /// At so many events a second.
    async fn start_at(&self, rate: u32, session: &Session, from: &str) -> PipelineHandle {
        self.start_sink(rate, session, &WINDOWS.replace("{from}", from)).await
    }

    /// Any query over the table.
    async fn start_sink(&self, rate: u32, session: &Session, query: &str) -> PipelineHandle {
        session.execute(&bids(&format!(", 'rate' = '{rate}'"))).await.unwrap();
        let sink = self.sink();
        let sql = format!(
            "CREATE SINK s WITH ('connector' = 'file', 'path' = '{}', 'format' = 'csv', 'csv.header' = 'false') AS {query}",
            sink.display()
        );
        match session.execute(&sql).await.unwrap().pop() {
            Some(Outcome::Pipeline(handle)) => handle,
            other => panic!("no pipeline: {other:?}"),
        }
    }

    /// What readers of the sink see, sorted.
    fn published(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for entry in std::fs::read_dir(self.sink()).into_iter().flatten() {
            let path = entry.unwrap().path();
            if !path.file_name().unwrap().to_string_lossy().starts_with('.') {
                rows.extend(std::fs::read_to_string(path).unwrap().lines().map(str::to_owned));
            }
        }
        rows.sort();
        rows
    }

    fn state_files(&self) -> Vec<std::path::PathBuf> {
        let mut files = Vec::new();
        collect_files(&self.0.path().join("data"), &mut files);
        files.retain(|file| file.extension().is_some_and(|extension| extension == "parquet"));
        files.sort();
        files
    }
}

fn collect_files(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect_files(&path, files) } else { files.push(path) }
    }
}

/// Many checkpoints, small epochs.
fn quick() -> Settings {
    Settings { checkpoint_interval_ms: 20, epoch_rows_max: 1_000, batch_rows: 200, ..harness::settings() }
}

fn bids(more: &str) -> String {
    BIDS.replace("{events}", &EVENTS.to_string()).replace("{more}", more)
}

/// What the sink must hold in the end.
async fn expected(from: &str) -> Vec<String> {
    let engine = Engine::builder().settings(harness::settings()).build().await.unwrap();
    let session = engine.session();
    session.execute(&bids("")).await.unwrap();
    let rows = harness::rows(&session, &WINDOWS.replace("{from}", from)).await.unwrap();
    rows.into_iter().map(|row| row.replace('|', ",")).collect()
}

/// As `assert_eq`, but short.
#[track_caller]
fn same_rows(found: &[String], expected: &[String], what: &str) {
    let only =
        |one: &[String], other: &[String]| one.iter().filter(|row| other.binary_search(row).is_err()).take(3).cloned().collect::<Vec<_>>();
    let (extra, lost) = (only(found, expected), only(expected, found));
    assert!(found == expected, "{what}: {} rows, expected {}; too many: {extra:?}; lost: {lost:?}", found.len(), expected.len());
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    patiently(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

async fn rows_read(handle: &PipelineHandle, rows: u64) {
    until("rows are read", || handle.status().rows_in >= rows || handle.status().state.is_final()).await;
}

/// R15: the state of one number of partitions goes on with any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_goes_on_with_other_numbers_of_partitions() {
    for from in [TUMBLE, HOP] {
        let place = Place::new();
        let engine = place.engine(1).await;
        let handle = place.start(&engine.session(), from).await;
        rows_read(&handle, 10_000).await;
        engine.shutdown().await;
        for parallelism in [2, 3, 8, 5] {
            let engine = place.engine(parallelism).await;
            let session = engine.session();
            session.execute(&format!("SET parallelism = {parallelism}")).await.unwrap();
            // The number is one of the stored settings: stopped and started again it is the session's.
            session.execute("PAUSE PIPELINE s").await.unwrap();
            session.execute("RESUME PIPELINE s").await.unwrap();
            let handle = session.pipeline("s").unwrap();
            rows_read(&handle, 10_000).await;
            engine.shutdown().await;
        }
        let engine = place.engine(1).await;
        patiently("the rest", engine.wait()).await.unwrap();
        same_rows(&place.published(), &expected(from).await, from);
        assert_eq!(engine.pipelines()[0].state, PipelineState::Finished);
        drop(engine);
        // Finished is finished: nothing is written again.
        let engine = place.engine(2).await;
        patiently("nothing", engine.wait()).await.unwrap();
        assert_eq!(engine.pipelines()[0].state, PipelineState::Finished);
        same_rows(&place.published(), &expected(from).await, from);
    }
}

/// R6, within one process: the newer engine owns the folder, the older one writes nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn the_newer_engine_fences_the_older_one() {
    let place = Place::new();
    let older = place.engine(2).await;
    let fenced = place.start_at(20_000, &older.session(), TUMBLE).await;
    rows_read(&fenced, 5_000).await;
    let newer = place.engine(2).await;
    let ended = patiently("the older one notices", fenced.wait()).await;
    let error = ended.expect_err(&format!("the newer one runs: {:?}", newer.pipelines()));
    assert!(error.is_fenced() && error.to_string().contains("fenced by generation 2"), "{error}");
    let error = older.session().execute("CREATE VIEW v AS SELECT 1").await.unwrap_err();
    assert!(error.is_fenced(), "{error}");
    patiently("the rest", newer.wait()).await.unwrap();
    same_rows(&place.published(), &expected(TUMBLE).await, "rows");
}

/// A command takes a checkpoint; what it holds can be looked at.
#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_can_be_asked_for_and_looked_into() {
    let place = Place::new();
    let engine = place.engine_with(Settings { checkpoint_interval_ms: 3_600_000, ..quick() }).await;
    let session = engine.session();
    let handle = place.start(&session, TUMBLE).await;
    rows_read(&handle, 5_000).await;
    let number = handle.checkpoint().await.unwrap();
    let listed = harness::rows(&session, "SHOW CHECKPOINTS FOR s").await.unwrap();
    assert!(listed.iter().any(|row| row.starts_with(&format!("s|{number}|")) && row.ends_with("|command")), "{listed:?}");
    let state = format!("SELECT sum(\"state_0_0_count(Int64(1))[count]\") FROM checkpoint_state('s', {number}, 'aggregate_1')");
    let counted: u64 = harness::rows(&session, &state).await.unwrap()[0].parse().unwrap();
    let positions = format!("SELECT source, lane, position, finished FROM checkpoint_positions('s', {number})");
    let positions = harness::rows(&session, &positions).await.unwrap();
    assert!(counted > 0 && positions.len() == 1 && positions[0].starts_with("bid|0|{\"row\":"), "{counted} {positions:?}");
    let message = |sql: &str| {
        let (session, sql) = (session.clone(), sql.to_owned());
        async move { harness::rows(&session, &sql).await.unwrap_err().to_string() }
    };
    assert!(message("SELECT * FROM checkpoint_state('s', 99, 'aggregate_1')").await.contains("has no checkpoint 99 (hint: there are "));
    let wrong = format!("SELECT * FROM checkpoint_state('s', {number}, 'sum')");
    assert!(message(&wrong).await.contains("has no operator 'sum' (hint: there are aggregate_1)"));
    assert!(message("SELECT * FROM checkpoint_positions('t', 1)").await.contains("there is no pipeline t"));
    engine.shutdown().await;
}

/// Going back to an older checkpoint writes the rows after it again; the state is that of the checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_put_back_to_an_older_checkpoint() {
    let place = Place::new();
    let engine = place.engine_with(Settings { checkpoint_interval_ms: 3_600_000, checkpoint_keep: 100, ..quick() }).await;
    let session = engine.session();
    let handle = place.start(&session, TUMBLE).await;
    rows_read(&handle, 30_000).await;
    let number = handle.checkpoint().await.unwrap();
    let published = place.published();
    rows_read(&handle, 60_000).await;
    handle.checkpoint().await.unwrap();
    let error = session.execute("RESTORE PIPELINE s FROM CHECKPOINT 77").await.unwrap_err().to_string();
    assert!(error.contains("no checkpoint 77"), "{error}");
    let Some(Outcome::Done { message }) = session.execute(&format!("RESTORE PIPELINE s FROM CHECKPOINT {number}")).await.unwrap().pop()
    else {
        panic!("no message");
    };
    assert!(message.contains("rows after it are written again"), "{message}");
    patiently("the rest", engine.wait()).await.unwrap();
    let (all, expected) = (place.published(), expected(TUMBLE).await);
    // Those of the first checkpoint once, those after it once or twice.
    let times = |row: &String| all.iter().filter(|other| *other == row).count();
    assert!(published.iter().all(|row| times(row) == 1), "rows before the checkpoint came again");
    assert!(expected.iter().all(|row| (1..=2).contains(&times(row))) && all.len() > expected.len());
}

/// R13: state of another query is refused with what has changed, before anything is touched; the former definition goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_query_is_refused_with_what_has_changed() {
    let place = Place::new();
    let engine = place.engine(2).await;
    let session = engine.session();
    session.execute(&bids(", 'rate' = '60000'")).await.unwrap();
    let view = |group: &str, size: u32| {
        format!(
            "CREATE OR REPLACE VIEW v AS SELECT window_start, {group} AS k, count(*) AS n FROM TUMBLE(bid, date_time, INTERVAL '{size} seconds') GROUP BY window_start, window_end, {group}"
        )
    };
    session.execute(&view("auction", 10)).await.unwrap();
    let path = place.sink();
    let sink = format!("CREATE SINK s WITH ('connector' = 'file', 'path' = '{}', 'format' = 'csv') AS SELECT * FROM v", path.display());
    session.execute(&sink).await.unwrap();
    rows_read(&session.pipeline("s").unwrap(), 10_000).await;
    session.execute("PAUSE PIPELINE s").await.unwrap();
    for (group, size, change) in [
        ("price % 7", 10, "state of aggregate_1 was key_0_"),
        ("auction", 20, "the window of aggregate_1 was TUMBLE(10s), it now is TUMBLE(20s)"),
    ] {
        session.execute(&view(group, size)).await.unwrap();
        let error = session.execute("RESUME PIPELINE s").await.unwrap_err().to_string();
        assert!(error.contains("cannot go on from checkpoint") && error.contains(change), "{error}");
    }
    // What only changes rows before or after the state may change.
    session.execute(&view("auction", 10).replace("FROM TUMBLE", ", sum(price) AS total FROM TUMBLE")).await.unwrap();
    let error = session.execute("RESUME PIPELINE s").await.unwrap_err().to_string();
    assert!(error.contains("state of aggregate_1 that was not computed"), "{error}");
    session.execute(&view("auction", 10).replace("GROUP BY", "WHERE price > 5 GROUP BY")).await.unwrap();
    session.execute("RESUME PIPELINE s").await.unwrap();
    patiently("the rest", engine.wait()).await.unwrap();
}

/// R3, from outside: a damaged file of state is named with the way out, other pipelines run, and the way out works.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_is_named_and_can_be_left_behind() {
    let place = Place::new();
    let engine = place.engine_with(Settings { checkpoint_interval_ms: 3_600_000, checkpoint_keep: 100, ..quick() }).await;
    let session = engine.session();
    let handle = place.start(&session, TUMBLE).await;
    rows_read(&handle, 20_000).await;
    handle.checkpoint().await.unwrap();
    let before = place.state_files();
    session.execute("CREATE SINK other WITH ('connector' = 'blackhole') AS SELECT auction FROM bid").await.unwrap();
    rows_read(&handle, 60_000).await;
    engine.shutdown().await;
    drop(engine);
    let newer: Vec<_> = place.state_files().into_iter().filter(|file| !before.contains(file)).collect();
    for file in &newer {
        let bytes = std::fs::read(file).unwrap();
        std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    }
    assert!(!newer.is_empty());
    let engine = place.engine(2).await;
    let session = engine.session();
    let error = session.pipeline("s").unwrap().wait().await.unwrap_err().to_string();
    let named = newer.iter().any(|file| error.contains(&*file.file_name().unwrap().to_string_lossy()));
    assert!(named && error.contains("is damaged") && error.contains("hint"), "{error}");
    patiently("the other one", session.pipeline("other").unwrap().wait()).await.unwrap();
    let kept = harness::rows(&session, "SHOW CHECKPOINTS FOR s").await.unwrap();
    let whole = kept.iter().find(|row| row.ends_with("|command")).unwrap().split('|').nth(1).unwrap().to_owned();
    session.execute(&format!("RESTORE PIPELINE s FROM CHECKPOINT {whole}")).await.unwrap();
    patiently("the rest", engine.wait()).await.unwrap();
    let mut rows = place.published();
    rows.dedup();
    same_rows(&rows, &expected(TUMBLE).await, "rows");
}

/// What is dropped is gone; the name is free for something else, which does not find the old state.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_definitions_do_not_come_back() {
    let place = Place::new();
    let engine = place.engine(2).await;
    let session = engine.session();
    let handle = place.start(&session, TUMBLE).await;
    rows_read(&handle, 10_000).await;
    session.execute("CREATE VIEW v AS SELECT auction FROM bid; DROP SINK s; DROP VIEW v").await.unwrap();
    assert!(place.state_files().is_empty());
    engine.shutdown().await;
    drop(engine);
    // There may be nothing yet.
    let _ = std::fs::remove_dir_all(place.sink());
    let engine = place.engine(2).await;
    let session = engine.session();
    assert!(engine.pipelines().is_empty());
    assert_eq!(harness::rows(&session, "SHOW TABLES").await.unwrap(), ["bid|nexmark"]);
    assert_eq!(harness::rows(&session, "SHOW VIEWS").await.unwrap(), [""; 0]);
    session.execute("DROP TABLE bid").await.unwrap();
    place.start(&session, TUMBLE).await;
    patiently("all of it", engine.wait()).await.unwrap();
    same_rows(&place.published(), &expected(TUMBLE).await, "rows");
}

/// A script run again finds what it has made; another statement of the same name is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_is_run_again_goes_on_with_what_it_made() {
    let place = Place::new();
    let script = format!(
        "{}; INSERT INTO out SELECT auction, price FROM bid; INSERT INTO out SELECT auction, price FROM bid",
        bids(", 'rate' = '100000'").replace(
            "CREATE TABLE bid",
            "CREATE TABLE out (auction BIGINT, price BIGINT) WITH ('connector' = 'blackhole'); CREATE TABLE bid"
        )
    );
    let engine = place.engine(2).await;
    engine.session().resuming().execute(&script).await.unwrap();
    engine.shutdown().await;
    drop(engine);
    let engine = place.engine(2).await;
    let outcomes = engine.session().resuming().execute(&script).await.unwrap();
    let names: Vec<String> =
        outcomes.iter().filter_map(|outcome| if let Outcome::Pipeline(handle) = outcome { Some(handle.name()) } else { None }).collect();
    assert_eq!(names, ["insert_into_out_1", "insert_into_out_2"]);
    assert_eq!(engine.pipelines().len(), 2);
    let other = engine.session().resuming().execute("CREATE TABLE bid (a BIGINT) WITH ('connector' = 'blackhole')").await.unwrap_err();
    assert!(other.to_string().contains("bid exists already"), "{other}");
    engine.shutdown().await;
}

/// Runs `life` in a runtime that is then torn down with everything in it, between any two steps of any task.
fn cut_short<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let done = runtime.block_on(life);
    runtime.shutdown_timeout(Duration::from_secs(10));
    done
}

/// R5: one call in ten fails, half of them after they had their effect, and the engine is cut short again and again.
#[test]
fn a_failing_store_loses_and_doubles_nothing() {
    let expected = cut_short(expected(TUMBLE));
    for seed in 1..=2 {
        let (memory, place, dice) = (Arc::new(InMemory::new()), Place::new(), Arc::new(Dice::new(seed)));
        let builder = || {
            let store = FaultyStore::new(Arc::clone(&memory), Arc::clone(&dice), 100);
            Engine::builder().data_in(Arc::new(store), "data").settings(quick())
        };
        cut_short(async {
            let engine = builder().build().await.unwrap();
            rows_read(&place.start(&engine.session(), TUMBLE).await, 5_000).await;
        });
        let mut lives = 1;
        loop {
            let ended = cut_short(async {
                let engine = builder().build().await.unwrap();
                let handle = engine.session().pipeline("s").unwrap();
                rows_read(&handle, 30_000).await;
                let state = handle.status().state;
                assert!(!matches!(state, PipelineState::Failed(_)), "seed {seed}: {state:?}");
                state.is_final()
            });
            lives += 1;
            if ended {
                break;
            }
            assert!(lives < 200, "seed {seed}: no end after {lives} lives");
        }
        same_rows(&place.published(), &expected, &format!("seed {seed}, {lives} lives"));
    }
}

/// The machine's clock, off by days, and never by the same.
#[derive(Debug)]
struct JumpyClock {
    clock: SystemClock,
    dice: Dice,
}

#[async_trait::async_trait]
impl Clock for JumpyClock {
    fn now(&self) -> i64 {
        let days = i64::try_from(self.dice.roll(20)).unwrap() - 10;
        self.clock.now() + days * 86_400_000
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }
}

/// R7: event time knows no wall clock, and nothing durable is decided by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_by_days_changes_nothing() {
    let place = Place::new();
    let engine = |seed| {
        let clock = JumpyClock { clock: SystemClock::default(), dice: Dice::new(seed) };
        Engine::builder().data(place.data()).settings(quick()).with_clock(Arc::new(clock)).build()
    };
    let first = engine(1).await.unwrap();
    let handle = place.start(&first.session(), HOP).await;
    rows_read(&handle, 20_000).await;
    first.shutdown().await;
    drop(first);
    let second = engine(2).await.unwrap();
    rows_read(&second.session().pipeline("s").unwrap(), 20_000).await;
    let third = engine(3).await.unwrap();
    patiently("the rest", third.wait()).await.unwrap();
    same_rows(&place.published(), &expected(HOP).await, "rows");
}

/// R4: while nothing can be stored the stream goes on until `uncommitted_bytes_max` of output wait, then it waits too; when there is
/// room again, all of it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn the_stream_waits_for_a_checkpoint_that_cannot_be_written() {
    let rows = "SELECT auction, price FROM bid";
    let engine = Engine::builder().settings(harness::settings()).build().await.unwrap();
    engine.session().execute(&bids("")).await.unwrap();
    let expected = harness::rows(&engine.session(), rows).await.unwrap();
    let expected: Vec<String> = expected.into_iter().map(|row| row.replace('|', ",")).collect();
    for (uncommitted_bytes_max, waits) in [(64 << 10, true), (1 << 30, false)] {
        let (place, store) = (Place::new(), FaultyStore::new(Arc::new(InMemory::new()), Arc::new(Dice::new(1)), 0));
        let room = store.room();
        let settings = Settings { uncommitted_bytes_max, ..quick() };
        let engine = Engine::builder().data_in(Arc::new(store), "data").settings(settings).build().await.unwrap();
        let handle = place.start_sink(60_000, &engine.session(), rows).await;
        rows_read(&handle, 5_000).await;
        room.fill();
        if waits {
            until("the store is asked again and again", || room.refused() >= 6).await;
            let stopped_at = handle.status().rows_in;
            assert!(stopped_at < expected.len() as u64 / 2, "{stopped_at} of {} rows are read", expected.len());
            // By now the pauses are long enough to read tens of thousands of rows.
            until("the store is asked once more", || room.refused() >= 7).await;
            assert_eq!(handle.status().rows_in, stopped_at, "rows are read although none can be stored");
        } else {
            // Figures of a pipeline that has come to its end are up to a tenth of a second old.
            rows_read(&handle, expected.len() as u64 * 8 / 10).await;
            assert!(room.refused() > 0);
        }
        assert_eq!(handle.status().state, PipelineState::Running);
        room.make();
        patiently("the rest", engine.wait()).await.unwrap();
        same_rows(&place.published(), &expected, &format!("uncommitted_bytes_max {uncommitted_bytes_max}"));
    }
}

/// What needs a data folder says so.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_data_folder_the_commands_say_what_is_missing() {
    let engine = Engine::builder().settings(quick()).build().await.unwrap();
    let session = engine.session();
    session.execute(&bids("")).await.unwrap();
    session.execute("CREATE SINK s WITH ('connector' = 'blackhole') AS SELECT auction FROM bid").await.unwrap();
    for statement in ["PAUSE PIPELINE s", "RESUME PIPELINE s", "RESTORE PIPELINE s FROM CHECKPOINT 1", "SHOW CHECKPOINTS FOR s"] {
        let error = session.execute(statement).await.unwrap_err().to_string();
        assert!(error.contains("needs a data folder") && error.contains("--data DIR"), "{statement}: {error}");
    }
    let error = session.execute("CHECKPOINT PIPELINE t").await.unwrap_err().to_string();
    assert!(error.contains("there is no pipeline t"), "{error}");
}
