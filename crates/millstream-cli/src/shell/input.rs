//! What was typed: statements and commands, and whether it is complete.
//!
//! A line that begins with a backslash, or with a dot and a letter, is a command. A backslash after a statement is a command that
//! takes the statement along: `SELECT … \watch 2`, `SELECT … \gx`. Everything else is SQL and goes on until its semicolon.

use millstream::{TextKind, scan, statement_parts};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// SQL, ready to be parsed; it begins on this line of the text, counted from 0.
    Sql {
        text: String,
        line: usize,
    },
    Command(Call),
    /// `COPY … FROM STDIN;` with the rows behind it, up to a line `\.`; `None`: they come from elsewhere.
    Copy {
        text: String,
        data: Option<String>,
        line: usize,
    },
}

/// A command as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Without backslash or dot.
    pub(crate) name: String,
    /// The rest of the line.
    pub(crate) args: String,
    /// The statement before it.
    pub(crate) query: Option<String>,
}

impl Call {
    fn of(line: &str, query: Option<&str>) -> Self {
        let body = line.strip_prefix(['\\', '.']).unwrap_or(line);
        let end = body.find(|c: char| c.is_whitespace() || (c == '(' || c == '\'')).unwrap_or(body.len());
        let (name, args) = body.split_at(end);
        let query = query.map(|query| query.trim().to_owned()).filter(|query| !query.is_empty());
        Self { name: name.to_owned(), args: args.trim().trim_end_matches(';').trim_end().to_owned(), query }
    }

    /// The arguments, cut at blanks; quotes hold blanks together.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut word = String::new();
        let (mut quote, mut is_word) = (None, false);
        for c in self.args.chars() {
            match (quote, c) {
                (Some(open), c) if open == c => quote = None,
                (Some(_), c) => word.push(c),
                (None, '\'' | '"') => (quote, is_word) = (Some(c), true),
                (None, c) if c.is_whitespace() => {
                    if std::mem::take(&mut is_word) {
                        words.push(std::mem::take(&mut word));
                    }
                }
                (None, c) => {
                    word.push(c);
                    is_word = true;
                }
            }
        }
        if is_word {
            words.push(word);
        }
        words
    }
}

/// Words that people try first, and that begin no SQL.
const BARE_WORDS: &[&str] = &["exit", "quit", "?"];

/// `help`, `exit`: a command without its sign.
fn is_bare_command(line: &str) -> bool {
    let first_line = line.trim_start().lines().next().unwrap_or_default();
    let whole = first_line.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_ascii_lowercase();
    BARE_WORDS.contains(&whole.as_str()) || whole == "help" || whole.strip_prefix("help").is_some_and(|topic| topic.starts_with(' '))
}

/// True if a line is a command: `\d`, `.tables`, `help`; a number such as `.5` is none.
pub(crate) fn is_command(line: &str) -> bool {
    if is_bare_command(line) {
        return true;
    }
    let mut chars = line.trim_start().chars();
    match chars.next() {
        Some('\\') => true,
        Some('.') => chars.next().is_some_and(|c| c.is_ascii_alphabetic()),
        _ => false,
    }
}

/// True if a text is to be run when Enter is pressed, false if more lines are to follow.
pub(crate) fn is_complete(text: &str) -> bool {
    let parts = statement_parts(text);
    if text.trim().is_empty() || parts.is_empty() {
        return true;
    }
    if is_command(text) || trailing_command(text).is_some() {
        return true;
    }
    parts.last().is_none_or(|last| last.is_ended)
}

/// Where a command begins that stands behind a statement without a semicolon.
fn trailing_command(text: &str) -> Option<usize> {
    let last = scan(text).into_iter().rfind(|part| part.kind == TextKind::Backslash)?;
    text[last.range.end..].starts_with(|c: char| c.is_ascii_alphabetic()).then_some(last.range.start)
}

