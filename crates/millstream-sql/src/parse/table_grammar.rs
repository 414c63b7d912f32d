//! CREATE TABLE, SOURCE and STREAM.

use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{SqlError, SqlErrorKind, SqlResult, closest};

use super::create_grammar::Modifiers;
use super::grammar::Grammar;
use super::script::identifier_text;
use super::statement::{Column, ColumnKind, CreateTable, TableWord, Watermark, WithOption};

/// What the parentheses of CREATE TABLE hold.
#[derive(Default)]
struct Body {
    columns: Vec<Column>,
    watermark: Option<Watermark>,
    primary_key: Vec<Ident>,
}

impl Grammar<'_> {
    /// What follows `CREATE … TABLE`.
    pub(super) fn create_table(&mut self, word: TableWord, modifiers: Modifiers) -> SqlResult<CreateTable> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let mut like = self.name_after("LIKE")?;
        let mut body = Body::default();
        if like.is_none() && self.parser.consume_token(&Token::LParen) {
            like = self.name_after("LIKE")?;
            match like {
                Some(_) => {
                    self.parser.expect_token(&Token::RParen)?;
                }
                None => body = self.table_body()?,
            }
        }
        let comment = self.comment()?;
        for clause in ["PARTITIONED", "DISTRIBUTED"] {
            if self.peek_word(0, clause) {
                return Err(self.not_yet(&format!("{clause} BY")).with_hint("leave the clause out"));
            }
        }
        let mut append_only = self.words(&["APPEND", "ONLY"]);
        let mut options = self.with_options()?;
        append_only |= self.words(&["APPEND", "ONLY"]);
        self.format_clause(&mut options)?;
        if like.is_none() {
            // Flink writes LIKE behind the options.
            like = self.name_after("LIKE")?;
        }
        let query = if self.word("AS") { Some(self.query_text(true)?) } else { None };
        if query.is_some() {
            options.extend(self.with_options()?);
        }
        let table = CreateTable {
            name,
            word,
            or_replace: modifiers.or_replace,
            if_not_exists,
            temporary: modifiers.temporary,
            columns: body.columns,
            watermark: body.watermark,
            primary_key: body.primary_key,
            like,
            append_only,
            comment,
            options,
            query,
        };
        check_schema(&table)?;
        Ok(table)
    }

    /// Columns, watermark and key up to the closing parenthesis.
    fn table_body(&mut self) -> SqlResult<Body> {
        let mut body = Body::default();
        while !self.parser.consume_token(&Token::RParen) {
            self.table_element(&mut body)?;
            if !self.parser.consume_token(&Token::Comma) && self.parser.peek_token().token != Token::RParen {
                return Err(self.after_column());
            }
        }
        Ok(body)
    }

    /// An error at a word that a column cannot have.
    fn after_column(&self) -> SqlError {
        for clause in ["DEFAULT", "UNIQUE", "CHECK", "REFERENCES", "GENERATED", "COLLATE"] {
            if self.peek_word(0, clause) {
                return self.not_yet(&format!("{clause} on a column"));
            }
        }
        let err = self.expected("a comma or ) after a column");
        let Token::Word(word) = self.parser.peek_token().token else { return err };
        match closest(&word.value, ["METADATA", "WATERMARK", "PRIMARY", "NOT", "NULL", "COMMENT", "AS"]) {
            Some(better) => err.with_hint(format!("did you mean {better}?")),
            None => err,
        }
    }

    fn table_element(&mut self, body: &mut Body) -> SqlResult<()> {
        let span = self.here();
        if self.words(&["WATERMARK", "FOR"]) {
            let watermark = self.watermark()?;
            if body.watermark.replace(watermark).is_some() {
                return Err(SqlError::new(SqlErrorKind::Duplicate, "a table has one watermark, this is the second").with_span(span));
            }
            return Ok(());
        }
        if self.word("CONSTRAINT") {
            self.parser.parse_identifier()?;
            if !self.peek_words(&["PRIMARY", "KEY"]) {
                return Err(self.not_yet("a constraint other than PRIMARY KEY"));
            }
        }
        if self.words(&["PRIMARY", "KEY"]) {
            let columns = self.parenthesized_names()?;
            if columns.is_empty() {
                return Err(self.expected("( and the key's columns after PRIMARY KEY"));
            }
            self.not_enforced()?;
            return set_primary_key(body, columns, span);
        }
        for clause in ["UNIQUE", "CHECK", "FOREIGN"] {
            let next = self.parser.peek_nth_token(1).token;
            if self.peek_word(0, clause) && (next == Token::LParen || self.peek_word(1, "KEY")) {
                return Err(self.not_yet(&format!("{clause} on a table")));
            }
        }
        self.column(body)
    }

    fn column(&mut self, body: &mut Body) -> SqlResult<()> {
        let name = self.parser.parse_identifier()?;
        let folded = identifier_text(&name);
        if body.columns.iter().any(|column| identifier_text(&column.name) == folded) {
            let message = format!("column '{folded}' is declared twice");
            return Err(SqlError::new(SqlErrorKind::Duplicate, message).with_span(name.span));
        }
        if self.word("AS") {
            let kind = self.computed()?;
            let comment = self.comment()?;
            body.columns.push(Column { name, kind, not_null: false, comment });
            return Ok(());
        }
        if matches!(self.parser.peek_token().token, Token::Comma | Token::RParen | Token::EOF) {
            return Err(self.expected(&format!("a type for column '{folded}'")));
        }
        let mut kind = ColumnKind::Physical { data_type: self.column_type()? };
        let (mut not_null, mut comment) = (false, None);
        loop {
            let span = self.here();
            if self.words(&["NOT", "NULL"]) {
                not_null = true;
            } else if self.word("NULL") {
            } else if self.words(&["PRIMARY", "KEY"]) {
                self.not_enforced()?;
                not_null = true;
                set_primary_key(body, vec![name.clone()], span)?;
            } else if self.word("METADATA") {
                kind = self.metadata(kind)?;
            } else if self.peek_word(0, "COMMENT") {
                comment = self.comment()?;
            } else {
                break;
            }
        }
        body.columns.push(Column { name, kind, not_null, comment });
        Ok(())
    }

    /// What follows `name AS`.
    fn computed(&mut self) -> SqlResult<ColumnKind> {
        let start = self.here().start;
        let expr = self.parser.parse_expr()?;
        if let Expr::Function(function) = &expr
            && function.name.to_string().eq_ignore_ascii_case("proctime")
        {
            return Ok(ColumnKind::ProcessingTime);
        }
        Ok(ColumnKind::Computed { expr: Box::new(expr), text: self.text_since(start) })
    }

    /// What follows `METADATA`.
    fn metadata(&mut self, kind: ColumnKind) -> SqlResult<ColumnKind> {
        let ColumnKind::Physical { data_type } = kind else {
            return Err(self.expected("one METADATA per column"));
        };
        let key = if self.word("FROM") { Some(self.parser.parse_literal_string()?) } else { None };
        let is_virtual = self.word("VIRTUAL");
        Ok(ColumnKind::Metadata { data_type, key, is_virtual })
    }

    /// What follows `WATERMARK FOR`.
    fn watermark(&mut self) -> SqlResult<Watermark> {
        let column = self.parser.parse_identifier()?;
        if !self.word("AS") {
            return Ok(Watermark { column, expr: None, text: None });
        }
        let start = self.here().start;
        let expr = self.parser.parse_expr()?;
        Ok(Watermark { column, expr: Some(expr), text: Some(self.text_since(start)) })
    }

    /// `[NOT ENFORCED]`
    fn not_enforced(&mut self) -> SqlResult<()> {
        if self.words(&["NOT", "ENFORCED"]) {
            return Ok(());
        }
        if self.peek_word(0, "ENFORCED") {
            return Err(self.not_yet("PRIMARY KEY … ENFORCED").with_hint("write NOT ENFORCED"));
        }
        Ok(())
    }

    /// `[COMMENT [=] '…']`
    fn comment(&mut self) -> SqlResult<Option<String>> {
        if !self.word("COMMENT") {
            return Ok(None);
        }
        let _ = self.parser.consume_token(&Token::Eq);
        Ok(Some(self.parser.parse_literal_string()?))
    }

    /// RisingWave's `FORMAT PLAIN ENCODE JSON [(…)]` is `'format' = 'json'`.
    fn format_clause(&mut self, options: &mut Vec<WithOption>) -> SqlResult<()> {
        let span = self.here();
        if !self.word("FORMAT") {
            return Ok(());
        }
        if !self.word("PLAIN") {
            return Err(self.not_yet("a FORMAT other than PLAIN").with_hint("WITH ('format' = 'json')"));
        }
        self.expect_word("ENCODE")?;
        let encoding = self.parser.parse_identifier()?;
        if self.parser.peek_token().token == Token::LParen {
            return Err(self.not_yet("ENCODE with options").with_hint("WITH ('json.…' = '…')"));
        }
        if options.iter().any(|option| option.key == "format") {
            let message = "the format is given twice: in WITH and in FORMAT … ENCODE";
            return Err(SqlError::new(SqlErrorKind::Option, message).with_span(span));
        }
        options.push(WithOption { key: "format".to_owned(), value: encoding.value.to_lowercase(), is_secret: false, span });
        Ok(())
    }
}

