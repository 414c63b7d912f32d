//! `\help`: all commands, one of them, or a topic with examples.

use super::super::input::Call;
use super::super::{Failure, Ran, Shell};
use super::{ArgKind, COMMANDS, Command, find};

pub(super) const COMMAND: Command = Command {
    names: &["help", "h", "?"],
    usage: "[TOPIC]",
    about: "this list, or a topic with examples",
    help: "Topics: start, windows, files, streams, tables, pipelines, checkpoints, models, learning, charts, keys, and every command.\n\n  \\help windows\n  \\help \\chart",
    arg: ArgKind::Choice(&[
        "start",
        "windows",
        "files",
        "streams",
        "tables",
        "pipelines",
        "checkpoints",
        "models",
        "learning",
        "charts",
        "keys",
    ]),
    run,
};

/// Topics and their texts, which the tests of the documentation run too.
pub(super) const TOPICS: &[(&str, &str)] = &[
    ("start", include_str!("../help/start.txt")),
    ("windows", include_str!("../help/windows.txt")),
    ("files", include_str!("../help/files.txt")),
    ("streams", include_str!("../help/streams.txt")),
    ("tables", include_str!("../help/tables.txt")),
    ("pipelines", include_str!("../help/pipelines.txt")),
    ("checkpoints", include_str!("../help/checkpoints.txt")),
    ("models", include_str!("../help/models.txt")),
    ("learning", include_str!("../help/learning.txt")),
    ("charts", include_str!("../help/charts.txt")),
    ("keys", include_str!("../help/keys.txt")),
];

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let topic = call.args.trim_start_matches(['\\', '.']).to_ascii_lowercase();
    let text = match topic.as_str() {
        "" => overview(),
        topic => text_of(topic).ok_or_else(|| unknown(topic))?,
    };
    shell.print(&text)
}

fn text_of(topic: &str) -> Option<String> {
    if let Some((_, text)) = TOPICS.iter().find(|(name, _)| *name == topic) {
        return Some((*text).to_owned());
    }
    let command = find(topic)?;
    let others: Vec<String> = command.names.iter().skip(1).map(|name| format!("\\{name}")).collect();
    let others = if others.is_empty() { String::new() } else { format!("\nalso {}", others.join(", ")) };
    Some(format!("\\{} {}\n{}{others}\n\n{}\n", command.names[0], command.usage, command.about, command.help))
}

fn unknown(topic: &str) -> Failure {
    let names = TOPICS.iter().map(|(name, _)| *name).chain(COMMANDS.iter().flat_map(|command| command.names.iter().copied()));
    let near = millstream::connectors::options::did_you_mean(topic, names);
    let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    let topics: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
    Failure::Message(format!("there is no help on '{topic}' (hint: {near}topics are {})", topics.join(", ")))
}

fn overview() -> String {
    let mut text = String::from("SQL ends with a semicolon. Commands begin with \\ or . and end with the line:\n\n");
    for command in COMMANDS {
        let head = format!("\\{} {}", command.names[0], command.usage);
        text.push_str(&format!("  {head:<28} {}\n", command.about));
    }
    let topics: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
    let (first, rest) = topics.split_at(topics.len() / 2);
    let topics = format!("{},\n{}", first.join(", "), rest.join(", "));
    text.push_str(&format!("\n\\help TOPIC tells more, with examples. Topics are commands and\n{topics}.\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_examples_and_fits_a_screen() {
        for (name, text) in TOPICS {
            assert!(text.lines().count() > 5, "{name}");
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{name}");
        }
        assert!(overview().lines().all(|line| line.chars().count() <= 78), "{}", overview());
        assert!(text_of("timing").is_some() && text_of("windos").is_none());
    }
}
