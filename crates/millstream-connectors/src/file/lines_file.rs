//! A file of lines, read in chunks and decoded where it lies in the buffer.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;

use super::config::FileConfig;
use super::open_file::{FileRows, FileStep, Wanted};
use super::position::{FilePosition, Fingerprint, rewritten};
use crate::error::{ConnectorError, Result};
use crate::format::buffer::{LineBuffer, Step};
use crate::format::csv::header_of;
use crate::format::frame::{Framing, frame};
use crate::format::lines::LineDecoder;
use crate::format::{Format, Header, LineOptions};

/// Some editors put it at the start of UTF-8 files.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file of lines.
pub(super) struct LinesFile {
    path: PathBuf,
    file: File,
    format: Format,
    options: LineOptions,
    wanted: Wanted,
    /// Not there until the header of a CSV file has been seen.
    decoder: Option<LineDecoder>,
    buffer: LineBuffer,
    /// Bytes done with.
    at: u64,
    /// Lines done with.
    line: u64,
    /// Bytes read from the file.
    read: u64,
    fingerprint: Fingerprint,
    finishing: bool,
}

impl LinesFile {
    pub(super) fn open(
        mut file: File,
        format: Format,
        config: &FileConfig,
        wanted: &Wanted,
        path: &Path,
        start: Option<&FilePosition>,
    ) -> Result<Self> {
        let options = config.lines_of(path);
        let at = start.map_or(0, |start| start.at);
        let mut decoder = None;
        if let Some(start) = start {
            check_unchanged(&mut file, path, start)?;
            if at > 0 && format == Format::Csv {
                let header = read_header(&mut file, &options, &wanted.columns, path)?;
                decoder = Some(LineDecoder::new(format, &options, &wanted.columns, &wanted.projection, header.as_deref())?);
            }
        }
        let failed = |error| ConnectorError::io(format!("cannot read '{}'", path.display()), error);
        let fingerprint = Fingerprint::of_file(&mut file, at).map_err(failed)?;
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        if decoder.is_none() && format != Format::Csv {
            decoder = Some(LineDecoder::new(format, &options, &wanted.columns, &wanted.projection, None)?);
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            format,
            options,
            wanted: wanted.clone(),
            decoder,
            buffer: LineBuffer::default(),
            at,
            line: start.map_or(0, |start| start.line),
            read: at,
            fingerprint,
            finishing: config.follow.is_none(),
        })
    }

    /// The file will not grow any more.
    pub(super) fn finish(&mut self) {
        self.finishing = true;
    }

    /// Bytes and lines done with, fingerprint.
    pub(super) fn progress(&self) -> (u64, u64, String) {
        (self.at, self.line, self.fingerprint.text())
    }

    /// Bytes read from the file, used or not.
    pub(super) fn bytes_seen(&self) -> u64 {
        self.read
    }

    /// Up to `rows_max` rows.
    pub(super) fn next(&mut self, rows_max: usize) -> Result<FileStep> {
        let mut skipped = 0;
        loop {
            if let Some(mut step) = self.step(rows_max)? {
                if let FileStep::Rows(rows) = &mut step {
                    rows.bytes += skipped;
                }
                match step {
                    // A piece of a line that is too long, or blank lines: nothing to hand out.
                    FileStep::Rows(rows) if rows.rows.num_rows() == 0 && rows.rejected.is_empty() => skipped = rows.bytes,
                    step => return Ok(step),
                }
                continue;
            }
            if !self.fill()? {
                if !self.finishing {
                    return Ok(FileStep::Dry);
                }
                self.buffer.finish();
            }
        }
    }

    /// Decodes what is in the buffer; `None`: not enough.
    fn step(&mut self, rows_max: usize) -> Result<Option<FileStep>> {
        if self.at == 0 && self.buffer.bytes().starts_with(BYTE_ORDER_MARK) {
            self.skip(BYTE_ORDER_MARK.len(), 0);
        }
        if self.decoder.is_none() && !self.start_csv()? {
            return Ok(if self.buffer.is_at_end() { Some(FileStep::End) } else { None });
        }
        let Some(decoder) = self.decoder.as_mut() else { return Ok(None) };
        let (path, line) = (&self.path, self.line);
        let step = self.buffer.decode(decoder, rows_max, |nth| format!("{} line {}", path.display(), line + nth + 1))?;
        Ok(match step {
            Step::Rows(decoded) => {
                // `consume` moves an index and no bytes: those just used are still there.
                self.fingerprint.update(self.buffer.used(decoded.consumed));
                self.at += decoded.consumed as u64;
                self.line += decoded.lines;
                Some(FileStep::Rows(FileRows { rows: decoded.rows, rejected: decoded.rejected, bytes: decoded.consumed as u64 }))
            }
            Step::Starved => None,
            Step::End => Some(FileStep::End),
        })
    }

    /// Reads a chunk; `false` at the end of the file as it is now.
    fn fill(&mut self) -> Result<bool> {
        if self.buffer.is_at_end() {
            return Ok(false);
        }
        let failed = |path: &Path, error| ConnectorError::io(format!("cannot read '{}'", path.display()), error);
        let bytes = self.buffer.fill(&self.file).map_err(|error| failed(&self.path, error))? as u64;
        self.read += bytes;
        if bytes == 0 {
            let length = self.file.metadata().map_err(|error| failed(&self.path, error))?.len();
            if length < self.read {
                return Err(rewritten(&self.path, format_args!("it has {length} bytes, {} were read", self.read)));
            }
        }
        Ok(bytes > 0)
    }

    /// Looks at the first record of a CSV file for its header; `false`: it is not there yet.
    fn start_csv(&mut self) -> Result<bool> {
        let (mut header, mut data_start) = (None, (0, 0));
        if self.options.csv.header != Header::Absent {
            let Some((first, end, lines)) = first_record(&self.options, self.buffer.bytes(), self.buffer.is_at_end()) else {
                return Ok(false);
            };
            header = header_of(first, &self.options.csv, &self.wanted.columns, &self.path.display().to_string())?;
            if header.is_some() {
                data_start = (end, lines);
            }
        }
        self.decoder =
            Some(LineDecoder::new(self.format, &self.options, &self.wanted.columns, &self.wanted.projection, header.as_deref())?);
        self.skip(data_start.0, data_start.1);
        Ok(true)
    }

    fn skip(&mut self, bytes: usize, lines: u64) {
        let before = self.buffer.bytes().len();
        self.buffer.consume(bytes);
        let ours = usize::from(self.buffer.is_at_end() && bytes == before && self.at + bytes as u64 > self.read);
        self.fingerprint.update(self.buffer.used(bytes - ours));
        self.at += (bytes - ours) as u64;
        self.line += lines;
    }
}

