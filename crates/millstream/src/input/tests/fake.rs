//! Scripted lanes and a clock that moves when told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use millstream_connectors::{Boundedness, ConnectorError, Lane, LaneBatch, LaneId, Position, Read, RejectedRow, Replay, Result, Source};
use millstream_time::Clock;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::input::{BadRows, EpochInput, InputSettings, Inputs, SourceSpec, WatermarkRule};

/// Milliseconds since the Unix epoch at which fake clocks start.
pub(super) const START_MS: i64 = 1_000_000;

#[derive(Debug)]
pub(super) struct FakeClock {
    start_ms: i64,
    elapsed: watch::Sender<Duration>,
    sleepers: watch::Sender<usize>,
}

impl FakeClock {
    pub(super) fn at(start_ms: i64) -> Arc<Self> {
        Arc::new(Self { start_ms, elapsed: watch::Sender::new(Duration::ZERO), sleepers: watch::Sender::new(0) })
    }

    pub(super) fn advance(&self, by: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += by);
    }

    /// Returns once somebody sleeps.
    pub(super) async fn someone_sleeps(&self) {
        self.sleepers.subscribe().wait_for(|sleepers| *sleepers > 0).await.expect("the clock is alive");
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn now(&self) -> i64 {
        self.start_ms + i64::try_from(self.monotonic().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        struct Asleep<'a>(&'a FakeClock);
        impl Drop for Asleep<'_> {
            fn drop(&mut self) {
                self.0.sleepers.send_modify(|sleepers| *sleepers -= 1);
            }
        }
        let until = self.monotonic() + duration;
        self.sleepers.send_modify(|sleepers| *sleepers += 1);
        let _asleep = Asleep(self);
        self.elapsed.subscribe().wait_for(|elapsed| *elapsed >= until).await.expect("the clock is alive");
    }
}

/// What a scripted lane does next.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A batch with these event times.
    Rows(Vec<Option<i64>>),
    /// A batch with these event times and a row that does not decode, standing at this place.
    Bad(Vec<Option<i64>>, &'static str),
    Fail(&'static str),
    Panic,
    End,
}

pub(super) fn rows(times: &[i64]) -> Act {
    Act::Rows(times.iter().copied().map(Some).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Reading,
    /// Waiting for the script to go on; everything before is in the queue.
    Parked,
    /// Dropped by its reader.
    Gone,
}

#[derive(Debug)]
struct Script {
    number: i64,
    acts: watch::Sender<Vec<Act>>,
    stage: watch::Sender<Stage>,
    /// Batches given so far.
    given: watch::Sender<usize>,
}

/// A source whose lanes do what their scripts say. Columns: `id` (lane × 1,000,000 + act × 1000 + row), `ts`.
#[derive(Debug)]
pub(super) struct FakeSource {
    boundedness: Boundedness,
    scripts: Mutex<BTreeMap<LaneId, Arc<Script>>>,
}

impl FakeSource {
    pub(super) fn new(boundedness: Boundedness) -> Arc<Self> {
        Arc::new(Self { boundedness, scripts: Mutex::default() })
    }

    /// A bounded source with these lanes, `a` first.
    pub(super) fn with_lanes(lanes: impl IntoIterator<Item = Vec<Act>>) -> Arc<Self> {
        let source = Self::new(Boundedness::Bounded);
        for (name, acts) in ('a'..='z').zip(lanes) {
            source.add_lane(&name.to_string(), acts);
        }
        source
    }

    pub(super) fn add_lane(&self, id: &str, acts: Vec<Act>) {
        let mut scripts = self.scripts.lock();
        let number = i64::try_from(scripts.len()).unwrap();
        let script =
            Script { number, acts: watch::Sender::new(acts), stage: watch::Sender::new(Stage::Reading), given: watch::Sender::new(0) };
        scripts.insert(LaneId(id.to_owned()), Arc::new(script));
    }

    pub(super) fn remove_lane(&self, id: &str) {
        self.scripts.lock().remove(&LaneId(id.to_owned()));
    }

    pub(super) fn push(&self, id: &str, act: Act) {
        let script = self.script(id);
        script.acts.send_modify(|acts| {
            acts.push(act);
            script.stage.send_if_modified(|stage| *stage == Stage::Parked && std::mem::replace(stage, Stage::Reading) == Stage::Parked);
        });
    }

    /// Returns when every lane has put everything it has into its queue.
    pub(super) async fn settle(&self) {
        let scripts: Vec<_> = self.scripts.lock().values().cloned().collect();
        for script in scripts {
            script.stage.subscribe().wait_for(|stage| *stage != Stage::Reading).await.expect("the script is alive");
        }
    }

    /// Returns when the lane waits for its script to go on.
    pub(super) async fn parked(&self, id: &str) {
        self.script(id).stage.subscribe().wait_for(|stage| *stage == Stage::Parked).await.expect("the script is alive");
    }

    /// Returns when the lane has given this many batches.
    pub(super) async fn given(&self, id: &str, batches: usize) {
        self.script(id).given.subscribe().wait_for(|given| *given >= batches).await.expect("the script is alive");
    }

    /// How many batches the lane has given so far.
    pub(super) fn given_now(&self, id: &str) -> usize {
        *self.script(id).given.borrow()
    }

    /// Returns when the lane's reader is gone.
    pub(super) async fn gone(&self, id: &str) {
        self.script(id).stage.subscribe().wait_for(|stage| *stage == Stage::Gone).await.expect("the script is alive");
    }

    fn script(&self, id: &str) -> Arc<Script> {
        Arc::clone(self.scripts.lock().get(&LaneId(id.to_owned())).expect("the lane is scripted"))
    }
}

#[async_trait]
impl Source for FakeSource {
    fn schema(&self) -> SchemaRef {
        let ts = DataType::Timestamp(TimeUnit::Millisecond, None);
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("ts", ts, true)]))
    }

    fn boundedness(&self) -> Boundedness {
        self.boundedness
    }

    fn replay(&self) -> Replay {
        Replay::Exact
    }

    async fn lanes(&self) -> Result<Vec<LaneId>> {
        Ok(self.scripts.lock().keys().cloned().collect())
    }

    async fn open(&self, lane: &LaneId, start: Option<&Position>, projection: &[usize]) -> Result<Box<dyn Lane>> {
        let script = self.scripts.lock().get(lane).cloned();
        let script = script.ok_or_else(|| ConnectorError::data(format!("lane {lane} is gone")))?;
        let (act, row) = match start {
            Some(position) => serde_json::from_value(position.0.clone()).unwrap(),
            None => (0, 0),
        };
        script.stage.send_replace(Stage::Reading);
        Ok(Box::new(FakeLane { script, schema: self.schema(), projection: projection.to_vec(), act, row }))
    }
}

