//! Errors as the wire tells them: SQLSTATE, fact, detail, hint, place.

use std::fmt;

/// Result of this crate.
pub(crate) type Result<T, E = WireError> = std::result::Result<T, E>;

/// What a client is told when something goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// Five characters that clients branch on.
    pub sqlstate: String,
    /// One sentence.
    pub message: String,
    /// What adds to it.
    pub detail: Option<String>,
    /// What can be done.
    pub hint: Option<String>,
    /// Character of the query text, from 1.
    pub position: Option<usize>,
    /// The connection ends with it.
    pub is_fatal: bool,
}

impl WireError {
    /// An error with a fact only.
    pub fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        Self { sqlstate: sqlstate.to_owned(), message: message.into(), detail: None, hint: None, position: None, is_fatal: false }
    }

    /// An error that ends the connection.
    pub fn fatal(sqlstate: &str, message: impl Into<String>) -> Self {
        Self { is_fatal: true, ..Self::new(sqlstate, message) }
    }

    /// What can be done.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What adds to the fact.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// A text that is no SQL.
    pub fn syntax(message: impl Into<String>) -> Self {
        Self::new("42601", message)
    }

    /// Understood but not there.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new("0A000", message)
    }

    /// A client that does not keep to the protocol.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::fatal("08P01", message)
    }

    /// The user, or the program for them, has cancelled.
    pub fn canceled(why: &str) -> Self {
        Self::new("57014", format!("canceling statement due to {why}"))
    }

    /// An error of the engine; `text` is the statement and `offset_chars` the place at which it begins in what the client sent.
    pub fn of_engine(error: &millstream::Error, text: &str, offset_chars: usize) -> Self {
        let position = error.position().map(|place| offset_chars + place_to_offset(text, place) + 1);
        Self {
            sqlstate: state_of(error.sqlstate(), error.fact()).to_owned(),
            message: error.fact().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            position,
            is_fatal: false,
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WireError {}

impl From<millstream::Error> for WireError {
    fn from(error: millstream::Error) -> Self {
        Self::of_engine(&error, "", 0)
    }
}

impl From<datafusion::error::DataFusionError> for WireError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::new("XX000", error.strip_backtrace())
    }
}

impl From<datafusion::arrow::error::ArrowError> for WireError {
    fn from(error: datafusion::arrow::error::ArrowError) -> Self {
        Self::new("22000", error.to_string())
    }
}

/// What PostgreSQL calls a literal that is no value of its type.
fn state_of<'a>(state: &'a str, fact: &str) -> &'a str {
    let has = |part: &str| fact.contains(part);
    match state {
        "42804" if has("Error parsing timestamp") || has("syntax for type interval") || (has("cannot cast string") && has("DATE")) => {
            "22007"
        }
        "42804" if has("cannot cast string") => "22P02",
        "42804" if has("can't cast value") => "22003",
        "42000" if has("column with position") => "42P10",
        state => state,
    }
}

/// Characters before a line and column, both from 1.
fn place_to_offset(text: &str, (line, column): (u64, u64)) -> usize {
    let lines_before = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let before: usize = text.split_inclusive('\n').take(lines_before).map(|line| line.chars().count()).sum();
    before + usize::try_from(column.saturating_sub(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_literals_have_the_states_of_postgresql() {
        assert_eq!(state_of("42804", "cannot cast string 'a' to value of INTEGER type"), "22P02");
        assert_eq!(state_of("42804", "parser error: Error parsing timestamp from 'abc': too short"), "22007");
        assert_eq!(state_of("42804", "a filter must be BOOLEAN, '1' is BIGINT"), "42804");
    }

    #[test]
    fn places_become_characters() {
        assert_eq!(place_to_offset("SELECT\nä, x", (2, 4)), 10);
        assert_eq!(place_to_offset("SELECT x", (1, 8)), 7);
    }
}