/// The first record, where it ends, and its lines.
fn first_record<'a>(options: &LineOptions, bytes: &'a [u8], at_end: bool) -> Option<(&'a [u8], usize, u64)> {
    let mut records = Vec::new();
    let mut from = 0;
    let mut lines = 0;
    let give_up = if at_end { 0 } else { options.max_line_bytes };
    loop {
        let framed = frame(&Framing::csv(&options.csv), &bytes[from..], 1, give_up, &mut records);
        lines += framed.lines;
        let record = records.first().map(|record| &bytes[from + record.start..from + record.end]);
        from += framed.consumed;
        match record {
            Some(record) if options.csv.comment.is_some_and(|comment| record.starts_with(&[comment])) => {}
            Some(record) => return Some((record, from, lines)),
            None if bytes.len() > options.max_line_bytes => return Some((b"", 0, 0)),
            None => return None,
        }
    }
}

/// The header of a file that is resumed further on.
fn read_header(file: &mut File, options: &LineOptions, columns: &SchemaRef, path: &Path) -> Result<Option<Vec<String>>> {
    if options.csv.header == Header::Absent {
        return Ok(None);
    }
    let failed = |error| ConnectorError::io(format!("cannot read '{}'", path.display()), error);
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut buffer = LineBuffer::default();
    loop {
        if let Some((first, _, _)) = first_record(options, buffer.bytes(), buffer.is_at_end()) {
            return header_of(first, &options.csv, columns, &path.display().to_string());
        }
        if buffer.is_at_end() {
            return Ok(None);
        }
        if buffer.fill(&*file).map_err(failed)? == 0 {
            buffer.finish();
        }
    }
}

fn check_unchanged(file: &mut File, path: &Path, start: &FilePosition) -> Result<()> {
    let failed = |error| ConnectorError::io(format!("cannot read '{}'", path.display()), error);
    let length = file.metadata().map_err(failed)?.len();
    if length < start.at {
        return Err(rewritten(path, format_args!("it has {length} bytes, {} were read", start.at)));
    }
    let check = Fingerprint::of_file(file, start.at).map_err(failed)?.text();
    if check != start.check {
        return Err(rewritten(path, format_args!("its first {} bytes have fingerprint {check}, it was {}", start.at, start.check)));
    }
    Ok(())
}
