//! Statements of a PostgreSQL session: transactions, settings, cursors, prepared statements, roles.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::copy_grammar::copy;
use super::role_grammar::role;
use super::split::Piece;
use super::words::Words;
use super::{Command, Fetch, IsolationLevel, Modes, Rows, SubscribeOptions, TransactionCommand, WireStatement, engine_statement, split};
use crate::error::{Result, WireError};

/// A statement of the session; `None`: it is the engine's.
pub(super) fn read(piece: &Piece) -> Result<Option<Command>> {
    let mut words = piece.words();
    if words.are(&["BEGIN", "STATEMENT", "SET"]) || words.are(&["EXECUTE", "STATEMENT", "SET"]) {
        return Ok(None);
    }
    if let Some(command) = transaction(&mut words)? {
        words.end().map_err(|error| placed(error, piece))?;
        return Ok(Some(Command::Transaction(command)));
    }
    let command = match () {
        () if words.take(&["SET"]) => set(piece, &mut words)?,
        () if words.take(&["SHOW"]) => return Ok(show(words)),
        () if words.take(&["RESET"]) => reset(&mut words)?,
        () if words.take(&["DISCARD"]) => discard(&mut words)?,
        () if words.take(&["DECLARE"]) => declare(piece, &mut words)?,
        () if words.take(&["FETCH"]) => Command::Fetch(fetch(&mut words, true)?),
        () if words.take(&["MOVE"]) => Command::Fetch(fetch(&mut words, false)?),
        () if words.take(&["CLOSE"]) => Command::Close(if words.take(&["ALL"]) { None } else { Some(words.name()?) }),
        () if words.take(&["COPY"]) => copy(piece, &mut words)?,
        () if words.take(&["SUBSCRIBE"]) => return subscription(piece, words).map(|rows| Some(Command::Subscribe(Box::new(rows)))),
        () if words.are(&["INSERT", "INTO"]) => return insert_returning(piece, words),
        () if words.take(&["PREPARE"]) => return prepare(piece, words).map(Some),
        () if words.take(&["EXECUTE"]) => return execute(piece, words).map(Some),
        () if words.take(&["DEALLOCATE"]) => {
            words.take(&["PREPARE"]);
            Command::Deallocate(if words.take(&["ALL"]) { None } else { Some(words.name()?) })
        }
        () => match role(&mut words)? {
            Some(command) => command,
            None => return Ok(no_effect(&words)),
        },
    };
    words.end().map_err(|error| placed(error, piece))?;
    Ok(Some(command))
}

fn placed(mut error: WireError, piece: &Piece) -> WireError {
    error.position.get_or_insert(piece.offset() + 1);
    error
}

/// Statements that clients send and that mean nothing here.
fn no_effect(words: &Words<'_>) -> Option<Command> {
    const KNOWN: &[(&str, &str)] =
        &[("LISTEN", "LISTEN"), ("UNLISTEN", "UNLISTEN"), ("ANALYZE", "ANALYZE"), ("VACUUM", "VACUUM"), ("LOCK", "LOCK TABLE")];
    KNOWN.iter().find(|(word, _)| words.are(&[word])).map(|(_, tag)| Command::NoEffect { tag })
}

