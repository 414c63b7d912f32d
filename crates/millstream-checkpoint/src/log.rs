//! A stored table: a log of segments, each written once.
//!
//! ```text
//!   <table>/00000000000000000042.arrow     one group commit
//!     Arrow IPC stream                     readable by every Arrow library, which stops at its end mark
//!     "MSLOG001" sequence length nonce     8 + 8 + 8 + 16 bytes, integers little-endian
//!     SHA-256 of all before                32 bytes
//! ```
//!
//! Sequences count from 1 without gaps, up to those that were retired: `retired-<n>` is created before the segments up to `n` are
//! deleted, so a segment that is missing without it is noticed. There is one writer: the owner of the catalog. Segments are not merged
//! yet; a table of many small inserts is read slowly.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;

use crate::digest::Digest;
use crate::error::{CheckpointError, Result};
use crate::folder::{Create, Folder};

const MAGIC: &[u8; 8] = b"MSLOG001";
const MAGIC_ANY_VERSION: &[u8] = b"MSLOG";
const HASH_BYTES: usize = 32;
const TRAILER_BYTES: usize = 8 + 8 + 8 + 16 + HASH_BYTES;

/// One segment, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSegment {
    /// Its place in the log, from 1.
    pub sequence: u64,
    /// Types of its rows.
    pub schema: SchemaRef,
    /// Its rows as they were appended.
    pub batches: Vec<RecordBatch>,
}

/// The log of one stored table.
#[derive(Debug)]
pub struct TableLog {
    folder: Folder,
    /// Differs for each writer, so that a lost answer can be told from another writer's segment.
    writer: u128,
    next: u64,
    /// Segments up to this one are not there any more.
    retired: u64,
    /// What was tried under `next` without learning whether it happened.
    pending: Option<Bytes>,
}

impl TableLog {
    /// Opens the log in `folder` for reading and appending, and removes what a crash has left half written. `writer` is a random
    /// number, new for each opening. Segments are checked when they are read.
    ///
    /// Errors: [`CheckpointError::Missing`] if a segment between two others has gone.
    pub async fn open(folder: Folder, writer: u128) -> Result<Self> {
        folder.remove_leftovers().await?;
        folder.settle().await?;
        let mut log = Self { folder, writer, next: 1, retired: 0, pending: None };
        let names = log.folder.list().await?;
        log.retired = names.iter().filter_map(|name| retired_of(name)).max().unwrap_or(0);
        log.next = log.sequences().await?.last().copied().unwrap_or(log.retired) + 1;
        Ok(log)
    }

    /// The sequence the next append gets.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Sequences that are there, ascending.
    ///
    /// Errors: [`CheckpointError::Missing`] naming the first segment that has gone.
    pub async fn sequences(&self) -> Result<Vec<u64>> {
        let names = self.folder.list().await?;
        let sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).filter(|there| *there > self.retired).collect();
        match first_gap(self.retired + 1, &sequences) {
            None => Ok(sequences),
            Some(gap) => Err(CheckpointError::Missing { file: file(gap), detail: "segments after it are there".to_owned() }),
        }
    }

    /// Appends batches of one schema as one segment, durable on return, and returns its sequence.
    ///
    /// Errors: after a transient failure the rows may be in the log: call [`TableLog::resume`] until it succeeds. No batches,
    /// or batches of several schemas. [`CheckpointError::Fenced`] if another writes this log.
    pub async fn append(&mut self, batches: &[RecordBatch]) -> Result<u64> {
        if self.pending.is_some() {
            return Err(CheckpointError::bug(format!("'{}' is still pending", file(self.next))));
        }
        self.pending = Some(encode(batches, self.next, self.writer)?);
        self.resume().await
    }

    /// Tries the pending segment again and returns the newest sequence (0: the log is empty). Does nothing if none is pending.
    ///
    /// Errors: as [`TableLog::append`].
    pub async fn resume(&mut self) -> Result<u64> {
        let Some(bytes) = self.pending.clone() else { return Ok(self.next - 1) };
        let name = file(self.next);
        if self.folder.create(&name, bytes.clone()).await? == Create::Exists && self.folder.read(&name).await? != bytes {
            return Err(CheckpointError::Fenced { chain: format!("log {}", self.folder), generation: 0, number: self.next });
        }
        self.pending = None;
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Removes the segments up to `sequence`, but never the newest. Nothing needs to be done after a failure: the next call, or the next
    /// opening, takes up what was left.
    pub async fn retire(&mut self, sequence: u64) -> Result<()> {
        let sequence = sequence.min(self.next.saturating_sub(2));
        if sequence <= self.retired {
            return Ok(());
        }
        self.folder.create(&retired(sequence), Bytes::new()).await?;
        self.retired = sequence;
        for name in self.folder.list().await? {
            let gone = sequence_of(&name).is_some_and(|there| there <= sequence) || retired_of(&name).is_some_and(|there| there < sequence);
            if gone {
                self.folder.delete(&name).await?;
            }
        }
        Ok(())
    }

    /// One segment.
    ///
    /// Errors: [`CheckpointError::Missing`], [`CheckpointError::Damaged`] with both hashes.
    pub async fn read(&self, sequence: u64) -> Result<LogSegment> {
        let name = file(sequence);
        decode(&self.folder.read(&name).await?, &name, sequence)
    }

    /// All segments from `sequence` on, in memory.
    ///
    /// Errors: as [`TableLog::read`].
    pub async fn read_from(&self, sequence: u64) -> Result<Vec<LogSegment>> {
        let mut segments = Vec::new();
        for there in self.sequences().await?.into_iter().filter(|there| *there >= sequence) {
            segments.push(self.read(there).await?);
        }
        Ok(segments)
    }
}

