//! Cuts what a client sent into statements, by tokens: semicolons in strings and comments do not count.

use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use millstream_sql::error::SqlError;
use millstream_sql::parse::{MillstreamDialect, SCRIPT_BYTES_MAX};

use super::words::Words;
use super::{Command, WireStatement, engine_statement, session_grammar};
use crate::error::{Result, WireError};

/// One statement, not yet understood.
#[derive(Debug)]
pub(crate) struct Piece {
    text: String,
    offset: usize,
    /// Without blanks and comments.
    tokens: Vec<Token>,
    /// Byte offset in `text` at which each token begins.
    starts: Vec<usize>,
}

/// The statements of a text, empty ones left out.
pub(crate) fn split(sql: &str) -> Result<Vec<Piece>> {
    if sql.len() > SCRIPT_BYTES_MAX {
        return Err(WireError::new("54000", format!("the statement is longer than {SCRIPT_BYTES_MAX} bytes")));
    }
    let mut tokens = Vec::new();
    if Tokenizer::new(&MillstreamDialect::default(), sql).tokenize_with_location_into_buf(&mut tokens).is_err() {
        // The engine's parser says what is wrong with it, and where.
        return match millstream_sql::parse::parse(sql) {
            Err(error) => Err(engine_error(error, sql)),
            Ok(_) => Err(WireError::syntax("the text cannot be cut into words")),
        };
    }
    Ok(pieces(sql, tokens))
}

fn engine_error(error: SqlError, sql: &str) -> WireError {
    WireError::of_engine(&error.into(), sql, 0)
}

fn pieces(sql: &str, tokens: Vec<TokenWithSpan>) -> Vec<Piece> {
    let mut places = Places::new(sql);
    let mut pieces = Vec::new();
    let mut current = Cut::default();
    let mut in_set = false;
    for token in tokens {
        if matches!(token.token, Token::Whitespace(_) | Token::EOF) {
            continue;
        }
        let (bytes, chars) = places.find(token.span.start);
        if matches!(token.token, Token::SemiColon) {
            // BEGIN STATEMENT SET; …; END is one statement.
            let words = Words::new(&current.tokens[current.part..]);
            in_set = match in_set {
                false => words.are(&["BEGIN", "STATEMENT", "SET"]) || words.are(&["EXECUTE", "STATEMENT", "SET"]),
                true => !words.are(&["END"]),
            };
            if in_set {
                current.add(token.token, bytes, chars);
                current.part = current.tokens.len();
            } else {
                pieces.extend(std::mem::take(&mut current).finish(sql, bytes));
            }
            continue;
        }
        current.add(token.token, bytes, chars);
        current.end = places.find(token.span.end).0;
    }
    let end = current.end;
    pieces.extend(current.finish(sql, end));
    pieces
}

/// A piece being collected.
#[derive(Default)]
struct Cut {
    tokens: Vec<Token>,
    starts: Vec<usize>,
    from: (usize, usize),
    end: usize,
    part: usize,
}

impl Cut {
    fn add(&mut self, token: Token, bytes: usize, chars: usize) {
        if self.tokens.is_empty() {
            self.from = (bytes, chars);
        }
        self.tokens.push(token);
        self.starts.push(bytes - self.from.0);
    }

    fn finish(self, sql: &str, semicolon: usize) -> Option<Piece> {
        let (bytes, chars) = self.from;
        let end = if self.end > bytes { self.end } else { semicolon };
        let text = sql.get(bytes..end)?.to_owned();
        (!self.tokens.is_empty()).then_some(Piece { text, offset: chars, tokens: self.tokens, starts: self.starts })
    }
}

impl Piece {
    /// Understands it.
    pub(crate) fn read(self) -> Result<WireStatement> {
        let command = match session_grammar::read(&self)? {
            Some(command) => command,
            None => Command::Engine(Box::new(engine_statement(&self.text, self.offset)?)),
        };
        Ok(WireStatement { text: self.text, offset: self.offset, command })
    }

    pub(super) fn words(&self) -> Words<'_> {
        Words::new(&self.tokens)
    }

    /// The text from the n-th token on, and the characters before it in what the client sent.
    pub(super) fn text_from(&self, token: usize) -> (&str, usize) {
        let at = self.starts.get(token).copied().unwrap_or(self.text.len());
        (&self.text[at..], self.offset + self.text[..at].chars().count())
    }

    /// The text between two tokens.
    pub(super) fn text_between(&self, from: usize, to: usize) -> &str {
        let place = |token: usize| self.starts.get(token).copied().unwrap_or(self.text.len());
        self.text[place(from)..place(to)].trim_end()
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }
}

/// Lines and columns, asked for in ascending order, as bytes and characters.
struct Places<'a> {
    rest: std::str::Chars<'a>,
    at: Location,
    bytes: usize,
    chars: usize,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.chars(), at: Location { line: 1, column: 1 }, bytes: 0, chars: 0 }
    }

    fn find(&mut self, target: Location) -> (usize, usize) {
        while (self.at.line, self.at.column) < (target.line, target.column) {
            let Some(c) = self.rest.next() else { break };
            self.bytes += c.len_utf8();
            self.chars += 1;
            if c == '\n' {
                self.at = Location { line: self.at.line + 1, column: 1 };
            } else {
                self.at.column += 1;
            }
        }
        (self.bytes, self.chars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<(String, usize)> {
        split(sql).unwrap().into_iter().map(|piece| (piece.text, piece.offset)).collect()
    }

    #[test]
    fn semicolons_cut_outside_of_strings_and_comments() {
        let found = texts("/* a;b */ SELECT ';' ;; -- x;y\n SELECT 2");
        assert_eq!(found, [("SELECT ';'".to_owned(), 10), ("SELECT 2".to_owned(), 32)]);
        assert!(texts(" ; ;; -- nothing").is_empty());
        assert_eq!(texts("BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END; SELECT 1").len(), 2);
    }

    #[test]
    fn a_text_without_an_end_is_told_with_its_place() {
        let error = split("SELECT 'x").unwrap_err();
        assert_eq!((error.sqlstate.as_str(), error.position), ("42601", Some(8)));
    }
}
