//! The loop that turns batches of lanes into epochs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millstream_connectors::{Boundedness, LaneId};
use millstream_time::{Clock, Watermark};
use tokio::sync::Notify;

use super::discovery::Discovery;
use super::epoch::{EpochInput, SourceInput};
use super::error::{InputError, Result};
use super::inspect::{Inspector, whole_ms};
use super::lane::{Lane, Size, Taken};
use super::metrics::{Figures, SourceMetrics};
use super::pace::{self, Facts, Step};
use super::positions::{InputPositions, LanePosition, SourcePositions};
use super::reader::{Reader, ReaderContext};
use super::settings::{InputSettings, SourceSpec, WatermarkRule};
use super::source::{Progress, SourceState};
use crate::blocking::Blocking;

/// The input of one pipeline: every lane of every source, read ahead. Dropping it ends all readers.
#[derive(Debug)]
pub struct Inputs {
    sources: Vec<SourceState>,
    /// Of all sources.
    lanes: Vec<Lane>,
    discovery: Discovery,
    settings: InputSettings,
    clock: Arc<dyn Clock>,
    clock_ms: i64,
    /// Readers and discovery call here.
    wake: Arc<Notify>,
    /// The lane whose turn it is.
    turn: usize,
    gathering: Gathering,
    /// A failure has been reported.
    failed: bool,
    wakeups: u64,
}

/// What is known of the epoch being gathered; its rows are with their lanes.
#[derive(Debug, Default)]
struct Gathering {
    size: Size,
    full: bool,
    first_rows_at: Option<Duration>,
    failure: Option<InputError>,
}

impl Inputs {
    /// Opens every lane, at its beginning or where `start` says, and begins to read ahead.
    ///
    /// Fails if a description does not fit its source, `start` belongs to other sources, or a lane does not open. Each lane takes
    /// one blocking thread of the current runtime.
    pub async fn open(
        specs: Vec<SourceSpec>,
        start: Option<&InputPositions>,
        settings: InputSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        if let Some(start) = start {
            check_positions(start, &specs)?;
        }
        let clock_ms = start.map_or(i64::MIN, |start| start.clock_ms).max(clock.now());
        let mut inputs = Self {
            sources: Vec::with_capacity(specs.len()),
            lanes: Vec::new(),
            discovery: Discovery::new(settings.lane_discovery_interval),
            settings,
            clock,
            clock_ms,
            wake: Arc::new(Notify::new()),
            turn: 0,
            gathering: Gathering::default(),
            failed: false,
            wakeups: 0,
        };
        for (index, spec) in specs.into_iter().enumerate() {
            inputs.add_source(spec, start.and_then(|start| start.sources.get(index))).await?;
        }
        for lane in &mut inputs.lanes {
            if let Some(source) = inputs.sources.get(lane.source) {
                lane.opened(source.name()).await?;
            }
        }
        Ok(inputs)
    }

    /// Waits for rows, for a watermark or the end of a source to move, or for `deadline` (monotonic time of the clock; `None`:
    /// for ever), and hands out what there is.
    ///
    /// Rows that stand before a failure are handed out before the failure is returned. After a failure the inputs must be opened
    /// again. May be dropped and called again without loss. When every source has ended it returns at `deadline`, or at once.
    pub async fn next(&mut self, deadline: Option<Duration>) -> Result<EpochInput> {
        if self.failed {
            return Err(InputError::AlreadyFailed);
        }
        loop {
            self.add_new_lanes();
            self.note_idle_lanes();
            self.take_what_is_there();
            self.refresh_all();
            let facts = self.facts(deadline);
            match pace::next_step(&facts, &self.settings) {
                Step::HandOut => return Ok(self.hand_out()),
                Step::Fail => {
                    self.failed = true;
                    return Err(self.gathering.failure.take().unwrap_or(InputError::AlreadyFailed));
                }
                Step::Wait(until) => self.wait(until).await,
            }
        }
    }

    /// Where reading resumes after what has been handed out.
    pub fn positions(&self) -> InputPositions {
        let sources = self.sources.iter().enumerate().map(|(index, source)| source.positions(lanes_of(&self.lanes, index)));
        InputPositions { clock_ms: self.clock_ms, sources: sources.collect() }
    }

