//! How a pipeline spends its time: at work, waiting for input, or held back by what comes behind it.
//!
//! The crank says when it begins something else ([`LoadMeter::enter`], a few times an epoch); whoever asks for figures gets those of
//! the last second, what goes on right now included.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use millstream_time::Clock;
use parking_lot::Mutex;
use serde::Serialize;

/// Shares are taken over this stretch of time.
const LOOK_BACK: Duration = Duration::from_secs(1);

/// Sums are remembered at most this often.
const MARK_EVERY: Duration = Duration::from_millis(100);

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// It takes rows through its plan.
    Busy,
    /// It waits for rows, or for time to pass.
    Idle,
    /// It waits for its sink, its reader, or a checkpoint.
    HeldBack,
}

/// How a pipeline has spent its time: shares of the last second, and sums since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PipelineLoad {
    /// Per cent of the last second in which it was at work.
    pub busy_percent: f64,
    /// Per cent of the last second in which it waited for input.
    pub idle_percent: f64,
    /// Per cent of the last second in which it waited for its sink, its reader or a checkpoint: back-pressure.
    pub held_back_percent: f64,
    /// Milliseconds at work since it started.
    pub busy_ms: u64,
    /// Milliseconds without input since it started.
    pub idle_ms: u64,
    /// Milliseconds held back since it started.
    pub held_back_ms: u64,
}

/// Time by activity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    busy: Duration,
    idle: Duration,
    held_back: Duration,
}

impl Sums {
    fn of(&mut self, activity: Activity) -> &mut Duration {
        match activity {
            Activity::Busy => &mut self.busy,
            Activity::Idle => &mut self.idle,
            Activity::HeldBack => &mut self.held_back,
        }
    }
}

/// The sums at some times, and what goes on since the last change. Decides; reads no clock.
#[derive(Debug)]
struct Course {
    activity: Activity,
    since: Duration,
    /// Up to `since`.
    sums: Sums,
    /// In the order of time; only the first may be older than [`LOOK_BACK`].
    marks: VecDeque<(Duration, Sums)>,
}

impl Course {
    fn new(now: Duration) -> Self {
        Self { activity: Activity::Idle, since: now, sums: Sums::default(), marks: VecDeque::from([(now, Sums::default())]) }
    }

    fn at(&self, now: Duration) -> Sums {
        let mut sums = self.sums;
        *sums.of(self.activity) += now.saturating_sub(self.since);
        sums
    }

    fn enter(&mut self, activity: Activity, now: Duration) -> Activity {
        let before = self.activity;
        let sums = self.at(now);
        let horizon = now.saturating_sub(LOOK_BACK);
        if self.since < horizon {
            // Nothing but this has gone on for longer than anybody looks back.
            self.marks = VecDeque::from([(horizon, self.at(horizon))]);
        }
        (self.activity, self.since, self.sums) = (activity, now, sums);
        if self.marks.back().is_none_or(|(at, _)| now >= *at + MARK_EVERY) {
            self.marks.push_back((now, sums));
        }
        while self.marks.get(1).is_some_and(|(at, _)| *at <= horizon) {
            self.marks.pop_front();
        }
        before
    }

    fn figures(&self, now: Duration) -> PipelineLoad {
        let sums = self.at(now);
        let horizon = now.saturating_sub(LOOK_BACK);
        let base = self.marks.iter().rev().find(|(at, _)| *at <= horizon).or(self.marks.front());
        let (from, then) = match base {
            _ if self.since <= horizon => (horizon, self.at(horizon)),
            Some((at, then)) => (*at, *then),
            None => (self.since, self.sums),
        };
        let whole = now.saturating_sub(from).as_secs_f64();
        let share = |now: Duration, then: Duration| match whole {
            whole if whole > 0.0 => (now.saturating_sub(then).as_secs_f64() / whole * 1000.0).round() / 10.0,
            _ => 0.0,
        };
        let millis = |sum: Duration| u64::try_from(sum.as_millis()).unwrap_or(u64::MAX);
        PipelineLoad {
            busy_percent: share(sums.busy, then.busy),
            idle_percent: share(sums.idle, then.idle),
            held_back_percent: share(sums.held_back, then.held_back),
            busy_ms: millis(sums.busy),
            idle_ms: millis(sums.idle),
            held_back_ms: millis(sums.held_back),
        }
    }
}

/// The load of a pipeline, told by its crank and asked by its handles.
#[derive(Debug)]
pub(super) struct LoadMeter {
    clock: Arc<dyn Clock>,
    course: Mutex<Course>,
    /// What it was when the pipeline ended.
    ended: Mutex<Option<PipelineLoad>>,
}

impl LoadMeter {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let course = Mutex::new(Course::new(clock.monotonic()));
        Self { clock, course, ended: Mutex::new(None) }
    }

    /// The pipeline does this from now on; what it did before.
    pub(super) fn enter(&self, activity: Activity) -> Activity {
        self.course.lock().enter(activity, self.clock.monotonic())
    }

    /// Runs `work`, of which all the time counts as `activity`.
    pub(super) async fn during<T>(&self, activity: Activity, work: impl Future<Output = T>) -> T {
        let before = self.enter(activity);
        let done = work.await;
        self.enter(before);
        done
    }

    /// The sums stay as they are from now on, and the shares are none.
    pub(super) fn end(&self) {
        let figures = self.course.lock().figures(self.clock.monotonic());
        let shares = PipelineLoad { busy_percent: 0.0, idle_percent: 0.0, held_back_percent: 0.0, ..figures };
        *self.ended.lock() = Some(shares);
    }

    pub(super) fn figures(&self) -> PipelineLoad {
        let ended = *self.ended.lock();
        ended.unwrap_or_else(|| self.course.lock().figures(self.clock.monotonic()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn shares(course: &Course, at: u64) -> (f64, f64, f64) {
        let load = course.figures(ms(at));
        (load.busy_percent, load.idle_percent, load.held_back_percent)
    }

    #[test]
    fn shares_are_those_of_the_last_second() {
        let mut course = Course::new(ms(0));
        assert_eq!(shares(&course, 0), (0.0, 0.0, 0.0));
        // Ten seconds of nothing, then turns of 30 ms of work and 70 ms before the sink.
        let mut now = 10_000;
        for _ in 0..30 {
            course.enter(Activity::Busy, ms(now));
            course.enter(Activity::HeldBack, ms(now + 30));
            now += 100;
        }
        assert_eq!(shares(&course, now), (30.0, 0.0, 70.0));
        let load = course.figures(ms(now));
        assert_eq!((load.busy_ms, load.idle_ms, load.held_back_ms), (900, 10_000, 2_100));
        // It hangs there: that is seen although nothing is told.
        assert_eq!(shares(&course, now + 5_000), (0.0, 0.0, 100.0));
    }

    #[test]
    fn a_long_wait_does_not_thin_what_comes_after_it() {
        let mut course = Course::new(ms(0));
        course.enter(Activity::Busy, ms(60_000));
        assert_eq!(shares(&course, 60_500), (33.3, 66.7, 0.0), "the wait counts as its last second");
        assert_eq!(shares(&course, 61_000), (100.0, 0.0, 0.0));
    }

    #[test]
    fn marks_stay_few() {
        let mut course = Course::new(ms(0));
        for n in 0..10_000 {
            course.enter(if n % 2 == 0 { Activity::Busy } else { Activity::Idle }, Duration::from_micros(n * 300));
        }
        assert!(course.marks.len() <= 13, "{}", course.marks.len());
    }
}
