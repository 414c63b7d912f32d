//! DataFusion's errors in the user's words.

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use super::{SqlError, SqlErrorKind, closest};

impl SqlError {
    /// Translates an error of planning or executing `sql`; `known_tables` feeds "did you mean".
    pub fn from_datafusion(err: &DataFusionError, sql: &str, known_tables: &[String]) -> Self {
        translate(err, known_tables).with_source(sql)
    }
}

fn translate(err: &DataFusionError, known_tables: &[String]) -> SqlError {
    match err {
        DataFusionError::Context(_, inner) => translate(inner, known_tables),
        DataFusionError::Shared(inner) => translate(inner, known_tables),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let translated = translate(inner, known_tables);
            match diagnostic.span {
                Some(span) => translated.with_span(Span::new(location(span.start), location(span.end))),
                None => translated,
            }
        }
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => translate(first, known_tables),
            None => SqlError::new(SqlErrorKind::Internal, "planning failed without a reason"),
        },
        DataFusionError::External(inner) => external(inner.as_ref(), known_tables),
        DataFusionError::SQL(inner, _) => SqlError::from_parser(inner),
        DataFusionError::SchemaError(inner, _) => schema_error(inner),
        DataFusionError::NotImplemented(text) => SqlError::unsupported(clean(text)),
        DataFusionError::Plan(text) => plan_error(&clean(text), known_tables),
        DataFusionError::Configuration(text) => SqlError::new(SqlErrorKind::Option, clean(text)),
        DataFusionError::Internal(text) => SqlError::new(SqlErrorKind::Internal, clean(text)),
        DataFusionError::ArrowError(inner, _) => SqlError::new(SqlErrorKind::Type, clean(&inner.to_string())),
        DataFusionError::Execution(text) => SqlError::new(SqlErrorKind::Plan, clean(text)),
        other => SqlError::new(SqlErrorKind::Internal, clean(&other.strip_backtrace())),
    }
}

/// Our own error may travel through DataFusion as an external one.
fn external(inner: &(dyn std::error::Error + Send + Sync + 'static), known_tables: &[String]) -> SqlError {
    if let Some(ours) = inner.downcast_ref::<SqlError>() {
        return ours.clone();
    }
    match inner.downcast_ref::<DataFusionError>() {
        Some(inner) => translate(inner, known_tables),
        None => SqlError::new(SqlErrorKind::Plan, clean(&inner.to_string())),
    }
}

fn schema_error(err: &SchemaError) -> SqlError {
    match err {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
            let message = match &field.relation {
                Some(relation) => format!("column '{}' does not exist in '{relation}'", field.name),
                None => format!("column '{}' does not exist", field.name),
            };
            let err = SqlError::new(SqlErrorKind::UnknownColumn, message);
            let err = match field.spans.first() {
                Some(span) => err.with_span(Span::new(location(span.start), location(span.end))),
                None => err,
            };
            suggest(err, &field.name, &names, "columns")
        }
        SchemaError::AmbiguousReference { field } => {
            SqlError::new(SqlErrorKind::AmbiguousColumn, format!("column '{}' exists in several tables of this query", field.name))
                .with_hint("write the table's name or alias before it: t.column")
        }
        SchemaError::DuplicateQualifiedField { qualifier, name } => {
            SqlError::new(SqlErrorKind::Duplicate, format!("column '{name}' appears twice in '{qualifier}'"))
                .with_hint("give one of them another name with AS")
        }
        SchemaError::DuplicateUnqualifiedField { name } => SqlError::new(SqlErrorKind::Duplicate, format!("column '{name}' appears twice"))
            .with_hint("give one of them another name with AS"),
    }
}

/// DataFusion tells these cases apart by text only.
fn plan_error(text: &str, known_tables: &[String]) -> SqlError {
    if let Some(name) = between(text, "table '", "' not found") {
        let short = name.rsplit('.').next().unwrap_or(name);
        let err = SqlError::new(SqlErrorKind::UnknownTable, format!("table '{short}' does not exist"));
        let names: Vec<&str> = known_tables.iter().map(String::as_str).collect();
        return suggest(err, short, &names, "tables");
    }
    if let Some(name) = between(text, "Invalid function '", "'") {
        let err = SqlError::new(SqlErrorKind::UnknownFunction, format!("function '{name}' does not exist"));
        return match between(text, "Did you mean '", "'") {
            Some(better) => err.with_hint(format!("did you mean '{better}'?")),
            None => err.with_hint("SHOW FUNCTIONS lists what there is"),
        };
    }
    if let Some(name) = between(text, "Table function '", "' not found") {
        return SqlError::new(SqlErrorKind::UnknownFunction, format!("table function '{name}' does not exist"))
            .with_hint("window table functions are TUMBLE and HOP");
    }
    if text.contains("coerc") || text.contains("type signature") || text.contains("Cannot infer common") {
        return type_error(text);
    }
    SqlError::new(SqlErrorKind::Plan, text)
}

fn type_error(text: &str) -> SqlError {
    let first_line = text.lines().next().unwrap_or(text);
    let err = SqlError::new(SqlErrorKind::Type, first_line);
    match between(text, "Candidate functions:", "\u{0}") {
        Some(_) => err,
        None => err.with_hint("cast one side to the type of the other: CAST(x AS BIGINT)"),
    }
}

fn suggest(err: SqlError, wrong: &str, candidates: &[&str], what: &str) -> SqlError {
    if let Some(better) = closest(wrong, candidates.iter().copied()) {
        return err.with_hint(format!("did you mean '{better}'?"));
    }
    if candidates.is_empty() {
        return err;
    }
    let mut listed: Vec<&str> = candidates.to_vec();
    listed.sort_unstable();
    listed.dedup();
    let more = if listed.len() > NAMES_SHOWN_MAX { ", …" } else { "" };
    listed.truncate(NAMES_SHOWN_MAX);
    err.with_hint(format!("{what} are: {}{more}", listed.join(", ")))
}

/// How many names a hint lists.
const NAMES_SHOWN_MAX: usize = 12;

/// Drops the prefixes that DataFusion stacks in front of a message and everything after it.
fn clean(text: &str) -> String {
    let mut text = text.split("\n\nbacktrace:").next().unwrap_or(text).trim();
    loop {
        let shorter = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
        match shorter {
            Some(rest) => text = rest.trim_start(),
            None => return text.trim_end_matches('.').to_owned(),
        }
    }
}

const PREFIXES: [&str; 8] = [
    "Error during planning: ",
    "Schema error: ",
    "SQL error: ",
    "Execution error: ",
    "External error: ",
    "This feature is not implemented: ",
    "Invalid or Unsupported Configuration: ",
    "Internal error: ",
];

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let rest = &text[start..];
    Some(&rest[..rest.find(after)?])
}

fn location(at: datafusion::common::Location) -> Location {
    Location { line: at.line, column: at.column }
}
