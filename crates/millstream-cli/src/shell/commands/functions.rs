//! `\df`: the functions, or how one of them is used.

use super::super::input::Call;
use super::super::terminal;
use super::super::{Ran, Shell};
use super::{ArgKind, Command};

pub(super) const COMMAND: Command = Command {
    names: &["df", "functions"],
    usage: "[NAME | PART]",
    about: "how a function is used, or a list of them",
    help: "  \\df date_trunc      its arguments, with an example\n  \\df regexp          all with 'regexp' in their names",
    arg: ArgKind::Function,
    run,
};

/// Lines of text are not longer, however wide the terminal is.
const WIDTH_MAX: usize = 96;

/// A row of `functions()`.
struct Function {
    name: String,
    kind: String,
    syntax: String,
    description: String,
    arguments: String,
    example: String,
}

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let part = call.args.trim_end_matches(['(', ')']).to_lowercase();
    let sql = "SELECT name, kind, coalesce(syntax, ''), coalesce(description, ''), coalesce(arguments, ''), coalesce(example, '') \
         FROM functions() ORDER BY name, kind";
    let rows = shell.runtime.block_on(shell.backend.text_rows(sql));
    let functions = rows
        .into_iter()
        .filter_map(|row| <[String; 6]>::try_from(row).ok())
        .map(|[name, kind, syntax, description, arguments, example]| Function { name, kind, syntax, description, arguments, example });
    let found: Vec<Function> = functions.filter(|function| function.name.contains(&part)).collect();
    let width = terminal::size().0.saturating_sub(1).min(WIDTH_MAX);
    let text = match found.iter().filter(|function| function.name == part).collect::<Vec<_>>().as_slice() {
        [] if found.is_empty() => nothing(shell, &part),
        [] => list(&found, width),
        exact => exact.iter().map(|function| page(function, width)).collect::<Vec<_>>().join("\n"),
    };
    shell.print(&text)
}

fn nothing(shell: &Shell<'_>, part: &str) -> String {
    let names = shell.names.get();
    let near = millstream::connectors::options::did_you_mean(part, names.functions.iter().map(|(name, _)| name.as_str()));
    let near = near.map(|near| format!(" (hint: did you mean {near}?)")).unwrap_or_default();
    format!("no function has '{part}' in its name{near}\n")
}

fn list(functions: &[Function], width: usize) -> String {
    let line = |function: &Function| {
        let syntax = if function.syntax.is_empty() { format!("{}(…)", function.name) } else { one_line(&function.syntax) };
        let text = format!("  {:<28} {:<10} {syntax}", function.name, function.kind);
        text.chars().take(width).collect::<String>().trim_end().to_owned() + "\n"
    };
    functions.iter().map(line).collect()
}

fn page(function: &Function, width: usize) -> String {
    let syntax = if function.syntax.is_empty() { format!("{}(…)", function.name) } else { one_line(&function.syntax) };
    let mut text = format!("{syntax}   ({} function)\n", function.kind);
    for paragraph in function.description.split("\n\n") {
        text.push_str(&wrapped(paragraph, "  ", width));
    }
    if !function.arguments.is_empty() {
        text.push('\n');
        text.extend(function.arguments.lines().map(|argument| wrapped(argument, "  ", width)));
    }
    if !function.example.is_empty() {
        text.push('\n');
        text.extend(function.example.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n"));
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words in lines that fit, each behind `indent`.
fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        if line.len() > indent.len() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push_str(&line);
            lines.push('\n');
            line = format!("{indent}  ");
        } else if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_how_a_function_is_used() {
        let function = Function {
            name: "f".to_owned(),
            kind: "scalar".to_owned(),
            syntax: "f(\n  a)".to_owned(),
            description: "Does something that takes some words to tell.".to_owned(),
            arguments: "a: What it does it to.".to_owned(),
            example: "> SELECT f(1);\n+---+".to_owned(),
        };
        let expected = "f( a)   (scalar function)\n  Does something that takes\n    some words to tell.\n\n  a: What it does it to.\n\n  > SELECT f(1);\n  +---+\n";
        assert_eq!(page(&function, 28), expected);
    }
}