    /// Figures of every source, in the order of the specs.
    pub fn metrics(&self) -> Vec<SourceMetrics> {
        let metrics = |(index, source): (usize, &SourceState)| source.metrics(lanes_of(&self.lanes, index), self.is_held_back(index));
        self.sources.iter().enumerate().map(metrics).collect()
    }

    /// Whether the end of every source has been handed out.
    pub fn is_finished(&self) -> bool {
        self.sources.iter().all(|source| source.told.finished)
    }

    /// How often [`next`](Self::next) has woken up from waiting.
    pub fn wakeups(&self) -> u64 {
        self.wakeups
    }

    async fn add_source(&mut self, spec: SourceSpec, stored: Option<&SourcePositions>) -> Result<()> {
        let index = self.sources.len();
        let inspector = Arc::new(Inspector::new(&spec, Arc::clone(&self.clock))?);
        let found = spec.source.lanes().await.map_err(|error| InputError::connector(&spec.name, error))?;
        let boundedness = spec.source.boundedness();
        let context = ReaderContext {
            table: spec.name,
            source: spec.source,
            projection: spec.projection.into(),
            inspector,
            rows_max: self.settings.read_rows(),
            batches_ahead: self.settings.lane_batches_ahead,
            clock: Arc::clone(&self.clock),
            wake: Arc::clone(&self.wake),
            blocking: Blocking::of(self.settings.background_threads),
        };
        let watermark = stored.map_or(Watermark::MIN, |stored| stored.watermark);
        // A lane that was read before but is not listed any more is opened all the same: its source must say that it is gone.
        let known: BTreeSet<LaneId> = found.into_iter().chain(stored.iter().flat_map(|stored| stored.lanes.keys().cloned())).collect();
        for id in &known {
            let told = stored.and_then(|stored| stored.lanes.get(id)).cloned();
            let told = told.unwrap_or_else(|| LanePosition { watermark, ..LanePosition::default() });
            self.lanes.push(start_lane(&context, index, id.clone(), told));
        }
        if boundedness == Boundedness::Unbounded {
            self.discovery.watch(index, &context, known);
        }
        let told = Progress { watermark, ..Progress::default() };
        self.sources.push(SourceState {
            context,
            boundedness,
            has_watermark: !matches!(spec.watermark, WatermarkRule::None),
            idle_timeout: spec.idle_timeout,
            told,
            gathered: told,
            figures: Figures::default(),
        });
        self.refresh(index);
        Ok(())
    }

    fn add_new_lanes(&mut self) {
        while let Some(new) = self.discovery.take() {
            let Some(source) = self.sources.get(new.source) else { continue };
            if source.told.finished {
                tracing::warn!(table = source.name(), lane = %new.id, "a lane appeared after the source had ended; it is not read");
                continue;
            }
            let told = LanePosition { watermark: source.told.watermark, ..LanePosition::default() };
            self.lanes.push(start_lane(&source.context, new.source, new.id, told));
            self.refresh(new.source);
        }
    }

    fn note_idle_lanes(&mut self) {
        let now = self.clock.monotonic();
        for index in 0..self.sources.len() {
            let Some(timeout) = self.sources[index].idle_timeout else { continue };
            let mut changed = false;
            for lane in self.lanes.iter_mut().filter(|lane| lane.source == index) {
                if lane.idle_at(timeout).is_some_and(|at| at <= now) {
                    lane.set_idle();
                    changed = true;
                }
            }
            if changed {
                self.refresh(index);
            }
        }
    }

    /// One batch of each lane in turn, until nothing is there or the epoch is full.
    fn take_what_is_there(&mut self) {
        let mut empty_in_a_row = 0;
        while empty_in_a_row < self.lanes.len() && self.gathering.failure.is_none() {
            self.turn %= self.lanes.len();
            let took = self.take_from(self.turn);
            if self.gathering.full {
                return; // This lane is the first one in the next epoch.
            }
            self.turn += 1;
            empty_in_a_row = if took { 0 } else { empty_in_a_row + 1 };
        }
    }

