//! Standard output and standard error, and the live line on the terminal they may share.
//!
//! Rows go to standard output and nothing else does. Messages, logs and the live line go to standard error; whoever writes
//! clears the live line first, and it comes back at the next refresh.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use terminal_size::{Width, terminal_size_of};

use crate::format::Look;
use crate::status_line::{Progress, StatusLine};

const ROWS_BUFFER_BYTES: usize = 64 * 1024;
const TERMINAL_WIDTH_DEFAULT: usize = 80;
/// Back to the margin, then erase to the end of the line.
const ERASE_LINE: &str = "\r\x1b[2K";

/// Everything the program prints.
#[derive(Debug)]
pub(crate) struct Screen {
    rows: BufWriter<Stdout>,
    messages: Messages,
    status_line: StatusLine,
    is_live: bool,
    is_quiet: bool,
    has_color: bool,
}

impl Screen {
    pub(crate) fn new(is_quiet: bool, no_color: bool, messages: Messages) -> Self {
        let is_live = io::stderr().is_terminal() && !stdout_is_pipe();
        let rows = BufWriter::with_capacity(ROWS_BUFFER_BYTES, io::stdout());
        Self { rows, messages, status_line: StatusLine::default(), is_live, is_quiet, has_color: !no_color && environment_allows_color() }
    }

    /// What result rows may look like.
    pub(crate) fn look(&self) -> Look {
        let stdout = io::stdout();
        match stdout.is_terminal() {
            true => Look { color: self.has_color, width: Some(width_of(terminal_size_of(stdout))) },
            false => Look::default(),
        }
    }

    /// Where result rows go. They are seen at the next [`flush`](Self::flush), or earlier.
    pub(crate) fn rows(&mut self) -> &mut dyn Write {
        self.messages.clear();
        &mut self.rows
    }

    /// Shows all rows that were written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.rows.buffer().is_empty() {
            self.messages.clear();
        }
        self.rows.flush()
    }

    /// Says something that is good to know; on a terminal only.
    pub(crate) fn note(&self, text: &str) {
        if self.is_live && !self.is_quiet {
            self.messages.line(text);
        }
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, text: &str) {
        let is_colored = self.has_color && io::stderr().is_terminal();
        let (red, plain) = if is_colored { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        self.messages.line(&format!("{red}error:{plain} {text}"));
    }

    /// Draws the live line anew, on a terminal.
    pub(crate) fn show_status(&mut self, at: Duration, running: &[Progress]) {
        if !self.is_live || self.is_quiet {
            return;
        }
        // The last column stays free: some terminals wrap when it is filled.
        let width = width_of(terminal_size_of(io::stderr())) - 1;
        match self.status_line.update(at, running, width) {
            Some(line) if self.has_color => self.messages.show(&format!("\x1b[2m{line}\x1b[0m")),
            Some(line) => self.messages.show(&line),
            None => self.messages.clear(),
        }
    }

    /// Removes the live line.
    pub(crate) fn clear_status(&mut self) {
        self.messages.clear();
        self.status_line = StatusLine::default();
    }
}

/// Standard error, shared with the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Messages {
    is_line_shown: Arc<Mutex<bool>>,
}

impl Messages {
    /// Prints a text and ends the line. What cannot be said on standard error cannot be said at all: failures are dropped.
    pub(crate) fn line(&self, text: &str) {
        self.write(format!("{}\n", text.trim_end()).as_bytes());
    }

    fn write(&self, bytes: &[u8]) {
        let mut is_shown = self.lock();
        let mut stderr = io::stderr().lock();
        if std::mem::take(&mut *is_shown) {
            _ = stderr.write_all(ERASE_LINE.as_bytes());
        }
        _ = stderr.write_all(bytes);
    }

    fn show(&self, line: &str) {
        let mut is_shown = self.lock();
        *is_shown = true;
        _ = io::stderr().lock().write_all(format!("{ERASE_LINE}{line}").as_bytes());
    }

    fn clear(&self) {
        if std::mem::take(&mut *self.lock()) {
            _ = io::stderr().lock().write_all(ERASE_LINE.as_bytes());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_line_shown.lock().unwrap_or_else(PoisonError::into_inner)
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
