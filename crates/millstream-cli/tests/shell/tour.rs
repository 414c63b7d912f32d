//! `docs/shell.md` is a tour whose screens are recorded from this test, so that they cannot rot.
//!
//! A block ```` ```text tour ```` is a piece of a session. What stands behind a prompt in it is typed, and the screen must then be the
//! block, but for times and rates; a line `…` stands for any lines. A comment `<!-- keys: … -->` before a block says what to type
//! instead: `{enter}`, `{tab}`, `{ctrl-c}`; `{prompt}` and
//! `{see TEXT}` wait for the screen. `MILLSTREAM_RECORD_TOUR=1` records the screens anew.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::terminal::{PROMPT, Terminal};

const MORE: &str = "         -> ";
const SIZE: (u16, u16) = (40, 100);

struct Block {
    /// Lines of the document: after the fence, and of the closing fence.
    from: usize,
    to: usize,
    keys: Option<String>,
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/shell.md")
}

fn blocks(lines: &[&str]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut keys = None;
    let mut n = 0;
    while n < lines.len() {
        let line = lines[n];
        if let Some(rest) = line.strip_prefix("<!-- keys: ") {
            keys = Some(rest.trim_end_matches(" -->").to_owned());
        }
        if line == "```text tour" {
            let to = (n + 1..lines.len()).find(|at| lines[*at] == "```").expect("a block is closed");
            blocks.push(Block { from: n + 1, to, keys: keys.take() });
            n = to;
        }
        n += 1;
    }
    blocks
}

/// What the prompts of a block say.
fn typed(lines: &[&str]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for line in lines {
        if let Some(text) = line.strip_prefix(PROMPT) {
            texts.push(text.trim_start().to_owned());
        } else if let (Some(text), Some(last)) = (line.strip_prefix(MORE), texts.last_mut()) {
            last.push('\r');
            last.push_str(text);
        }
    }
    texts.retain(|text| !text.is_empty());
    texts
}

fn play(terminal: &Terminal, keys: &str) {
    let mut rest = keys;
    while let Some(open) = rest.find('{') {
        terminal.type_text(&rest[..open]);
        let close = open + rest[open..].find('}').expect("a brace is closed");
        match &rest[open + 1..close] {
            "enter" => terminal.type_text("\r"),
            "tab" => terminal.type_text("\t"),
            "prompt" => drop(terminal.prompt()),
            "ctrl-c" => terminal.type_text("\x03"),
            word => drop(terminal.see(word.strip_prefix("see ").expect("a known key"))),
        }
        rest = &rest[close + 1..];
    }
    terminal.type_text(rest);
}

/// A line without times and rates, which differ from run to run.
fn timeless(line: &str) -> String {
    let line = line.trim_end();
    // At the right of a prompt stands how many pipelines run.
    if let Some((head, _)) = line.rsplit_once("   ").filter(|(_, right)| line.starts_with(PROMPT) && right.contains(" pipeline")) {
        return head.trim_end().to_owned();
    }
    let cut_after = |part: &str| line.find(part).map(|at| line[..at + part.len()].to_owned());
    if line.starts_with('(') && line.contains(" row") {
        return cut_after(" rows").or_else(|| cut_after(" row")).unwrap_or_default();
    }
    if line.contains(" rows, live") {
        return cut_after(" rows, live").unwrap_or_default();
    }
    if line.starts_with("stopped after") || line.contains("/s in") {
        return line.chars().take(8).collect();
    }
    if let Some((head, _)) = line.rsplit_once(" (").filter(|_| line.ends_with(" ms)") || line.ends_with(" s)")) {
        return head.to_owned();
    }
    line.to_owned()
}

fn matches(recorded: &[&str], screen: &[&str]) -> bool {
    match (recorded.split_first(), screen.split_first()) {
        (None, None) => true,
        (Some((&"…", rest)), _) => (0..=screen.len()).any(|skipped| matches(rest, &screen[skipped..])),
        (Some((line, recorded)), Some((shown, screen))) => timeless(line) == timeless(shown) && matches(recorded, screen),
        _ => false,
    }
}

#[test]
fn the_screens_of_the_tour_are_what_the_shell_shows() {
    let path = document();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let home = tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sql-examples/data/payments.jsonl");
    fs::copy(data, home.path().join("payments.jsonl")).unwrap();
    let terminal = Terminal::start(home.path(), &[], &[("NO_COLOR", "1")], SIZE);
    terminal.prompt();
    let mut recorded: Vec<String> = Vec::new();
    let mut copied = 0;
    for block in &blocks(&lines) {
        let wanted = &lines[block.from..block.to];
        terminal.clear();
        match &block.keys {
            Some(keys) => play(&terminal, keys),
            None => typed(wanted).iter().for_each(|text| drop(terminal.run(text, text.rsplit('\r').next().unwrap_or_default()))),
        }
        let last = wanted.iter().rev().find(|line| !line.is_empty()).copied().unwrap_or_default();
        let is_prompt_last =
            block.keys.as_ref().is_none_or(|keys| !keys.ends_with('}') || keys.ends_with("{enter}") || keys.ends_with("{ctrl-c}"));
        let screen = if is_prompt_last { terminal.prompt() } else { terminal.wait(last, |_| true) };
        let shown: Vec<&str> = screen.trim_end().lines().collect();
        let shown = if is_prompt_last { &shown[..shown.len() - 1] } else { &shown[..] };
        let is_right = matches(wanted, shown);
        if std::env::var_os("MILLSTREAM_RECORD_TOUR").is_none() {
            assert!(is_right, "line {} of {}:\n{}\n--- the screen:\n{}", block.from, path.display(), wanted.join("\n"), shown.join("\n"));
        }
        recorded.extend(lines[copied..block.from].iter().map(ToString::to_string));
        let kept = if is_right { wanted } else { shown };
        recorded.extend(kept.iter().map(|line| line.trim_end().to_owned()));
        copied = block.to;
        if !is_prompt_last {
            terminal.type_text("\x03");
            terminal.prompt();
        }
    }
    recorded.extend(lines[copied..].iter().map(ToString::to_string));
    let recorded = recorded.join("\n") + "\n";
    if recorded != text {
        fs::write(&path, recorded).unwrap();
    }
}
