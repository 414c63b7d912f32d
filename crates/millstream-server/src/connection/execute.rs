//! Runs one statement, whichever protocol it came by.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::logical_expr::LogicalPlan;
use millstream::{Outcome, Session};
use millstream_sql::parse::{SelectQuery, Statement};

use super::Connection;
use super::rows::ResultRows;
use super::subscription::Subscription;
use crate::error::{Result, WireError};
use crate::security::{ObjectKind, Privilege};
use crate::settings::{Variables, unknown};
use crate::statement::{Command, IsolationLevel, Modes, Rows, SubscribeOptions, TransactionCommand, WireStatement};
use crate::values::{Column, PgType, columns_of, columns_of_plan};

/// What a statement gives.
pub(super) enum Answer {
    Rows(ResultRows),
    /// Done; its command tag.
    Done(String),
}

impl Connection {
    /// Runs a statement. COPY talks to the client itself.
    pub(super) async fn execute(&mut self, statement: &WireStatement) -> Result<Answer> {
        let read_only = self.variables.lock().is_on("default_transaction_read_only");
        self.transaction.check(statement, read_only)?;
        self.server.metrics.statements.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if statement.writes() && !statement.keeps_rows() {
            self.transaction.note_definition();
        }
        self.join_work(statement).await;
        let done = |tag: &str| Ok(Answer::Done(tag.to_owned()));
        match &statement.command {
            Command::Engine(parsed) => Box::pin(self.engine_statement(statement, &parsed.statement)).await,
            Command::Transaction(command) => self.transaction_command(command).await,
            Command::Set { name, value, is_local } => {
                self.set(name, value.as_deref(), *is_local)?;
                done("SET")
            }
            Command::Show(name) => self.show(name).map(Answer::Rows),
            Command::Reset(name) => {
                match name {
                    Some(name) => self.set(name, None, false)?,
                    None => self.reset_all(),
                }
                done("RESET")
            }
            Command::Discard => self.discard_all(),
            Command::Declare { name, with_hold, query } => Box::pin(self.declare(name, *with_hold, query)).await,
            Command::Fetch(fetch) => Box::pin(self.fetch(fetch)).await,
            Command::Close(name) => self.close_cursor(name.as_deref()),
            Command::CopyOut { query, target, options } => Box::pin(self.copy_out(query, target, options)).await,
            Command::CopyIn { table, columns, source, options } => Box::pin(self.copy_in(table, columns, source, options)).await,
            Command::Subscribe(rows) => Ok(Answer::Rows(Box::pin(self.open_rows(rows)).await?)),
            Command::InsertReturning { insert, table, rows } => {
                Box::pin(self.insert_returning(insert, table, rows)).await.map(Answer::Rows)
            }
            Command::Prepare { name, types, statement } => Box::pin(self.prepare_by_sql(name, types, statement)).await,
            Command::Execute { name, arguments } => Box::pin(self.execute_by_sql(name, arguments)).await,
            Command::Deallocate(name) => self.deallocate(name.as_deref()),
            Command::NoEffect { tag } => done(tag),
            Command::Role(command) => self.role_command(command),
        }
    }

    async fn engine_statement(&mut self, statement: &WireStatement, parsed: &Statement) -> Result<Answer> {
        let placed = |error: millstream::Error| WireError::of_engine(&error, &statement.text, statement.offset);
        if let Statement::Query(select) = parsed {
            let session = self.session.clone();
            let rows = self.run_query(&session, select, &statement.text).await;
            return rows.map(Answer::Rows).map_err(|error| moved(error, statement.offset));
        }
        let made = self.check_rights(parsed)?;
        // Pipelines run on: what they read need not end.
        let session = match crate::statement::gives_rows(parsed) {
            true => self.session.clone(),
            false => self.streaming.clone(),
        };
        let Command::Engine(whole) = &statement.command else { return Err(WireError::new("XX000", "no statement of the engine")) };
        let outcome = self.guarded(async { session.run(whole).await.map_err(placed) }).await?;
        self.note_ownership(made)?;
        match outcome {
            Outcome::Rows(query) => {
                let columns = columns_of_engine(&query.schema(), parsed);
                Ok(Answer::Rows(ResultRows::of_query(query, columns)))
            }
            Outcome::Done { message } => Ok(Answer::Done(message)),
            Outcome::Pipeline(handle) => {
                self.transaction.note_definition();
                self.notice("NOTICE", &WireError::new("00000", format!("pipeline {} is running", handle.name())));
                Ok(Answer::Done(if matches!(parsed, Statement::Insert(_)) { "INSERT 0 0".to_owned() } else { statement.tag() }))
            }
            _ => Err(WireError::unsupported("this outcome cannot be told over the wire")),
        }
    }

