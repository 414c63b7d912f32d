//! Where statements run: in this process, or at a server.
//!
//! ```text
//!                       ┌─▶ embedded    an engine of this process
//! statement, commands ──┤
//!                       └─▶ connected   a server of the Postgres protocol (millstream serve)
//! ```
//!
//! The shell knows [`Backend`], [`Statement`], [`Answer`] and [`Rows`], and asks nobody else.

pub(crate) mod connected;
mod embedded;
mod rows;

use std::time::Duration;

use millstream::{ParsedStatement, statement_parts};

use self::connected::{Connected, CopyIn, CopyOut};
pub(crate) use self::embedded::Embedded;
pub(crate) use self::rows::{Flow, Rows};
use super::Failure;
use super::names::Names;
use crate::status_line::Progress;

/// Where statements run.
pub(crate) enum Backend {
    Embedded(Embedded),
    Connected(Box<Connected>),
}

/// A statement of a text.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) text: String,
    /// The line of the text at which it begins, from 1.
    pub(crate) line: u64,
    /// Already understood; a server does that itself.
    parsed: Option<ParsedStatement>,
}

/// What a statement gives.
pub(crate) enum Answer {
    /// It is done; the message says what.
    Done(String),
    /// A pipeline of this name runs on.
    Pipeline(String),
    Rows(Rows),
    /// It waits for rows.
    CopyIn(CopyIn),
    /// Rows come as bytes.
    CopyOut(CopyOut),
}

/// Something that the person should know and that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    Note(String),
    Warning(String),
}

impl Backend {
    /// The statements of a text.
    pub(crate) fn statements(&self, sql: &str) -> Result<Vec<Statement>, Failure> {
        match self {
            Self::Embedded(embedded) => embedded.statements(sql),
            Self::Connected(_) => Ok(split(sql)),
        }
    }

    /// Runs a statement up to its answer. Dropped, it gives the statement up; a server must be told by [`Self::cancel`].
    pub(crate) async fn run(&mut self, statement: &Statement) -> Result<Answer, Failure> {
        match self {
            Self::Embedded(embedded) => embedded.run(statement).await,
            Self::Connected(connected) => connected.run(statement).await,
        }
    }

    /// Asks a server to stop what it is doing for this shell.
    pub(crate) fn cancel(&self) {
        if let Self::Connected(connected) = self {
            connected.cancel();
        }
    }

    /// What was told beside the answers since the last call.
    pub(crate) fn notices(&mut self) -> Vec<Notice> {
        match self {
            Self::Embedded(_) => Vec::new(),
            Self::Connected(connected) => connected.notices(),
        }
    }

    /// Figures of all pipelines; those of a server are as old as the last look at it.
    pub(crate) fn pipelines(&self) -> Vec<Progress> {
        match self {
            Self::Embedded(embedded) => embedded.pipelines(),
            Self::Connected(connected) => connected.seen_pipelines(),
        }
    }

    /// Figures of all pipelines as they are now.
    pub(crate) async fn pipelines_now(&mut self) -> Result<Vec<Progress>, Failure> {
        match self {
            Self::Embedded(embedded) => Ok(embedded.pipelines()),
            Self::Connected(connected) => connected.pipelines().await,
        }
    }

    /// What exists, for completion. What cannot be read is left out: completion is a help, not an answer.
    pub(crate) async fn names(&mut self, before: Names) -> Names {
        match self {
            Self::Embedded(embedded) => embedded.names(before).await,
            Self::Connected(connected) => connected.names(before).await,
        }
    }

    /// The rows of a statement that lists something, as text.
    pub(crate) async fn text_rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        match self {
            Self::Embedded(embedded) => embedded.text_rows(sql).await,
            Self::Connected(connected) => connected.text_rows(sql).await,
        }
    }

    /// The value of a setting.
    pub(crate) async fn setting(&mut self, name: &str) -> Result<String, Failure> {
        match self {
            Self::Embedded(embedded) => embedded.setting(name),
            Self::Connected(connected) => connected.setting(name).await,
        }
    }

    /// Sets a setting.
    pub(crate) async fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        match self {
            Self::Embedded(embedded) => embedded.set(name, value),
            Self::Connected(connected) => connected.set(name, value).await,
        }
    }

    /// Where tables are kept, in words.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Embedded(embedded) => embedded.place(),
            Self::Connected(connected) => format!("the server at {}", connected.address()),
        }
    }

    /// The server, if there is one.
    pub(crate) fn server(&self) -> Option<String> {
        match self {
            Self::Embedded(_) => None,
            Self::Connected(connected) => Some(connected.address().to_owned()),
        }
    }

    /// Waits until all pipelines of this process have ended. Those of a server go on without this shell.
    pub(crate) async fn wait_for_pipelines(&self) {
        if let Self::Embedded(embedded) = self {
            // Failures are told by the pipelines' states.
            _ = embedded.engine().wait().await;
        }
    }

    /// Stops the pipelines of this process.
    pub(crate) async fn shutdown(&self) {
        if let Self::Embedded(embedded) = self {
            embedded.engine().shutdown().await;
        }
    }

    /// True if its pipelines belong to this shell, which then tells how they end.
    pub(crate) fn owns_pipelines(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }
}

/// A stopped query that has not ended by then ends behind the prompt's back.
pub(crate) const STOP_WITHIN: Duration = Duration::from_millis(120);

/// Cuts a text into statements without understanding them.
fn split(sql: &str) -> Vec<Statement> {
    let statement = |range: std::ops::Range<usize>| {
        let whole = &sql[range.clone()];
        let skipped = millstream::scan(whole)
            .iter()
            .find(|part| !matches!(part.kind, millstream::TextKind::Blank | millstream::TextKind::Comment))
            .map_or(0, |part| part.range.start);
        let start = range.start + skipped;
        let line = 1 + sql[..start].matches('\n').count() as u64;
        Statement { text: sql[start..range.end].trim_end().to_owned(), line, parsed: None }
    };
    statement_parts(sql).into_iter().map(|part| statement(part.range)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_begin_behind_their_comments() {
        let found: Vec<(String, u64)> = split("-- one;\nSELECT ';' ;\n\n/* two */ BEGIN\n;\nSELECT 3 -- end")
            .into_iter()
            .map(|statement| (statement.text, statement.line))
            .collect();
        let expected = [("SELECT ';'", 2), ("BEGIN", 4), ("SELECT 3 -- end", 6)];
        assert_eq!(found, expected.map(|(text, line)| (text.to_owned(), line)));
    }
}
