//! Transactions as the status byte shows them.
//!
//! Rows for stored tables wait for COMMIT in the engine's transaction, which a block carries; definitions and rows for connectors take
//! effect at once, and ROLLBACK tells so. The rest is as clients expect it: states, savepoints, READ ONLY, and settings that go back.

use std::sync::Arc;

use millstream::{Isolation, TransactionMark};

use crate::error::{Result, WireError};
use crate::protocol::outgoing::TransactionStatus;
use crate::settings::Variables;
use crate::statement::{Command, IsolationLevel, Modes, TransactionCommand, WireStatement};

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
    level: Option<IsolationLevel>,
    has_failed: bool,
    savepoints: Vec<(String, TransactionMark)>,
    work: Arc<millstream::Transaction>,
    /// Settings at BEGIN; ROLLBACK goes back to them.
    before: Variables,
    /// What `SET LOCAL` has changed: it ends with the block.
    locals: Vec<(String, Option<String>)>,
    /// What ROLLBACK does not undo.
    has_defined: bool,
}

impl Block {
    fn leaves_something(&self) -> bool {
        self.has_defined || self.work.has_written_outside()
    }
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

    /// A statement has done what ROLLBACK does not undo.
    pub(crate) fn note_definition(&mut self) {
        if let Some(block) = &mut self.block {
            block.has_defined = true;
        }
    }

    /// The engine's transaction of the open block.
    pub(crate) fn work(&self) -> Option<Arc<millstream::Transaction>> {
        self.block.as_ref().map(|block| Arc::clone(&block.work))
    }

    /// The same, if it can be committed.
    pub(crate) fn sound_work(&self) -> Option<Arc<millstream::Transaction>> {
        self.work().filter(|_| self.status() == TransactionStatus::Open)
    }

    /// `SET LOCAL` is about to change a setting.
    pub(crate) fn note_local(&mut self, name: &str, before: Option<String>) {
        if let Some(block) = &mut self.block {
            block.locals.push((name.to_owned(), before));
        }
    }

    pub(crate) fn run(&mut self, command: &TransactionCommand, variables: &mut Variables) -> Result<Effect> {
        match command {
            TransactionCommand::Begin(modes) => Ok(self.begin(*modes, variables)),
            TransactionCommand::Commit { chain } => Ok(self.commit(*chain, variables)),
            TransactionCommand::Rollback { chain } => Ok(self.rollback(*chain, variables)),
            TransactionCommand::Savepoint(name) => self.savepoint(name),
            TransactionCommand::Release(name) => self.back_to(name, "RELEASE", false),
            TransactionCommand::RollbackTo(name) => self.back_to(name, "ROLLBACK", true),
            TransactionCommand::Mode(modes) => self.mode(*modes, variables),
            TransactionCommand::DefaultMode(modes) => {
                self.default_read_only = modes.read_only.unwrap_or(self.default_read_only);
                if let Some(level) = modes.isolation {
                    variables.set("default_transaction_isolation", Some(level.name()))?;
                    self.show_level(variables);
                }
                Ok(Effect::tag("SET"))
            }
        }
    }

    /// Outside of blocks the level is that of the next one.
    pub(crate) fn show_level(&self, variables: &mut Variables) {
        if self.block.is_none() {
            let level = variables.get("default_transaction_isolation");
            // It is one that was checked.
            let _ = variables.set("transaction_isolation", level.as_deref());
        }
    }

    fn begin(&mut self, modes: Modes, variables: &mut Variables) -> Effect {
        if self.block.is_some() {
            return Effect::warning("BEGIN", "25001", "there is already a transaction in progress");
        }
        let default = self.default_read_only || variables.is_on("default_transaction_read_only");
        let level = modes.isolation.or_else(|| IsolationLevel::named(&variables.get("default_transaction_isolation")?));
        self.block = Some(Block {
            read_only: modes.read_only.unwrap_or(default),
            level,
            has_failed: false,
            savepoints: Vec::new(),
            work: millstream::Transaction::new(level.map_or(Isolation::default(), IsolationLevel::of_engine)),
            before: variables.clone(),
            locals: Vec::new(),
            has_defined: false,
        });
        // It is one of the names that there are.
        let _ = variables.set("transaction_isolation", level.map(IsolationLevel::name));
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
        self.end(&block, chain, variables);
        Effect { tag: "COMMIT", warning: None, ended: true }
    }

    fn rollback(&mut self, chain: bool, variables: &mut Variables) -> Effect {
        match self.block.take() {
            None => Effect::warning("ROLLBACK", "25P01", "there is no transaction in progress"),
            Some(block) => self.undo(block, chain, variables),
        }
    }

    fn undo(&mut self, block: Block, chain: bool, variables: &mut Variables) -> Effect {
        block.work.rollback();
        variables.clone_from(&block.before);
        self.end(&block, chain, variables);
        Effect { tag: "ROLLBACK", warning: block.leaves_something().then(written), ended: true }
    }

    /// A block is over; `AND CHAIN` begins another like it.
    fn end(&mut self, block: &Block, chain: bool, variables: &mut Variables) {
        if chain {
            self.begin(Modes { read_only: Some(block.read_only), isolation: block.level }, variables);
        }
        self.show_level(variables);
    }

    fn savepoint(&mut self, name: &str) -> Result<Effect> {
        let block = self.block.as_mut().ok_or_else(|| outside("SAVEPOINT"))?;
        if block.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(WireError::new("54000", format!("there are more than {SAVEPOINTS_MAX} savepoints")));
        }
        block.savepoints.push((name.to_owned(), block.work.mark()));
        Ok(Effect::tag("SAVEPOINT"))
    }

    fn back_to(&mut self, name: &str, tag: &'static str, keeps: bool) -> Result<Effect> {
        let word = if keeps { "ROLLBACK TO SAVEPOINT" } else { "RELEASE SAVEPOINT" };
        let block = self.block.as_mut().ok_or_else(|| outside(word))?;
        let Some(at) = block.savepoints.iter().rposition(|(savepoint, _)| savepoint == name) else {
            return Err(WireError::new("3B001", format!("savepoint \"{name}\" does not exist")));
        };
        if keeps {
            block.work.back_to(&block.savepoints[at].1);
            block.has_failed = false;
        }
        block.savepoints.truncate(at + usize::from(keeps));
        Ok(Effect { tag, warning: (keeps && block.leaves_something()).then(written), ended: false })
    }

    fn mode(&mut self, modes: Modes, variables: &mut Variables) -> Result<Effect> {
        let Some(block) = &mut self.block else {
            return Ok(Effect::warning("SET", "25P01", "SET TRANSACTION can only be used in transaction blocks"));
        };
        if let Some(level) = modes.isolation.filter(|level| Some(*level) != block.level) {
            if !block.work.is_untouched() {
                return Err(WireError::new("25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query"));
            }
            block.work = millstream::Transaction::new(level.of_engine());
            block.level = Some(level);
            variables.set("transaction_isolation", Some(level.name()))?;
        }
        block.read_only = modes.read_only.unwrap_or(block.read_only);
        Ok(Effect::tag("SET"))
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
    WireError::new("01000", "definitions made in this transaction stay, and rows that it has given to connectors: they take effect at once")
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
