//! The live line under the rows: what the running queries and pipelines are doing.
//!
//! This module decides the text; `screen` draws and clears it. Figures come as running totals ([`Progress`]), rates are taken
//! over the last second or so.

use std::collections::VecDeque;
use std::time::Duration;

use millstream::{PipelineState, PipelineStatus};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::quantity;

/// Rates are taken over this stretch of time.
const RATE_OVER: Duration = Duration::from_secs(2);
const LAG_SHOWN_BELOW: Duration = Duration::from_secs(30 * 86_400);
/// Less back-pressure than this is no reason to look up.
const HELD_BACK_SHOWN_FROM: f64 = 20.0;
pub(crate) const SEPARATOR: &str = " | ";

/// The totals of one query or pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) name: String,
    /// Where it is in its life, in a word.
    pub(crate) state: String,
    /// Its figures still change.
    pub(crate) is_running: bool,
    /// What it failed with.
    pub(crate) error: Option<String>,
    /// A query at a server, of which only the rows are seen that come from there.
    pub(crate) is_remote: bool,
    pub(crate) rows_in: u64,
    pub(crate) rows_out: u64,
    pub(crate) rejected_rows: u64,
    pub(crate) last_rejected: Option<String>,
    pub(crate) late_rows: u64,
    /// Rows without an event time.
    pub(crate) untimed_rows: u64,
    pub(crate) open_windows: u64,
    pub(crate) state_bytes: u64,
    /// State that has left memory for the data folder.
    pub(crate) stored_bytes: u64,
    /// Milliseconds since 1970.
    pub(crate) watermark_ms: Option<i64>,
    /// The engine's clock, milliseconds since 1970.
    pub(crate) clock_ms: i64,
    pub(crate) idle_sources: Vec<String>,
    /// When the last checkpoint was made, milliseconds since 1970.
    pub(crate) checkpoint_ms: Option<i64>,
    /// Per cent of the last second in which it was at work.
    pub(crate) busy_percent: Option<f64>,
    /// Per cent of the last second in which it waited for what comes behind it.
    pub(crate) held_back_percent: Option<f64>,
}

impl Progress {
    pub(crate) fn of(status: &PipelineStatus) -> Self {
        let is_running = !status.state.is_final();
        let error = match &status.state {
            PipelineState::Failed(message) => Some(message.clone()),
            _ => None,
        };
        Self {
            name: status.name.clone(),
            state: status.state.to_string(),
            is_running,
            error,
            is_remote: false,
            rows_in: status.rows_in,
            rows_out: status.rows_out,
            rejected_rows: status.rejected_rows,
            last_rejected: status.last_rejected.clone(),
            late_rows: status.late_rows,
            untimed_rows: status.untimed_rows,
            open_windows: status.open_windows,
            state_bytes: status.state_bytes,
            stored_bytes: status.stored_bytes,
            watermark_ms: status.watermark_ms,
            clock_ms: status.clock_ms,
            idle_sources: status.idle_sources.clone(),
            checkpoint_ms: status.last_checkpoint.as_ref().map(|checkpoint| checkpoint.created_ms),
            busy_percent: is_running.then_some(status.load.busy_percent),
            held_back_percent: is_running.then_some(status.load.held_back_percent),
        }
    }
}

/// Remembers the totals of the last seconds and writes the line.
#[derive(Debug, Default)]
pub(crate) struct StatusLine {
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    rows_in: u64,
    rows_out: u64,
}

impl StatusLine {
    /// The line at time `at`, not wider than `width`; none when nothing runs.
    pub(crate) fn update(&mut self, at: Duration, running: &[Progress], width: usize) -> Option<String> {
        let total = total(running)?;
        self.samples.push_back(Sample { at, rows_in: total.rows_in, rows_out: total.rows_out });
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|second| at.saturating_sub(second.at) >= RATE_OVER) {
            self.samples.pop_front();
        }
        let rates = self.samples.front().and_then(|first| first.rates_to(at, &total));
        Some(join_within(&segments(&total, rates), width))
    }
}

impl Sample {
    /// Rows in and out per second; none if no time has passed. Totals fall when a query ends while others run on: shown as 0
    /// for a moment.
    fn rates_to(&self, at: Duration, total: &Progress) -> Option<(f64, f64)> {
        let seconds = at.saturating_sub(self.at).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        Some((rate(total.rows_in, self.rows_in), rate(total.rows_out, self.rows_out)))
    }
}

