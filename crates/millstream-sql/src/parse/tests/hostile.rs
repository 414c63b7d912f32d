//! Input made to break the parser: it must answer, on a thread with a small stack.

use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::Statement as AstStatement;
use proptest::prelude::*;

use super::error_of;
use crate::error::tests::ready;
use crate::error::{SqlError, SqlErrorKind};
use crate::parse::{
    EXPRESSION_DEPTH_MAX, NESTING_DEPTH_MAX, SCRIPT_BYTES_MAX, Statement, parse, parse_query, rewrite_windows, with_deep_stack,
};

/// What a tokio worker has.
const STACK_BYTES: usize = 2 << 20;

/// Parses, rewrites, prints and drops.
fn exercise(sql: &str) -> Result<(), SqlErrorKind> {
    let statements = parse(sql).map_err(|err| {
        assert!(err.to_string().chars().count() < 4000);
        err.kind()
    })?;
    for mut one in statements {
        if let Statement::Query(select) = &mut one.statement {
            rewrite_windows(&mut select.query).map_err(|err| err.kind())?;
            assert!(!select.query.to_string().is_empty());
        }
    }
    Ok(())
}

/// On a worker's stack: what reading needs. On the stack that engines are asked to have: what planning needs.
fn on_small_stack(sql: String) -> Result<(), SqlErrorKind> {
    let deep = sql.clone();
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || exercise(&sql));
    thread.expect("a thread starts").join().expect("no panic")?;
    let planned = with_deep_stack(move || {
        let statements = parse(&deep)?;
        let copy = statements.clone();
        assert!(copy == statements && !format!("{copy:?}").is_empty());
        Ok(())
    });
    planned.map_err(|err| err.kind())
}

#[test]
fn deep_and_long_input_is_refused() {
    let long = 10_000;
    let cases = [
        format!("SELECT {}1", "1 + ".repeat(long)),
        format!("SELECT a FROM t WHERE {}b", "a OR ".repeat(long)),
        format!("SELECT {}1{}", "(".repeat(long), ")".repeat(long)),
        format!("SELECT {}1", "(".repeat(long)),
        format!("SELECT {}1", "-".repeat(2).replace("--", "- ").repeat(long)),
        format!("SELECT {}true", "NOT ".repeat(long)),
        format!("SELECT {}'1'", "INTERVAL ".repeat(long)),
        format!("SELECT {}1{}", "f(".repeat(long), ")".repeat(long)),
        format!("SELECT a{}", "[1]".repeat(long)),
        format!("SELECT a{}", "::INT".repeat(long)),
        format!("SELECT a{}", " IS NULL".repeat(long)),
        format!("SELECT a{}", " COLLATE x".repeat(long)),
        format!("SELECT a{}", " AT TIME ZONE 'UTC'".repeat(long)),
        format!("SELECT CAST(1 AS {}INT{})", "ARRAY<".repeat(long), ">".repeat(long)),
        format!("CREATE TABLE t (a {}INT{})", "ARRAY<".repeat(long), ">".repeat(long)),
        format!("CREATE TABLE t (a {}INT{})", "ROW(a ".repeat(long), ")".repeat(long)),
        format!("CREATE TABLE t (a INT{})", "[]".repeat(long)),
        format!("SELECT * FROM {}t{}", "(".repeat(long), ")".repeat(long)),
        format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(long), ")".repeat(long)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(long)),
        format!("SELECT * FROM t{}", " JOIN t ON true".repeat(long)),
        format!("SELECT {}END", "CASE WHEN ".repeat(long)),
        format!("SELECT {}1", "EXISTS (SELECT ".repeat(long)),
        format!("{}SELECT 1", "EXPLAIN ".repeat(long)),
        format!("{}SELECT 1", "WITH a AS (".repeat(long)),
        format!("SELECT {}1", "CASE WHEN 1 THEN ".repeat(long)),
        format!("SELECT {}1", "CASE WHEN 1 THEN 2 END + ".repeat(long)),
        format!("SELECT CASE WHEN {}1 THEN 2 END", "1 + ".repeat(long)),
    ];
    for sql in cases {
        let shown: String = sql.chars().take(60).collect();
        let kind = on_small_stack(sql).expect_err(&shown);
        assert!(matches!(kind, SqlErrorKind::Limit | SqlErrorKind::Syntax), "{shown}: {kind:?}");
    }
}

