//! A server of the Postgres protocol as the place where statements run.
//!
//! ```text
//! statements ──▶ link ────▶ server       one statement at a time, its rows as they come
//! names, figures ──▶ side ──▶ server     a second connection: what completion and \pipelines ask, whatever the first one does
//! ```
//!
//! A link that is lost is made anew by the next statement. Ctrl-C is a cancel request on a connection of its own.

mod address;
mod catalog;
mod copy;
mod error;
mod link;
mod rows;
mod tls;
mod values;

use std::sync::Arc;

use millstream_time::SystemClock;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use self::address::Address;
use self::catalog::Side;
pub(crate) use self::copy::{CopyIn, CopyOut};
use self::error::failure;
use self::link::{ConnectError, Link, Notices, Server};
pub(crate) use self::rows::RemoteRows;
use self::tls::Tls;
use super::{Answer, Notice, Rows, Statement};
use crate::args::Options;
use crate::shell::input::is_copy_in;
use crate::shell::names::{Names, SharedNames};
use crate::shell::{Failure, terminal};
use crate::status_line::Progress;

/// The shell's place at a server.
pub(crate) struct Connected {
    server: Arc<Server>,
    link: Option<Link>,
    side: Arc<Side>,
    /// What is set anew whenever a connection is made.
    settings: Vec<(String, String)>,
    notices: Notices,
    runtime: Handle,
}

impl Connected {
    /// Connects; asks for a password if the server wants one and a person is there. The error is a complete message.
    pub(crate) async fn open(to: &str, options: &Options, runtime: Handle, may_ask: bool) -> Result<Self, String> {
        let address = Address::read(to, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        let tls = Tls::new(&address.trust)?;
        let mut server = Server { address, tls, clock: SystemClock::default(), runtime: runtime.clone() };
        let notices = Notices::default();
        let link = match server.connect(&notices).await {
            Err(ConnectError { needs_password: true, .. }) if may_ask => {
                let question = format!("Password of {} at {}: ", server.address.user(), server.address.shown);
                let password = terminal::ask_secret(&question).map_err(|error| format!("cannot ask for the password: {error}"))?;
                server.address.config.password(password);
                server.connect(&notices).await
            }
            other => other,
        };
        let link = link.map_err(|error| error.message)?;
        let server = Arc::new(server);
        let settings = options.settings.clone();
        let mode = options.mode.map(|mode| ("execution_mode".to_owned(), mode.name().to_owned()));
        let mut connected = Self {
            side: Arc::new(Side::new(Arc::clone(&server))),
            server,
            link: None,
            settings: mode.into_iter().chain(settings).collect(),
            notices,
            runtime,
        };
        connected.prepare(&link).await.map_err(|failure| match failure {
            Failure::Message(message) => message,
            _ => "the connection could not be set up".to_owned(),
        })?;
        connected.link = Some(link);
        Ok(connected)
    }

    /// `host:port`
    pub(crate) fn address(&self) -> &str {
        &self.server.address.shown
    }

    /// Gives a new connection the settings of this shell.
    async fn prepare(&self, link: &Link) -> Result<(), Failure> {
        // As in a shell of its own: queries run on. Servers of other makes do not know it, and need not.
        _ = link.client.batch_execute("SET execution_mode = 'streaming'").await;
        for (name, value) in &self.settings {
            let sql = set_statement(name, value);
            link.client.batch_execute(&sql).await.map_err(|error| failure(&error, &sql, &link.end))?;
        }
        Ok(())
    }

    /// The connection; a new one if it is lost.
    async fn link(&mut self) -> Result<&Link, Failure> {
        if self.link.as_ref().is_none_or(|link| link.client.is_closed()) {
            let link = self.server.connect(&self.notices).await.map_err(|error| Failure::Message(error.message))?;
            self.prepare(&link).await?;
            let text = format!("connected to {} again; settings and transactions of the lost connection are gone", self.address());
            self.notices.push(Notice::Note(text));
            self.link = Some(link);
        }
        self.link.as_ref().ok_or_else(|| Failure::Message("there is no connection".to_owned()))
    }

    pub(super) async fn run(&mut self, statement: &Statement) -> Result<Answer, Failure> {
        let sql = statement.text.as_str();
        let server = Arc::clone(&self.server);
        let link = self.link().await?;
        let failed = |error: tokio_postgres::Error| failure(&error, sql, &link.end);
        match CopyKind::of(sql) {
            CopyKind::In => {
                let sink = link.client.copy_in(sql).await.map_err(failed)?;
                return Ok(Answer::CopyIn(CopyIn::new(sink, sql, link.end.clone())));
            }
            CopyKind::Out => {
                let stream = link.client.copy_out(sql).await.map_err(failed)?;
                let canceller = server.canceller(link);
                return Ok(Answer::CopyOut(CopyOut::new(stream, sql, link.end.clone(), canceller)));
            }
            CopyKind::None => {}
        }
        let prepared = link.client.prepare(sql).await.map_err(failed)?;
        if prepared.columns().is_empty() {
            let rows = link.client.execute(&prepared, &[]).await.map_err(failed)?;
            return Ok(Answer::Done(tag(sql, rows)));
        }
        let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
        let stream = link.client.query_raw(&prepared, none).await.map_err(failed)?;
        let canceller = server.canceller(link);
        Ok(Answer::Rows(Rows::Remote(Box::new(RemoteRows::new(stream, &prepared, sql, link.end.clone(), canceller)))))
    }

    /// Asks the server to stop what it does. Does not wait.
    pub(super) fn cancel(&self) {
        if let Some(link) = &self.link {
            self.server.canceller(link).cancel();
        }
    }

    pub(super) fn notices(&mut self) -> Vec<Notice> {
        self.notices.take()
    }

    pub(super) fn seen_pipelines(&self) -> Vec<Progress> {
        self.side.seen_pipelines()
    }

    pub(super) async fn pipelines(&self) -> Result<Vec<Progress>, Failure> {
        self.side.pipelines().await
    }

    pub(super) async fn names(&self, before: Names) -> Names {
        self.side.names(before).await
    }

    /// Takes a new picture of what exists, beside whatever goes on.
    pub(crate) fn refresh_names(&self, names: &SharedNames) -> JoinHandle<()> {
        let (side, names) = (Arc::clone(&self.side), names.clone());
        self.runtime.spawn(async move {
            side.look_at_pipelines().await;
            let before = names.get().clone();
            let now = side.names(before).await;
            *names.get() = now;
        })
    }

    pub(super) async fn text_rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.side.rows(sql).await.unwrap_or_default()
    }

