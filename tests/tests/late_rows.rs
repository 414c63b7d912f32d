//! Rows that come too late, and rows without a time: they are in no result and they are counted.

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream::{Outcome, PipelineStatus, Settings};
use millstream_testkit::{Random, TestData};

use crate::harness;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]))
}

fn batch(times: &[Option<i64>]) -> RecordBatch {
    let keys = Int64Array::from_iter_values((0..).take(times.len()).map(|row: i64| row % 3));
    RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(TimestampMillisecondArray::from(times.to_vec()))]).unwrap()
}

/// Rows per window of TUMBLE or HOP in one lane, epochs of `epoch_rows` rows, and the figures at the end.
async fn run(times: &[Option<i64>], epoch_rows: usize, windows: &str, options: &str) -> (u64, PipelineStatus) {
    let data = Arc::new(TestData::new());
    // A batch is an epoch: whole batches are taken while they fit.
    data.put("late", schema(), vec![times.chunks(epoch_rows).map(batch).collect()]);
    let engine = harness::engine(&data, Settings { epoch_rows_max: epoch_rows, batch_rows: epoch_rows, ..harness::settings() }).await;
    let session = engine.session();
    let create = format!(
        "CREATE TABLE t (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'testdata', 'data' = 'late'{options})"
    );
    session.execute(&create).await.unwrap();
    let sql = format!("SELECT window_start, count(*) AS n FROM {windows} GROUP BY window_start");
    let run = async {
        let mut query = session.query(&sql).await.unwrap();
        let mut counted = 0;
        while let Some(batch) = query.next().await {
            counted +=
                harness::text(&[batch.unwrap()]).iter().map(|row| row.rsplit('|').next().unwrap().parse::<u64>().unwrap()).sum::<u64>();
        }
        (counted, query.status())
    };
    harness::patiently(&sql, run).await
}

/// What the rule says: a row is late if its window was closed by the watermark before its epoch (lenient) or before it (strict).
fn expected_late(times: &[Option<i64>], epoch_rows: usize, size: i64) -> u64 {
    expected_late_rows(times, epoch_rows, size).len() as u64
}

/// Which rows those are.
fn expected_late_rows(times: &[Option<i64>], epoch_rows: usize, size: i64) -> Vec<usize> {
    let (mut watermark, mut late) = (i64::MIN, Vec::new());
    for (number, epoch) in times.chunks(epoch_rows).enumerate() {
        let is_late = |time: &Option<i64>| time.is_some_and(|time| time.div_euclid(size) * size + size <= watermark);
        late.extend((0..epoch.len()).filter(|&row| is_late(&epoch[row])).map(|row| number * epoch_rows + row));
        watermark = epoch.iter().flatten().map(|time| time - 2_000).fold(watermark, i64::max);
    }
    late
}

