//! What a stored state means, so that it is never read as something else.
//!
//! A pipeline goes on from a checkpoint only if its operators keep the same state: same windows, same keys, same accumulators, over
//! the same sources. What a query does to rows before and after (a filter, a new result column) may change.

use serde::{Deserialize, Serialize};

use millstream_operators::StatefulOperator;
use millstream_sql::logical::{OperatorKind, PipelinePlan};

/// The parts of a plan that its state depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    sources: Vec<SourcePrint>,
    operators: Vec<OperatorPrint>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SourcePrint {
    table: String,
    event_time: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OperatorPrint {
    id: String,
    kind: String,
    window: String,
    state: Vec<ColumnPrint>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ColumnPrint {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
}

impl Fingerprint {
    /// Of a plan and its operators, in their order.
    pub(crate) fn of<'a>(plan: &PipelinePlan, operators: impl Iterator<Item = &'a dyn StatefulOperator>) -> Self {
        let sources = plan.sources.iter().map(|source| SourcePrint {
            table: source.table.name.clone(),
            event_time: source.table.event_time.map(|column| source.table.schema.field(column).name().clone()),
        });
        let operators = plan.operators.iter().zip(operators).map(|(planned, operator)| {
            let (kind, window) = match &planned.kind {
                OperatorKind::Aggregate { window, .. } => ("aggregate", window.to_string()),
                OperatorKind::Buffer { window, .. } => ("buffer", window.to_string()),
                // Another model or other options are another state.
                OperatorKind::Ordered { maker, .. } => ("learn", maker.describe()),
                OperatorKind::Limit { .. } => ("limit", String::new()),
            };
            let state = operator.state_schema();
            let columns = state.fields().iter();
            OperatorPrint {
                id: planned.name.clone(),
                kind: kind.to_owned(),
                window,
                state: columns.map(|field| ColumnPrint { name: field.name().clone(), data_type: field.data_type().to_string() }).collect(),
            }
        });
        Self { sources: sources.collect(), operators: operators.collect() }
    }

    /// What keeps state of `stored` from being read as state of this plan, in words; `None`: nothing.
    pub(crate) fn difference(&self, stored: &Self) -> Option<String> {
        let tables = |print: &Self| print.sources.iter().map(|source| source.table.clone()).collect::<Vec<_>>().join(", ");
        if tables(self) != tables(stored) {
            return Some(format!("it read {}, it now reads {}", tables(stored), tables(self)));
        }
        for (now, then) in self.sources.iter().zip(&stored.sources) {
            if now.event_time != then.event_time {
                let name = |column: &Option<String>| column.clone().unwrap_or_else(|| "none".to_owned());
                return Some(format!(
                    "the event time of {} was {}, it now is {}",
                    now.table,
                    name(&then.event_time),
                    name(&now.event_time)
                ));
            }
        }
        let ids = |print: &Self| print.operators.iter().map(|operator| operator.id.clone()).collect::<Vec<_>>().join(", ");
        if ids(self) != ids(stored) {
            return Some(format!("its operators were {}, they now are {}", or_none(&ids(stored)), or_none(&ids(self))));
        }
        self.operators.iter().zip(&stored.operators).find_map(|(now, then)| operator_difference(now, then))
    }
}

fn or_none(list: &str) -> &str {
    if list.is_empty() { "none" } else { list }
}

fn operator_difference(now: &OperatorPrint, then: &OperatorPrint) -> Option<String> {
    let id = &now.id;
    if now.kind != then.kind {
        return Some(format!("operator {id} was a {}, it now is a {}", then.kind, now.kind));
    }
    if now.window != then.window {
        return Some(format!("the window of {id} was {}, it now is {}", then.window, now.window));
    }
    let names = |columns: &[ColumnPrint]| columns.iter().map(|column| format!("{} {}", column.name, column.data_type)).collect::<Vec<_>>();
    let (new, old) = (names(&now.state), names(&then.state));
    if new == old {
        return None;
    }
    let gone: Vec<String> = old.iter().filter(|column| !new.contains(column)).cloned().collect();
    let added: Vec<String> = new.iter().filter(|column| !old.contains(column)).cloned().collect();
    Some(match (gone.is_empty(), added.is_empty()) {
        (true, true) => format!("the order of the state columns of {id} has changed"),
        (false, true) => format!("state of {id} that is no longer computed: {}", gone.join(", ")),
        (true, false) => format!("state of {id} that was not computed: {}", added.join(", ")),
        (false, false) => format!("state of {id} was {}, it now is {}", gone.join(", "), added.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(table: &str, window: &str, columns: &[&str]) -> Fingerprint {
        let state = columns.iter().map(|name| ColumnPrint { name: (*name).to_owned(), data_type: "Int64".to_owned() }).collect();
        let operator = OperatorPrint { id: "aggregate-1".to_owned(), kind: "aggregate".to_owned(), window: window.to_owned(), state };
        Fingerprint { sources: vec![SourcePrint { table: table.to_owned(), event_time: Some("ts".to_owned()) }], operators: vec![operator] }
    }

    #[test]
    fn differences_are_named() {
        let stored = print("bids", "TUMBLE 10 s", &["pane_start", "key_0_auction", "state_0_0_count"]);
        let check = |now: Fingerprint| now.difference(&stored).unwrap_or_default();
        assert_eq!(check(stored.clone()), "");
        assert_eq!(check(print("asks", "TUMBLE 10 s", &[])), "it read bids, it now reads asks");
        assert_eq!(check(print("bids", "TUMBLE 5 s", &[])), "the window of aggregate-1 was TUMBLE 10 s, it now is TUMBLE 5 s");
        assert_eq!(
            check(print("bids", "TUMBLE 10 s", &["pane_start", "key_0_bidder", "state_0_0_count"])),
            "state of aggregate-1 was key_0_auction Int64, it now is key_0_bidder Int64"
        );
        assert_eq!(
            check(print("bids", "TUMBLE 10 s", &["pane_start", "key_0_auction", "state_0_0_count", "state_1_0_sum"])),
            "state of aggregate-1 that was not computed: state_1_0_sum Int64"
        );
    }
}
