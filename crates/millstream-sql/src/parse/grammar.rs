//! The statements: dispatch on the first words, queries, INSERT, views, sinks.
//!
//! [`Grammar`] wraps sqlparser's parser over one statement's tokens. Words are compared as text, since many of ours are
//! no keywords of sqlparser.

use datafusion::sql::sqlparser::ast::{self, Ident, ObjectName, Query};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use crate::error::{SqlError, SqlErrorKind, SqlResult, closest};

use super::dialect::{MillstreamDialect, select_all_from};
use super::interval;
use super::limits::NESTING_DEPTH_MAX;
use super::script::Cursor;
use super::statement::{
    CreateSink, CreateView, Emit, EmitMode, Explain, Insert, Other, QueryText, SelectQuery, SinkTarget, Statement, TableWord,
};

static DIALECT: std::sync::LazyLock<MillstreamDialect> = std::sync::LazyLock::new(MillstreamDialect::default);

/// First words of statements, for "did you mean".
const FIRST_WORDS: [&str; 22] = [
    "SELECT",
    "WITH",
    "VALUES",
    "CREATE",
    "INSERT",
    "DROP",
    "SHOW",
    "DESCRIBE",
    "SET",
    "RESET",
    "EXPLAIN",
    "BEGIN",
    "EXECUTE",
    "PAUSE",
    "RESUME",
    "CHECKPOINT",
    "RESTORE",
    "SUBSCRIBE",
    "FLUSH",
    "DELETE",
    "UPDATE",
    "ALTER",
];

/// The parser of one statement.
pub(super) struct Grammar<'a> {
    pub(super) parser: Parser<'a>,
    text: &'a str,
}

/// `OR REPLACE`, `TEMPORARY`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Modifiers {
    pub(super) or_replace: bool,
    pub(super) temporary: bool,
}

impl<'a> Grammar<'a> {
    pub(super) fn new(tokens: Vec<TokenWithSpan>, text: &'a str) -> Self {
        let dialect: &'static MillstreamDialect = &DIALECT;
        let parser =
            Parser::new(dialect).with_recursion_limit(NESTING_DEPTH_MAX * PARSER_LEVELS_PER_NESTING).with_tokens_with_locations(tokens);
        Self { parser, text }
    }