    pub(super) async fn setting(&mut self, name: &str) -> Result<String, Failure> {
        let sql = format!("SHOW {}", quoted(name));
        let link = self.link().await?;
        let answer = link.client.simple_query(&sql).await.map_err(|error| failure(&error, &sql, &link.end))?;
        let value = answer.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(value.unwrap_or_default())
    }

    pub(super) async fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let sql = set_statement(name, value);
        let link = self.link().await?;
        link.client.batch_execute(&sql).await.map_err(|error| failure(&error, &sql, &link.end))
    }
}

fn set_statement(name: &str, value: &str) -> String {
    format!("SET {} = '{}'", quoted(name), value.replace('\'', "''"))
}

/// A name of a setting as it must be written.
fn quoted(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// COPY speaks a protocol of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CopyKind {
    In,
    Out,
    None,
}

impl CopyKind {
    /// COPY from and to files of the server is left to the server, which says what it thinks of that.
    fn of(sql: &str) -> Self {
        if is_copy_in(sql) {
            return Self::In;
        }
        let words = millstream::scan(sql).into_iter().filter(|part| part.kind == millstream::TextKind::Word);
        let words: Vec<String> = words.map(|part| sql[part.range].to_ascii_lowercase()).collect();
        let is_out = words.first().is_some_and(|first| first == "copy") && words.windows(2).any(|pair| pair == ["to", "stdout"]);
        if is_out { Self::Out } else { Self::None }
    }
}

/// What is said of a statement that gives no rows: the client library keeps the server's word for it to itself.
fn tag(sql: &str, rows: u64) -> String {
    const FILLERS: &[&str] = &["OR", "REPLACE", "TEMPORARY", "TEMP", "IF", "NOT", "EXISTS"];
    let words = millstream::scan(sql).into_iter().filter(|part| part.kind == millstream::TextKind::Word);
    let mut words = words.map(|part| sql[part.range].to_ascii_uppercase()).filter(|word| !FILLERS.contains(&word.as_str()));
    let first = words.next().unwrap_or_default();
    match first.as_str() {
        "INSERT" => format!("INSERT 0 {rows}"),
        "UPDATE" | "DELETE" => format!("{first} {rows}"),
        "CREATE" | "DROP" | "ALTER" | "PAUSE" | "RESUME" | "CHECKPOINT" | "RESTORE" => match words.next() {
            Some(second) if second == "MATERIALIZED" => format!("{first} MATERIALIZED VIEW"),
            Some(second) => format!("{first} {second}"),
            None => first,
        },
        _ => first,
    }
}

/// Shared by what is pushed to from the connection's task and the shell.
type Shared<T> = Arc<Mutex<T>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_the_server() {
        for (sql, expected) in [
            ("create or replace view v as select 1", "CREATE VIEW"),
            ("CREATE MATERIALIZED VIEW IF NOT EXISTS m AS SELECT 1", "CREATE MATERIALIZED VIEW"),
            ("INSERT INTO t VALUES (1)", "INSERT 0 3"),
            ("begin", "BEGIN"),
            ("SET a = 1", "SET"),
            ("DROP TABLE IF EXISTS t", "DROP TABLE"),
        ] {
            assert_eq!(tag(sql, 3), expected);
        }
    }

    #[test]
    fn copy_is_told_from_other_statements() {
        assert_eq!(CopyKind::of("SELECT 'copy t from stdin'"), CopyKind::None);
        assert_eq!(CopyKind::of("copy t (a) FROM STDIN WITH (FORMAT csv)"), CopyKind::In);
        assert_eq!(CopyKind::of("COPY (SELECT a FROM t) TO STDOUT"), CopyKind::Out);
        assert_eq!(CopyKind::of("COPY t TO '/tmp/x'"), CopyKind::None);
    }
}
