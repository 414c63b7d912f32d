//! Arrays, rows, and structs and maps as JSON.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::json::LineDelimitedWriter;

use super::writer::{Style, ValueWriter};
use super::{Format, PgType};
use crate::error::Result;

/// Writes arrays.
pub(super) struct ListWriter {
    list: ListArray,
    elements: ValueWriter,
    /// Lists of lists are PostgreSQL's arrays of more dimensions.
    is_nested: bool,
    /// `int2vector` and `oidvector` print without braces and count from 0.
    is_vector: bool,
    element: PgType,
}

impl ListWriter {
    pub(super) fn new(array: &ArrayRef, pg_type: &PgType, format: Format, style: Style) -> Result<Self> {
        let list: ListArray = array.as_list::<i32>().clone();
        let is_nested = matches!(list.value_type(), datafusion::arrow::datatypes::DataType::List(_));
        let element = pg_type.element().unwrap_or(PgType::TEXT);
        // Arrays of arrays have the innermost element's type.
        let inner = if is_nested { pg_type.clone() } else { element.clone() };
        let elements = ValueWriter::new(list.values(), &inner, format, style)?;
        let is_vector = matches!(pg_type.name(), "int2vector" | "oidvector");
        Ok(Self { list, elements, is_nested, is_vector, element })
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        let offsets = self.list.value_offsets();
        let place = |offset: i32| usize::try_from(offset).unwrap_or(0);
        place(offsets[row])..place(offsets[row + 1])
    }

    pub(super) fn text(&self, out: &mut BytesMut, row: usize) {
        let (open, between, close) = if self.is_vector { ("", b' ', "") } else { ("{", b',', "}") };
        out.put_slice(open.as_bytes());
        let range = self.range(row);
        let first = range.start;
        for n in range {
            if n > first {
                out.put_u8(between);
            }
            let start = out.len();
            if !self.elements.value(out, n) {
                out.put_slice(b"NULL");
            } else if !self.is_nested {
                quote_if_needed(out, start);
            }
        }
        out.put_slice(close.as_bytes());
    }

    pub(super) fn binary(&self, out: &mut BytesMut, row: usize) {
        let range = self.range(row);
        let dimensions = i32::from(!range.is_empty());
        out.put_i32(dimensions);
        out.put_i32(i32::from(range.clone().any(|n| self.list.values().is_null(n))));
        out.put_u32(self.element.oid());
        if dimensions > 0 {
            out.put_i32(i32::try_from(range.len()).unwrap_or(i32::MAX));
            out.put_i32(i32::from(!self.is_vector));
        }
        for n in range {
            self.elements.with_length(out, n);
        }
    }
}

/// Puts quotes around what was written from `start` on, if it would not read back otherwise.
fn quote_if_needed(out: &mut BytesMut, start: usize) {
    let value = &out[start..];
    let special = |byte: &u8| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || byte.is_ascii_whitespace();
    if !value.is_empty() && !value.iter().any(special) && !value.eq_ignore_ascii_case(b"NULL") {
        return;
    }
    let value = out.split_off(start);
    out.put_u8(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(byte);
    }
    out.put_u8(b'"');
}

/// Writes what `ROW(…)` makes.
pub(super) struct RowValueWriter {
    fields: Vec<(u32, ValueWriter)>,
}

impl RowValueWriter {
    pub(super) fn new(array: &ArrayRef, format: Format, style: Style) -> Result<Self> {
        let row = array.as_struct();
        let fields = row.fields().iter().zip(row.columns()).map(|(field, column)| {
            let pg_type = PgType::from_field(field);
            Ok((pg_type.oid(), ValueWriter::new(column, &pg_type, format, style)?))
        });
        Ok(Self { fields: fields.collect::<Result<_>>()? })
    }

    pub(super) fn text(&self, out: &mut BytesMut, row: usize) {
        for (n, (_, field)) in self.fields.iter().enumerate() {
            out.put_u8(if n == 0 { b'(' } else { b',' });
            let start = out.len();
            if field.value(out, row) {
                quote_in_row(out, start);
            }
        }
        out.put_u8(b')');
    }

    pub(super) fn binary(&self, out: &mut BytesMut, row: usize) {
        out.put_i32(i32::try_from(self.fields.len()).unwrap_or(i32::MAX));
        for (oid, field) in &self.fields {
            out.put_u32(*oid);
            field.with_length(out, row);
        }
    }
}

/// Puts quotes around what was written from `start` on, if it would not read back otherwise. Quotes within are doubled.
fn quote_in_row(out: &mut BytesMut, start: usize) {
    let value = &out[start..];
    let special = |byte: &u8| matches!(byte, b'(' | b')' | b',' | b'"' | b'\\') || byte.is_ascii_whitespace();
    if !value.is_empty() && !value.iter().any(special) {
        return;
    }
    let value = out.split_off(start);
    out.put_u8(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(byte);
        }
        out.put_u8(byte);
    }
    out.put_u8(b'"');
}

/// A struct or MAP as JSON.
pub(super) fn json(out: &mut BytesMut, array: &ArrayRef, row: usize) {
    let schema = Schema::new(vec![Field::new("v", array.data_type().clone(), true)]);
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    let batch = RecordBatch::try_new(std::sync::Arc::new(schema), vec![array.slice(row, 1)]);
    if let Ok(batch) = batch
        && writer.write(&batch).is_ok()
        && writer.finish().is_ok()
    {
        drop(writer);
        // {"v":…} with a line end.
        let inner = text.strip_prefix(b"{\"v\":").and_then(|rest| rest.strip_suffix(b"}\n")).unwrap_or(b"{}");
        out.put_slice(inner);
    } else {
        out.put_slice(b"{}");
    }
}
