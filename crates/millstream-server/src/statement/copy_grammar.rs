//! `COPY … TO …` and `COPY … FROM …`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::session_grammar::rows_of_text;
use super::split::Piece;
use super::words::Words;
use super::{Command, Rows, SubscribeOptions, engine_statement};
use crate::error::{Result, WireError};

/// Where COPY writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CopyTarget {
    Client,
    /// A file of the server, or a program there.
    Server(String),
}

/// Where COPY reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CopySource {
    Client,
    Server(String),
}

/// How rows look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopyFormat {
    Text,
    Csv,
    Binary,
}

/// What stands in `WITH (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyOptions {
    pub(crate) format: CopyFormat,
    pub(crate) delimiter: u8,
    pub(crate) null: String,
    pub(crate) header: bool,
    pub(crate) quote: u8,
    pub(crate) escape: u8,
}

/// What follows COPY.
pub(super) fn copy(piece: &Piece, words: &mut Words<'_>) -> Result<Command> {
    let from = words.at();
    if words.peek() == Some(&Token::LParen) {
        words.skip_brackets()?;
        let query = bracketed(piece, from, words.at())?;
        if !words.take(&["TO"]) {
            return Err(words.expected("TO"));
        }
        let target = target(words)?;
        return Ok(Command::CopyOut { query: Box::new(query), target, options: options(words)? });
    }
    let table = words.object_name()?;
    let table_end = words.at();
    let columns = columns(words)?;
    if words.take(&["TO"]) {
        let list = if columns.is_empty() { "*".to_owned() } else { columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ") };
        let text = format!("SELECT {list} FROM {}", piece.text_between(from, table_end));
        let query = Rows::Query(engine_statement(&text, piece.offset())?);
        let target = target(words)?;
        return Ok(Command::CopyOut { query: Box::new(query), target, options: options(words)? });
    }
    if !words.take(&["FROM"]) {
        return Err(words.expected("FROM or TO"));
    }
    let source = match () {
        () if words.take(&["STDIN"]) => CopySource::Client,
        () if words.take(&["PROGRAM"]) => CopySource::Server(words.text()?),
        () => CopySource::Server(words.text()?),
    };
    Ok(Command::CopyIn { table, columns, source, options: options(words)? })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `(query)` or `(SUBSCRIBE …)`
fn bracketed(piece: &Piece, from: usize, to: usize) -> Result<Rows> {
    let (_, offset) = piece.text_from(from + 1);
    let text = piece.text_between(from + 1, to - 1);
    let first: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    if !first.eq_ignore_ascii_case("SUBSCRIBE") {
        return rows_of_text(text, offset);
    }
    let inner = text.trim_start().get(first.len()..).unwrap_or_default().trim();
    let inner = inner.strip_prefix("TO ").or_else(|| inner.strip_prefix("to ")).unwrap_or(inner);
    let is_query =
        ["SELECT", "WITH", "VALUES", "("].iter().any(|word| inner.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)));
    let query = if is_query { inner.to_owned() } else { format!("SELECT * FROM {inner}") };
    Ok(Rows::Subscription { query: engine_statement(&query, offset)?, options: SubscribeOptions { snapshot: true } })
}

fn columns(words: &mut Words<'_>) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    if words.sign(&Token::LParen) {
        loop {
            columns.push(words.name()?);
            if !words.sign(&Token::Comma) {
                break;
            }
        }
        if !words.sign(&Token::RParen) {
            return Err(words.expected(")"));
        }
    }
    Ok(columns)
}

fn target(words: &mut Words<'_>) -> Result<CopyTarget> {
    match () {
        () if words.take(&["STDOUT"]) => Ok(CopyTarget::Client),
        () if words.take(&["PROGRAM"]) => Ok(CopyTarget::Server(words.text()?)),
        () => Ok(CopyTarget::Server(words.text()?)),
    }
}

/// `WITH (FORMAT csv, HEADER)` and the older `CSV HEADER DELIMITER ';'`.
fn options(words: &mut Words<'_>) -> Result<CopyOptions> {
    let mut read = Read::default();
    words.take(&["WITH"]);
    if words.sign(&Token::LParen) {
        loop {
            new_option(words, &mut read)?;
            if !words.sign(&Token::Comma) {
                break;
            }
        }
        if !words.sign(&Token::RParen) {
            return Err(words.expected(")"));
        }
    }
    while !words.is_end() {
        old_option(words, &mut read)?;
    }
    read.finish()
}

#[derive(Default)]
struct Read {
    format: Option<CopyFormat>,
    delimiter: Option<String>,
    null: Option<String>,
    header: bool,
    quote: Option<String>,
    escape: Option<String>,
}

fn new_option(words: &mut Words<'_>, read: &mut Read) -> Result<()> {
    let name = words.name()?;
    match name.as_str() {
        "format" => {
            read.format = Some(match words.value()?.to_lowercase().as_str() {
                "text" => CopyFormat::Text,
                "csv" => CopyFormat::Csv,
                "binary" => CopyFormat::Binary,
                other => return Err(WireError::new("22023", format!("COPY format \"{other}\" not recognized"))),
            });
        }
        "delimiter" => read.delimiter = Some(words.text()?),
        "null" => read.null = Some(words.text()?),
        "quote" => read.quote = Some(words.text()?),
        "escape" => read.escape = Some(words.text()?),
        "encoding" => {
            words.text()?;
        }
        "freeze" | "header" => {
            let value = match words.peek() {
                Some(Token::Comma | Token::RParen) => "true".to_owned(),
                _ => words.value()?.to_lowercase(),
            };
            if name == "header" {
                read.header = matches!(value.as_str(), "true" | "on" | "1" | "match");
            }
        }
        other => return Err(WireError::syntax(format!("option \"{other}\" not recognized"))),
    }
    Ok(())
}

fn old_option(words: &mut Words<'_>, read: &mut Read) -> Result<()> {
    match () {
        () if words.take(&["CSV"]) => read.format = Some(CopyFormat::Csv),
        () if words.take(&["BINARY"]) => read.format = Some(CopyFormat::Binary),
        () if words.take(&["HEADER"]) => read.header = true,
        () if words.take(&["DELIMITER"]) || words.take(&["DELIMITERS"]) => {
            words.take(&["AS"]);
            read.delimiter = Some(words.text()?);
        }
        () if words.take(&["NULL"]) => {
            words.take(&["AS"]);
            read.null = Some(words.text()?);
        }
        () if words.take(&["QUOTE"]) => {
            words.take(&["AS"]);
            read.quote = Some(words.text()?);
        }
        () if words.take(&["ESCAPE"]) => {
            words.take(&["AS"]);
            read.escape = Some(words.text()?);
        }
        () => return Err(words.expected("an option of COPY")),
    }
    Ok(())
}

impl Read {
    fn finish(self) -> Result<CopyOptions> {
        let format = self.format.unwrap_or(CopyFormat::Text);
        let is_csv = format == CopyFormat::Csv;
        let one = |text: Option<String>, default: u8, what: &str| match text.as_deref().map(str::as_bytes) {
            None => Ok(default),
            Some([byte]) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
            Some(_) => Err(WireError::unsupported(format!("COPY {what} must be a single one-byte character"))),
        };
        let quote = one(self.quote, b'"', "quote")?;
        Ok(CopyOptions {
            format,
            delimiter: one(self.delimiter, if is_csv { b',' } else { b'\t' }, "delimiter")?,
            null: self.null.unwrap_or_else(|| if is_csv { String::new() } else { "\\N".to_owned() }),
            header: self.header,
            quote,
            escape: one(self.escape, quote, "escape")?,
        })
    }
}
