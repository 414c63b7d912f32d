//! Text to statements.
//!
//! ```text
//! script ──tokens──▶ script.rs ──one statement's tokens──▶ grammar.rs ──▶ Statement
//!                       │                                     ├─ create_grammar.rs, table_grammar.rs, model_grammar.rs
//!                       └─ limits.rs (size, nesting)          ├─ catalog_grammar.rs  SHOW, SET, DROP, …
//!                                                             ├─ query_grammar.rs    EMIT, INSERT
//!                                                             └─ sqlparser           queries, expressions
//! Statement's query ──▶ window.rs (TUMBLE, HOP in one form) ──▶ WindowCall::from_table_factor when it is planned
//! ```
//!
//! Nothing here looks at a catalog, and nothing here can be made to panic, hang or overflow the stack by its input.

mod catalog_grammar;
mod column_type;
mod create_grammar;
mod dialect;
mod grammar;
mod interval;
mod learn_call;
mod limits;
mod model_grammar;
mod model_statement;
mod query_grammar;
mod scan;
mod script;
mod statement;
mod table_grammar;
mod window;
mod window_call;

pub use column_type::arrow_type;
pub use dialect::MillstreamDialect;
pub use interval::interval_ms;
pub use learn_call::{LearnCall, learns_in_order};
pub use limits::{DEEP_STACK_BYTES, EXPRESSION_DEPTH_MAX, JOINS_MAX, NESTING_DEPTH_MAX, SCRIPT_BYTES_MAX, with_deep_stack};
pub use model_statement::{AlterModel, CreateModel, ExportModel, ModelColumn, ModelKind};
pub use scan::{StatementPart, TextKind, TextPart, scan, statement_parts};
pub use script::{identifier_text, parse, parse_expression, parse_query};
pub use statement::{
    Column, ColumnKind, CreateSecret, CreateSink, CreateTable, CreateView, Drop, DropKind, Emit, EmitMode, Explain, Insert, Other,
    ParsedStatement, PipelineAction, PipelineCommand, QueryText, SelectQuery, SetOption, ShowKind, SinkTarget, Statement, TableWord,
    Watermark, WithOption,
};
pub use window::rewrite_windows;
pub use window_call::{WindowCall, WindowKind};

pub(crate) use limits::nesting_error;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::check_golden;
