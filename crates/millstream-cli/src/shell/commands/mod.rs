//! Commands: what begins with a backslash or a dot. One file for each, one line in [`COMMANDS`].

mod chart;
mod checkpoints;
mod copy;
mod describe;
mod echo;
mod edit;
mod explain;
mod functions;
mod go;
mod help;
mod include;
mod listing;
mod live;
mod load;
mod mode;
pub(super) mod output;
mod pager;
mod pipelines;
mod quit;
pub(super) mod set;
mod sparklines;
mod timing;
mod watch;
mod x;

use millstream_time::Clock;

use super::input::Call;
use super::result::ResultView;
use super::{Failure, Ran, Shell};

/// What the arguments of a command are, for completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArgKind {
    None,
    Text,
    /// A query, or the name of a table for all of its rows.
    Query,
    Table,
    File,
    Pipeline,
    Setting,
    Function,
    Choice(&'static [&'static str]),
}

/// A command.
pub(crate) struct Command {
    /// Its names, without backslash or dot; the first is the one that help shows.
    pub(crate) names: &'static [&'static str],
    /// The arguments, as help shows them.
    pub(crate) usage: &'static str,
    /// What it does, in one line.
    pub(crate) about: &'static str,
    /// More about it, with examples.
    pub(crate) help: &'static str,
    pub(crate) arg: ArgKind,
    pub(crate) run: fn(&mut Shell<'_>, &Call) -> Ran,
}

/// All commands, in the order of the help.
pub(crate) const COMMANDS: &[&Command] = &[
    &help::COMMAND,
    &quit::COMMAND,
    &describe::COMMAND,
    &listing::TABLES,
    &listing::VIEWS,
    &functions::COMMAND,
    &listing::CONNECTORS,
    &listing::MODELS,
    &listing::PLACE,
    &pipelines::COMMAND,
    &checkpoints::COMMAND,
    &explain::COMMAND,
    &chart::COMMAND,
    &live::COMMAND,
    &watch::COMMAND,
    &go::COMMAND,
    &go::EXPANDED,
    &edit::COMMAND,
    &include::COMMAND,
    &output::COMMAND,
    &copy::COMMAND,
    &mode::COMMAND,
    &x::COMMAND,
    &timing::COMMAND,
    &pager::COMMAND,
    &sparklines::COMMAND,
    &set::COMMAND,
    &set::UNSET,
    &echo::COMMAND,
];

impl Command {
    /// Its name with the sign that the person writes.
    pub(crate) fn spelled(&self, name: &str, word: &str) -> String {
        let sign = if word.starts_with('.') { '.' } else { '\\' };
        format!("{sign}{name}")
    }

    pub(crate) fn takes_args(&self) -> bool {
        self.arg != ArgKind::None
    }
}

/// The command of this name; a `+` at its end asks for more and is no part of it.
pub(crate) fn find(name: &str) -> Option<&'static Command> {
    let bare = name.trim_end_matches('+');
    COMMANDS.iter().copied().find(|command| command.names.iter().any(|known| known.eq_ignore_ascii_case(bare)))
}

/// Runs a command.
pub(crate) fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    match find(&call.name) {
        Some(command) => (command.run)(shell, call),
        None => {
            let all = COMMANDS.iter().flat_map(|command| command.names.iter().copied());
            let near = millstream::connectors::options::did_you_mean(&call.name, all);
            let hint = near.map_or_else(|| "\\help lists them".to_owned(), |near| format!("did you mean \\{near}?"));
            Err(Failure::Message(format!("there is no command \\{} (hint: {hint})", call.name)))
        }
    }
}

/// Shows the rows of a statement that a command stands for.
fn show_sql(shell: &mut Shell<'_>, sql: &str) -> Ran {
    let start = shell.clock.monotonic();
    let rows = shell.start_query(sql)?;
    let mut view = ResultView::new(shell, rows.flow());
    let ended = shell.show(rows, &mut view, start)?;
    if ended.rows == 0 {
        shell.screen.note("(none)");
    }
    ended.stopped.map_or(Ok(()), |signal| Err(Failure::Stopped(signal)))
}

/// The query before a command, in its arguments, or the last one.
fn query_of(shell: &Shell<'_>, call: &Call, rest: &str) -> Result<String, Failure> {
    let given = call.query.clone().or_else(|| (!rest.trim().is_empty()).then(|| rest.trim().to_owned()));
    let missing = || {
        let name = &call.name;
        Failure::Message(format!("\\{name} takes up a query, and none has run yet (hint: \\{name} SELECT …, or a SELECT before it)"))
    };
    given.or_else(|| shell.last_query.clone()).ok_or_else(missing)
}

/// A name in SQL.
fn quoted(name: &str) -> String {
    match name.starts_with(['"', '\'']) {
        true => name.to_owned(),
        false if name.contains(['/', '.', '*']) => format!("'{}'", name.replace('\'', "''")),
        false => format!("\"{}\"", name.to_lowercase().replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_command_has_help() {
        let mut names = std::collections::BTreeSet::new();
        for command in COMMANDS {
            assert!(!command.about.is_empty() && !command.names.is_empty());
            assert!(command.help.contains('\\') || command.help.contains('.'), "an example of {}", command.names[0]);
            for name in command.names {
                assert!(names.insert(name.to_ascii_lowercase()), "{name}");
            }
        }
        assert!(find("dt+").is_some() && find("TABLES").is_some() && find("nothing").is_none());
    }
}
