//! The program in a pseudo-terminal, and its screen.
//!
//! Nothing sleeps: a test waits until the screen shows something, and fails at a deadline with the screen as it is.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use millstream_time::{Clock, SystemClock};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Generous: the machine that runs the tests may be busy.
const DEADLINE: Duration = Duration::from_secs(40);
pub(crate) const PROMPT: &str = "millstream>";
/// What a program writes to be told where the cursor is.
const CURSOR_QUERY: &[u8] = b"\x1b[6n";

struct Shared {
    parser: Mutex<vt100::Parser>,
    changed: Condvar,
}

/// A terminal with the program in it.
pub(crate) struct Terminal {
    shared: Arc<Shared>,
    input: Arc<Mutex<Box<dyn Write + Send>>>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    clock: SystemClock,
}

/// The program of this build, or the one that `MILLSTREAM_SHELL_PROGRAM` names: a release build, to measure it.
fn program() -> String {
    std::env::var("MILLSTREAM_SHELL_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_millstream").to_owned())
}

/// How long something may take: what is promised of a release build on an idle machine where one is measured, else `here`.
pub(crate) fn within(promised: Duration, here: Duration) -> Duration {
    if std::env::var_os("MILLSTREAM_SHELL_PROGRAM").is_some() { promised } else { here }
}

impl Terminal {
    /// Starts the shell with `home` as its home folder and working directory, and waits for the prompt.
    pub(crate) fn shell(home: &Path, args: &[&str]) -> Self {
        let terminal = Self::start(home, args, &[], (24, 80));
        terminal.prompt();
        terminal
    }

    pub(crate) fn start(home: &Path, args: &[&str], variables: &[(&str, &str)], (rows, cols): (u16, u16)) -> Self {
        let pair = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new(program());
        command.args(args);
        command.cwd(home);
        command.env_clear();
        command.env("HOME", home);
        command.env("TERM", "xterm-256color");
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let input = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let shared = Arc::new(Shared { parser: Mutex::new(vt100::Parser::new(rows, cols, 0)), changed: Condvar::new() });
        let reader = pair.master.try_clone_reader().unwrap();
        let (to, answers) = (Arc::clone(&shared), Arc::clone(&input));
        thread::spawn(move || watch(reader, &to, &answers));
        Self { shared, input, child, master: pair.master, clock: SystemClock::default() }
    }

    /// Types; `\r` is Enter, `\x03` Ctrl-C.
    pub(crate) fn type_text(&self, text: &str) {
        let mut input = self.input.lock().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Waits until the screen shows `text`; the screen.
    pub(crate) fn see(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Waits until the screen is as wanted; the screen.
    pub(crate) fn wait(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let deadline = self.clock.monotonic() + DEADLINE;
        let mut parser = self.shared.parser.lock().unwrap();
        loop {
            let screen = parser.screen().contents();
            if is_there(&screen) {
                return screen;
            }
            let left = deadline.saturating_sub(self.clock.monotonic());
            assert!(!left.is_zero(), "waited for {what:?}; the screen is:\n{screen}\n");
            parser = self.shared.changed.wait_timeout(parser, left).unwrap().0;
        }
    }

    /// Waits for an empty prompt on the last line.
    pub(crate) fn prompt(&self) -> String {
        self.wait("the prompt", ends_with_prompt)
    }

    /// Runs a text and waits for the prompt below what it printed, which contains `text`.
    pub(crate) fn run(&self, typed: &str, text: &str) -> String {
        self.type_text(typed);
        self.type_text("\r");
        self.wait(text, |screen| ends_with_prompt(screen) && screen.contains(text))
    }

    /// Clears the screen and waits for the prompt alone.
    pub(crate) fn clear(&self) {
        self.type_text("\x0c");
        self.wait("an empty screen", |screen| screen.trim().lines().count() == 1 && ends_with_prompt(screen));
    }

    pub(crate) fn resize(&self, rows: u16, cols: u16) {
        self.shared.parser.lock().unwrap().screen_mut().set_size(rows, cols);
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// Waits for the end of the program; its exit code.
    pub(crate) fn end(mut self) -> u32 {
        self.child.wait().unwrap().exit_code()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic()
    }
}

/// An empty prompt; at its right may stand how many pipelines run.
fn ends_with_prompt(screen: &str) -> bool {
    let last = screen.trim_end().lines().last().unwrap_or_default();
    last.strip_prefix(PROMPT).is_some_and(|rest| rest.trim().is_empty() || rest.trim_end().ends_with(['s', 'n']) && rest.starts_with("   "))
}

impl Drop for Terminal {
    fn drop(&mut self) {
        _ = self.child.kill();
    }
}

/// Feeds the screen, and answers where the cursor is, as a terminal does.
fn watch(mut reader: Box<dyn Read + Send>, shared: &Shared, answers: &Mutex<Box<dyn Write + Send>>) {
    let mut bytes = [0; 4096];
    let mut pending: Vec<u8> = Vec::new();
    while let Ok(count) = reader.read(&mut bytes) {
        if count == 0 {
            return;
        }
        pending.extend_from_slice(&bytes[..count]);
        let mut parser = shared.parser.lock().unwrap();
        while let Some(at) = pending.windows(CURSOR_QUERY.len()).position(|window| window == CURSOR_QUERY) {
            parser.process(&pending[..at]);
            pending.drain(..at + CURSOR_QUERY.len());
            let (row, column) = parser.screen().cursor_position();
            let answer = format!("\x1b[{};{}R", row + 1, column + 1);
            _ = answers.lock().unwrap().write_all(answer.as_bytes());
        }
        // A query may be cut in two.
        let keep = (1..CURSOR_QUERY.len()).rev().find(|length| pending.ends_with(&CURSOR_QUERY[..*length])).unwrap_or(0);
        let ready = pending.len() - keep;
        parser.process(&pending[..ready]);
        pending.drain(..ready);
        drop(parser);
        shared.changed.notify_all();
    }
}
