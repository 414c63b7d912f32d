//! Finding records in bytes.

use std::ops::Range;

use super::config::CsvOptions;

/// How records end.
#[derive(Clone, Debug)]
pub enum Framing {
    /// At each newline.
    Lines,
    /// At a newline that is not inside quotes.
    Quoted {
        /// The quote.
        quote: u8,
        /// Between fields: a quote opens only at the start of a field.
        delimiter: u8,
        /// Makes the next character plain inside quotes.
        escape: Option<u8>,
    },
}

impl Framing {
    /// For CSV.
    pub fn csv(options: &CsvOptions) -> Self {
        match options.quote {
            Some(quote) => Self::Quoted { quote, delimiter: options.delimiter, escape: options.escape },
            None => Self::Lines,
        }
    }
}

/// What [`frame`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed {
    /// Where the first record that is not complete starts.
    pub consumed: usize,
    /// Newlines before that.
    pub lines: u64,
}

/// Puts the complete records of `bytes` into `records`, at most `records_max`: each with its newline, blank lines left out.
///
/// `give_up_bytes`: a quote that does not close within so many bytes is taken to be damage: the record ends at its first newline,
/// so that the lines after it are not lost. At the end of input the caller passes 0 for the same reason, and makes sure that
/// `bytes` ends in a newline.
pub fn frame(framing: &Framing, bytes: &[u8], records_max: usize, give_up_bytes: usize, records: &mut Vec<Range<usize>>) -> Framed {
    records.clear();
    let mut framed = Framed { consumed: 0, lines: 0 };
    while records.len() < records_max && framed.consumed < bytes.len() {
        let rest = &bytes[framed.consumed..];
        let Some((length, lines)) = record_length(framing, rest, give_up_bytes) else { break };
        if !rest[..length].trim_ascii().is_empty() {
            records.push(framed.consumed..framed.consumed + length);
        }
        framed.consumed += length;
        framed.lines += lines;
    }
    framed
}

/// Length of the first record with its newline, and how many lines it has.
fn record_length(framing: &Framing, bytes: &[u8], give_up_bytes: usize) -> Option<(usize, u64)> {
    let first = memchr::memchr(b'\n', bytes);
    let Framing::Quoted { quote, delimiter, escape } = framing else { return first.map(|end| (end + 1, 1)) };
    let first_line = &bytes[..first.unwrap_or(bytes.len())];
    if memchr::memchr(*quote, first_line).is_none() {
        return first.map(|end| (end + 1, 1));
    }
    match quoted_record_length(bytes, *quote, *delimiter, *escape) {
        Some(found) => Some(found),
        None if bytes.len() > give_up_bytes => first.map(|end| (end + 1, 1)),
        None => None,
    }
}

fn quoted_record_length(bytes: &[u8], quote: u8, delimiter: u8, escape: Option<u8>) -> Option<(usize, u64)> {
    let mut at = 0;
    let mut lines = 0;
    let mut field_start = true;
    loop {
        if field_start && bytes.get(at) == Some(&quote) {
            let close = closing_quote(&bytes[at + 1..], quote, escape)? + at + 1;
            lines += memchr::memchr_iter(b'\n', &bytes[at..close]).count() as u64;
            at = close + 1;
        }
        // Outside quotes: up to the next delimiter or the end of the record.
        let stop = memchr::memchr2(delimiter, b'\n', &bytes[at..])? + at;
        at = stop + 1;
        if bytes[stop] == b'\n' {
            return Some((at, lines + 1));
        }
        field_start = true;
    }
}

/// Offset of the quote that closes; a doubled one does not.
fn closing_quote(bytes: &[u8], quote: u8, escape: Option<u8>) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = match escape {
            Some(escape) => memchr::memchr2(quote, escape, &bytes[at..])? + at,
            None => memchr::memchr(quote, &bytes[at..])? + at,
        };
        if bytes[found] == quote && bytes.get(found + 1) != Some(&quote) {
            return Some(found);
        }
        at = found + 2;
        if at > bytes.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(framing: &Framing, text: &str, give_up_bytes: usize, expected: &[&str], consumed: usize) {
        let mut records = Vec::new();
        let framed = frame(framing, text.as_bytes(), 100, give_up_bytes, &mut records);
        let found: Vec<&str> = records.iter().map(|record| &text[record.clone()]).collect();
        assert_eq!((found.as_slice(), framed.consumed), (expected, consumed), "{text:?}");
        assert_eq!(framed.lines as usize, text[..consumed].matches('\n').count());
    }

    #[test]
    fn lines_end_at_newlines_and_blank_ones_are_no_records() {
        check(&Framing::Lines, "a\n\n \r\nb\nrest", usize::MAX, &["a\n", "b\n"], 8);
        check(&Framing::Lines, "", usize::MAX, &[], 0);
    }

    #[test]
    fn quotes_hold_newlines() {
        let csv = Framing::csv(&CsvOptions::default());
        check(&csv, "1,\"a\nb\",2\n3\n", usize::MAX, &["1,\"a\nb\",2\n", "3\n"], 12);
        check(&csv, "\"a \"\"b\"\"\n\",x\n", usize::MAX, &["\"a \"\"b\"\"\n\",x\n"], 13);
        // A quote inside a plain field is an ordinary character.
        check(&csv, "5\" pipe,1\nx\n", usize::MAX, &["5\" pipe,1\n", "x\n"], 12);
        check(&csv, "1,\"open\n2\n", usize::MAX, &[], 0);
        // Given up: the damage is one line long.
        check(&csv, "1,\"open\n2\n", 4, &["1,\"open\n", "2\n"], 10);
    }

    #[test]
    fn escapes_hide_quotes() {
        let csv = Framing::csv(&CsvOptions { escape: Some(b'\\'), ..CsvOptions::default() });
        check(&csv, "\"a\\\"\nb\",1\n", usize::MAX, &["\"a\\\"\nb\",1\n"], 10);
    }
}