    /// Plans and starts a query. Errors are placed in its own text.
    pub(super) async fn run_query(&mut self, session: &Session, select: &SelectQuery, text: &str) -> Result<ResultRows> {
        let placed = |error: millstream::Error| WireError::of_engine(&error, text, 0);
        let prepared = session.prepare(select, text).await.map_err(placed)?;
        let columns = self.plan_columns(prepared.plan());
        // What is wrong with a constant is told before its columns, as in PostgreSQL.
        let looks_ahead = is_constant(prepared.plan());
        let query = self.guarded(async { session.run_prepared(prepared).await.map_err(placed) }).await?;
        let mut rows = ResultRows::of_query(query, columns);
        if looks_ahead {
            self.guarded(rows.look_ahead()).await?;
        }
        Ok(rows)
    }

    fn plan_columns(&self, plan: &LogicalPlan) -> Vec<Column> {
        columns_of_plan(plan, &|table, column| self.server.declared.column(&self.server.engine, table, column))
    }

    /// Starts what gives rows: for COPY, cursors and SUBSCRIBE.
    pub(super) async fn open_rows(&mut self, rows: &Rows) -> Result<ResultRows> {
        match rows {
            Rows::Query(parsed) => match &parsed.statement {
                Statement::Query(select) => {
                    let session = self.session.clone();
                    self.run_query(&session, select, &parsed.text).await
                }
                _ => {
                    let session = self.session.clone();
                    match self.guarded(async { session.run(parsed).await.map_err(WireError::from) }).await? {
                        Outcome::Rows(query) => {
                            let columns = columns_of_engine(&query.schema(), &parsed.statement);
                            Ok(ResultRows::of_query(query, columns))
                        }
                        _ => Err(WireError::syntax("a query is expected here")),
                    }
                }
            },
            Rows::Subscription { query, options } => self.subscribe(query, options).await,
        }
    }

    async fn subscribe(&mut self, parsed: &millstream::ParsedStatement, options: &SubscribeOptions) -> Result<ResultRows> {
        let Statement::Query(select) = &parsed.statement else {
            return Err(WireError::syntax("SUBSCRIBE takes a name or a query"));
        };
        if let Some(table) = super::subscription::kept_table(self.streaming.engine(), select) {
            self.check_privilege(Privilege::Select, ObjectKind::Relation, &table.name)?;
            let session = self.streaming.clone();
            let clock = Arc::clone(&self.server.clock);
            let columns = super::subscription::with_progress(&table.schema);
            let subscription = Subscription::of_table(session, clock, &table, options, self.server.started_ms)?;
            return Ok(ResultRows::of_subscription(subscription.counted(&self.server), columns_of(&columns)));
        }
        if options.resume.is_some() {
            let message =
                "a subscription can be resumed where rows are kept: in a stored table or materialized view, not in a query over streams";
            return Err(WireError::unsupported(message));
        }
        let placed = |error: millstream::Error| WireError::of_engine(&error, &parsed.text, 0);
        let session = self.streaming.clone();
        let query = self
            .guarded(async {
                let prepared = session.prepare(select, &parsed.text).await.map_err(placed)?;
                session.run_prepared(prepared).await.map_err(placed)
            })
            .await?;
        let columns = super::subscription::with_progress(&query.schema());
        Ok(ResultRows::of_subscription(Subscription::of_query(query).counted(&self.server), columns_of(&columns)))
    }

    /// What a statement will give; `None`: no rows. Nothing runs, except what only looks.
    pub(super) async fn columns(&mut self, statement: &WireStatement) -> Result<Option<Vec<Column>>> {
        match &statement.command {
            Command::Engine(parsed) => match &parsed.statement {
                Statement::Query(select) => {
                    let placed = |error: millstream::Error| WireError::of_engine(&error, &statement.text, statement.offset);
                    let prepared = self.session.prepare(select, &statement.text).await.map_err(placed)?;
                    Ok(Some(self.plan_columns(prepared.plan())))
                }
                other if crate::statement::gives_rows(other) => {
                    let outcome = self.session.run(parsed).await?;
                    match outcome {
                        Outcome::Rows(query) => Ok(Some(columns_of_engine(&query.schema(), other))),
                        _ => Ok(None),
                    }
                }
                _ => Ok(None),
            },
            Command::InsertReturning { rows, .. } => {
                let Statement::Query(select) = &rows.statement else { return Ok(None) };
                let placed = |error: millstream::Error| WireError::of_engine(&error, &rows.text, statement.offset);
                let prepared = self.session.prepare(select, &rows.text).await.map_err(placed)?;
                Ok(Some(self.plan_columns(prepared.plan())))
            }
            Command::Show(name) => Ok(Some(self.show(name)?.columns)),
            Command::Fetch(fetch) if fetch.shows_rows => self.cursor_columns(&fetch.cursor).map(Some),
            Command::Subscribe(rows) => Ok(Some(self.open_rows(rows).await?.columns)),
            Command::Execute { name, .. } => match self.statements.get(name) {
                Some(prepared) => Ok(prepared.columns.clone()),
                None => Err(super::extended::no_statement(name)),
            },
            _ => Ok(None),
        }
    }