fn set_primary_key(body: &mut Body, columns: Vec<Ident>, span: datafusion::sql::sqlparser::tokenizer::Span) -> SqlResult<()> {
    if !body.primary_key.is_empty() {
        return Err(SqlError::new(SqlErrorKind::Duplicate, "a table has one PRIMARY KEY, this is the second").with_span(span));
    }
    body.primary_key = columns;
    Ok(())
}

/// What can be said about the columns without a catalog.
fn check_schema(table: &CreateTable) -> SqlResult<()> {
    let has_source = table.like.is_some() || table.query.is_some() || !table.options.is_empty();
    if table.columns.is_empty() && !has_source {
        return Err(SqlError::syntax(format!("table {} has neither columns nor options", table.name))
            .with_hint("CREATE TABLE t (id BIGINT, v TEXT)"));
    }
    let known: Vec<String> = table.columns.iter().map(|column| identifier_text(&column.name)).collect();
    if known.is_empty() || table.like.is_some() || table.query.is_some() {
        return Ok(());
    }
    let watermark = table.watermark.iter().map(|watermark| (&watermark.column, "WATERMARK FOR"));
    let key = table.primary_key.iter().map(|column| (column, "PRIMARY KEY"));
    for (column, clause) in watermark.chain(key) {
        let name = identifier_text(column);
        if known.contains(&name) {
            continue;
        }
        let message = format!("{clause} names column '{name}', which the table does not have");
        let err = SqlError::new(SqlErrorKind::UnknownColumn, message).with_span(column.span);
        return Err(match closest(&name, known.iter().map(String::as_str)) {
            Some(better) => err.with_hint(format!("did you mean '{better}'?")),
            None => err.with_hint(format!("columns are: {}", known.join(", "))),
        });
    }
    Ok(())
}
