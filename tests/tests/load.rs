//! How pipelines say that they have no input, or that their sink is slow.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream::{Engine, Outcome, PipelineLoad, Settings};
use millstream_connectors::{Connector, Options, Role, Sink, channel_sink, channel_source, options::OptionSpecs};
use millstream_testkit::{ManualClock, TestData};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::harness;

/// The connector `reluctant`: takes a batch, and the next one when somebody has read the first.
#[derive(Debug, Default)]
struct Reluctant {
    reader: Mutex<Option<mpsc::Receiver<RecordBatch>>>,
}

impl Connector for Reluctant {
    fn name(&self) -> &str {
        "reluctant"
    }

    fn about(&self) -> &str {
        "a sink that waits for its reader"
    }

    fn role(&self) -> Role {
        Role::Sink
    }

    fn options(&self) -> OptionSpecs {
        &[]
    }

    fn sink(&self, _: Options, _: SchemaRef, _: Arc<dyn millstream::Clock>) -> millstream_connectors::Result<Box<dyn Sink>> {
        let (sink, reader) = channel_sink(1);
        *self.reader.lock() = Some(reader);
        Ok(sink)
    }
}

/// Lets time pass in small steps until the load is as wanted.
async fn load_becomes(what: &str, clock: &ManualClock, mut load: impl FnMut() -> PipelineLoad, wanted: impl Fn(PipelineLoad) -> bool) {
    harness::patiently(what, async {
        while !wanted(load()) {
            clock.advance(50);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_sink_is_told_from_a_quiet_source() {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true)]));
    let batch = || RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(vec![1, 2, 3]))]).unwrap();
    let data = Arc::new(TestData::new());
    let (sender, source) = channel_source(Arc::clone(&schema), 16);
    data.put_source("live", source);
    let clock = Arc::new(ManualClock::new(10_000));
    let reluctant = Arc::new(Reluctant::default());
    let (source, sink, own): (Arc<dyn Connector>, Arc<dyn Connector>, Arc<dyn millstream::Clock>) =
        (data.clone(), reluctant.clone(), clock.clone());
    let settings = Settings { checkpoint_interval_ms: 3_600_000, ..harness::settings() };
    let engine = Engine::builder().with_connector(source).with_connector(sink).with_clock(own).settings(settings).build().await.unwrap();
    let session = engine.session();
    session.execute("CREATE TABLE live (k BIGINT) WITH ('connector' = 'testdata', 'data' = 'live')").await.unwrap();
    let started = session.execute("CREATE SINK s WITH ('connector' = 'reluctant') AS SELECT k FROM live").await.unwrap().pop();
    let Some(Outcome::Pipeline(handle)) = started else { panic!("no pipeline") };

    load_becomes("no input", &clock, || handle.status().load, |load| load.idle_percent > 99.0).await;
    assert_eq!(handle.status().load.held_back_ms, 0);

    let full = || futures::FutureExt::now_or_never(sender.send(batch()));
    load_becomes(
        "a full sink",
        &clock,
        || {
            _ = full();
            handle.status().load
        },
        |load| load.held_back_percent > 99.0,
    )
    .await;
    let shown = harness::rows(&session, "SELECT pipeline, held_back_percent > 99 FROM pipelines()").await.unwrap();
    assert_eq!(shown, ["s|true"]);
    assert!(harness::rows(&session, "SHOW PIPELINES").await.unwrap()[0].ends_with("|0 %|100 %"));

    let mut reader = reluctant.reader.lock().take().unwrap();
    let reading = tokio::spawn(async move { while reader.recv().await.is_some() {} });
    load_becomes("a reader again", &clock, || handle.status().load, |load| load.held_back_percent < 1.0 && load.idle_percent > 99.0).await;
    harness::patiently("the stop", handle.stop()).await.unwrap();
    let ended = handle.status().load;
    assert!(ended.idle_percent == 0.0 && ended.held_back_ms > 500, "{ended:?}");
    harness::patiently("the reader", reading).await.unwrap();
}
