//! `\pipelines`: what all pipelines are doing, live.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_time::Clock;
use unicode_width::UnicodeWidthStr;

use super::super::input::Call;
use super::super::live::{Live, Look};
use super::super::spark::sparkline;
use super::super::{Ran, Shell};
use super::{ArgKind, Command};
use crate::format::{BOLD, PLAIN};
use crate::quantity;
use crate::status_line::Progress;

pub(super) const COMMAND: Command = Command {
    names: &["pipelines", "top"],
    usage: "",
    about: "all pipelines, live: rates, lag, back-pressure",
    help: "'busy' and 'held back' are shares of the last second: at work, and waiting for the sink or a checkpoint.\nq or Ctrl-C leaves, space holds the picture still. Without a terminal the figures are printed once.\n\n  \\pipelines",
    arg: ArgKind::None,
    run,
};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Rates that the small chart shows.
const HISTORY_MAX: usize = 24;
const RED: &str = "\x1b[31m";

/// The figures of a pipeline over time.
#[derive(Debug, Default)]
struct History {
    at: Duration,
    rows_in: u64,
    rows_out: u64,
    rates_in: Vec<Option<f64>>,
    rate_out: f64,
}

impl History {
    fn look(&mut self, at: Duration, status: &Progress) {
        let seconds = at.saturating_sub(self.at).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        if self.at > Duration::ZERO && seconds > 0.0 {
            self.rates_in.push(Some(rate(status.rows_in, self.rows_in)));
            self.rate_out = rate(status.rows_out, self.rows_out);
        }
        if self.rates_in.len() > HISTORY_MAX {
            self.rates_in.remove(0);
        }
        (self.at, self.rows_in, self.rows_out) = (at, status.rows_in, status.rows_out);
    }
}

fn run(shell: &mut Shell<'_>, _: &Call) -> Ran {
    let mut histories: BTreeMap<String, History> = BTreeMap::new();
    let has_color = shell.screen.has_color() && shell.shows_rows();
    if !shell.shows_rows() {
        let lines = lines(&shell.runtime.block_on(shell.backend.pipelines_now())?, &histories, false);
        return shell.print(&(lines.join("\n") + "\n"));
    }
    let mut live = Live::default();
    loop {
        let pipelines = shell.runtime.block_on(shell.backend.pipelines_now())?;
        let now = shell.clock.monotonic();
        for status in &pipelines {
            histories.entry(status.name.clone()).or_default().look(now, status);
        }
        live.draw(shell.screen, &lines(&pipelines, &histories, has_color))?;
        if live.wait(shell, LOOK_EVERY)? == Look::Leave {
            return live.end(shell.screen);
        }
    }
}

/// Those that matter most first: a narrow terminal cuts the last.
const HEAD: [&str; 13] = [
    "pipeline",
    "state",
    "in/s",
    "out/s",
    "busy",
    "held back",
    "behind",
    "state held",
    "checkpoint",
    "late",
    "rows in",
    "rows out",
    "watermark",
];

fn lines(pipelines: &[Progress], histories: &BTreeMap<String, History>, has_color: bool) -> Vec<String> {
    if pipelines.is_empty() {
        return vec!["no pipelines (INSERT INTO … SELECT from a stream starts one; \\help pipelines)".to_owned()];
    }
    let none = History::default();
    let rows: Vec<Vec<String>> = pipelines.iter().map(|status| cells(status, histories.get(&status.name).unwrap_or(&none))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].width()).chain([HEAD[column].width()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ")
    };
    let head: Vec<String> = HEAD.map(str::to_owned).to_vec();
    let head = if has_color { format!("{BOLD}{}{PLAIN}", line(&head)) } else { line(&head) };
    let mut lines = vec![head];
    for (status, row) in pipelines.iter().zip(&rows) {
        let history = histories.get(&status.name).unwrap_or(&none);
        let is_failed = status.error.is_some();
        let (on, off) = if has_color && is_failed { (RED, PLAIN) } else { ("", "") };
        lines.push(format!("{on}{}{off}  {}", line(row), sparkline(&history.rates_in, HISTORY_MAX)).trim_end().to_owned());
        if let Some(message) = &status.error {
            lines.extend(message.lines().take(2).map(|line| format!("  {line}")));
        }
        if !status.idle_sources.is_empty() {
            lines.push(format!("  idle: {}", status.idle_sources.join(", ")));
        }
    }
    lines
}

fn cells(status: &Progress, history: &History) -> Vec<String> {
    let rate = |value: f64| if status.is_running { quantity::count(value) } else { "-".to_owned() };
    let watermark = status.watermark_ms.and_then(chrono::DateTime::from_timestamp_millis);
    let age =
        |since: i64| u64::try_from(status.clock_ms.saturating_sub(since)).ok().map(|ms| quantity::duration(Duration::from_millis(ms)));
    let percent = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{share:.0} %"));
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        status.name.clone(),
        status.state.clone(),
        rate(history.rates_in.last().copied().flatten().unwrap_or(0.0)),
        rate(history.rate_out),
        percent(status.busy_percent),
        percent(status.held_back_percent),
        or_dash(status.watermark_ms.and_then(age)),
        quantity::bytes(status.state_bytes),
        or_dash(status.checkpoint_ms.and_then(age).map(|age| format!("{age} ago"))),
        quantity::rows(status.late_rows),
        quantity::rows(status.rows_in),
        quantity::rows(status.rows_out),
        or_dash(watermark.map(|time| time.naive_utc().format("%m-%d %H:%M:%S").to_string())),
    ]
}
