//! DataFusion's errors as the user sees them.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::Statement as AstStatement;

use super::{SqlError, SqlErrorKind};
use crate::parse::parse_query;

/// Waits for planning, which never really suspends.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn planning_error(sql: &str) -> SqlError {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.collect_spans = true;
    let ctx = SessionContext::new_with_config(config);
    let fields = vec![
        Field::new("auction", DataType::Int64, true),
        Field::new("price", DataType::Int64, true),
        Field::new("channel", DataType::Utf8, true),
    ];
    for name in ["bids", "asks"] {
        let table = EmptyTable::new(Arc::new(Schema::new(fields.clone())));
        ctx.register_table(name, Arc::new(table)).expect("the table is new");
    }
    let (query, _) = parse_query(sql).unwrap_or_else(|err| panic!("{sql}\n{err}"));
    let statement = DfStatement::Statement(Box::new(AstStatement::Query(query)));
    let state = ctx.state();
    let planned = ready(state.statement_to_plan(statement)).and_then(|plan| state.optimize(&plan));
    let err = planned.err().unwrap_or_else(|| panic!("{sql} is accepted"));
    SqlError::from_datafusion(&err, sql, &["bids".to_owned(), "asks".to_owned()])
}

#[test]
fn planning_errors() {
    let mut seen = String::new();
    for sql in [
        "SELECT * FROM bidz",
        "SELECT * FROM nowhere",
        "SELECT\n  prize FROM bids",
        "SELECT x FROM bids",
        "SELECT b.prize FROM bids b",
        "SELECT price FROM bids, asks",
        "SELECT coutn(*) FROM bids",
        "SELECT * FROM nofunction(1)",
        "SELECT price + channel FROM bids WHERE channel",
        "SELECT abs(channel, 1) FROM bids",
        "SELECT price, count(*) FROM bids GROUP BY auction",
        "SELECT price AS a, auction AS a FROM bids",
        "SELECT * FROM bids UNION ALL SELECT price FROM bids",
        "SELECT CAST('x' AS BIGINT)",
        "SELECT * FROM bids LIMIT 'x'",
        "SELECT price + channel FROM bids",
        "SELECT sum(channel) FROM bids",
        "SELECT * FROM bids WHERE price IN (SELECT * FROM asks)",
        "SELECT * FROM bids JOIN asks USING (prize)",
        "SELECT min() FROM bids",
        "SELECT * FROM bids ORDER BY prize",
        "SELECT * FROM bids WHERE count(*) > 1",
    ] {
        let err = planning_error(sql);
        seen += &format!("{sql}\n--> [{}] {err}\n\n", err.sqlstate());
        for word in ["DataFusion", "ScalarUDF", "SchemaError", "Utf8View(", "backtrace", ".rs:"] {
            assert!(!err.to_string().contains(word), "{sql}\n{err}");
        }
    }
    crate::parse::check_golden("../../error/planning_errors.txt", &seen);
}

#[test]
fn our_own_errors_pass_through_datafusion_unchanged() {
    let ours = SqlError::window("TUMBLE needs a watermark").with_hint("declare one");
    let err = datafusion::error::DataFusionError::External(Box::new(ours.clone())).context("planning");
    assert_eq!(SqlError::from_datafusion(&err, "SELECT 1", &[]), ours);
    assert_eq!(ours.kind(), SqlErrorKind::Window);
}

#[test]
fn excerpts_point_at_the_word() {
    let sql = format!("SELECT '{}', prize FROM bids", "ü".repeat(300));
    let text = planning_error(&sql).to_string();
    let lines: Vec<&str> = text.lines().collect();
    let at = lines[2].chars().position(|c| c == '^').expect("a caret");
    assert_eq!(lines[1].chars().skip(at).take(5).collect::<String>(), "prize");
}
