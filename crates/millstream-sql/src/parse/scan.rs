//! What each piece of a text is, for editors: where words, strings and comments are, and where statements end.
//!
//! The same tokens as [`parse`](super::parse) cuts scripts by. A text that is being typed may stop in the middle of a string or a
//! comment: the rest is then one [`TextKind::Unfinished`] part, never an error.

use std::ops::Range;

use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use super::dialect::MillstreamDialect;
use super::limits::SCRIPT_BYTES_MAX;
use super::script::{Cursor, opens_statement_set, starts_with};

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextKind {
    /// White space.
    Blank,
    /// A comment.
    Comment,
    /// A keyword or a name.
    Word,
    /// A name in double quotes or back quotes.
    QuotedName,
    /// A string, of any spelling.
    Text,
    /// A number.
    Number,
    /// The end of a statement.
    Semicolon,
    /// `(`, `[` or `{`.
    Open,
    /// `)`, `]` or `}`.
    Close,
    /// A backslash: no SQL, commands of a shell begin with it.
    Backslash,
    /// Operators and everything else.
    Other,
    /// A string, name or comment that is not closed: all the rest of the text.
    Unfinished,
}

/// A piece of a text; ranges are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPart {
    /// What it is.
    pub kind: TextKind,
    /// Where it is.
    pub range: Range<usize>,
}

/// A statement in a text, comments and blanks before it included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementPart {
    /// Where it is, without its semicolon.
    pub range: Range<usize>,
    /// Whether a semicolon ends it.
    pub is_ended: bool,
}

/// The parts of `text`, in order and without gaps.
pub fn scan(text: &str) -> Vec<TextPart> {
    tokens(text).into_iter().map(|(_, part)| part).collect()
}

/// The statements of `text`; what is blank or a comment only is none.
pub fn statement_parts(text: &str) -> Vec<StatementPart> {
    let mut parts = Vec::new();
    let mut start = 0;
    let (mut in_set, mut seen) = (false, false);
    let mut piece = Vec::new();
    for (token, part) in tokens(text) {
        let is_visible = !matches!(part.kind, TextKind::Blank | TextKind::Comment);
        if part.kind != TextKind::Semicolon {
            seen |= is_visible;
            if let Some(token) = token.filter(|_| is_visible) {
                piece.push(token);
            }
            continue;
        }
        in_set = if in_set { !starts_with(&piece, &["END"]) } else { opens_statement_set(&piece) };
        piece.clear();
        if in_set {
            continue;
        }
        if seen {
            parts.push(StatementPart { range: start..part.range.start, is_ended: true });
        }
        start = part.range.end;
        seen = false;
    }
    if seen {
        parts.push(StatementPart { range: start..text.len(), is_ended: false });
    }
    parts
}

type Tokens = Vec<(Option<datafusion::sql::sqlparser::tokenizer::TokenWithSpan>, TextPart)>;

fn tokens(text: &str) -> Tokens {
    let whole = |kind| vec![(None, TextPart { kind, range: 0..text.len() })];
    if text.len() > SCRIPT_BYTES_MAX || text.contains('\0') {
        return whole(TextKind::Other);
    }
    let mut tokens = Vec::new();
    // On an error the tokens before it are there.
    let _ = Tokenizer::new(&MillstreamDialect::default(), text).tokenize_with_location_into_buf(&mut tokens);
    let mut cursor = Cursor::new(text);
    let mut parts = Vec::with_capacity(tokens.len() + 1);
    let mut end = 0;
    for token in tokens {
        if token.token == Token::EOF {
            continue;
        }
        let range = cursor.offset(token.span.start)..cursor.offset(token.span.end);
        end = range.end;
        parts.push((Some(token.clone()), TextPart { kind: kind_of(&token.token), range }));
    }
    if end < text.len() {
        parts.push((None, TextPart { kind: TextKind::Unfinished, range: end..text.len() }));
    }
    parts
}

fn kind_of(token: &Token) -> TextKind {
    match token {
        Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => TextKind::Comment,
        Token::Whitespace(_) => TextKind::Blank,
        Token::Word(word) if word.quote_style.is_some() => TextKind::QuotedName,
        Token::Word(_) => TextKind::Word,
        Token::Number(..) => TextKind::Number,
        Token::SemiColon => TextKind::Semicolon,
        Token::LParen | Token::LBracket | Token::LBrace => TextKind::Open,
        Token::RParen | Token::RBracket | Token::RBrace => TextKind::Close,
        Token::Backslash => TextKind::Backslash,
        token if is_string(token) => TextKind::Text,
        _ => TextKind::Other,
    }
}

fn is_string(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(TextKind, &str)> {
        let parts = scan(text);
        assert_eq!(parts.iter().map(|part| &text[part.range.clone()]).collect::<String>(), text, "no gaps");
        parts.into_iter().filter(|part| part.kind != TextKind::Blank).map(|part| (part.kind, &text[part.range])).collect()
    }

    #[test]
    fn parts_of_a_statement() {
        use TextKind::{Close, Comment, Number, Open, Other, QuotedName, Semicolon, Text, Word};
        assert_eq!(
            kinds("SELECT \"a b\", 'it''s' -- why\n FROM f(12, $$x;$$);"),
            [
                (Word, "SELECT"),
                (QuotedName, "\"a b\""),
                (Other, ","),
                (Text, "'it''s'"),
                (Comment, "-- why\n"),
                (Word, "FROM"),
                (Word, "f"),
                (Open, "("),
                (Number, "12"),
                (Other, ","),
                (Text, "$$x;$$"),
                (Close, ")"),
                (Semicolon, ";"),
            ]
        );
    }

    #[test]
    fn what_is_not_closed_is_the_rest() {
        for rest in ["'a; b", "\"a", "/* a; b", "$$ a;"] {
            let text = format!("SELECT {rest}");
            assert_eq!(kinds(&text).last(), Some(&(TextKind::Unfinished, rest)), "{rest}");
            assert_eq!(statement_parts(&text), [StatementPart { range: 0..text.len(), is_ended: false }], "{rest}");
        }
        assert_eq!(kinds("\\d x")[0], (TextKind::Backslash, "\\"));
    }

    #[test]
    fn statements_end_at_semicolons_that_count() {
        let split = |text: &'static str| -> Vec<(&str, bool)> {
            statement_parts(text).into_iter().map(|part| (text[part.range].trim(), part.is_ended)).collect()
        };
        assert_eq!(split("SELECT ';'; -- ;\n SELECT 2"), [("SELECT ';'", true), ("-- ;\n SELECT 2", false)]);
        assert_eq!(split(" ;; -- nothing\n"), []);
        let set = "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END; SELECT 1;";
        assert_eq!(split(set), [("BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END", true), ("SELECT 1", true)]);
    }
}