    /// SET, by whatever knows the name: the session's settings, else the engine's.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>, is_local: bool) -> Result<()> {
        if let Some(modes) = modes_of_setting(name, value)? {
            let effect = self.transaction.run(&TransactionCommand::Mode(modes), &mut self.variables.lock())?;
            if let Some(warning) = &effect.warning {
                self.notice("WARNING", warning);
            }
            return Ok(());
        }
        if let Some(value) = value.filter(|_| name.eq_ignore_ascii_case("role")) {
            self.check_role(value)?;
        }
        let is_known = self.variables.lock().get(name).is_some() || self.session.settings().get(name).is_err();
        if !is_known {
            return self.set_of_engine(name, value);
        }
        let before = self.variables.lock().get(name);
        let set = self.variables.lock().set(name, value);
        match set {
            Ok(told) => {
                if is_local {
                    if !self.transaction.is_open() {
                        self.notice("WARNING", &WireError::new("25P01", "SET LOCAL can only be used in transaction blocks"));
                    }
                    self.transaction.note_local(name, before);
                }
                self.transaction.show_level(&mut self.variables.lock());
                self.tell_parameters(told.into_iter().collect());
                Ok(())
            }
            // Names that other engines have, such as `execution.runtime-mode`.
            Err(error) => match value.map(|value| self.session.set(name, value)) {
                Some(Ok(())) => Ok(()),
                _ => Err(error),
            },
        }
    }

    fn set_of_engine(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let value = match value {
            Some(value) => value.to_owned(),
            None if name == "execution_mode" => "batch".to_owned(),
            None => self.server.engine.session().settings().get(name)?,
        };
        self.session.set(name, &value)?;
        if name != "execution_mode" {
            self.streaming.set(name, &value)?;
        }
        Ok(())
    }

    pub(super) fn tell_parameters(&mut self, told: Vec<(String, String)>) {
        for (name, value) in told {
            crate::protocol::outgoing::parameter_status(&mut self.wire.output, &name, &value);
        }
    }

    fn reset_all(&mut self) {
        let told = self.variables.lock().reset_all();
        self.tell_parameters(told);
    }

    fn discard_all(&mut self) -> Result<Answer> {
        if self.transaction.is_open() {
            return Err(WireError::new("25001", "DISCARD ALL cannot run inside a transaction block"));
        }
        self.close_portals(true);
        self.statements.clear();
        self.reset_all();
        Ok(Answer::Done("DISCARD ALL".to_owned()))
    }

    fn show(&mut self, name: &str) -> Result<ResultRows> {
        if name.eq_ignore_ascii_case("all") {
            let mut all = self.variables.lock().all();
            all.extend(self.session.settings().all());
            all.sort();
            let rows = all.into_iter().map(|(name, value)| vec![name, value, String::new()]).collect();
            return text_rows(&["name", "setting", "description"], rows);
        }
        let session = self.variables.lock().get(name);
        let value = session.or_else(|| self.session.settings().get(name).ok()).ok_or_else(|| unknown(name))?;
        text_rows(&[&Variables::shown_name(name)], vec![vec![value]])
    }
}

/// True if the query reads nothing, but for subqueries in its expressions. A loop: plans can be deeper than the stack.
fn is_constant(plan: &LogicalPlan) -> bool {
    let mut nodes = vec![plan];
    while let Some(node) = nodes.pop() {
        if matches!(node, LogicalPlan::TableScan(_) | LogicalPlan::Extension(_)) {
            return false;
        }
        nodes.extend(node.inputs());
    }
    true
}

/// What `SET transaction_isolation` and `SET transaction_read_only` say of the transaction.
fn modes_of_setting(name: &str, value: Option<&str>) -> Result<Option<Modes>> {
    let Some(value) = value else { return Ok(None) };
    let invalid = || WireError::new("22023", format!("invalid value for parameter \"{name}\": \"{value}\""));
    Ok(match name.to_ascii_lowercase().as_str() {
        "transaction_isolation" => {
            let level = IsolationLevel::named(value).ok_or_else(invalid)?;
            Some(Modes { isolation: Some(level), ..Modes::default() })
        }
        "transaction_read_only" => {
            let read_only = crate::settings::boolean(&value.to_ascii_lowercase()).ok_or_else(invalid)? == "on";
            Some(Modes { read_only: Some(read_only), ..Modes::default() })
        }
        _ => None,
    })
}

/// Columns of SHOW, DESCRIBE and EXPLAIN; clients know a plan by its column's name.
fn columns_of_engine(schema: &Schema, statement: &Statement) -> Vec<Column> {
    let mut columns = columns_of(schema);
    if let (Statement::Explain(_), [plan]) = (statement, columns.as_mut_slice()) {
        plan.name = "QUERY PLAN".to_owned();
    }
    columns
}

/// An error of a statement that begins later in what the client sent.
fn moved(mut error: WireError, offset: usize) -> WireError {
    error.position = error.position.map(|position| position + offset);
    error
}

/// Rows of text.
fn text_rows(names: &[&str], rows: Vec<Vec<String>>) -> Result<ResultRows> {
    let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    let column = |n: usize| Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row[n].as_str()))) as _;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), (0..names.len()).map(column).collect())?;
    let columns = names.iter().map(|name| Column::new(name, PgType::TEXT)).collect();
    Ok(ResultRows::of_batches(vec![batch], columns))
}
