//! `\dt`, `\dv`, `\dc`, `\dm`, `\l`: lists.

use super::super::input::Call;
use super::super::{Ran, Shell};
use super::{ArgKind, Command, show_sql};
use crate::quantity;

pub(super) const TABLES: Command = Command {
    names: &["dt", "tables"],
    usage: "",
    about: "list tables; \\dt+ with rows and sizes",
    help: "  \\dt\n  .tables\n  \\dt+",
    arg: ArgKind::None,
    run: tables,
};

pub(super) const VIEWS: Command = Command {
    names: &["dv", "views"],
    usage: "",
    about: "list views and materialized views",
    help: "  \\dv",
    arg: ArgKind::None,
    run: |shell, _| show_sql(shell, "SHOW VIEWS"),
};

pub(super) const CONNECTORS: Command = Command {
    names: &["dc", "connectors"],
    usage: "[NAME]",
    about: "list connectors, or the options of one",
    help: "  \\dc\n  \\dc nexmark",
    arg: ArgKind::Text,
    run: connectors,
};

pub(super) const MODELS: Command = Command {
    names: &["dm", "models"],
    usage: "",
    about: "list models",
    help: "  \\dm",
    arg: ArgKind::None,
    run: |shell, _| show_sql(shell, "SHOW MODELS"),
};

pub(super) const PLACE: Command = Command {
    names: &["l", "databases"],
    usage: "",
    about: "where things are kept, and what there is",
    help: "  \\l",
    arg: ArgKind::None,
    run: place,
};

const TABLES_IN_FULL: &str = "SELECT name, kind, connector, columns, rows, \
     CASE WHEN bytes IS NULL THEN NULL WHEN bytes < 10240 THEN concat(bytes, ' B') \
     WHEN bytes < 10485760 THEN concat(bytes / 1024, ' KiB') ELSE concat(bytes / 1048576, ' MiB') END AS size, event_time \
     FROM tables() ORDER BY name";

fn tables(shell: &mut Shell<'_>, call: &Call) -> Ran {
    show_sql(shell, if call.name.ends_with('+') { TABLES_IN_FULL } else { "SHOW TABLES" })
}

fn connectors(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.refresh_names_now();
    let connectors = shell.names.get().connectors.clone();
    let wanted = call.args.trim_matches('\'').to_lowercase();
    let mut text = String::new();
    for connector in connectors.iter().filter(|connector| wanted.is_empty() || connector.name == wanted) {
        text.push_str(&format!("{:<12} {}\n", connector.name, connector.about));
        if !wanted.is_empty() {
            text.extend(connector.options.iter().map(|(name, help, example)| format!("  '{name}' = '{example}'   {help}\n")));
        }
    }
    shell.print(&if text.is_empty() { format!("there is no connector '{wanted}' (hint: \\dc lists them)\n") } else { text })
}

fn place(shell: &mut Shell<'_>, _: &Call) -> Ran {
    shell.refresh_names_now();
    let place = shell.backend.place();
    let tables = shell.names.get().tables.len();
    let pipelines = shell.runtime.block_on(shell.backend.pipelines_now())?;
    let state: u64 = pipelines.iter().map(|pipeline| pipeline.state_bytes).sum();
    shell.print(&format!(
        "data         {place}\ntables       {tables} (views included)\npipelines    {}, state {}\n",
        pipelines.len(),
        quantity::bytes(state)
    ))
}
