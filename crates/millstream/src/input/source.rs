//! One source: the minimum over its lanes.
//!
//! ```text
//! lane 0   active     12:00:07 --\
//! lane 1   active     12:00:04 ---> source 12:00:04
//! lane 2   idle       11:59:00     (does not hold it back)
//! lane 3   finished   12:00:01     (neither)
//! ```

use std::time::Duration;

use millstream_connectors::Boundedness;
use millstream_time::Watermark;

use super::lane::Lane;
use super::metrics::{Figures, SourceMetrics};
use super::positions::SourcePositions;
use super::reader::ReaderContext;

/// How far a source has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) watermark: Watermark,
    /// It has lanes that go on, but all of them are idle.
    pub(super) idle: bool,
    pub(super) finished: bool,
}

/// One source of the pipeline.
#[derive(Debug)]
pub(super) struct SourceState {
    pub(super) context: ReaderContext,
    pub(super) boundedness: Boundedness,
    /// Whether a rule says how its watermark advances; without one it has no place in the comparison of drift.
    pub(super) has_watermark: bool,
    pub(super) idle_timeout: Option<Duration>,
    /// As of what has been handed out.
    pub(super) told: Progress,
    /// If everything gathered were handed out.
    pub(super) gathered: Progress,
    pub(super) figures: Figures,
}

impl SourceState {
    pub(super) fn name(&self) -> &str {
        &self.context.table
    }

    /// Recomputes what holds if everything gathered were handed out. `lanes` are this source's.
    pub(super) fn refresh<'a>(&mut self, lanes: impl Iterator<Item = &'a Lane>) {
        self.gathered = progress(self.gathered, self.boundedness, lanes);
    }

    pub(super) fn positions<'a>(&self, lanes: impl Iterator<Item = &'a Lane>) -> SourcePositions {
        SourcePositions {
            name: self.name().to_owned(),
            watermark: self.told.watermark,
            lanes: lanes.map(|lane| (lane.id.clone(), lane.told().clone())).collect(),
        }
    }

    pub(super) fn metrics<'a>(&self, lanes: impl Iterator<Item = &'a Lane>, held_back: bool) -> SourceMetrics {
        let figures = self.figures.clone();
        let mut metrics = SourceMetrics {
            name: self.name().to_owned(),
            rows: figures.rows,
            bytes: figures.bytes,
            rejected_rows: figures.rejected_rows,
            last_rejected: figures.last_rejected,
            future_skew_rows: figures.future_skew_rows,
            watermark: self.told.watermark,
            held_back,
            ..SourceMetrics::default()
        };
        for lane in lanes {
            metrics.lanes += 1;
            metrics.idle_lanes += usize::from(lane.told().idle);
            metrics.finished_lanes += usize::from(lane.told().finished);
        }
        metrics
    }
}

fn progress<'a>(before: Progress, boundedness: Boundedness, lanes: impl Iterator<Item = &'a Lane>) -> Progress {
    let (mut count, mut finished_count) = (0, 0);
    let mut slowest_active: Option<Watermark> = None;
    for lane in lanes {
        count += 1;
        finished_count += usize::from(lane.is_finished());
        if lane.is_active() {
            slowest_active = Some(slowest_active.map_or(lane.watermark(), |slowest| slowest.min(lane.watermark())));
        }
    }
    // An unbounded source without lanes is waiting for its first one.
    let finished = finished_count == count && (count > 0 || boundedness == Boundedness::Bounded);
    let mut watermark = before.watermark;
    if finished {
        watermark = Watermark::MAX;
    } else if let Some(slowest) = slowest_active {
        watermark.advance(slowest);
    }
    Progress { watermark, idle: count > 0 && !finished && slowest_active.is_none(), finished }
}
