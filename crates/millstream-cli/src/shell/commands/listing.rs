//! `\dt`, `\dv`, `\df`, `\dc`, `\dm`, `\l`: lists.

use super::super::input::Call;
use super::super::{Ran, Shell};
use super::{ArgKind, Command, show_sql};
use crate::quantity;

pub(super) const TABLES: Command = Command {
    names: &["dt", "tables"],
    usage: "",
    about: "list tables; \\dt+ with their columns",
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

pub(super) const FUNCTIONS: Command = Command {
    names: &["df", "functions"],
    usage: "[PART]",
    about: "list functions with PART in their name",
    help: "  \\df regexp",
    arg: ArgKind::Text,
    run: functions,
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

fn tables(shell: &mut Shell<'_>, call: &Call) -> Ran {
    if !call.name.ends_with('+') {
        return show_sql(shell, "SHOW TABLES");
    }
    shell.refresh_names_now();
    let names = shell.names.get().clone();
    let mut text = String::new();
    for (table, kind) in &names.tables {
        let columns = names.columns.get(table).into_iter().flatten();
        let columns: Vec<String> = columns.map(|(name, data_type)| format!("{name} {data_type}")).collect();
        text.push_str(&format!("{kind} {table} ({})\n", columns.join(", ")));
    }
    shell.print(if text.is_empty() { "(none)\n" } else { &text })
}

fn functions(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.refresh_names_now();
    let part = call.args.to_lowercase();
    let functions = shell.names.get().functions.clone();
    let found: Vec<String> =
        functions.iter().filter(|(name, _)| name.contains(&part)).map(|(name, kind)| format!("  {name:<32} {kind}\n")).collect();
    shell.print(&if found.is_empty() { format!("no function has '{part}' in its name\n") } else { found.concat() })
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
