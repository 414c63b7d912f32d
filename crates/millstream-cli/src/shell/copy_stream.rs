//! Rows as bytes between the shell and a server: `COPY … FROM STDIN` and `COPY … TO STDOUT`.
//!
//! The rows of FROM STDIN stand behind the statement in a script, are typed at a terminal, or come from standard input.

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use millstream_time::Clock;
use reedline::{
    EditCommand, Emacs, KeyCode, KeyModifiers, Prompt, PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, Signal as Typed,
    default_emacs_keybindings,
};
use tokio::io::AsyncReadExt;

use super::backend::connected::{CopyIn, CopyOut};
use super::{Failure, Ran, Shell};
use crate::interrupt::Signal;

const END_OF_DATA: &str = "\\.";
/// Bytes that are read from standard input at a time.
const CHUNK_BYTES: usize = 64 * 1024;

impl Shell<'_> {
    /// Sends the rows of a COPY.
    pub(super) fn copy_in(&mut self, mut copy: CopyIn, start: Duration) -> Ran {
        match self.copy_data.take() {
            Some(data) => self.send(&mut copy, Bytes::from(data))?,
            None if self.is_interactive => {
                let Some(data) = self.ask_for_rows() else {
                    // Dropped, it is taken back by the server.
                    drop(copy);
                    self.screen.note("no row is copied");
                    return Err(Failure::Stopped(Signal::Interrupt));
                };
                self.send(&mut copy, Bytes::from(data))?;
            }
            None => self.send_standard_input(&mut copy)?,
        }
        let rows = self.or_signal(copy.finish())?;
        let elapsed = self.clock.monotonic().saturating_sub(start);
        self.screen.note(&format!("COPY {rows} ({})", crate::quantity::duration(elapsed)));
        Ok(())
    }

    pub(super) fn send(&mut self, copy: &mut CopyIn, bytes: Bytes) -> Ran {
        self.or_signal(copy.send(bytes))
    }

    fn send_standard_input(&mut self, copy: &mut CopyIn) -> Ran {
        let mut input = tokio::io::stdin();
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let read = self.or_signal(async { Ok(input.read(&mut buffer).await?) })?;
            if read == 0 {
                return Ok(());
            }
            self.send(copy, Bytes::copy_from_slice(&buffer[..read]))?;
        }
    }

    /// Waits for something, or for a signal that gives it up.
    pub(super) fn or_signal<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let Self { runtime, signals, .. } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                signal = signals.next() => Err(Failure::Stopped(signal)),
                done = work => done,
            }
        })
    }

    /// Rows that are typed, one a line; `None` if they are given up.
    fn ask_for_rows(&mut self) -> Option<String> {
        self.screen.note("rows of data, one a line; \\. or Ctrl-D ends them, Ctrl-C takes them back");
        // Tabs part the fields of a row.
        let mut keys = default_emacs_keybindings();
        keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::Edit(vec![EditCommand::InsertChar('\t')]));
        let mut lines = Reedline::create()
            .with_edit_mode(Box::new(Emacs::new(keys)))
            .use_bracketed_paste(true)
            .with_ansi_colors(self.screen.has_color());
        let mut data = String::new();
        loop {
            match lines.read_line(&RowPrompt) {
                Ok(Typed::Success(text)) => {
                    for line in text.lines() {
                        if line == END_OF_DATA {
                            return Some(data);
                        }
                        data.push_str(line);
                        data.push('\n');
                    }
                }
                Ok(Typed::CtrlD) => return Some(data),
                _ => return None,
            }
        }
    }

    /// Prints the rows of a COPY.
    pub(super) fn copy_out(&mut self, mut copy: CopyOut, start: Duration) -> Ran {
        let mut rows = 0_u64;
        loop {
            match self.or_signal(async { copy.next().await.transpose() }) {
                Ok(Some(bytes)) => {
                    rows += 1;
                    match &mut self.output {
                        Some(file) => file.write_all(&bytes)?,
                        None => self.screen.rows().write_all(&bytes)?,
                    }
                }
                Ok(None) => break,
                Err(failed) => {
                    if matches!(failed, Failure::Stopped(_)) {
                        self.runtime.block_on(copy.stop());
                    }
                    return Err(failed);
                }
            }
        }
        self.screen.flush()?;
        let elapsed = self.clock.monotonic().saturating_sub(start);
        self.screen.note(&format!("COPY {rows} ({})", crate::quantity::duration(elapsed)));
        Ok(())
    }
}

/// `>> `
struct RowPrompt;

impl Prompt for RowPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(">>")
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed(" ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_history_search_indicator(&self, _: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
}
