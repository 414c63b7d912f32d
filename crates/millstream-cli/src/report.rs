//! What is said about a run besides its rows: summaries, missing rows, where an error stands.

use std::time::Duration;

use crate::quantity;
use crate::script::Script;

/// A shorter query is over before its speed means anything.
const RATED_FROM: Duration = Duration::from_millis(100);

/// `(12 rows, 1.2 s, 3.4 M rows/s in)`; no rate where it would say nothing.
pub(crate) fn summary(rows: u64, elapsed: Duration, rows_in: u64) -> String {
    let plural = if rows == 1 { "" } else { "s" };
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let rate = match rows_in {
        0 => String::new(),
        _ if elapsed < RATED_FROM => String::new(),
        _ => format!(", {} rows/s in", quantity::count(rows_in as f64 / elapsed.as_secs_f64())),
    };
    format!("({rows} row{plural}, {}{rate})", quantity::duration(elapsed))
}

/// `pipeline totals finished (2.0 M rows in, 300 rows out)`
pub(crate) fn pipeline_summary(name: &str, state: &str, rows_in: u64, rows_out: u64) -> String {
    format!("pipeline {name} {state} ({} rows in, {} rows out)", quantity::rows(rows_in), quantity::rows(rows_out))
}

/// `3 rejected rows (the last: bids.csv line 7: …), 1 late row`; none if every row is in the result.
pub(crate) fn missing_rows(rejected: u64, last_rejected: Option<&str>, late: u64, untimed: u64) -> Option<String> {
    let counted = |rows: u64, what: &str| (rows > 0).then(|| format!("{rows} {what} row{}", if rows == 1 { "" } else { "s" }));
    let last = last_rejected.map(|last| format!(" (the last: {last})")).unwrap_or_default();
    let parts = [
        counted(rejected, "rejected").map(|text| text + &last),
        counted(late, "late"),
        counted(untimed, "untimed").map(|text| text + " (no event time)"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// True if a statement names the connector that prints rows by itself: the live line would stand in the middle of them.
pub(crate) fn names_terminal_sink(statement: &str) -> bool {
    let statement = statement.to_ascii_lowercase();
    ["'stdout'", "'print'"].iter().any(|name| statement.contains(name))
}

/// Says in which script, and on which line, the statement begins that failed.
pub(crate) fn placed(script: &Script, line: Option<u64>, message: &str) -> String {
    match (&script.name, line) {
        (Some(name), Some(line)) => format!("{name}:{line}: {message}"),
        (Some(name), None) => format!("{name}: {message}"),
        (None, _) => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_on_the_terminal_are_known_by_name() {
        assert!(names_terminal_sink("CREATE TABLE t (a INT) WITH ('connector' = 'Print')"));
        assert!(!names_terminal_sink("SELECT print FROM stdout"));
    }

    #[test]
    fn missing_rows_are_told() {
        assert_eq!(missing_rows(0, None, 0, 0), None);
        assert_eq!(missing_rows(3, Some("bids.csv line 7"), 1, 0).unwrap(), "3 rejected rows (the last: bids.csv line 7), 1 late row");
        assert_eq!(missing_rows(0, None, 0, 2).unwrap(), "2 untimed rows (no event time)");
    }

    #[test]
    fn the_summary_counts_rows_and_input() {
        assert_eq!(summary(1, Duration::from_millis(12), 0), "(1 row, 12 ms)");
        assert_eq!(summary(0, Duration::from_millis(99), 7), "(0 rows, 99 ms)");
        assert_eq!(summary(2_000, Duration::from_millis(1_200), 4_080_000), "(2000 rows, 1.2 s, 3.4 M rows/s in)");
    }
}
