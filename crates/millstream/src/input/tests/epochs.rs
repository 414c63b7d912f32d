//! Size and time of an epoch.

use std::time::Duration;

use millstream_time::Clock;

use super::fake::{Act, FakeClock, FakeSource, Rig, START_MS, ids, roomy, rows, spec};
use crate::input::{InputSettings, Inputs};

#[tokio::test(flavor = "multi_thread")]
async fn epochs_are_bounded_and_lanes_take_turns() {
    let lane = || vec![rows(&[1]), rows(&[2]), rows(&[3, 4]), rows(&[5])];
    let cases = [
        ("rows", InputSettings { epoch_rows_max: 3, ..roomy() }, vec![vec![0, 1000, 1_000_000], vec![2000, 2001, 1_001_000]]),
        ("bytes: one batch always fits", InputSettings { epoch_bytes_max: 1, ..roomy() }, vec![vec![0], vec![1_000_000], vec![1000]]),
        ("batches fit into an epoch", InputSettings { epoch_rows_max: 1, ..roomy() }, vec![vec![0], vec![1_000_000], vec![1000]]),
    ];
    for (name, settings, expected) in cases {
        let source = FakeSource::with_lanes([lane(), lane()]);
        let mut rig = Rig::open(vec![spec("t", &source)], &[source], settings).await;
        for ids_expected in expected {
            assert_eq!(ids(&rig.epoch().await, 0), ids_expected, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_lingers_for_more_rows() {
    let source = FakeSource::with_lanes([vec![rows(&[1])]]);
    let settings = InputSettings { epoch_rows_min: 3, ..roomy() };
    let mut rig = Rig::open(vec![spec("t", &source)], std::slice::from_ref(&source), settings).await;

    let (epoch, ()) = tokio::join!(rig.inputs.next(None), async {
        rig.clock.someone_sleeps().await;
        rig.clock.advance(Duration::from_millis(5));
    });
    assert_eq!(epoch.unwrap().rows(), 1, "lingered long enough");

    source.push("a", rows(&[2]));
    let (epoch, ()) = tokio::join!(rig.inputs.next(None), async {
        rig.clock.someone_sleeps().await;
        source.push("a", rows(&[3, 4]));
    });
    assert_eq!(epoch.unwrap().rows(), 3, "enough rows");

    source.push("a", rows(&[5]));
    source.push("a", Act::End);
    let epoch = rig.inputs.next(None).await.unwrap();
    assert_eq!((epoch.rows(), epoch.sources[0].finished), (1, true), "nothing more can come");
}

#[tokio::test(flavor = "multi_thread")]
async fn next_returns_at_its_deadline() {
    let source = FakeSource::with_lanes([vec![]]);
    let mut rig = Rig::one(&source).await;
    let deadline = rig.clock.monotonic() + Duration::from_secs(1);
    let (epoch, ()) = tokio::join!(rig.inputs.next(Some(deadline)), async {
        rig.clock.someone_sleeps().await;
        rig.clock.advance(Duration::from_secs(1));
    });
    let epoch = epoch.unwrap();
    assert_eq!((epoch.rows(), epoch.clock_ms), (0, START_MS + 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_only_deadlines_are_waited_for() {
    let source = FakeSource::with_lanes([vec![Act::End]]);
    let mut rig = Rig::one(&source).await;
    assert!(rig.inputs.next(None).await.unwrap().sources[0].finished);
    assert!(rig.inputs.is_finished());
    assert!(rig.inputs.next(None).await.unwrap().sources[0].finished, "at once");
    let deadline = rig.clock.monotonic() + Duration::from_secs(1);
    let (epoch, ()) = tokio::join!(rig.inputs.next(Some(deadline)), async {
        rig.clock.someone_sleeps().await;
        rig.clock.advance(Duration::from_secs(1));
    });
    assert_eq!(epoch.unwrap().clock_ms, START_MS + 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_sources_is_finished() {
    let mut inputs = Inputs::open(vec![], None, roomy(), FakeClock::at(START_MS)).await.unwrap();
    assert!(inputs.is_finished());
    assert!(inputs.next(None).await.unwrap().sources.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_wait_loses_nothing() {
    let source = FakeSource::with_lanes([vec![rows(&[1, 2, 3])]]);
    let mut rig = Rig::one(&source).await;
    let before = rig.inputs.positions();
    tokio::select! {
        epoch = rig.inputs.next(None) => panic!("still lingering: {epoch:?}"),
        () = rig.clock.someone_sleeps() => {}
    }
    assert_eq!(rig.inputs.positions(), before, "not handed out");
    assert_eq!(rig.epoch().await.rows(), 3);
    assert_ne!(rig.inputs.positions(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_costs_nothing() {
    let source = FakeSource::with_lanes([vec![]]);
    let settings = InputSettings { epoch_rows_min: 1, ..roomy() };
    let mut rig = Rig::open(vec![spec("t", &source)], std::slice::from_ref(&source), settings).await;
    source.settle().await;
    let deadline = rig.clock.monotonic() + Duration::from_secs(3600);
    let (epoch, ()) = tokio::join!(rig.inputs.next(Some(deadline)), async {
        rig.clock.someone_sleeps().await;
        for _ in 0..3000 {
            rig.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        source.push("a", rows(&[1]));
    });
    assert_eq!(epoch.unwrap().rows(), 1);
    let wakeups = rig.inputs.wakeups();
    assert!(wakeups <= 2, "one for the lane's opening, one for the row: {wakeups}");
}