fn transaction(words: &mut Words<'_>) -> Result<Option<TransactionCommand>> {
    let block = |words: &mut Words<'_>| {
        let _ = words.take(&["TRANSACTION"]) || words.take(&["WORK"]);
    };
    let command = if words.take(&["BEGIN"]) || words.take(&["START", "TRANSACTION"]) {
        block(words);
        TransactionCommand::Begin(modes(words)?)
    } else if words.take(&["COMMIT"]) || words.take(&["END"]) {
        block(words);
        TransactionCommand::Commit { chain: chain(words) }
    } else if words.take(&["ROLLBACK"]) || words.take(&["ABORT"]) {
        block(words);
        if words.take(&["TO"]) {
            words.take(&["SAVEPOINT"]);
            TransactionCommand::RollbackTo(words.name()?)
        } else {
            TransactionCommand::Rollback { chain: chain(words) }
        }
    } else if words.take(&["SAVEPOINT"]) {
        TransactionCommand::Savepoint(words.name()?)
    } else if words.take(&["RELEASE"]) {
        words.take(&["SAVEPOINT"]);
        TransactionCommand::Release(words.name()?)
    } else if words.take(&["SET", "TRANSACTION"]) {
        TransactionCommand::Mode(modes(words)?)
    } else if words.take(&["SET", "SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"]) {
        TransactionCommand::DefaultMode(modes(words)?)
    } else {
        return Ok(None);
    };
    Ok(Some(command))
}

fn chain(words: &mut Words<'_>) -> bool {
    !words.take(&["AND", "NO", "CHAIN"]) && words.take(&["AND", "CHAIN"])
}

/// `ISOLATION LEVEL …, READ ONLY, DEFERRABLE`
fn modes(words: &mut Words<'_>) -> Result<Modes> {
    let mut modes = Modes::default();
    while !words.is_end() {
        if words.take(&["READ", "ONLY"]) {
            modes.read_only = Some(true);
        } else if words.take(&["READ", "WRITE"]) {
            modes.read_only = Some(false);
        } else if words.take(&["ISOLATION", "LEVEL"]) {
            modes.isolation = Some(match () {
                () if words.take(&["SERIALIZABLE"]) => IsolationLevel::Serializable,
                () if words.take(&["REPEATABLE", "READ"]) => IsolationLevel::RepeatableRead,
                () if words.take(&["READ", "COMMITTED"]) => IsolationLevel::ReadCommitted,
                () if words.take(&["READ", "UNCOMMITTED"]) => IsolationLevel::ReadUncommitted,
                () => return Err(words.expected("an isolation level")),
            });
        } else if !(words.take(&["NOT", "DEFERRABLE"]) || words.take(&["DEFERRABLE"]) || words.sign(&Token::Comma)) {
            return Err(words.expected("a transaction mode"));
        }
    }
    Ok(modes)
}

fn set(piece: &Piece, words: &mut Words<'_>) -> Result<Command> {
    let is_local = words.take(&["LOCAL"]);
    if !is_local {
        words.take(&["SESSION"]);
    }
    let name = if words.take(&["TIME", "ZONE"]) {
        let value = if words.take(&["LOCAL"]) || words.take(&["DEFAULT"]) { None } else { Some(zone(words)?) };
        return Ok(Command::Set { name: "timezone".to_owned(), value, is_local });
    } else if words.take(&["NAMES"]) {
        return Ok(Command::Set { name: "client_encoding".to_owned(), value: Some(words.value()?), is_local });
    } else if words.take(&["AUTHORIZATION"]) {
        return Ok(Command::Set { name: "session_authorization".to_owned(), value: Some(words.value()?), is_local });
    } else if words.take(&["ROLE"]) {
        return Ok(Command::Set { name: "role".to_owned(), value: Some(words.value()?), is_local });
    } else {
        setting_name(words)?
    };
    if !words.sign(&Token::Eq) && !words.take(&["TO"]) {
        return Err(placed(words.expected("= or TO"), piece));
    }
    if words.take(&["DEFAULT"]) {
        return Ok(Command::Set { name, value: None, is_local });
    }
    let mut parts = vec![words.value()?];
    while words.sign(&Token::Comma) {
        parts.push(words.value()?);
    }
    // `SET transaction_isolation TO READ COMMITTED`
    while let Some(Token::Word(word)) = words.peek() {
        words.skip();
        if let Some(last) = parts.last_mut() {
            last.push(' ');
            last.push_str(&word.value);
        }
    }
    Ok(Command::Set { name, value: Some(parts.join(", ")), is_local })
}

