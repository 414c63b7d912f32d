//! Colours of the text being typed, and the bracket that belongs to the one at the cursor.

use millstream::{TextKind, TextPart, scan};
use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};

use super::input::is_command;
use super::keywords::is_keyword;
use super::names::SharedNames;

/// Colours by the engine's own tokens.
pub(crate) struct SqlHighlighter {
    pub(crate) names: SharedNames,
    pub(crate) has_color: bool,
}

impl Highlighter for SqlHighlighter {
    fn highlight(&self, text: &str, cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        if !self.has_color {
            styled.push((Style::new(), text.to_owned()));
            return styled;
        }
        if is_command(text) && !text.contains('\n') {
            let end = text.trim_start().find(char::is_whitespace).map_or(text.len(), |end| end + text.len() - text.trim_start().len());
            styled.push((Color::Magenta.bold(), text[..end].to_owned()));
            styled.push((Style::new(), text[end..].to_owned()));
            return styled;
        }
        let parts = scan(text);
        let partner = partner_of(&parts, cursor);
        let names = self.names.get();
        for part in &parts {
            let word = &text[part.range.clone()];
            let is_known = |word: &str| {
                let word = word.to_lowercase();
                names.functions.binary_search_by(|(name, _)| name.as_str().cmp(&word)).is_ok()
            };
            let style = match part.kind {
                TextKind::Word if is_keyword(word) => Color::Blue.bold(),
                TextKind::Word if names.tables.contains_key(&word.to_lowercase()) => Color::Cyan.normal(),
                TextKind::Word if is_known(word) => Color::Yellow.normal(),
                TextKind::Text => Color::Green.normal(),
                TextKind::Unfinished => Color::Green.dimmed(),
                TextKind::Number => Color::LightMagenta.normal(),
                TextKind::Comment => Color::DarkGray.italic(),
                TextKind::Backslash => Color::Magenta.bold(),
                TextKind::Open | TextKind::Close if partner.is_some_and(|(a, b)| part.range.start == a || part.range.start == b) => {
                    Style::new().bold().reverse()
                }
                _ => Style::new(),
            };
            styled.push((style, word.to_owned()));
        }
        styled
    }
}

/// The bracket at the cursor, or just before it, and the one that closes or opens it.
fn partner_of(parts: &[TextPart], cursor: usize) -> Option<(usize, usize)> {
    let is_bracket = |part: &&TextPart| matches!(part.kind, TextKind::Open | TextKind::Close);
    let brackets: Vec<&TextPart> = parts.iter().filter(is_bracket).collect();
    let at = |offset: usize| brackets.iter().position(|part| part.range.start == offset);
    let here = cursor.checked_sub(1).and_then(at).or_else(|| at(cursor))?;
    let mut open = Vec::new();
    for (idx, part) in brackets.iter().enumerate() {
        if part.kind == TextKind::Open {
            open.push(idx);
            continue;
        }
        let Some(opened) = open.pop() else { continue };
        if opened == here || idx == here {
            return Some((brackets[opened].range.start, part.range.start));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_find_their_partner() {
        let text = "f(a, (b), ')')";
        let parts = scan(text);
        assert_eq!(partner_of(&parts, 14), Some((1, 13)));
        assert_eq!(partner_of(&parts, 5), Some((5, 7)));
        assert_eq!(partner_of(&parts, 8), Some((5, 7)));
        assert_eq!(partner_of(&parts, 3), None);
        assert_eq!(partner_of(&scan("((a)"), 1), None);
    }

    #[test]
    fn every_character_is_kept() {
        let highlighter = SqlHighlighter { names: SharedNames::default(), has_color: true };
        for text in ["SELECT 'a' -- b\n FROM t;", "\\d  bids", "  .tables", "SELECT 'open", "SELECT 1 \\gx"] {
            assert_eq!(highlighter.highlight(text, 0).raw_string(), text);
        }
    }
}
