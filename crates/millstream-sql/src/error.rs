//! What a user sees when a statement is wrong: one sentence, the line of SQL with a caret, a hint.
//!
//! ```text
//! table 'bidz' does not exist
//!   LINE 1: SELECT * FROM bidz
//!                         ^^^^
//! hint: did you mean 'bids'?
//! ```
//!
//! Every stage of this crate fails with [`SqlError`]. Positions count from the start of the text the error is
//! rendered with: [`SqlError::with_source`] attaches that text once, the stage closest to the fault wins.
//! DataFusion's own errors are translated in [`translation`]; nothing of its Rust vocabulary gets through.

mod translation;
mod vocabulary;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, TokenizerError};

/// Result of this crate's public functions.
pub type SqlResult<T> = Result<T, SqlError>;

/// Who or what is wrong; decides the SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlErrorKind {
    /// The text is not SQL of this dialect.
    Syntax,
    /// A table, view or other relation does not exist.
    UnknownTable,
    /// A column does not exist.
    UnknownColumn,
    /// A column name fits several relations.
    AmbiguousColumn,
    /// A function does not exist or not with these arguments.
    UnknownFunction,
    /// A column is neither grouped nor aggregated.
    Grouping,
    /// Types do not fit, or a type name is unknown.
    Type,
    /// A constant is no value of its type.
    Value,
    /// A constant is too large for its type.
    Range,
    /// A constant is divided by zero.
    DivisionByZero,
    /// A name is declared twice.
    Duplicate,
    /// Understood, but this version cannot do it.
    Unsupported,
    /// A window function is called wrongly.
    Window,
    /// A `WITH` option or setting is wrong.
    Option,
    /// The statement goes beyond a limit of size or nesting.
    Limit,
    /// The statement means nothing sensible although it parses.
    Plan,
    /// A defect of this software.
    Internal,
}

/// An error in a statement; see the module's head for how it renders.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: SqlErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    span: Option<Span>,
    excerpt: Option<Excerpt>,
}

/// The line of SQL at fault, cut to a width that fits a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    text: String,
    caret_at: usize,
    caret_width: usize,
}

/// How a message ends if more text was expected.
pub(crate) const STATEMENT_ENDS: &str = "but the statement ends";

/// Longest message or hint.
const MESSAGE_CHARS_MAX: usize = 1000;

/// Longest token that a message quotes, and longest name that is compared with others.
const QUOTE_CHARS_MAX: usize = 60;

/// Longest part of a source line that is shown.
const EXCERPT_CHARS_MAX: usize = 100;

impl SqlError {
    /// An error of `kind`; `message` is one sentence without a full stop.
    pub fn new(kind: SqlErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), detail: None, hint: None, span: None, excerpt: None }))
    }

    /// Text that is not SQL.
    pub fn syntax(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Syntax, message)
    }

    /// Understood but not built.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Unsupported, message)
    }

    /// A window function called wrongly.
    pub fn window(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Window, message)
    }

    /// A fact that adds to the sentence.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(cut(detail.into(), MESSAGE_CHARS_MAX));
        self
    }

    /// What the user can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(cut(hint.into(), MESSAGE_CHARS_MAX));
        self
    }

    /// Where; an empty span and a second call change nothing.
    #[must_use]
    pub fn with_span(mut self, span: Span) -> Self {
        if self.0.span.is_none() && span.start.line > 0 {
            self.0.span = Some(span);
        }
        self
    }

    /// Attaches the line of `source` that the span points to; a second call changes nothing.
    #[must_use]
    pub fn with_source(mut self, source: &str) -> Self {
        if self.0.excerpt.is_none()
            && let Some(span) = self.0.span
        {
            self.0.excerpt = Excerpt::cut(source, span);
        }
        self
    }

    /// Moves the position by the place at which the statement starts in its script (both count from 1).
    #[must_use]
    pub(crate) fn moved(mut self, first: Location) -> Self {
        let shift = |at: Location| Location {
            line: at.line + first.line.saturating_sub(1),
            column: if at.line == 1 { at.column + first.column.saturating_sub(1) } else { at.column },
        };
        self.0.span = self.0.span.map(|span| Span::new(shift(span.start), shift(span.end)));
        self
    }

    /// The kind.
    pub fn kind(&self) -> SqlErrorKind {
        self.0.kind
    }

    /// The sentence alone.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The added fact.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The hint.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Line and column, from 1, columns in characters.
    pub fn position(&self) -> Option<(u64, u64)> {
        self.0.span.map(|span| (span.start.line, span.start.column))
    }

    /// First and one-past-last position.
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// The five-character code that PostgreSQL clients expect.
    pub fn sqlstate(&self) -> &'static str {
        match self.0.kind {
            SqlErrorKind::Syntax => "42601",
            SqlErrorKind::UnknownTable => "42P01",
            SqlErrorKind::UnknownColumn => "42703",
            SqlErrorKind::AmbiguousColumn => "42702",
            SqlErrorKind::UnknownFunction => "42883",
            SqlErrorKind::Grouping => "42803",
            SqlErrorKind::Type => "42804",
            SqlErrorKind::Value => "22P02",
            SqlErrorKind::Range => "22003",
            SqlErrorKind::DivisionByZero => "22012",
            SqlErrorKind::Duplicate => "42710",
            SqlErrorKind::Unsupported => "0A000",
            SqlErrorKind::Window | SqlErrorKind::Option => "22023",
            SqlErrorKind::Limit => "54001",
            SqlErrorKind::Plan => "42000",
            SqlErrorKind::Internal => "XX000",
        }
    }

    /// An error of the SQL parser, whose position is part of its text.
    pub(crate) fn from_parser(err: &ParserError) -> Self {
        match err {
            ParserError::RecursionLimitExceeded => crate::parse::nesting_error(),
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => Self::from_parser_text(text),
        }
    }

    /// An error of the tokenizer: an unterminated string or comment, usually.
    pub(crate) fn from_tokenizer(err: &TokenizerError) -> Self {
        let text = err.message.to_lowercase();
        let message = match text.as_str() {
            text if text.contains("comment") => "the comment is not closed".to_owned(),
            text if text.contains("unterminated string") => "the string is not closed".to_owned(),
            text if text.contains("unterminated dollar") => "the dollar-quoted string is not closed".to_owned(),
            text if text.contains("close delimiter") => "the quoted name is not closed".to_owned(),
            _ => first_letter_lower(&err.message),
        };
        Self::syntax(message).with_span(Span::new(err.location, err.location))
    }

    pub(crate) fn from_parser_text(text: &str) -> Self {
        let (text, at) = split_position(text);
        let text = text.trim();
        let text = text.replace("Expected: literal int", "Expected: a whole number");
        let message = match text.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
            Some((expected, "EOF")) => format!("expected {expected}, {STATEMENT_ENDS}"),
            Some((expected, found)) => format!("expected {expected}, found {}", shortened(found)),
            None => first_letter_lower(&text),
        };
        let err = Self::syntax(message);
        match at {
            Some(at) => err.with_span(Span::new(at, at)),
            None => err,
        }
    }
}

