//! The first words of a statement decide how it is read.
//!
//! [`Grammar`] wraps sqlparser's parser over one statement's tokens. Words are compared as text, since many of ours are
//! no keywords of sqlparser.

use datafusion::sql::sqlparser::ast::{self, Ident, ObjectName};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use crate::error::{STATEMENT_ENDS, SqlError, SqlErrorKind, SqlResult, closest, shortened};

use super::dialect::MillstreamDialect;
use super::limits::NESTING_DEPTH_MAX;
use super::model_grammar::drop_model_words;
use super::script::Cursor;
use super::statement::{Explain, Other, SelectQuery, Statement};

/// First words of statements, for "did you mean".
const FIRST_WORDS: [&str; 23] = [
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
    "EXPORT",
];

/// Words within queries, for "did you mean".
const CLAUSE_WORDS: [&str; 11] =
    ["FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "JOIN", "UNION", "EMIT", "ALLOWED LATENESS", "LATE ROWS"];

/// The parser of one statement.
pub(super) struct Grammar<'a> {
    pub(super) parser: Parser<'a>,
    pub(super) dialect: &'a MillstreamDialect,
    pub(super) text: &'a str,
}

impl<'a> Grammar<'a> {
    pub(super) fn new(dialect: &'a MillstreamDialect, mut tokens: Vec<TokenWithSpan>, text: &'a str) -> Self {
        drop_model_words(&mut tokens);
        let parser =
            Parser::new(dialect).with_recursion_limit(NESTING_DEPTH_MAX * PARSER_LEVELS_PER_NESTING).with_tokens_with_locations(tokens);
        Self { parser, dialect, text }
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

    /// A word comes next, quoted or not.
    pub(super) fn peek_any_word(&self, n: usize) -> bool {
        matches!(self.parser.peek_nth_token_ref(n).token, Token::Word(_))
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
        if self.parser.peek_token().token == Token::EOF {
            return Ok(());
        }
        let err = self.expected("the end of the statement");
        // A misspelt clause word was taken for an alias.
        let before = self.parser.get_current_token().token.to_string();
        let after = self.parser.peek_token().token.to_string();
        for word in [before, after] {
            match closest(&word, CLAUSE_WORDS) {
                Some(better) if !better.eq_ignore_ascii_case(&word) => return Err(err.with_hint(format!("did you mean {better}?"))),
                _ => {}
            }
        }
        Err(err)
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
            Token::EOF => format!("expected {what}, {STATEMENT_ENDS}"),
            token => format!("expected {what}, found {}", shortened(&token.to_string())),
        };
        SqlError::syntax(message).with_span(next.span)
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
