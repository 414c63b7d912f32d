//! The grey text behind the cursor: the rest of an earlier text that begins like this one, or how a statement is ended, for whoever
//! waits for something to happen.

use nu_ansi_term::Style;
use reedline::{DefaultHinter, Hinter, History};

use super::input::is_complete;

const HOW_TO_END: &str = "   a statement ends with ;   (Ctrl-C gives it up)";

/// See the head of this file.
pub(crate) struct StatementHinter {
    earlier: DefaultHinter,
    style: Style,
}

impl StatementHinter {
    pub(crate) fn new(style: Style) -> Self {
        Self { earlier: DefaultHinter::default().with_style(style), style }
    }
}

impl Hinter for StatementHinter {
    fn handle(&mut self, line: &str, pos: usize, history: &dyn History, use_ansi_coloring: bool, cwd: &str) -> String {
        let earlier = self.earlier.handle(line, pos, history, use_ansi_coloring, cwd);
        if earlier.is_empty() && waits_for_an_end(line, pos) {
            return if use_ansi_coloring { self.style.paint(HOW_TO_END).to_string() } else { HOW_TO_END.to_owned() };
        }
        earlier
    }

    fn complete_hint(&self) -> String {
        self.earlier.complete_hint()
    }

    fn next_hint_token(&self) -> String {
        self.earlier.next_hint_token()
    }
}

/// True on an empty line below a statement that goes on.
fn waits_for_an_end(text: &str, cursor: usize) -> bool {
    let (Some(last), true) = (text.rsplit('\n').next(), cursor == text.len()) else { return false };
    text.contains('\n') && last.trim().is_empty() && !is_complete(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_told() {
        assert!(waits_for_an_end("SELECT 1\n", 9));
        for (text, cursor) in [("SELECT 1", 8), ("SELECT 1\nFROM t", 15), ("SELECT 1;\n", 10), ("SELECT 1\n", 3)] {
            assert!(!waits_for_an_end(text, cursor), "{text:?}");
        }
    }
}
