//! The extended protocol: Parse, Bind, Describe, Execute, Close; and PREPARE, EXECUTE, DEALLOCATE, which are the same in SQL.

use std::sync::Arc;

use super::Connection;
use super::execute::Answer;
use super::parameters::{self, bound};
use super::rows::ResultRows;
use super::send::Sent;
use crate::error::{Result, WireError};
use crate::metrics::AtWork;
use crate::protocol::incoming::{Bind, Target};
use crate::protocol::{Message, outgoing};
use crate::statement::{Command, TransactionCommand, WireStatement, read_all};
use crate::values::{Column, Format, PgType, parameter_literal};

/// A statement with parameters.
#[derive(Debug)]
pub(super) struct Prepared {
    /// `None`: the text is empty.
    statement: Option<WireStatement>,
    types: Vec<PgType>,
    pub(super) columns: Option<Vec<Column>>,
}

/// A statement with its values, perhaps begun.
pub(super) struct Portal {
    state: State,
    formats: Vec<i16>,
    columns: Option<Vec<Column>>,
    is_held: bool,
}

enum State {
    Empty,
    Bound(Box<WireStatement>),
    Running { rows: ResultRows, statement: Option<Box<WireStatement>> },
    Done,
}

impl Portal {
    pub(super) fn of_cursor(rows: ResultRows, is_held: bool) -> Self {
        let columns = Some(rows.columns.clone());
        Self { state: State::Running { rows, statement: None }, formats: Vec::new(), columns, is_held }
    }

    pub(super) fn rows_mut(&mut self) -> Option<&mut ResultRows> {
        match &mut self.state {
            State::Running { rows, .. } => Some(rows),
            _ => None,
        }
    }

    pub(super) fn columns(&self) -> Option<Vec<Column>> {
        self.columns.clone()
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }
}

pub(super) fn no_statement(name: &str) -> WireError {
    WireError::new("26000", format!("prepared statement \"{name}\" does not exist"))
}

