//! Queries with their EMIT clause, INSERT and statement sets.

use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{SqlError, SqlResult};

use super::grammar::Grammar;
use super::interval;
use super::statement::{Emit, EmitMode, Insert, QueryText, Statement};

impl Grammar<'_> {
    /// A query and its EMIT clause.
    pub(super) fn query_and_emit(&mut self) -> SqlResult<(Box<Query>, Option<Emit>)> {
        let query = self.parser.parse_query()?;
        Ok((query, self.emit()?))
    }

    /// A query that is stored. With `options_follow`, a `WITH (…)` behind it is left in place: sqlparser would take it
    /// for hints of the last table.
    pub(super) fn query_text(&mut self, options_follow: bool) -> SqlResult<QueryText> {
        let start = self.here().start;
        let end = if options_follow { self.trailing_options() } else { None };
        let (query, emit) = match end {
            None => self.query_and_emit()?,
            Some(count) => {
                let tokens = (0..count).filter_map(|_| self.parser.next_token_no_skip().cloned()).collect();
                let mut inner = Grammar::new(self.dialect, tokens, self.text);
                let parsed = inner.query_and_emit()?;
                inner.expect_end()?;
                parsed
            }
        };
        Ok(QueryText { query, emit, text: self.text_since(start) })
    }

    /// How many tokens stand before `WITH (` outside of brackets.
    fn trailing_options(&self) -> Option<usize> {
        let mut depth = 0_usize;
        for n in 0.. {
            match self.parser.peek_nth_token_no_skip(n).token {
                Token::EOF => break,
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                Token::Word(word) if depth == 0 && word.keyword == Keyword::WITH => {
                    let next =
                        (n + 1..).map(|n| self.parser.peek_nth_token_no_skip(n).token).find(|token| !matches!(token, Token::Whitespace(_)));
                    if next == Some(Token::LParen) {
                        return Some(n);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// `[EMIT …] [ALLOWED LATENESS …] [LATE ROWS INTO t]`
    pub(super) fn emit(&mut self) -> SqlResult<Option<Emit>> {
        let mut mode = None;
        if self.word("EMIT") {
            mode = Some(self.emit_mode()?);
        }
        let mut lateness = None;
        if self.words(&["ALLOWED", "LATENESS"]) {
            lateness = Some(self.positive_interval("ALLOWED LATENESS")?);
        }
        let mut late_rows_into = None;
        if self.words(&["LATE", "ROWS", "INTO"]) {
            late_rows_into = Some(self.name()?);
        }
        if mode.is_none() && lateness.is_none() && late_rows_into.is_none() {
            return Ok(None);
        }
        Ok(Some(Emit { mode: mode.unwrap_or(EmitMode::OnWindowClose), allowed_lateness_ms: lateness.unwrap_or(0), late_rows_into }))
    }

    fn emit_mode(&mut self) -> SqlResult<EmitMode> {
        if self.words(&["ON", "WINDOW", "CLOSE"]) {
            Ok(EmitMode::OnWindowClose)
        } else if self.words(&["ON", "UPDATE"]) {
            Ok(EmitMode::OnUpdate)
        } else if self.word("EVERY") {
            Ok(EmitMode::Every { interval_ms: self.positive_interval("EMIT EVERY")? })
        } else {
            Err(self
                .expected("ON WINDOW CLOSE, ON UPDATE or EVERY after EMIT")
                .with_hint("EMIT ON WINDOW CLOSE | EMIT ON UPDATE | EMIT EVERY INTERVAL '1' SECOND"))
        }
    }

    fn positive_interval(&mut self, clause: &str) -> SqlResult<i64> {
        let expr = self.parser.parse_expr()?;
        let ms = interval::interval_ms(&expr)?;
        if ms <= 0 {
            return Err(interval::interval_error(&expr, &format!("the interval of {clause} must be positive")));
        }
        Ok(ms)
    }

    /// What follows `INSERT`.
    pub(super) fn insert(&mut self) -> SqlResult<Insert> {
        if self.peek_word(0, "OVERWRITE") {
            return Err(self.not_yet("INSERT OVERWRITE").with_hint("CREATE OR REPLACE the table, then INSERT INTO it"));
        }
        self.expect_word("INTO")?;
        let table = self.name()?;
        let is_query = ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| self.peek_word(1, word))
            || self.parser.peek_nth_token(1).token == Token::LParen;
        let columns = if is_query { Vec::new() } else { self.parenthesized_names()? };
        let query = self.query_text(false)?;
        if ["RETURNING", "ON"].iter().any(|word| self.peek_word(0, word)) {
            return Err(self.not_yet("INSERT with RETURNING or ON CONFLICT"));
        }
        Ok(Insert { table, columns, query })
    }

    /// `BEGIN STATEMENT SET; INSERT …; END` or `EXECUTE STATEMENT SET BEGIN INSERT …; END`
    pub(super) fn statement_set(&mut self) -> SqlResult<Statement> {
        let opened_by_begin = self.word("BEGIN");
        if !opened_by_begin {
            self.expect_word("EXECUTE")?;
        }
        self.expect_word("STATEMENT")?;
        self.expect_word("SET")?;
        if opened_by_begin {
            self.parser.expect_token(&Token::SemiColon)?;
        } else {
            self.expect_word("BEGIN")?;
        }
        let mut inserts = Vec::new();
        loop {
            while self.parser.consume_token(&Token::SemiColon) {}
            if self.word("END") {
                break;
            }
            if !self.word("INSERT") {
                let err = self.expected("INSERT INTO or END in the statement set");
                return Err(err.with_hint("a statement set holds INSERT statements and closes with END;"));
            }
            inserts.push(self.insert()?);
            if self.parser.peek_token().token != Token::SemiColon {
                return Err(self.expected("a semicolon after the INSERT"));
            }
        }
        if inserts.is_empty() {
            return Err(SqlError::syntax("the statement set holds no INSERT"));
        }
        Ok(Statement::StatementSet(inserts))
    }
}
