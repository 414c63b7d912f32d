//! Every spelling of a window, and what is refused.

use datafusion::sql::sqlparser::ast::{SetExpr, TableFactor};

use super::check_golden;
use crate::parse::{WindowCall, WindowKind, parse_expression, parse_query, rewrite_windows};

/// The query after the rewrite, or the error with its source line.
fn rewritten(sql: &str) -> String {
    let (mut query, _) = parse_query(sql).unwrap_or_else(|err| panic!("{sql}\n{err}"));
    match rewrite_windows(&mut query) {
        Ok(()) => query.to_string(),
        Err(err) => err.with_source(sql).to_string(),
    }
}

#[test]
fn all_spellings_become_one() {
    for (from, expected) in [
        ("TABLE(TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND))", "TABLE(__tumble((SELECT * FROM bids), ts, 10000, 10000, 0))"),
        ("TABLE(TUMBLE(bids, DESCRIPTOR(ts), INTERVAL '10' SECOND))", "TABLE(__tumble((SELECT * FROM bids), ts, 10000, 10000, 0))"),
        (
            "TABLE(TUMBLE(DATA => TABLE bids, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '10' SECOND))",
            "TABLE(__tumble((SELECT * FROM bids), ts, 10000, 10000, 0))",
        ),
        (
            "TUMBLE(SIZE => INTERVAL '10' SECOND, data => bids, timecol => ts, offset => INTERVAL '1' SECOND)",
            "TABLE(__tumble((SELECT * FROM bids), ts, 10000, 10000, 1000))",
        ),
        ("TUMBLE(bids, ts, INTERVAL '10 seconds')", "TABLE(__tumble((SELECT * FROM bids), ts, 10000, 10000, 0))"),
        (
            "tumble(TABLE bids, 'ts', INTERVAL '10 seconds', INTERVAL '-3' SECOND)",
            "TABLE(__tumble((SELECT * FROM bids), \"ts\", 10000, 10000, 7000))",
        ),
        (
            "TUMBLE(a.bids, \"Ts\", INTERVAL '1:30' MINUTE TO SECOND) AS w (x, y)",
            "TABLE(__tumble((SELECT * FROM a.bids), \"Ts\", 90000, 90000, 0)) AS w (x, y)",
        ),
        (
            "TUMBLE((SELECT a, ts FROM bids WHERE a > 1), ts, INTERVAL '1' DAY) w",
            "TABLE(__tumble((SELECT a, ts FROM bids WHERE a > 1), ts, 86400000, 86400000, 0)) w",
        ),
        ("HOP(bids, ts, INTERVAL '2 seconds', INTERVAL '10 seconds')", "TABLE(__hop((SELECT * FROM bids), ts, 10000, 2000, 0))"),
        (
            "TABLE(HOP(TABLE bids, DESCRIPTOR(ts), INTERVAL '3' SECOND, INTERVAL '10' SECOND, INTERVAL '1' SECOND))",
            "TABLE(__hop((SELECT * FROM bids), ts, 10000, 3000, 1000))",
        ),
        (
            "TABLE(HOP(DATA => TABLE bids, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '10' SECOND, SLIDE => INTERVAL '2' SECOND))",
            "TABLE(__hop((SELECT * FROM bids), ts, 10000, 2000, 0))",
        ),
        (
            "TUMBLE(bids, ts, INTERVAL '1' SECOND) a JOIN TUMBLE(asks, ts, INTERVAL '1' SECOND) b ON a.x = b.x",
            "TABLE(__tumble((SELECT * FROM bids), ts, 1000, 1000, 0)) a JOIN TABLE(__tumble((SELECT * FROM asks), ts, 1000, 1000, 0)) b ON a.x = b.x",
        ),
        (
            "TUMBLE((SELECT * FROM TUMBLE(b, ts, INTERVAL '1' SECOND)), window_time, INTERVAL '2' SECOND)",
            "TABLE(__tumble((SELECT * FROM TABLE(__tumble((SELECT * FROM b), ts, 1000, 1000, 0))), window_time, 2000, 2000, 0))",
        ),
        ("tumble", "tumble"),
        ("generate_series(1, 2)", "generate_series(1, 2)"),
    ] {
        let prefix = "SELECT * FROM ";
        assert_eq!(rewritten(&format!("{prefix}{from}")), format!("{prefix}{expected}"), "{from}");
    }
}