struct FakeLane {
    script: Arc<Script>,
    schema: SchemaRef,
    projection: Vec<usize>,
    act: usize,
    row: usize,
}

impl Drop for FakeLane {
    fn drop(&mut self) {
        self.script.stage.send_replace(Stage::Gone);
    }
}

#[async_trait]
impl Lane for FakeLane {
    async fn read(&mut self, rows_max: usize) -> Result<Read> {
        let mut changes = self.script.acts.subscribe();
        loop {
            let act = {
                let acts = changes.borrow_and_update();
                let act = acts.get(self.act).cloned();
                let stage = if act.is_some() { Stage::Reading } else { Stage::Parked };
                self.script.stage.send_replace(stage); // While the script cannot change.
                act
            };
            match act {
                None => changes.changed().await.expect("the script is alive"),
                Some(Act::Rows(times)) => return Ok(Read::Batch(self.batch(&times, None, rows_max))),
                Some(Act::Bad(times, place)) => return Ok(Read::Batch(self.batch(&times, Some(place), rows_max))),
                Some(Act::Fail(message)) => return Err(ConnectorError::data(message)),
                Some(Act::Panic) => panic!("as the script says"),
                Some(Act::End) => return Ok(Read::Finished),
            }
        }
    }
}

impl FakeLane {
    fn batch(&mut self, times: &[Option<i64>], bad_place: Option<&str>, rows_max: usize) -> LaneBatch {
        let end = times.len().min(self.row + rows_max);
        let first = self.script.number * 1_000_000 + i64::try_from(self.act * 1000).unwrap();
        let ids: Int64Array = (self.row..end).map(|row| first + i64::try_from(row).unwrap()).collect();
        let ts: TimestampMillisecondArray = times[self.row..end].iter().copied().collect();
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::new(ids), Arc::new(ts)]).unwrap();
        self.row = end;
        let mut rejected = Vec::new();
        if end == times.len() {
            (self.act, self.row) = (self.act + 1, 0);
            let reason = "column id: 'x' is not a number".to_owned();
            rejected.extend(bad_place.map(|place| RejectedRow { bytes: b"x".to_vec(), place: place.to_owned(), reason }));
        }
        self.script.given.send_modify(|given| *given += 1);
        LaneBatch {
            rows: rows.project(&self.projection).unwrap(),
            position: Position(serde_json::json!([self.act, self.row])),
            rejected,
            bytes_read: 10,
        }
    }
}

/// A source of the table `name`, with the event time column as watermark.
pub(super) fn spec(name: &str, source: &Arc<FakeSource>) -> SourceSpec {
    SourceSpec {
        name: name.to_owned(),
        source: Arc::clone(source) as Arc<dyn Source>,
        projection: vec![0, 1],
        watermark: WatermarkRule::Column { index: 1, delay_ms: 0 },
        event_time: Some(1),
        idle_timeout: None,
        max_future_skew: None,
        bad_rows: BadRows::Fail,
    }
}

/// Epochs are never full and lanes read far ahead.
pub(super) fn roomy() -> InputSettings {
    InputSettings { lane_batches_ahead: 100, ..InputSettings::default() }
}

/// An opened pipeline input, its fakes at hand.
pub(super) struct Rig {
    pub(super) inputs: Inputs,
    pub(super) clock: Arc<FakeClock>,
    sources: Vec<Arc<FakeSource>>,
}

impl Rig {
    /// One table, `t`.
    pub(super) async fn one(source: &Arc<FakeSource>) -> Self {
        Self::open(vec![spec("t", source)], std::slice::from_ref(source), roomy()).await
    }

    pub(super) async fn open(specs: Vec<SourceSpec>, sources: &[Arc<FakeSource>], settings: InputSettings) -> Self {
        let clock = FakeClock::at(START_MS);
        let inputs = Inputs::open(specs, None, settings, clock.clone()).await.unwrap();
        Self { inputs, clock, sources: sources.to_vec() }
    }

    /// An epoch of all that the lanes have, without waiting for more.
    pub(super) async fn epoch(&mut self) -> EpochInput {
        for source in &self.sources {
            source.settle().await;
        }
        self.inputs.next(Some(self.clock.monotonic())).await.unwrap()
    }

    /// The watermark (ms) of the first source after such an epoch.
    pub(super) async fn watermark(&mut self) -> i64 {
        self.epoch().await.sources[0].watermark.as_ms()
    }
}

/// The ids of one source's rows.
pub(super) fn ids(epoch: &EpochInput, source: usize) -> Vec<i64> {
    let batches = &epoch.sources[source].batches;
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}