fn file(sequence: u64) -> String {
    format!("{sequence:020}.arrow")
}

fn retired(sequence: u64) -> String {
    format!("retired-{sequence:020}")
}

fn retired_of(name: &str) -> Option<u64> {
    name.strip_prefix("retired-")?.parse().ok()
}

fn sequence_of(name: &str) -> Option<u64> {
    let sequence = name.strip_suffix(".arrow")?.parse().ok()?;
    (file(sequence) == name && sequence > 0).then_some(sequence)
}

/// The first sequence from `first` on that is missing below the highest, in ascending sequences.
fn first_gap(first: u64, sequences: &[u64]) -> Option<u64> {
    (first..).zip(sequences).find(|(expected, found)| expected != *found).map(|(expected, _)| expected)
}

fn encode(batches: &[RecordBatch], sequence: u64, writer: u128) -> Result<Bytes> {
    let Some(first) = batches.first() else { return Err(CheckpointError::bug("nothing to append to a table")) };
    let unsupported = |error: arrow::error::ArrowError| CheckpointError::Unsupported(format!("rows cannot be stored: {error}"));
    let mut stream = StreamWriter::try_new(Vec::new(), &first.schema()).map_err(unsupported)?;
    for batch in batches {
        if batch.schema() != first.schema() {
            return Err(CheckpointError::bug("rows of one segment must have one schema"));
        }
        stream.write(batch).map_err(unsupported)?;
    }
    let mut bytes = stream.into_inner().map_err(unsupported)?;
    let length = bytes.len() as u64;
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&writer.to_le_bytes());
    let hash = Digest::of(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    Ok(bytes.into())
}

fn decode(bytes: &[u8], name: &str, sequence: u64) -> Result<LogSegment> {
    let stream = check_trailer(bytes, name, sequence)?;
    let broken = |error: arrow::error::ArrowError| CheckpointError::Damaged {
        file: name.to_owned(),
        expected: Digest::of(bytes).to_string(),
        found: Digest::of(bytes),
        detail: format!("the hash agrees, but it is no Arrow stream: {error}"),
    };
    let reader = StreamReader::try_new(Cursor::new(stream), None).map_err(broken)?;
    let schema = reader.schema();
    let batches: Result<Vec<RecordBatch>, _> = reader.collect();
    Ok(LogSegment { sequence, schema, batches: batches.map_err(broken)? })
}

