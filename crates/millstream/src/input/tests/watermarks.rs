//! Watermarks of lanes and sources, idleness, the future-skew guard.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use millstream_connectors::{Boundedness, LaneId};
use millstream_time::Watermark;

use super::fake::{Act, FakeSource, Rig, START_MS, ids, roomy, rows, spec};
use crate::input::{InputSettings, SourceSpec, WatermarkRule};

const MIN: i64 = i64::MIN;
const MAX: i64 = i64::MAX;
const SECOND: Duration = Duration::from_secs(1);

fn minus_five() -> WatermarkRule {
    let five = Literal::new(ScalarValue::DurationMillisecond(Some(5)));
    WatermarkRule::Expr(Arc::new(BinaryExpr::new(Arc::new(Column::new("ts", 1)), Operator::Minus, Arc::new(five))))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_gives_the_running_maximum() {
    let column = |delay_ms| WatermarkRule::Column { index: 1, delay_ms };
    let with_null = Act::Rows(vec![None, Some(7), None]);
    let only_null = Act::Rows(vec![None]);
    let cases = [
        ("maximum", column(0), vec![rows(&[3, 9, 4])], 9),
        ("delay", column(10), vec![rows(&[3, 9, 4])], -1),
        ("never back", column(0), vec![rows(&[9]), rows(&[3])], 9),
        ("nulls", column(0), vec![with_null], 7),
        ("only nulls", column(0), vec![only_null], MIN),
        ("expression", minus_five(), vec![rows(&[9, 3])], 4),
        ("no rule", WatermarkRule::None, vec![rows(&[9])], MIN),
        ("no rule, but the end", WatermarkRule::None, vec![rows(&[9]), Act::End], MAX),
        ("the end of time is not the end of input", column(0), vec![rows(&[MAX])], MAX - 1),
    ];
    for (name, rule, acts, expected) in cases {
        let source = FakeSource::with_lanes([acts]);
        let mut rig = Rig::open(vec![SourceSpec { watermark: rule, ..spec("t", &source) }], &[source], roomy()).await;
        assert_eq!(rig.watermark().await, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_as_far_as_its_slowest_lane() {
    let cases: [(&str, Vec<Vec<Act>>, i64, bool); 5] = [
        ("minimum", vec![vec![rows(&[9])], vec![rows(&[4])]], 4, false),
        ("a lane without rows holds it back", vec![vec![rows(&[9])], vec![]], MIN, false),
        ("a finished lane does not", vec![vec![rows(&[9])], vec![rows(&[4]), Act::End]], 9, false),
        ("all finished", vec![vec![rows(&[9]), Act::End], vec![Act::End]], MAX, true),
        ("no lanes at all", vec![], MAX, true),
    ];
    for (name, lanes, expected, finished) in cases {
        let mut rig = Rig::one(&FakeSource::with_lanes(lanes)).await;
        let epoch = rig.epoch().await;
        assert_eq!(epoch.sources[0].watermark.as_ms(), expected, "{name}");
        assert_eq!(epoch.sources[0].finished, finished, "{name}");
        assert_eq!(rig.inputs.is_finished(), finished, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watermark_counts_when_its_batch_is_handed_out() {
    let source = FakeSource::with_lanes([vec![rows(&[1, 2]), rows(&[8]), rows(&[20]), Act::End]]);
    let settings = InputSettings { epoch_rows_max: 2, ..roomy() };
    let mut rig = Rig::open(vec![spec("t", &source)], &[source], settings).await;
    assert_eq!(rig.watermark().await, 2);
    let positions = rig.inputs.positions();
    assert_eq!(positions.sources[0].watermark, Watermark::from_ms(2));
    assert_eq!(positions.sources[0].lanes[&LaneId("a".to_owned())].watermark, Watermark::from_ms(2));
    assert_eq!(rig.watermark().await, MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_lanes_do_not_hold_their_source_back() {
    let source = FakeSource::with_lanes([vec![rows(&[100])], vec![]]);
    let idle = SourceSpec { idle_timeout: Some(SECOND), ..spec("t", &source) };
    let mut rig = Rig::open(vec![idle], &[Arc::clone(&source)], roomy()).await;
    assert_eq!(rig.watermark().await, MIN);

    rig.clock.advance(SECOND * 6 / 10);
    source.push("a", rows(&[200]));
    assert_eq!(rig.watermark().await, MIN, "b is not idle yet");
    rig.clock.advance(SECOND * 4 / 10);
    let epoch = rig.epoch().await;
    assert_eq!((epoch.sources[0].watermark.as_ms(), epoch.sources[0].idle), (200, false), "b is idle");
    assert_eq!(rig.inputs.metrics()[0].idle_lanes, 1);

    rig.clock.advance(SECOND * 6 / 10);
    let epoch = rig.epoch().await;
    assert_eq!((epoch.sources[0].watermark.as_ms(), epoch.sources[0].idle), (200, true), "all are idle: it stays");

    source.push("b", rows(&[50]));
    let epoch = rig.epoch().await;
    assert_eq!((epoch.sources[0].watermark.as_ms(), epoch.sources[0].idle), (200, false), "b is active again; it never goes back");
    source.push("b", rows(&[300]));
    assert_eq!(rig.watermark().await, 300, "a is still idle");
    source.push("a", rows(&[250]));
    source.push("b", rows(&[400]));
    assert_eq!(rig.watermark().await, 300, "a is active again and behind");
    source.push("a", rows(&[350]));
    assert_eq!(rig.watermark().await, 350);
}

#[tokio::test(flavor = "multi_thread")]
async fn next_returns_when_a_lane_becomes_idle() {
    let source = FakeSource::with_lanes([vec![], vec![]]);
    let idle = SourceSpec { idle_timeout: Some(SECOND), ..spec("t", &source) };
    let mut rig = Rig::open(vec![idle], &[Arc::clone(&source)], roomy()).await;
    source.settle().await;
    rig.clock.advance(SECOND / 2);
    source.push("a", rows(&[100]));
    rig.epoch().await;
    let (epoch, ()) = tokio::join!(rig.inputs.next(None), async {
        rig.clock.someone_sleeps().await;
        rig.clock.advance(SECOND / 2);
    });
    let epoch = epoch.unwrap();
    assert_eq!((epoch.rows(), epoch.sources[0].watermark.as_ms()), (0, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn back_pressure_is_not_idleness() {
    let full = FakeSource::with_lanes([vec![rows(&[1]), rows(&[2]), rows(&[3]), rows(&[4])], vec![]]);
    let idle = SourceSpec { idle_timeout: Some(SECOND), ..spec("t", &full) };
    let settings = InputSettings { lane_batches_ahead: 1, epoch_rows_max: 1, ..roomy() };
    let mut rig = Rig::open(vec![idle], &[], settings).await;
    full.parked("b").await;
    for batches in 2..=4 {
        // One in the queue, one waiting for room: nobody took them for an hour.
        full.given("a", batches).await;
        rig.clock.advance(SECOND * 3600);
        rig.epoch().await;
        let positions = rig.inputs.positions();
        let lane_idle = |id: &str| positions.sources[0].lanes[&LaneId(id.to_owned())].idle;
        assert_eq!((lane_idle("a"), lane_idle("b")), (false, true), "{batches}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn absurd_times_are_kept_but_do_not_advance_the_watermark() {
    let absurd = START_MS + 10_000;
    let times = Act::Rows(vec![Some(START_MS - 5), Some(absurd), None, Some(START_MS + 1000), Some(START_MS + 1001)]);
    let cases = [
        ("off", WatermarkRule::Column { index: 1, delay_ms: 0 }, None, absurd, 0),
        ("column", WatermarkRule::Column { index: 1, delay_ms: 0 }, Some(SECOND), START_MS + 1000, 2),
        ("expression", minus_five(), Some(SECOND), START_MS + 995, 2),
        ("far enough", WatermarkRule::Column { index: 1, delay_ms: 0 }, Some(SECOND * 10), absurd, 0),
    ];
    for (name, watermark, max_future_skew, expected, skewed) in cases {
        let source = FakeSource::with_lanes([vec![times.clone()]]);
        let guarded = SourceSpec { watermark, max_future_skew, ..spec("t", &source) };
        let mut rig = Rig::open(vec![guarded], &[source], roomy()).await;
        let epoch = rig.epoch().await;
        assert_eq!(epoch.sources[0].watermark.as_ms(), expected, "{name}");
        assert_eq!(epoch.rows(), 5, "{name}");
        assert_eq!(rig.inputs.metrics()[0].future_skew_rows, skewed, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_far_ahead_waits_for_the_slowest() {
    let fast = FakeSource::with_lanes([vec![rows(&[0]), rows(&[100]), rows(&[200])]]);
    let slow = FakeSource::with_lanes([vec![rows(&[0])]]);
    let idle = SourceSpec { idle_timeout: Some(SECOND), ..spec("slow", &slow) };
    let settings = InputSettings { source_drift_max: Some(Duration::from_millis(50)), ..roomy() };
    let mut rig = Rig::open(vec![spec("fast", &fast), idle], &[Arc::clone(&fast), Arc::clone(&slow)], settings).await;

    let epoch = rig.epoch().await;
    assert_eq!((ids(&epoch, 0).len(), ids(&epoch, 1).len()), (2, 1), "one batch beyond the limit, then it waits");
    assert!(rig.inputs.metrics()[0].held_back);
    slow.push("a", rows(&[40]));
    assert_eq!(ids(&rig.epoch().await, 0).len(), 0, "still 60 behind");
    slow.push("a", rows(&[50]));
    assert_eq!(ids(&rig.epoch().await, 0), [2000], "near enough");

    fast.push("a", rows(&[300]));
    assert_eq!(rig.epoch().await.rows(), 0, "150 behind");
    rig.clock.advance(SECOND);
    let epoch = rig.epoch().await;
    assert!(epoch.sources[1].idle);
    assert_eq!(ids(&epoch, 0), [3000], "an idle source is not waited for");

    slow.push("a", rows(&[60]));
    rig.epoch().await;
    fast.push("a", rows(&[400]));
    assert_eq!(ids(&rig.epoch().await, 0).len(), 0, "active again");
    slow.push("a", Act::End);
    assert_eq!(ids(&rig.epoch().await, 0), [4000], "a finished source is not waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_without_watermark_have_no_part_in_drift() {
    let fast = FakeSource::with_lanes([vec![rows(&[0]), rows(&[100]), rows(&[200])]]);
    let timeless = FakeSource::with_lanes([vec![rows(&[0])]]);
    let untimed = SourceSpec { watermark: WatermarkRule::None, ..spec("timeless", &timeless) };
    let settings = InputSettings { source_drift_max: Some(Duration::from_millis(50)), ..roomy() };
    let mut rig = Rig::open(vec![spec("fast", &fast), untimed], &[fast, timeless], settings).await;
    assert_eq!(rig.epoch().await.rows(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_found_later_starts_at_its_sources_watermark() {
    let source = FakeSource::new(Boundedness::Unbounded);
    source.add_lane("a", vec![rows(&[100])]);
    let settings = InputSettings { epoch_rows_min: 1, ..roomy() };
    let mut rig = Rig::open(vec![spec("t", &source)], &[Arc::clone(&source)], settings).await;
    assert_eq!(rig.watermark().await, 100);
    source.add_lane("b", vec![rows(&[10])]);
    rig.clock.someone_sleeps().await; // The one who looks for new lanes.
    rig.clock.advance(roomy().lane_discovery_interval);
    let found = rig.inputs.next(None).await.unwrap();
    assert_eq!((ids(&found, 0), found.sources[0].watermark.as_ms()), (vec![1_000_000], 100));
    source.push("a", rows(&[200]));
    assert_eq!(rig.watermark().await, 100, "the new lane started at 100");
    source.push("b", rows(&[150]));
    assert_eq!(rig.watermark().await, 150);
    assert_eq!(rig.inputs.metrics()[0].lanes, 2);
}
