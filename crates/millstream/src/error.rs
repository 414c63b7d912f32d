//! The error of the public API.

use std::fmt;
use std::io::ErrorKind as IoErrorKind;

use datafusion::error::DataFusionError;
use millstream_checkpoint::error::CheckpointError;
use millstream_connectors::ConnectorError;
use millstream_sql::error::{SqlError, SqlErrorKind};

use crate::input::InputError;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// SQLSTATE of a process that another one has taken over from (as PostgreSQL's for a server that is shut down).
const FENCED: &str = "57P01";

/// How the hint at a message's end begins.
const HINT: &str = " (hint: ";

/// SQLSTATE of a query that needs more memory than it may have.
const OUT_OF_MEMORY: &str = "53200";

/// SQLSTATE of a disk that takes no more.
const DISK_FULL: &str = "53100";

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The SQL or an option must be changed.
    User,
    /// The data must be changed, or the table's `bad_rows` option.
    Data,
    /// The outside failed; trying again may help.
    Outside,
    /// A bug in Millstream.
    Internal,
}

/// Anything that goes wrong. [`Display`](fmt::Display) gives a sentence, the place in the SQL with a caret where it is known,
/// and a hint.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    sqlstate: &'static str,
    message: String,
    /// What stood in the SQL, if that is where it comes from.
    sql: Option<SqlError>,
}

impl Error {
    /// An error that the user can fix.
    pub fn user(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::User, sqlstate, message: message.into(), sql: None }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Internal,
            sqlstate: "XX000",
            message: format!("{} (this is a bug in Millstream)", message.into()),
            sql: None,
        }
    }

    /// Another process has taken over: nothing more may be written.
    pub(crate) fn fenced(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Outside, sqlstate: FENCED, message: message.into(), sql: None }
    }

    /// True if another process has taken the data folder over.
    pub fn is_fenced(&self) -> bool {
        self.sqlstate == FENCED
    }

    /// The memory limit is reached.
    pub(crate) fn out_of_memory(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Outside, sqlstate: OUT_OF_MEMORY, message: message.into(), sql: None }
    }

    /// True if trying again from the last checkpoint cannot help.
    pub(crate) fn is_final(&self) -> bool {
        self.is_fenced() || self.sqlstate == OUT_OF_MEMORY
    }

    /// True if it lasts until somebody has made room: not a reason to give up.
    pub(crate) fn is_full_disk(&self) -> bool {
        self.sqlstate == DISK_FULL
    }

    /// An error with the outside as its reason.
    pub(crate) fn outside(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Outside, sqlstate: "58030", message: message.into(), sql: None }
    }

    /// Who must act.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same, with `shown` wherever `hidden` stood.
    pub(crate) fn without(mut self, hidden: &str, shown: &str) -> Self {
        self.message = self.message.replace(hidden, shown);
        self
    }

    /// The fact alone, without place, detail and hint.
    pub fn fact(&self) -> &str {
        match &self.sql {
            Some(sql) => sql.message(),
            None => self.hint_at().map_or(self.message.as_str(), |at| &self.message[..at]),
        }
    }

    /// What adds to the fact.
    pub fn detail(&self) -> Option<&str> {
        self.sql.as_ref().and_then(SqlError::detail)
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<&str> {
        match &self.sql {
            Some(sql) => sql.hint(),
            None => self.hint_at().map(|at| &self.message[at + HINT.len()..self.message.len() - 1]),
        }
    }

    /// Line and column in the statement, from 1, where they are known.
    pub fn position(&self) -> Option<(u64, u64)> {
        self.sql.as_ref().and_then(SqlError::position)
    }

    /// Where the hint at the message's end begins.
    fn hint_at(&self) -> Option<usize> {
        self.message.rfind(HINT).filter(|_| self.message.ends_with(')'))
    }

    /// The SQLSTATE that the Postgres wire reports.
    pub fn sqlstate(&self) -> &'static str {
        self.sqlstate
    }

    /// An error of planning `sql`, in the words of SQL.
    pub(crate) fn planning(error: &DataFusionError, sql: &str, tables: &[String]) -> Self {
        SqlError::from_datafusion(error, sql, tables).into()
    }

    /// One of our own that came through DataFusion.
    pub(crate) fn within(error: &DataFusionError) -> Option<Self> {
        match error.find_root() {
            DataFusionError::External(own) => own.downcast_ref::<Self>().cloned(),
            _ => None,
        }
    }

    /// An error of running a query.
    pub(crate) fn running(error: &DataFusionError) -> Self {
        if let Some(own) = Self::within(error) {
            return own;
        }
        let (kind, sqlstate) = match error.find_root() {
            DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                datafusion::arrow::error::ArrowError::DivideByZero => (ErrorKind::Data, "22012"),
                datafusion::arrow::error::ArrowError::CastError(_) | datafusion::arrow::error::ArrowError::ParseError(_) => {
                    (ErrorKind::Data, "22P02")
                }
                datafusion::arrow::error::ArrowError::ArithmeticOverflow(_) => (ErrorKind::Data, "22003"),
                _ => (ErrorKind::Data, "22000"),
            },
            DataFusionError::ResourcesExhausted(_) => (ErrorKind::Outside, "53200"),
            DataFusionError::Internal(_) => (ErrorKind::Internal, "XX000"),
            _ => (ErrorKind::Data, "22000"),
        };
        let message = error.find_root().strip_backtrace();
        let message = ["Execution error: ", "Arrow error: ", "Error during planning: "]
            .iter()
            .find_map(|prefix| message.strip_prefix(prefix))
            .unwrap_or(&message)
            .to_owned();
        Self { kind, sqlstate, message, sql: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.sqlstate)
    }
}

