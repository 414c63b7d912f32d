//! Looks through a text that is larger than the screen. `MILLSTREAM_PAGER` names another program for it.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use unicode_width::UnicodeWidthChar;

use super::terminal;
use crate::format::PLAIN;

const VARIABLE: &str = "MILLSTREAM_PAGER";
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const KEYS: &str = "q leaves  space/b pages  g/G ends  ←→ sideways  / finds, n next";
/// Columns that one press of an arrow moves.
const SIDEWAYS_STEP: usize = 16;

/// Shows a text until the person leaves.
pub(crate) fn show(text: &str, has_color: bool) -> io::Result<()> {
    match std::env::var(VARIABLE) {
        Ok(command) if !command.trim().is_empty() => through(&command, text),
        _ => own(text, has_color),
    }
}

fn through(command: &str, text: &str) -> io::Result<()> {
    let mut child = Command::new("sh").arg("-c").arg(command).stdin(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A pager that is left early has seen enough.
        _ = input.write_all(text.as_bytes());
    }
    child.wait().map(drop)
}

/// Where in the text the person is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    top: usize,
    left: usize,
    wanted: String,
    /// The search text is being typed.
    is_typing: bool,
}

/// What a key does.
enum Step {
    Stay,
    Leave,
}

/// Lines above this one stay in sight: the names of columns.
pub(super) fn header_lines(lines: &[&str]) -> usize {
    let is_rule = |line: &&str| line.len() > 2 && line.chars().all(|c| c == '-' || c == '+');
    if lines.get(1).is_some_and(is_rule) { 2 } else { 0 }
}

fn own(text: &str, has_color: bool) -> io::Result<()> {
    let lines: Vec<&str> = text.lines().collect();
    let header = header_lines(&lines);
    enable_raw_mode()?;
    let mut out = io::stdout();
    let mut place = Place::default();
    let looked = (|| {
        out.write_all(ENTER.as_bytes())?;
        loop {
            let (width, height) = terminal::size();
            let page = height.saturating_sub(1 + header).max(1);
            out.write_all(frame(&lines, header, &place, width, height, has_color).as_bytes())?;
            out.flush()?;
            let Event::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            if is_interrupt || matches!(step(&mut place, key.code, &lines, header, page), Step::Leave) {
                return Ok(());
            }
        }
    })();
    out.write_all(LEAVE.as_bytes())?;
    out.flush()?;
    disable_raw_mode()?;
    looked
}

fn step(place: &mut Place, key: KeyCode, lines: &[&str], header: usize, page: usize) -> Step {
    if place.is_typing {
        type_search(place, key, lines, header);
    } else {
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return Step::Leave,
            KeyCode::Char('j') | KeyCode::Down | KeyCode::Enter => place.top += 1,
            KeyCode::Char('k') | KeyCode::Up => place.top = place.top.saturating_sub(1),
            KeyCode::Char(' ' | 'f') | KeyCode::PageDown => place.top += page,
            KeyCode::Char('b') | KeyCode::PageUp => place.top = place.top.saturating_sub(page),
            KeyCode::Char('g') | KeyCode::Home => place.top = 0,
            KeyCode::Char('G') | KeyCode::End => place.top = lines.len(),
            KeyCode::Right => place.left += SIDEWAYS_STEP,
            KeyCode::Left => place.left = place.left.saturating_sub(SIDEWAYS_STEP),
            KeyCode::Char('/') => (place.is_typing, place.wanted) = (true, String::new()),
            KeyCode::Char('n') => find(place, lines, header, 1),
            _ => {}
        }
    }
    place.top = place.top.min(lines.len().saturating_sub(header + page));
    Step::Stay
}

fn type_search(place: &mut Place, key: KeyCode, lines: &[&str], header: usize) {
    match key {
        KeyCode::Char(c) => place.wanted.push(c),
        KeyCode::Backspace => drop(place.wanted.pop()),
        KeyCode::Enter => {
            place.is_typing = false;
            find(place, lines, header, 0);
        }
        KeyCode::Esc => place.is_typing = false,
        _ => {}
    }
}

/// Goes to the next line that has the wanted text, `skipped` lines from here on.
fn find(place: &mut Place, lines: &[&str], header: usize, skipped: usize) {
    if place.wanted.is_empty() {
        return;
    }
    let wanted = place.wanted.to_lowercase();
    let body = &lines[header.min(lines.len())..];
    let found = body.iter().enumerate().skip(place.top + skipped).find(|(_, line)| line.to_lowercase().contains(&wanted));
    if let Some((line, _)) = found {
        place.top = line;
    }
}

fn frame(lines: &[&str], header: usize, place: &Place, width: usize, height: usize, has_color: bool) -> String {
    let page = height.saturating_sub(1 + header).max(1);
    let body = &lines[header.min(lines.len())..];
    let shown = lines.iter().take(header).chain(body.iter().skip(place.top).take(page));
    let mut text = String::from("\x1b[H");
    let mut count = 0;
    for line in shown {
        text.push_str(&cut(line, place.left, width));
        text.push_str("\x1b[0m\x1b[K\r\n");
        count += 1;
    }
    for _ in count..height.saturating_sub(1) {
        text.push_str("\x1b[K\r\n");
    }
    let last = (place.top + page).min(body.len());
    let status = match place.is_typing {
        true => format!("/{}", place.wanted),
        false => format!("lines {}-{last} of {}   {KEYS}", (place.top + 1).min(last), body.len()),
    };
    let status: String = status.chars().take(width.saturating_sub(1)).collect();
    let (on, off) = if has_color { ("\x1b[7m", PLAIN) } else { ("", "") };
    text.push_str(&format!("{on}{status}{off}\x1b[K"));
    text
}

/// The columns of a line from `left` on that fit; escape sequences take no room.
pub(super) fn cut(line: &str, left: usize, width: usize) -> String {
    let mut text = String::with_capacity(line.len());
    let (mut column, mut in_escape) = (0, false);
    for c in line.chars() {
        if c == '\x1b' || in_escape {
            text.push(c);
            in_escape = !(in_escape && c.is_ascii_alphabetic());
            continue;
        }
        let next = column + c.width().unwrap_or(0);
        if column >= left && next <= left + width {
            text.push(c);
        }
        column = next;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_stays_while_rows_move() {
        let text = " n\n---\n 1\n 2\n 3\n 4\n 5";
        let lines: Vec<&str> = text.lines().collect();
        let mut parser = vt100::Parser::new(5, 20, 0);
        let mut place = Place::default();
        step(&mut place, KeyCode::Char(' '), &lines, 2, 2);
        parser.process(frame(&lines, 2, &place, 20, 5, false).as_bytes());
        assert_eq!(parser.screen().contents(), " n\n---\n 3\n 4\nlines 3-4 of 5   q ");
        step(&mut place, KeyCode::End, &lines, 2, 2);
        assert_eq!(place.top, 3);
    }

    #[test]
    fn search_goes_to_the_next_line_that_has_it() {
        let lines = ["one", "two", "three", "two again", "five"];
        let mut place = Place::default();
        for key in ['/', 't', 'w', 'o'] {
            step(&mut place, KeyCode::Char(key), &lines, 0, 2);
        }
        step(&mut place, KeyCode::Enter, &lines, 0, 2);
        assert_eq!(place.top, 1);
        step(&mut place, KeyCode::Char('n'), &lines, 0, 2);
        assert_eq!(place.top, 3);
    }

    #[test]
    fn lines_are_cut_between_escapes() {
        assert_eq!(cut("\x1b[1mabc\x1b[0mdef", 1, 3), "\x1b[1mbc\x1b[0md");
    }
}
