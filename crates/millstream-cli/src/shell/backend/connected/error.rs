//! Errors of a server in the words of this shell: a sentence with its SQLSTATE, the line with a caret, a hint.

use std::error::Error as _;

use datafusion::sql::sqlparser::tokenizer::{Location, Span};
use millstream::{SqlError, SqlErrorKind};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition};

use super::link::LinkEnd;
use crate::shell::Failure;

/// What went wrong with `sql`.
pub(super) fn failure(error: &Error, sql: &str, end: &LinkEnd) -> Failure {
    if let Some(told) = error.as_db_error() {
        return Failure::Message(of_server(told, sql));
    }
    let reason = end.reason.lock().clone();
    let is_lost = error.is_closed() || reason.is_some() || error.source().is_some_and(|source| source.is::<std::io::Error>());
    if !is_lost {
        return Failure::Message(format!("what {} answers is not understood: {}", end.to, chain(error)));
    }
    let reason = reason.filter(|reason| !reason.is_empty()).unwrap_or_else(|| "the server has closed it".to_owned());
    Failure::Message(format!("the connection to {} is lost: {reason} (hint: the next statement connects again)", end.to))
}

fn of_server(told: &DbError, sql: &str) -> String {
    let mut error = SqlError::new(SqlErrorKind::Plan, format!("{} (SQLSTATE {})", told.message(), told.code().code()));
    if let Some(detail) = told.detail() {
        error = error.with_detail(detail);
    }
    if let Some(hint) = told.hint() {
        error = error.with_hint(hint);
    }
    if let Some(ErrorPosition::Original(position)) = told.position() {
        let at = place(sql, *position);
        error = error.with_span(Span::new(at, at)).with_source(sql);
    }
    error.to_string()
}

/// The line and column of a character, all counted from 1.
fn place(sql: &str, position: u32) -> Location {
    let before = usize::try_from(position).unwrap_or(usize::MAX).saturating_sub(1);
    let (mut line, mut column) = (1, 1);
    for c in sql.chars().take(before) {
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    Location { line, column }
}

/// An error and its reasons, the library's own words left out where a reason says more.
pub(super) fn chain(error: &Error) -> String {
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(reason) = next {
        let text = reason.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
        next = reason.source();
    }
    match texts.is_empty() {
        true => error.to_string(),
        false => texts.join(": "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_lines_and_columns() {
        let at = |position| {
            let at = place("SELECT\nä, x", position);
            (at.line, at.column)
        };
        assert_eq!((at(1), at(8), at(11), at(99)), ((1, 1), (2, 1), (2, 4), (2, 5)));
    }
}