impl From<ParserError> for SqlError {
    fn from(err: ParserError) -> Self {
        Self::from_parser(&err)
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(detail) = &self.0.detail {
            write!(f, ": {detail}")?;
        }
        if let (Some(span), Some(excerpt)) = (self.0.span, &self.0.excerpt) {
            let label = format!("  LINE {}: ", span.start.line);
            let indent = " ".repeat(label.len() + excerpt.caret_at);
            write!(f, "\n{label}{}\n{indent}{}", excerpt.text, "^".repeat(excerpt.caret_width))?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({})", self.0.kind, self)
    }
}

impl std::error::Error for SqlError {}

impl Excerpt {
    /// The line at `span` with the window around the caret; `None` if the text has no such line.
    fn cut(source: &str, span: Span) -> Option<Self> {
        let line_index = usize::try_from(span.start.line).ok()?.checked_sub(1)?;
        let line = source.split('\n').nth(line_index)?.trim_end_matches('\r');
        let caret = usize::try_from(span.start.column).ok()?.saturating_sub(1);
        let from = if caret >= EXCERPT_CHARS_MAX { caret - EXCERPT_CHARS_MAX / 2 } else { 0 };
        let text: String = line.chars().skip(from).take(EXCERPT_CHARS_MAX).map(printable).collect();
        let width = text.chars().count();
        let caret_at = (caret - from).min(width);
        let caret_width = if span.end.line == span.start.line && span.end.column > span.start.column {
            usize::try_from(span.end.column - span.start.column).ok()?
        } else {
            word_width(&text, caret_at)
        };
        let caret_width = caret_width.clamp(1, width.saturating_sub(caret_at).max(1));
        Some(Self { text, caret_at, caret_width })
    }
}

/// Control characters would move the caret.
fn printable(c: char) -> char {
    if c == '\t' {
        ' '
    } else if c.is_control() {
        '\u{fffd}'
    } else {
        c
    }
}

fn word_width(line: &str, from: usize) -> usize {
    line.chars().skip(from).take_while(|c| c.is_alphanumeric() || *c == '_').count()
}

/// Splits `… at Line: 3, Column: 7` off.
fn split_position(text: &str) -> (&str, Option<Location>) {
    let Some(at) = text.rfind(" at Line: ") else { return (text, None) };
    let numbers = &text[at + " at Line: ".len()..];
    let Some((line, column)) = numbers.split_once(", Column: ") else { return (text, None) };
    let column: String = column.chars().take_while(char::is_ascii_digit).collect();
    match (line.trim().parse(), column.parse()) {
        (Ok(line), Ok(column)) => (&text[..at], Some(Location { line, column })),
        _ => (text, None),
    }
}

fn first_letter_lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), text.chars().nth(1)) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// Text from outside, short enough to quote.
pub(crate) fn shortened(text: &str) -> String {
    cut(text.to_owned(), QUOTE_CHARS_MAX)
}

fn cut(mut text: String, chars_max: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(chars_max) {
        text.truncate(at);
        text.push('…');
    }
    if text.contains(|c: char| c.is_control() && c != '\n') {
        text = text.chars().map(|c| if c == '\n' { c } else { printable(c) }).collect();
    }
    text
}

/// The candidate closest to `wrong`, if it is close enough to be what the user meant.
pub(crate) fn closest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.chars().count() > QUOTE_CHARS_MAX {
        return None;
    }
    let wrong = wrong.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wrong, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(wrong.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
