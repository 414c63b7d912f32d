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
//! deleted, so a segment that is missing without it is noticed. Sixteen neighbours become one file `<first>-<last>.arrow`, sixteen of
//! those again one, and so on; it counts from the moment it is there, and then its parts are deleted.
//!
//! There is one writer. One that has lost the log finds its next name taken, or, if that was merged or retired meanwhile, something
//! newer beside it.

mod spans;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;

use crate::digest::Digest;
use crate::error::{CheckpointError, Result};
use crate::folder::{Create, Folder};

use self::spans::Span;

/// A file of merged segments has at most so many bytes.
const MERGED_BYTES_MAX: u64 = 64 << 20;

/// All is read again so often because segments were merged meanwhile.
const READS_MAX: usize = 100;

const MAGIC: &[u8; 8] = b"MSLOG001";
const MAGIC_ANY_VERSION: &[u8] = b"MSLOG";
const HASH_BYTES: usize = 32;
const TRAILER_BYTES: usize = 8 + 8 + 8 + 16 + HASH_BYTES;

/// One segment, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSegment {
    /// Its place in the log, from 1; of merged segments the last.
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
    /// Bytes of files that were read or written here.
    sizes: BTreeMap<Span, u64>,
}

/// Segments that should become one file.
#[derive(Clone, Debug)]
pub struct LogMerge {
    whole: Span,
    parts: Vec<Span>,
}

impl TableLog {
    /// Opens the log in `folder` for reading and appending, and removes what a crash has left half written. `writer` is a random
    /// number, new for each opening. Segments are checked when they are read.
    ///
    /// Errors: [`CheckpointError::Missing`] if a segment between two others has gone.
    pub async fn open(folder: Folder, writer: u128) -> Result<Self> {
        folder.remove_leftovers().await?;
        folder.settle().await?;
        let mut log = Self { folder, writer, next: 1, retired: 0, pending: None, sizes: BTreeMap::new() };
        let names = log.folder.list().await?;
        log.retired = names.iter().filter_map(|name| retired_of(name)).max().unwrap_or(0);
        log.next = log.pieces().await?.last().map_or(log.retired, |span| span.last) + 1;
        Ok(log)
    }

    /// The sequence the next append gets.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The files that make up the log.
    ///
    /// Errors: [`CheckpointError::Missing`] naming the first segment that has gone.
    async fn pieces(&self) -> Result<Vec<Span>> {
        let there = self.there().await?;
        spans::pieces(self.retired, &there)
            .map_err(|gap| CheckpointError::Missing { file: Span::one(gap).file(), detail: "segments after it are there".to_owned() })
    }

    async fn there(&self) -> Result<BTreeSet<Span>> {
        let names = self.folder.list().await?;
        Ok(names.iter().filter_map(|name| Span::of_file(name)).filter(|span| span.last > self.retired).collect())
    }

    /// Appends batches of one schema as one segment, durable on return, and returns its sequence.
    ///
    /// Errors: after a transient failure the rows may be in the log: call [`TableLog::resume`] until it succeeds. No batches,
    /// or batches of several schemas. [`CheckpointError::Fenced`] if another writes this log.
    pub async fn append(&mut self, batches: &[RecordBatch]) -> Result<u64> {
        if self.pending.is_some() {
            return Err(CheckpointError::bug(format!("'{}' is still pending", Span::one(self.next).file())));
        }
        self.pending = Some(encode(batches, self.next, self.writer)?);
        self.resume().await
    }

