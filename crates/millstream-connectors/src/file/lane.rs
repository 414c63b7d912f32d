//! The one lane of a file source: its files, one after the other.
//!
//! ```text
//! a.json ###### b.json ######...          '#' read, '.' not yet; the position is a place in the file being read
//!   finished      being read   ^          a file that appears before that place is an error, never silently left out
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use millstream_time::Clock;

use super::config::{FileConfig, FileOrder};
use super::listing::{self, FileEntry};
use super::open_file::{FileRows, FileStep, OpenFile, Wanted};
use super::position::{FilePosition, rewritten};
use crate::error::{ConnectorError, Result};
use crate::source::{Lane, LaneBatch, Read};

/// Reads a sequence of files.
pub(super) struct FileLane {
    config: Arc<FileConfig>,
    wanted: Wanted,
    clock: Arc<dyn Clock>,
    current: Option<(FileEntry, OpenFile)>,
    /// Files done with, and how long they were.
    finished: BTreeMap<PathBuf, u64>,
    /// Of the last file begun: what sorts before it is late.
    last: Option<FileEntry>,
    /// As listed last and not begun, in reverse order.
    waiting: Vec<FileEntry>,
}

impl FileLane {
    /// Lists the files and goes to where `start` says.
    pub(super) fn open(config: Arc<FileConfig>, wanted: Wanted, clock: Arc<dyn Clock>, start: Option<&FilePosition>) -> Result<Self> {
        let mut waiting = listing::list(&config)?;
        let mut lane = Self { config, wanted, clock, current: None, finished: BTreeMap::new(), last: None, waiting: Vec::new() };
        match start {
            None if waiting.is_empty() && lane.config.follow.is_none() => return Err(listing::nothing_found(&lane.config)),
            None => {}
            Some(start) => lane.resume(start, &mut waiting)?,
        }
        waiting.reverse();
        lane.waiting = waiting;
        Ok(lane)
    }

    fn resume(&mut self, start: &FilePosition, files: &mut Vec<FileEntry>) -> Result<()> {
        let Some(idx) = files.iter().position(|file| file.path.as_os_str() == start.file.as_str()) else {
            return Err(ConnectorError::data(format!(
                "file '{}' is gone: it was read up to {} (hint: put it back, or start the pipeline anew)",
                start.file, start.at
            )));
        };
        let mut current = files.remove(idx);
        current.modified = start.modified;
        let order = self.config.order;
        let after: Vec<FileEntry> = files.iter().filter(|file| file.key(order) > current.key(order)).cloned().collect();
        files.retain(|file| file.key(order) < current.key(order));
        let before = files.len() as u64;
        let changed = match order {
            FileOrder::Name => before > start.files_before,
            FileOrder::Modified => before != start.files_before,
        };
        if changed {
            return Err(ConnectorError::data(format!(
                "files before '{}' are not those that were read: {before} now, {} then (hint: new files must sort after those that were \
                 read; order_by is '{}')",
                start.file,
                start.files_before,
                order.name()
            )));
        }
        self.finished = files.drain(..).map(|file| (file.path, file.bytes)).collect();
        *files = after;
        let open = OpenFile::open(&self.config, &self.wanted, &current.path, Some(start))?;
        self.last = Some(current.clone());
        self.current = Some((current, open));
        Ok(())
    }

    /// Opens the next file; `false`: there is none now.
    fn advance(&mut self) -> Result<bool> {
        let Some(entry) = self.waiting.pop() else { return Ok(false) };
        let mut open = OpenFile::open(&self.config, &self.wanted, &entry.path, None)?;
        if !self.waiting.is_empty() {
            open.finish();
        }
        self.last = Some(entry.clone());
        self.current = Some((entry, open));
        Ok(true)
    }

    /// Lists again (when following). A file that is not where new ones belong, or that changed after it was done with, is an error.
    fn look_again(&mut self) -> Result<()> {
        let order = self.config.order;
        let current = self.current.as_ref().map(|(entry, _)| entry.path.clone());
        let mut waiting = Vec::new();
        for file in listing::list(&self.config)? {
            if current.as_ref() == Some(&file.path) {
                continue;
            }
            match self.finished.get(&file.path) {
                Some(bytes) if *bytes == file.bytes => {}
                Some(bytes) => {
                    return Err(rewritten(
                        &file.path,
                        format_args!("it has {} bytes, it had {bytes} when the next file began", file.bytes),
                    ));
                }
                None if self.last.as_ref().is_some_and(|last| file.key(order) < last.key(order)) => {
                    return Err(ConnectorError::data(format!(
                        "file '{}' appeared before files that were read already: order_by is '{}' (hint: give new files names that sort \
                         last, or 'order_by' = 'modified')",
                        file.path.display(),
                        order.name()
                    )));
                }
                None => waiting.push(file),
            }
        }
        waiting.reverse();
        self.waiting = waiting;
        Ok(())
    }

    fn batch(&self, rows: FileRows) -> Result<LaneBatch> {
        let (entry, open) = self.current.as_ref().ok_or_else(|| ConnectorError::data("no file is open: this is a bug"))?;
        let (at, line, check) = open.progress();
        let position = FilePosition {
            file: entry.path.to_string_lossy().into_owned(),
            modified: entry.modified,
            at,
            line,
            check,
            files_before: self.finished.len() as u64,
        };
        Ok(LaneBatch { rows: rows.rows, position: position.to_position()?, rejected: rows.rejected, bytes_read: rows.bytes })
    }

    fn close_current(&mut self) {
        if let Some((entry, open)) = self.current.take() {
            self.finished.insert(entry.path, open.bytes_seen());
        }
    }

    /// The file has nothing more, or may get more: go on to the next one, or wait. `false`: the lane has ended.
    async fn wait(&mut self) -> Result<bool> {
        let Some(interval) = self.config.follow else { return Ok(false) };
        self.look_again()?;
        if self.waiting.is_empty() {
            self.clock.sleep(interval).await;
        }
        Ok(true)
    }
}

impl FileOrder {
    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Modified => "modified",
        }
    }
}

#[async_trait]
impl Lane for FileLane {
    async fn read(&mut self, rows_max: usize) -> Result<Read> {
        loop {
            let Some((_, open)) = self.current.as_mut() else {
                if self.advance()? || self.wait().await? {
                    continue;
                }
                return Ok(Read::Finished);
            };
            match open.next(rows_max)? {
                FileStep::Rows(rows) => return Ok(Read::Batch(self.batch(rows)?)),
                FileStep::End => self.close_current(),
                // A file is complete once there is a next one.
                FileStep::Dry if !self.waiting.is_empty() => open.finish(),
                FileStep::Dry => {
                    self.wait().await?;
                }
            }
        }
    }
}
