//! SHOW, DESCRIBE, DROP, SET, RESET and pipeline commands; options in `WITH (…)`.

use datafusion::sql::sqlparser::ast::ObjectName;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{SqlError, SqlErrorKind, SqlResult, closest};

use super::grammar::Grammar;
use super::script::identifier_text;
use super::statement::{Drop, DropKind, PipelineAction, PipelineCommand, SetOption, ShowKind, Statement, WithOption};

/// Words after DROP, the longer ones first.
const DROPPABLE: [(&[&str], DropKind); 9] = [
    (&["TABLE"], DropKind::Table),
    (&["SOURCE"], DropKind::Table),
    (&["STREAM"], DropKind::Table),
    (&["VIEW"], DropKind::View),
    (&["MATERIALIZED", "VIEW"], DropKind::MaterializedView),
    (&["SINK"], DropKind::Sink),
    (&["PIPELINE"], DropKind::Pipeline),
    (&["MODEL"], DropKind::Model),
    (&["SECRET"], DropKind::Secret),
];

/// Settings of PostgreSQL that are written as several words.
const SPELLED_SETTINGS: [(&[&str], &str); 3] = [
    (&["TIME", "ZONE"], "timezone"),
    (&["TRANSACTION", "ISOLATION", "LEVEL"], "transaction_isolation"),
    (&["SESSION", "CHARACTERISTICS"], "session_characteristics"),
];

