//! `COPY … TO …` and `COPY … FROM …`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::session_grammar::{rows_of_text, subscription};
use super::split::{Piece, split};
use super::words::Words;
use super::{Command, Rows, engine_statement};
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
    pub(crate) header: Header,
    pub(crate) quote: u8,
    pub(crate) escape: u8,
    pub(crate) force_quote: ForceQuote,
    /// Columns in which a quoted null string is NULL too.
    pub(crate) force_null: Vec<String>,
    /// Columns in which nothing is NULL.
    pub(crate) force_not_null: Vec<String>,
}

/// Whether there is a line of names first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Header {
    #[default]
    Absent,
    Present,
    /// And they must be those of the columns.
    Match,
}

/// Which columns are quoted whatever is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ForceQuote {
    #[default]
    None,
    All,
    Columns(Vec<String>),
}

impl ForceQuote {
    pub(crate) fn has(&self, column: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Columns(columns) => columns.iter().any(|name| name == column),
        }
    }
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
    match first.eq_ignore_ascii_case("SUBSCRIBE") {
        false => rows_of_text(text, offset),
        true => inner_rows(text, offset),
    }
}

/// What stands in brackets and begins with SUBSCRIBE.
fn inner_rows(text: &str, offset: usize) -> Result<Rows> {
    let mut pieces = split(text)?;
    let (Some(piece), true) = (pieces.pop(), pieces.is_empty()) else { return Err(WireError::syntax("a subscription is expected here")) };
    let mut words = piece.words();
    words.take(&["SUBSCRIBE"]);
    match subscription(&piece, words)? {
        Rows::Subscription { mut query, options } => {
            query.offset += offset;
            Ok(Rows::Subscription { query, options })
        }
        rows => Ok(rows),
    }
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

/// Names without brackets, as the older spelling has them.
fn plain_columns(words: &mut Words<'_>) -> Result<Vec<String>> {
    let mut columns = vec![words.name()?];
    while words.sign(&Token::Comma) {
        columns.push(words.name()?);
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
    header: Header,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: ForceQuote,
    force_null: Vec<String>,
    force_not_null: Vec<String>,
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
            let encoding = words.value()?;
            if !["utf8", "utf-8", "unicode"].contains(&encoding.to_lowercase().as_str()) {
                return Err(WireError::unsupported(format!("COPY in the encoding \"{encoding}\" is not supported")).with_hint("UTF8"));
            }
        }
        "force_quote" if words.sign(&Token::Mul) => read.force_quote = ForceQuote::All,
        "force_quote" => read.force_quote = ForceQuote::Columns(columns(words)?),
        "force_null" => read.force_null = columns(words)?,
        "force_not_null" => read.force_not_null = columns(words)?,
        "freeze" | "header" => {
            let value = match words.peek() {
                Some(Token::Comma | Token::RParen) => "true".to_owned(),
                _ => words.value()?.to_lowercase(),
            };
            if name == "header" {
                read.header = match value.as_str() {
                    "true" | "on" | "1" => Header::Present,
                    "match" => Header::Match,
                    "false" | "off" | "0" => Header::Absent,
                    _ => return Err(WireError::syntax("header requires a Boolean value or \"match\"")),
                };
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
        () if words.take(&["HEADER"]) => read.header = Header::Present,
        () if words.take(&["FORCE", "QUOTE"]) => {
            read.force_quote = if words.sign(&Token::Mul) { ForceQuote::All } else { ForceQuote::Columns(plain_columns(words)?) };
        }
        () if words.take(&["FORCE", "NOT", "NULL"]) => read.force_not_null = plain_columns(words)?,
        () if words.take(&["FORCE", "NULL"]) => read.force_null = plain_columns(words)?,
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
        let forces = self.force_quote != ForceQuote::None || !self.force_null.is_empty() || !self.force_not_null.is_empty();
        if forces && !is_csv {
            return Err(WireError::unsupported("COPY force quote and force null are available only in CSV mode"));
        }
        let quote = one(self.quote, b'"', "quote")?;
        Ok(CopyOptions {
            format,
            delimiter: one(self.delimiter, if is_csv { b',' } else { b'\t' }, "delimiter")?,
            null: self.null.unwrap_or_else(|| if is_csv { String::new() } else { "\\N".to_owned() }),
            header: self.header,
            quote,
            escape: one(self.escape, quote, "escape")?,
            force_quote: self.force_quote,
            force_null: self.force_null,
            force_not_null: self.force_not_null,
        })
    }
}
