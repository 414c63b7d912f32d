//! What each kind of statement is read as.

use super::describe::describe;
use crate::parse::parse;

#[track_caller]
fn check(sql: &str, expected: &str) {
    let statements = parse(sql).unwrap_or_else(|err| panic!("{sql}\n{err}"));
    let text: Vec<String> = statements.iter().map(|parsed| describe(&parsed.statement)).collect();
    assert_eq!(text.join("\n"), expected, "{sql}");
}

#[test]
fn tables() {
    for (sql, expected) in [
        ("CREATE TABLE t (id BIGINT, v TEXT)", "table t(id BIGINT, v TEXT)"),
        (
            "create or replace temporary table if not exists a.b (x INT NOT NULL COMMENT 'it')",
            "table or_replace if_not_exists temporary a.b(x INT not_null comment \"it\")",
        ),
        (
            "CREATE SOURCE bids (auction BIGINT, ts TIMESTAMP(3), day AS CAST(ts AS DATE), kafka_key TEXT METADATA FROM 'key', \
             h TEXT METADATA VIRTUAL, proc AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '4' SECOND, \
             PRIMARY KEY (auction) NOT ENFORCED) WITH ('connector' = 'kafka', properties.bootstrap.servers = 'a:1', \
             rows-per-second = 10, x = true, n = -5)",
            "source bids(auction BIGINT, ts TIMESTAMP(3), day = CAST(ts AS DATE), kafka_key TEXT metadata Some(\"key\") false, \
             h TEXT metadata None true, proc = now) watermark ts 4000ms key(auction) with(connector=kafka, \
             properties.bootstrap.servers=a:1, rows-per-second=10, x=true, n=-5)",
        ),
        ("CREATE STREAM s (ts TIMESTAMP, WATERMARK FOR ts)", "stream s(ts TIMESTAMP) watermark ts 0ms"),
        ("CREATE TABLE t WITH ('connector' = 'file')", "table t() with(connector=file)"),
        ("CREATE TABLE t (LIKE bids) WITH (a = b)", "table t() like bids with(a=b)"),
        ("CREATE TABLE t WITH (a = 'b') LIKE bids", "table t() like bids with(a=b)"),
        ("CREATE TABLE t LIKE bids", "table t() like bids"),
        ("CREATE TABLE t AS SELECT 1", "table t() as {SELECT 1}"),
        ("CREATE TABLE o WITH (a = b) AS SELECT x FROM t", "table o() with(a=b) as {SELECT x FROM t}"),
        ("CREATE TABLE t (a INT PRIMARY KEY, b INT,)", "table t(a INT not_null, b INT) key(a)"),
        ("CREATE TABLE t (a INT) APPEND ONLY WITH (c = d)", "table append_only t(a INT) with(c=d)"),
        ("CREATE SOURCE t (a INT) WITH (c = 'd') FORMAT PLAIN ENCODE JSON", "source t(a INT) with(c=d, format=json)"),
        ("CREATE TABLE `Order` (`select` INT, \"Group\" TEXT)", "table `Order`(`select` INT, \"Group\" TEXT)"),
        (
            "CREATE TABLE t (a ROW<x INT, y ARRAY<ROW<z MAP<STRING, BIGINT>>>>)",
            "table t(a STRUCT<x INT, y ARRAY<STRUCT<z Map(STRING, BIGINT)>>>)",
        ),
        (
            "CREATE TABLE t (a INT[], b TIMESTAMP_LTZ(3), c TIMESTAMP(3) WITH LOCAL TIME ZONE)",
            "table t(a INT[], b TIMESTAMPTZ(3), c TIMESTAMPTZ(3))",
        ),
        ("CREATE TABLE t (a INT) COMMENT 'words'", "table t(a INT) comment \"words\""),
    ] {
        check(sql, expected);
    }
}

#[test]
fn views_sinks_and_inserts() {
    for (sql, expected) in [
        ("CREATE VIEW v AS SELECT 1", "view v as {SELECT 1}"),
        ("CREATE OR REPLACE TEMP VIEW v (a, b) AS SELECT 1, 2", "view or_replace temporary v(a, b) as {SELECT 1, 2}"),
        (
            "CREATE MATERIALIZED VIEW IF NOT EXISTS m AS SELECT a FROM t EMIT ON WINDOW CLOSE",
            "view if_not_exists materialized m as {SELECT a FROM t EMIT ON WINDOW CLOSE} emit OnWindowClose 0ms",
        ),
        ("CREATE SINK s INTO o AS SELECT a FROM t", "sink s into o as {SELECT a FROM t}"),
        ("CREATE SINK s WITH (a = b) AS SELECT a FROM t", "sink s with(a=b) as {SELECT a FROM t}"),
        ("CREATE SINK s AS SELECT a FROM t WITH (a = b)", "sink s with(a=b) as {SELECT a FROM t}"),
        ("CREATE SINK s FROM t WITH (a = b)", "sink s with(a=b) as {SELECT * FROM t}"),
        (
            "CREATE SINK s AS WITH c AS (SELECT 1) SELECT * FROM c EMIT ON UPDATE WITH (a = b)",
            "sink s with(a=b) as {WITH c AS (SELECT 1) SELECT * FROM c EMIT ON UPDATE} emit OnUpdate 0ms",
        ),
        ("INSERT INTO t SELECT * FROM s", "insert t as {SELECT * FROM s}"),
        ("INSERT INTO t (a, b) VALUES (1, 'x;y'), (2, 'z')", "insert t(a, b) as {VALUES (1, 'x;y'), (2, 'z')}"),
        ("INSERT INTO t (SELECT 1)", "insert t as {(SELECT 1)}"),
        ("INSERT INTO t WITH c AS (SELECT 1) SELECT * FROM c", "insert t as {WITH c AS (SELECT 1) SELECT * FROM c}"),
        (
            "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; INSERT INTO b SELECT CASE WHEN true THEN 1 END; END;",
            "set[insert a as {SELECT 1}; insert b as {SELECT CASE WHEN true THEN 1 END}]",
        ),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO a VALUES (1); END", "set[insert a as {VALUES (1)}]"),
    ] {
        check(sql, expected);
    }
}

