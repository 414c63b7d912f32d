//! What is wanted at the cursor, by the words before it.

use std::collections::BTreeMap;

use millstream::{TextKind, TextPart, scan};

use super::super::commands::{self, ArgKind};
use super::super::input::is_command;
use super::super::keywords::is_keyword;
use super::super::names::Names;

/// What can stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    Nothing,
    Command,
    CommandArg(ArgKind),
    File,
    OptionName(Option<String>),
    OptionValue {
        connector: Option<String>,
        option: String,
    },
    Table,
    Pipeline,
    Setting,
    SettingValue(String),
    Model,
    ColumnOf(String),
    /// Columns of these tables, keywords, functions.
    Anything {
        tables: Vec<String>,
        is_windowed: bool,
    },
}

/// What is wanted and where the word begins that it replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) want: Want,
    pub(super) start: usize,
}

/// A part with its text.
struct Piece<'a> {
    kind: TextKind,
    text: &'a str,
    start: usize,
    end: usize,
}

impl Piece<'_> {
    fn is(&self, words: &[&str]) -> bool {
        self.kind == TextKind::Word && words.iter().any(|word| self.text.eq_ignore_ascii_case(word))
    }
}

pub(super) fn context(names: &Names, text: &str, cursor: usize) -> Context {
    let head = &text[..cursor];
    if is_command(head) {
        return command_context(names, head);
    }
    let pieces = visible(head, scan(head));
    let from = pieces.iter().rposition(|piece| piece.kind == TextKind::Semicolon).map_or(0, |at| at + 1);
    let statement = &pieces[from..];
    let Some(last) = statement.last() else { return anything(names, "", cursor) };
    if last.kind == TextKind::Comment || (last.kind == TextKind::Unfinished && !last.text.starts_with(['\'', '"'])) {
        return Context { want: Want::Nothing, start: cursor };
    }
    if last.kind == TextKind::Unfinished && statement.len() == 4 && statement[0].is(&["SET"]) {
        return Context { want: Want::SettingValue(folded(statement[1].text)), start: last.start };
    }
    if last.kind == TextKind::Unfinished {
        let start = last.start + 1;
        return Context { want: in_string(&statement[..statement.len() - 1]), start };
    }
    let statement_start = statement.first().map_or(0, |first| first.start);
    let statement_text = whole_statement(text, statement_start);
    let is_word = matches!(last.kind, TextKind::Word | TextKind::QuotedName) && last.end == cursor;
    let (before, start) = if is_word { (&statement[..statement.len() - 1], last.start) } else { (statement, cursor) };
    if let Some(command) = trailing_command(before, head, start) {
        return command;
    }
    let want = after(names, before, statement_text).unwrap_or_else(|| anything_in(names, statement_text));
    Context { want, start }
}

/// `SELECT … \cha|`
fn trailing_command(before: &[Piece<'_>], head: &str, start: usize) -> Option<Context> {
    let last = before.last().filter(|last| last.kind == TextKind::Backslash && last.end == start)?;
    (last.start < head.len()).then_some(Context { want: Want::Command, start: last.start })
}

fn visible<'a>(text: &'a str, parts: Vec<TextPart>) -> Vec<Piece<'a>> {
    let parts = parts.into_iter().filter(|part| part.kind != TextKind::Blank);
    parts.map(|part| Piece { kind: part.kind, text: &text[part.range.clone()], start: part.range.start, end: part.range.end }).collect()
}

/// The statement around the cursor, so that its FROM counts while its SELECT is typed.
fn whole_statement(text: &str, start: usize) -> &str {
    let rest = &text[start..];
    let end = scan(rest).into_iter().find(|part| part.kind == TextKind::Semicolon).map_or(rest.len(), |part| part.range.start);
    &rest[..end]
}

fn command_context(names: &Names, head: &str) -> Context {
    let offset = head.len() - head.trim_start().len();
    let body = head.trim_start();
    let Some(end) = body.find(char::is_whitespace) else { return Context { want: Want::Command, start: offset } };
    let word_start = head.rfind(|c: char| c.is_whitespace() || c == '\'').map_or(0, |at| at + 1);
    let kind = commands::find(&body[1..end]).map_or(ArgKind::None, |command| command.arg);
    let is_quoted = head[offset + end..].matches('\'').count() % 2 == 1;
    if kind == ArgKind::Text && is_quoted {
        return Context { want: Want::File, start: word_start };
    }
    let is_first_word = head[offset + end..word_start].trim().is_empty();
    if kind == ArgKind::Query && is_first_word && !head[word_start..].to_ascii_lowercase().starts_with("sel") {
        return Context { want: Want::CommandArg(ArgKind::Table), start: word_start };
    }
    if matches!(kind, ArgKind::Text | ArgKind::Query) {
        // A query may follow: `\chart line x y SELECT …`.
        let rest = &head[offset + end..];
        let inner = context(names, rest, rest.len());
        return Context { want: inner.want, start: inner.start + offset + end };
    }
    if kind == ArgKind::Setting {
        let words: Vec<&str> = head[offset + end..word_start].split_whitespace().collect();
        if let [name] = words.as_slice() {
            return Context { want: Want::SettingValue((*name).to_owned()), start: word_start };
        }
    }
    Context { want: Want::CommandArg(kind), start: word_start }
}

