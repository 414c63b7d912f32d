//! `COPY … TO STDOUT`: rows as text, CSV or PostgreSQL's binary format.

use bytes::{BufMut, BytesMut};

use super::execute::Answer;
use super::{Connection, FLUSH_BYTES};
use crate::error::{Result, WireError};
use crate::protocol::outgoing;
use crate::statement::{CopyFormat, CopyOptions, CopyTarget, Header, Rows};
use crate::values::{Column, Format, RowWriter};

/// What a binary COPY begins with: the signature, no flags, no extension.
pub(super) const BINARY_HEAD: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

impl Connection {
    pub(super) async fn copy_out(&mut self, query: &Rows, target: &CopyTarget, options: &CopyOptions) -> Result<Answer> {
        if let CopyTarget::Server(path) = target {
            return Err(self.no_server_file(path));
        }
        let mut rows = self.open_rows(query).await?;
        let is_binary = options.format == CopyFormat::Binary;
        let format = if is_binary { Format::Binary } else { Format::Text };
        let formats = vec![format; rows.columns.len()];
        let columns = rows.columns.clone();
        let style = self.style();
        outgoing::copy_response(&mut self.wire.output, b'H', is_binary, columns.len());
        let forced: Vec<bool> = columns.iter().map(|column| options.force_quote.has(&column.name)).collect();
        // Clients expect it in one message with what follows.
        let mut head: &[u8] = if is_binary { BINARY_HEAD } else { b"" };
        if options.header != Header::Absent && !is_binary {
            outgoing::message(&mut self.wire.output, b'd', |out| header(out, &columns, options));
        }
        loop {
            let next = match rows.ready(usize::MAX) {
                Some(next) => next?,
                None => {
                    self.flush_guarded().await?;
                    self.guarded(rows.next(usize::MAX)).await?
                }
            };
            let Some(slice) = next else { break };
            let writer = RowWriter::new(&slice.batch, &columns, &formats, style)?;
            for row in slice.rows {
                let head = std::mem::take(&mut head);
                outgoing::message(&mut self.wire.output, b'd', |out| match options.format {
                    CopyFormat::Binary => {
                        out.put_slice(head);
                        writer.fields(out, row);
                    }
                    CopyFormat::Text => text_line(out, &writer, row, options),
                    CopyFormat::Csv => csv_line(out, &writer, row, options, &forced),
                });
                if self.wire.output.len() >= FLUSH_BYTES {
                    self.flush_guarded().await?;
                }
            }
        }
        if is_binary {
            outgoing::message(&mut self.wire.output, b'd', |out| {
                out.put_slice(head);
                out.put_i16(-1);
            });
        }
        outgoing::bare(&mut self.wire.output, outgoing::COPY_DONE);
        Ok(Answer::Done(format!("COPY {}", rows.taken)))
    }

    /// COPY to or from a file of the server is refused even to those who may use files: connectors do that.
    pub(super) fn no_server_file(&self, path: &str) -> WireError {
        match self.may_use_server_files() {
            false => WireError::new("42501", format!("permission denied to COPY to or from the server's file \"{path}\""))
                .with_hint("COPY … TO STDOUT and COPY … FROM STDIN work for everyone; so does psql's \\copy"),
            true => WireError::unsupported("COPY to or from files of the server is not supported")
                .with_hint("CREATE SINK … WITH ('connector' = 'file', …), or psql's \\copy"),
        }
    }
}

fn header(out: &mut BytesMut, columns: &[Column], options: &CopyOptions) {
    for (n, column) in columns.iter().enumerate() {
        if n > 0 {
            out.put_u8(options.delimiter);
        }
        let start = out.len();
        out.put_slice(column.name.as_bytes());
        match options.format {
            CopyFormat::Csv => quote_csv(out, start, options, false, false),
            _ => escape_text(out, start, options.delimiter),
        }
    }
    out.put_u8(b'\n');
}

fn text_line(out: &mut BytesMut, writer: &RowWriter, row: usize, options: &CopyOptions) {
    for column in 0..writer.columns() {
        if column > 0 {
            out.put_u8(options.delimiter);
        }
        let start = out.len();
        match writer.value(out, column, row) {
            true => escape_text(out, start, options.delimiter),
            false => out.put_slice(options.null.as_bytes()),
        }
    }
    out.put_u8(b'\n');
}

fn csv_line(out: &mut BytesMut, writer: &RowWriter, row: usize, options: &CopyOptions, forced: &[bool]) {
    for (column, is_forced) in forced.iter().enumerate() {
        if column > 0 {
            out.put_u8(options.delimiter);
        }
        let start = out.len();
        match writer.value(out, column, row) {
            true => quote_csv(out, start, options, writer.columns() == 1, *is_forced),
            false => out.put_slice(options.null.as_bytes()),
        }
    }
    out.put_u8(b'\n');
}

/// Puts backslashes into what was written from `start` on, if it needs any.
fn escape_text(out: &mut BytesMut, start: usize, delimiter: u8) {
    let special = |byte: u8| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t' | 8 | 11 | 12) || byte == delimiter;
    if !out[start..].iter().any(|byte| special(*byte)) {
        return;
    }
    let value = out.split_off(start);
    for byte in value {
        let letter = match byte {
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            8 => b'b',
            11 => b'v',
            12 => b'f',
            other if other == delimiter => other,
            other => {
                out.put_u8(other);
                continue;
            }
        };
        out.put_u8(b'\\');
        out.put_u8(letter);
    }
}

/// Puts quotes around what was written from `start` on, if it would be read as something else without.
fn quote_csv(out: &mut BytesMut, start: usize, options: &CopyOptions, is_alone: bool, is_forced: bool) {
    let value = &out[start..];
    let special = |byte: &u8| [options.delimiter, options.quote, b'\n', b'\r'].contains(byte);
    let needs = is_forced || value.iter().any(special) || value == options.null.as_bytes() || (is_alone && value == b"\\.");
    if !needs {
        return;
    }
    let value = out.split_off(start);
    out.put_u8(options.quote);
    for byte in value {
        if byte == options.quote || byte == options.escape {
            out.put_u8(options.escape);
        }
        out.put_u8(byte);
    }
    out.put_u8(options.quote);
}