/// A zone's name, its hours, or `INTERVAL '+01:00'`.
fn zone(words: &mut Words<'_>) -> Result<String> {
    if words.take(&["INTERVAL"]) {
        let text = words.text()?;
        while let Some(Token::Word(_)) = words.peek() {
            words.skip();
        }
        return Ok(text);
    }
    words.value()
}

/// `a`, `a.b`, `execution.runtime-mode` or `'a.b'`
fn setting_name(words: &mut Words<'_>) -> Result<String> {
    if let Ok(name) = words.text() {
        return Ok(name);
    }
    let mut name = words.name()?;
    loop {
        let sign = if words.sign(&Token::Period) {
            '.'
        } else if words.sign(&Token::Minus) {
            '-'
        } else {
            return Ok(name);
        };
        name.push(sign);
        name.push_str(&words.name()?);
    }
}

/// SHOW of a setting; the engine's own SHOWs are more than one word or its nouns.
fn show(mut words: Words<'_>) -> Option<Command> {
    const NOUNS: &[&str] = &[
        "TABLES",
        "SOURCES",
        "STREAMS",
        "VIEWS",
        "PIPELINES",
        "SINKS",
        "MODELS",
        "SECRETS",
        "FUNCTIONS",
        "MATERIALIZED",
        "CHECKPOINTS",
        "CREATE",
        "COLUMNS",
    ];
    if NOUNS.iter().any(|noun| words.are(&[noun])) {
        return None;
    }
    if words.take(&["TIME", "ZONE"]) {
        return Some(Command::Show("timezone".to_owned()));
    }
    if words.take(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
        return Some(Command::Show("transaction_isolation".to_owned()));
    }
    if words.take(&["SESSION", "AUTHORIZATION"]) {
        return Some(Command::Show("session_authorization".to_owned()));
    }
    let name = setting_name(&mut words).ok()?;
    words.is_end().then_some(Command::Show(name))
}

fn reset(words: &mut Words<'_>) -> Result<Command> {
    if words.take(&["ALL"]) {
        return Ok(Command::Reset(None));
    }
    if words.take(&["SESSION", "AUTHORIZATION"]) {
        return Ok(Command::Reset(Some("session_authorization".to_owned())));
    }
    if words.take(&["TIME", "ZONE"]) {
        return Ok(Command::Reset(Some("timezone".to_owned())));
    }
    Ok(Command::Reset(Some(setting_name(words)?)))
}

fn discard(words: &mut Words<'_>) -> Result<Command> {
    match () {
        () if words.take(&["ALL"]) => Ok(Command::Discard),
        () if words.take(&["PLANS"]) => Ok(Command::NoEffect { tag: "DISCARD PLANS" }),
        () if words.take(&["SEQUENCES"]) => Ok(Command::NoEffect { tag: "DISCARD SEQUENCES" }),
        () if words.take(&["TEMP"]) || words.take(&["TEMPORARY"]) => Ok(Command::NoEffect { tag: "DISCARD TEMP" }),
        () => Err(words.expected("ALL, PLANS, SEQUENCES or TEMP")),
    }
}

fn declare(piece: &Piece, words: &mut Words<'_>) -> Result<Command> {
    let name = words.name()?;
    loop {
        let option =
            words.take(&["BINARY"]) || words.take(&["INSENSITIVE"]) || words.take(&["ASENSITIVE"]) || words.take(&["NO", "SCROLL"]);
        if words.take(&["SCROLL"]) {
            // Rows come once; a client that moves backwards is told so then.
            continue;
        }
        if !option {
            break;
        }
    }
    if !words.take(&["CURSOR"]) {
        return Err(words.expected("CURSOR"));
    }
    let with_hold = !words.take(&["WITHOUT", "HOLD"]) && words.take(&["WITH", "HOLD"]);
    if !words.take(&["FOR"]) {
        return Err(words.expected("FOR"));
    }
    let query = rows_from(piece, *words)?;
    while !words.is_end() {
        words.skip();
    }
    Ok(Command::Declare { name, with_hold, query: Box::new(query) })
}

