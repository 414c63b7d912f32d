//! `\q`: leaves.

use super::super::Failure;
use super::{ArgKind, Command};

pub(super) const COMMAND: Command = Command {
    names: &["q", "quit", "exit"],
    usage: "",
    about: "leave (Ctrl-D too)",
    help: "Pipelines stop gracefully; with --data DIR they go on at the next start.\n\n  \\q",
    arg: ArgKind::None,
    run: |_, _| Err(Failure::Quit),
};
