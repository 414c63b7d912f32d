//! The simple protocol: a text with any number of statements.

use super::Connection;
use super::execute::Answer;
use crate::error::{Result, WireError};
use crate::metrics::AtWork;
use crate::protocol::outgoing;
use crate::statement::{Command, TransactionCommand, WireStatement, read_all};

impl Connection {
    /// Runs all statements of a text up to the first error. An error of this function ends the connection.
    pub(super) async fn simple_query(&mut self, sql: &str) -> Result<()> {
        // As in PostgreSQL, the unnamed statement and portal do not outlive it.
        self.statements.remove("");
        self.portals.remove("");
        let statements = match read_all(sql) {
            Ok(statements) => statements,
            Err(error) => {
                self.report(&error);
                return Ok(());
            }
        };
        if statements.is_empty() {
            outgoing::bare(&mut self.wire.output, outgoing::EMPTY_QUERY);
            return Ok(());
        }
        self.gathers = statements.len() > 1;
        for statement in &statements {
            match self.run_simple(statement).await {
                Ok(()) => {}
                Err(error) if error.is_fatal => return Err(error),
                Err(error) => {
                    self.drop_gathered();
                    self.report(&error);
                    break;
                }
            }
        }
        self.finish_gathering().await;
        if !self.transaction.is_open() {
            self.close_portals(false);
        }
        Ok(())
    }

    async fn run_simple(&mut self, statement: &WireStatement) -> Result<()> {
        self.start_statement();
        let server = std::sync::Arc::clone(&self.server);
        let _at_work = AtWork::begin(&server.metrics, server.clock.as_ref());
        let answer = self.execute(statement).await?;
        match answer {
            Answer::Rows(mut rows) => {
                outgoing::row_description(&mut self.wire.output, &rows.columns, &rows.formats);
                let tag = self.send_rows(&mut rows, None).await?.tag(statement, rows.taken);
                outgoing::command_complete(&mut self.wire.output, &tag);
            }
            Answer::Done(tag) => outgoing::command_complete(&mut self.wire.output, &tag),
        }
        let ends =
            matches!(&statement.command, Command::Transaction(TransactionCommand::Commit { .. } | TransactionCommand::Rollback { .. }));
        if ends {
            self.close_portals(false);
        }
        Ok(())
    }
}

impl From<std::io::Error> for WireError {
    fn from(_: std::io::Error) -> Self {
        super::gone()
    }
}
