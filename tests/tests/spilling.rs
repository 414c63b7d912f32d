//! State larger than the memory limit: layers leave for the data folder and come back when their window closes.

use millstream::{Engine, Outcome, PipelineHandle, PipelineState, Session, Settings};

use crate::durable::{Place, cut_short, same_rows, until};
use crate::harness::{self, patiently};

const EVENTS: u64 = 300_000;
/// Windows of a minute stay open for four more: some 30,000 groups each.
const BIDS: &str = "CREATE TABLE bid (price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time AS date_time - INTERVAL '240' SECOND)
    WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '{events}', 'event_rate' = '1000'{more})";
/// For windows that close in parts: those of HOP have some 40,000 groups.
const PART_EVENTS: u64 = 100_000;
const PART_LIMIT: u64 = 2_500_000;
const TUMBLE: &str = "TUMBLE(bid, date_time, INTERVAL '60 seconds')";
const HOP: &str = "HOP(bid, date_time, INTERVAL '30 seconds', INTERVAL '60 seconds')";

fn settings() -> Settings {
    Settings { epoch_rows_max: 20_000, ..harness::settings() }
}

fn query(from: &str) -> String {
    format!(
        "SELECT window_start, price % 40000 AS k, count(*) AS n, sum(price) AS total, max(price) AS most
         FROM {from} GROUP BY window_start, window_end, price % 40000"
    )
}

fn bids(events: u64, more: &str) -> String {
    BIDS.replace("{events}", &events.to_string()).replace("{more}", more)
}

async fn start(session: &Session, place: &Place, from: &str) -> PipelineHandle {
    start_over(session, place, from, EVENTS).await
}

async fn start_over(session: &Session, place: &Place, from: &str, events: u64) -> PipelineHandle {
    session.execute(&bids(events, "")).await.unwrap();
    let options = format!("'connector' = 'file', 'path' = '{}', 'format' = 'csv', 'csv.header' = 'false'", place.sink().display());
    match session.execute(&format!("CREATE SINK s WITH ({options}) AS {}", query(from))).await.unwrap().pop() {
        Some(Outcome::Pipeline(handle)) => handle,
        other => panic!("no pipeline: {other:?}"),
    }
}

/// The rows that must come.
async fn unlimited(from: &str) -> Vec<String> {
    unlimited_over(from, EVENTS).await
}

async fn unlimited_over(from: &str, events: u64) -> Vec<String> {
    let place = Place::new();
    let engine = Engine::builder().settings(settings()).build().await.unwrap();
    let handle = start_over(&engine.session(), &place, from, events).await;
    patiently("without a limit", handle.wait()).await.unwrap();
    place.published()
}

/// R12: many keys under a small limit are counted as without one.
#[tokio::test(flavor = "multi_thread")]
async fn state_larger_than_memory_gives_the_same_rows() {
    for (from, limit) in [(TUMBLE, 5_000_000), (HOP, 7_000_000)] {
        let expected = unlimited(from).await;
        let place = Place::new();
        let engine = Engine::builder().data(place.data()).memory_limit(limit).settings(settings()).build().await.unwrap();
        let handle = start(&engine.session(), &place, from).await;
        patiently("all of it", handle.wait()).await.unwrap();
        same_rows(&place.published(), &expected, from);
        let status = handle.status();
        assert!(status.stored_bytes_max > limit / 2, "{from}: {} bytes have left", status.stored_bytes_max);
        let most = status.state_bytes_max;
        // What one epoch brings, and a table that doubles, pass it.
        assert!(most < limit + limit / 2, "{from}: {most} bytes of state, the limit is {limit}");
        let checkpoints = harness::rows(&engine.session(), "SHOW CHECKPOINTS FOR s").await.unwrap();
        assert!(!checkpoints.is_empty());
    }
}

/// The same on one thread: reading back waits for nobody.
#[tokio::test]
async fn state_comes_back_in_a_runtime_of_one_thread() {
    let expected = unlimited(TUMBLE).await;
    let place = Place::new();
    let settings = Settings { parallelism: 1, ..settings() };
    let engine = Engine::builder().data(place.data()).memory_limit(4_000_000).settings(settings).build().await.unwrap();
    let handle = start(&engine.session(), &place, TUMBLE).await;
    patiently("all of it", handle.wait()).await.unwrap();
    same_rows(&place.published(), &expected, "rows");
}

/// Cut short again and again while most of the state is out of memory.
#[test]
fn state_that_has_left_survives_the_end_of_the_process() {
    let expected = cut_short(unlimited(TUMBLE));
    let place = Place::new();
    let builder = || Engine::builder().data(place.data()).memory_limit(5_000_000).settings(settings());
    cut_short(async {
        let engine = builder().build().await.unwrap();
        let handle = start(&engine.session(), &place, TUMBLE).await;
        until("state has left", || handle.status().stored_bytes_max > 2_000_000 || handle.status().state.is_final()).await;
        assert!(!handle.status().state.is_final());
    });
    let mut lives = 1;
    let mut began_stored = 0;
    loop {
        let ended = cut_short(async {
            let engine = builder().build().await.unwrap();
            let handle = engine.session().pipeline("s").unwrap();
            until("it goes on", || handle.status().rows_in > 0 || handle.status().state.is_final()).await;
            began_stored += u64::from(handle.status().stored_bytes > 0);
            until("it comes further", || handle.status().rows_in > 90_000 || handle.status().state.is_final()).await;
            let state = handle.status().state;
            assert!(!matches!(state, PipelineState::Failed(_)), "{state:?}");
            state.is_final()
        });
        lives += 1;
        if ended {
            break;
        }
        assert!(lives < 50, "no end after {lives} lives");
    }
    assert!(began_stored > 0, "no life began with state out of memory, of {lives}");
    same_rows(&place.published(), &expected, &format!("{lives} lives"));
}

