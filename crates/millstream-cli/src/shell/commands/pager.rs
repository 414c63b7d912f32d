//! `\pager`: whether results larger than the screen go to the pager.

use super::super::Failure;
use super::super::view_settings::{on_off, switch};
use super::{ArgKind, Command};

pub(super) const COMMAND: Command = Command {
    names: &["pager"],
    usage: "[on|off]",
    about: "a pager for large results (on)",
    help: "MILLSTREAM_PAGER names another program, such as less -S.\n\n  \\pager off",
    arg: ArgKind::Choice(&["on", "off"]),
    run: |shell, call| {
        let word = (!call.args.is_empty()).then_some(call.args.as_str());
        shell.view.pager = switch(word, shell.view.pager).map_err(Failure::Message)?;
        shell.screen.note(&format!("the pager is {}", on_off(shell.view.pager)));
        Ok(())
    },
};
