//! `COPY t FROM STDIN`: lines or binary tuples into a stored table, all or none.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder, new_null_array};
use datafusion::arrow::datatypes::SchemaRef;

use super::Connection;
use super::copy_out::BINARY_HEAD;
use super::execute::Answer;
use crate::error::{Result, WireError};
use crate::protocol::{Message, outgoing};
use crate::security::{ObjectKind, Privilege};
use crate::statement::{CopyFormat, CopyOptions, CopySource, Header};
use crate::values::{PgType, binary_text, column_of_text};

/// Bytes of one COPY at most: all rows are there before the first is seen.
const COPY_BYTES_MAX: usize = 1 << 30;

/// Longest line or tuple.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Rows that are turned into columns at once.
const BATCH_ROWS: usize = 8192;

impl Connection {
    pub(super) async fn copy_in(&mut self, table: &str, columns: &[String], source: &CopySource, options: &CopyOptions) -> Result<Answer> {
        if let CopySource::Server(path) = source {
            return Err(self.no_server_file(path));
        }
        // What is wrong with the table is told before the client sends anything.
        self.check_privilege(Privilege::Insert, ObjectKind::Relation, table)?;
        let session = self.streaming.clone();
        session.append(table, &[]).await?;
        let relation = session.engine().relations().into_iter().find(|relation| relation.name == table);
        let schema =
            relation.map(|relation| relation.schema).ok_or_else(|| WireError::new("42P01", format!("table \"{table}\" does not exist")))?;
        let mut reader = Reader::new(table, schema, columns, options.clone())?;
        outgoing::copy_response(&mut self.wire.output, b'G', options.format == CopyFormat::Binary, reader.targets.len());
        self.flush().await?;
        let read = self.receive(&mut reader).await;
        let batches = match read {
            Ok(()) => reader.finish()?,
            Err(error) => return Err(error),
        };
        let rows = self.guarded(async { session.append(table, &batches).await.map_err(WireError::from) }).await?;
        Ok(Answer::Done(format!("COPY {rows}")))
    }

    /// Takes data until the client says that it is done. After an error the rest is skipped by whoever reads messages.
    async fn receive(&mut self, reader: &mut Reader) -> Result<()> {
        loop {
            let message = {
                let flag = Arc::clone(&self.registration.flag);
                tokio::select! {
                    biased;
                    () = flag.wait() => return Err(WireError::canceled("user request")),
                    message = self.wire.next() => message?,
                }
            };
            match message {
                None => return Err(super::gone()),
                Some(Message::CopyData(data)) => reader.take(&data)?,
                Some(Message::CopyDone) => return Ok(()),
                Some(Message::CopyFail(why)) => return Err(WireError::new("57014", format!("COPY from stdin failed: {why}"))),
                // Drivers send Sync right after Execute, before the data.
                Some(Message::Flush | Message::Sync) => {}
                Some(_) => return Err(WireError::protocol("unexpected message type during COPY from stdin")),
            }
        }
    }
}

/// Turns bytes into rows.
struct Reader {
    table: String,
    schema: SchemaRef,
    /// Columns of the table that come, in their order.
    targets: Vec<usize>,
    types: Vec<PgType>,
    options: CopyOptions,
    rest: BytesMut,
    columns: Vec<StringBuilder>,
    rows: usize,
    line: u64,
    bytes: usize,
    header: Header,
    has_head: bool,
    is_done: bool,
    batches: Vec<RecordBatch>,
}

impl Reader {
    fn new(table: &str, schema: SchemaRef, columns: &[String], options: CopyOptions) -> Result<Self> {
        let place = |name: &String| {
            let missing = || WireError::new("42703", format!("column \"{name}\" of relation \"{table}\" does not exist"));
            schema.index_of(name).map_err(|_| missing())
        };
        let targets: Vec<usize> = match columns.is_empty() {
            true => (0..schema.fields().len()).collect(),
            false => columns.iter().map(place).collect::<Result<_>>()?,
        };
        let types = targets.iter().map(|n| PgType::from_field(schema.field(*n))).collect();
        let builders = targets.iter().map(|_| StringBuilder::new()).collect();
        Ok(Self {
            table: table.to_owned(),
            targets,
            types,
            header: options.header,
            options,
            schema,
            rest: BytesMut::new(),
            columns: builders,
            rows: 0,
            line: 0,
            bytes: 0,
            has_head: false,
            is_done: false,
            batches: Vec::new(),
        })
    }

