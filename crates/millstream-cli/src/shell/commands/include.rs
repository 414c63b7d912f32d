//! `\i`: runs a file.

use super::super::Failure;
use super::{ArgKind, Command};

pub(super) const COMMAND: Command = Command {
    names: &["i", "include", "read"],
    usage: "FILE",
    about: "run a file",
    help: "  \\i tables.sql\n  .read tables.sql",
    arg: ArgKind::File,
    run: |shell, call| match call.words().as_slice() {
        [path] => shell.include(path),
        _ => Err(Failure::Message("\\i takes one file (hint: \\i tables.sql)".to_owned())),
    },
};
