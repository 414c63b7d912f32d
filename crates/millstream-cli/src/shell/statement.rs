//! Runs SQL: one statement after the other, rows into a [`View`], with keys and signals heard meanwhile.

use std::io;
use std::pin::pin;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::FutureExt;
use millstream_time::Clock;

use super::backend::{Answer, Backend, Flow, Rows, STOP_WITHIN, Statement};
use super::result::ResultView;
use super::terminal::{self, Key};
use super::{Failure, Ran, Shell};
use crate::interrupt::Signal;
use crate::report::{missing_rows, summary};
use crate::screen::Screen;
use crate::status_line::Progress;

/// How often keys are looked at and views may draw.
const TICK: Duration = Duration::from_millis(40);
/// Rows that are shown at a time.
const SLICE_ROWS: usize = 256;
/// A snapshot that takes longer says so.
const SLOW_AFTER: Duration = Duration::from_secs(1);
const STATUS_EVERY: Duration = Duration::from_millis(250);

/// What shows the rows of a query.
pub(crate) trait View {
    /// The columns are known.
    fn begin(&mut self, schema: &SchemaRef, screen: &mut Screen) -> io::Result<()>;
    /// Rows have come. False: no more are wanted.
    fn batch(&mut self, batch: &RecordBatch, screen: &mut Screen) -> io::Result<bool>;
    /// Some time has passed.
    fn tick(&mut self, now: Duration, screen: &mut Screen) -> io::Result<()>;
    /// The terminal has another size.
    fn resized(&mut self, _screen: &mut Screen) -> io::Result<()> {
        Ok(())
    }
    /// No more rows come.
    fn finish(&mut self, screen: &mut Screen) -> io::Result<()>;
    /// What runs, from time to time, for a view that draws in place.
    fn progress(&mut self, _now: Duration, _running: &[Progress]) {}
    /// It draws in place: `q` leaves, and there is no live line.
    fn is_live(&self) -> bool {
        false
    }
}

/// How a query has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) rows: u64,
    pub(crate) elapsed: Duration,
    pub(crate) progress: Progress,
    pub(crate) stopped: Option<Signal>,
    /// The person has left what was drawn in place.
    pub(crate) left: bool,
    /// The view had enough.
    pub(crate) is_cut: bool,
}