    fn take(&mut self, data: &[u8]) -> Result<()> {
        self.bytes += data.len();
        if self.bytes > COPY_BYTES_MAX {
            return Err(WireError::new("54000", format!("COPY of more than {COPY_BYTES_MAX} bytes"))
                .with_hint("send it in several COPYs, or read it by a file connector"));
        }
        self.rest.extend_from_slice(data);
        match self.options.format {
            CopyFormat::Binary => while self.tuple()? {},
            CopyFormat::Text => while self.text_line(false)? {},
            CopyFormat::Csv => while self.csv_line(false)? {},
        }
        match self.rest.len() > LINE_BYTES_MAX {
            true => Err(self.placed(WireError::new("54000", format!("a row is longer than {LINE_BYTES_MAX} bytes")))),
            false => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Vec<RecordBatch>> {
        match self.options.format {
            CopyFormat::Text => while self.text_line(true)? {},
            CopyFormat::Csv => while self.csv_line(true)? {},
            CopyFormat::Binary if !self.rest.is_empty() && !self.is_done => {
                return Err(self.placed(WireError::new("22P04", "unexpected EOF in COPY data")));
            }
            CopyFormat::Binary => {}
        }
        self.close_batch()?;
        Ok(self.batches)
    }

    fn placed(&self, error: WireError) -> WireError {
        error.with_detail(format!("COPY {}, line {}", self.table, self.line))
    }

    /// Takes one line; false: there is no whole one.
    fn text_line(&mut self, is_last: bool) -> Result<bool> {
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let Some(line) = cut_line(&mut self.rest, end, is_last) else { return Ok(false) };
        self.line += 1;
        if self.is_done || self.takes_header(|options| split_text(&line, options.delimiter).into_iter().map(unescaped).collect())? {
            return Ok(true);
        }
        if &line[..] == b"\\." {
            self.is_done = true;
            return Ok(true);
        }
        let fields = split_text(&line, self.options.delimiter);
        let null = self.options.null.clone();
        let values = fields.into_iter().map(|field| (field != null.as_bytes()).then(|| unescaped(field)));
        let values: Vec<Option<Vec<u8>>> = values.collect();
        self.add(&values)?;
        Ok(true)
    }

    fn csv_line(&mut self, is_last: bool) -> Result<bool> {
        let mut quoted = false;
        let (quote, escape) = (self.options.quote, self.options.escape);
        let mut end = None;
        let mut escaped = false;
        for (n, byte) in self.rest.iter().enumerate() {
            match *byte {
                _ if escaped => escaped = false,
                byte if quoted && byte == escape && escape != quote => escaped = true,
                byte if byte == quote => quoted = !quoted,
                b'\n' if !quoted => {
                    end = Some(n);
                    break;
                }
                _ => {}
            }
        }
        let Some(line) = cut_line(&mut self.rest, end, is_last) else { return Ok(false) };
        self.line += 1;
        if self.is_done || self.takes_header(|options| split_csv(&line, options).into_iter().map(|(name, _)| name).collect())? {
            return Ok(true);
        }
        if &line[..] == b"\\." {
            self.is_done = true;
            return Ok(true);
        }
        if quoted && end.is_none() {
            return Err(self.placed(WireError::new("22P04", "unterminated CSV quoted field")));
        }
        let null = self.options.null.as_bytes();
        let is_null = |(n, (value, was_quoted)): (usize, &(Vec<u8>, bool))| {
            let forced =
                |names: &[String]| !names.is_empty() && self.column(n).is_some_and(|column| names.iter().any(|name| name == column));
            value == null && if *was_quoted { forced(&self.options.force_null) } else { !forced(&self.options.force_not_null) }
        };
        let fields = split_csv(&line, &self.options);
        let nulls: Vec<bool> = fields.iter().enumerate().map(is_null).collect();
        let values: Vec<Option<Vec<u8>>> = fields.into_iter().zip(nulls).map(|((value, _), is_null)| (!is_null).then_some(value)).collect();
        self.add(&values)?;
        Ok(true)
    }

    /// The name of the n-th column that comes.
    fn column(&self, n: usize) -> Option<&str> {
        self.targets.get(n).map(|target| self.schema.field(*target).name().as_str())
    }

    /// True if the line is the header; its names are looked at if they must match.
    fn takes_header(&mut self, names: impl FnOnce(&CopyOptions) -> Vec<Vec<u8>>) -> Result<bool> {
        match std::mem::take(&mut self.header) {
            Header::Absent => return Ok(false),
            Header::Present => return Ok(true),
            Header::Match => {}
        }
        let names = names(&self.options);
        let found: Vec<String> = names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        if found.len() != self.targets.len() {
            let message = format!("wrong number of fields in header line: got {}, expected {}", found.len(), self.targets.len());
            return Err(self.placed(WireError::new("22P04", message)));
        }
        for (n, name) in found.iter().enumerate() {
            let expected = self.column(n).unwrap_or_default();
            if name != expected {
                let message = format!("column name mismatch in header line field {}: got \"{name}\", expected \"{expected}\"", n + 1);
                return Err(self.placed(WireError::new("22P04", message)));
            }
        }
        Ok(true)
    }

    /// Takes one binary tuple; false: there is no whole one.
    fn tuple(&mut self) -> Result<bool> {
        if !self.has_head {
            if self.rest.len() < BINARY_HEAD.len() {
                return Ok(false);
            }
            if self.rest[..11] != BINARY_HEAD[..11] {
                return Err(WireError::new("22P04", "COPY file signature not recognized"));
            }
            self.rest.advance(BINARY_HEAD.len());
            self.has_head = true;
        }
        let word = |at: usize| -> Option<i32> { Some(i32::from_be_bytes(self.rest.get(at..at + 4)?.try_into().ok()?)) };
        let Some(count) = self.rest.get(..2).map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]])) else { return Ok(false) };
        if count == -1 || self.is_done {
            self.is_done = true;
            self.rest.clear();
            return Ok(false);
        }
        let mut values = Vec::new();
        let mut at = 2;
        for n in 0..usize::try_from(count).unwrap_or(0) {
            let Some(length) = word(at) else { return Ok(false) };
            at += 4;
            let Ok(length) = usize::try_from(length) else {
                values.push(None);
                continue;
            };
            let Some(bytes) = at.checked_add(length).and_then(|end| self.rest.get(at..end)) else { return Ok(false) };
            let text = match self.types.get(n) {
                Some(pg_type) => binary_text(bytes, pg_type)?,
                None => String::new(),
            };
            values.push(Some(text.into_bytes()));
            at += length;
        }
        self.rest.advance(at);
        self.line += 1;
        self.add(&values)?;
        Ok(true)
    }

    fn add(&mut self, values: &[Option<Vec<u8>>]) -> Result<()> {
        if values.len() < self.columns.len() {
            let name = self.schema.field(self.targets[values.len()]).name().clone();
            return Err(self.placed(WireError::new("22P04", format!("missing data for column \"{name}\""))));
        }
        if values.len() > self.columns.len() {
            return Err(self.placed(WireError::new("22P04", "extra data after last expected column")));
        }
        for (value, column) in values.iter().zip(&mut self.columns) {
            match value.as_deref().map(crate::protocol::incoming::utf8).transpose()? {
                Some(text) => column.append_value(text),
                None => column.append_null(),
            }
        }
        self.rows += 1;
        if self.rows >= BATCH_ROWS { self.close_batch() } else { Ok(()) }
    }

    fn close_batch(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut columns: Vec<ArrayRef> = self.schema.fields().iter().map(|field| new_null_array(field.data_type(), self.rows)).collect();
        for ((target, builder), pg_type) in self.targets.iter().zip(&mut self.columns).zip(&self.types) {
            let text = builder.finish();
            let field = self.schema.field(*target);
            let values = column_of_text(&text, field.data_type(), pg_type);
            columns[*target] = values.map_err(|error| WireError {
                detail: Some(format!("COPY {}, column {}, among the rows up to line {}", self.table, field.name(), self.line)),
                ..error
            })?;
            if !field.is_nullable() && columns[*target].null_count() > 0 {
                let message =
                    format!("null value in column \"{}\" of relation \"{}\" violates not-null constraint", field.name(), self.table);
                return Err(WireError::new("23502", message));
            }
        }
        let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(
            self.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>(),
        ));
        self.batches.push(RecordBatch::try_new(schema, columns)?);
        self.rows = 0;
        Ok(())
    }
}

