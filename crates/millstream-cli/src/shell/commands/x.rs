//! `\x`: one column a line.

use super::super::Failure;
use super::super::view_settings::{Expanded, switch};
use super::{ArgKind, Command};

pub(super) const COMMAND: Command = Command {
    names: &["x", "expanded"],
    usage: "[on|off|auto]",
    about: "one column a line",
    help: "  \\x          turns it round\n  \\x auto     for rows wider than the terminal (the default)",
    arg: ArgKind::Choice(&["on", "off", "auto"]),
    run: |shell, call| {
        let is_on = shell.view.expanded == Expanded::On;
        let (expanded, name) = match call.args.as_str() {
            "auto" => (Expanded::Auto, "automatic"),
            word => match switch((!word.is_empty()).then_some(word), is_on).map_err(Failure::Message)? {
                true => (Expanded::On, "on"),
                false => (Expanded::Off, "off"),
            },
        };
        shell.view.expanded = expanded;
        shell.screen.note(&format!("expanded display is {name}"));
        Ok(())
    },
};
