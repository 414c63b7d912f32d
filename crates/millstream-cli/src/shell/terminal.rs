//! The terminal while a statement runs: its size, keys without echo, and drawing in place.

use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

const SIZE_DEFAULT: (usize, usize) = (80, 24);

/// Columns and rows.
pub(crate) fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    match size {
        Some((terminal_size::Width(columns), terminal_size::Height(rows))) if columns > 1 && rows > 1 => {
            (usize::from(columns), usize::from(rows))
        }
        _ => SIZE_DEFAULT,
    }
}

/// What a key means while rows come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// The space bar.
    Space,
    /// `q` or Escape.
    Leave,
    /// Any other character.
    Text,
    /// The terminal has another size.
    Resized,
}

/// The next key that has been pressed, without waiting. Needs [`QuietInput`].
pub(crate) fn pressed() -> Option<Key> {
    while event::poll(Duration::ZERO).unwrap_or(false) {
        match event::read().ok()? {
            Event::Key(key) if key.kind != KeyEventKind::Release && !key.modifiers.contains(KeyModifiers::CONTROL) => match key.code {
                KeyCode::Char(' ') => return Some(Key::Space),
                KeyCode::Char('q') | KeyCode::Esc => return Some(Key::Leave),
                KeyCode::Char(_) => return Some(Key::Text),
                _ => {}
            },
            Event::Paste(_) => return Some(Key::Text),
            Event::Resize(..) => return Some(Key::Resized),
            _ => {}
        }
    }
    None
}

/// While it lives, keys are neither shown nor held back until Enter; Ctrl-C still is a signal, and output is as ever.
#[derive(Debug)]
pub(crate) struct QuietInput {
    #[cfg(unix)]
    before: rustix::termios::Termios,
}

impl QuietInput {
    /// None if standard input is no terminal.
    pub(crate) fn start() -> Option<Self> {
        #[cfg(unix)]
        {
            use rustix::termios::{InputModes, LocalModes, OptionalActions, tcgetattr, tcsetattr};
            let before = tcgetattr(std::io::stdin()).ok()?;
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            // What is typed ahead reaches the line editor as it was typed: Enter as Enter.
            quiet.input_modes.remove(InputModes::ICRNL);
            tcsetattr(std::io::stdin(), OptionalActions::Now, &quiet).ok()?;
            Some(Self { before })
        }
        #[cfg(not(unix))]
        None
    }
}

/// Asks for a text that is not shown while it is typed.
pub(crate) fn ask_secret(question: &str) -> std::io::Result<String> {
    use std::io::Write;
    let mut out = std::io::stderr();
    write!(out, "{question}")?;
    out.flush()?;
    let hidden = HiddenInput::start();
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    drop(hidden);
    writeln!(out)?;
    read?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// While it lives, what is typed is not shown.
struct HiddenInput {
    #[cfg(unix)]
    before: rustix::termios::Termios,
}

impl HiddenInput {
    fn start() -> Option<Self> {
        #[cfg(unix)]
        {
            use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
            let before = tcgetattr(std::io::stdin()).ok()?;
            let mut hidden = before.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            tcsetattr(std::io::stdin(), OptionalActions::Now, &hidden).ok()?;
            Some(Self { before })
        }
        #[cfg(not(unix))]
        None
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            use rustix::termios::{OptionalActions, tcsetattr};
            // There is nobody to tell if the terminal is gone.
            _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
        }
    }
}

/// Runs another program with the terminal as it was before [`QuietInput`].
pub(crate) fn with_plain_input<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    {
        use rustix::termios::{InputModes, LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let Ok(now) = tcgetattr(std::io::stdin()) else { return work() };
        let mut plain = now.clone();
        plain.local_modes.insert(LocalModes::ICANON | LocalModes::ECHO);
        plain.input_modes.insert(InputModes::ICRNL);
        _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &plain);
        let result = work();
        _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &now);
        result
    }
    #[cfg(not(unix))]
    work()
}

impl Drop for QuietInput {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            use rustix::termios::{OptionalActions, tcsetattr};
            // There is nobody to tell if the terminal is gone.
            _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
        }
    }
}

/// Lines that are drawn again and again at the same place.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    drawn_lines: usize,
}

impl Frame {
    /// What to write so that `lines` take the place of those drawn before. They must fit the terminal.
    pub(crate) fn redraw(&mut self, lines: &[String]) -> String {
        let mut text = String::from(HIDE_CURSOR);
        if self.drawn_lines > 0 {
            text.push_str(&format!("\x1b[{}A\r", self.drawn_lines));
        }
        for line in lines {
            text.push_str(line);
            text.push_str("\x1b[0m\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn_lines = lines.len();
        text
    }

    /// What to write when the terminal has got another size: lines may have been wrapped, so everything is cleared.
    pub(crate) fn resized(&mut self) -> &'static str {
        self.drawn_lines = 0;
        "\x1b[2J\x1b[H"
    }
}

const HIDE_CURSOR: &str = "\x1b[?25l";
/// To be written when drawing in place is over.
pub(crate) const SHOW_CURSOR: &str = "\x1b[?25h";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_the_place_of_the_one_before() {
        let mut parser = vt100::Parser::new(6, 20, 0);
        let mut frame = Frame::default();
        parser.process(b"above\r\n");
        for lines in [vec!["one", "two", "three"], vec!["four", "five"]] {
            let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
            parser.process(frame.redraw(&lines).replace('\n', "\r\n").as_bytes());
        }
        assert_eq!(parser.screen().contents(), "above\nfour\nfive");
    }
}
