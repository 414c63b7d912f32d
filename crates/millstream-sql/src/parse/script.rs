//! A script is cut into statements, each statement is parsed by itself.
//!
//! Cutting works on tokens, so semicolons in strings and comments do not count. Positions inside a [`Statement`] count
//! from the statement's own start; errors of [`parse`] are moved to the script's.
//!
//! [`Statement`]: super::Statement

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::error::{STATEMENT_ENDS, SqlError, SqlErrorKind, SqlResult};

use super::dialect::MillstreamDialect;
use super::grammar::Grammar;
use super::limits::{self, SCRIPT_BYTES_MAX};
use super::statement::{Emit, ParsedStatement};

/// Parses a script: statements with semicolons between them, comments anywhere.
///
/// # Errors
/// The first wrong statement, with its line and column in the script; nothing is returned of the others.
pub fn parse(sql: &str) -> SqlResult<Vec<ParsedStatement>> {
    let tokens = tokenize(sql)?;
    let mut cursor = Cursor::new(sql);
    let mut parsed = Vec::new();
    for piece in pieces(tokens) {
        let Some((first, last)) = piece.first().zip(piece.last()).map(|(a, b)| (a.span.start, b.span.end)) else {
            continue;
        };
        let offset = cursor.offset(first);
        let text = &sql[offset..cursor.offset(last)];
        let statement = parse_piece(piece, text, first).map_err(|err| err.moved(first).with_source(sql))?;
        parsed.push(ParsedStatement { text: text.to_owned(), statement, offset, line: first.line, column: first.column });
    }
    Ok(parsed)
}

fn parse_piece(tokens: Vec<TokenWithSpan>, text: &str, first: Location) -> SqlResult<super::Statement> {
    let tokens = rebased(tokens, first);
    read(tokens, text, |grammar| grammar.statement())
}

