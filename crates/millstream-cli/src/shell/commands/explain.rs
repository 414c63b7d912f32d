//! `\explain`: the plan of a query.

use super::{ArgKind, Command, query_of, show_sql};

pub(super) const COMMAND: Command = Command {
    names: &["explain"],
    usage: "[QUERY]",
    about: "the plan of a query; \\explain+ in full",
    help: "  \\explain SELECT count(*) FROM bids\n  \\explain+",
    arg: ArgKind::Text,
    run: |shell, call| {
        let query = query_of(shell, call, &call.args)?;
        let word = if call.name.ends_with('+') { "EXPLAIN VERBOSE" } else { "EXPLAIN" };
        show_sql(shell, &format!("{word} {query}"))
    },
};
