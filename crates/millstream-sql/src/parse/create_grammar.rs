//! CREATE: which object, and views and sinks. Tables are in `table_grammar.rs`.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{SqlError, SqlResult, closest};

use super::dialect::select_all_from;
use super::grammar::Grammar;
use super::statement::{CreateSecret, CreateSink, CreateView, QueryText, SinkTarget, Statement, TableWord};

/// `OR REPLACE`, `TEMPORARY`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Modifiers {
    pub(super) or_replace: bool,
    pub(super) temporary: bool,
}

impl Grammar<'_> {
    /// CREATE of anything.
    pub(super) fn create(&mut self) -> SqlResult<Statement> {
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
        if self.word("MODEL") {
            return self.create_model(modifiers);
        }
        if self.word("SECRET") {
            return self.create_secret(modifiers);
        }
        Err(self.create_unsupported())
    }

    fn create_unsupported(&self) -> SqlError {
        let known = ["TABLE", "SOURCE", "STREAM", "VIEW", "MATERIALIZED", "SINK", "MODEL", "SECRET"];
        let Token::Word(word) = self.parser.peek_token().token else {
            return self.expected("TABLE, SOURCE, VIEW, MATERIALIZED VIEW, SINK, MODEL or SECRET after CREATE");
        };
        let word = word.value.to_uppercase();
        match word.as_str() {
            "FUNCTION" => self.not_yet("CREATE FUNCTION").with_hint("register functions through the Rust API"),
            "EXTERNAL" => self
                .not_yet("CREATE EXTERNAL TABLE")
                .with_hint("CREATE TABLE t (…) WITH ('connector' = 'file', 'path' = '…', 'format' = 'csv')"),
            "SCHEMA" | "DATABASE" | "CATALOG" | "INDEX" | "UNIQUE" | "ROLE" | "USER" | "TYPE" | "TRIGGER" | "SEQUENCE" | "EXTENSION"
            | "PROCEDURE" | "CONNECTION" => SqlError::unsupported(format!("CREATE {word} is not supported")).with_span(self.here()),
            _ => {
                let err = self.expected("TABLE, SOURCE, VIEW, MATERIALIZED VIEW, SINK, MODEL or SECRET after CREATE");
                match closest(&word, known) {
                    Some(better) => err.with_hint(format!("did you mean CREATE {better}?")),
                    None => err,
                }
            }
        }
    }

    fn create_secret(&mut self, modifiers: Modifiers) -> SqlResult<Statement> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        self.expect_word("AS")?;
        let value = match self.parser.peek_token().token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text,
            Token::DollarQuotedString(text) => text.value,
            _ => return Err(self.expected("the secret's value in quotes")),
        };
        self.parser.next_token();
        Ok(Statement::CreateSecret(CreateSecret { name, or_replace: modifiers.or_replace, if_not_exists, value }))
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
}