/// Reads all of `tokens`.
fn read<T: Send>(tokens: Vec<TokenWithSpan>, text: &str, what: impl FnOnce(&mut Grammar<'_>) -> SqlResult<T> + Send) -> SqlResult<T> {
    let end = tokens.last().map(|last| last.span.end);
    let depth = limits::check(&tokens)?;
    let dialect = MillstreamDialect::with_operands(limits::operands_max(tokens.len()));
    let tokens = split_type_brackets(tokens);
    let read = depth.run(|| {
        let mut grammar = Grammar::new(&dialect, tokens, text);
        let parsed = what(&mut grammar)?;
        grammar.expect_end()?;
        Ok(parsed)
    });
    match read {
        Err(_) if dialect.is_exhausted() => Err(limits::tangled_error()),
        Err(err) if err.message().ends_with(STATEMENT_ENDS) => Err(match end {
            Some(end) => err.with_span(Span::new(end, end)),
            None => err,
        }),
        other => other,
    }
}

/// In the column types of CREATE TABLE, `>>` closes two brackets; the tokenizer takes it for an operator.
fn split_type_brackets(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let head: Vec<&str> = tokens.iter().filter_map(|token| word_of(&token.token)).take(5).collect();
    let is = |word: &str, known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
    let creates = head.first().is_some_and(|word| is(word, &["CREATE"]));
    if !creates || !head.iter().any(|word| is(word, &["TABLE", "SOURCE", "STREAM"])) {
        return tokens;
    }
    let mut split = Vec::with_capacity(tokens.len());
    let (mut open, mut after_type) = (0_usize, false);
    for token in tokens {
        let text = token.token.to_string();
        if open > 0 && text.len() > 1 && text.bytes().all(|byte| byte == b'>') {
            for n in 0..text.len() as u64 {
                let at = |offset| Location { line: token.span.start.line, column: token.span.start.column + offset };
                split.push(TokenWithSpan { token: Token::Gt, span: Span::new(at(n), at(n + 1)) });
            }
            open = open.saturating_sub(text.len());
            continue;
        }
        match &token.token {
            Token::Lt if after_type => open += 1,
            Token::Gt => open = open.saturating_sub(1),
            _ => {}
        }
        if !matches!(token.token, Token::Whitespace(_)) {
            after_type = word_of(&token.token).is_some_and(|word| is(word, &["ARRAY", "MAP", "ROW", "STRUCT"]));
        }
        split.push(token);
    }
    split
}

fn word_of(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

/// Parses one query with its EMIT clause, as kept in [`QueryText::text`](super::QueryText).
///
/// # Errors
/// Wrong SQL, or more than one query.
pub fn parse_query(sql: &str) -> SqlResult<(Box<Query>, Option<Emit>)> {
    whole(sql, |grammar| grammar.query_and_emit())
}

/// Parses one expression, as kept for computed columns and watermarks.
///
/// # Errors
/// Wrong SQL, or more than one expression.
pub fn parse_expression(sql: &str) -> SqlResult<Expr> {
    whole(sql, |grammar| Ok(grammar.parser.parse_expr()?))
}

fn whole<T: Send>(sql: &str, what: impl FnOnce(&mut Grammar<'_>) -> SqlResult<T> + Send) -> SqlResult<T> {
    tokenize(sql).and_then(|tokens| read(tokens, sql, what)).map_err(|err| err.with_source(sql))
}

/// The name that an identifier stands for: folded to lower case unless it was quoted.
pub fn identifier_text(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

fn tokenize(sql: &str) -> SqlResult<Vec<TokenWithSpan>> {
    if sql.len() > SCRIPT_BYTES_MAX {
        let message = format!("the script is longer than {SCRIPT_BYTES_MAX} bytes: {} bytes", sql.len());
        return Err(SqlError::new(SqlErrorKind::Limit, message).with_hint("load bulk data from a file or with COPY"));
    }
    if let Some(at) = sql.find('\0') {
        let before = &sql[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let at = Location { line: line as u64, column: column as u64 };
        let err = SqlError::syntax("a NUL character is not allowed in SQL");
        return Err(err.with_span(Span::new(at, at)).with_source(sql));
    }
    let mut tokens = Vec::new();
    Tokenizer::new(&MillstreamDialect::default(), sql)
        .tokenize_with_location_into_buf(&mut tokens)
        .map_err(|err| SqlError::from_tokenizer(&err).with_source(sql))?;
    Ok(tokens)
}

/// Cuts at semicolons, drops comments and blanks around statements and empty statements. A statement set keeps its
/// inner semicolons: it goes on until a piece that starts with END.
fn pieces(tokens: Vec<TokenWithSpan>) -> Vec<Vec<TokenWithSpan>> {
    let mut pieces: Vec<Vec<TokenWithSpan>> = Vec::new();
    let mut in_set = false;
    let mut piece: Vec<TokenWithSpan> = Vec::new();
    let mut part_start = 0;
    for token in tokens {
        if matches!(token.token, Token::EOF) || (piece.is_empty() && matches!(token.token, Token::Whitespace(_))) {
            continue;
        }
        if !matches!(token.token, Token::SemiColon) {
            piece.push(token);
            continue;
        }
        let part = &piece[part_start..];
        in_set = if in_set { !starts_with(part, &["END"]) } else { opens_statement_set(part) };
        if in_set {
            piece.push(token);
            part_start = piece.len();
        } else {
            finish(&mut pieces, std::mem::take(&mut piece));
            part_start = 0;
        }
    }
    finish(&mut pieces, piece);
    pieces
}

fn finish(pieces: &mut Vec<Vec<TokenWithSpan>>, mut piece: Vec<TokenWithSpan>) {
    while piece.last().is_some_and(|token| matches!(token.token, Token::Whitespace(_))) {
        piece.pop();
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
}

pub(super) fn opens_statement_set(part: &[TokenWithSpan]) -> bool {
    starts_with(part, &["BEGIN", "STATEMENT", "SET"]) || starts_with(part, &["EXECUTE", "STATEMENT", "SET"])
}

pub(super) fn starts_with(part: &[TokenWithSpan], words: &[&str]) -> bool {
    let mut visible = part.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    words.iter().all(|word| {
        let found = visible.next().and_then(|token| word_of(&token.token));
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

/// Makes positions count from the statement's start.
fn rebased(mut tokens: Vec<TokenWithSpan>, first: Location) -> Vec<TokenWithSpan> {
    let moved = |at: Location| Location {
        line: at.line - first.line + 1,
        column: if at.line == first.line { at.column - first.column + 1 } else { at.column },
    };
    for token in &mut tokens {
        token.span = Span::new(moved(token.span.start), moved(token.span.end));
    }
    tokens
}

/// Turns positions, asked for in ascending order, into byte offsets in one pass over the text.
pub(super) struct Cursor<'a> {
    rest: std::str::CharIndices<'a>,
    at: Location,
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.char_indices(), at: Location { line: 1, column: 1 }, offset: 0 }
    }

    pub(super) fn offset(&mut self, target: Location) -> usize {
        while (self.at.line, self.at.column) < (target.line, target.column) {
            let Some((_, c)) = self.rest.next() else { break };
            self.offset = self.rest.offset();
            if c == '\n' {
                self.at = Location { line: self.at.line + 1, column: 1 };
            } else {
                self.at.column += 1;
            }
        }
        self.offset
    }
}
