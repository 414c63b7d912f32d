//! Transactions as the status byte shows them.
//!
//! Each statement takes effect by itself: what a block has written is not undone by ROLLBACK, and the client is told so. The rest is as
//! clients expect it: states, savepoints, READ ONLY, and settings that go back.

use crate::error::{Result, WireError};
use crate::protocol::outgoing::TransactionStatus;
use crate::settings::Variables;
use crate::statement::{Command, TransactionCommand, WireStatement};

/// Savepoints at once at most.
const SAVEPOINTS_MAX: usize = 1000;

/// A session's transaction.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    block: Option<Block>,
    /// `SET SESSION CHARACTERISTICS`
    default_read_only: bool,
}

#[derive(Debug)]
struct Block {
    read_only: bool,
    has_failed: bool,
    savepoints: Vec<String>,
    /// Settings at BEGIN; ROLLBACK goes back to them.
    before: Variables,
    /// What `SET LOCAL` has changed: it ends with the block.
    locals: Vec<(String, Option<String>)>,
    has_written: bool,
}

/// What a transaction command does besides its tag.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) tag: &'static str,
    /// Something the client should know.
    pub(crate) warning: Option<WireError>,
    /// The block is over: cursors without hold close.
    pub(crate) ended: bool,
}

impl Effect {
    fn tag(tag: &'static str) -> Self {
        Self { tag, warning: None, ended: false }
    }

    fn warning(tag: &'static str, sqlstate: &str, message: &str) -> Self {
        Self { tag, warning: Some(WireError::new(sqlstate, message)), ended: false }
    }
}

impl Transaction {
    pub(crate) fn status(&self) -> TransactionStatus {
        match &self.block {
            None => TransactionStatus::Idle,
            Some(block) if block.has_failed => TransactionStatus::Failed,
            Some(_) => TransactionStatus::Open,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.block.is_some()
    }

    pub(crate) fn fail(&mut self) {
        if let Some(block) = &mut self.block {
            block.has_failed = true;
        }
    }

    /// Refuses what may not run now.
    pub(crate) fn check(&self, statement: &WireStatement, read_only_setting: bool) -> Result<()> {
        let ends = matches!(
            &statement.command,
            Command::Transaction(
                TransactionCommand::Commit { .. } | TransactionCommand::Rollback { .. } | TransactionCommand::RollbackTo(_)
            )
        );
        if self.status() == TransactionStatus::Failed && !ends {
            return Err(WireError::new("25P02", "current transaction is aborted, commands ignored until end of transaction block"));
        }
        let read_only = self.block.as_ref().map_or(self.default_read_only || read_only_setting, |block| block.read_only);
        if read_only && statement.writes() {
            return Err(WireError::new("25006", format!("cannot execute {} in a read-only transaction", statement.tag())));
        }
        Ok(())
    }

    /// A statement has written.
    pub(crate) fn note_write(&mut self) {
        if let Some(block) = &mut self.block {
            block.has_written = true;
        }
    }

    /// `SET LOCAL` is about to change a setting.
    pub(crate) fn note_local(&mut self, name: &str, before: Option<String>) {
        if let Some(block) = &mut self.block {
            block.locals.push((name.to_owned(), before));
        }
    }

    pub(crate) fn run(&mut self, command: &TransactionCommand, variables: &mut Variables) -> Result<Effect> {
        match command {
            TransactionCommand::Begin { read_only } => Ok(self.begin(*read_only, variables)),
            TransactionCommand::Commit { chain } => Ok(self.commit(*chain, variables)),
            TransactionCommand::Rollback { chain } => Ok(self.rollback(*chain, variables)),
            TransactionCommand::Savepoint(name) => self.savepoint(name),
            TransactionCommand::Release(name) => self.back_to(name, "RELEASE", false),
            TransactionCommand::RollbackTo(name) => self.back_to(name, "ROLLBACK", true),
            TransactionCommand::Mode { read_only } => Ok(self.mode(*read_only)),
            TransactionCommand::DefaultMode { read_only } => {
                self.default_read_only = read_only.unwrap_or(self.default_read_only);
                Ok(Effect::tag("SET"))
            }
        }
    }

    fn begin(&mut self, read_only: Option<bool>, variables: &Variables) -> Effect {
        if self.block.is_some() {
            return Effect::warning("BEGIN", "25001", "there is already a transaction in progress");
        }
        let default = self.default_read_only || variables.is_on("default_transaction_read_only");
        self.block = Some(Block {
            read_only: read_only.unwrap_or(default),
            has_failed: false,
            savepoints: Vec::new(),
            before: variables.clone(),
            locals: Vec::new(),
            has_written: false,
        });
        Effect::tag("BEGIN")
    }

    fn commit(&mut self, chain: bool, variables: &mut Variables) -> Effect {
        let Some(block) = self.block.take() else {
            return Effect::warning("COMMIT", "25P01", "there is no transaction in progress");
        };
        if block.has_failed {
            return self.undo(block, chain, variables);
        }
        end_locals(&block, variables);
        let read_only = block.read_only;
        if chain {
            self.begin(Some(read_only), variables);
        }
        Effect { tag: "COMMIT", warning: None, ended: true }
    }

    fn rollback(&mut self, chain: bool, variables: &mut Variables) -> Effect {
        match self.block.take() {
            None => Effect::warning("ROLLBACK", "25P01", "there is no transaction in progress"),
            Some(block) => self.undo(block, chain, variables),
        }
    }

    fn undo(&mut self, block: Block, chain: bool, variables: &mut Variables) -> Effect {
        let read_only = block.read_only;
        *variables = block.before;
        if chain {
            self.begin(Some(read_only), variables);
        }
        Effect { tag: "ROLLBACK", warning: block.has_written.then(written), ended: true }
    }

    fn savepoint(&mut self, name: &str) -> Result<Effect> {
        let block = self.block.as_mut().ok_or_else(|| outside("SAVEPOINT"))?;
        if block.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(WireError::new("54000", format!("there are more than {SAVEPOINTS_MAX} savepoints")));
        }
        block.savepoints.push(name.to_owned());
        Ok(Effect::tag("SAVEPOINT"))
    }