impl std::error::Error for Error {}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Self {
        let kind = if error.kind() == SqlErrorKind::Internal { ErrorKind::Internal } else { ErrorKind::User };
        Self { kind, sqlstate: error.sqlstate(), message: error.to_string(), sql: Some(error) }
    }
}

impl From<ConnectorError> for Error {
    fn from(error: ConnectorError) -> Self {
        let (kind, sqlstate) = match &error {
            ConnectorError::Config(_) => (ErrorKind::User, "22023"),
            ConnectorError::Data(_) => (ErrorKind::Data, "22000"),
            ConnectorError::Io { source, .. } if matches!(source.kind(), IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded) => {
                (ErrorKind::Outside, DISK_FULL)
            }
            _ => (ErrorKind::Outside, "58030"),
        };
        Self { kind, sqlstate, message: error.to_string(), sql: None }
    }
}

impl From<CheckpointError> for Error {
    fn from(error: CheckpointError) -> Self {
        let message = error.to_string();
        match &error {
            CheckpointError::Fenced { .. } => Self::fenced(message),
            CheckpointError::Config(_) => Self::user("22023", message),
            CheckpointError::Bug(_) => Self { kind: ErrorKind::Internal, sqlstate: "XX000", message, sql: None },
            CheckpointError::NewerFormat { .. } | CheckpointError::Unsupported(_) => Self::user("0A000", message),
            error if error.is_damage() => Self { kind: ErrorKind::Data, sqlstate: "XX001", message, sql: None },
            _ => Self::outside(message),
        }
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        let (kind, sqlstate) = match &error {
            InputError::Connector { source: ConnectorError::Config(_), .. } | InputError::Config { .. } => (ErrorKind::User, "22023"),
            InputError::BadRow { .. } | InputError::Watermark { .. } => (ErrorKind::Data, "22P02"),
            InputError::Connector { .. } => (ErrorKind::Outside, "58030"),
            _ => (ErrorKind::Internal, "XX000"),
        };
        Self { kind, sqlstate, message: error.to_string(), sql: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures_of_it() {
        for (kind, full) in [(IoErrorKind::StorageFull, true), (IoErrorKind::QuotaExceeded, true), (IoErrorKind::PermissionDenied, false)] {
            assert_eq!(Error::from(ConnectorError::io("cannot write 'x'", kind.into())).is_full_disk(), full, "{kind}");
        }
    }
}