#[test]
fn queries_and_emit() {
    for (sql, expected) in [
        ("SELECT 1", "query SELECT 1"),
        ("SELECT * FROM bids EMIT ON UPDATE", "query SELECT * FROM bids emit OnUpdate 0ms"),
        ("SELECT * FROM bids b EMIT EVERY INTERVAL '1' SECOND", "query SELECT * FROM bids b emit Every { interval_ms: 1000 } 0ms"),
        ("SELECT a x EMIT ON WINDOW CLOSE", "query SELECT a AS x emit OnWindowClose 0ms"),
        ("SELECT emit FROM t emit", "query SELECT emit FROM t emit"),
        (
            "SELECT a FROM t GROUP BY a EMIT ON WINDOW CLOSE ALLOWED LATENESS INTERVAL '5 s' LATE ROWS INTO late",
            "query SELECT a FROM t GROUP BY a emit OnWindowClose 5000ms late late",
        ),
        ("SELECT a FROM t ALLOWED LATENESS INTERVAL '1' MINUTE", "query SELECT a FROM t emit OnWindowClose 60000ms"),
        ("TABLE t", "query TABLE t"),
        ("VALUES (1)", "query VALUES (1)"),
        ("(SELECT 1) UNION ALL SELECT 2", "query (SELECT 1) UNION ALL SELECT 2"),
        ("SELECT `a b`, \"C\" FROM `t`", "query SELECT `a b`, \"C\" FROM `t`"),
        (
            "SELECT a::text, b->>'x', ARRAY[1,2], $1, 'a' ~ 'b' FROM t LIMIT 3",
            "query SELECT a::TEXT, b ->> 'x', ARRAY[1, 2], $1, 'a' ~ 'b' FROM t LIMIT 3",
        ),
    ] {
        check(sql, expected);
    }
}