fn in_string(before: &[Piece<'_>]) -> Want {
    let Some(last) = before.last() else { return Want::Nothing };
    if last.is(&["FROM", "JOIN", "DESCRIBE", "DESC", "TABLE"]) {
        return Want::File;
    }
    let Some(with) = before.iter().rposition(|piece| piece.is(&["WITH"])) else {
        return if last.text == "," { Want::File } else { Want::Nothing };
    };
    let options = &before[with..];
    let connector = option_value(options, "connector");
    match (last.text, options.len()) {
        ("=", length) if length >= 2 => Want::OptionValue { connector, option: unquoted(options[length - 2].text).to_lowercase() },
        ("(" | ",", _) => Want::OptionName(connector),
        _ => Want::Nothing,
    }
}

fn option_value(options: &[Piece<'_>], name: &str) -> Option<String> {
    let at = options.iter().position(|piece| piece.kind == TextKind::Text && unquoted(piece.text).eq_ignore_ascii_case(name))?;
    match options.get(at + 1..at + 3)? {
        [equals, value] if equals.text == "=" && value.kind == TextKind::Text => Some(unquoted(value.text).to_lowercase()),
        _ => None,
    }
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('\'')
}

/// What the words right before the cursor ask for.
fn after(names: &Names, before: &[Piece<'_>], statement: &str) -> Option<Want> {
    let last = before.last()?;
    if last.text == "." {
        let alias = before.get(before.len().checked_sub(2)?)?;
        return Some(aliases(names, statement).get(&folded(alias.text)).map_or(Want::Nothing, |table| Want::ColumnOf(table.clone())));
    }
    if last.is(&["PIPELINE"]) {
        return Some(Want::Pipeline);
    }
    if last.is(&["MODEL"]) {
        return Some(if before.len() == 2 && before[0].is(&["CREATE"]) { Want::Nothing } else { Want::Model });
    }
    if last.is(&["SET", "RESET"]) && before.len() == 1 {
        return Some(Want::Setting);
    }
    if before.len() == 3 && before[0].is(&["SET"]) && (last.text == "=" || last.is(&["TO"])) {
        return Some(Want::SettingValue(folded(before[1].text)));
    }
    let drops = before.len() >= 2 && before[0].is(&["DROP"]) && last.is(&["TABLE", "VIEW", "SOURCE", "STREAM"]);
    let creates = before.first().is_some_and(|first| first.is(&["CREATE"])) && last.is(&["TABLE"]) && before.len() <= 3;
    if creates {
        return Some(Want::Nothing);
    }
    let wants_table = last.is(&["FROM", "JOIN", "INTO", "DESCRIBE", "DESC", "TABLE"]) || drops;
    wants_table.then_some(Want::Table)
}

fn anything(names: &Names, statement: &str, start: usize) -> Context {
    Context { want: anything_in(names, statement), start }
}

fn anything_in(names: &Names, statement: &str) -> Want {
    let mut tables: Vec<String> = aliases(names, statement).into_values().collect();
    tables.sort();
    tables.dedup();
    let upper = statement.to_uppercase();
    Want::Anything { tables, is_windowed: upper.contains("TUMBLE") || upper.contains("HOP") }
}

/// The tables that a statement names, by name and by alias.
fn aliases(names: &Names, statement: &str) -> BTreeMap<String, String> {
    let pieces = visible(statement, scan(statement));
    let mut aliases = BTreeMap::new();
    for (idx, piece) in pieces.iter().enumerate() {
        let name = folded(piece.text);
        if !matches!(piece.kind, TextKind::Word | TextKind::QuotedName) || !names.tables.contains_key(&name) {
            continue;
        }
        let mut next = idx + 1;
        if pieces.get(next).is_some_and(|piece| piece.is(&["AS"])) {
            next += 1;
        }
        if let Some(alias) = pieces.get(next).filter(|piece| piece.kind == TextKind::Word && !is_keyword(piece.text)) {
            aliases.insert(folded(alias.text), name.clone());
        }
        aliases.insert(name.clone(), name);
    }
    aliases
}

/// The name that is meant: in lower case unless quoted.
fn folded(name: &str) -> String {
    match name.strip_prefix('"') {
        Some(quoted) => quoted.trim_end_matches('"').replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}
