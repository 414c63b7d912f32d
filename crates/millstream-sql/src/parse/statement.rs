//! What a statement says, before anything is looked up in a catalog.
//!
//! Queries and expressions stay sqlparser's AST; everything around them is our own. Text that must survive a restart
//! (the query of a view, a computed column) is kept as the user wrote it.

use datafusion::sql::sqlparser::ast::{DataType, Expr, Ident, ObjectName, Query};
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::error::{SqlError, SqlErrorKind, SqlResult};

use super::interval;
use super::model_statement::{AlterModel, CreateModel, ExportModel};

/// One statement of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedStatement {
    /// The statement's own source, without comments around it and without the semicolon. Spans in `statement` count
    /// from its start.
    pub text: String,
    /// What it says.
    pub statement: Statement,
    /// Byte offset of `text` in the script.
    pub offset: usize,
    /// Line of the script at which `text` starts, from 1.
    pub line: u64,
    /// Column in characters at which `text` starts, from 1.
    pub column: u64,
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Statement {
    /// `CREATE TABLE | SOURCE | STREAM`.
    CreateTable(Box<CreateTable>),
    /// `CREATE [MATERIALIZED] VIEW`.
    CreateView(Box<CreateView>),
    /// `CREATE SINK`.
    CreateSink(Box<CreateSink>),
    /// `CREATE SECRET`.
    CreateSecret(CreateSecret),
    /// `CREATE MODEL`.
    CreateModel(Box<CreateModel>),
    /// `ALTER MODEL m SET VERSION n`.
    AlterModel(AlterModel),
    /// `EXPORT MODEL m TO 'file'`.
    ExportModel(ExportModel),
    /// `INSERT INTO t SELECT …` and `INSERT INTO t VALUES …`.
    Insert(Insert),
    /// `BEGIN STATEMENT SET; …; END` and `EXECUTE STATEMENT SET BEGIN … END`.
    StatementSet(Vec<Insert>),
    /// `DROP …`.
    Drop(Drop),
    /// `SHOW …`.
    Show(ShowKind),
    /// `DESCRIBE t`.
    Describe(ObjectName),
    /// `DESCRIBE MODEL m`.
    DescribeModel(ObjectName),
    /// `SET name = value`.
    Set(SetOption),
    /// `RESET name`; `None` is `RESET ALL`.
    Reset(Option<String>),
    /// `EXPLAIN …`.
    Explain(Explain),
    /// A query.
    Query(SelectQuery),
    /// `PAUSE | RESUME | CHECKPOINT | RESTORE PIPELINE …`.
    Pipeline(PipelineCommand),
    /// `FLUSH`: wait until everything inserted so far is visible.
    Flush,
    /// SQL that parses but that this engine does not run.
    Other(Other),
}

impl Statement {
    /// The options in its `WITH (…)`.
    pub fn options(&self) -> &[WithOption] {
        match self {
            Self::CreateTable(create) => &create.options,
            Self::CreateView(create) => &create.options,
            Self::CreateModel(create) => &create.options,
            Self::CreateSink(create) => match &create.target {
                SinkTarget::Options(options) => options,
                SinkTarget::Into(_) => &[],
            },
            Self::Explain(explain) => explain.statement.options(),
            _ => &[],
        }
    }

    /// The same, to be changed.
    pub fn options_mut(&mut self) -> &mut [WithOption] {
        match self {
            Self::CreateTable(create) => &mut create.options,
            Self::CreateView(create) => &mut create.options,
            Self::CreateModel(create) => &mut create.options,
            Self::CreateSink(create) => match &mut create.target {
                SinkTarget::Options(options) => options,
                SinkTarget::Into(_) => &mut [],
            },
            Self::Explain(explain) => explain.statement.options_mut(),
            _ => &mut [],
        }
    }
}

/// Which word after CREATE introduced a table; all three mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the words")]
pub enum TableWord {
    Table,
    Source,
    Stream,
}