/// The Arrow stream, once hash, length and place agree.
fn check_trailer<'a>(bytes: &'a [u8], name: &str, sequence: u64) -> Result<&'a [u8]> {
    let (hashed, stated) = bytes.split_at(bytes.len().saturating_sub(HASH_BYTES));
    let found = Digest::of(hashed);
    let stated = <[u8; HASH_BYTES]>::try_from(stated).ok().map(Digest::from_bytes);
    let damaged = |detail: String| CheckpointError::Damaged {
        file: name.to_owned(),
        expected: stated.map_or_else(|| "unknown, its trailer is gone".to_owned(), |stated| stated.to_string()),
        found,
        detail,
    };
    if stated != Some(found) || bytes.len() < TRAILER_BYTES {
        return Err(damaged(format!("{} bytes", bytes.len())));
    }
    let (stream, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES);
    if &trailer[..8] != MAGIC {
        let version = trailer[..8].strip_prefix(MAGIC_ANY_VERSION).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        return Err(match version {
            Some(found) => CheckpointError::NewerFormat { file: name.to_owned(), found, known: 1 },
            None => damaged("it is no log segment".to_owned()),
        });
    }
    if trailer[8..16] != sequence.to_le_bytes() || trailer[16..24] != (stream.len() as u64).to_le_bytes() {
        return Err(damaged("it is another segment".to_owned()));
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use std::sync::Arc;

    fn batch(values: &[i64]) -> RecordBatch {
        RecordBatch::try_from_iter([("v", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef)]).unwrap()
    }

    #[tokio::test]
    async fn what_is_appended_is_read_from_any_place() {
        let place = tempfile::tempdir().unwrap();
        for folder in [Folder::memory(), Folder::local(place.path())] {
            let mut log = TableLog::open(folder.clone(), 7).await.unwrap();
            assert_eq!(log.resume().await.unwrap(), 0);
            assert_eq!(log.append(&[batch(&[1]), batch(&[2, 3])]).await.unwrap(), 1);
            assert_eq!(log.append(&[batch(&[4])]).await.unwrap(), 2);
            let mut again = TableLog::open(folder.clone(), 8).await.unwrap();
            assert_eq!(again.append(&[batch(&[])]).await.unwrap(), 3);
            let segments = again.read_from(2).await.unwrap();
            assert_eq!(segments.iter().map(|segment| segment.sequence).collect::<Vec<_>>(), [2, 3]);
            assert_eq!(segments[0].batches, [batch(&[4])]);
            assert_eq!(segments[1].schema, batch(&[]).schema());
            assert!(matches!(log.append(&[batch(&[9])]).await, Err(CheckpointError::Fenced { number: 3, .. })));
        }
    }

    #[tokio::test]
    async fn a_gap_is_named() {
        let folder = Folder::memory();
        let mut log = TableLog::open(folder.clone(), 7).await.unwrap();
        for value in 0..3 {
            log.append(&[batch(&[value])]).await.unwrap();
        }
        folder.delete(&file(2)).await.unwrap();
        let error = TableLog::open(folder, 8).await.unwrap_err();
        assert!(matches!(&error, CheckpointError::Missing { file: name, .. } if *name == file(2)), "{error}");
        assert_eq!((first_gap(1, &[]), first_gap(1, &[1, 2]), first_gap(1, &[2])), (None, None, Some(1)));
    }

    #[tokio::test]
    async fn retired_segments_are_no_gap_and_the_newest_stays() {
        let folder = Folder::memory();
        let mut log = TableLog::open(folder.clone(), 7).await.unwrap();
        log.retire(5).await.unwrap();
        for value in 0..4 {
            log.append(&[batch(&[value])]).await.unwrap();
        }
        log.retire(2).await.unwrap();
        assert_eq!(log.sequences().await.unwrap(), [3, 4]);
        log.retire(4).await.unwrap();
        assert_eq!(folder.list().await.unwrap(), [file(4), retired(3)]);
        let mut again = TableLog::open(folder.clone(), 8).await.unwrap();
        assert_eq!((again.next_sequence(), again.sequences().await.unwrap()), (5, vec![4]));
        assert_eq!(again.append(&[batch(&[9])]).await.unwrap(), 5);
        // A crash between the marker and the deletions.
        folder.create(&retired(4), Bytes::new()).await.unwrap();
        assert_eq!(TableLog::open(folder.clone(), 9).await.unwrap().sequences().await.unwrap(), [5]);
        folder.delete(&file(5)).await.unwrap();
        assert_eq!(TableLog::open(folder, 9).await.unwrap().next_sequence(), 5);
    }

    #[test]
    fn every_cut_every_flipped_bit_and_a_wrong_place_are_found() {
        let bytes = encode(&[batch(&[1, 2])], 5, 9).unwrap();
        assert_eq!(decode(&bytes, "f", 5).unwrap().batches, [batch(&[1, 2])]);
        let damaged =
            |bytes: &[u8], sequence| matches!(decode(bytes, "f", sequence), Err(CheckpointError::Damaged { file, .. }) if file == "f");
        assert!((0..bytes.len()).all(|length| damaged(&bytes[..length], 5)));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(damaged(&flipped, 5), "bit {bit}");
        }
        assert!(damaged(&bytes, 6));
    }
}