impl Grammar<'_> {
    /// A statement of this file, or nothing.
    pub(super) fn catalog_statement(&mut self) -> SqlResult<Option<Statement>> {
        if self.word("SHOW") {
            return Ok(Some(Statement::Show(self.show()?)));
        }
        if self.word("DESCRIBE") || self.word("DESC") {
            if self.peek_word(0, "MODEL") && self.peek_any_word(1) {
                self.word("MODEL");
                return Ok(Some(Statement::DescribeModel(self.name()?)));
            }
            self.word("TABLE");
            return Ok(Some(Statement::Describe(self.name()?)));
        }
        if self.word("DROP") {
            return Ok(Some(Statement::Drop(self.drop_object()?)));
        }
        if self.word("SET") {
            return Ok(Some(Statement::Set(self.set()?)));
        }
        if self.word("RESET") {
            return Ok(Some(Statement::Reset(self.reset()?)));
        }
        if let Some(statement) = self.alter_model()? {
            return Ok(Some(statement));
        }
        if let Some(statement) = self.export_model()? {
            return Ok(Some(statement));
        }
        if self.word("FLUSH") {
            return Ok(Some(Statement::Flush));
        }
        self.pipeline_command()
    }

    fn show(&mut self) -> SqlResult<ShowKind> {
        for (word, kind) in [
            ("TABLES", ShowKind::Tables),
            ("SOURCES", ShowKind::Tables),
            ("STREAMS", ShowKind::Tables),
            ("VIEWS", ShowKind::Views),
            ("PIPELINES", ShowKind::Pipelines),
            ("SINKS", ShowKind::Sinks),
            ("MODELS", ShowKind::Models),
            ("SECRETS", ShowKind::Secrets),
            ("FUNCTIONS", ShowKind::Functions),
            ("ALL", ShowKind::All),
        ] {
            if self.word(word) {
                return Ok(kind);
            }
        }
        if self.words(&["MATERIALIZED", "VIEWS"]) {
            return Ok(ShowKind::Views);
        }
        if self.word("CHECKPOINTS") {
            let pipeline = if self.word("FOR") { Some(self.name()?) } else { None };
            return Ok(ShowKind::Checkpoints(pipeline));
        }
        if self.word("CREATE") {
            self.object_word()?;
            return Ok(ShowKind::Create(self.name()?));
        }
        if self.words(&["COLUMNS", "FROM"]) || self.words(&["COLUMNS", "IN"]) {
            return Ok(ShowKind::Columns(self.name()?));
        }
        for (words, name) in SPELLED_SETTINGS {
            if self.words(words) {
                return Ok(ShowKind::Setting(name.to_owned()));
            }
        }
        Ok(ShowKind::Setting(self.setting_name()?))
    }

    /// The word that says what kind of object follows.
    fn object_word(&mut self) -> SqlResult<DropKind> {
        for (words, kind) in DROPPABLE {
            if self.words(words) {
                return Ok(kind);
            }
        }
        let err = self.expected("TABLE, SOURCE, VIEW, MATERIALIZED VIEW, SINK, PIPELINE, MODEL or SECRET");
        let Token::Word(word) = self.parser.peek_token().token else { return Err(err) };
        let known = DROPPABLE.iter().filter_map(|(words, _)| words.first().copied());
        Err(match closest(&word.value, known) {
            Some(better) => err.with_hint(format!("did you mean {better}?")),
            None => err,
        })
    }

    fn drop_object(&mut self) -> SqlResult<Drop> {
        self.word("TEMPORARY");
        let kind = self.object_word()?;
        let if_exists = self.words(&["IF", "EXISTS"]);
        let name = self.name()?;
        let cascade = self.word("CASCADE");
        if !cascade {
            self.word("RESTRICT");
        }
        Ok(Drop { kind, name, if_exists, cascade })
    }

    fn set(&mut self) -> SqlResult<SetOption> {
        let _ = self.word("SESSION") || self.word("LOCAL");
        for (words, name) in SPELLED_SETTINGS {
            if self.words(words) {
                return Ok(SetOption { name: name.to_owned(), value: self.setting_value()? });
            }
        }
        let name = self.setting_name()?;
        if !self.parser.consume_token(&Token::Eq) && !self.word("TO") {
            let hint = format!("SET {name} = value");
            return Err(self.expected("= or TO").with_hint(hint));
        }
        Ok(SetOption { name, value: self.setting_value()? })
    }

    fn reset(&mut self) -> SqlResult<Option<String>> {
        if self.word("ALL") { Ok(None) } else { Ok(Some(self.setting_name()?)) }
    }

    /// `a`, `a.b` or `'a.b'`
    fn setting_name(&mut self) -> SqlResult<String> {
        if let Token::SingleQuotedString(name) = self.parser.peek_token().token {
            self.parser.next_token();
            return Ok(name);
        }
        self.dotted_words("the name of a setting")
    }

    /// Words, numbers or strings up to the end, with commas between; `DEFAULT` is `None`.
    fn setting_value(&mut self) -> SqlResult<Option<String>> {
        if self.word("DEFAULT") {
            return Ok(None);
        }
        let mut parts = vec![self.plain_value("a value")?];
        while self.parser.consume_token(&Token::Comma) {
            parts.push(self.plain_value("a value")?);
        }
        // `SET TRANSACTION ISOLATION LEVEL READ COMMITTED`
        while matches!(self.parser.peek_token().token, Token::Word(_)) {
            let word = self.plain_value("a value")?;
            if let Some(last) = parts.last_mut() {
                last.push(' ');
                last.push_str(&word);
            }
        }
        Ok(Some(parts.join(", ")))
    }

    fn pipeline_command(&mut self) -> SqlResult<Option<Statement>> {
        let action = if self.words(&["PAUSE", "PIPELINE"]) {
            PipelineAction::Pause
        } else if self.words(&["RESUME", "PIPELINE"]) {
            PipelineAction::Resume
        } else if self.words(&["CHECKPOINT", "PIPELINE"]) {
            PipelineAction::Checkpoint
        } else if self.words(&["RESTORE", "PIPELINE"]) {
            PipelineAction::Restore { checkpoint: None }
        } else if ["PAUSE", "RESUME", "CHECKPOINT", "RESTORE"].iter().any(|word| self.word(word)) {
            return Err(self.expected("PIPELINE"));
        } else {
            return Ok(None);
        };
        let name = self.name()?;
        let action = match action {
            PipelineAction::Restore { .. } => PipelineAction::Restore { checkpoint: self.restored_checkpoint()? },
            other => other,
        };
        Ok(Some(Statement::Pipeline(PipelineCommand { action, name })))
    }

    /// `[FROM CHECKPOINT n]`
    fn restored_checkpoint(&mut self) -> SqlResult<Option<u64>> {
        if !self.word("FROM") {
            return Ok(None);
        }
        self.expect_word("CHECKPOINT")?;
        Ok(Some(self.parser.parse_literal_uint()?))
    }

    /// `WITH (key = value, …)`, or nothing.
    pub(super) fn with_options(&mut self) -> SqlResult<Vec<WithOption>> {
        let mut options: Vec<WithOption> = Vec::new();
        if !self.word("WITH") {
            return Ok(options);
        }
        self.parser.expect_token(&Token::LParen)?;
        while !self.parser.consume_token(&Token::RParen) {
            let option = self.with_option()?;
            if options.iter().any(|earlier| earlier.key == option.key) {
                let message = format!("option '{}' is given twice", option.key);
                return Err(SqlError::new(SqlErrorKind::Option, message).with_span(option.span));
            }
            options.push(option);
            if !self.parser.consume_token(&Token::Comma) && self.parser.peek_token().token != Token::RParen {
                return Err(self.expected("a comma or ) after an option"));
            }
        }
        Ok(options)
    }

    fn with_option(&mut self) -> SqlResult<WithOption> {
        let span = self.here();
        let key = self.setting_name()?;
        self.parser.expect_token(&Token::Eq)?;
        if self.peek_word(0, "SECRET") && matches!(self.parser.peek_nth_token(1).token, Token::Word(_)) {
            self.parser.next_token();
            if key == "connector" {
                return Err(SqlError::new(SqlErrorKind::Option, "the connector cannot be a secret").with_span(span));
            }
            let value = identifier_text(&self.parser.parse_identifier()?);
            return Ok(WithOption { key, value, is_secret: true, span });
        }
        let value = self.plain_value(&format!("a value for option '{key}'"))?;
        Ok(WithOption { key, value, is_secret: false, span })
    }

    /// A string, a number with an optional sign, or a word.
    fn plain_value(&mut self, what: &str) -> SqlResult<String> {
        let sign = if self.parser.consume_token(&Token::Minus) { "-" } else { "" };
        let value = match self.parser.peek_token().token {
            Token::Number(digits, _) => Some(digits),
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) if sign.is_empty() => Some(text),
            Token::DollarQuotedString(text) if sign.is_empty() => Some(text.value),
            Token::Word(word) if sign.is_empty() => Some(word.value),
            _ => None,
        };
        let Some(value) = value else { return Err(self.expected(what)) };
        self.parser.next_token();
        Ok(format!("{sign}{value}"))
    }

    /// `properties.bootstrap.servers`, `rows-per-second`: keys as Flink and Kafka spell them.
    fn dotted_words(&mut self, what: &str) -> SqlResult<String> {
        let mut name = String::new();
        loop {
            let token = self.parser.peek_token();
            match token.token {
                Token::Word(word) if word.quote_style.is_some() => name.push_str(&word.value),
                Token::Word(word) => name.push_str(&word.value.to_lowercase()),
                _ => return Err(self.expected(what)),
            }
            self.parser.next_token();
            if self.parser.consume_token(&Token::Period) {
                name.push('.');
            } else if self.parser.consume_token(&Token::Minus) {
                name.push('-');
            } else {
                return Ok(name);
            }
        }
    }

    /// The name of an optional clause's table.
    pub(super) fn name_after(&mut self, word: &str) -> SqlResult<Option<ObjectName>> {
        if self.word(word) { Ok(Some(self.name()?)) } else { Ok(None) }
    }
}
