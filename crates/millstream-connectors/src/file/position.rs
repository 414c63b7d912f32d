//! Where reading a sequence of files resumes, and how we notice that a file is not what it was.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{ConnectorError, Result};
use crate::source::Position;

/// How many bytes at the start of a file and before the place of resumption are checked.
const CHECKED_BYTES: usize = 1_024;

/// A place in a sequence of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FilePosition {
    /// The file being read.
    pub(super) file: String,
    /// Its time of change when reading it began; orders files by `modified`.
    #[serde(default)]
    pub(super) modified: i64,
    /// Bytes (line formats) or rows (Parquet) of it that are done with.
    pub(super) at: u64,
    /// Lines of it that are done with; only for messages.
    #[serde(default)]
    pub(super) line: u64,
    /// Fingerprint of what was read.
    pub(super) check: String,
    /// Files that came before it.
    pub(super) files_before: u64,
}

impl FilePosition {
    /// As the engine keeps it.
    pub(super) fn to_position(&self) -> Result<Position> {
        serde_json::to_value(self).map(Position).map_err(|error| ConnectorError::data(format!("position cannot be stored: {error}")))
    }

    /// From what the engine kept.
    pub(super) fn from_position(position: &Position) -> Result<Self> {
        serde_json::from_value(position.0.clone())
            .map_err(|error| ConnectorError::data(format!("position is not one of connector 'file': {error}: got {}", position.0)))
    }
}

/// Fingerprint of the first bytes of a file and of the last ones read.
#[derive(Clone, Debug, Default)]
pub(super) struct Fingerprint {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Fingerprint {
    /// Of the first `end` bytes of a file.
    pub(super) fn of_file(file: &mut File, end: u64) -> std::io::Result<Self> {
        let length = end.min(CHECKED_BYTES as u64);
        let mut head = vec![0; length as usize];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut head)?;
        let mut tail = vec![0; length as usize];
        file.seek(SeekFrom::Start(end - length))?;
        file.read_exact(&mut tail)?;
        Ok(Self { head, tail })
    }

    /// Goes on with bytes that were read.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let missing = CHECKED_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        let keep = CHECKED_BYTES.saturating_sub(bytes.len()).min(self.tail.len());
        self.tail.drain(..self.tail.len() - keep);
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(CHECKED_BYTES)..]);
    }

    /// As text. FNV-1a: this is to notice accidents, not attacks.
    pub(super) fn text(&self) -> String {
        let hash = self
            .head
            .iter()
            .chain(&self.tail)
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
        format!("{hash:016x}")
    }
}

/// An error for a file that changed under us.
pub(super) fn rewritten(path: &Path, fact: impl std::fmt::Display) -> ConnectorError {
    ConnectorError::data(format!(
        "file '{}' was changed after it was read: {fact} (hint: restore it, or start the pipeline anew; files that are read may grow \
         but not be rewritten)",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn in_pieces_and_from_the_file_it_is_the_same() {
        let data: Vec<u8> = (0..5_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&data).unwrap();
        for piece in [1, 10, 700, 1_024, 3_000] {
            let mut running = Fingerprint::default();
            let mut end = 0;
            for bytes in data.chunks(piece) {
                running.update(bytes);
                end += bytes.len() as u64;
                assert_eq!(running.text(), Fingerprint::of_file(&mut file, end).unwrap().text(), "{piece} {end}");
            }
        }
    }
}
