//! What a client is told.

use bytes::{BufMut, BytesMut};

use crate::error::WireError;
use crate::values::{Column, Format};

/// The state of a transaction, as ReadyForQuery shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionStatus {
    Idle,
    Open,
    Failed,
}

/// Longest text of an error or notice.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Writes a message: its kind, its length, and what `body` writes.
pub(crate) fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    let start = out.len();
    out.put_i32(0);
    body(out);
    let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

pub(crate) fn text(out: &mut BytesMut, text: &str) {
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

/// A message without a body.
pub(crate) fn bare(out: &mut BytesMut, kind: u8) {
    message(out, kind, |_| {});
}

pub(crate) const PARSE_COMPLETE: u8 = b'1';
pub(crate) const BIND_COMPLETE: u8 = b'2';
pub(crate) const CLOSE_COMPLETE: u8 = b'3';
pub(crate) const NO_DATA: u8 = b'n';
pub(crate) const EMPTY_QUERY: u8 = b'I';
pub(crate) const PORTAL_SUSPENDED: u8 = b's';
pub(crate) const COPY_DONE: u8 = b'c';

pub(crate) fn authentication(out: &mut BytesMut, code: i32, body: &[u8]) {
    message(out, b'R', |out| {
        out.put_i32(code);
        out.put_slice(body);
    });
}

pub(crate) fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| {
        text(out, name);
        text(out, value);
    });
}

pub(crate) fn backend_key(out: &mut BytesMut, process: i32, secret: i32) {
    message(out, b'K', |out| {
        out.put_i32(process);
        out.put_i32(secret);
    });
}

/// The newest minor version spoken here, and options of the client that mean nothing here.
pub(crate) fn negotiate_version(out: &mut BytesMut, options: &[String]) {
    message(out, b'v', |out| {
        out.put_i32(3 << 16);
        out.put_i32(i32::try_from(options.len()).unwrap_or(0));
        for option in options {
            text(out, option);
        }
    });
}

pub(crate) fn ready(out: &mut BytesMut, status: TransactionStatus) {
    message(out, b'Z', |out| {
        out.put_u8(match status {
            TransactionStatus::Idle => b'I',
            TransactionStatus::Open => b'T',
            TransactionStatus::Failed => b'E',
        });
    });
}

pub(crate) fn command_complete(out: &mut BytesMut, tag: &str) {
    message(out, b'C', |out| text(out, tag));
}

pub(crate) fn error(out: &mut BytesMut, error: &WireError) {
    let severity = if error.is_fatal { "FATAL" } else { "ERROR" };
    report(out, b'E', severity, error);
}

/// Something the user should know.
pub(crate) fn notice(out: &mut BytesMut, severity: &str, notice: &WireError) {
    report(out, b'N', severity, notice);
}

fn report(out: &mut BytesMut, kind: u8, severity: &str, error: &WireError) {
    message(out, kind, |out| {
        let mut field = |code: u8, value: &str| {
            out.put_u8(code);
            let clean: String = value.chars().filter(|c| *c != '\0').collect();
            let end = clean.floor_char_boundary(TEXT_BYTES_MAX.min(clean.len()));
            text(out, &clean[..end]);
        };
        field(b'S', severity);
        field(b'V', severity);
        field(b'C', &error.sqlstate);
        field(b'M', &error.message);
        if let Some(detail) = &error.detail {
            field(b'D', detail);
        }
        if let Some(hint) = &error.hint {
            field(b'H', hint);
        }
        if let Some(position) = error.position {
            field(b'P', &position.to_string());
        }
        out.put_u8(0);
    });
}

pub(crate) fn parameter_description(out: &mut BytesMut, types: &[u32]) {
    message(out, b't', |out| {
        out.put_u16(u16::try_from(types.len()).unwrap_or(u16::MAX));
        for oid in types {
            out.put_u32(*oid);
        }
    });
}

pub(crate) fn row_description(out: &mut BytesMut, columns: &[Column], formats: &[Format]) {
    message(out, b'T', |out| {
        out.put_u16(u16::try_from(columns.len()).unwrap_or(u16::MAX));
        for (n, column) in columns.iter().enumerate() {
            text(out, &column.name);
            out.put_u32(column.table);
            out.put_i16(column.number);
            out.put_u32(column.pg_type.oid());
            out.put_i16(column.pg_type.size());
            out.put_i32(column.modifier);
            out.put_i16(formats.get(n).copied().unwrap_or(Format::Text) as i16);
        }
    });
}

/// CopyInResponse (`G`) or CopyOutResponse (`H`).
pub(crate) fn copy_response(out: &mut BytesMut, kind: u8, is_binary: bool, columns: usize) {
    message(out, kind, |out| {
        out.put_u8(u8::from(is_binary));
        out.put_u16(u16::try_from(columns).unwrap_or(u16::MAX));
        for _ in 0..columns {
            out.put_i16(i16::from(is_binary));
        }
    });
}