impl Shell<'_> {
    /// Runs a text of statements; `line` is where it begins in the file `name`.
    pub(super) fn run_sql(&mut self, sql: &str, name: Option<&str>, line: usize) -> Ran {
        let sql = self.substituted(sql);
        let placed = |at: u64, message: String| match name {
            Some(name) => format!("{name}:{}: {message}", at as usize + line),
            None => message,
        };
        let statements = self.backend.statements(&sql).map_err(|failure| match failure {
            Failure::Message(message) => Failure::Message(placed(1, message)),
            other => other,
        })?;
        for statement in &statements {
            self.run_statement(statement).map_err(|failure| match failure {
                Failure::Message(message) => Failure::Message(placed(statement.line, message)),
                other => other,
            })?;
        }
        Ok(())
    }

    /// `:name` and `:'name'` for variables of `\set`, outside of strings and comments.
    fn substituted(&self, sql: &str) -> String {
        if self.variables.is_empty() || !sql.contains(':') {
            return sql.to_owned();
        }
        super::commands::set::substitute(sql, &self.variables)
    }

    fn run_statement(&mut self, statement: &Statement) -> Ran {
        let start = self.clock.monotonic();
        match self.start_statement(statement)? {
            Answer::Done(message) => {
                let elapsed = self.clock.monotonic().saturating_sub(start);
                let time = if self.view.timing { format!(" ({})", crate::quantity::duration(elapsed)) } else { String::new() };
                self.screen.note(&format!("{message}{time}"));
                Ok(())
            }
            Answer::CopyIn(copy) => self.copy_in(copy, start),
            Answer::CopyOut(copy) => self.copy_out(copy, start),
            Answer::Pipeline(name) => {
                self.screen.note(&format!("pipeline {name} started (\\pipelines shows it at work)"));
                Ok(())
            }
            Answer::Rows(rows) => {
                if is_query(&statement.text) {
                    self.last_query = Some(statement.text.clone());
                }
                let mut view = ResultView::new(self, rows.flow());
                let ended = self.show(rows, &mut view, start)?;
                self.tell(&ended, view.note());
                ended.stopped.map_or(Ok(()), |signal| Err(Failure::Stopped(signal)))
            }
        }
    }

    /// Runs a statement up to its answer; Ctrl-C gives it up.
    pub(super) fn start_statement(&mut self, statement: &Statement) -> Result<Answer, Failure> {
        let Self { runtime, signals, backend, .. } = self;
        let answer = runtime.block_on(async {
            let work = pin!(backend.run(statement));
            tokio::select! {
                biased;
                signal = signals.next() => Err(Failure::Stopped(signal)),
                answer = work => answer,
            }
        });
        if matches!(answer, Err(Failure::Stopped(_))) {
            self.backend.cancel();
        }
        self.tell_notices();
        answer
    }

    /// Starts a query that a command needs.
    pub(super) fn start_query(&mut self, sql: &str) -> Result<Rows, Failure> {
        let sql = self.substituted(sql);
        let statements = self.backend.statements(&sql)?;
        let [statement] = statements.as_slice() else {
            return Err(Failure::Message(format!("one query is expected: got {} statements", statements.len())));
        };
        match self.start_statement(statement)? {
            Answer::Rows(rows) => Ok(rows),
            _ => Err(Failure::Message("a query is expected: this statement gives no rows".to_owned())),
        }
    }

    /// Shows the rows of a query until it ends, Ctrl-C is pressed, or the view has enough.
    pub(super) fn show(&mut self, rows: Rows, view: &mut dyn View, start: Duration) -> Result<Ended, Failure> {
        let is_interactive = self.is_interactive;
        let Self { runtime, signals, screen, clock, backend, .. } = self;
        let mut drive = Drive {
            rows,
            view,
            screen,
            clock,
            start,
            pending: None,
            is_interactive,
            tick_at: TICK,
            status_at: STATUS_EVERY,
            paused: false,
        };
        runtime.block_on(async {
            let schema = drive.rows.schema();
            drive.view.begin(&schema, drive.screen)?;
            drive.tick_at = drive.clock.monotonic() + TICK;
            drive.status_at = drive.clock.monotonic() + STATUS_EVERY;
            let shown = drive.run(signals, backend).await;
            let Drive { rows, view, screen, clock, .. } = drive;
            let progress = rows.progress();
            if !matches!(shown, Ok(End { at_end: true, .. })) {
                // It winds down by itself if that takes longer.
                tokio::select! {
                    () = rows.stop() => {}
                    () = clock.sleep(STOP_WITHIN) => {}
                }
            }
            screen.clear_status();
            let is_bare = is_interactive && matches!(&shown, Ok(End { rows: 0, stopped: Some(_), .. }) | Err(_)) && !view.is_live();
            let finished = if is_bare { Ok(()) } else { view.finish(screen).and_then(|()| screen.flush()) };
            let end = shown?;
            finished?;
            let elapsed = clock.monotonic().saturating_sub(start);
            let is_cut = !end.at_end && end.stopped.is_none() && !end.left;
            Ok(Ended { rows: end.rows, elapsed, progress, stopped: end.stopped, left: end.left, is_cut })
        })
    }

    /// The line under a result.
    pub(super) fn tell(&mut self, ended: &Ended, note: Option<String>) {
        let mut text = match (self.view.timing, ended.rows) {
            (true, rows) => summary(rows, ended.elapsed, ended.progress.rows_in),
            (false, 1) => "(1 row)".to_owned(),
            (false, rows) => format!("({rows} rows)"),
        };
        if ended.is_cut {
            text = format!("(the first {} rows; \\o FILE writes all, LIMIT and ORDER BY choose)", ended.rows);
        }
        if ended.stopped.is_some() {
            text = stopped_summary(ended);
        }
        if let Some(note) = note {
            text.push_str(&format!("  {note}"));
        }
        self.screen.note(&text);
        let last = &ended.progress;
        if let Some(text) = missing_rows(last.rejected_rows, last.last_rejected.as_deref(), last.late_rows, last.untimed_rows) {
            self.screen.warning(&text);
        }
    }
}

impl Shell<'_> {
    /// The line under what was drawn in place and left.
    pub(super) fn tell_stopped(&mut self, ended: &Ended) {
        let text = stopped_summary(ended);
        self.screen.note(&text);
    }
}

fn stopped_summary(ended: &Ended) -> String {
    use crate::quantity;
    let status = &ended.progress;
    let counted = |rows: u64| quantity::rows(rows);
    let plural = if status.open_windows == 1 { "" } else { "s" };
    let open =
        if status.open_windows > 0 { format!(", {} open window{plural} given up", counted(status.open_windows)) } else { String::new() };
    // Figures are those of the last epoch: of a young query they may not count what has been shown.
    let input = if status.rows_in >= ended.rows.max(1) { format!("{} rows in, ", counted(status.rows_in)) } else { String::new() };
    format!("stopped after {}: {input}{} rows out{open}", quantity::duration(ended.elapsed), counted(ended.rows))
}

/// True for what `\chart` and `\watch` take up again.
fn is_query(sql: &str) -> bool {
    let first: String = sql.trim_start_matches('(').chars().take_while(char::is_ascii_alphabetic).collect();
    ["select", "with", "values", "table"].contains(&first.to_ascii_lowercase().as_str())
}

struct Drive<'a> {
    rows: Rows,
    view: &'a mut dyn View,
    screen: &'a mut Screen,
    clock: &'a millstream_time::SystemClock,
    start: Duration,
    /// Rows of the last batch that are still to be shown.
    pending: Option<RecordBatch>,
    is_interactive: bool,
    tick_at: Duration,
    status_at: Duration,
    paused: bool,
}

struct End {
    rows: u64,
    at_end: bool,
    stopped: Option<Signal>,
    left: bool,
}

enum Event {
    Batch(Option<Result<RecordBatch, Failure>>),
    Signal(Signal),
    Tick,
}

