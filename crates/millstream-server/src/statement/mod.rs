//! What clients send: statements of the engine, and those of a PostgreSQL session around them.
//!
//! A text is cut into statements by its tokens (`split`). One whose first words belong to the session (BEGIN, SET, DECLARE, COPY, …) is
//! read by `session_grammar` and `copy_grammar`; everything else is read by the engine's own parser.

mod copy_grammar;
mod session_grammar;
mod split;
mod words;

use datafusion::sql::sqlparser::ast;
use millstream::ParsedStatement;
use millstream_sql::parse::{Statement, parse};

use crate::error::{Result, WireError};
pub(crate) use copy_grammar::{CopyFormat, CopyOptions, CopySource, CopyTarget};
pub(crate) use split::split;

/// A statement with its place in what the client sent.
#[derive(Clone, Debug)]
pub(crate) struct WireStatement {
    pub(crate) text: String,
    /// Characters before it.
    pub(crate) offset: usize,
    pub(crate) command: Command,
}

/// What a statement asks for.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// The engine's.
    Engine(Box<ParsedStatement>),
    Transaction(TransactionCommand),
    Set {
        name: String,
        value: Option<String>,
        is_local: bool,
    },
    Show(String),
    Reset(Option<String>),
    Discard,
    Declare {
        name: String,
        with_hold: bool,
        query: Box<Rows>,
    },
    Fetch(Fetch),
    Close(Option<String>),
    CopyOut {
        query: Box<Rows>,
        target: CopyTarget,
        options: CopyOptions,
    },
    CopyIn {
        table: String,
        columns: Vec<String>,
        source: CopySource,
        options: CopyOptions,
    },
    Subscribe(Box<Rows>),
    Prepare {
        name: String,
        types: Vec<String>,
        statement: Box<WireStatement>,
    },
    Execute {
        name: String,
        arguments: Vec<String>,
    },
    Deallocate(Option<String>),
    /// Asks for nothing that has an effect here; answered with its tag.
    NoEffect {
        tag: &'static str,
    },
    Role(RoleCommand),
}

/// Where rows come from.
#[derive(Clone, Debug)]
pub(crate) enum Rows {
    /// A query, or SHOW, DESCRIBE and their like.
    Query(ParsedStatement),
    /// `SUBSCRIBE`: rows as they come, each with its operation, for as long as the client listens.
    Subscription { query: ParsedStatement, options: SubscribeOptions },
}

/// `WITH (SNAPSHOT = …, PROGRESS = …)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubscribeOptions {
    /// Rows that are there already come first.
    pub(crate) snapshot: bool,
}

/// BEGIN and its kin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TransactionCommand {
    Begin {
        read_only: Option<bool>,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    /// `SET TRANSACTION …`
    Mode {
        read_only: Option<bool>,
    },
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION …`
    DefaultMode {
        read_only: Option<bool>,
    },
}

/// `FETCH`, or `MOVE`, which shows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetch {
    pub(crate) cursor: String,
    /// `None`: all that is left.
    pub(crate) rows: Option<u64>,
    pub(crate) shows_rows: bool,
    /// How long to wait for rows of a subscription.
    pub(crate) timeout_ms: Option<u64>,
}

/// Statements about users.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum RoleCommand {
    Create { name: String, password: Option<String>, login: bool, superuser: bool },
    Alter { name: String, password: Option<String>, login: Option<bool>, superuser: Option<bool> },
    Drop { name: String, if_exists: bool },
    Grant { role: String, member: String },
    Revoke { role: String, member: String },
}

impl std::fmt::Debug for RoleCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the password.
        f.write_str(match self {
            Self::Create { .. } => "CREATE ROLE",
            Self::Alter { .. } => "ALTER ROLE",
            Self::Drop { .. } => "DROP ROLE",
            Self::Grant { .. } => "GRANT",
            Self::Revoke { .. } => "REVOKE",
        })
    }
}

/// Reads everything that a client sent; nothing runs if any of it is wrong.
pub(crate) fn read_all(sql: &str) -> Result<Vec<WireStatement>> {
    split(sql)?.into_iter().map(|piece| piece.read()).collect()
}

/// Reads a statement of the engine.
pub(crate) fn engine_statement(text: &str, offset: usize) -> Result<ParsedStatement> {
    let mut statements = parse(text).map_err(|error| WireError::of_engine(&error.into(), text, offset))?;
    match statements.len() {
        1 => Ok(statements.remove(0)),
        count => Err(WireError::syntax(format!("one statement is expected: got {count}"))),
    }
}

impl WireStatement {
    /// True if it changes something that outlives the session.
    pub(crate) fn writes(&self) -> bool {
        match &self.command {
            Command::Engine(parsed) => {
                !gives_rows(&parsed.statement) && !matches!(parsed.statement, Statement::Set(_) | Statement::Reset(_))
            }
            Command::CopyIn { .. } | Command::Role(_) => true,
            _ => false,
        }
    }

    /// The first words, for `COMMAND cannot be executed …`.
    pub(crate) fn tag(&self) -> String {
        let words = self.text.split_whitespace().take_while(|word| word.chars().all(|c| c.is_ascii_alphabetic()));
        words.take(2).map(str::to_uppercase).collect::<Vec<_>>().join(" ")
    }
}

/// True if the statement's outcome is rows.
pub(crate) fn gives_rows(statement: &Statement) -> bool {
    matches!(statement, Statement::Query(_) | Statement::Show(_) | Statement::Describe(_) | Statement::Explain(_))
}

/// The name without quotes, in lower case unless quoted.
pub(crate) fn name_text(ident: &ast::Ident) -> String {
    millstream_sql::parse::identifier_text(ident)
}