    /// Any statement.
    pub(super) fn statement(&mut self) -> SqlResult<Statement> {
        if self.peek_word(0, "CREATE") {
            return self.create();
        }
        if self.peek_words(&["BEGIN", "STATEMENT", "SET"]) || self.peek_words(&["EXECUTE", "STATEMENT", "SET"]) {
            return self.statement_set();
        }
        if self.word("INSERT") {
            return Ok(Statement::Insert(self.insert()?));
        }
        if self.word("EXPLAIN") {
            return self.explain();
        }
        if self.peek_word(0, "SUBSCRIBE") {
            return Err(self.not_yet("SUBSCRIBE").with_hint("run the SELECT itself: over a stream its rows keep coming"));
        }
        if self.starts_query() {
            let (query, emit) = self.query_and_emit()?;
            return Ok(Statement::Query(SelectQuery { query, emit }));
        }
        match self.catalog_statement()? {
            Some(statement) => Ok(statement),
            None => self.other(),
        }
    }

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
                let mut inner = Grammar::new(tokens, self.text);
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
    fn emit(&mut self) -> SqlResult<Option<Emit>> {
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

    fn create(&mut self) -> SqlResult<Statement> {
        self.parser.next_token();
        let or_replace = self.words(&["OR", "REPLACE"]);
        let temporary = self.word("TEMPORARY") || self.word("TEMP");
        let modifiers = Modifiers { or_replace, temporary };
        for (text, word) in [("TABLE", TableWord::Table), ("SOURCE", TableWord::Source), ("STREAM", TableWord::Stream)] {
            if self.word(text) {
                return Ok(Statement::CreateTable(Box::new(self.create_table(word, modifiers)?)));
            }
        }
        if self.words(&["MATERIALIZED", "VIEW"]) {
            return self.create_view(modifiers, true);
        }
        if self.word("VIEW") {
            return self.create_view(modifiers, false);
        }
        if self.word("SINK") {
            return self.create_sink(modifiers);
        }
        Err(self.create_unsupported())
    }

    fn create_unsupported(&self) -> SqlError {
        let known = ["TABLE", "SOURCE", "STREAM", "VIEW", "MATERIALIZED", "SINK"];
        let Token::Word(word) = self.parser.peek_token().token else {
            return self.expected("TABLE, SOURCE, VIEW, MATERIALIZED VIEW or SINK after CREATE");
        };
        let word = word.value.to_uppercase();
        match word.as_str() {
            "MODEL" => self.not_yet("CREATE MODEL").with_hint("load the model in the program that embeds the engine"),
            "SECRET" => self.not_yet("CREATE SECRET").with_hint("put the value into the WITH options of the table"),
            "FUNCTION" => self.not_yet("CREATE FUNCTION").with_hint("register functions through the Rust API"),
            "EXTERNAL" => self
                .not_yet("CREATE EXTERNAL TABLE")
                .with_hint("CREATE TABLE t (…) WITH ('connector' = 'file', 'path' = '…', 'format' = 'csv')"),
            "SCHEMA" | "DATABASE" | "CATALOG" | "INDEX" | "UNIQUE" | "ROLE" | "USER" | "TYPE" | "TRIGGER" | "SEQUENCE" | "EXTENSION"
            | "PROCEDURE" | "CONNECTION" => SqlError::unsupported(format!("CREATE {word} is not supported")).with_span(self.here()),
            _ => {
                let err = self.expected("TABLE, SOURCE, VIEW, MATERIALIZED VIEW or SINK after CREATE");
                match closest(&word, known) {
                    Some(better) => err.with_hint(format!("did you mean CREATE {better}?")),
                    None => err,
                }
            }
        }
    }

    fn create_view(&mut self, modifiers: Modifiers, materialized: bool) -> SqlResult<Statement> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let columns = self.parenthesized_names()?;
        let mut options = self.with_options()?;
        self.expect_word("AS")?;
        let query = self.query_text(true)?;
        options.extend(self.with_options()?);
        Ok(Statement::CreateView(Box::new(CreateView {
            name,
            columns,
            or_replace: modifiers.or_replace,
            if_not_exists,
            temporary: modifiers.temporary,
            materialized,
            options,
            query,
        })))
    }

    fn create_sink(&mut self, modifiers: Modifiers) -> SqlResult<Statement> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let into = if self.word("INTO") { Some(self.name()?) } else { None };
        let mut options = self.with_options()?;
        let query = if self.word("FROM") {
            let source = self.name()?;
            let text = format!("SELECT * FROM {source}");
            QueryText { query: select_all_from(source)?, emit: None, text }
        } else {
            self.expect_word("AS")?;
            self.query_text(true)?
        };
        options.extend(self.with_options()?);
        let target = match into {
            Some(table) if options.is_empty() => SinkTarget::Into(table),
            Some(table) => {
                return Err(SqlError::syntax(format!("sink {name} has both INTO {table} and WITH options"))
                    .with_hint("put the options on the table, or leave INTO out"));
            }
            None if options.is_empty() => {
                return Err(SqlError::syntax(format!("sink {name} does not say where it writes"))
                    .with_hint("CREATE SINK s INTO t AS SELECT …, or WITH ('connector' = '…') AS SELECT …"));
            }
            None => SinkTarget::Options(options),
        };
        Ok(Statement::CreateSink(Box::new(CreateSink { name, or_replace: modifiers.or_replace, if_not_exists, target, query })))
    }

    /// What follows `INSERT`.
    fn insert(&mut self) -> SqlResult<Insert> {
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
    fn statement_set(&mut self) -> SqlResult<Statement> {
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

    /// What follows `EXPLAIN`.
    fn explain(&mut self) -> SqlResult<Statement> {
        let (mut analyze, mut verbose) = (false, false);
        let parenthesized = self.parser.peek_token().token == Token::LParen
            && (self.peek_word(1, "ANALYZE") || self.peek_word(1, "VERBOSE"))
            && self.parser.consume_token(&Token::LParen);
        loop {
            if self.word("ANALYZE") {
                analyze = true;
            } else if self.word("VERBOSE") {
                verbose = true;
            } else if !(parenthesized && self.parser.consume_token(&Token::Comma)) {
                break;
            }
        }
        if parenthesized {
            self.parser.expect_token(&Token::RParen)?;
        }
        self.words(&["PLAN", "FOR"]);
        if self.peek_word(0, "EXPLAIN") {
            return Err(self.expected("a statement to explain"));
        }
        let statement = Box::new(self.statement()?);
        Ok(Statement::Explain(Explain { analyze, verbose, statement }))
    }

    /// Whatever else sqlparser knows.
    fn other(&mut self) -> SqlResult<Statement> {
        let first = self.parser.peek_token();
        let name = self.leading_words();
        match self.parser.parse_statement() {
            Ok(ast::Statement::Query(query)) => {
                let emit = self.emit()?;
                Ok(Statement::Query(SelectQuery { query, emit }))
            }
            Ok(statement) => Ok(Statement::Other(Other { name, statement: Box::new(statement) })),
            Err(err) => {
                let err = SqlError::from(err).with_span(first.span);
                match &first.token {
                    Token::Word(word) => match closest(&word.value, FIRST_WORDS) {
                        Some(better) if !better.eq_ignore_ascii_case(&word.value) => Err(err.with_hint(format!("did you mean {better}?"))),
                        _ => Err(err),
                    },
                    _ => Err(err),
                }
            }
        }
    }

    /// The first one or two words of the statement, in capitals.
    fn leading_words(&self) -> String {
        let words: Vec<String> = (0..2)
            .map_while(|n| match self.parser.peek_nth_token(n).token {
                Token::Word(word) if word.keyword != Keyword::NoKeyword => Some(word.value.to_uppercase()),
                _ => None,
            })
            .collect();
        words.join(" ")
    }

    fn starts_query(&self) -> bool {
        ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| self.peek_word(0, word)) || self.parser.peek_token().token == Token::LParen
    }
}