/// The pieces of a text, in order.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut line = 0;
    while !rest.trim().is_empty() {
        let blank = rest.len() - rest.trim_start().len();
        line += rest[..blank].matches('\n').count();
        rest = &rest[blank..];
        let used = match copy_piece(rest, line, &mut pieces) {
            Some(used) => used,
            None if is_command(rest) => command_piece(rest, &mut pieces),
            None => sql_piece(rest, line, &mut pieces),
        };
        line += rest[..used].matches('\n').count();
        rest = &rest[used..];
    }
    pieces
}

fn command_piece(rest: &str, pieces: &mut Vec<Piece>) -> usize {
    let end = rest.find('\n').unwrap_or(rest.len());
    pieces.push(Piece::Command(Call::of(rest[..end].trim_end(), None)));
    end
}

/// SQL up to and with a `COPY … FROM STDIN`, if no command stands before it.
fn copy_piece(rest: &str, line: usize, pieces: &mut Vec<Piece>) -> Option<usize> {
    const END_OF_DATA: &str = "\\.";
    if !rest.to_ascii_lowercase().contains("stdin") {
        return None;
    }
    let copy = statement_parts(rest).into_iter().find(|part| is_copy_in(&rest[part.range.clone()]))?.range;
    let before = &rest[..copy.start];
    if is_command(before) || before.lines().any(is_command) {
        return None;
    }
    if !before.trim().is_empty() {
        pieces.push(Piece::Sql { text: before.to_owned(), line });
    }
    let text = rest[copy.clone()].trim().to_owned();
    let line = line + rest[..copy.end].trim_end().matches('\n').count() - text.matches('\n').count();
    let behind = (copy.end + 1).min(rest.len());
    let data_start = match rest[behind..].find('\n') {
        Some(end) if rest[behind..behind + end].trim().is_empty() => behind + end + 1,
        _ => {
            pieces.push(Piece::Copy { text, data: None, line });
            return Some(behind);
        }
    };
    let body = &rest[data_start..];
    let mut data_end = 0;
    let mut used = rest.len();
    for row in body.split_inclusive('\n') {
        if row.trim_end() == END_OF_DATA {
            used = data_start + data_end + row.len();
            break;
        }
        data_end += row.len();
    }
    let data = (!body.trim().is_empty()).then(|| body[..data_end].to_owned());
    pieces.push(Piece::Copy { text, data, line });
    Some(used)
}

/// True for a statement that takes its rows from the client.
pub(crate) fn is_copy_in(sql: &str) -> bool {
    let parts = scan(sql).into_iter().filter(|part| !matches!(part.kind, TextKind::Blank | TextKind::Comment));
    let words: Vec<String> = parts.map(|part| sql[part.range].to_ascii_lowercase()).collect();
    words.first().is_some_and(|first| first == "copy") && words.windows(2).any(|pair| pair == ["from", "stdin"])
}

