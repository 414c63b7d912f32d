//! Drives the engine: runs scripts statement by statement, prints rows as they come, waits for pipelines.
//!
//! This is the only module that calls the engine.

use std::collections::BTreeSet;
use std::io;
use std::pin::pin;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use futures::FutureExt;
use millstream::{Engine, Outcome, ParsedStatement, PipelineState, PipelineStatus, Query, Session};
use millstream_time::{Clock, SystemClock};

use crate::args::{Invocation, Options};
use crate::format::RowFormat;
use crate::interrupt::{Interrupts, Signal};
use crate::report::{missing_rows, names_terminal_sink, pipeline_summary, placed, summary};
use crate::screen::Screen;
use crate::script::Script;
use crate::status_line::Progress;

const STATUS_EVERY: Duration = Duration::from_millis(250);
/// Rows held back for the column widths are printed when no more have come for this long.
const SETTLE_AFTER: Duration = Duration::from_millis(50);

/// Why a run ended early.
#[derive(Debug)]
enum Stop {
    /// The message, complete.
    Failed(String),
    /// Pipelines failed; it has been said.
    PipelinesFailed,
    Interrupted(Signal),
    /// Rows could not be written.
    Output(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<millstream::Error> for Stop {
    fn from(error: millstream::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs all scripts and returns the program's exit code; errors have been printed.
pub(crate) async fn run(invocation: &Invocation, scripts: &[Script], screen: &mut Screen, interrupts: Interrupts) -> u8 {
    let options = &invocation.options;
    let engine = match options.engine().build().await {
        Ok(engine) => engine,
        Err(error) => {
            screen.error(&error.to_string());
            return 1;
        }
    };
    let clock = SystemClock::default();
    let mut runner = Runner {
        session: if invocation.resumes { engine.session().resuming() } else { engine.session() },
        engine: &engine,
        options,
        screen,
        interrupts,
        clock,
        status_at: STATUS_EVERY,
        failures_told: BTreeSet::new(),
    };
    let mut result = runner.run_all(scripts).await;
    if result.is_err() {
        runner.screen.clear_status();
        engine.shutdown().await;
    }
    runner.tell_end();
    if result.is_ok() && !runner.failures_told.is_empty() {
        result = Err(Stop::PipelinesFailed);
    }
    exit_code(result, screen)
}

fn exit_code(result: Result<(), Stop>, screen: &mut Screen) -> u8 {
    // Rows of an earlier statement may still be in the buffer.
    match result.and(screen.flush().map_err(Stop::Output)) {
        Ok(()) => 0,
        Err(Stop::Interrupted(signal)) => signal.exit_code(),
        // The reader has had enough: `millstream … | head`.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(Stop::Output(error)) => {
            screen.error(&format!("cannot print rows: {error}"));
            1
        }
        Err(Stop::PipelinesFailed) => 1,
        Err(Stop::Failed(message)) => {
            screen.error(&message);
            1
        }
    }
}

struct Runner<'a> {
    engine: &'a Engine,
    session: Session,
    options: &'a Options,
    screen: &'a mut Screen,
    interrupts: Interrupts,
    clock: SystemClock,
    /// When the live line is due next, by the clock's monotonic time.
    status_at: Duration,
    /// The pipelines whose failure has been told.
    failures_told: BTreeSet<String>,
}

/// What a running query can give next.
enum Event<T> {
    Signal(Signal),
    Next(T),
    Tick,
}

type NextBatch = Option<Result<RecordBatch, millstream::Error>>;

impl Runner<'_> {
    async fn run_all(&mut self, scripts: &[Script]) -> Result<(), Stop> {
        if let Some(mode) = self.options.mode {
            self.session.set("execution_mode", mode.name())?;
        }
        for (name, value) in &self.options.settings {
            self.session.set(name, value)?;
        }
        for script in scripts {
            self.run_script(script).await?;
        }
        self.wait_for_pipelines().await
    }

    async fn run_script(&mut self, script: &Script) -> Result<(), Stop> {
        let statements = self.session.parse(&script.sql).map_err(|error| Stop::Failed(placed(script, None, &error.to_string())))?;
        for statement in &statements {
            match self.run_statement(statement).await {
                Err(Stop::Failed(message)) => return Err(Stop::Failed(placed(script, Some(statement.line), &message))),
                other => other?,
            }
        }
        Ok(())
    }

    async fn run_statement(&mut self, statement: &ParsedStatement) -> Result<(), Stop> {
        if names_terminal_sink(&statement.text) {
            self.screen.stop_live_line();
        }
        let start = self.clock.monotonic();
        let session = self.session.clone();
        let mut work = pin!(session.run(statement));
        let outcome = loop {
            match self.next_event(work.as_mut(), None).await {
                Event::Signal(signal) => return Err(Stop::Interrupted(signal)),
                Event::Next(outcome) => break outcome?,
                Event::Tick => self.refresh_status(None)?,
            }
        };
        match outcome {
            Outcome::Done { message } => self.screen.note(&message),
            Outcome::Pipeline(handle) => self.screen.note(&format!("pipeline {} started", handle.name())),
            Outcome::Rows(query) => self.print_rows(query, start).await?,
            _ => {}
        }
        Ok(())
    }

    async fn print_rows(&mut self, mut query: Query, start: Duration) -> Result<(), Stop> {
        let mut printer = self.options.format.printer(self.screen.look());
        printer.begin(&query.schema(), self.screen.rows())?;
        let printed = self.print_batches(&mut query, printer.as_mut()).await;
        let status = query.status();
        if !matches!(printed, Ok((_, None))) {
            // What it failed with is known already, or it was asked to end.
            _ = query.stop().await;
        }
        if let Err(Stop::Output(error)) = printed {
            // The reader is gone: nothing more can be printed, not even the end.
            return Err(Stop::Output(error));
        }
        printer.finish(self.screen.rows())?;
        self.screen.flush()?;
        self.screen.clear_status();
        let (rows, signal) = printed?;
        let elapsed = self.clock.monotonic().saturating_sub(start);
        self.screen.note(&summary(rows, elapsed, status.rows_in));
        self.warn_of_missing_rows(&status);
        signal.map_or(Ok(()), |signal| Err(Stop::Interrupted(signal)))
    }

    /// Prints until the query ends or a signal comes.
    async fn print_batches(&mut self, query: &mut Query, printer: &mut dyn RowFormat) -> Result<(u64, Option<Signal>), Stop> {
        let mut rows = 0;
        let mut settle_at = None;
        loop {
            let event = self.next_batch(query, settle_at).await?;
            match event {
                Event::Next(None) => return Ok((rows, None)),
                Event::Next(Some(batch)) => {
                    let batch = batch?;
                    rows += batch.num_rows() as u64;
                    printer.batch(&batch, self.screen.rows())?;
                    let latest = settle_at.unwrap_or_else(|| self.clock.monotonic() + SETTLE_AFTER);
                    settle_at = printer.holds_rows().then_some(latest);
                }
                Event::Tick => {}
                Event::Signal(signal) => return Ok((rows, Some(signal))),
            }
            if settle_at.is_some_and(|at| self.clock.monotonic() >= at) {
                printer.settle(self.screen.rows())?;
                settle_at = None;
            }
            self.refresh_status(Some(query))?;
        }
    }

    async fn next_batch(&mut self, query: &mut Query, settle_at: Option<Duration>) -> Result<Event<NextBatch>, Stop> {
        if let Some(signal) = self.interrupts.received() {
            return Ok(Event::Signal(signal));
        }
        if let Some(batch) = query.next().now_or_never() {
            return Ok(Event::Next(batch));
        }
        // Nothing is waiting: show what there is before waiting.
        self.screen.flush()?;
        Ok(self.next_event(query.next(), settle_at).await)
    }

    async fn wait_for_pipelines(&mut self) -> Result<(), Stop> {
        self.screen.flush()?;
        let engine = self.engine;
        let mut end = pin!(engine.wait());
        loop {
            match self.next_event(end.as_mut(), None).await {
                Event::Signal(signal) => return Err(Stop::Interrupted(signal)),
                // Failures are told by `tell_end`, all of them.
                Event::Next(_) => return Ok(()),
                Event::Tick => self.refresh_status(None)?,
            }
        }
    }

    /// Says how the pipelines have ended.
    fn tell_end(&mut self) {
        self.screen.clear_status();
        let pipelines = self.engine.pipelines();
        for status in &pipelines {
            let state = status.state.to_string();
            self.screen.note(&pipeline_summary(&status.name, &state, status.rows_in, status.rows_out));
            self.warn_of_missing_rows(status);
        }
        self.tell_failures(&pipelines);
    }

    /// Says which pipelines have failed; the others go on.
    fn tell_failures(&mut self, pipelines: &[PipelineStatus]) {
        for status in pipelines {
            if let PipelineState::Failed(message) = &status.state
                && self.failures_told.insert(status.name.clone())
            {
                self.screen.error(&format!("pipeline {}: {message}", status.name));
            }
        }
    }

    /// A row that is not in the result is never passed over in silence.
    fn warn_of_missing_rows(&self, status: &PipelineStatus) {
        if let Some(text) = missing_rows(status.rejected_rows, status.last_rejected.as_deref(), status.late_rows, status.untimed_rows) {
            self.screen.warning(&format!("{}: {text}", status.name));
        }
    }

    /// Waits for `next`, a signal, the next refresh of the live line, or `deadline`.
    async fn next_event<T>(&mut self, next: impl Future<Output = T>, deadline: Option<Duration>) -> Event<T> {
        let wake_at = deadline.map_or(self.status_at, |deadline| deadline.min(self.status_at));
        let wait = wake_at.saturating_sub(self.clock.monotonic());
        tokio::select! {
            biased;
            signal = self.interrupts.wait() => Event::Signal(signal),
            next = next => Event::Next(next),
            () = self.clock.sleep(wait) => Event::Tick,
        }
    }

    fn refresh_status(&mut self, query: Option<&Query>) -> io::Result<()> {
        let now = self.clock.monotonic();
        if now < self.status_at {
            return Ok(());
        }
        self.status_at = now + STATUS_EVERY;
        let mut running = self.engine.pipelines();
        self.tell_failures(&running);
        if let Some(query) = query {
            let status = query.status();
            running.retain(|other| other.name != status.name);
            running.push(status);
        }
        let running: Vec<Progress> = running.into_iter().filter(is_running).map(|status| Progress::of(&status)).collect();
        self.screen.show_status(now, &running)
    }
}

fn is_running(status: &PipelineStatus) -> bool {
    matches!(status.state, PipelineState::Starting | PipelineState::Running)
}
