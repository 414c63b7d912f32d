//! `\set`: settings, the shell's own choices, and variables.

use std::collections::BTreeMap;

use millstream::{TextKind, scan};

use super::super::input::Call;
use super::super::view_settings::{EditMode, on_off, switch};
use super::super::{Failure, Ran, Shell};
use super::{ArgKind, Command, show_sql};

/// Names that are the shell's own.
pub(crate) const OWN_NAMES: &[(&str, &str)] =
    &[("edit_mode", "keys of the line editor: emacs or vi"), ("timing", "on or off"), ("pager", "on or off"), ("sparklines", "on or off")];

pub(super) const COMMAND: Command = Command {
    names: &["set"],
    usage: "[NAME [VALUE]]",
    about: "list or set settings and variables",
    help: "  \\set                       lists everything\n  \\set parallelism 4         as SET parallelism = 4\n  \\set edit_mode vi\n  \\set day 2024-05-17        then SELECT … WHERE day = :'day'",
    arg: ArgKind::Setting,
    run,
};

pub(super) const UNSET: Command = Command {
    names: &["unset"],
    usage: "NAME",
    about: "forget a variable, reset a setting",
    help: "  \\unset day",
    arg: ArgKind::Setting,
    run: |shell, call| match shell.variables.remove(&call.args) {
        Some(_) => Ok(()),
        None => shell.run_sql(&format!("RESET {}", call.args), None, 0),
    },
};

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let words = call.words();
    match words.as_slice() {
        [] => list(shell),
        [name] => {
            let value = value_of(shell, name)?;
            shell.print(&format!("{name} = {value}\n"))
        }
        [name, rest @ ..] => set(shell, name, rest.join(" ").trim_start_matches("= ")),
    }
}

fn list(shell: &mut Shell<'_>) -> Ran {
    show_sql(shell, "SHOW ALL")?;
    let mut text = String::new();
    for (name, about) in OWN_NAMES {
        text.push_str(&format!(" {name:<12} {:<8} {about}\n", value_of(shell, name)?));
    }
    text.extend(shell.variables.iter().map(|(name, value)| format!(":{name} = {value}\n")));
    shell.print(&text)
}

fn value_of(shell: &mut Shell<'_>, name: &str) -> Result<String, Failure> {
    Ok(match name {
        "edit_mode" => if shell.view.edit_mode == EditMode::Vi { "vi" } else { "emacs" }.to_owned(),
        "timing" => on_off(shell.view.timing).to_owned(),
        "pager" => on_off(shell.view.pager).to_owned(),
        "sparklines" => on_off(shell.view.sparklines).to_owned(),
        name => match shell.variables.get(name) {
            Some(value) => value.clone(),
            None => shell.runtime.block_on(shell.backend.setting(name))?,
        },
    })
}

fn set(shell: &mut Shell<'_>, name: &str, value: &str) -> Ran {
    match name {
        "edit_mode" => {
            shell.view.edit_mode = match value.to_ascii_lowercase().as_str() {
                "vi" | "vim" => EditMode::Vi,
                "emacs" => EditMode::Emacs,
                other => return Err(Failure::Message(format!("edit_mode is emacs or vi: got '{other}'"))),
            }
        }
        "timing" => shell.view.timing = switch(Some(value), false)?,
        "pager" => shell.view.pager = switch(Some(value), false)?,
        "sparklines" => shell.view.sparklines = switch(Some(value), false)?,
        name if shell.runtime.block_on(shell.backend.setting(name)).is_ok() => shell.runtime.block_on(shell.backend.set(name, value))?,
        name if is_name(name) => drop(shell.variables.insert(name.to_owned(), value.to_owned())),
        name => return Err(Failure::Message(format!("a variable is letters, digits and _: got '{name}'"))),
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Puts variables in: `:name` as it is, `:'name'` as a string, `:"name"` as a name. `::` is a cast.
pub(crate) fn substitute(sql: &str, variables: &BTreeMap<String, String>) -> String {
    let parts = scan(sql);
    let mut text = String::with_capacity(sql.len());
    let mut idx = 0;
    while let Some(part) = parts.get(idx) {
        let own = &sql[part.range.clone()];
        let next = parts.get(idx + 1).map(|next| (next.kind, &sql[next.range.clone()]));
        let value = match next {
            Some((kind, word)) if own == ":" => of_variable(kind, word, variables),
            _ => None,
        };
        // Some texts come as one token, `:name`.
        let whole = own.strip_prefix(':').and_then(|name| variables.get(name)).filter(|_| part.kind == TextKind::Other);
        match (value, whole) {
            (Some(value), _) => {
                text.push_str(&value);
                idx += 1;
            }
            (None, Some(value)) => text.push_str(value),
            (None, None) => text.push_str(own),
        }
        idx += 1;
    }
    text
}

fn of_variable(kind: TextKind, word: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    match kind {
        TextKind::Word => variables.get(word).cloned(),
        TextKind::Text => variables.get(word.trim_matches('\'')).map(|value| format!("'{}'", value.replace('\'', "''"))),
        TextKind::QuotedName => variables.get(word.trim_matches('"')).map(|value| format!("\"{}\"", value.replace('"', "\"\""))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_outside_of_strings() {
        let variables = [("n".to_owned(), "5".to_owned()), ("who".to_owned(), "O'Hara".to_owned())].into();
        let check = |sql: &str, expected: &str| assert_eq!(substitute(sql, &variables), expected);
        check("SELECT :n, ':n', x::int -- :n", "SELECT 5, ':n', x::int -- :n");
        check("SELECT :'who', :\"who\", :other", "SELECT 'O''Hara', \"O'Hara\", :other");
    }
}
