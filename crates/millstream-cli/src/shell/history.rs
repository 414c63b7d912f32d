//! What was typed, over sessions: everything but statements that hold a password or a secret.

use std::path::PathBuf;

use reedline::{FileBackedHistory, History, HistoryItem, HistoryItemId, HistorySessionId, Result, SearchQuery};

/// Statements remembered.
const ENTRIES_MAX: usize = 10_000;

/// A history file that some statements never reach.
pub(super) struct DiscreetHistory(FileBackedHistory);

impl DiscreetHistory {
    /// The file at `path`; `None` if it cannot be opened.
    pub(super) fn open(path: PathBuf) -> Option<Self> {
        FileBackedHistory::with_file(ENTRIES_MAX, path).ok().map(Self)
    }
}

/// True if a statement says a value that nobody is to be shown: CREATE SECRET, and passwords of roles.
fn holds_secret(text: &str) -> bool {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let has = |sequence: &[&str]| words.windows(sequence.len()).any(|window| window == sequence);
    has(&["create", "secret"])
        || has(&["replace", "secret"])
        || words.iter().any(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()) == "password")
}

impl History for DiscreetHistory {
    fn save(&mut self, item: HistoryItem) -> Result<HistoryItem> {
        if holds_secret(&item.command_line) { Ok(item) } else { self.0.save(item) }
    }

    fn load(&self, id: HistoryItemId) -> Result<HistoryItem> {
        self.0.load(id)
    }

    fn count(&self, query: SearchQuery) -> Result<i64> {
        self.0.count(query)
    }

    fn search(&self, query: SearchQuery) -> Result<Vec<HistoryItem>> {
        self.0.search(query)
    }

    fn update(&mut self, id: HistoryItemId, updater: &dyn Fn(HistoryItem) -> HistoryItem) -> Result<()> {
        self.0.update(id, updater)
    }

    fn clear(&mut self) -> Result<()> {
        self.0.clear()
    }

    fn delete(&mut self, id: HistoryItemId) -> Result<()> {
        self.0.delete(id)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync()
    }

    fn session(&self) -> Option<HistorySessionId> {
        self.0.session()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let mut history = DiscreetHistory::open(path.clone()).unwrap();
        let lines = [
            "SELECT 1;",
            "create\n  secret pw AS 'hunter2';",
            "CREATE OR REPLACE SECRET pw AS 'hunter2';",
            "CREATE ROLE me LOGIN PASSWORD 'hunter2';",
            "CREATE TABLE t (a INT) WITH ('password' = 'hunter2');",
            "SELECT secret FROM t;",
        ];
        for line in lines {
            history.save(HistoryItem::from_command_line(line)).unwrap();
        }
        history.sync().unwrap();
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(kept.contains("SELECT 1;") && kept.contains("SELECT secret") && !kept.contains("hunter2"), "{kept}");
    }
}
