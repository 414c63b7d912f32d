//! What clients send: statements of the engine, and those of a PostgreSQL session around them.
//!
//! A text is cut into statements by its tokens (`split`). One whose first words belong to the session (BEGIN, SET, DECLARE, COPY, …) is
//! read by `session_grammar` and `copy_grammar`; everything else is read by the engine's own parser.

mod copy_grammar;
mod role_grammar;
mod session_grammar;
mod split;
mod words;

use datafusion::sql::sqlparser::ast;
use millstream::ParsedStatement;
use millstream_sql::parse::{Statement, parse};

use crate::error::{Result, WireError};
use crate::security::{Object, Privilege};
pub(crate) use copy_grammar::{CopyFormat, CopyOptions, CopySource, CopyTarget, Header};
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
    /// `INSERT … RETURNING list`
    InsertReturning {
        insert: Box<ParsedStatement>,
        table: String,
        /// `SELECT list FROM table`
        rows: Box<ParsedStatement>,
    },
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

/// `WITH (SNAPSHOT = …, RESUME = …)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubscribeOptions {
    /// Rows that are there already come first.
    pub(crate) snapshot: bool,
    /// The token of the last row that the client has.
    pub(crate) resume: Option<String>,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self { snapshot: true, resume: None }
    }
}

/// `ISOLATION LEVEL …`, `READ ONLY`; `None`: not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Modes {
    pub(crate) read_only: Option<bool>,
    pub(crate) isolation: Option<IsolationLevel>,
}

/// What is seen of others; two and two of them mean the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl IsolationLevel {
    const ALL: [Self; 4] = [Self::ReadUncommitted, Self::ReadCommitted, Self::RepeatableRead, Self::Serializable];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read uncommitted",
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn of_engine(self) -> millstream::Isolation {
        match self {
            Self::ReadUncommitted | Self::ReadCommitted => millstream::Isolation::Statement,
            Self::RepeatableRead | Self::Serializable => millstream::Isolation::Transaction,
        }
    }
}

/// BEGIN and its kin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TransactionCommand {
    Begin(Modes),
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
    Mode(Modes),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION …`
    DefaultMode(Modes),
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
    Create {
        name: String,
        password: Option<String>,
        login: bool,
        superuser: bool,
        member_of: Vec<String>,
    },
    Alter {
        name: String,
        password: Option<String>,
        login: Option<bool>,
        superuser: Option<bool>,
    },
    Drop {
        names: Vec<String>,
        if_exists: bool,
    },
    /// `GRANT roles TO members`, or REVOKE.
    Members {
        roles: Vec<String>,
        members: Vec<String>,
        grants: bool,
    },
    /// `GRANT privileges ON objects TO roles`, or REVOKE; `None`: all that there are. The table `*` is all tables.
    Privileges {
        privileges: Option<Vec<Privilege>>,
        objects: Vec<Object>,
        roles: Vec<String>,
        grants: bool,
    },
    /// `ALTER … OWNER TO role`
    Owner {
        object: Object,
        role: String,
        tag: &'static str,
    },
    /// `REASSIGN OWNED BY roles TO role`
    Reassign {
        from: Vec<String>,
        to: String,
    },
}

impl std::fmt::Debug for RoleCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the password.
        f.write_str(match self {
            Self::Create { .. } => "CREATE ROLE",
            Self::Alter { .. } => "ALTER ROLE",
            Self::Drop { .. } => "DROP ROLE",
            Self::Members { grants, .. } | Self::Privileges { grants, .. } => match grants {
                true => "GRANT",
                false => "REVOKE",
            },
            Self::Owner { tag, .. } => tag,
            Self::Reassign { .. } => "REASSIGN OWNED",
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
            Command::CopyIn { .. } | Command::Role(_) | Command::InsertReturning { .. } => true,
            _ => false,
        }
    }

    /// True if it puts rows into a table, which a transaction can take back.
    pub(crate) fn keeps_rows(&self) -> bool {
        match &self.command {
            Command::Engine(parsed) => matches!(parsed.statement, Statement::Insert(_)),
            Command::CopyIn { .. } | Command::InsertReturning { .. } => true,
            _ => false,
        }
    }

    /// True if it may look at tables.
    pub(crate) fn looks(&self) -> bool {
        self.keeps_rows() || matches!(&self.command, Command::Engine(_) | Command::Declare { .. } | Command::CopyOut { .. })
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
