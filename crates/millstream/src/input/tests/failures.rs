//! Bad rows, failing readers, descriptions that do not fit.

use std::sync::Arc;

use datafusion::physical_expr::expressions::Column;
use millstream_connectors::LaneId;

use super::fake::{Act, FakeClock, FakeSource, Rig, START_MS, ids, roomy, rows, spec};
use crate::input::{BadRows, InputError, Inputs, RejectedExample, SourceSpec, WatermarkRule};

#[tokio::test(flavor = "multi_thread")]
async fn rows_before_a_failure_come_first() {
    let bad = Act::Bad(vec![Some(2)], "bids.json line 17");
    let bad_row = "table t: bad row at bids.json line 17: column id: 'x' is not a number \
                   (hint: the option bad_rows = 'skip' of the table counts such rows and goes on)";
    let cases = [
        ("bad row", bad, bad_row),
        ("reader", Act::Fail("file bids.json was rewritten"), "table t: file bids.json was rewritten"),
        ("panic", Act::Panic, "table t: the reader of lane a stopped without a word (this is a bug in Millstream)"),
    ];
    for (name, act, message) in cases {
        let source = FakeSource::with_lanes([vec![rows(&[1]), act]]);
        let mut rig = Rig::one(&source).await;
        assert_eq!(ids(&rig.inputs.next(None).await.unwrap(), 0), [0], "{name}");
        let position = &rig.inputs.positions().sources[0].lanes[&LaneId("a".to_owned())];
        assert_eq!(position.position.as_ref().unwrap().0, serde_json::json!([1, 0]), "{name}: just before the failure");
        let error = rig.inputs.next(None).await.unwrap_err();
        assert_eq!(error.to_string(), message, "{name}");
        assert!(matches!(rig.inputs.next(None).await, Err(InputError::AlreadyFailed)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skipped_rows_are_counted() {
    let bad = |times, place| Act::Bad(times, place);
    let source = FakeSource::with_lanes([vec![rows(&[1]), bad(vec![Some(2)], "line 2"), bad(vec![], "line 3")]]);
    let skip = SourceSpec { bad_rows: BadRows::Skip, ..spec("t", &source) };
    let mut rig = Rig::open(vec![skip], &[source], roomy()).await;
    let epoch = rig.epoch().await;
    assert_eq!((ids(&epoch, 0), epoch.sources[0].batches.len()), (vec![0, 1000], 2));
    let metrics = &rig.inputs.metrics()[0];
    assert_eq!((metrics.rows, metrics.bytes, metrics.rejected_rows), (2, 30, 2));
    let reason = "column id: 'x' is not a number".to_owned();
    assert_eq!(metrics.last_rejected, Some(RejectedExample { place: "line 3".to_owned(), reason }));
    let position = &rig.inputs.positions().sources[0].lanes[&LaneId("a".to_owned())];
    assert_eq!(position.position.as_ref().unwrap().0, serde_json::json!([3, 0]), "behind rejected rows too");
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_that_do_not_fit_are_refused() {
    let source = FakeSource::with_lanes([vec![]]);
    let column = |index| WatermarkRule::Column { index, delay_ms: 0 };
    let good = spec("t", &source);
    let cases = [
        (SourceSpec { watermark: column(0), ..good.clone() }, "table t: the watermark column must be a timestamp: id is Int64"),
        (SourceSpec { watermark: column(2), ..good.clone() }, "table t: the watermark column has index 2 of 2"),
        (
            SourceSpec { watermark: WatermarkRule::Expr(Arc::new(Column::new("id", 0))), ..good.clone() },
            "table t: the watermark expression must be a timestamp: id@0 is Int64",
        ),
        (SourceSpec { event_time: Some(0), ..good.clone() }, "table t: the event time column must be a timestamp"),
        (SourceSpec { projection: vec![0, 7], ..good }, "table t: the projection [0, 7] does not fit"),
    ];
    for (spec, message) in cases {
        let error = Inputs::open(vec![spec], None, roomy(), FakeClock::at(START_MS)).await.unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_do_not_fit_are_refused() {
    let source = FakeSource::with_lanes([vec![], vec![]]);
    let positions = Rig::one(&source).await.inputs.positions();
    let open = |name: &str| {
        let specs = vec![spec(name, &source)];
        let positions = positions.clone();
        async move { Inputs::open(specs, Some(&positions), roomy(), FakeClock::at(START_MS)).await.map(|_| ()) }
    };
    let other = open("u").await.unwrap_err().to_string();
    assert_eq!(other, "the stored input positions do not fit this query: they are of the tables [\"t\"], the query reads [\"u\"]");
    source.remove_lane("b");
    assert_eq!(open("t").await.unwrap_err().to_string(), "table t: lane b is gone");
}
