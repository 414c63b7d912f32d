//! Errors as the user sees them.

use super::{check_golden, error_of};

/// Each script with its error after an arrow.
#[test]
fn syntax_errors() {
    let mut seen = String::new();
    for sql in [
        "SELCT * FROM t",
        "SELECT * FORM t",
        "SELECT 1;\n\n  SELECT * FROM\n  t WHERE;",
        "SELECT 'open",
        "SELECT /* open",
        "SELECT \"open",
        "SELECT a FROM t EMIT ON DEMAND",
        "SELECT a FROM t EMIT EVERY INTERVAL '0' SECOND",
        "SELECT a b c",
        "CREATE TABEL t (a INT)",
        "CREATE TABLE t",
        "CREATE TABLE t (a INT, a TEXT)",
        "CREATE TABLE t (a BIGNIT)",
        "CREATE TABLE t (a)",
        "CREATE TABLE t (a INT DEFAULT 5)",
        "CREATE TABLE t (a INT METADTA FROM 'x')",
        "CREATE TABLE t (tss TIMESTAMP, WATERMARK FOR ts)",
        "CREATE TABLE t (ts TIMESTAMP, WATERMARK FOR ts, WATERMARK FOR ts)",
        "CREATE TABLE t (a INT) WITH (x = 1, x = 2)",
        "CREATE TABLE t (a INT) WITH (x = )",
        "CREATE TABLE t (a INT) WITH (connector = SECRET s)",
        "CREATE SINK s AS SELECT 1",
        "CREATE SINK s INTO t WITH (a = b) AS SELECT 1",
        "CREATE MODEL m FROM 'x'",
        "CREATE MODEL m INPUT (a DOUBLE, a INT) WITH (path = x)",
        "ALTER MODEL m SET path = 'x'",
        "CREATE MODEL m TYPE k_means LABEL y",
        "CREATE SECRET s AS x",
        "CREATE SECRET s",
        "CREATE SCHEMA s",
        "SUBSCRIBE mv",
        "DROP TABEL t",
        "SET a",
        "PAUSE p",
        "RESTORE PIPELINE p FROM CHECKPOINT x",
        "BEGIN STATEMENT SET; SELECT 1; END",
        "BEGIN STATEMENT SET; INSERT INTO t SELECT 1",
        "BEGIN STATEMENT SET; END",
        "INSERT OVERWRITE t SELECT 1",
        "INSERT INTO t VALUES (1) RETURNING a",
        "EXPLAIN EXPLAIN SELECT 1",
        "SELECT 1 SELECT 2",
        "SELECT a\u{0}b",
        "'x'",
    ] {
        seen += &format!("{}\n--> {}\n\n", sql.replace('\0', "<NUL>"), error_of(sql));
    }
    check_golden("syntax_errors.txt", &seen);
}

#[test]
fn positions_are_those_of_the_script() {
    let err = crate::parse::parse("SELECT 1; SELECT 2;\n/* ü */ SELECT 'ü' FROM t t2 t3").expect_err("it is wrong");
    assert_eq!((err.position(), err.sqlstate()), (Some((2, 30)), "42601"));
}
