//! `\checkpoints`: the kept checkpoints.

use super::{ArgKind, Command, quoted, show_sql};

pub(super) const COMMAND: Command = Command {
    names: &["checkpoints"],
    usage: "[PIPELINE]",
    about: "list the kept checkpoints",
    help: "Needs a data folder (--data DIR).\n\n  \\checkpoints\n  \\checkpoints totals",
    arg: ArgKind::Pipeline,
    run: |shell, call| match call.args.as_str() {
        "" => show_sql(shell, "SHOW CHECKPOINTS"),
        name => show_sql(shell, &format!("SHOW CHECKPOINTS FOR {}", quoted(name))),
    },
};
