//! The last minutes of all pipelines, so that the page has something to draw when it is opened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use millstream::{CheckpointFigures, PipelineStatus};
use parking_lot::Mutex;
use serde::Serialize;

use crate::server::Lobby;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Looks that are remembered: five minutes.
const SAMPLES_MAX: usize = 300;

/// Pipelines of which a course is kept.
const PIPELINES_MAX: usize = 200;

/// Checkpoints of a pipeline that are remembered.
const CHECKPOINTS_MAX: usize = 40;

/// The course of every pipeline.
#[derive(Debug, Default)]
pub(crate) struct History {
    courses: Mutex<BTreeMap<String, Course>>,
}

/// The course of one.
#[derive(Clone, Debug, Default, Serialize)]
struct Course {
    samples: VecDeque<Sample>,
    checkpoints: VecDeque<CheckpointFigures>,
    #[serde(skip)]
    last: Option<Counted>,
}

/// What is drawn of one look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Sample {
    at_ms: i64,
    /// Rows a second since the look before.
    rows_in: f64,
    rows_out: f64,
    busy: f64,
    held_back: f64,
    lag_ms: Option<i64>,
    state_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    at: Duration,
    rows_in: u64,
    rows_out: u64,
}

impl History {
    /// A look at all pipelines; those that are gone are forgotten.
    fn note(&self, pipelines: &[PipelineStatus], now_ms: i64, at: Duration) {
        let mut courses = self.courses.lock();
        courses.retain(|name, _| pipelines.iter().any(|pipeline| pipeline.name == *name));
        for pipeline in pipelines {
            if courses.len() < PIPELINES_MAX || courses.contains_key(&pipeline.name) {
                courses.entry(pipeline.name.clone()).or_default().note(pipeline, now_ms, at);
            }
        }
    }

    /// Everything, for the page.
    pub(super) fn all(&self) -> impl Serialize + use<> {
        self.courses.lock().clone()
    }
}

impl Course {
    fn note(&mut self, pipeline: &PipelineStatus, now_ms: i64, at: Duration) {
        let counted = Counted { at, rows_in: pipeline.rows_in, rows_out: pipeline.rows_out };
        if let Some(last) = self.last.replace(counted) {
            let seconds = at.saturating_sub(last.at).as_secs_f64();
            // Counters begin anew when a pipeline does.
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let rate = |now: u64, before: u64| if seconds > 0.0 { now.saturating_sub(before) as f64 / seconds } else { 0.0 };
            let sample = Sample {
                at_ms: now_ms,
                rows_in: rate(counted.rows_in, last.rows_in),
                rows_out: rate(counted.rows_out, last.rows_out),
                busy: pipeline.load.busy_percent,
                held_back: pipeline.load.held_back_percent,
                lag_ms: pipeline.watermark_ms.map(|watermark| now_ms.saturating_sub(watermark)),
                state_bytes: pipeline.state_bytes,
            };
            push(&mut self.samples, sample, SAMPLES_MAX);
        }
        if let Some(checkpoint) = &pipeline.last_checkpoint
            && self.checkpoints.back().is_none_or(|last| last.number != checkpoint.number)
        {
            push(&mut self.checkpoints, checkpoint.clone(), CHECKPOINTS_MAX);
        }
    }
}

fn push<T>(kept: &mut VecDeque<T>, new: T, max: usize) {
    if kept.len() >= max {
        kept.pop_front();
    }
    kept.push_back(new);
}

/// Looks again and again until the server stops.
pub(super) async fn sample(lobby: Arc<Lobby>) {
    loop {
        tokio::select! {
            () = lobby.stopping() => return,
            () = lobby.clock.sleep(EVERY) => {}
        }
        if let Some(state) = lobby.served() {
            state.history.note(&state.engine.pipelines(), state.clock.now(), state.clock.monotonic());
        }
    }
}
