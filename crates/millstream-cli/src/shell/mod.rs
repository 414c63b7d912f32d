//! The interactive shell: `millstream` without arguments on a terminal.
//!
//! ```text
//! editor ──text──▶ input ──pieces──▶ statement ──rows──▶ view (result, chart, watch)
//!   ▲ prompt, completer,    └──────▶ commands/…             │ live line, keys, Ctrl-C
//!   │ highlighter, names                                    ▼
//!   └──────────────────────── screen, pager ◀───────────────┘
//! ```
//!
//! The main thread edits lines and, between them, drives one statement at a time; pipelines run on meanwhile. What decides (where a
//! statement ends, what may be completed, how a chart looks) is plain functions with tests beside them; the tests under `tests/`
//! drive the program through a pseudo-terminal.

mod chart;
mod commands;
mod completer;
mod editor;
mod highlighter;
mod input;
mod keywords;
mod live;
mod names;
mod pager;
mod places;
mod prompt;
mod result;
mod signals;
mod spark;
mod statement;
mod terminal;
mod validator;
mod view_settings;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::time::Duration;

use millstream::{Engine, PipelineState, Session};
use millstream_time::SystemClock;
use tokio::runtime::Runtime;

use self::commands::output::OutputFile;
use self::editor::{Editor, Entered};
use self::input::{Piece, pieces};
use self::names::SharedNames;
use self::signals::Signals;
use self::view_settings::ViewSettings;
use crate::args::Options;
use crate::interrupt::Signal;
use crate::report::pipeline_summary;
use crate::screen::Screen;
use crate::script::Script;

