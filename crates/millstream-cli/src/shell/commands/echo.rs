//! `\echo`: prints a text, for scripts.

use super::{ArgKind, Command};

pub(super) const COMMAND: Command = Command {
    names: &["echo", "print"],
    usage: "TEXT",
    about: "print a text",
    help: "  \\echo ready",
    arg: ArgKind::None,
    run: |shell, call| shell.print(&format!("{}\n", call.words().join(" "))),
};