    /// Tries the pending segment again and returns the newest sequence (0: the log is empty). Does nothing if none is pending.
    ///
    /// Errors: as [`TableLog::append`].
    pub async fn resume(&mut self) -> Result<u64> {
        let Some(bytes) = self.pending.clone() else { return Ok(self.next - 1) };
        let own = Span::one(self.next);
        let created = self.folder.create(&own.file(), bytes.clone()).await?;
        let is_own = created == Create::Created || self.folder.read_if_exists(&own.file()).await?.is_some_and(|there| there == bytes);
        if !is_own || !self.is_newest(own).await? {
            return Err(CheckpointError::Fenced { chain: format!("log {}", self.folder), generation: 0, number: self.next });
        }
        self.sizes.insert(own, bytes.len() as u64);
        self.pending = None;
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Prevents that a writer that has lost the log takes a name for free that a successor had, and merged or retired.
    async fn is_newest(&self, own: Span) -> Result<bool> {
        let names = self.folder.list().await?;
        let newer = |name: &String| match Span::of_file(name) {
            Some(span) => span != own && span.last >= own.last,
            None => retired_of(name).is_some_and(|retired| retired >= own.last),
        };
        Ok(!names.iter().any(newer))
    }

    /// Segments that should become one file, if there are some. Not for a log of which segments are retired.
    pub async fn to_merge(&self) -> Result<Option<LogMerge>> {
        let pieces = self.pieces().await?;
        let bytes = |span: &Span| self.sizes.get(span).copied().unwrap_or(u64::MAX / 1024);
        let merge = spans::next_merge(&pieces, bytes, MERGED_BYTES_MAX).filter(|_| self.retired == 0);
        Ok(merge.map(|(whole, parts)| LogMerge { whole, parts }))
    }

    /// The segments to be merged, in order.
    pub async fn read_parts(&self, merge: &LogMerge) -> Result<Vec<LogSegment>> {
        let mut segments = Vec::new();
        for &part in &merge.parts {
            segments.push(self.read_span(part).await?.0);
        }
        Ok(segments)
    }

    /// Puts `batches`, all rows of the parts in their order, into one file, and removes the parts. Nothing needs to be done after a
    /// failure: the next merge finds the same.
    pub async fn merge(&mut self, merge: &LogMerge, batches: &[RecordBatch]) -> Result<()> {
        let bytes = encode(batches, merge.whole.last, self.writer)?;
        let size = bytes.len() as u64;
        if self.folder.create(&merge.whole.file(), bytes).await? == Create::Exists {
            // A former owner has made it. Nothing is removed for what cannot be read.
            self.read_span(merge.whole).await?;
        }
        self.sizes.insert(merge.whole, size);
        for span in spans::superfluous(&self.there().await?) {
            self.folder.delete(&span.file()).await?;
            self.sizes.remove(&span);
        }
        Ok(())
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
            let gone =
                Span::of_file(&name).is_some_and(|span| span.last <= sequence) || retired_of(&name).is_some_and(|there| there < sequence);
            if gone {
                self.folder.delete(&name).await?;
            }
        }
        Ok(())
    }

    /// All segments from `sequence` on, in memory.
    ///
    /// Errors: [`CheckpointError::Missing`], [`CheckpointError::Damaged`] with both hashes.
    pub async fn read_from(&mut self, sequence: u64) -> Result<Vec<LogSegment>> {
        let mut attempt = 0;
        loop {
            let pieces = self.pieces().await?;
            match self.read_pieces(&pieces, sequence).await {
                // Another owner has merged it: then it is in another file.
                Err(CheckpointError::Missing { .. }) if attempt < READS_MAX && self.pieces().await? != pieces => attempt += 1,
                read => return read,
            }
        }
    }

    async fn read_pieces(&mut self, pieces: &[Span], sequence: u64) -> Result<Vec<LogSegment>> {
        let mut segments = Vec::new();
        for &span in pieces.iter().filter(|span| span.last >= sequence) {
            let (segment, bytes) = self.read_span(span).await?;
            self.sizes.insert(span, bytes);
            segments.push(segment);
        }
        Ok(segments)
    }

    async fn read_span(&self, span: Span) -> Result<(LogSegment, u64)> {
        let name = span.file();
        let bytes = self.folder.read(&name).await?;
        Ok((decode(&bytes, &name, span.last)?, bytes.len() as u64))
    }
}

fn retired(sequence: u64) -> String {
    format!("retired-{sequence:020}")
}