#[test]
fn rewrites_below_the_top() {
    let sql = "WITH w AS (SELECT * FROM TUMBLE(b, ts, INTERVAL '1' SECOND)) SELECT (SELECT max(x) FROM HOP(c, ts, INTERVAL '1' SECOND, INTERVAL '2' SECOND)) FROM w";
    let text = rewritten(sql);
    assert!(text.contains("__tumble((SELECT * FROM b)") && text.contains("__hop((SELECT * FROM c)"), "{text}");
    assert_eq!(rewritten(&text), text, "a second rewrite changes nothing");
}

#[test]
fn calls_are_read_back() {
    let (mut query, _) = parse_query("SELECT * FROM HOP(bids, ts, INTERVAL '2' SECOND, INTERVAL '10' SECOND) AS w").expect("it parses");
    rewrite_windows(&mut query).expect("it rewrites");
    let SetExpr::Select(select) = query.body.as_ref() else { panic!("a select") };
    let call = WindowCall::from_table_factor(&select.from[0].relation).expect("a window").expect("a right one");
    assert_eq!(call.kind, WindowKind::Hop { slide_ms: 2000, size_ms: 10000, offset_ms: 0 });
    assert_eq!((call.input.to_string().as_str(), call.time_column.value.as_str()), ("SELECT * FROM bids", "ts"));
    assert_eq!(call.alias.map(|alias| alias.name.value), Some("w".to_owned()));
    let (forged, _) = parse_query("SELECT * FROM TABLE(__hop((SELECT 1), ts, 1, 2, 3))").expect("it parses");
    let SetExpr::Select(select) = forged.body.as_ref() else { panic!("a select") };
    assert!(matches!(WindowCall::from_table_factor(&select.from[0].relation), Some(Err(_))));
    let (plain, _) = parse_query("SELECT * FROM bids").expect("it parses");
    let SetExpr::Select(select) = plain.body.as_ref() else { panic!("a select") };
    assert!(matches!(select.from[0].relation, TableFactor::Table { .. }));
    assert!(WindowCall::from_table_factor(&select.from[0].relation).is_none());
}

