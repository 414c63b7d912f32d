//! CREATE MODEL, ALTER MODEL and EXPORT MODEL.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use crate::error::{SqlError, SqlErrorKind, SqlResult};

use super::create_grammar::Modifiers;
use super::grammar::Grammar;
use super::model_statement::{AlterModel, CreateModel, ExportModel, ModelColumn, ModelKind};
use super::script::identifier_text;
use super::statement::Statement;

/// Table functions that take `MODEL m` as an argument.
const MODEL_FUNCTIONS: [&str; 3] = ["ML_PREDICT", "ML_EVALUATE", "LEARN"];

/// Takes the word MODEL out of `MODEL m` among the arguments of a table function: sqlparser reads expressions there.
pub(super) fn drop_model_words(tokens: &mut [TokenWithSpan]) {
    let is = |token: &Token, words: &[&str]| match token {
        Token::Word(word) => word.quote_style.is_none() && words.iter().any(|one| word.value.eq_ignore_ascii_case(one)),
        _ => false,
    };
    if !tokens.iter().any(|token| is(&token.token, &MODEL_FUNCTIONS)) {
        return;
    }
    let places: Vec<usize> = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    for three in places.windows(3) {
        let [before, model, name] = [three[0], three[1], three[2]];
        let starts_argument = matches!(tokens[before].token, Token::Comma | Token::RArrow);
        if starts_argument && is(&tokens[model].token, &["MODEL"]) && matches!(tokens[name].token, Token::Word(_)) {
            tokens[model].token = Token::Whitespace(Whitespace::Space);
        }
    }
}

impl Grammar<'_> {
    /// What follows `CREATE … MODEL`.
    pub(super) fn create_model(&mut self, modifiers: Modifiers) -> SqlResult<Statement> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        if self.word("TYPE") {
            return self.create_learner(modifiers, if_not_exists, name);
        }
        let kind = self.model_of_file()?;
        if !self.peek_word(0, "WITH") {
            let hint = format!("CREATE MODEL {name} WITH ('format' = 'onnx', 'path' = 'model.onnx')");
            return Err(self.expected("TYPE, INPUT, OUTPUT or WITH").with_hint(hint));
        }
        let options = self.with_options()?;
        let or_replace = modifiers.or_replace;
        Ok(Statement::CreateModel(Box::new(CreateModel { name, or_replace, if_not_exists, kind, options })))
    }

    /// `TYPE kind FEATURES (a, b) [LABEL y] [PARTITION BY k] [ON DRIFT RESET] [WITH (…)] [AS SELECT …]`, its first word read.
    fn create_learner(&mut self, modifiers: Modifiers, if_not_exists: bool, name: ObjectName) -> SqlResult<Statement> {
        let learner = self.parser.parse_identifier()?;
        let form = format!("CREATE MODEL {name} TYPE {learner} FEATURES (a, b) LABEL y");
        if !self.word("FEATURES") {
            return Err(self.expected("FEATURES").with_hint(form));
        }
        let features = self.parenthesized_names()?;
        if features.is_empty() {
            return Err(self.expected("names of columns in parentheses after FEATURES").with_hint(form));
        }
        let label = if self.word("LABEL") { Some(self.parser.parse_identifier()?) } else { None };
        let key = if self.words(&["PARTITION", "BY"]) { Some(self.one_name()?) } else { None };
        let reset_on_drift = match self.words(&["ON", "DRIFT"]) {
            true if self.word("RESET") => Some(true),
            true if self.word("IGNORE") => Some(false),
            true => return Err(self.expected("RESET or IGNORE after ON DRIFT").with_hint(format!("{form} ON DRIFT RESET"))),
            false => None,
        };
        let mut options = self.with_options()?;
        let query = if self.word("AS") { Some(self.query_text(true)?) } else { None };
        options.extend(self.with_options()?);
        let kind = ModelKind::Learner { learner, features, label, key, reset_on_drift, query };
        Ok(Statement::CreateModel(Box::new(CreateModel { name, or_replace: modifiers.or_replace, if_not_exists, kind, options })))
    }

    /// `k` or `(k)`
    fn one_name(&mut self) -> SqlResult<Ident> {
        let parenthesized = self.parser.consume_token(&Token::LParen);
        let name = self.parser.parse_identifier()?;
        if parenthesized && self.parser.peek_token().token == Token::Comma {
            let hint = "a subquery can join several columns: SELECT *, a || '/' || b AS key";
            return Err(
                SqlError::unsupported("PARTITION BY of several columns, a model for each value of one, is not supported").with_hint(hint)
            );
        }
        if parenthesized {
            self.parser.expect_token(&Token::RParen)?;
        }
        Ok(name)
    }

    /// `EXPORT MODEL name [FOR 'key'] TO 'file'`, or nothing.
    pub(super) fn export_model(&mut self) -> SqlResult<Option<Statement>> {
        if !self.words(&["EXPORT", "MODEL"]) {
            return Ok(None);
        }
        let name = self.name()?;
        let key = if self.word("FOR") { Some(self.parser.parse_literal_string()?) } else { None };
        if !self.word("TO") {
            let hint = format!("EXPORT MODEL {name} TO 'model.onnx', or 'model.parquet'");
            return Err(self.expected("TO").with_hint(hint));
        }
        let path = self.parser.parse_literal_string()?;
        Ok(Some(Statement::ExportModel(ExportModel { name, key, path })))
    }

    /// `[INPUT (a DOUBLE, …)] [OUTPUT (p DOUBLE, …)]`
    fn model_of_file(&mut self) -> SqlResult<ModelKind> {
        let inputs = if self.word("INPUT") { self.model_columns()? } else { Vec::new() };
        let outputs = if self.word("OUTPUT") { self.model_columns()? } else { Vec::new() };
        Ok(ModelKind::File { inputs, outputs })
    }

    /// `(a DOUBLE, b BIGINT)`
    fn model_columns(&mut self) -> SqlResult<Vec<ModelColumn>> {
        self.parser.expect_token(&Token::LParen)?;
        let mut columns: Vec<ModelColumn> = Vec::new();
        loop {
            let name = self.parser.parse_identifier()?;
            let folded = identifier_text(&name);
            if columns.iter().any(|column| identifier_text(&column.name) == folded) {
                let message = format!("column '{folded}' is declared twice");
                return Err(SqlError::new(SqlErrorKind::Duplicate, message).with_span(name.span));
            }
            let data_type = self.column_type()?;
            columns.push(ModelColumn { name, data_type });
            if self.parser.consume_token(&Token::RParen) {
                return Ok(columns);
            }
            if !self.parser.consume_token(&Token::Comma) {
                return Err(self.expected("a comma or ) after a column"));
            }
        }
    }

    /// `ALTER MODEL name SET VERSION n`, or nothing.
    pub(super) fn alter_model(&mut self) -> SqlResult<Option<Statement>> {
        if !self.words(&["ALTER", "MODEL"]) {
            return Ok(None);
        }
        let name = self.name()?;
        if !self.words(&["SET", "VERSION"]) {
            let hint = format!("ALTER MODEL {name} SET VERSION 1");
            return Err(self.expected("SET VERSION").with_hint(hint));
        }
        let version = self.parser.parse_literal_uint()?;
        Ok(Some(Statement::AlterModel(AlterModel { name, version })))
    }
}
