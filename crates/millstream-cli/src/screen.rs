//! Standard output and standard error, and the live line on the terminal they may share.
//!
//! Rows go to standard output and nothing else does. Messages, logs and the live line go to standard error. Whoever writes erases
//! the live line first and draws it again below.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use terminal_size::{Width, terminal_size_of};

use crate::format::{DIM, Look, PLAIN};
use crate::status_line::{Progress, SEPARATOR, StatusLine};

const ROWS_BUFFER_BYTES: usize = 64 * 1024;
const TERMINAL_WIDTH_DEFAULT: usize = 80;
/// Back to the margin, then erase to the end of the line.
const ERASE_LINE: &str = "\r\x1b[2K";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";

/// Everything the program prints.
#[derive(Debug)]
pub(crate) struct Screen {
    rows: BufWriter<Stdout>,
    messages: Messages,
    status_line: StatusLine,
    /// A person reads standard error, and nothing else writes there.
    is_live: bool,
    has_live_line: bool,
    is_quiet: bool,
    has_color: bool,
}

impl Screen {
    pub(crate) fn new(is_quiet: bool, no_color: bool, messages: Messages) -> Self {
        let is_live = io::stderr().is_terminal() && !stdout_is_pipe();
        let rows = BufWriter::with_capacity(ROWS_BUFFER_BYTES, io::stdout());
        let has_color = !no_color && environment_allows_color();
        let has_live_line = is_live && !is_quiet;
        Self { rows, messages, status_line: StatusLine::default(), is_live, has_live_line, is_quiet, has_color }
    }

    /// What result rows may look like.
    pub(crate) fn look(&self) -> Look {
        let stdout = io::stdout();
        match stdout.is_terminal() {
            true => Look { color: self.has_color, width: Some(width_of(terminal_size_of(stdout))) },
            false => Look::default(),
        }
    }

    /// Whether colours may be used.
    pub(crate) fn has_color(&self) -> bool {
        self.has_color
    }

    /// Where result rows go. They are seen at the next [`flush`](Self::flush), or earlier.
    pub(crate) fn rows(&mut self) -> &mut dyn Write {
        self.messages.erase();
        &mut self.rows
    }

    /// Shows all rows that were written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.rows.buffer().is_empty() {
            self.messages.erase();
            self.rows.flush()?;
        }
        self.messages.draw();
        Ok(())
    }

    /// Says something that is good to know; on a terminal only.
    pub(crate) fn note(&self, text: &str) {
        if self.is_live && !self.is_quiet {
            self.messages.line(text);
        }
    }

    /// Says what may make the result less than was hoped for.
    pub(crate) fn warning(&self, text: &str) {
        if !self.is_quiet {
            self.labelled("warning:", YELLOW, text);
        }
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, text: &str) {
        self.labelled("error:", RED, text);
    }

    fn labelled(&self, label: &str, color: &str, text: &str) {
        let is_colored = self.has_color && io::stderr().is_terminal();
        let (color, plain) = if is_colored { (color, PLAIN) } else { ("", "") };
        self.messages.line(&format!("{color}{label}{plain} {text}"));
    }

    /// Draws the live line anew, on a terminal.
    pub(crate) fn show_status(&mut self, at: Duration, running: &[Progress]) -> io::Result<()> {
        self.show_status_with(at, running, None)
    }

    /// The same with a word in front.
    pub(crate) fn show_status_with(&mut self, at: Duration, running: &[Progress], word: Option<&str>) -> io::Result<()> {
        if !self.has_live_line {
            return Ok(());
        }
        // A row of which only the first half has been seen must not get the line behind it.
        self.flush()?;
        // The last column stays free: some terminals wrap when it is filled.
        let width = width_of(terminal_size_of(io::stderr())) - 1;
        let taken = word.map_or(0, |word| word.len() + SEPARATOR.len());
        let line = self.status_line.update(at, running, width.saturating_sub(taken));
        let line = match (word, line) {
            (Some(word), Some(line)) => Some(format!("{word}{SEPARATOR}{line}")),
            (word, line) => line.or(word.map(str::to_owned)),
        };
        self.messages.show(line.map(|line| if self.has_color { format!("{DIM}{line}{PLAIN}") } else { line }));
        Ok(())
    }

    /// No live line from now on: something else prints on this terminal.
    pub(crate) fn stop_live_line(&mut self) {
        self.has_live_line = false;
        self.clear_status();
    }

    /// Removes the live line.
    pub(crate) fn clear_status(&mut self) {
        self.messages.show(None);
        self.status_line = StatusLine::default();
    }
}

/// Standard error, shared with the log. What cannot be said on standard error cannot be said at all: failures are dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Messages {
    live: Arc<Mutex<LiveLine>>,
}

#[derive(Debug, Default)]
struct LiveLine {
    text: Option<String>,
    is_drawn: bool,
}

impl Messages {
    /// Prints a text and ends the line.
    pub(crate) fn line(&self, text: &str) {
        self.write(format!("{}\n", text.trim_end()).as_bytes());
    }

    fn write(&self, bytes: &[u8]) {
        let mut live = self.lock();
        let was_drawn = live.is_drawn;
        live.erase();
        _ = io::stderr().write_all(bytes);
        if was_drawn && bytes.ends_with(b"\n") {
            live.draw();
        }
    }

    fn show(&self, line: Option<String>) {
        let mut live = self.lock();
        live.erase();
        live.text = line;
        live.draw();
    }

    fn erase(&self) {
        self.lock().erase();
    }

    fn draw(&self) {
        self.lock().draw();
    }

    fn lock(&self) -> MutexGuard<'_, LiveLine> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveLine {
    fn erase(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            _ = io::stderr().write_all(ERASE_LINE.as_bytes());
        }
    }

    fn draw(&mut self) {
        if let Some(text) = self.text.as_ref().filter(|_| !self.is_drawn) {
            _ = io::stderr().write_all(text.as_bytes());
            self.is_drawn = true;
        }
    }
}

impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Messages::write(self, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn width_of(size: Option<(Width, terminal_size::Height)>) -> usize {
    match size {
        Some((Width(width), _)) if width > 1 => usize::from(width),
        _ => TERMINAL_WIDTH_DEFAULT,
    }
}

/// The reader of a pipe may write to the same terminal, so nothing live is drawn then.
fn stdout_is_pipe() -> bool {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        use std::os::unix::fs::FileTypeExt;
        let metadata = io::stdout().as_fd().try_clone_to_owned().and_then(|fd| std::fs::File::from(fd).metadata());
        metadata.is_ok_and(|metadata| metadata.file_type().is_fifo() || metadata.file_type().is_socket())
    }
    #[cfg(not(unix))]
    {
        !io::stdout().is_terminal()
    }
}

/// After <https://no-color.org>: set and not empty means no.
fn environment_allows_color() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