/// The rest of the statement: a query or a subscription.
fn rows_from(piece: &Piece, mut words: Words<'_>) -> Result<Rows> {
    if words.take(&["SUBSCRIBE"]) {
        return subscription(piece, words);
    }
    let (text, offset) = piece.text_from(words.at());
    rows_of_text(text, offset)
}

/// A text that must give rows.
pub(super) fn rows_of_text(text: &str, offset: usize) -> Result<Rows> {
    let parsed = engine_statement(text, offset)?;
    match super::gives_rows(&parsed.statement) {
        true => Ok(Rows::Query(parsed)),
        false => Err(WireError::syntax("a query is expected here")),
    }
}

/// What follows SUBSCRIBE: `[TO] name | (query) | query`, then `[WITH (SNAPSHOT [= bool], RESUME = 'token')]`.
pub(super) fn subscription(piece: &Piece, mut words: Words<'_>) -> Result<Rows> {
    words.take(&["TO"]);
    let mut options = SubscribeOptions::default();
    let from = words.at();
    let (text, offset) = if words.are(&["SELECT"]) || words.are(&["WITH"]) || words.are(&["VALUES"]) {
        let (text, offset) = piece.text_from(from);
        (text.to_owned(), offset)
    } else if words.peek() == Some(&Token::LParen) {
        words.skip_brackets()?;
        let text = piece.text_between(from, words.at()).to_owned();
        (text, piece.text_from(from).1)
    } else {
        words.name()?;
        while words.sign(&Token::Period) {
            words.name()?;
        }
        (format!("SELECT * FROM {}", piece.text_between(from, words.at())), piece.offset())
    };
    let is_whole = words.at() == from;
    if !is_whole && words.take(&["WITH"]) {
        options = subscribe_options(&mut words)?;
    }
    if !is_whole {
        words.end()?;
    }
    Ok(Rows::Subscription { query: engine_statement(&text, offset)?, options })
}

/// `(SNAPSHOT [= true | false], RESUME = 'token')`
fn subscribe_options(words: &mut Words<'_>) -> Result<SubscribeOptions> {
    let open = words.sign(&Token::LParen);
    let mut options = SubscribeOptions::default();
    loop {
        if words.take(&["SNAPSHOT"]) {
            let is_said = words.sign(&Token::Eq) || matches!(words.peek(), Some(Token::Word(_)));
            options.snapshot = !is_said || matches!(words.value()?.to_ascii_lowercase().as_str(), "true" | "on" | "1");
        } else if words.take(&["RESUME"]) {
            words.sign(&Token::Eq);
            options.resume = Some(words.text()?);
        } else {
            return Err(words.expected("SNAPSHOT or RESUME"));
        }
        if !words.sign(&Token::Comma) {
            break;
        }
    }
    match open && !words.sign(&Token::RParen) {
        true => Err(words.expected(")")),
        false => Ok(options),
    }
}

fn fetch(words: &mut Words<'_>, shows_rows: bool) -> Result<Fetch> {
    let backwards = ["BACKWARD", "PRIOR", "LAST", "ABSOLUTE", "RELATIVE", "FIRST"];
    if backwards.iter().any(|word| words.are(&[word])) {
        return Err(
            WireError::new("55000", "cursor can only scan forward").with_hint("FETCH [FORWARD] n FROM cursor, FETCH NEXT, FETCH ALL")
        );
    }
    let mut rows = Some(1);
    let _ = words.take(&["FORWARD"]) || words.take(&["NEXT"]);
    if words.take(&["ALL"]) {
        rows = None;
    } else if let Some(count) = words.number() {
        rows = Some(count);
    } else if words.peek() == Some(&Token::Minus) {
        return Err(WireError::new("55000", "cursor can only scan forward"));
    }
    let _ = words.take(&["FROM"]) || words.take(&["IN"]);
    let cursor = words.name()?;
    let timeout_ms = match words.take(&["WITH"]) {
        true => Some(timeout_option(words)?),
        false => None,
    };
    Ok(Fetch { cursor, rows, shows_rows, timeout_ms })
}