#[test]
fn commands() {
    for (sql, expected) in [
        ("SHOW TABLES", "show Tables"),
        ("show materialized views", "show Views"),
        ("SHOW PIPELINES; SHOW MODELS; SHOW FUNCTIONS; SHOW ALL", "show Pipelines\nshow Models\nshow Functions\nshow All"),
        ("SHOW CHECKPOINTS", "show Checkpoints(None)"),
        ("SHOW CHECKPOINTS FOR p", "show checkpoints of p"),
        ("SHOW CREATE TABLE t", "show create t"),
        ("SHOW CREATE MATERIALIZED VIEW t", "show create t"),
        ("SHOW execution_mode", "show setting execution_mode"),
        ("SHOW TIME ZONE", "show setting timezone"),
        ("DESCRIBE t; DESC a.b", "describe t\ndescribe a.b"),
        ("DROP TABLE t", "drop Table t"),
        ("DROP SOURCE IF EXISTS t CASCADE", "drop Table if_exists cascade t"),
        ("DROP MATERIALIZED VIEW v; DROP VIEW v; DROP SINK s", "drop MaterializedView v\ndrop View v\ndrop Sink s"),
        ("DROP PIPELINE p; DROP MODEL m", "drop Pipeline p\ndrop Model m"),
        (
            "CREATE MODEL m TYPE k_means FEATURES (a, b) PARTITION BY (k) WITH (clusters = 3)",
            "model m type k_means(a, b) by k with(clusters=3)",
        ),
        (
            "CREATE MODEL m TYPE linear_regression FEATURES (a) LABEL y PARTITION BY k ON DRIFT RESET",
            "model m type linear_regression(a) label y by k drift true",
        ),
        ("EXPORT MODEL m TO 'a.onnx'; export model m for 'x' to 'b'", "export model m None to a.onnx\nexport model m Some(\"x\") to b"),
        ("CREATE SECRET pw AS 'a''b'; CREATE OR REPLACE SECRET IF NOT EXISTS x AS $$y$$", "secret pw a'b\nsecret or replace if absent x y"),
        ("DROP SECRET IF EXISTS pw; SHOW SECRETS", "drop Secret if_exists pw\nshow Secrets"),
        ("CREATE TABLE t (a INT) WITH ('password' = SECRET pw, secret = secret)", "table t(a INT) with(password=secret pw, secret=secret)"),
        ("SET execution_mode = 'batch'", "set execution_mode = Some(\"batch\")"),
        ("SET 'execution.checkpointing.interval' = '10 s'", "set execution.checkpointing.interval = Some(\"10 s\")"),
        ("SET a.b TO on", "set a.b = Some(\"on\")"),
        ("SET a = -1.5; SET a = DEFAULT", "set a = Some(\"-1.5\")\nset a = None"),
        ("SET TIME ZONE 'UTC'", "set timezone = Some(\"UTC\")"),
        ("SET search_path = a, b", "set search_path = Some(\"a, b\")"),
        ("RESET a; RESET ALL", "reset Some(\"a\")\nreset None"),
        ("PAUSE PIPELINE p; RESUME PIPELINE p; CHECKPOINT PIPELINE p", "Pause p\nResume p\nCheckpoint p"),
        ("RESTORE PIPELINE p FROM CHECKPOINT 42", "Restore { checkpoint: Some(42) } p"),
        ("RESTORE PIPELINE p", "Restore { checkpoint: None } p"),
        ("EXPLAIN SELECT 1", "explain query SELECT 1"),
        ("EXPLAIN ANALYZE VERBOSE INSERT INTO t SELECT 1", "explain analyze verbose insert t as {SELECT 1}"),
        ("EXPLAIN (ANALYZE, VERBOSE) SELECT 1", "explain analyze verbose query SELECT 1"),
        ("EXPLAIN (SELECT 1)", "explain query (SELECT 1)"),
        ("EXPLAIN PLAN FOR SELECT 1", "explain query SELECT 1"),
        ("FLUSH", "flush"),
        ("DESCRIBE MODEL m; DESCRIBE model", "describe model m\ndescribe model"),
        ("ALTER MODEL m SET VERSION 3", "alter model m version 3"),
        (
            "CREATE MODEL m TYPE logistic_regression FEATURES (a, b) LABEL y WITH (optimizer = adam) AS SELECT a, b, y FROM t",
            "model m type logistic_regression(a, b) label y with(optimizer=adam) as {SELECT a, b, y FROM t}",
        ),
        ("CREATE OR REPLACE MODEL m TYPE k_means FEATURES (a)", "model or_replace m type k_means(a)"),
        ("CREATE MODEL m WITH ('path' = 'm.onnx')", "model m() -> () with(path=m.onnx)"),
        (
            "CREATE OR REPLACE MODEL IF NOT EXISTS m INPUT (a DOUBLE, \"B\" TEXT) OUTPUT (p DOUBLE) WITH (format = onnx)",
            "model or_replace if_not_exists m(a DOUBLE, \"B\" TEXT) -> (p DOUBLE) with(format=onnx)",
        ),
        ("DELETE FROM t WHERE a = 1", "other DELETE FROM"),
        ("ALTER TABLE t ADD COLUMN a INT", "other ALTER TABLE"),
    ] {
        check(sql, expected);
    }
}

#[test]
fn scripts_are_cut_at_semicolons_outside_of_text() {
    let sql = "-- first; not here\nSELECT ';' /* ; */ AS a;;\n\n  SELECT $$;$$ -- end;\n;/* a /* nested; */ b; */ SELECT \";\" FROM `;`";
    let parsed = parse(sql).expect("it parses");
    let places: Vec<(u64, u64, &str)> = parsed.iter().map(|one| (one.line, one.column, one.text.as_str())).collect();
    assert_eq!(places, [(2, 1, "SELECT ';' /* ; */ AS a"), (4, 3, "SELECT $$;$$"), (5, 27, "SELECT \";\" FROM `;`")]);
    for one in &parsed {
        assert_eq!(&sql[one.offset..one.offset + one.text.len()], one.text);
    }
}

#[test]
fn empty_scripts_are_empty() {
    for sql in ["", " \n", ";", " ; ;; ", "-- nothing", "/* nothing */;"] {
        assert_eq!(parse(sql).expect("it parses").len(), 0, "{sql}");
    }
}

#[test]
fn stored_text_parses_again() {
    let sql = "/* ü */ CREATE VIEW v AS SELECT 'ü' AS a, ts -- say\n FROM bids /* more */ ; SELECT 1";
    let parsed = parse(sql).expect("it parses");
    let crate::parse::Statement::CreateView(view) = &parsed[0].statement else { panic!("a view") };
    assert_eq!(view.query.text, "SELECT 'ü' AS a, ts -- say\n FROM bids");
    let (query, emit) = crate::parse::parse_query(&view.query.text).expect("it parses again");
    assert_eq!((query.to_string(), emit), (view.query.query.to_string(), None));
    assert_eq!(crate::parse::parse_expression("ts - INTERVAL '1' SECOND").expect("it parses").to_string(), "ts - INTERVAL '1' SECOND");
}
