//! A screen that is drawn anew every so often until the person leaves: `\watch`, `\pipelines`, `\live`.

use std::time::Duration;

use millstream_time::Clock;

use super::terminal::{self, Frame, Key, SHOW_CURSOR};
use super::{Failure, Ran, Shell};
use crate::interrupt::Signal;
use crate::screen::Screen;

/// How often keys are looked at.
const KEYS_EVERY: Duration = Duration::from_millis(40);

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Again,
    /// The screen was cleared: the terminal has another size.
    Cleared,
    Leave,
}

/// Lines drawn in place.
#[derive(Debug, Default)]
pub(crate) struct Live {
    frame: Frame,
    is_paused: bool,
}

impl Live {
    /// Draws as many of the lines as fit the terminal.
    pub(crate) fn draw(&mut self, screen: &mut Screen, lines: &[String]) -> Result<(), Failure> {
        let (width, height) = terminal::size();
        let room = height.saturating_sub(2);
        let fitted: Vec<String> = lines.iter().take(room).map(|line| super::pager::cut(line, 0, width.saturating_sub(1))).collect();
        let text = self.frame.redraw(&fitted);
        screen.rows().write_all(text.as_bytes())?;
        Ok(screen.flush()?)
    }

    /// Waits for the next time, or for the person to leave by `q` or Ctrl-C. Space stops the clock.
    pub(crate) fn wait(&mut self, shell: &mut Shell<'_>, time: Duration) -> Result<Look, Failure> {
        let due = shell.clock.monotonic() + time;
        loop {
            while let Some(key) = terminal::pressed() {
                match key {
                    Key::Leave => return Ok(Look::Leave),
                    Key::Space => self.is_paused = !self.is_paused,
                    Key::Resized => {
                        let text = self.frame.resized();
                        shell.screen.rows().write_all(text.as_bytes())?;
                        return Ok(Look::Cleared);
                    }
                    Key::Text => {}
                }
            }
            if !self.is_paused && shell.clock.monotonic() >= due {
                return Ok(Look::Again);
            }
            let Shell { runtime, signals, clock, .. } = shell;
            let signal = runtime.block_on(async {
                tokio::select! {
                    signal = signals.next() => Some(signal),
                    () = clock.sleep(KEYS_EVERY) => None,
                }
            });
            match signal {
                None => {}
                Some(Signal::Interrupt) => return Ok(Look::Leave),
                Some(signal) => return Err(Failure::Stopped(signal)),
            }
        }
    }

    /// Leaves the last lines standing.
    pub(crate) fn end(self, screen: &mut Screen) -> Ran {
        screen.rows().write_all(SHOW_CURSOR.as_bytes())?;
        Ok(screen.flush()?)
    }
}