/// The line up to `end`, without its end; the last one may have none.
fn cut_line(rest: &mut BytesMut, end: Option<usize>, is_last: bool) -> Option<BytesMut> {
    let mut line = match end {
        Some(end) => {
            let line = rest.split_to(end);
            rest.advance(1);
            line
        }
        None if is_last && !rest.is_empty() => rest.split(),
        None => return None,
    };
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
    Some(line)
}

/// Fields between delimiters that no backslash stands before.
fn split_text(line: &[u8], delimiter: u8) -> Vec<&[u8]> {
    let (mut fields, mut start, mut n) = (Vec::new(), 0, 0);
    while n < line.len() {
        if line[n] == b'\\' {
            n += 1;
        } else if line[n] == delimiter {
            fields.push(&line[start..n]);
            start = n + 1;
        }
        n += 1;
    }
    fields.push(&line[start..]);
    fields
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(field.len());
    let mut n = 0;
    while n < field.len() {
        let byte = field[n];
        n += 1;
        if byte != b'\\' || n >= field.len() {
            value.push(byte);
            continue;
        }
        let escaped = field[n];
        n += 1;
        match escaped {
            b'n' => value.push(b'\n'),
            b't' => value.push(b'\t'),
            b'r' => value.push(b'\r'),
            b'b' => value.push(8),
            b'f' => value.push(12),
            b'v' => value.push(11),
            b'x' => {
                let digits = field[n..].iter().take(2).take_while(|digit| digit.is_ascii_hexdigit()).count();
                let text = std::str::from_utf8(&field[n..n + digits]).unwrap_or_default();
                value.push(u8::from_str_radix(text, 16).unwrap_or(b'x'));
                n += digits;
            }
            b'0'..=b'7' => {
                let digits = field[n..].iter().take(2).take_while(|digit| (b'0'..=b'7').contains(digit)).count();
                let text = std::str::from_utf8(&field[n - 1..n + digits]).unwrap_or_default();
                value.push(u8::try_from(u16::from_str_radix(text, 8).unwrap_or(0) & 0xff).unwrap_or(0));
                n += digits;
            }
            other => value.push(other),
        }
    }
    value
}

