//! `\g` and `\gx`: run the query before it, or the last one again.

use super::super::input::Call;
use super::super::view_settings::Expanded;
use super::super::{Ran, Shell};
use super::{ArgKind, Command, query_of};

pub(super) const COMMAND: Command = Command {
    names: &["g", "go"],
    usage: "",
    about: "run the last query again",
    help: "  SELECT 1 \\g",
    arg: ArgKind::None,
    run: |shell, call| again(shell, call, None),
};

pub(super) const EXPANDED: Command = Command {
    names: &["gx"],
    usage: "",
    about: "the same, one column a line",
    help: "  SELECT * FROM bids LIMIT 3 \\gx",
    arg: ArgKind::None,
    run: |shell, call| again(shell, call, Some(Expanded::On)),
};

fn again(shell: &mut Shell<'_>, call: &Call, expanded: Option<Expanded>) -> Ran {
    let query = query_of(shell, call, "")?;
    let before = shell.view.expanded;
    shell.view.expanded = expanded.unwrap_or(before);
    let ran = shell.run_sql(&query, None, 0);
    shell.view.expanded = before;
    ran
}