fn retired_of(name: &str) -> Option<u64> {
    name.strip_prefix("retired-")?.parse().ok()
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

    fn file(sequence: u64) -> String {
        Span::one(sequence).file()
    }

    async fn sequences(log: &TableLog) -> Vec<u64> {
        log.pieces().await.unwrap().into_iter().map(|span| span.last).collect()
    }

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
        assert_eq!(sequences(&log).await, [3, 4]);
        log.retire(4).await.unwrap();
        assert_eq!(folder.list().await.unwrap(), [file(4), retired(3)]);
        let mut again = TableLog::open(folder.clone(), 8).await.unwrap();
        assert_eq!((again.next_sequence(), sequences(&again).await), (5, vec![4]));
        assert_eq!(again.append(&[batch(&[9])]).await.unwrap(), 5);
        // A crash between the marker and the deletions.
        folder.create(&retired(4), Bytes::new()).await.unwrap();
        assert_eq!(sequences(&TableLog::open(folder.clone(), 9).await.unwrap()).await, [5]);
        folder.delete(&file(5)).await.unwrap();
        assert_eq!(TableLog::open(folder, 9).await.unwrap().next_sequence(), 5);
    }

    async fn merge_all(log: &mut TableLog) {
        while let Some(merge) = log.to_merge().await.unwrap() {
            let batches: Vec<RecordBatch> = log.read_parts(&merge).await.unwrap().into_iter().flat_map(|part| part.batches).collect();
            log.merge(&merge, &batches).await.unwrap();
        }
    }

    #[tokio::test]
    async fn many_small_segments_become_few_and_a_crash_in_between_loses_none() {
        let folder = Folder::memory();
        let mut log = TableLog::open(folder.clone(), 7).await.unwrap();
        for value in 0..300 {
            log.append(&[batch(&[value])]).await.unwrap();
            if value % 50 == 0 {
                merge_all(&mut log).await;
            }
        }
        let before = folder.list().await.unwrap();
        merge_all(&mut log).await;
        assert!(before.len() > 20 && folder.list().await.unwrap().len() < 20, "{before:?}");
        // A crash before the parts were removed: they are there again.
        folder.create(&file(3), folder.read(&Span { first: 1, last: 256 }.file()).await.unwrap()).await.unwrap();
        let mut again = TableLog::open(folder.clone(), 8).await.unwrap();
        let read = again.read_from(1).await.unwrap();
        let values: Vec<RecordBatch> = read.into_iter().flat_map(|segment| segment.batches).collect();
        assert_eq!(values, (0..300).map(|value| batch(&[value])).collect::<Vec<_>>());
        assert_eq!(again.append(&[batch(&[300])]).await.unwrap(), 301);
    }

    /// Names that are free again because their segments were merged or retired are no names for a former writer.
    #[tokio::test]
    async fn a_former_writer_is_fenced_by_what_was_merged_or_retired() {
        for retires in [false, true] {
            let folder = Folder::memory();
            let mut former = TableLog::open(folder.clone(), 7).await.unwrap();
            former.append(&[batch(&[0])]).await.unwrap();
            let mut owner = TableLog::open(folder.clone(), 8).await.unwrap();
            owner.read_from(1).await.unwrap();
            for value in 1..16 {
                owner.append(&[batch(&[value])]).await.unwrap();
            }
            if retires {
                owner.retire(15).await.unwrap();
            } else {
                merge_all(&mut owner).await;
            }
            assert!(!folder.list().await.unwrap().contains(&file(2)));
            assert!(matches!(former.append(&[batch(&[99])]).await, Err(CheckpointError::Fenced { number: 2, .. })), "{retires}");
            let mut reader = TableLog::open(folder.clone(), 9).await.unwrap();
            let rows: usize =
                reader.read_from(1).await.unwrap().iter().flat_map(|segment| &segment.batches).map(RecordBatch::num_rows).sum();
            assert_eq!(rows, if retires { 1 } else { 16 });
        }
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