/// Each field, and whether it was quoted.
fn split_csv(line: &[u8], options: &CopyOptions) -> Vec<(Vec<u8>, bool)> {
    let mut values = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    loop {
        let (mut value, mut was_quoted, mut in_quotes, mut ended) = (Vec::new(), false, false, true);
        while let Some(byte) = bytes.next() {
            if in_quotes {
                let next = bytes.peek().copied();
                if byte == options.escape
                    && next.is_some_and(|next| next == options.quote || (next == options.escape && options.escape != options.quote))
                {
                    value.extend(bytes.next());
                } else if byte == options.quote {
                    in_quotes = false;
                } else {
                    value.push(byte);
                }
            } else if byte == options.quote {
                (in_quotes, was_quoted) = (true, true);
            } else if byte == options.delimiter {
                ended = false;
                break;
            } else {
                value.push(byte);
            }
        }
        values.push((value, was_quoted));
        if ended {
            return values;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::{Command, read_all};

    #[test]
    fn text_lines_are_unescaped() {
        let fields = split_text(b"a\\tb\tc\\\td\t\\N", b'\t');
        assert_eq!(fields, [&b"a\\tb"[..], b"c\\\td", b"\\N"]);
        assert_eq!(unescaped(b"a\\tb\\\\\\x41\\101"), b"a\tb\\AA");
    }

    #[test]
    fn csv_lines_are_unquoted() {
        let Ok(Command::CopyIn { options, .. }) = read_all("COPY t FROM STDIN CSV").map(|mut all| all.remove(0).command) else {
            panic!("a COPY is expected")
        };
        let text = |value: &[u8], was_quoted| (value.to_vec(), was_quoted);
        assert_eq!(
            split_csv(b"a,\"b \"\"c\"\",d\",,\"\"", &options),
            [text(b"a", false), text(b"b \"c\",d", true), text(b"", false), text(b"", true)]
        );
    }
}