/// How long the end of the shell waits for pipelines to stop before it says so.
const SHUTDOWN_QUIET: Duration = Duration::from_millis(300);
/// Files that include each other by `\i`.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Why something that was entered did not run to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The message, complete.
    Message(String),
    /// A signal stopped it.
    Stopped(Signal),
    /// Rows could not be written.
    Output(io::Error),
    /// `\q`.
    Quit,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<millstream::Error> for Failure {
    fn from(error: millstream::Error) -> Self {
        Self::Message(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

type Ran = Result<(), Failure>;

/// Everything that lasts from one statement to the next.
pub(crate) struct Shell<'a> {
    runtime: &'a Runtime,
    engine: Engine,
    session: Session,
    /// The data folder.
    data: Option<String>,
    screen: &'a mut Screen,
    signals: Signals,
    clock: SystemClock,
    view: ViewSettings,
    /// Where rows go instead of the terminal.
    output: Option<OutputFile>,
    /// `\set` of names that are neither settings nor the shell's own.
    variables: BTreeMap<String, String>,
    names: SharedNames,
    /// The last statement that gave rows.
    last_query: Option<String>,
    /// What the next prompt begins with.
    typed_ahead: String,
    failures_told: BTreeSet<String>,
    include_depth: usize,
    /// A person is there; otherwise nothing is drawn in place, nothing waits for a key.
    is_interactive: bool,
}

/// Runs the shell until the person leaves; the exit code.
pub(crate) fn run(options: &Options, runtime: &Runtime, screen: &mut Screen) -> u8 {
    match Shell::open(options, runtime, screen, true) {
        Ok(shell) => shell.converse(options),
        Err((message, screen)) => {
            screen.error(&message);
            1
        }
    }
}

/// Runs scripts that have commands in them; the exit code.
pub(crate) fn run_scripts(options: &Options, scripts: &[Script], runtime: &Runtime, screen: &mut Screen) -> u8 {
    match Shell::open(options, runtime, screen, false) {
        Ok(mut shell) => {
            let ran = scripts.iter().try_for_each(|script| shell.run_text(&script.sql, script.name.as_deref()));
            shell.end_scripts(ran)
        }
        Err((message, screen)) => {
            screen.error(&message);
            1
        }
    }
}

impl<'a> Shell<'a> {
    fn open(
        options: &Options,
        runtime: &'a Runtime,
        screen: &'a mut Screen,
        is_interactive: bool,
    ) -> Result<Self, (String, &'a mut Screen)> {
        let _inside = runtime.enter();
        let signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return Err((format!("cannot start: {error}"), screen)),
        };
        let engine = match runtime.block_on(options.engine().build()) {
            Ok(engine) => engine,
            Err(error) => return Err((error.to_string(), screen)),
        };
        let session = engine.session();
        let mode = options.mode.map(|mode| ("execution_mode".to_owned(), mode.name().to_owned()));
        for (name, value) in mode.iter().chain(&options.settings) {
            if let Err(error) = session.set(name, value) {
                return Err((error.to_string(), screen));
            }
        }
        Ok(Self {
            runtime,
            engine,
            session,
            data: options.data.clone(),
            screen,
            signals,
            clock: SystemClock::default(),
            view: ViewSettings::new(options.format),
            output: None,
            variables: BTreeMap::new(),
            names: SharedNames::default(),
            last_query: None,
            typed_ahead: String::new(),
            failures_told: BTreeSet::new(),
            include_depth: 0,
            is_interactive,
        })
    }

    fn converse(mut self, options: &Options) -> u8 {
        if !options.quiet {
            self.greet(options);
        }
        if !options.no_rc {
            self.run_start_files();
        }
        let mut editor = Editor::new(&self);
        let code = loop {
            self.tell_failures();
            self.names.refresh(self.runtime, &self.session);
            editor.follow(&self);
            let prompt = prompt::MillPrompt::new(&self.engine.pipelines(), self.screen.has_color());
            match editor.read(&prompt, &std::mem::take(&mut self.typed_ahead)) {
                Entered::Text(text) => match self.enter(&text) {
                    Some(code) => break code,
                    None => editor.remember(),
                },
                Entered::Nothing => {}
                Entered::End => break 0,
                Entered::Failed(error) => {
                    self.screen.error(&format!("cannot read from the terminal: {error}"));
                    break 1;
                }
            }
            if self.signals.must_end.load(Ordering::Relaxed) {
                break Signal::Terminate.exit_code();
            }
        };
        drop(editor);
        self.leave();
        code
    }

    fn greet(&self, options: &Options) {
        let place = match &options.data {
            Some(data) => format!("data in {data}"),
            None => "in memory; --data DIR keeps tables and pipelines".to_owned(),
        };
        self.screen.note(&format!("Millstream {} ({place})\n\\help explains, Tab completes, \\q leaves.", env!("CARGO_PKG_VERSION")));
    }

    fn run_start_files(&mut self) {
        for path in places::start_files() {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let name = path.display().to_string();
            if let Err(Failure::Message(message)) = self.run_text(&text, Some(&name)) {
                self.screen.error(&message);
            }
        }
    }

    /// Runs what was entered at the prompt; an exit code if the shell is to end.
    fn enter(&mut self, text: &str) -> Option<u8> {
        let quiet_input = terminal::QuietInput::start();
        let ran = self.run_text(text, None);
        drop(quiet_input);
        self.screen.clear_status();
        let ran = ran.and(self.screen.flush().map_err(Failure::Output));
        match ran {
            Ok(()) | Err(Failure::Stopped(Signal::Interrupt)) => None,
            Err(Failure::Message(message)) => {
                self.screen.error(&message);
                None
            }
            Err(Failure::Quit) => Some(0),
            Err(Failure::Stopped(signal)) => Some(signal.exit_code()),
            Err(Failure::Output(error)) => {
                self.screen.error(&format!("cannot print rows: {error}"));
                Some(1)
            }
        }
    }

    /// Runs a text of statements and commands up to the first that fails. `name` is the file it comes from.
    fn run_text(&mut self, text: &str, name: Option<&str>) -> Ran {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        self.signals.forget();
        for piece in pieces(text) {
            match piece {
                Piece::Sql { text, line } => self.run_sql(&text, name, line)?,
                Piece::Command(call) => commands::run(self, &call)?,
            }
        }
        Ok(())
    }

    /// Runs a file; files may include others.
    fn include(&mut self, path: &str) -> Ran {
        if self.include_depth >= INCLUDE_DEPTH_MAX {
            return Err(Failure::Message(format!("files include each other more than {INCLUDE_DEPTH_MAX} deep: at '{path}'")));
        }
        let path_read = places::expand_home(path);
        let text = std::fs::read_to_string(path_read).map_err(|error| format!("cannot read '{path}': {error}"))?;
        self.include_depth += 1;
        let ran = self.run_text(&text, Some(path));
        self.include_depth -= 1;
        ran
    }

    /// Says which pipelines have failed since the last prompt.
    fn tell_failures(&mut self) {
        for status in self.engine.pipelines() {
            if let PipelineState::Failed(message) = &status.state
                && self.failures_told.insert(status.name.clone())
            {
                self.screen.error(&format!("pipeline {}: {message}", status.name));
            }
        }
    }

    /// Prints the text of a command; a long one goes to the pager.
    fn print(&mut self, text: &str) -> Ran {
        use std::io::Write;
        let (_, height) = terminal::size();
        if let Some(output) = &mut self.output {
            return Ok(output.write_all(text.as_bytes())?);
        }
        if self.shows_rows() && self.view.pager && text.lines().count() + 2 > height {
            self.screen.flush()?;
            return Ok(pager::show(text, self.screen.has_color())?);
        }
        self.screen.rows().write_all(text.as_bytes())?;
        Ok(self.screen.flush()?)
    }

    /// True if a person sees the rows.
    fn shows_rows(&self) -> bool {
        self.is_interactive && self.output.is_none() && io::stdout().is_terminal()
    }

    /// Waits for the pipelines of scripts, then says how everything ended.
    fn end_scripts(mut self, ran: Ran) -> u8 {
        let ran = match ran {
            Ok(()) | Err(Failure::Quit) => self.wait_for_pipelines(),
            failed => {
                self.runtime.block_on(self.engine.shutdown());
                failed
            }
        };
        self.screen.clear_status();
        for status in self.engine.pipelines() {
            self.screen.note(&pipeline_summary(&status.name, &status.state.to_string(), status.rows_in, status.rows_out));
        }
        self.tell_failures();
        match ran.and(self.screen.flush().map_err(Failure::Output)) {
            Ok(()) if self.failures_told.is_empty() => 0,
            Ok(()) | Err(Failure::Quit) => 1,
            Err(Failure::Stopped(signal)) => signal.exit_code(),
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Err(Failure::Output(error)) => {
                self.screen.error(&format!("cannot print rows: {error}"));
                1
            }
            Err(Failure::Message(message)) => {
                self.screen.error(&message);
                1
            }
        }
    }

    fn wait_for_pipelines(&mut self) -> Ran {
        let engine = self.engine.clone();
        let signal = self.runtime.block_on(async {
            tokio::select! {
                signal = self.signals.next() => Some(signal),
                // Failures are told below, all of them.
                _ = engine.wait() => None,
            }
        });
        match signal {
            Some(signal) => {
                self.runtime.block_on(self.engine.shutdown());
                Err(Failure::Stopped(signal))
            }
            None => Ok(()),
        }
    }

    /// Stops pipelines gracefully; a second Ctrl-C does not wait for them.
    fn leave(&mut self) {
        use millstream_time::Clock;
        let engine = self.engine.clone();
        let Self { runtime, signals, screen, clock, .. } = self;
        runtime.block_on(async {
            let mut shutdown = std::pin::pin!(engine.shutdown());
            tokio::select! {
                () = &mut shutdown => return,
                () = clock.sleep(SHUTDOWN_QUIET) => screen.note("stopping pipelines … (Ctrl-C: at once)"),
            }
            tokio::select! {
                () = shutdown => {}
                _ = signals.next() => {}
            }
        });
        if let Some(output) = self.output.take()
            && let Err(message) = output.close()
        {
            self.screen.error(&message);
        }
    }
}