    /// Takes one item of a lane, if there is one and it fits.
    fn take_from(&mut self, lane_index: usize) -> bool {
        let source_index = self.lanes[lane_index].source;
        if self.is_held_back(source_index) {
            return false;
        }
        let lane = &mut self.lanes[lane_index];
        if let Some(next) = lane.peek(self.sources[source_index].name())
            && !pace::fits(self.gathering.size, next, &self.settings)
        {
            self.gathering.full = true;
            return false;
        }
        match lane.take() {
            Taken::Nothing => return false,
            Taken::Event => {}
            Taken::Failed(error) => self.gathering.failure = Some(error),
            Taken::Batch(size) => {
                self.gathering.size.rows += size.rows;
                self.gathering.size.bytes += size.bytes;
                if self.gathering.first_rows_at.is_none() {
                    self.gathering.first_rows_at = Some(self.clock.monotonic());
                }
            }
        }
        if self.settings.source_drift_max.is_some() {
            self.refresh(source_index); // The next decision about who is held back needs it.
        }
        true
    }

    fn is_held_back(&self, index: usize) -> bool {
        let Some(drift_max) = self.settings.source_drift_max else { return false };
        let source = &self.sources[index];
        let others = self.sources.iter().enumerate().filter(|(other, state)| *other != index && state.has_watermark);
        source.has_watermark && pace::is_held_back(source.gathered, others.map(|(_, state)| state.gathered), whole_ms(drift_max))
    }

    fn facts(&self, deadline: Option<Duration>) -> Facts {
        let idle_at = |lane: &Lane| lane.idle_at(self.sources[lane.source].idle_timeout?);
        Facts {
            gathered: self.gathering.size,
            full: self.gathering.full,
            failed: self.gathering.failure.is_some(),
            changed: self.sources.iter().any(|source| source.gathered != source.told),
            all_ended: self.is_finished(),
            more_can_come: !self.sources.iter().all(|source| source.gathered.finished),
            first_rows_at: self.gathering.first_rows_at,
            now: self.clock.monotonic(),
            deadline,
            next_idle_at: self.lanes.iter().filter_map(idle_at).min(),
        }
    }

    fn hand_out(&mut self) -> EpochInput {
        self.clock_ms = self.clock_ms.max(self.clock.now());
        let mut handed_out = vec![(Vec::new(), Vec::new()); self.sources.len()];
        for lane in &mut self.lanes {
            let (batches, rejected) = lane.hand_out(&mut self.sources[lane.source].figures);
            let (all_batches, all_rejected) = &mut handed_out[lane.source];
            all_batches.extend(batches);
            all_rejected.extend(rejected);
        }
        let failure = self.gathering.failure.take();
        self.gathering = Gathering { failure, ..Gathering::default() };
        let sources = self.sources.iter_mut().zip(handed_out).map(|(source, (batches, rejected))| {
            source.told = source.gathered;
            let Progress { watermark, idle, finished } = source.told;
            SourceInput { batches, rejected, watermark, idle, finished }
        });
        EpochInput { clock_ms: self.clock_ms, sources: sources.collect() }
    }

    /// Until something calls, or this (monotonic) time.
    async fn wait(&mut self, until: Option<Duration>) {
        match until {
            None => self.wake.notified().await,
            Some(until) => {
                let pause = until.saturating_sub(self.clock.monotonic());
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = self.clock.sleep(pause) => {}
                }
            }
        }
        self.wakeups += 1;
    }

    fn refresh_all(&mut self) {
        for index in 0..self.sources.len() {
            self.refresh(index);
        }
    }

    fn refresh(&mut self, index: usize) {
        self.sources[index].refresh(lanes_of(&self.lanes, index));
    }
}

fn lanes_of(lanes: &[Lane], source: usize) -> impl Iterator<Item = &Lane> {
    lanes.iter().filter(move |lane| lane.source == source)
}

fn start_lane(context: &ReaderContext, source: usize, id: LaneId, told: LanePosition) -> Lane {
    let reader = (!told.finished).then(|| Reader::start(context, id.clone(), told.position.clone()));
    Lane::new(id, source, told, reader)
}

fn check_positions(start: &InputPositions, specs: &[SourceSpec]) -> Result<()> {
    let stored: Vec<&str> = start.sources.iter().map(|source| source.name.as_str()).collect();
    let asked: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    if stored == asked {
        return Ok(());
    }
    Err(InputError::Positions(format!("they are of the tables {stored:?}, the query reads {asked:?}")))
}
