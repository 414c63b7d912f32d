//! Positions: what was handed out is not handed out again, and nothing is left out.

use std::collections::BTreeMap;

use millstream_connectors::{LaneId, Position};
use millstream_time::Watermark;
use proptest::prelude::*;

use super::fake::{Act, FakeClock, FakeSource, Rig, START_MS, ids, roomy, rows, spec};
use crate::input::{InputPositions, InputSettings, Inputs, SourceSpec};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was() {
    let source = FakeSource::with_lanes([vec![rows(&[100])], vec![rows(&[50])], vec![Act::End]]);
    let mut rig = Rig::one(&source).await;
    rig.epoch().await;
    let stored = serde_json::to_string(&rig.inputs.positions()).unwrap();
    let positions: InputPositions = serde_json::from_str(&stored).unwrap();
    assert_eq!(positions, rig.inputs.positions());
    drop(rig);

    source.add_lane("d", vec![]);
    let earlier = FakeClock::at(START_MS - 500);
    let mut inputs = Inputs::open(vec![spec("t", &source)], Some(&positions), roomy(), earlier).await.unwrap();
    let lane = |inputs: &Inputs, id: &str| inputs.positions().sources[0].lanes[&LaneId(id.to_owned())].clone();
    assert_eq!(lane(&inputs, "a").position, Some(Position(serde_json::json!([1, 0]))));
    assert_eq!(lane(&inputs, "d").watermark, Watermark::from_ms(50), "a new lane starts at the source's watermark");
    assert!(lane(&inputs, "c").finished, "not opened again");
    source.push("a", rows(&[101]));
    let epoch = inputs.next(Some(std::time::Duration::ZERO)).await.unwrap();
    assert_eq!(epoch.clock_ms, START_MS, "the epoch clock does not go back");
    assert_eq!(epoch.sources[0].watermark, Watermark::from_ms(50));
}

#[tokio::test(flavor = "multi_thread")]
async fn idleness_and_the_end_survive_a_restart() {
    let source = FakeSource::with_lanes([vec![rows(&[100])], vec![]]);
    let timeout = std::time::Duration::from_secs(1);
    let idle = SourceSpec { idle_timeout: Some(timeout), ..spec("t", &source) };
    let mut rig = Rig::open(vec![idle.clone()], std::slice::from_ref(&source), roomy()).await;
    rig.epoch().await;
    rig.clock.advance(timeout);
    assert!(rig.epoch().await.sources[0].idle);
    let positions = rig.inputs.positions();
    drop(rig);
    let clock = FakeClock::at(START_MS);
    let mut inputs = Inputs::open(vec![idle.clone()], Some(&positions), roomy(), clock.clone()).await.unwrap();
    assert!(inputs.next(None).await.unwrap().sources[0].idle);
    source.push("a", Act::End);
    source.push("b", Act::End);
    while !inputs.is_finished() {
        inputs.next(None).await.unwrap();
    }
    let positions = inputs.positions();
    let mut inputs = Inputs::open(vec![idle], Some(&positions), roomy(), clock).await.unwrap();
    let epoch = inputs.next(None).await.unwrap();
    assert_eq!((epoch.rows(), epoch.sources[0].finished, epoch.sources[0].watermark), (0, true, Watermark::MAX));
}

type Lanes = Vec<Vec<Vec<Option<i64>>>>;

fn lanes() -> impl Strategy<Value = Lanes> {
    let time = proptest::option::weighted(0.9, 0i64..1000);
    proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(time, 1..6), 0..6), 0..4)
}

fn source_of(lanes: &Lanes) -> std::sync::Arc<FakeSource> {
    FakeSource::with_lanes(lanes.iter().map(|acts| acts.iter().cloned().map(Act::Rows).chain([Act::End]).collect::<Vec<_>>()))
}

fn rows_by_lane(ids: &[i64]) -> BTreeMap<i64, Vec<i64>> {
    let mut lanes: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for id in ids {
        lanes.entry(id / 1_000_000).or_default().push(*id);
    }
    lanes
}

fn expected(lanes: &Lanes) -> BTreeMap<i64, Vec<i64>> {
    let mut ids = Vec::new();
    for (lane, acts) in lanes.iter().enumerate() {
        for (act, times) in acts.iter().enumerate() {
            ids.extend((0..times.len()).map(|row| i64::try_from(lane * 1_000_000 + act * 1000 + row).unwrap()));
        }
    }
    rows_by_lane(&ids)
}

/// Reads everything, with a stop and restart after each of `cuts` epochs.
async fn read_with_restarts(lanes: &[Lanes; 2], cuts: &[usize], settings: &InputSettings) -> [Vec<i64>; 2] {
    let sources = [source_of(&lanes[0]), source_of(&lanes[1])];
    let specs = vec![spec("t", &sources[0]), spec("u", &sources[1])];
    let mut read = [Vec::new(), Vec::new()];
    let mut watermarks = [Watermark::MIN; 2];
    let mut positions: Option<InputPositions> = None;
    for epochs in cuts.iter().copied().chain([usize::MAX]) {
        let clock = FakeClock::at(START_MS);
        let mut inputs = Inputs::open(specs.clone(), positions.as_ref(), settings.clone(), clock).await.unwrap();
        for _ in 0..epochs {
            if inputs.is_finished() {
                break;
            }
            let epoch = inputs.next(None).await.unwrap();
            assert!(epoch.rows() <= settings.epoch_rows_max);
            for (index, source) in epoch.sources.iter().enumerate() {
                assert!(source.watermark >= watermarks[index], "never back");
                watermarks[index] = source.watermark;
                read[index].extend(ids(&epoch, index));
            }
        }
        positions = Some(serde_json::from_value(serde_json::to_value(inputs.positions()).unwrap()).unwrap());
    }
    assert_eq!(watermarks, [Watermark::MAX; 2]);
    read
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn restarts_neither_lose_nor_repeat_rows(
        first in lanes(),
        second in lanes(),
        cuts in proptest::collection::vec(0usize..5, 0..4),
        epoch_rows_max in 1usize..12,
        batch_rows in 1usize..6,
        lane_batches_ahead in 1usize..4,
        drift in proptest::option::of(0u64..500),
    ) {
        let settings = InputSettings {
            epoch_rows_max,
            batch_rows,
            lane_batches_ahead,
            epoch_rows_min: 1,
            source_drift_max: drift.map(std::time::Duration::from_millis),
            ..InputSettings::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let lanes = [first, second];
        let read = runtime.block_on(read_with_restarts(&lanes, &cuts, &settings));
        for (ids, lanes) in read.iter().zip(&lanes) {
            prop_assert_eq!(rows_by_lane(ids), expected(lanes));
        }
    }
}