/// SQL up to the next line that is a command, or to a command behind it.
fn sql_piece(rest: &str, line: usize, pieces: &mut Vec<Piece>) -> usize {
    let ends: Vec<usize> = statement_parts(rest).iter().filter(|part| part.is_ended).map(|part| part.range.end + 1).collect();
    let follows_command = |end: &usize| is_command(&rest[*end..]);
    if let Some(end) = ends.iter().copied().find(follows_command) {
        let before = ends.iter().copied().take_while(|earlier| *earlier <= end).last().unwrap_or(end);
        pieces.push(Piece::Sql { text: rest[..before].to_owned(), line });
        return before;
    }
    if let Some(at) = scan(rest).into_iter().find(|part| part.kind == TextKind::Backslash).map(|part| part.range.start) {
        let head = ends.iter().copied().take_while(|end| *end <= at).last().unwrap_or(0);
        if head > 0 && !rest[..head].trim().is_empty() {
            pieces.push(Piece::Sql { text: rest[..head].to_owned(), line });
        }
        let end = rest[at..].find('\n').map_or(rest.len(), |length| at + length);
        pieces.push(Piece::Command(Call::of(rest[at..end].trim_end(), Some(&rest[head..at]))));
        return end;
    }
    pieces.push(Piece::Sql { text: rest.to_owned(), line });
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_texts() {
        for text in
            ["", "  ", "SELECT 1;", "SELECT ';' ; -- done", "\\d x", ".tables", "SELECT 1 \\gx", "-- only a comment", "SELECT 1; SELECT 2;"]
        {
            assert!(is_complete(text), "{text}");
        }
        for text in ["SELECT 1", "SELECT ';", "SELECT $$ ; ", "/* ; ", "SELECT 1; SELECT", "SELECT .5", "SELECT E'\\\\d'"] {
            assert!(!is_complete(text), "{text}");
        }
    }

    fn shown(text: &str) -> Vec<String> {
        let show = |piece| match piece {
            Piece::Sql { text, line } => format!("{line}: {}", text.trim()),
            Piece::Command(call) => format!("{}({}) of {:?}", call.name, call.args, call.query),
            Piece::Copy { text, data, line } => format!("{line}: {text} with {data:?}"),
        };
        pieces(text).into_iter().map(show).collect()
    }

    #[test]
    fn statements_and_commands_alternate() {
        assert_eq!(shown("SELECT 1; SELECT 2;"), ["0: SELECT 1; SELECT 2;"]);
        assert_eq!(
            shown("\\x on\nSELECT 1;\n\n.mode csv;\nSELECT 2"),
            ["x(on) of None", "0: SELECT 1;", "mode(csv) of None", "4: SELECT 2"].map(|line| line.replace("0: SELECT 1", "1: SELECT 1"))
        );
        assert_eq!(shown("SELECT 1; SELECT 2 \\watch 3"), ["0: SELECT 1;", "watch(3) of Some(\"SELECT 2\")"]);
        assert_eq!(shown("\\copy (SELECT 1) to 'a b.csv'"), ["copy((SELECT 1) to 'a b.csv') of None"]);
    }

    #[test]
    fn words_that_people_try_first_are_commands() {
        for text in ["help", "exit;", " quit ", "?", "HELP windows;"] {
            assert!(is_complete(text) && is_command(text), "{text}");
        }
        for text in ["helper", "exit now", "quit, x", "SELECT 1\nhelp"] {
            assert!(!is_command(text), "{text}");
        }
        assert_eq!(shown("help windows;\nSELECT 1;"), ["help(windows) of None", "1: SELECT 1;"]);
        assert_eq!(shown("?"), ["?() of None"]);
    }

    #[test]
    fn rows_stand_behind_their_copy() {
        assert_eq!(
            shown("SELECT 1;\nCOPY t (a) FROM STDIN;\n1\n2;'\n\\.\nSELECT 2;"),
            ["0: SELECT 1;", "1: COPY t (a) FROM STDIN with Some(\"1\\n2;'\\n\")", "5: SELECT 2;"]
        );
        assert_eq!(
            shown("\\copy t from 'x'\nCOPY t FROM STDIN;\n1\n\\."),
            ["copy(t from 'x') of None", "1: COPY t FROM STDIN with Some(\"1\\n\")"]
        );
        assert_eq!(shown("copy t from stdin (format csv)"), ["0: copy t from stdin (format csv) with None"]);
        assert_eq!(shown("COPY t FROM STDIN; SELECT 1;"), ["0: COPY t FROM STDIN with None", "0: SELECT 1;"]);
        assert_eq!(shown("COPY (SELECT 1) TO STDOUT;"), ["0: COPY (SELECT 1) TO STDOUT;"]);
    }

    #[test]
    fn words_of_a_call() {
        let call = Call::of("\\set a 'b c' d\"\"", None);
        assert_eq!(call.words(), ["a", "b c", "d"]);
    }
}