fn total(running: &[Progress]) -> Option<Progress> {
    let (first, others) = running.split_first()?;
    let mut total = first.clone();
    for other in others {
        total.rows_in += other.rows_in;
        total.rows_out += other.rows_out;
        total.rejected_rows += other.rejected_rows;
        total.late_rows += other.late_rows;
        total.open_windows += other.open_windows;
        total.state_bytes += other.state_bytes;
        total.stored_bytes += other.stored_bytes;
        // The one furthest behind is the one to look at.
        total.watermark_ms = [total.watermark_ms, other.watermark_ms].into_iter().flatten().min();
        // The one that suffers most.
        total.held_back_percent = [total.held_back_percent, other.held_back_percent].into_iter().flatten().reduce(f64::max);
        total.clock_ms = total.clock_ms.max(other.clock_ms);
        total.checkpoint_ms = total.checkpoint_ms.min(other.checkpoint_ms).or(total.checkpoint_ms).or(other.checkpoint_ms);
        total.idle_sources.extend(other.idle_sources.iter().filter(|name| !first.idle_sources.contains(name)).cloned());
    }
    if !others.is_empty() {
        total.name = format!("{} pipelines", running.len());
    }
    Some(total)
}

/// The parts of the line, the most important first.
fn segments(total: &Progress, rates: Option<(f64, f64)>) -> Vec<String> {
    let counted = quantity::rows;
    let speed = match rates {
        Some((_, rate_out)) if total.is_remote => format!("{}/s", quantity::count(rate_out)),
        None if total.is_remote => format!("{} rows", counted(total.rows_out)),
        Some((rate_in, rate_out)) => format!("{}/s in, {}/s out", quantity::count(rate_in), quantity::count(rate_out)),
        None => format!("{} rows in, {} out", counted(total.rows_in), counted(total.rows_out)),
    };
    let mut segments = vec![speed];
    if !total.name.is_empty() {
        segments[0] = format!("{}: {}", total.name, segments[0]);
    }
    if let Some(watermark) = total.watermark_ms.and_then(watermark_text) {
        segments.push(format!("watermark {watermark}{}", lag_text(total)));
    }
    let figures = [(total.rejected_rows, "rejected"), (total.late_rows, "late")];
    segments.extend(figures.into_iter().filter(|(rows, _)| *rows > 0).map(|(rows, what)| format!("{} {what}", counted(rows))));
    if let Some(percent) = total.held_back_percent.filter(|percent| *percent >= HELD_BACK_SHOWN_FROM) {
        segments.push(format!("{percent:.0} % held back"));
    }
    if !total.idle_sources.is_empty() {
        segments.push(format!("idle: {}", total.idle_sources.join(", ")));
    }
    if total.open_windows > 0 {
        let plural = if total.open_windows == 1 { "" } else { "s" };
        segments.push(format!("{} open window{plural}", counted(total.open_windows)));
    }
    if total.state_bytes > 0 {
        segments.push(format!("state {}", quantity::bytes(total.state_bytes)));
    }
    if total.stored_bytes > 0 {
        segments.push(format!("{} more in the data folder", quantity::bytes(total.stored_bytes)));
    }
    if let Some(made) = total.checkpoint_ms
        && let Ok(age) = u64::try_from(total.clock_ms.saturating_sub(made))
    {
        segments.push(format!("checkpoint {} ago", quantity::duration(Duration::from_millis(age))));
    }
    segments
}

fn watermark_text(millis: i64) -> Option<String> {
    chrono::DateTime::from_timestamp_millis(millis).map(|time| time.naive_utc().format("%Y-%m-%d %H:%M:%S").to_string())
}

/// How far the watermark is behind the clock; nothing when it is ahead (future data), or so old that it is a replay.
fn lag_text(total: &Progress) -> String {
    let lag = total.watermark_ms.map_or(0, |watermark| total.clock_ms.saturating_sub(watermark));
    match u64::try_from(lag).map(Duration::from_millis) {
        Ok(lag) if !lag.is_zero() && lag < LAG_SHOWN_BELOW => format!(" ({} behind)", quantity::duration(lag)),
        _ => String::new(),
    }
}

