//! `\mode`: the format of rows.

use clap::ValueEnum;

use super::super::input::Call;
use super::super::{Failure, Ran, Shell};
use super::{ArgKind, Command};
use crate::format::OutputFormat;

const NAMES: &[&str] = &["table", "csv", "json", "ndjson", "markdown", "vertical", "html"];

pub(super) const COMMAND: Command = Command {
    names: &["mode", "format"],
    usage: "[FORMAT]",
    about: "how rows are printed: table, csv, json …",
    help: "  .mode csv\n  \\mode        tells the mode",
    arg: ArgKind::Choice(NAMES),
    run,
};

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let wanted = call.args.as_str();
    if !wanted.is_empty() {
        let unknown = || {
            let near = millstream::connectors::options::did_you_mean(wanted, NAMES.iter().copied());
            let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
            Failure::Message(format!("there is no mode '{wanted}' (hint: {near}there are {})", NAMES.join(", ")))
        };
        shell.view.format = OutputFormat::from_str(wanted, true).map_err(|_| unknown())?;
    }
    let name = shell.view.format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    shell.screen.note(&format!("mode is {name}"));
    Ok(())
}