#[test]
fn intervals() {
    for (literal, expected) in [
        ("INTERVAL '10' SECOND", "10000"),
        ("INTERVAL 10 SECOND", "10000"),
        ("INTERVAL '10 seconds'", "10000"),
        ("INTERVAL '10'", "10000"),
        ("INTERVAL '1.5' MINUTE", "90000"),
        ("INTERVAL '0.001' SECOND", "1"),
        ("INTERVAL '500' MILLISECOND", "500"),
        ("INTERVAL '1:30' MINUTE TO SECOND", "90000"),
        ("INTERVAL '2 03:04:05.006' DAY TO SECOND", "183845006"),
        ("INTERVAL '1:00' HOUR TO MINUTE", "3600000"),
        ("INTERVAL '1 hour 30 minutes'", "5400000"),
        ("INTERVAL '1h30m'", "5400000"),
        ("INTERVAL '2 days 00:00:01'", "172801000"),
        ("INTERVAL '1 week'", "604800000"),
        ("INTERVAL '-10' SECOND", "-10000"),
        ("INTERVAL '-1:30' MINUTE TO SECOND", "-90000"),
        ("INTERVAL -10 SECOND", "-10000"),
        ("-INTERVAL '10' SECOND", "-10000"),
        ("INTERVAL '0' SECOND", "0"),
        ("'10 seconds'::INTERVAL", "10000"),
        ("CAST('1 minute' AS INTERVAL)", "60000"),
        ("INTERVAL '292271023' WEEK", "176765514710400000"),
        ("INTERVAL '1 hour -30 minutes'", "an interval must not mix signs: got INTERVAL '1 hour -30 minutes'"),
        ("INTERVAL '0.5' MILLISECOND", "an interval must be whole milliseconds: got INTERVAL '0.5' MILLISECOND"),
        ("INTERVAL '1 us'", "an interval must be whole milliseconds: got INTERVAL '1 us'"),
        ("INTERVAL '1' MONTH", "MONTH has no fixed length and is not supported here: got INTERVAL '1' MONTH"),
        ("INTERVAL '1 year'", "YEAR has no fixed length and is not supported here: got INTERVAL '1 year'"),
        ("INTERVAL '1 secnods'", "unknown unit of time 'secnods': got INTERVAL '1 secnods'"),
        ("INTERVAL 'x' SECOND", "'x' is no interval: got INTERVAL 'x' SECOND"),
        ("INTERVAL ''", "'' is no interval: got INTERVAL ''"),
        ("INTERVAL '1:2:3:4'", "'1:2:3:4' is no interval: got INTERVAL '1:2:3:4'"),
        (
            "INTERVAL '99999999999999999999999999999999999999999' DAY",
            "'99999999999999999999999999999999999999999' is no interval: got INTERVAL '99999999999999999999999999999999999999999' DAY",
        ),
        ("INTERVAL '99999999999' WEEK", "an interval is too long: got INTERVAL '99999999999' WEEK"),
        ("10", "expected an interval literal: got 10"),
        ("a", "expected an interval literal: got a"),
    ] {
        let expr = parse_expression(literal).unwrap_or_else(|err| panic!("{literal}\n{err}"));
        let text = crate::parse::interval_ms(&expr).map_or_else(|err| err.message().to_owned(), |ms| ms.to_string());
        assert_eq!(text, expected, "{literal}");
    }
}

/// Errors as the user sees them; the statement is put before them.
#[test]
fn refusals() {
    let mut seen = String::new();
    for sql in [
        "SELECT * FROM TUMBLE(bids, ts, INTERVAL '0' SECOND)",
        "SELECT * FROM TUMBLE(bids, ts, INTERVAL '-10' SECOND)",
        "SELECT * FROM HOP(bids, ts, INTERVAL '10' SECOND, INTERVAL '2' SECOND)",
        "SELECT * FROM TUMBLE(bids, ts)",
        "SELECT * FROM TUMBLE(bids, SIZE => INTERVAL '1' SECOND)",
        "SELECT * FROM TUMBLE(bids, ts, INTERVAL '1' SECOND, INTERVAL '1' SECOND, 5)",
        "SELECT * FROM TUMBLE(bids, ts, SISE => INTERVAL '1' SECOND)",
        "SELECT * FROM TUMBLE(bids, ts, DATA => bids)",
        "SELECT * FROM TUMBLE(bids, ts + 1, INTERVAL '1' SECOND)",
        "SELECT * FROM TUMBLE(5, ts, INTERVAL '1' SECOND)",
        "SELECT * FROM TUMBLE(bids, ts, 10)",
        "SELECT * FROM TABLE(TUMBLE(TABLE bids PARTITION BY a, DESCRIPTOR(ts), INTERVAL '1' SECOND))",
        "SELECT * FROM TABLE(SESSION(TABLE bids PARTITION BY bidder, DESCRIPTOR(ts), INTERVAL '5' MINUTE))",
        "SELECT * FROM TABLE(TUMBLE_ROWS(TABLE bids PARTITION BY auction, 100))",
        "SELECT TUMBLE_START(ts, INTERVAL '10' SECOND) FROM bids GROUP BY TUMBLE(ts, INTERVAL '10' SECOND)",
        "SELECT count(*) FROM bids GROUP BY HOP(ts, INTERVAL '1' SECOND, INTERVAL '2' SECOND)",
        "SELECT count(*) FROM bids WITH (a = 1)",
    ] {
        seen += &format!("{sql}\n--> {}\n\n", rewritten(sql));
    }
    check_golden("window_refusals.txt", &seen);
}
