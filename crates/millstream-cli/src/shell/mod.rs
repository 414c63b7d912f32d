//! The interactive shell: `millstream` without arguments on a terminal.
//!
//! ```text
//! editor ──text──▶ input ──pieces──▶ statement ──rows──▶ view (result, chart, watch)
//!   ▲ prompt, completer,    └──────▶ commands/…             │ live line, keys, Ctrl-C
//!   │ highlighter, names                                    ▼
//!   └──────────────────────── screen, pager ◀───────────────┘
//! ```
//! Statements run in the `backend`: an engine of this process, or a server (`--connect`).
//!
//! The main thread edits lines and, between them, drives one statement at a time; pipelines run on meanwhile. What decides (where a
//! statement ends, what may be completed, how a chart looks) is plain functions with tests beside them; the tests under `tests/`
//! drive the program through a pseudo-terminal.

mod backend;
mod chart;
mod commands;
mod completer;
mod copy_stream;
mod editor;
mod highlighter;
mod hinter;
mod history;
mod input;
mod keywords;
mod live;
mod live_table;
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

use millstream_time::SystemClock;
use tokio::runtime::Runtime;

use self::backend::connected::Connected;
use self::backend::{Backend, Embedded, Notice};
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
/// The prompt waits so long for what a server has to say about its names; then it comes behind the prompt's back.
const REFRESH_WITHIN: Duration = Duration::from_millis(50);
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
    backend: Backend,
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
    /// The last chart and its query.
    last_chart: Option<(chart::Spec, String)>,
    /// What the next prompt begins with.
    typed_ahead: String,
    failures_told: BTreeSet<String>,
    include_depth: usize,
    /// What stands behind the `COPY … FROM STDIN` that runs.
    copy_data: Option<String>,
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

/// True for a script that has commands in it, at the beginning of a line or behind a statement.
pub(crate) fn has_commands(sql: &str) -> bool {
    let is_command = |piece: &Piece| matches!(piece, Piece::Command(_) | Piece::Copy { .. });
    (sql.contains('\\') || sql.lines().any(|line| line.starts_with('.')) || input::is_copy_in(sql)) && pieces(sql).iter().any(is_command)
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
        let backend = match &options.connect {
            Some(to) => {
                let may_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
                let opened = runtime.block_on(Connected::open(to, options, runtime.handle().clone(), may_ask));
                opened.map(|connected| Backend::Connected(Box::new(connected)))
            }
            None => runtime.block_on(Embedded::open(options)).map(Backend::Embedded),
        };
        let backend = match backend {
            Ok(backend) => backend,
            Err(message) => return Err((message, screen)),
        };
        Ok(Self {
            runtime,
            backend,
            screen,
            signals,
            clock: SystemClock::default(),
            view: ViewSettings::new(options.format),
            output: None,
            variables: BTreeMap::new(),
            names: SharedNames::default(),
            last_query: None,
            last_chart: None,
            typed_ahead: String::new(),
            failures_told: BTreeSet::new(),
            include_depth: 0,
            copy_data: None,
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
            self.refresh_names();
            editor.follow(&self);
            let prompt = prompt::MillPrompt::new(&self.backend.pipelines(), self.backend.server(), self.screen.has_color());
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
        let place = match (&options.data, self.backend.server()) {
            (_, Some(server)) => format!("connected to {server}"),
            (Some(data), None) => format!("data in {data}"),
            (None, None) => "in memory; --data DIR keeps tables and pipelines".to_owned(),
        };
        self.screen.note(&format!(
            "Millstream {} ({place})\n\\help explains (\\help start: the first minute), Tab completes, \\q leaves.",
            env!("CARGO_PKG_VERSION")
        ));
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
                Piece::Copy { text, data, line } => {
                    self.copy_data = data;
                    let ran = self.run_sql(&text, name, line);
                    self.copy_data = None;
                    ran?;
                }
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

    /// Says which pipelines of this shell have failed since the last prompt.
    fn tell_failures(&mut self) {
        if !self.backend.owns_pipelines() {
            return;
        }
        for pipeline in self.backend.pipelines() {
            if let Some(message) = &pipeline.error
                && self.failures_told.insert(pipeline.name.clone())
            {
                self.screen.error(&format!("pipeline {}: {message}", pipeline.name));
            }
        }
    }

    /// Says what a server has told beside its answers.
    fn tell_notices(&mut self) {
        for notice in self.backend.notices() {
            match notice {
                Notice::Note(text) => self.screen.note(&text),
                Notice::Warning(text) => self.screen.warning(&text),
            }
        }
    }

    /// Takes a new picture of what exists. A slow server is not waited for.
    fn refresh_names(&mut self) {
        match &self.backend {
            Backend::Connected(connected) => {
                use millstream_time::Clock;
                let refreshed = connected.refresh_names(&self.names);
                self.runtime.block_on(async {
                    tokio::select! {
                        _ = refreshed => {}
                        () = self.clock.sleep(REFRESH_WITHIN) => {}
                    }
                });
            }
            Backend::Embedded(_) => self.refresh_names_now(),
        }
    }

    /// Takes a new picture of what exists and waits for it.
    fn refresh_names_now(&mut self) {
        let before = self.names.get().clone();
        let names = self.runtime.block_on(self.backend.names(before));
        *self.names.get() = names;
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
                self.runtime.block_on(self.backend.shutdown());
                failed
            }
        };
        self.screen.clear_status();
        if self.backend.owns_pipelines() {
            for pipeline in self.backend.pipelines() {
                self.screen.note(&pipeline_summary(&pipeline.name, &pipeline.state, pipeline.rows_in, pipeline.rows_out));
            }
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
        let Self { runtime, signals, backend, .. } = self;
        let signal = runtime.block_on(async {
            tokio::select! {
                signal = signals.next() => Some(signal),
                () = backend.wait_for_pipelines() => None,
            }
        });
        match signal {
            Some(signal) => {
                self.runtime.block_on(self.backend.shutdown());
                Err(Failure::Stopped(signal))
            }
            None => Ok(()),
        }
    }

    /// Stops pipelines gracefully; a second Ctrl-C does not wait for them.
    fn leave(&mut self) {
        use millstream_time::Clock;
        let Self { runtime, signals, screen, clock, backend, .. } = self;
        runtime.block_on(async {
            let mut shutdown = std::pin::pin!(backend.shutdown());
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