/// Joins as many segments as fit; the first is cut if even it does not.
fn join_within(segments: &[String], width: usize) -> String {
    let mut line = String::new();
    for segment in segments {
        let separator = if line.is_empty() { "" } else { SEPARATOR };
        if !line.is_empty() && line.width() + separator.len() + segment.width() > width {
            continue;
        }
        line.push_str(separator);
        line.push_str(segment);
    }
    let mut used = 0;
    line.chars()
        .filter(|character| !character.is_control())
        .take_while(|character| {
            used += character.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            name: "q1".to_owned(),
            rows_in: 2_400_000,
            rows_out: 680,
            rejected_rows: 1,
            late_rows: 3,
            open_windows: 12,
            state_bytes: 12_900_000,
            stored_bytes: 0,
            watermark_ms: Some(1_704_067_210_000),
            clock_ms: 1_704_067_213_200,
            idle_sources: vec!["bids".to_owned()],
            checkpoint_ms: Some(1_704_067_210_000),
            ..Progress::default()
        }
    }

    fn line(running: &[Progress], width: usize) -> String {
        let mut status = StatusLine::default();
        status.update(Duration::ZERO, &[Progress::default()], width);
        status.update(Duration::from_secs(2), running, width).unwrap()
    }

    #[test]
    fn shows_everything_when_there_is_room() {
        assert_eq!(
            line(&[progress()], 200),
            "q1: 1.2 M/s in, 340/s out | watermark 2024-01-01 00:00:10 (3.2 s behind) | 1 rejected | 3 late | idle: bids | \
             12 open windows | state 12.3 MiB | checkpoint 3.2 s ago"
        );
    }

    #[test]
    fn leaves_out_what_does_not_fit() {
        assert_eq!(line(&[progress()], 60), "q1: 1.2 M/s in, 340/s out | 1 rejected | 3 late | idle: bids");
        assert_eq!(line(&[progress()], 10), "q1: 1.2 M/");
    }

    #[test]
    fn back_pressure_is_told_where_it_hurts() {
        let slow = Progress { held_back_percent: Some(87.4), ..progress() };
        let quick = Progress { held_back_percent: Some(3.0), ..progress() };
        assert!(line(&[quick.clone(), slow], 200).contains("| 87 % held back |"));
        assert!(!line(&[quick], 200).contains("held back"));
    }

    #[test]
    fn of_a_query_at_a_server_only_its_rows_are_known() {
        let remote = Progress { name: "db:5433".to_owned(), rows_out: 680, is_remote: true, ..Progress::default() };
        assert_eq!(line(&[remote], 200), "db:5433: 340/s");
    }

    #[test]
    fn several_pipelines_are_added_up() {
        let behind = Progress { watermark_ms: Some(1_704_067_200_000), ..progress() };
        let text = line(&[progress(), behind], 90);
        assert!(text.starts_with("2 pipelines: 2.4 M/s in, 680/s out | watermark 2024-01-01 00:00:00 (13.2 s behind)"), "{text}");
    }

    #[test]
    fn the_first_line_has_totals_and_a_replay_no_lag() {
        let old = Progress { watermark_ms: Some(1_436_918_400_000), open_windows: 1, late_rows: 0, rejected_rows: 0, ..progress() };
        let text = StatusLine::default().update(Duration::ZERO, &[old], 200).unwrap();
        assert!(text.starts_with("q1: 2.4 M rows in, 680 out | watermark 2015-07-15 00:00:00 | idle: bids | 1 open window |"), "{text}");
    }

    #[test]
    fn nothing_runs_nothing_is_shown() {
        assert_eq!(StatusLine::default().update(Duration::ZERO, &[], 80), None);
    }

    #[test]
    fn rates_look_back_about_two_seconds() {
        let mut status = StatusLine::default();
        let at = |rows_in| [Progress { rows_in, ..Progress::default() }];
        for quarter in 0..40_u32 {
            status.update(Duration::from_millis(250) * quarter, &at(1_000_000), 80);
        }
        assert!(status.samples.len() <= 10);
        assert_eq!(status.update(Duration::from_secs(10), &at(1_000_000), 80).unwrap(), "0/s in, 0/s out");
    }
}
