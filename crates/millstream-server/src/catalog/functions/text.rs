//! Quoting, and a few functions of text that PostgreSQL has and DataFusion has not.

use super::{Entry, entry, number, text_at};
use crate::catalog::facts::{name_parts, quoted};
use crate::catalog::shape::Cell;

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Entry] = &[
    entry("quote_ident", "text", |_, arguments| Ok(text_at(arguments, 0).map(|name| quoted(name).into()))),
    entry("quote_literal", "text", |_, arguments| Ok(text_at(arguments, 0).map(|text| literal(text).into()))),
    entry("quote_nullable", "text", |_, arguments| Ok(Some(text_at(arguments, 0).map_or_else(|| "NULL".to_owned(), literal).into()))),
    entry("parse_ident", "_text", |_, arguments| Ok(text_at(arguments, 0).map(|name| Cell::Texts(name_parts(name))))),
    entry("format", "text", |_, arguments| Ok(text_at(arguments, 0).map(|pattern| formatted(pattern, arguments.get(1..).unwrap_or_default()).into()))),
    // Casts at the top of a select list: the text, under the type that was named.
    entry("varchar_show", "varchar", |_, arguments| Ok(text_at(arguments, 0).map(Cell::from))),
    entry("name_show", "name", |_, arguments| Ok(text_at(arguments, 0).map(Cell::from))),
    entry("json_show", "json", |_, arguments| Ok(text_at(arguments, 0).map(Cell::from))),
    entry("jsonb_show", "jsonb", |_, arguments| Ok(text_at(arguments, 0).map(Cell::from))),
    entry("uuid_show", "uuid", |_, arguments| Ok(text_at(arguments, 0).map(Cell::from))),
    entry("uuid_in", "uuid", |_, arguments| Ok(text_at(arguments, 0).map(Cell::from))),
    entry("json_build_object", "json", |_, arguments| Ok(Some(json_object(arguments).into()))),
    entry("pg_size_pretty", "text", |_, arguments| Ok(number::<i64>(arguments, 0).map(|bytes| pretty(bytes).into()))),
];

fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// `%s`, `%I`, `%L` and `%%`.
fn formatted(pattern: &str, arguments: &[Option<&str>]) -> String {
    let mut text = String::new();
    let (mut chars, mut next) = (pattern.chars(), arguments.iter().copied());
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('s') => text.push_str(next.next().flatten().unwrap_or_default()),
            Some('I') => text.push_str(&next.next().flatten().map(quoted).unwrap_or_default()),
            Some('L') => text.push_str(&next.next().flatten().map_or_else(|| "NULL".to_owned(), literal)),
            Some(other) => text.push(other),
            None => text.push('%'),
        }
    }
    text
}

/// `{"a" : 1, "b" : "x"}`. What is no text comes with a mark before it.
fn json_object(arguments: &[Option<&str>]) -> String {
    let value = |argument: Option<&str>| match argument {
        None => "null".to_owned(),
        Some(text) => match text.strip_prefix(super::NO_TEXT) {
            Some(plain) => plain.to_owned(),
            None => serde_json::Value::from(text).to_string(),
        },
    };
    let pairs = arguments.chunks(2).map(|pair| {
        let key = pair[0].unwrap_or_default();
        let key = serde_json::Value::from(key.strip_prefix(super::NO_TEXT).unwrap_or(key));
        format!("{key} : {}", value(pair.get(1).copied().flatten()))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

fn pretty(bytes: i64) -> String {
    let (mut amount, mut unit) = (bytes, "bytes");
    for next in ["kB", "MB", "GB", "TB"] {
        if amount.abs() < 10_240 {
            break;
        }
        (amount, unit) = ((amount + 512) / 1024, next);
    }
    format!("{amount} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_filled() {
        assert_eq!(formatted("%I.%I = %L 100%%", &[Some("public"), Some("A b"), Some("it's")]), "public.\"A b\" = 'it''s' 100%");
        assert_eq!((pretty(10), pretty(20_480)), ("10 bytes".to_owned(), "20 kB".to_owned()));
    }
}
