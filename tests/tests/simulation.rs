//! The whole engine on one thread, with a clock, a store, sources and a sink that a seed decides: when processes die, freeze and wake
//! up again, what fails and whose answer is lost. What a reader of the sink sees in the end must be what a run without trouble gives.
//!
//! `MILLSTREAM_SIMULATION_FIRST=1000 MILLSTREAM_SIMULATION_SEEDS=5000 cargo test --release --workspace simulation` runs other seeds and
//! more of them; `MILLSTREAM_SIMULATION_SEED=7` one, as often as it takes to understand it.

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream::{Clock, Engine, Error, PipelineState, Settings};
use millstream_connectors::Connector;
use millstream_testkit::{Dice, FaultyStore, ManualClock, Random, RemoteTable, TestData};
use object_store::memory::InMemory;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::harness;

/// More lives than any seed needs; after half of them nobody dies any more.
const LIVES_MAX: usize = 40;
const ROUNDS_MAX: usize = 200_000;

const QUERIES: &[&str] = &[
    "SELECT k, v FROM a WHERE v % 3 <> 0",
    "SELECT window_start, k, count(*) AS n, sum(v) AS total, min(v) AS low FROM TUMBLE(a, ts, INTERVAL '1 second') GROUP BY window_start, window_end, k",
    "SELECT window_end, k, count(DISTINCT v) AS n, max(v) AS high FROM HOP(a, ts, INTERVAL '1 second', INTERVAL '3 seconds') GROUP BY window_start, window_end, k",
    "SELECT l.window_start, l.k, l.v, r.v FROM TUMBLE(a, ts, INTERVAL '1 second') AS l JOIN TUMBLE(b, ts, INTERVAL '1 second') AS r
     ON l.window_start = r.window_start AND l.window_end = r.window_end AND l.k = r.k",
    "SELECT window_start, k, n FROM (SELECT window_start, k, n, ROW_NUMBER() OVER (PARTITION BY window_start ORDER BY n DESC, k) AS place
     FROM (SELECT window_start, k, count(*) AS n FROM TUMBLE(a, ts, INTERVAL '2 seconds') GROUP BY window_start, window_end, k)) WHERE place <= 2",
    "SELECT k, v FROM a UNION ALL SELECT k, -v FROM b",
];

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("v", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]))
}

/// Lanes of batches, out of order by less than the watermark allows.
fn lanes(random: &mut Random) -> Vec<Vec<RecordBatch>> {
    let lanes = 1 + random.below(3);
    let lane = |_| {
        let (mut time, mut batches) = (random.within(0..2_000), Vec::new());
        for _ in 0..random.below(25) {
            let rows = 1 + random.below(12);
            let mut times = Vec::with_capacity(rows);
            for _ in 0..rows {
                time += random.within(0..120);
                times.push(time - random.within(0..900));
            }
            let mut numbers = |bound| Int64Array::from_iter((0..rows).map(|_| random.chance(95).then(|| random.within(0..bound))));
            let (k, v) = (numbers(4), numbers(1_000));
            let columns: Vec<Arc<dyn datafusion::arrow::array::Array>> =
                vec![Arc::new(k), Arc::new(v), Arc::new(TimestampMillisecondArray::from(times))];
            batches.push(RecordBatch::try_new(schema(), columns).unwrap());
        }
        batches
    };
    (0..lanes).map(lane).collect()
}

fn declare(name: &str) -> String {
    format!(
        "CREATE TABLE {name} (k BIGINT, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
         WITH ('connector' = 'testdata', 'data' = '{name}')"
    )
}

/// What all processes of one seed share.
struct World {
    seed: u64,
    query: &'static str,
    data: Arc<TestData>,
    store: Arc<InMemory>,
    remote: RemoteTable,
    clock: Arc<ManualClock>,
    dice: Arc<Dice>,
}

impl World {
    fn new(seed: u64, random: &mut Random) -> Self {
        let data = Arc::new(TestData::new());
        data.put("a", schema(), lanes(random));
        data.put("b", schema(), lanes(random));
        let dice = Arc::new(Dice::new(seed));
        let remote = RemoteTable::new(Arc::clone(&dice), 100);
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        Self { seed, query: random.one_of(QUERIES), data, store: Arc::default(), remote, clock, dice }
    }

    /// The rows without any trouble.
    fn expected(&self) -> Vec<String> {
        let runtime = one_thread();
        runtime.block_on(async {
            let engine = harness::engine(&self.data, harness::settings()).await;
            let session = engine.session();
            for table in ["a", "b"] {
                session.execute(&declare(table)).await.unwrap();
            }
            harness::rows(&session, self.query).await.unwrap()
        })
    }

    fn published(&self) -> Vec<String> {
        let mut rows = harness::text(&self.remote.batches());
        rows.sort();
        rows
    }

    fn check(&self, expected: &[String], story: &Story) {
        let found = self.published();
        assert!(found == expected, "seed {}, {story:?}, {}\nfound    {found:?}\nexpected {expected:?}", self.seed, self.query);
    }

    /// Lets a frozen process go on until it ends.
    fn thaw(&self, mut process: Process) -> Result<PipelineState, Error> {
        for _ in 0..ROUNDS_MAX {
            if let Some(end) = process.turn(20) {
                return end;
            }
            self.clock.advance_to_next_wake();
        }
        panic!("seed {}: a process that woke up never ends", self.seed);
    }

