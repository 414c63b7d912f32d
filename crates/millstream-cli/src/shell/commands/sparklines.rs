//! `\sparklines`: whether lists of numbers are drawn as small bars.

use super::super::Failure;
use super::super::view_settings::{on_off, switch};
use super::{ArgKind, Command};

pub(super) const COMMAND: Command = Command {
    names: &["sparklines"],
    usage: "[on|off]",
    about: "draw lists of numbers as small bars (off)",
    help: "  SELECT k, array_agg(v) AS history FROM t GROUP BY k;\n\n  \\sparklines off",
    arg: ArgKind::Choice(&["on", "off"]),
    run: |shell, call| {
        let word = (!call.args.is_empty()).then_some(call.args.as_str());
        shell.view.sparklines = switch(word, shell.view.sparklines).map_err(Failure::Message)?;
        shell.screen.note(&format!("drawing of lists is {}", on_off(shell.view.sparklines)));
        Ok(())
    },
};