/// `CREATE [OR REPLACE] [TEMPORARY] TABLE [IF NOT EXISTS] name (…) [WITH (…)] [AS query]`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    /// The table.
    pub name: ObjectName,
    /// The word it was declared with.
    pub word: TableWord,
    /// `OR REPLACE`
    pub or_replace: bool,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// `TEMPORARY`
    pub temporary: bool,
    /// Columns in order; empty if the schema comes from the connector, from `like` or from `query`.
    pub columns: Vec<Column>,
    /// `WATERMARK FOR …`
    pub watermark: Option<Watermark>,
    /// `PRIMARY KEY (…)`; empty without one.
    pub primary_key: Vec<Ident>,
    /// `LIKE t`
    pub like: Option<ObjectName>,
    /// `APPEND ONLY`
    pub append_only: bool,
    /// `COMMENT '…'`
    pub comment: Option<String>,
    /// `WITH (…)`
    pub options: Vec<WithOption>,
    /// `AS SELECT …`
    pub query: Option<QueryText>,
}

/// A column of `CREATE TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The column's name.
    pub name: Ident,
    /// Where its values come from.
    pub kind: ColumnKind,
    /// `NOT NULL`, or part of an inline `PRIMARY KEY`.
    pub not_null: bool,
    /// `COMMENT '…'`
    pub comment: Option<String>,
}

/// Where a column's values come from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ColumnKind {
    /// The record itself.
    Physical {
        /// See [`super::arrow_type`].
        data_type: DataType,
    },
    /// `name AS expr`
    Computed {
        /// The expression.
        expr: Box<Expr>,
        /// Its source.
        text: String,
    },
    /// `name TYPE METADATA [FROM 'key'] [VIRTUAL]`
    Metadata {
        /// The declared type.
        data_type: DataType,
        /// The connector's key; `None` means the column's name.
        key: Option<String>,
        /// `VIRTUAL`: not written back by a sink.
        is_virtual: bool,
    },
    /// `name AS PROCTIME()`
    ProcessingTime,
}

/// `WATERMARK FOR column [AS expr]`
#[derive(Debug, Clone, PartialEq)]
pub struct Watermark {
    /// The event-time column.
    pub column: Ident,
    /// The expression; `None` means the column itself.
    pub expr: Option<Expr>,
    /// The expression's source.
    pub text: Option<String>,
}

impl Watermark {
    /// How far the watermark stays behind the column, in milliseconds: 0 for `ts`, n for `ts - INTERVAL …`.
    ///
    /// # Errors
    /// Any other expression, and a negative delay.
    pub fn delay_ms(&self) -> SqlResult<i64> {
        let Some(expr) = &self.expr else { return Ok(0) };
        interval::delay_behind(&self.column, expr)
    }
}

/// A key and its value in `WITH (…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithOption {
    /// The key; lower case unless it was quoted.
    pub key: String,
    /// The value's text, or the name of the secret that holds it.
    pub value: String,
    /// `key = SECRET name`
    pub is_secret: bool,
    /// Where the key stands.
    pub span: Span,
}

/// `CREATE [OR REPLACE] SECRET [IF NOT EXISTS] name AS 'value'`
#[derive(Clone, PartialEq, Eq)]
pub struct CreateSecret {
    /// Its name.
    pub name: ObjectName,
    /// `OR REPLACE`
    pub or_replace: bool,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// What nobody may see.
    pub value: String,
}

impl std::fmt::Debug for CreateSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A query that is stored, with its source.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryText {
    /// The query.
    pub query: Box<Query>,
    /// When its results appear.
    pub emit: Option<Emit>,
    /// The source of both.
    pub text: String,
}

/// `CREATE [OR REPLACE] [TEMPORARY] [MATERIALIZED] VIEW name [(columns)] AS query`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateView {
    /// The view's name.
    pub name: ObjectName,
    /// Names for the query's columns; empty keeps them.
    pub columns: Vec<Ident>,
    /// `OR REPLACE`
    pub or_replace: bool,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// `TEMPORARY`
    pub temporary: bool,
    /// `MATERIALIZED`
    pub materialized: bool,
    /// `WITH (…)`
    pub options: Vec<WithOption>,
    /// The query.
    pub query: QueryText,
}

/// Where a named sink writes.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkTarget {
    /// `INTO table`
    Into(ObjectName),
    /// `WITH (…)`
    Options(Vec<WithOption>),
}

