//! Bytes on their way from a reader to a [`LineDecoder`], never more than one long line of them.

use std::io::{self, Read};

use super::lines::{DecodedLines, LineDecoder};
use crate::error::Result;
use crate::source::RejectedRow;

/// Bytes asked for at once. Large enough for a few thousand rows, small enough to stay in cache.
const CHUNK_BYTES: usize = 1 << 20;

/// A queue of bytes that knows how to skip a line that is too long.
#[derive(Debug)]
pub struct LineBuffer {
    chunk_bytes: usize,
    data: Vec<u8>,
    start: usize,
    /// In a line that is too long: dropping bytes up to its end. Holds the row that will stand for it.
    skipping: Option<RejectedRow>,
    at_end: bool,
    /// The newline at the end is ours, not the input's.
    end_was_added: bool,
}

/// What [`LineBuffer::decode`] could do with the bytes there are.
#[derive(Debug)]
pub enum Step {
    /// Rows, rejected or good; and how many bytes and lines of input they were.
    Rows(DecodedLines),
    /// More bytes are needed.
    Starved,
    /// All bytes are used and there will be no more.
    End,
}

impl Default for LineBuffer {
    fn default() -> Self {
        Self::with_chunk(CHUNK_BYTES)
    }
}

impl LineBuffer {
    /// Asks readers for `chunk_bytes` at once.
    pub fn with_chunk(chunk_bytes: usize) -> Self {
        Self { chunk_bytes, data: Vec::new(), start: 0, skipping: None, at_end: false, end_was_added: false }
    }

    /// The bytes not yet used.
    pub fn bytes(&self) -> &[u8] {
        &self.data[self.start..]
    }

    /// Whether [`LineBuffer::finish`] was called.
    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Drops bytes from the front.
    pub fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.data.len());
    }

    /// The `bytes` of input that the last [`decode`](Self::decode) or [`consume`](Self::consume) used up. (They are dropped only
    /// when more is read.)
    pub fn used(&self, bytes: usize) -> &[u8] {
        let end = self.start - usize::from(self.end_was_added && self.start == self.data.len());
        &self.data[end.saturating_sub(bytes)..end]
    }

    /// Reads up to a chunk, or what there is; 0 = the end.
    pub fn fill(&mut self, reader: impl Read) -> io::Result<usize> {
        self.compact();
        self.data.reserve(self.chunk_bytes);
        let before = self.data.len();
        let result = reader.take(self.chunk_bytes as u64).read_to_end(&mut self.data);
        match self.data.len() - before {
            0 => result,
            // An error after some bytes shows again at the next attempt.
            read => Ok(read),
        }
    }

    /// Moves what is left to the front.
    fn compact(&mut self) {
        if self.start > 0 {
            self.data.copy_within(self.start.., 0);
            self.data.truncate(self.data.len() - self.start);
            self.start = 0;
        }
    }

    /// No more bytes will come: what is left is the last line, even without a newline.
    pub fn finish(&mut self) {
        if !self.at_end {
            self.at_end = true;
            if !self.bytes().is_empty() && !self.bytes().ends_with(b"\n") {
                self.data.push(b'\n');
                self.end_was_added = true;
            }
        }
    }

    /// Decodes up to `rows_max` rows. `place` names the n-th line from here (from 0) for people.
    pub fn decode(&mut self, decoder: &mut LineDecoder, rows_max: usize, place: impl Fn(u64) -> String) -> Result<Step> {
        let mut done = (0, 0);
        loop {
            if let Some(rejected) = self.skipping.take() {
                return Ok(self.skip_line(decoder, rejected, done));
            }
            let mut decoded = decoder.decode(self.bytes(), self.at_end, rows_max, |line| place(done.1 + line))?;
            self.consume(decoded.consumed);
            done = (done.0 + decoded.consumed, done.1 + decoded.lines);
            if decoded.rows.num_rows() > 0 || !decoded.rejected.is_empty() {
                (decoded.consumed, decoded.lines) = self.counted(done);
                return Ok(Step::Rows(decoded));
            }
            if decoded.consumed > 0 {
                continue; // blank lines
            }
            if self.bytes().len() > decoder.max_line_bytes() {
                self.skipping = Some(decoder.reject_long_line(self.bytes(), place(done.1)));
                continue;
            }
            if done.0 > 0 {
                // Only blank lines: an empty batch, so that the position moves past them.
                let (consumed, lines) = self.counted(done);
                return Ok(Step::Rows(DecodedLines { rows: decoder.empty(), rejected: Vec::new(), consumed, lines }));
            }
            return Ok(if self.at_end { Step::End } else { Step::Starved });
        }
    }

    /// Drops bytes up to the end of the line. Until that is found the bytes are dropped but not yet reported.
    fn skip_line(&mut self, decoder: &LineDecoder, rejected: RejectedRow, done: (usize, u64)) -> Step {
        let newline = memchr::memchr(b'\n', self.bytes());
        let dropped = newline.map_or(self.bytes().len(), |newline| newline + 1);
        self.consume(dropped);
        let (consumed, lines) = (done.0 + dropped, done.1);
        if newline.is_some() || self.at_end {
            let (consumed, lines) = self.counted((consumed, lines + 1));
            return Step::Rows(DecodedLines { rows: decoder.empty(), rejected: vec![rejected], consumed, lines });
        }
        self.skipping = Some(rejected);
        if consumed == 0 {
            return Step::Starved;
        }
        Step::Rows(DecodedLines { rows: decoder.empty(), rejected: Vec::new(), consumed, lines })
    }

    /// Bytes and lines of input, without the newline that was added.
    fn counted(&self, (bytes, lines): (usize, u64)) -> (usize, u64) {
        let ours = usize::from(self.end_was_added && self.bytes().is_empty());
        (bytes.saturating_sub(ours), lines)
    }
}
