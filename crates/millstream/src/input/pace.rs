//! When an epoch is handed out, and which source has to wait for a slower one. Decisions only: facts in, answer out.

use std::time::Duration;

use super::lane::Size;
use super::settings::InputSettings;
use super::source::Progress;

/// What is known when the next step is decided. Times are monotonic.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// What is gathered.
    pub(super) gathered: Size,
    /// The next batch does not fit any more.
    pub(super) full: bool,
    /// Reading failed behind what is gathered.
    pub(super) failed: bool,
    /// A watermark, the idleness or the end of a source has changed since it was last told.
    pub(super) changed: bool,
    /// The end of every source has been told.
    pub(super) all_ended: bool,
    /// Some lane has not ended.
    pub(super) more_can_come: bool,
    /// When the first gathered rows came.
    pub(super) first_rows_at: Option<Duration>,
    pub(super) now: Duration,
    pub(super) deadline: Option<Duration>,
    /// When the next lane becomes idle if nothing comes.
    pub(super) next_idle_at: Option<Duration>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Hand out what is gathered, be it nothing.
    HandOut,
    /// Report the failure; everything before it has been handed out.
    Fail,
    /// Wait for a reader, at most until this time.
    Wait(Option<Duration>),
}

/// Decides the next step.
pub(super) fn next_step(facts: &Facts, settings: &InputSettings) -> Step {
    let due = facts.deadline.is_some_and(|deadline| deadline <= facts.now);
    let Some(first_rows_at) = facts.first_rows_at else {
        return match facts {
            Facts { failed: true, .. } => Step::Fail,
            Facts { changed: true, .. } => Step::HandOut,
            _ if due => Step::HandOut,
            // Nothing will ever come; with a deadline the caller has timers to wait for.
            Facts { all_ended: true, deadline: None, .. } => Step::HandOut,
            _ => Step::Wait(earlier(facts.deadline, facts.next_idle_at)),
        };
    };
    let linger_end = first_rows_at.checked_add(settings.epoch_linger);
    let lingered = linger_end.is_some_and(|end| end <= facts.now);
    let enough = facts.full || facts.gathered.rows >= settings.epoch_rows_min;
    if enough || lingered || due || facts.failed || !facts.more_can_come {
        return Step::HandOut;
    }
    Step::Wait(earlier(facts.deadline, linger_end))
}

/// Whether another batch fits into an epoch; the first one always does.
pub(super) fn fits(gathered: Size, next: Size, settings: &InputSettings) -> bool {
    let rows_fit = gathered.rows.saturating_add(next.rows) <= settings.epoch_rows_max;
    let bytes_fit = gathered.bytes.saturating_add(next.bytes) <= settings.epoch_bytes_max;
    gathered.rows == 0 || (rows_fit && bytes_fit)
}

/// Whether a source is so far ahead of the slowest of the `others` that it has to wait. Idle and finished ones are not waited for.
pub(super) fn is_held_back(source: Progress, others: impl Iterator<Item = Progress>, drift_max_ms: i64) -> bool {
    let slowest = others.filter(|other| !other.idle && !other.finished).map(|other| other.watermark).min();
    slowest.is_some_and(|slowest| source.watermark.as_ms() > slowest.as_ms().saturating_add(drift_max_ms))
}

/// The earlier of two times, where `None` is never.
pub(super) fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use millstream_time::Watermark;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn rows(rows: usize) -> Facts {
        Facts {
            gathered: Size { rows, bytes: 8 * rows },
            first_rows_at: Some(ms(100)),
            more_can_come: true,
            now: ms(101),
            ..Facts::default()
        }
    }

    #[test]
    fn next_step_table() {
        let none = Facts { more_can_come: true, now: ms(100), ..Facts::default() };
        let cases = [
            ("nothing there", none, Step::Wait(None)),
            ("nothing before the deadline", Facts { deadline: Some(ms(150)), ..none }, Step::Wait(Some(ms(150)))),
            (
                "a lane becomes idle first",
                Facts { deadline: Some(ms(150)), next_idle_at: Some(ms(120)), ..none },
                Step::Wait(Some(ms(120))),
            ),
            ("deadline", Facts { deadline: Some(ms(100)), ..none }, Step::HandOut),
            ("a source ended", Facts { changed: true, ..none }, Step::HandOut),
            ("failed", Facts { failed: true, ..none }, Step::Fail),
            ("all over", Facts { all_ended: true, ..none }, Step::HandOut),
            ("all over but for timers", Facts { all_ended: true, deadline: Some(ms(150)), ..none }, Step::Wait(Some(ms(150)))),
            ("few rows linger", rows(1), Step::Wait(Some(ms(105)))),
            ("idleness does not cut lingering", Facts { next_idle_at: Some(ms(102)), ..rows(1) }, Step::Wait(Some(ms(105)))),
            ("lingered", Facts { now: ms(105), ..rows(1) }, Step::HandOut),
            ("enough rows", rows(10), Step::HandOut),
            ("full by bytes", Facts { full: true, ..rows(1) }, Step::HandOut),
            ("deadline while lingering", Facts { deadline: Some(ms(101)), ..rows(1) }, Step::HandOut),
            ("rows before a failure", Facts { failed: true, ..rows(1) }, Step::HandOut),
            ("nothing more can come", Facts { more_can_come: false, ..rows(1) }, Step::HandOut),
        ];
        let settings = InputSettings { epoch_rows_min: 10, ..InputSettings::default() };
        for (name, facts, expected) in cases {
            assert_eq!(next_step(&facts, &settings), expected, "{name}");
        }
    }

    #[test]
    fn fits_table() {
        let settings = InputSettings { epoch_rows_max: 10, epoch_bytes_max: 100, ..InputSettings::default() };
        let size = |rows, bytes| Size { rows, bytes };
        let cases = [
            (size(0, 0), size(99, 999), true),
            (size(6, 10), size(4, 90), true),
            (size(6, 10), size(5, 10), false),
            (size(6, 10), size(1, 91), false),
        ];
        for (gathered, next, expected) in cases {
            assert_eq!(fits(gathered, next, &settings), expected, "{gathered:?} + {next:?}");
        }
    }

    #[test]
    fn held_back_table() {
        let at = |ms| Progress { watermark: Watermark::from_ms(ms), ..Progress::default() };
        let idle = |ms| Progress { idle: true, ..at(ms) };
        let finished = Progress { finished: true, ..at(i64::MAX) };
        let unknown = Progress::default();
        let cases = [
            (at(100), vec![], false),
            (at(100), vec![at(90)], false),
            (at(100), vec![at(89)], true),
            (at(100), vec![at(89), at(200)], true),
            (at(100), vec![idle(0)], false),
            (at(100), vec![finished], false),
            (at(100), vec![idle(0), at(95)], false),
            (at(100), vec![unknown], true),
            (unknown, vec![unknown], false),
        ];
        for (source, others, expected) in cases {
            assert_eq!(is_held_back(source, others.iter().copied(), 10), expected, "{source:?} among {others:?}");
        }
    }
}
