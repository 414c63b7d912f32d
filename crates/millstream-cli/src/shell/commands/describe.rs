//! `\d`: everything there is, or the columns of one table and how it was made.

use super::super::input::Call;
use super::super::{Ran, Shell};
use super::{ArgKind, Command, quoted, show_sql};

pub(super) const COMMAND: Command = Command {
    names: &["d", "describe", "schema"],
    usage: "[NAME | FILE]",
    about: "list tables and views, or describe one",
    help: "  \\d\n  \\d bids\n  \\d 'data/bids.csv'\n  \\d+ bids      with the statement that made it",
    arg: ArgKind::Table,
    run,
};

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    if call.args.is_empty() {
        show_sql(shell, "SHOW TABLES")?;
        return show_sql(shell, "SHOW VIEWS");
    }
    let name = quoted(&call.args);
    show_sql(shell, &format!("DESCRIBE {name}"))?;
    if call.name.ends_with('+') || call.name.eq_ignore_ascii_case("schema") {
        let made = shell.runtime.block_on(shell.backend.text_rows(&format!("SHOW CREATE TABLE {name}")));
        if let Some(statement) = made.first().and_then(|row| row.get(1)) {
            shell.print(&format!("{statement};\n"))?;
        }
    }
    Ok(())
}