fn disordered(seed: u64, nulls: bool) -> Vec<Option<i64>> {
    let mut random = Random::new(seed);
    (0..300)
        .map(|row| {
            (!(nulls && random.chance(10))).then(|| row * 100 + 1_000_000 - if random.chance(20) { random.within(0..9_000) } else { 0 })
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn late_rows_are_counted_exactly() {
    for (seed, epoch_rows) in [(1, 1), (2, 7), (3, 50), (4, 300), (5, 1)] {
        let times = disordered(seed, seed % 2 == 0);
        let untimed = times.iter().filter(|time| time.is_none()).count() as u64;
        for options in ["", ", 'late_rows' = 'strict'"] {
            // The strict rule does not know epochs: as if each row were one.
            let late = expected_late(&times, if options.is_empty() { epoch_rows } else { 1 }, 1_000);
            let (counted, status) = run(&times, epoch_rows, "TUMBLE(t, ts, INTERVAL '1' SECOND)", options).await;
            let case = format!("seed {seed}, epochs of {epoch_rows}, options '{options}'");
            assert_eq!(status.late_rows, late, "late rows, {case}");
            assert_eq!(status.untimed_rows, untimed, "untimed rows, {case}");
            assert_eq!((status.rows_in, counted), (300, 300 - late - untimed), "rows, {case}");
            assert!(epoch_rows == 300 && options.is_empty() || late > 0, "nothing is late, {case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_late_for_hop_only_when_all_its_windows_are_closed() {
    // Two windows hold each row. The row of 1.5 s comes when [0, 2) is closed and [1, 3) is not; the row of 0.5 s when both are.
    let times = [Some(1_200), Some(4_200), Some(1_500), Some(6_900), Some(500), None];
    let (counted, status) = run(&times, 1, "HOP(t, ts, INTERVAL '1' SECOND, INTERVAL '2' SECOND)", "").await;
    assert_eq!((status.late_rows, status.untimed_rows), (1, 1));
    // 1.2: [0, 2) and [1, 3); 1.5: [1, 3); 4.2 and 6.9: two each.
    assert_eq!(counted, 2 + 1 + 2 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_rows_of_a_window_buffer_are_counted() {
    let data = Arc::new(TestData::new());
    let times: Vec<Option<i64>> = vec![Some(100), Some(9_000), Some(200), None, Some(9_100)];
    data.put("late", schema(), vec![times.chunks(1).map(batch).collect()]);
    let engine = harness::engine(&data, Settings { epoch_rows_max: 1, batch_rows: 1, ..harness::settings() }).await;
    let session = engine.session();
    session.execute("CREATE TABLE t (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'testdata', 'data' = 'late')").await.unwrap();
    let sql = "SELECT ts, place FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY ts) AS place FROM TUMBLE(t, ts, INTERVAL '1' SECOND)) AS w";
    let mut query = session.query(sql).await.unwrap();
    let mut rows = Vec::new();
    while let Some(batch) = harness::patiently(sql, query.next()).await {
        rows.extend(harness::text(&[batch.unwrap()]));
    }
    assert_eq!(rows, ["1970-01-01T00:00:00.100|1", "1970-01-01T00:00:09|1", "1970-01-01T00:00:09.100|2"]);
    let status = query.status();
    assert_eq!((status.rows_in, status.late_rows, status.untimed_rows), (5, 1, 1));
}

/// Runs a windowed INSERT over one lane with `LATE ROWS INTO late`; gives rows per result, and what is in the late table.
async fn run_keeping(times: &[Option<i64>], epoch_rows: usize, windows: &str, options: &str) -> (u64, Vec<String>) {
    let data = Arc::new(TestData::new());
    data.put("late", schema(), vec![times.chunks(epoch_rows).map(batch).collect()]);
    let engine = harness::engine(&data, Settings { epoch_rows_max: epoch_rows, batch_rows: epoch_rows, ..harness::settings() }).await;
    let session = engine.session();
    let sql = format!(
        "CREATE TABLE t (k BIGINT, ts TIMESTAMP(3), more AS k + 100, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND)
         WITH ('connector' = 'testdata', 'data' = 'late'{options});
         CREATE TABLE late (ts TIMESTAMP(3), more BIGINT);
         CREATE TABLE counts (n BIGINT);
         INSERT INTO counts SELECT count(*) FROM {windows} GROUP BY window_start LATE ROWS INTO late"
    );
    let work = async {
        let Some(Outcome::Pipeline(handle)) = session.execute(&sql).await.unwrap().pop() else { panic!("no pipeline") };
        handle.wait().await.unwrap();
        let kept = harness::rows(&session, "SELECT CAST(ts AS BIGINT), more FROM late").await.unwrap();
        assert_eq!(handle.status().late_rows, kept.len() as u64);
        let counted = harness::rows(&session, "SELECT coalesce(sum(n), 0) FROM counts").await.unwrap();
        (counted[0].parse().unwrap(), kept)
    };
    harness::patiently(&sql, work).await
}

/// R9: what is late is counted exactly and found in its table, with all columns.
#[tokio::test(flavor = "multi_thread")]
async fn late_rows_are_found_in_their_table() {
    for (seed, epoch_rows) in [(11, 1), (12, 7), (13, 50), (14, 300)] {
        let times = disordered(seed, seed % 2 == 0);
        let untimed = times.iter().filter(|time| time.is_none()).count() as u64;
        for options in ["", ", 'late_rows' = 'strict'"] {
            let late = expected_late_rows(&times, if options.is_empty() { epoch_rows } else { 1 }, 1_000);
            // Keys are counted anew in each batch, of an epoch's size.
            let mut expected: Vec<String> =
                late.iter().map(|&row| format!("{}|{}", times[row].unwrap(), row % epoch_rows % 3 + 100)).collect();
            expected.sort();
            let (counted, mut kept) = run_keeping(&times, epoch_rows, "TUMBLE(t, ts, INTERVAL '1' SECOND)", options).await;
            kept.sort();
            let case = format!("seed {seed}, epochs of {epoch_rows}, options '{options}'");
            assert_eq!(kept, expected, "late rows, {case}");
            assert_eq!(counted, 300 - late.len() as u64 - untimed, "rows, {case}");
        }
    }
    // As above: for HOP only a row whose windows are all closed is late.
    let times = [Some(1_200), Some(4_200), Some(1_500), Some(6_900), Some(500), None];
    let (counted, kept) = run_keeping(&times, 1, "HOP(t, ts, INTERVAL '1' SECOND, INTERVAL '2' SECOND)", "").await;
    assert_eq!((counted, kept), (7, vec!["500|100".to_owned()]));
}