/// `(timeout = '1s')`
fn timeout_option(words: &mut Words<'_>) -> Result<u64> {
    if !(words.sign(&Token::LParen) && words.take(&["TIMEOUT"])) {
        return Err(words.expected("(timeout = '1s')"));
    }
    words.sign(&Token::Eq);
    let text = words.value()?;
    if !words.sign(&Token::RParen) {
        return Err(words.expected(")"));
    }
    crate::settings::milliseconds(&text).ok_or_else(|| WireError::new("22023", format!("invalid value for timeout: \"{text}\"")))
}

fn prepare(piece: &Piece, mut words: Words<'_>) -> Result<Command> {
    let name = words.name()?;
    let mut types = Vec::new();
    if words.sign(&Token::LParen) {
        loop {
            let mut text = words.value()?;
            while !matches!(words.peek(), Some(Token::Comma | Token::RParen) | None) {
                let from = words.at();
                words.skip();
                text.push(' ');
                text.push_str(piece.text_between(from, words.at()));
            }
            types.push(text.replace(" [", "[").replace("[ ]", "[]"));
            if !words.sign(&Token::Comma) {
                break;
            }
        }
        if !words.sign(&Token::RParen) {
            return Err(words.expected(")"));
        }
    }
    if !words.take(&["AS"]) {
        return Err(words.expected("AS"));
    }
    let (text, offset) = piece.text_from(words.at());
    let statement = inner_statement(text, offset)?;
    Ok(Command::Prepare { name, types, statement: Box::new(statement) })
}

/// `INSERT … RETURNING list` as two statements; `None`: it returns nothing.
fn insert_returning(piece: &Piece, mut words: Words<'_>) -> Result<Option<Command>> {
    words.skip();
    words.skip();
    let name_from = words.at();
    let Ok(table) = words.object_name() else { return Ok(None) };
    let name = piece.text_between(name_from, words.at()).to_owned();
    while !words.is_end() && !words.are(&["RETURNING"]) {
        match words.peek() {
            Some(Token::LParen) => words.skip_brackets()?,
            _ => words.skip(),
        }
    }
    let end = words.at();
    if !words.take(&["RETURNING"]) {
        return Ok(None);
    }
    let (list, offset) = piece.text_from(words.at());
    let insert = engine_statement(piece.text_between(0, end), piece.offset())?;
    let rows = engine_statement(&format!("SELECT {list} FROM {name}"), offset.saturating_sub("SELECT ".len()))?;
    Ok(Some(Command::InsertReturning { insert: Box::new(insert), table, rows: Box::new(rows) }))
}

fn inner_statement(text: &str, offset: usize) -> Result<WireStatement> {
    let mut inner = split(text)?;
    match (inner.pop(), inner.is_empty()) {
        (Some(piece), true) => piece.read().map(|statement| WireStatement { offset: statement.offset + offset, ..statement }),
        _ => Err(WireError::syntax("a statement is expected here")),
    }
}

fn execute(piece: &Piece, mut words: Words<'_>) -> Result<Command> {
    let name = words.name()?;
    let mut arguments = Vec::new();
    if words.sign(&Token::LParen) {
        loop {
            let from = words.at();
            while !matches!(words.peek(), Some(Token::Comma | Token::RParen) | None) {
                match words.peek() {
                    Some(Token::LParen) => words.skip_brackets()?,
                    _ => words.skip(),
                }
            }
            arguments.push(piece.text_between(from, words.at()).to_owned());
            if !words.sign(&Token::Comma) {
                break;
            }
        }
        if !words.sign(&Token::RParen) {
            return Err(words.expected(")"));
        }
    }
    words.end()?;
    Ok(Command::Execute { name, arguments })
}