/// sqlparser counts a query, a table factor and an expression each when a subquery nests once.
const PARSER_LEVELS_PER_NESTING: usize = 3;

/// Reading single words.
impl Grammar<'_> {
    pub(super) fn peek_word(&self, n: usize, word: &str) -> bool {
        match &self.parser.peek_nth_token_ref(n).token {
            Token::Word(found) => found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word),
            _ => false,
        }
    }

    pub(super) fn peek_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.peek_word(n, word))
    }

    /// Takes `word` if it comes next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        self.words(&[word])
    }

    /// Takes all of `words` or none.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let found = self.peek_words(words);
        if found {
            for _ in words {
                self.parser.next_token();
            }
        }
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> SqlResult<()> {
        if self.word(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    pub(super) fn expect_end(&self) -> SqlResult<()> {
        match self.parser.peek_token().token {
            Token::EOF => Ok(()),
            _ => Err(self.expected("the end of the statement")),
        }
    }

    pub(super) fn name(&mut self) -> SqlResult<ObjectName> {
        Ok(self.parser.parse_object_name(false)?)
    }

    /// `(a, b)`, or nothing.
    pub(super) fn parenthesized_names(&mut self) -> SqlResult<Vec<Ident>> {
        if !self.parser.consume_token(&Token::LParen) {
            return Ok(Vec::new());
        }
        let names = self.parser.parse_comma_separated(Parser::parse_identifier)?;
        self.parser.expect_token(&Token::RParen)?;
        Ok(names)
    }

    /// Where the next token stands.
    pub(super) fn here(&self) -> Span {
        self.parser.peek_token_ref().span
    }

    /// `expected what, found …` at the next token.
    pub(super) fn expected(&self, what: &str) -> SqlError {
        let next = self.parser.peek_token();
        let message = match next.token {
            Token::EOF => format!("expected {what}, but the statement ends"),
            token => format!("expected {what}, found {token}"),
        };
        let end = self.parser.get_current_token().span.end;
        SqlError::syntax(message).with_span(next.span).with_span(Span::new(end, end))
    }

    pub(super) fn not_yet(&self, what: &str) -> SqlError {
        SqlError::new(SqlErrorKind::Unsupported, format!("{what} is not supported yet")).with_span(self.here())
    }

    /// The source from `start` to the last token taken.
    pub(super) fn text_since(&self, start: Location) -> String {
        let mut cursor = Cursor::new(self.text);
        let from = cursor.offset(start);
        let mut last = self.parser.get_current_token();
        let mut index = self.parser.get_current_index();
        while matches!(last.token, Token::Whitespace(_)) && index > 0 {
            index -= 1;
            last = self.parser.token_at(index);
        }
        let to = cursor.offset(last.span.end);
        self.text[from..to].to_owned()
    }
}