#[test]
fn what_the_limits_allow_works_on_a_small_stack() {
    let chain = EXPRESSION_DEPTH_MAX - 5;
    let nest = NESTING_DEPTH_MAX - 2;
    for sql in [
        format!("SELECT {}1", "1 + ".repeat(chain)),
        format!("SELECT a FROM t WHERE {}a = 1", "a = 1 OR ".repeat(chain / 2)),
        format!("SELECT {}1{}", "(".repeat(nest), ")".repeat(nest)),
        format!("SELECT {}1{}", "f(".repeat(nest), ")".repeat(nest)),
        format!("SELECT {}{}1{}", "1 + ".repeat(chain / 2), "(1 + ".repeat(nest), ")".repeat(nest)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(chain / 2)),
        format!("SELECT CASE{} END FROM t", " WHEN a = 1 THEN 2".repeat(10_000)),
        format!("SELECT * FROM t{}", " JOIN t ON true".repeat(100)),
        format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(nest), ") x".repeat(nest)),
        format!("SELECT a IN ({}1)", "1, ".repeat(100_000)),
        format!("INSERT INTO t VALUES (1, 'a'){}", ", (1, -2)".repeat(100_000)),
        "SELECT 1;".repeat(20_000),
        format!("SELECT '{}'", "x;'' ".repeat(100_000)),
        format!("{}SELECT 1", "/*".repeat(1000) + &"*/".repeat(1000)),
    ] {
        let shown: String = sql.chars().take(60).collect();
        assert_eq!(on_small_stack(sql), Ok(()), "{shown}");
    }
}

/// [`with_deep_stack`] promises this for debug builds.
#[test]
fn what_the_limits_allow_is_planned_on_the_deep_stack() {
    let chain = EXPRESSION_DEPTH_MAX - 5;
    let nest = NESTING_DEPTH_MAX - 4;
    for sql in [
        format!("SELECT {}a FROM (VALUES (1)) t(a)", "a + ".repeat(chain)),
        format!("SELECT a FROM (VALUES (1)) t(a) WHERE {}a = 1", "a = 2 OR ".repeat(chain / 2)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(chain / 2)),
        format!("SELECT CASE{} END FROM (VALUES (1)) t(a)", " WHEN a = 1 THEN 2".repeat(1_000)),
        format!("SELECT CASE WHEN a = 1 THEN 2 ELSE {}a END FROM (VALUES (1)) t(a)", "a + ".repeat(chain - 5)),
        format!("SELECT {}1{}", "abs(".repeat(nest), ")".repeat(nest)),
        format!("SELECT * FROM {}(VALUES (1)) x{}", "(SELECT * FROM ".repeat(nest), ") x".repeat(nest)),
    ] {
        let planned = with_deep_stack(|| {
            let (query, _) = parse_query(&sql)?;
            let ctx = SessionContext::new();
            let state = ctx.state();
            let statement = DfStatement::Statement(Box::new(AstStatement::Query(query)));
            let plan = ready(state.statement_to_plan(statement)).and_then(|plan| state.optimize(&plan));
            plan.and_then(|plan| ready(state.query_planner().create_physical_plan(&plan, &state)))
                .map(|_| ())
                .map_err(|err| SqlError::from_datafusion(&err, &sql, &[]))
        });
        assert_eq!(planned, Ok(()), "{}", &sql[..60]);
    }
}

#[test]
fn broken_nests_do_not_blow_up_time() {
    for unit in ["f(", "(SELECT ", "((SELECT * FROM ", "f(a => ", "CASE WHEN f(", "INTERVAL f(", "x IN (", "TABLE(f(", "CAST(", "ARRAY[f("]
    {
        for tail in ["", "1", "%"] {
            let sql = format!("SELECT * FROM {}{tail}", unit.repeat(25));
            let _ = on_small_stack(sql);
            let sql = format!("SELECT {}{tail}", unit.repeat(25));
            let _ = on_small_stack(sql);
        }
    }
}

#[test]
fn long_scripts() {
    let fits = "SELECT 1;\n".repeat(SCRIPT_BYTES_MAX / 1000);
    assert_eq!(exercise(&fits), Ok(()));
    assert!(error_of(&"x".repeat(SCRIPT_BYTES_MAX + 1)).starts_with("the script is longer than 16777216 bytes"));
    assert!(parse(&"x".repeat(SCRIPT_BYTES_MAX)).is_err());
}