    fn back_to(&mut self, name: &str, tag: &'static str, keeps: bool) -> Result<Effect> {
        let word = if keeps { "ROLLBACK TO SAVEPOINT" } else { "RELEASE SAVEPOINT" };
        let block = self.block.as_mut().ok_or_else(|| outside(word))?;
        let Some(at) = block.savepoints.iter().rposition(|savepoint| savepoint == name) else {
            return Err(WireError::new("3B001", format!("savepoint \"{name}\" does not exist")));
        };
        block.savepoints.truncate(at + usize::from(keeps));
        if keeps {
            block.has_failed = false;
        }
        Ok(Effect { tag, warning: (keeps && block.has_written).then(written), ended: false })
    }

    fn mode(&mut self, read_only: Option<bool>) -> Effect {
        match &mut self.block {
            Some(block) => {
                block.read_only = read_only.unwrap_or(block.read_only);
                Effect::tag("SET")
            }
            None => Effect::warning("SET", "25P01", "SET TRANSACTION can only be used in transaction blocks"),
        }
    }
}

fn end_locals(block: &Block, variables: &mut Variables) {
    for (name, before) in block.locals.iter().rev() {
        // It was settable to that before.
        let _ = variables.set(name, before.as_deref());
    }
}

fn outside(what: &str) -> WireError {
    WireError::new("25P01", format!("{what} can only be used in transaction blocks"))
}

fn written() -> WireError {
    WireError::new("01000", "rows and definitions written in this transaction stay: each statement takes effect by itself")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::read_all;

    fn run(transaction: &mut Transaction, variables: &mut Variables, sql: &str) -> Result<Effect> {
        let statement = read_all(sql).unwrap().remove(0);
        transaction.check(&statement, false)?;
        match &statement.command {
            Command::Transaction(command) => transaction.run(command, variables),
            _ => Ok(Effect::tag("")),
        }
    }

    #[test]
    fn states_follow_statements() {
        let (mut transaction, mut variables) = (Transaction::default(), Variables::new("me", true, false));
        let mut go = |sql: &str| run(&mut transaction, &mut variables, sql).map(|effect| effect.tag).map_err(|error| error.sqlstate);
        assert_eq!(go("ROLLBACK TO a"), Err("25P01".to_owned()));
        assert_eq!(go("BEGIN READ ONLY"), Ok("BEGIN"));
        assert_eq!(go("SELECT 1"), Ok(""));
        assert_eq!(go("INSERT INTO t VALUES (1)"), Err("25006".to_owned()));
        assert_eq!(go("SAVEPOINT a"), Ok("SAVEPOINT"));
        transaction.fail();
        let mut go = |sql: &str| run(&mut transaction, &mut variables, sql).map(|effect| effect.tag).map_err(|error| error.sqlstate);
        assert_eq!(go("SELECT 1"), Err("25P02".to_owned()));
        assert_eq!(go("ROLLBACK TO a"), Ok("ROLLBACK"));
        assert_eq!(go("SELECT 1"), Ok(""));
        assert_eq!(go("COMMIT"), Ok("COMMIT"));
        assert_eq!(transaction.status(), TransactionStatus::Idle);
        run(&mut transaction, &mut variables, "BEGIN").unwrap();
        transaction.fail();
        assert_eq!(run(&mut transaction, &mut variables, "COMMIT").unwrap().tag, "ROLLBACK");
    }
}
