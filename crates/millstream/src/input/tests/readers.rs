//! Readers end with their inputs.

use super::fake::{Act, FakeSource, Rig, roomy, rows, spec};
use crate::input::InputSettings;

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_inputs_ends_every_reader() {
    // a waits for rows, b for room in its queue, c has ended.
    let source = FakeSource::with_lanes([vec![], vec![rows(&[1]), rows(&[2]), rows(&[3])], vec![Act::End]]);
    let settings = InputSettings { lane_batches_ahead: 1, ..roomy() };
    let rig = Rig::open(vec![spec("t", &source)], &[], settings).await;
    source.given("b", 2).await;
    drop(rig);
    for lane in ["a", "b", "c"] {
        source.gone(lane).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_stays_within_its_queue() {
    let source = FakeSource::with_lanes([(0..10).map(|time| rows(&[time])).collect()]);
    let settings = InputSettings { lane_batches_ahead: 3, ..roomy() };
    let mut rig = Rig::open(vec![spec("t", &source)], &[], settings).await;
    let mut taken = 0;
    while taken < 10 {
        // Three in the queue, one in the reader's hand, or the end of the script.
        source.given("a", (taken + 4).min(10)).await;
        assert!(source.given_now("a") <= taken + 4, "{} given, {taken} taken", source.given_now("a"));
        taken += rig.epoch().await.rows();
    }
}