/// One window, or overlapping ones, of more groups than the limit holds: they close in parts.
#[tokio::test(flavor = "multi_thread")]
async fn windows_larger_than_memory_close_in_parts() {
    for from in ["TUMBLE(bid, date_time, INTERVAL '1 hour')", "HOP(bid, date_time, INTERVAL '20 seconds', INTERVAL '50 seconds')"] {
        let expected = unlimited_over(from, PART_EVENTS).await;
        let place = Place::new();
        let engine = Engine::builder().data(place.data()).memory_limit(PART_LIMIT).settings(settings()).build().await.unwrap();
        let handle = start_over(&engine.session(), &place, from, PART_EVENTS).await;
        patiently("all of it", handle.wait()).await.unwrap();
        same_rows(&place.published(), &expected, from);
        let (left, most) = (handle.status().stored_bytes_max, handle.status().state_bytes_max);
        assert!(left > PART_LIMIT / 2, "{from}: {left} bytes have left");
        assert!(most < 3 * PART_LIMIT, "{from}: {most} bytes of state");
    }
}

/// The process ends while a window is half released: nothing of it was seen, and it is released anew.
#[test]
fn a_window_that_is_half_released_is_released_again() {
    let from = "HOP(bid, date_time, INTERVAL '30 seconds', INTERVAL '60 seconds')";
    let expected = cut_short(unlimited_over(from, PART_EVENTS));
    let place = Place::new();
    let builder = || Engine::builder().data(place.data()).memory_limit(PART_LIMIT).settings(settings());
    cut_short(async {
        let engine = builder().build().await.unwrap();
        let handle = start_over(&engine.session(), &place, from, PART_EVENTS).await;
        until("rows come out", || handle.status().rows_out > 0 || handle.status().state.is_final()).await;
    });
    for life in 0.. {
        assert!(life < 50, "no end after {life} lives");
        let ended = cut_short(async {
            let engine = builder().build().await.unwrap();
            let handle = engine.session().pipeline("s").unwrap();
            // Lives of different lengths: each ends at another place.
            let enough = 1 + life * 30_000;
            until("rows come out", || handle.status().rows_out > enough || handle.status().state.is_final()).await;
            let state = handle.status().state;
            assert!(!matches!(state, PipelineState::Failed(_)), "{state:?}");
            state.is_final()
        });
        if ended {
            break;
        }
    }
    same_rows(&place.published(), &expected, from);
}

/// Both sides of a join wait in buffers, which leave memory and come back window by window.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_wait_for_a_join_leave_memory() {
    let sql = "CREATE SINK s WITH ({options}) AS
        SELECT a.window_start, a.price AS p, b.date_time AS t
        FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') a JOIN TUMBLE(other, date_time, INTERVAL '10 seconds') b
        ON a.window_start = b.window_start AND a.price = b.price AND a.date_time = b.date_time";
    let run = async |place: &Place, limit: Option<u64>| {
        let builder = Engine::builder().settings(settings());
        let builder = match limit {
            Some(limit) => builder.data(place.data()).memory_limit(limit),
            None => builder,
        };
        let engine = builder.build().await.unwrap();
        let session = engine.session();
        session.execute(&bids(150_000, "")).await.unwrap();
        session.execute(&bids(150_000, "").replace("TABLE bid", "TABLE other")).await.unwrap();
        let options = format!("'connector' = 'file', 'path' = '{}', 'format' = 'csv', 'csv.header' = 'false'", place.sink().display());
        let Some(Outcome::Pipeline(handle)) = session.execute(&sql.replace("{options}", &options)).await.unwrap().pop() else { panic!() };
        patiently("all of it", handle.wait()).await.unwrap();
        (place.published(), handle.status())
    };
    let (expected, _) = run(&Place::new(), None).await;
    // All windows stay open to the end: some 280,000 rows of both sides, 24 bytes and more each.
    let limit = 4_000_000;
    let (rows, status) = run(&Place::new(), Some(limit)).await;
    same_rows(&rows, &expected, "rows");
    assert!(status.stored_bytes_max > limit / 2, "{} bytes have left", status.stored_bytes_max);
    assert!(status.state_bytes_max < limit * 3 / 2, "{} bytes of state, the limit is {limit}", status.state_bytes_max);
}

/// A window that is sorted or ranked is needed whole: if it does not fit, that is an error, and the machine lives on.
#[tokio::test(flavor = "multi_thread")]
async fn one_ranked_window_larger_than_memory_is_an_error() {
    let place = Place::new();
    let engine = Engine::builder().data(place.data()).memory_limit(3_000_000).settings(settings()).build().await.unwrap();
    let session = engine.session();
    session.execute(&bids(EVENTS, "")).await.unwrap();
    let sql = format!(
        "CREATE SINK s WITH ('connector' = 'blackhole') AS SELECT * FROM
         (SELECT *, row_number() OVER (PARTITION BY window_start ORDER BY n DESC) AS r FROM ({})) WHERE r < 10",
        query("TUMBLE(bid, date_time, INTERVAL '1 hour')")
    );
    let Some(Outcome::Pipeline(handle)) = session.execute(&sql).await.unwrap().pop() else { panic!() };
    let error = patiently("the error", handle.wait()).await.unwrap_err();
    assert_eq!(error.sqlstate(), "53200", "{error}");
}