/// `CREATE SINK name [INTO t | WITH (…)] AS query | FROM t [WITH (…)]`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSink {
    /// The sink's and its pipeline's name.
    pub name: ObjectName,
    /// `OR REPLACE`
    pub or_replace: bool,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// Where it writes.
    pub target: SinkTarget,
    /// What it writes.
    pub query: QueryText,
}

/// `INSERT INTO table [(columns)] query`
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    /// The table.
    pub table: ObjectName,
    /// The columns written; empty means all.
    pub columns: Vec<Ident>,
    /// What is written; `VALUES` is a query too.
    pub query: QueryText,
}

/// What `DROP` removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropKind {
    /// A table, whatever word declared it.
    Table,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A named sink.
    Sink,
    /// A pipeline.
    Pipeline,
    /// A model.
    Model,
    /// A secret.
    Secret,
}

/// `DROP kind [IF EXISTS] name [CASCADE]`
#[derive(Debug, Clone, PartialEq)]
pub struct Drop {
    /// What kind of object.
    pub kind: DropKind,
    /// Its name.
    pub name: ObjectName,
    /// `IF EXISTS`
    pub if_exists: bool,
    /// `CASCADE`: and everything that reads it.
    pub cascade: bool,
}

/// What `SHOW` lists.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ShowKind {
    /// `SHOW TABLES`
    Tables,
    /// `SHOW VIEWS`
    Views,
    /// `SHOW PIPELINES`
    Pipelines,
    /// `SHOW SINKS`
    Sinks,
    /// `SHOW MODELS`
    Models,
    /// `SHOW SECRETS`
    Secrets,
    /// `SHOW FUNCTIONS`
    Functions,
    /// `SHOW CHECKPOINTS [FOR pipeline]`
    Checkpoints(Option<ObjectName>),
    /// `SHOW CREATE TABLE | VIEW | … name`
    Create(ObjectName),
    /// `SHOW COLUMNS FROM t`
    Columns(ObjectName),
    /// `SHOW ALL`
    All,
    /// `SHOW name`: a setting.
    Setting(String),
}

/// `SET name = value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetOption {
    /// The setting; lower case unless it was quoted.
    pub name: String,
    /// Its new value as text; `None` is `DEFAULT`.
    pub value: Option<String>,
}

/// `EXPLAIN [ANALYZE] [VERBOSE] statement`
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// `ANALYZE`: run it and show figures.
    pub analyze: bool,
    /// `VERBOSE`
    pub verbose: bool,
    /// The statement.
    pub statement: Box<Statement>,
}

/// A query that a client wants to see.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectQuery {
    /// The query.
    pub query: Box<Query>,
    /// When its results appear.
    pub emit: Option<Emit>,
}

/// When results appear, and what becomes of late rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Emit {
    /// When.
    pub mode: EmitMode,
    /// `ALLOWED LATENESS`: how long a closed window stays correctable; 0 without one.
    pub allowed_lateness_ms: i64,
    /// `LATE ROWS INTO t`
    pub late_rows_into: Option<ObjectName>,
}

/// When results appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmitMode {
    /// Once, when the window closes.
    OnWindowClose,
    /// At each change.
    OnUpdate,
    /// Early results at this interval until the window closes.
    Every {
        /// In milliseconds.
        interval_ms: i64,
    },
}

/// What to do with a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PipelineAction {
    /// Stop reading, keep the state.
    Pause,
    /// Go on.
    Resume,
    /// Take a checkpoint now.
    Checkpoint,
    /// Go back to a checkpoint; `None` is the last one.
    Restore {
        /// The checkpoint's number.
        checkpoint: Option<u64>,
    },
}

/// `PAUSE PIPELINE p` and its kin.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineCommand {
    /// What to do.
    pub action: PipelineAction,
    /// The pipeline.
    pub name: ObjectName,
}

/// SQL that parses but that this engine does not run.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    /// Its leading keywords, for instance `ALTER TABLE`.
    pub name: String,
    /// As sqlparser understood it.
    pub statement: Box<datafusion::sql::sqlparser::ast::Statement>,
}

impl Other {
    /// The error that refuses it.
    pub fn unsupported(&self) -> SqlError {
        SqlError::new(SqlErrorKind::Unsupported, format!("{} is not supported", self.name))
    }
}
