//! `\d`: everything there is, or the columns of one table, what it is and how it was made.

use super::super::input::Call;
use super::super::{Ran, Shell};
use super::{ArgKind, Command, quoted, show_sql};
use crate::quantity;

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
    if let Some(facts) = facts(shell, name.trim_matches('"')) {
        shell.print(&format!("{facts}\n"))?;
    }
    if call.name.ends_with('+') || call.name.eq_ignore_ascii_case("schema") {
        let made = shell.runtime.block_on(shell.backend.text_rows(&format!("SHOW CREATE TABLE {name}")));
        if let Some(statement) = made.first().and_then(|row| row.get(1)) {
            shell.print(&format!("{statement};\n"))?;
        }
    }
    Ok(())
}

/// What it is, and how large.
fn facts(shell: &mut Shell<'_>, name: &str) -> Option<String> {
    let sql = format!(
        "SELECT kind, coalesce(connector, ''), coalesce(CAST(rows AS VARCHAR), ''), coalesce(CAST(bytes AS VARCHAR), '') \
         FROM tables() WHERE name = '{}'",
        name.replace('\'', "''")
    );
    let rows = shell.runtime.block_on(shell.backend.text_rows(&sql));
    let [kind, connector, rows, bytes] = <[String; 4]>::try_from(rows.into_iter().next()?).ok()?;
    let mut facts = kind;
    if !connector.is_empty() {
        facts.push_str(&format!(" over '{connector}'"));
    }
    if let (Ok(rows), Ok(bytes)) = (rows.parse::<u64>(), bytes.parse()) {
        let plural = if rows == 1 { "" } else { "s" };
        facts.push_str(&format!(", {rows} row{plural} in {}", quantity::bytes(bytes)));
    }
    let pipelines = shell.runtime.block_on(shell.backend.pipelines_now()).unwrap_or_default();
    if let Some(pipeline) = pipelines.iter().find(|pipeline| pipeline.name == name) {
        let (read, written) = (quantity::rows(pipeline.rows_in), quantity::rows(pipeline.rows_out));
        facts.push_str(&format!("; its pipeline is {}, {read} rows in, {written} out (\\live {name} follows it)", pipeline.state));
    }
    Some(facts)
}