    /// A process that begins now.
    fn process(&self, random: &mut Random) -> Process {
        let settings = Settings {
            parallelism: 1 + random.below(3),
            batch_rows: 1 + random.below(20),
            epoch_rows_max: 1 + random.below(60),
            checkpoint_interval_ms: random.pick(&[1, 5, 20, 100]),
            checkpoint_keep: 1 + random.below(3),
            uncommitted_bytes_max: random.pick(&[1, 2_000, 1 << 30]),
            background_threads: false,
            ..harness::settings()
        };
        let slow = random.pick(&[0, 50, 300]);
        let store = FaultyStore::new(Arc::clone(&self.store), Arc::clone(&self.dice), 60).slow(self.clock.clone(), slow);
        let connectors: [Arc<dyn Connector>; 2] = [self.data.clone(), Arc::new(self.remote.clone())];
        let clock: Arc<dyn Clock> = self.clock.clone();
        let mut builder = Engine::builder().data_in(Arc::new(store), "data").settings(settings).with_clock(clock);
        for connector in connectors {
            builder = builder.with_connector(connector);
        }
        let script = format!("{}; {}; CREATE SINK s WITH ('connector' = 'remote') AS {}", declare("a"), declare("b"), self.query);
        let runtime = one_thread();
        let life = async move {
            let engine = builder.build().await?;
            let session = engine.session().resuming();
            session.execute(&script).await?;
            let handle = session.pipeline("s").ok_or_else(|| Error::user("42704", "the pipeline is gone"))?;
            handle.wait().await?;
            Ok(handle.status().state)
        };
        let life = runtime.spawn(life);
        Process { runtime, life }
    }
}

fn one_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// One process; to drop it is `kill -9`, not to turn it is SIGSTOP.
struct Process {
    runtime: Runtime,
    life: JoinHandle<Result<PipelineState, Error>>,
}

impl Process {
    /// Lets its tasks take some steps. `Some` when it has ended.
    fn turn(&mut self, steps: usize) -> Option<Result<PipelineState, Error>> {
        self.runtime.block_on(async {
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
        });
        if !self.life.is_finished() {
            return None;
        }
        Some(self.runtime.block_on(&mut self.life).expect("a life does not panic"))
    }
}

/// What happened in a seed.
#[derive(Clone, Copy, Debug, Default)]
struct Story {
    lives: usize,
    fenced: usize,
    repeated: u64,
}

fn run(seed: u64) -> Story {
    let mut random = Random::new(seed);
    let world = World::new(seed, &mut random);
    let expected = world.expected();
    let mut story = Story { lives: 1, ..Story::default() };
    let mut owner = world.process(&mut random);
    let mut frozen: Vec<Process> = Vec::new();
    let (deaths, steps_max) = (random.pick(&[1, 5, 20]), random.pick(&[4, 15, 40]));
    for _ in 0..ROUNDS_MAX {
        let steps = 1 + random.below(steps_max);
        if !frozen.is_empty() && random.chance(30) {
            let woken = random.below(frozen.len());
            if let Some(end) = frozen[woken].turn(steps) {
                story.fenced += usize::from(end.is_err());
                frozen.swap_remove(woken);
            }
        }
        match owner.turn(steps) {
            Some(Ok(PipelineState::Finished)) => {
                world.check(&expected, &story);
                story.fenced += frozen.into_iter().map(|process| world.thaw(process)).filter(Result::is_err).count();
                world.check(&expected, &story);
                story.repeated = world.remote.repeated();
                return story;
            }
            // Too many faults in a row, or a process that woke up has taken over: somebody starts it again.
            Some(_) => owner = world.process(&mut random),
            None if story.lives < LIVES_MAX / 2 && random.chance(deaths) => {
                let before = std::mem::replace(&mut owner, world.process(&mut random));
                if random.chance(50) {
                    frozen.push(before);
                }
            }
            None => {
                if random.chance(30) {
                    world.clock.advance_to_next_wake();
                }
                continue;
            }
        }
        story.lives += 1;
        assert!(story.lives < LIVES_MAX, "seed {}: no end after {story:?}", world.seed);
    }
    panic!("seed {}: no end after {ROUNDS_MAX} rounds, {story:?}", world.seed);
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn processes_die_freeze_and_wake_and_no_row_is_lost_or_doubled() {
    if let Some(seed) = number("MILLSTREAM_SIMULATION_SEED") {
        eprintln!("seed {seed}: {:?}", run(seed));
        return;
    }
    let first = number("MILLSTREAM_SIMULATION_FIRST").unwrap_or(0);
    let seeds = number("MILLSTREAM_SIMULATION_SEEDS").unwrap_or(60);
    let mut all = Story::default();
    for seed in first..first + seeds {
        let story = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("seed {seed}"));
        all.lives += story.lives;
        all.fenced += story.fenced;
        all.repeated += story.repeated;
    }
    eprintln!("{seeds} seeds from {first}: {all:?}");
    assert!(all.lives as u64 > seeds && (seeds < 60 || (all.fenced > 0 && all.repeated > 0)), "nothing went wrong: {all:?}");
}

/// The same seed tells the same story: otherwise no failure could be looked at again.
#[test]
fn a_seed_repeats_its_story() {
    for seed in [3, 4, 5] {
        let (one, other) = (run(seed), run(seed));
        assert_eq!((one.lives, one.fenced, one.repeated), (other.lives, other.fenced, other.repeated), "seed {seed}");
    }
}
