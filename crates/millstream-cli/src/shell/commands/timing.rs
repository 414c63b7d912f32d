//! `\timing`: the time a statement took, and its rate.

use super::super::Failure;
use super::super::view_settings::{on_off, switch};
use super::{ArgKind, Command};

pub(super) const COMMAND: Command = Command {
    names: &["timing"],
    usage: "[on|off]",
    about: "tell how long a statement took (on)",
    help: "The line under a result tells rows, time and rows read a second.\n\n  \\timing off",
    arg: ArgKind::Choice(&["on", "off"]),
    run: |shell, call| {
        let word = (!call.args.is_empty()).then_some(call.args.as_str());
        shell.view.timing = switch(word, shell.view.timing).map_err(Failure::Message)?;
        shell.screen.note(&format!("timing is {}", on_off(shell.view.timing)));
        Ok(())
    },
};