impl Drive<'_> {
    async fn run(&mut self, signals: &mut super::signals::Signals, backend: &Backend) -> Result<End, Failure> {
        let mut end = End { rows: 0, at_end: false, stopped: None, left: false };
        loop {
            match self.next(signals).await? {
                Event::Signal(signal) => {
                    end.stopped = Some(signal);
                    return Ok(end);
                }
                Event::Batch(None) => {
                    end.at_end = true;
                    return Ok(end);
                }
                Event::Batch(Some(batch)) => {
                    let batch = batch?;
                    end.rows += batch.num_rows() as u64;
                    if !self.view.batch(&batch, self.screen)? {
                        return Ok(end);
                    }
                }
                Event::Tick => {}
            }
            let now = self.clock.monotonic();
            if now < self.tick_at {
                continue;
            }
            self.tick_at = now + TICK;
            self.view.tick(now, self.screen)?;
            if self.take_keys()? {
                end.left = true;
                return Ok(end);
            }
            self.refresh_status(now, backend)?;
        }
    }

    async fn next(&mut self, signals: &mut super::signals::Signals) -> Result<Event, Failure> {
        if let Some(signal) = signals.next().now_or_never() {
            return Ok(Event::Signal(signal));
        }
        if !self.paused {
            if let Some(slice) = self.next_slice()? {
                return Ok(Event::Batch(Some(Ok(slice))));
            }
            match self.rows.next().now_or_never() {
                Some(Some(Ok(batch))) if batch.num_rows() > SLICE_ROWS => self.pending = Some(batch),
                Some(batch) => return Ok(Event::Batch(batch)),
                None => {}
            }
            if let Some(slice) = self.next_slice()? {
                return Ok(Event::Batch(Some(Ok(slice))));
            }
        }
        self.screen.flush()?;
        let wait = self.tick_at.saturating_sub(self.clock.monotonic());
        let paused = self.paused;
        let rows = &mut self.rows;
        let event = tokio::select! {
            biased;
            signal = signals.next() => Event::Signal(signal),
            batch = rows.next(), if !paused => Event::Batch(batch),
            () = self.clock.sleep(wait) => Event::Tick,
        };
        Ok(match event {
            Event::Batch(Some(Ok(batch))) if batch.num_rows() > SLICE_ROWS => {
                self.pending = Some(batch);
                Event::Tick
            }
            event => event,
        })
    }

    /// Some rows of a large batch: a terminal may be slow, and Ctrl-C is heard between two slices.
    fn next_slice(&mut self) -> io::Result<Option<RecordBatch>> {
        let Some(batch) = self.pending.take() else { return Ok(None) };
        if !self.is_interactive {
            return Ok(Some(batch));
        }
        self.screen.flush()?;
        if batch.num_rows() <= SLICE_ROWS {
            return Ok(Some(batch));
        }
        self.pending = Some(batch.slice(SLICE_ROWS, batch.num_rows() - SLICE_ROWS));
        Ok(Some(batch.slice(0, SLICE_ROWS)))
    }

    /// Space pauses; `q` leaves what is drawn in place. True: leave.
    fn take_keys(&mut self) -> io::Result<bool> {
        if !self.is_interactive || !(self.rows.flow() != Flow::Snapshot || self.view.is_live()) {
            return Ok(false);
        }
        while let Some(key) = terminal::pressed() {
            match key {
                Key::Space => self.paused = !self.paused,
                Key::Leave if self.view.is_live() => return Ok(true),
                Key::Leave => {}
                Key::Text => {}
                Key::Resized => self.view.resized(self.screen)?,
            }
            self.status_at = Duration::ZERO;
        }
        Ok(false)
    }

    fn refresh_status(&mut self, now: Duration, backend: &Backend) -> io::Result<()> {
        if now < self.status_at || !self.is_interactive {
            return Ok(());
        }
        self.status_at = now + STATUS_EVERY;
        let own = self.rows.progress();
        let mut running = Vec::new();
        if backend.owns_pipelines() {
            running = backend.pipelines();
            running.retain(|other| other.name != own.name && other.is_running);
        }
        // One that has not shown yet whether it ends is no stream.
        let is_stream = self.rows.flow() == Flow::Stream || self.rows.flow() == Flow::Unknown && own.rows_out > 0;
        if is_stream && own.is_running {
            running.insert(0, own);
        }
        if self.view.is_live() {
            // Of a stream its own figures are told, first in the list; of what ends, those of what feeds it.
            let told = if is_stream && running.first().is_some_and(|first| first.is_running) { &running[..1] } else { &running[..] };
            self.view.progress(now, told);
            return Ok(());
        }
        let elapsed = now.saturating_sub(self.start);
        let word = match (self.paused, is_stream) {
            (true, _) => Some("paused, space goes on".to_owned()),
            (false, false) if elapsed >= SLOW_AFTER => Some(format!("running {}, Ctrl-C stops", crate::quantity::duration(elapsed))),
            _ => None,
        };
        self.screen.show_status_with(now, &running, word.as_deref())
    }
}
