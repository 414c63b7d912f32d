//! DataFusion's errors in the user's words.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use super::vocabulary::in_sql;
use super::{SqlError, SqlErrorKind, closest, first_letter_lower};

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
        // Some of the user's mistakes are reported so.
        DataFusionError::Internal(text) if text.contains("match any signature") => plan_error(&clean(text), known_tables),
        DataFusionError::Internal(text) if text.contains("coerce") => SqlError::new(SqlErrorKind::Type, clean(text)),
        DataFusionError::Internal(text) => SqlError::new(SqlErrorKind::Internal, clean(text)),
        DataFusionError::ArrowError(inner, _) => SqlError::new(kind_of_arrow(inner), clean(&inner.to_string())),
        DataFusionError::Execution(text) => SqlError::new(SqlErrorKind::Plan, clean(text)),
        other => SqlError::new(SqlErrorKind::Internal, clean(&other.strip_backtrace())),
    }
}

/// Constants are computed while a query is planned: what goes wrong then is what would go wrong with a row.
fn kind_of_arrow(error: &ArrowError) -> SqlErrorKind {
    match error {
        ArrowError::CastError(_) | ArrowError::ParseError(_) => SqlErrorKind::Value,
        ArrowError::ArithmeticOverflow(_) => SqlErrorKind::Range,
        ArrowError::DivideByZero => SqlErrorKind::DivisionByZero,
        _ => SqlErrorKind::Type,
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
    let new = |kind, message: &str| SqlError::new(kind, message);
    if let Some(name) = between(text, "able function '", "' not found") {
        return new(SqlErrorKind::UnknownFunction, &format!("table function '{name}' does not exist"))
            .with_hint("window table functions are TUMBLE and HOP");
    }
    if let Some(name) = between(text, "able '", "' not found") {
        let short = name.rsplit('.').next().unwrap_or(name);
        let err = new(SqlErrorKind::UnknownTable, &format!("table '{short}' does not exist"));
        let names: Vec<&str> = known_tables.iter().map(String::as_str).collect();
        return suggest(err, short, &names, "tables");
    }
    if let Some(name) = between(text, "nvalid function '", "'") {
        return unknown_function(name, between(text, "Did you mean '", "'"));
    }
    if let Some(column) = between(text, "column \"", "\" must appear in the GROUP BY") {
        let message = format!("column '{column}' must be in GROUP BY or inside an aggregate function");
        return new(SqlErrorKind::Grouping, &message);
    }
    if text.contains("unique expression names") {
        return new(SqlErrorKind::Duplicate, "two columns of the query have the same name")
            .with_hint("give one of them another name with AS");
    }
    if let Some((_, name, rest)) = split_quoted(text, "unction '", "' failed to match any signature") {
        let taken = between(rest, "(DataType: ", ")").unwrap_or("this type");
        return new(SqlErrorKind::UnknownFunction, &format!("function '{name}' cannot take {taken}"))
            .with_hint(format!("cast the argument: {name}(CAST(x AS BIGINT))"));
    }
    if let Some((what, _)) = text.split_once(". No function matches") {
        let what = what.rsplit(" failed with: ").next().unwrap_or(what);
        return new(SqlErrorKind::UnknownFunction, &clean(what));
    }
    if let Some(predicate) = between(text, "non-boolean predicate '", "'") {
        let what = text.rsplit("returning ").next().unwrap_or_default();
        return new(SqlErrorKind::Type, &format!("a filter must be BOOLEAN, '{predicate}' is {what}"));
    }
    if ["coerc", "type signature", "infer common", "ast error"].iter().any(|part| text.contains(part)) {
        return type_error(text);
    }
    new(SqlErrorKind::Plan, text)
}

/// The suggestion knows all functions but not how people mistype.
fn unknown_function(name: &str, suggestion: Option<&str>) -> SqlError {
    let err = SqlError::new(SqlErrorKind::UnknownFunction, format!("function '{name}' does not exist"));
    match closest(name, COMMON_FUNCTIONS).or(suggestion) {
        Some(better) => err.with_hint(format!("did you mean '{better}'?")),
        None => err.with_hint("SHOW FUNCTIONS lists what there is"),
    }
}

const COMMON_FUNCTIONS: [&str; 28] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "abs",
    "round",
    "floor",
    "ceil",
    "coalesce",
    "nullif",
    "concat",
    "substr",
    "upper",
    "lower",
    "trim",
    "length",
    "replace",
    "now",
    "date_trunc",
    "date_part",
    "date_bin",
    "to_timestamp",
    "row_number",
    "rank",
    "lag",
    "lead",
    "first_value",
];

fn type_error(text: &str) -> SqlError {
    let first_line = text.lines().next().unwrap_or(text);
    SqlError::new(SqlErrorKind::Type, first_line).with_hint("cast one side to the type of the other: CAST(x AS BIGINT)")
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
    let end = ["\n\nbacktrace:", "\nThis issue was likely caused by a bug"].iter().filter_map(|trailer| text.find(trailer)).min();
    let mut text = text[..end.unwrap_or(text.len())].trim();
    loop {
        let shorter = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
        match shorter {
            Some(rest) => text = rest.trim_start(),
            None => return first_letter_lower(&in_sql(text.trim_end_matches('.'))),
        }
    }
}

const PREFIXES: [&str; 9] = [
    "Cast error: ",
    "Error during planning: ",
    "Schema error: ",
    "SQL error: ",
    "Execution error: ",
    "External error: ",
    "This feature is not implemented: ",
    "Invalid or Unsupported Configuration: ",
    "Internal error: ",
];

/// The text before, within and after the marks.
fn split_quoted<'a>(text: &'a str, before: &str, after: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (head, rest) = text.split_once(before)?;
    let (name, tail) = rest.split_once(after)?;
    Some((head, name, tail))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let rest = &text[start..];
    Some(&rest[..rest.find(after)?])
}

fn location(at: datafusion::common::Location) -> Location {
    Location { line: at.line, column: at.column }
}