impl Connection {
    /// A message of the extended protocol.
    pub(super) async fn extended(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Parse { name, sql, types } => Box::pin(self.parse(name, &sql, &types)).await,
            Message::Bind(bind) => self.bind(bind),
            Message::Describe { kind: Target::Statement, name } => self.describe_statement(&name),
            Message::Describe { kind: Target::Portal, name } => self.describe_portal(&name),
            Message::Execute { portal, rows_max } => Box::pin(self.execute_portal(portal, rows_max)).await,
            Message::Close { kind, name } => {
                match kind {
                    Target::Statement => self.statements.remove(&name).map(drop),
                    Target::Portal => self.portals.remove(&name).map(drop),
                };
                outgoing::bare(&mut self.wire.output, outgoing::CLOSE_COMPLETE);
                Ok(())
            }
            _ => Err(WireError::protocol("this message is not expected now")),
        }
    }

    async fn parse(&mut self, name: String, sql: &str, types: &[u32]) -> Result<()> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(WireError::new("42P05", format!("prepared statement \"{name}\" already exists")));
        }
        self.check_room(self.statements.len())?;
        self.start_statement();
        let mut statements = read_all(sql)?;
        if statements.len() > 1 {
            return Err(WireError::syntax("cannot insert multiple commands into a prepared statement"));
        }
        let given = types.iter().map(|oid| PgType::from_oid(*oid)).collect::<Vec<_>>();
        let prepared = match statements.pop() {
            None => Prepared { statement: None, types: Vec::new(), columns: None },
            Some(statement) => self.prepare(statement, &given).await?,
        };
        self.statements.insert(name, Arc::new(prepared));
        outgoing::bare(&mut self.wire.output, outgoing::PARSE_COMPLETE);
        Ok(())
    }

    /// Finds the types of a statement's parameters and the columns of its rows.
    async fn prepare(&mut self, statement: WireStatement, given: &[Option<PgType>]) -> Result<Prepared> {
        let ends_block = matches!(&statement.command, Command::Transaction(_));
        if self.transaction.status() == outgoing::TransactionStatus::Failed && !ends_block {
            return Err(WireError::new("25P02", "current transaction is aborted, commands ignored until end of transaction block"));
        }
        let types = parameters::types_of(&self.server, &self.session, &statement, given).await?;
        let nulls = types.iter().map(|pg_type| parameter_literal(None, Format::Text, pg_type)).collect::<Result<Vec<_>>>()?;
        let with_nulls = bound(&statement, &nulls)?;
        let columns = Box::pin(self.columns(&with_nulls)).await?;
        Ok(Prepared { statement: Some(statement), types, columns })
    }

    fn bind(&mut self, bind: Bind) -> Result<()> {
        let prepared = self.statements.get(&bind.statement).cloned().ok_or_else(|| match bind.statement.as_str() {
            "" => WireError::new("26000", "unnamed prepared statement does not exist"),
            name => no_statement(name),
        })?;
        let count = prepared.types.len();
        if bind.values.len() != count {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {count}",
                bind.values.len(),
                bind.statement
            );
            return Err(WireError::new("08P01", message));
        }
        let formats = Format::each(&bind.formats, count).ok_or_else(|| {
            WireError::new("08P01", format!("bind message has {} parameter formats but {count} parameters", bind.formats.len()))
        })?;
        let columns = prepared.columns.as_ref().map_or(0, Vec::len);
        if Format::each(&bind.result_formats, columns).is_none() {
            let message = format!("bind message has {} result formats but query has {columns} columns", bind.result_formats.len());
            return Err(WireError::new("08P01", message));
        }
        if !bind.portal.is_empty() && self.portals.contains_key(&bind.portal) {
            return Err(WireError::new("42P03", format!("cursor \"{}\" already exists", bind.portal)));
        }
        self.check_room(self.portals.len())?;
        let state = match &prepared.statement {
            None => State::Empty,
            Some(statement) => {
                let values = bind.values.iter().zip(&formats).zip(&prepared.types);
                let literals = values.map(|((value, format), pg_type)| parameter_literal(value.as_deref(), *format, pg_type));
                State::Bound(Box::new(bound(statement, &literals.collect::<Result<Vec<_>>>()?)?))
            }
        };
        let portal = Portal { state, formats: bind.result_formats, columns: prepared.columns.clone(), is_held: false };
        self.portals.insert(bind.portal, portal);
        outgoing::bare(&mut self.wire.output, outgoing::BIND_COMPLETE);
        Ok(())
    }

    fn describe_statement(&mut self, name: &str) -> Result<()> {
        let prepared = self.statements.get(name).cloned().ok_or_else(|| no_statement(name))?;
        let oids: Vec<u32> = prepared.types.iter().map(PgType::oid).collect();
        outgoing::parameter_description(&mut self.wire.output, &oids);
        match &prepared.columns {
            Some(columns) => outgoing::row_description(&mut self.wire.output, columns, &[]),
            None => outgoing::bare(&mut self.wire.output, outgoing::NO_DATA),
        }
        Ok(())
    }

    fn describe_portal(&mut self, name: &str) -> Result<()> {
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        match &portal.columns {
            Some(columns) => {
                let formats = Format::each(&portal.formats, columns.len()).unwrap_or_default();
                outgoing::row_description(&mut self.wire.output, columns, &formats);
            }
            None => outgoing::bare(&mut self.wire.output, outgoing::NO_DATA),
        }
        Ok(())
    }

    async fn execute_portal(&mut self, name: String, rows_max: usize) -> Result<()> {
        let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        self.start_statement();
        let server = Arc::clone(&self.server);
        let _at_work = AtWork::begin(&server.metrics, server.clock.as_ref());
        let executed = self.run_portal(&mut portal, rows_max).await;
        // A portal whose statement has ended the transaction goes with it.
        if executed.as_ref().is_ok_and(|keeps| *keeps) {
            self.portals.insert(name, portal);
        }
        executed.map(drop)
    }

    /// False: the portal is gone.
    async fn run_portal(&mut self, portal: &mut Portal, rows_max: usize) -> Result<bool> {
        if let State::Bound(_) = &portal.state {
            let State::Bound(statement) = std::mem::replace(&mut portal.state, State::Done) else { return Ok(true) };
            match self.execute(&statement).await? {
                Answer::Done(tag) => {
                    outgoing::command_complete(&mut self.wire.output, &tag);
                    let ends = matches!(
                        &statement.command,
                        Command::Transaction(TransactionCommand::Commit { .. } | TransactionCommand::Rollback { .. })
                    );
                    return Ok(!ends);
                }
                Answer::Rows(mut rows) => {
                    let described = portal.columns.as_ref().unwrap_or(&rows.columns);
                    if described.len() != rows.columns.len() || described.iter().zip(&rows.columns).any(|(a, b)| a.pg_type != b.pg_type) {
                        return Err(WireError::unsupported("cached plan must not change result type"));
                    }
                    rows.formats = Format::each(&portal.formats, rows.columns.len()).unwrap_or_default();
                    portal.state = State::Running { rows, statement: Some(statement) };
                }
            }
        }
        match &mut portal.state {
            State::Empty => outgoing::bare(&mut self.wire.output, outgoing::EMPTY_QUERY),
            State::Done => return Err(WireError::new("55000", "portal cannot be run anymore")),
            State::Bound(_) => {}
            State::Running { rows, statement } => {
                let limit = (rows_max > 0).then_some(rows_max as u64);
                let before = rows.taken;
                match self.send_rows(rows, limit).await? {
                    Sent::Some => outgoing::bare(&mut self.wire.output, outgoing::PORTAL_SUSPENDED),
                    Sent::All => {
                        let count = rows.taken - before;
                        let tag = match statement {
                            Some(statement) => Sent::All.tag(statement, count),
                            None => format!("SELECT {count}"),
                        };
                        outgoing::command_complete(&mut self.wire.output, &tag);
                    }
                }
            }
        }
        Ok(true)
    }

    /// `PREPARE name (types) AS statement`
    pub(super) async fn prepare_by_sql(&mut self, name: &str, types: &[String], statement: &WireStatement) -> Result<Answer> {
        if self.statements.contains_key(name) {
            return Err(WireError::new("42P05", format!("prepared statement \"{name}\" already exists")));
        }
        self.check_room(self.statements.len())?;
        let given = types.iter().map(|text| parameters::type_named(text).map(Some)).collect::<Result<Vec<_>>>()?;
        let types = parameters::types_of(&self.server, &self.session, statement, &given).await?;
        let prepared = Prepared { statement: Some(statement.clone()), types, columns: None };
        self.statements.insert(name.to_owned(), Arc::new(prepared));
        Ok(Answer::Done("PREPARE".to_owned()))
    }

    /// `EXECUTE name (values)`
    pub(super) async fn execute_by_sql(&mut self, name: &str, arguments: &[String]) -> Result<Answer> {
        let prepared = self.statements.get(name).cloned().ok_or_else(|| no_statement(name))?;
        let Some(statement) = &prepared.statement else { return Ok(Answer::Done(String::new())) };
        if arguments.len() != prepared.types.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {} parameters but got {}.", prepared.types.len(), arguments.len());
            return Err(WireError::syntax(message).with_detail(detail));
        }
        let values = arguments.iter().zip(&prepared.types).map(|(text, pg_type)| parameters::argument(text, pg_type));
        let bound = bound(statement, &values.collect::<Result<Vec<_>>>()?)?;
        Box::pin(self.execute(&bound)).await
    }

    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<Answer> {
        match name {
            None => {
                self.statements.clear();
                Ok(Answer::Done("DEALLOCATE ALL".to_owned()))
            }
            Some(name) => match self.statements.remove(name) {
                Some(_) => Ok(Answer::Done("DEALLOCATE".to_owned())),
                None => Err(no_statement(name)),
            },
        }
    }
}

fn no_portal(name: &str) -> WireError {
    WireError::new("34000", format!("portal \"{name}\" does not exist"))
}