proptest! {
    #[test]
    fn random_tokens_never_panic(words in prop::collection::vec(prop::sample::select(WORDS), 0..40)) {
        let _ = exercise(&words.join(" "));
    }

    #[test]
    fn random_text_never_panics(text in ".{0,200}") {
        let _ = exercise(&text);
    }

    #[test]
    fn damaged_statements_never_panic(pick in 0..WHOLE.len(), cut in 0usize..400, put in prop::sample::select(WORDS)) {
        let whole = WHOLE[pick];
        let at = (0..=cut.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        let _ = exercise(&whole[..at]);
        let _ = exercise(&format!("{}{put}{}", &whole[..at], &whole[at..]));
    }
}

const WHOLE: [&str; 4] = [
    "CREATE TABLE b (a BIGINT NOT NULL, ts TIMESTAMP(3), d AS CAST(ts AS DATE), k ROW<x ARRAY<INT>> METADATA FROM 'k', WATERMARK FOR ts AS ts - INTERVAL '4' SECOND, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'kafka', a.b-c = 5)",
    "SELECT w.window_start, count(*) FILTER (WHERE a > 1) FROM TABLE(HOP(DATA => TABLE b, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1:30' MINUTE TO SECOND, SLIDE => INTERVAL '2 s')) w GROUP BY 1 HAVING sum(x) > 5 EMIT EVERY INTERVAL '1' SECOND ALLOWED LATENESS INTERVAL '1' HOUR LATE ROWS INTO l",
    "CREATE SINK s AS WITH c AS (SELECT 'ü' AS `q`) SELECT * FROM c, TUMBLE((SELECT 1), ts, INTERVAL '1 day') WITH (a = 'b'); DROP TABLE IF EXISTS t",
    "BEGIN STATEMENT SET; INSERT INTO a (x) VALUES (1), ($$;$$); INSERT INTO b SELECT CASE WHEN a THEN 1 END FROM t; END; EXPLAIN ANALYZE SELECT -1",
];

const WORDS: &[&str] = &[
    "SELECT",
    "*",
    "FROM",
    "t",
    "WHERE",
    "a",
    "=",
    "1",
    "'x'",
    "(",
    ")",
    ",",
    ";",
    "CREATE",
    "TABLE",
    "SINK",
    "VIEW",
    "MATERIALIZED",
    "AS",
    "WITH",
    "INSERT",
    "INTO",
    "VALUES",
    "TUMBLE",
    "HOP",
    "DESCRIPTOR",
    "INTERVAL",
    "'10 s'",
    "SECOND",
    "EMIT",
    "ON",
    "UPDATE",
    "EVERY",
    "WATERMARK",
    "FOR",
    "INT",
    "ARRAY",
    "<",
    ">",
    ">>",
    "ROW",
    "MAP",
    "[",
    "]",
    "PRIMARY",
    "KEY",
    "NOT",
    "NULL",
    "=>",
    "::",
    ".",
    "-",
    "+",
    "OR",
    "AND",
    "IN",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "BEGIN",
    "STATEMENT",
    "SET",
    "SHOW",
    "DROP",
    "EXPLAIN",
    "ANALYZE",
    "UNION",
    "ALL",
    "JOIN",
    "GROUP",
    "BY",
    "`q`",
    "\"Q\"",
    "$1",
    "--",
    "/*",
    "*/",
    "'",
    "\"",
    "`",
    "$$",
    "\n",
    "METADATA",
    "LIKE",
    "1e999",
    "0x",
    "99999999999999999999",
    "ALLOWED",
    "LATENESS",
    "LATE",
    "ROWS",
    "PARTITION",
    "OVER",
    "ORDER",
    "LIMIT",
    "CAST",
    "EXTRACT",
    "TO",
    "MINUTE",
    "PIPELINE",
    "PAUSE",
    "RESTORE",
    "CHECKPOINT",
    "FLUSH",
    "RESET",
    "DEFAULT",
    "TIMESTAMP",
    "LATERAL",
    "UNNEST",
    "EXISTS",
    "U&'\\d800'",
    "E'\\x'",
];
