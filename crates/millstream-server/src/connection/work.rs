//! Rows that wait for the end of a transaction: of a block, or of statements that belong together without one.
//!
//! As in PostgreSQL, what a client sends up to Sync, and the statements of one text, are one transaction if no block is open: rows
//! of all INSERTs come together, or none if one of them fails. It also makes many small INSERTs one write.

use millstream::Isolation;

use super::Connection;
use super::execute::Answer;
use crate::error::{Result, WireError};
use crate::statement::{TransactionCommand, WireStatement};

impl Connection {
    /// A statement is about to run: it takes part in what is open, or opens what it needs.
    pub(super) async fn join_work(&mut self, statement: &WireStatement) {
        match self.transaction.work() {
            Some(work) if statement.looks() => work.pin(&self.server.engine).await,
            Some(_) => {}
            None if self.gathers && self.implicit.is_none() && statement.keeps_rows() => {
                self.implicit = Some(millstream::Transaction::new(Isolation::Statement));
                self.use_work();
            }
            None => {}
        }
    }

    /// What the sessions' statements belong to from now on.
    fn use_work(&mut self) {
        let work = self.transaction.work().or_else(|| self.implicit.clone());
        self.session.set_transaction(work.clone());
        self.streaming.set_transaction(work);
    }

    /// The statements that belong together have ended.
    pub(super) async fn finish_gathering(&mut self) {
        self.gathers = false;
        if let Err(error) = self.commit_gathered().await {
            self.report(&error);
        }
    }

    async fn commit_gathered(&mut self) -> Result<()> {
        let Some(work) = self.implicit.take() else { return Ok(()) };
        self.use_work();
        work.commit(&self.server.engine).await?;
        Ok(())
    }

    /// One of them has failed: nothing of the others stays.
    pub(super) fn drop_gathered(&mut self) {
        if let Some(work) = self.implicit.take() {
            work.rollback();
            self.use_work();
        }
    }

    pub(super) async fn transaction_command(&mut self, command: &TransactionCommand) -> Result<Answer> {
        match command {
            TransactionCommand::Begin(_) | TransactionCommand::Commit { .. } => self.commit_gathered().await?,
            TransactionCommand::Rollback { .. } => self.drop_gathered(),
            _ => {}
        }
        // It is not interrupted: a client that asks for it must know how it ended.
        let failed = match (command, self.transaction.sound_work()) {
            (TransactionCommand::Commit { .. }, Some(work)) => work.commit(&self.server.engine).await.err(),
            _ => None,
        };
        let command = if failed.is_some() { &TransactionCommand::Rollback { chain: false } } else { command };
        let (effect, told) = {
            let mut variables = self.variables.lock();
            let before = variables.reported();
            let effect = self.transaction.run(command, &mut variables)?;
            (effect, variables.reported().into_iter().filter(|pair| !before.contains(pair)).collect::<Vec<_>>())
        };
        self.use_work();
        self.tell_parameters(told);
        if let Some(warning) = &effect.warning {
            self.notice("WARNING", warning);
        }
        if effect.ended {
            self.close_portals(false);
        }
        match failed {
            Some(error) => Err(WireError::from(error)),
            None => Ok(Answer::Done(effect.tag.to_owned())),
        }
    }
}
