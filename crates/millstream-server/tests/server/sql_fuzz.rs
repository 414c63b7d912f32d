//! SQL that nobody writes, through the wire: every text gets an answer, and everybody else goes on.
//!
//! `MILLSTREAM_FUZZ_SECONDS=60` makes the random parts run for so long, `MILLSTREAM_FUZZ_SEED=7` begins elsewhere, and
//! `MILLSTREAM_TEXT_MB=16` is how long a text is that is as long as may be, `MILLSTREAM_ANSWER_SECONDS=5` is how long an answer may take (a debug build on a busy machine is slow).

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use millstream_sql::parse::DEEP_STACK_BYTES;

use crate::TestServer;
use crate::raw::{Answer, Raw, error_state};

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(number: u64) -> Self {
        let seed: u64 = std::env::var("MILLSTREAM_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        eprintln!("MILLSTREAM_FUZZ_SEED={seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % end.max(1)
    }

    pub(crate) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 24) as u8).collect()
    }
}

/// Runs a test on a runtime as the program's: planning is deep.
fn on_deep_stacks(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).thread_stack_size(DEEP_STACK_BYTES).enable_all();
    runtime.build().unwrap().block_on(test);
}

/// Counts panics of the server's threads from now on.
pub(crate) fn panics() -> &'static AtomicUsize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some("tokio-rt-worker") {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
    });
    &PANICS
}

/// How long a random part runs: so many rounds, or as long as the environment says.
pub(crate) fn goes_on(round: usize, usual: usize, since: Instant) -> bool {
    match std::env::var("MILLSTREAM_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse::<u64>().ok()) {
        Some(seconds) => since.elapsed() < Duration::from_secs(seconds),
        None => round < usual,
    }
}

/// The answer to a text, within the time that there is.
async fn answer(raw: &mut Raw, sql: &[u8]) -> Vec<Answer> {
    let seconds = std::env::var("MILLSTREAM_ANSWER_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(120);
    let shown: String = String::from_utf8_lossy(sql).chars().take(200).collect();
    let asked = async {
        raw.message(b'Q', &[sql, b"\0"].concat()).await;
        raw.until_ready().await
    };
    match tokio::time::timeout(Duration::from_secs(seconds), asked).await {
        Ok(answers) => {
            let ended = answers.last().map(|(kind, _)| *kind);
            assert_eq!(ended, Some(b'Z'), "the connection has gone: {shown}");
            answers
        }
        Err(_) => panic!("no answer after {seconds} s: {shown}"),
    }
}

/// An error is told with a state that says whose it is; `XX000` would be ours.
fn check(answers: &[Answer], shown: &str, wrong: &mut Vec<String>) {
    if let Some(state) = error_state(answers)
        && (state.len() != 5 || state == "XX000")
    {
        wrong.push(format!("{state} for {shown}: {}", message(answers)));
    }
}

fn nothing_wrong(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn message(answers: &[Answer]) -> String {
    answers.iter().filter(|(kind, _)| *kind == b'E').map(|(_, body)| String::from_utf8_lossy(body).replace('\0', " ")).collect()
}

const TABLES: &str = "CREATE TABLE t (a BIGINT, b TEXT, c DOUBLE PRECISION, d TIMESTAMP, e BOOLEAN, f NUMERIC(10, 2), g TEXT[]);
    INSERT INTO t VALUES (1, 'x', 0.5, '2026-01-01', true, 1.25, ARRAY['p', 'q']), (NULL, NULL, NULL, NULL, NULL, NULL, NULL), (3, '', -1, '1999-12-31', false, 0, ARRAY[]::TEXT[]);
    CREATE VIEW v AS SELECT a, count(*) AS n FROM t GROUP BY a";

/// Texts of a shape: how it begins, what is repeated, how it ends.
fn repeated(begins: &str, piece: &str, times: usize, ends: &str) -> String {
    format!("{begins}{}{ends}", piece.repeat(times))
}

#[test]
fn chains_and_nests_of_any_length_get_an_answer() {
    on_deep_stacks(chains_and_nests());
}

async fn chains_and_nests() {
    let panics = panics();
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::session(server.port()).await;
    answer(&mut raw, TABLES.as_bytes()).await;
    let mut slowest = (Duration::ZERO, String::new());
    let mut wrong = Vec::new();
    let terms = std::env::var("MILLSTREAM_CHAIN_TERMS").ok().and_then(|count| count.parse().ok()).unwrap_or(5_000);
    for times in [90, terms] {
        let nest = |open: &str, middle: &str, close: &str| format!("SELECT {}{middle}{}", open.repeat(times), close.repeat(times));
        let texts = [
            repeated("SELECT 1", " + 1", times, ""),
            repeated("SELECT a FROM t WHERE a = 1", " OR a = 1", times, ""),
            repeated("SELECT a FROM t WHERE e", " AND e", times, ""),
            repeated("SELECT 'x'", " || b", times, " FROM t"),
            repeated("SELECT 1", " UNION ALL SELECT 1", times, ""),
            repeated("SELECT 1", " EXCEPT SELECT 1", times, ""),
            repeated("SELECT a FROM t WHERE a IN (1", ", 1", times, ")"),
            repeated("SELECT 1", ", 1", times, ""),
            repeated("VALUES (1)", ", (1)", times, ""),
            repeated("INSERT INTO t (a) VALUES (1)", ", (1)", times, ""),
            repeated("SELECT CASE", " WHEN a = 1 THEN 2", times, " END FROM t"),
            repeated("SELECT * FROM t", ", t AS x", times, ""),
            repeated("SELECT * FROM t", " CROSS JOIN v", times, ""),
            repeated("SELECT 1", "::BIGINT", times, ""),
            repeated("SELECT e", " IS NULL", times, " FROM t"),
            repeated("SELECT d", " AT TIME ZONE 'UTC'", times, " FROM t"),
            repeated("SELECT g", "[1]", times, " FROM t"),
            repeated("SELECT ", "NOT ", times, "true"),
            repeated("SELECT ", "- ", times, "1"),
            repeated("SELECT 1 WHERE 1", " < 1", times, ""),
            repeated("SELECT 1", " BETWEEN 0 AND 2", times, ""),
            repeated("SELECT coalesce(1", ", 1", times, ")"),
            repeated("SELECT a FROM t ORDER BY a", ", a", times, ""),
            repeated("SELECT count(*) FROM t GROUP BY a", ", a", times, ""),
            repeated("WITH x0 AS (SELECT 1)", ", x AS (SELECT 1)", times, " SELECT 1"),
            repeated("SELECT 1", ";", times, ""),
            repeated("", "SELECT 1;", times.min(60), ""),
            repeated("SELECT a.a", ".a", times, ""),
            repeated("", "/* ", times, "SELECT 1"),
            repeated("SELECT 1 ", "-- x\n", times, ""),
            repeated("SELECT $$", "$x$", times, "$$"),
            repeated("SELECT '", "''", times, "'"),
            repeated("EXPLAIN ", "EXPLAIN ", times, "SELECT 1"),
            repeated("SELECT ", "ARRAY[", times, ""),
            nest("(", "1", ")"),
            nest("abs(", "1", ")"),
            nest("ARRAY[", "1", "]"),
            nest("CASE WHEN true THEN ", "1", " END"),
            nest("(SELECT ", "1", ")"),
            nest("a IN (", "1", ")"),
            nest("* FROM (SELECT ", "1", ") AS x"),
            nest("1 WHERE EXISTS (SELECT ", "1", ")"),
            format!("SELECT {}", "(".repeat(times)),
            format!("SELECT {}", ")".repeat(times)),
            format!("{}SELECT 1{}", "WITH x AS (".repeat(times), ") SELECT 1".repeat(times)),
            format!("CREATE TABLE made (a {}BIGINT{})", "ROW<a ".repeat(times), ">".repeat(times)),
            format!("CREATE TABLE made (a BIGINT{})", "[]".repeat(times)),
        ];
        for sql in texts {
            let began = Instant::now();
            let answers = answer(&mut raw, sql.as_bytes()).await;
            let shown = format!("{}… × {times}", sql.chars().take(70).collect::<String>());
            check(&answers, &shown, &mut wrong);
            if began.elapsed() > slowest.0 {
                slowest = (began.elapsed(), shown);
            }
            answer(&mut raw, b"DROP TABLE IF EXISTS made").await;
        }
    }
    eprintln!("the slowest took {:?}: {}", slowest.0, slowest.1);
    nothing_wrong(&wrong);
    assert_eq!(panics.load(Ordering::SeqCst), 0);
    server.stop().await;
}

#[test]
fn texts_as_long_as_they_may_be_get_an_answer() {
    on_deep_stacks(long_texts());
}

async fn long_texts() {
    let panics = panics();
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::session(server.port()).await;
    let megabytes: usize = std::env::var("MILLSTREAM_TEXT_MB").ok().and_then(|count| count.parse().ok()).unwrap_or(2);
    // With 16 just below what a message may have.
    let long = (megabytes << 20) - 100;
    let cases = [
        (format!("SELECT length('{}')", "x".repeat(long - 50)), None),
        (format!("SELECT 1 /* {} */", "x".repeat(long - 50)), None),
        (format!("SELECT {}", "x".repeat(long - 50)), Some("42703")),
        (format!("SELECT 1{}", " ".repeat(long - 50)), None),
        (format!("SELECT '{}", "x".repeat(long - 50)), Some("42601")),
        ("(".repeat(long), Some("54001")),
        ("é".repeat(long / 2), Some("42601")),
    ];
    for (sql, expected) in cases {
        let shown: String = sql.chars().take(30).collect();
        let began = Instant::now();
        let answers = answer(&mut raw, sql.as_bytes()).await;
        eprintln!("{shown}…: {:?}", began.elapsed());
        assert_eq!(error_state(&answers).as_deref(), expected, "{shown}: {:.300}", message(&answers));
        // What is told is no echo of it.
        assert!(message(&answers).len() < 10_000, "{shown}");
    }
    assert_eq!(panics.load(Ordering::SeqCst), 0);
    server.stop().await;
}

/// Statements that a grammar makes, most of them nonsense.
struct Grammar<'a>(&'a mut Dice);

impl Grammar<'_> {
    fn statement(&mut self) -> String {
        match self.0.below(20) {
            0 => format!("INSERT INTO t (a, b) {}", self.query(2)),
            1 => format!("EXPLAIN {}", self.query(2)),
            2 => format!("COPY ({}) TO STDOUT", self.query(2)),
            3 => format!("DECLARE c{} CURSOR FOR {}", self.0.below(9), self.query(1)),
            4 => format!("FETCH {} FROM c{}", self.0.below(5), self.0.below(9)),
            5 => self.0.one(&["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "DISCARD ALL", "RESET ALL"]).to_owned(),
            6 => format!("SHOW {}", self.0.one(&["TABLES", "PIPELINES", "ALL", "timezone", "nope", "CREATE TABLE t", "COLUMNS FROM v"])),
            7 => format!("SET {} = {}", self.0.one(&["timezone", "statement_timeout", "x.y", "datestyle", "nope"]), self.expression(1)),
            8 => format!("CREATE OR REPLACE VIEW w AS {}", self.query(2)),
            9 => format!("PREPARE p{} AS {}", self.0.below(5), self.query(1)),
            10 => format!("EXECUTE p{}({})", self.0.below(5), self.expression(1)),
            11 => format!("{}; {}", self.query(1), self.query(1)),
            _ => self.query(3),
        }
    }

    fn query(&mut self, depth: usize) -> String {
        let mut sql = String::new();
        if self.0.below(8) == 0 && depth > 0 {
            let _ = write!(sql, "WITH x AS ({}) ", self.query(depth - 1));
        }
        sql.push_str("SELECT ");
        if self.0.below(6) == 0 {
            sql.push_str("DISTINCT ");
        }
        for n in 0..1 + self.0.below(3) {
            let comma = if n > 0 { ", " } else { "" };
            let _ = write!(sql, "{comma}{}{}", self.expression(depth), self.0.one(&["", "", " AS a", " AS \"b c\"", " AS n"]));
        }
        if self.0.below(5) > 0 {
            let _ = write!(sql, " FROM {}", self.relation(depth));
        }
        for (word, chance) in [("WHERE", 2), ("GROUP BY", 4), ("HAVING", 9), ("ORDER BY", 4), ("LIMIT", 5), ("OFFSET", 9)] {
            if self.0.below(chance) == 0 {
                let _ = write!(sql, " {word} {}", self.expression(depth.saturating_sub(1)));
            }
        }
        if depth > 0 && self.0.below(8) == 0 {
            let _ = write!(sql, " {} {}", self.0.one(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]), self.query(depth - 1));
        }
        sql
    }

    fn relation(&mut self, depth: usize) -> String {
        match self.0.below(12) {
            0 if depth > 0 => format!("({}) AS s", self.query(depth - 1)),
            1 if depth > 0 => {
                let kind = self.0.one(&["JOIN", "LEFT JOIN", "FULL JOIN", "CROSS JOIN", "NATURAL JOIN"]);
                format!("{} {kind} {} ON {}", self.relation(depth - 1), self.relation(depth - 1), self.expression(depth - 1))
            }
            2 => "generate_series(1, 3) AS g (a)".to_owned(),
            3 => self
                .0
                .one(&["pg_class", "pg_type", "information_schema.columns", "pg_catalog.pg_namespace", "nope", "pipelines()"])
                .to_owned(),
            4 => format!("TUMBLE(t, d, INTERVAL {})", self.0.one(&["'1 second'", "'-1 second'", "'x'", "1"])),
            5 => "UNNEST(ARRAY[1, 2]) AS u (a)".to_owned(),
            _ => self.0.one(&["t", "v", "t AS x", "public.t", "w"]).to_owned(),
        }
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 || self.0.below(3) == 0 {
            return self.atom();
        }
        let next = depth - 1;
        match self.0.below(14) {
            0..4 => {
                let operator = self.0.one(&[
                    "+",
                    "-",
                    "*",
                    "/",
                    "%",
                    "=",
                    "<>",
                    "<",
                    ">=",
                    "AND",
                    "OR",
                    "||",
                    "~",
                    "LIKE",
                    "->>",
                    "IS DISTINCT FROM",
                    "#",
                    "^",
                ]);
                format!("({} {operator} {})", self.expression(next), self.expression(next))
            }
            4 => format!("CASE WHEN {} THEN {} ELSE {} END", self.expression(next), self.expression(next), self.expression(next)),
            5 => {
                let kind = self.0.one(&[
                    "BIGINT",
                    "INT",
                    "SMALLINT",
                    "TEXT",
                    "NUMERIC(5, 2)",
                    "TIMESTAMP",
                    "DATE",
                    "INTERVAL",
                    "BOOLEAN",
                    "BYTEA",
                    "JSONB",
                    "TEXT[]",
                    "regclass",
                    "UUID",
                    "TIME",
                    "nope",
                ]);
                format!("CAST({} AS {kind})", self.expression(next))
            }
            6 => format!("{} IN ({}, {})", self.expression(next), self.expression(next), self.expression(next)),
            7 => format!("({})", self.query(next)),
            8 => format!("{} BETWEEN {} AND {}", self.expression(next), self.expression(next), self.expression(next)),
            9 => format!("{} IS {}NULL", self.expression(next), self.0.one(&["", "NOT "])),
            10 => format!("ARRAY[{}, {}]", self.expression(next), self.expression(next)),
            11 => format!("row_number() OVER (PARTITION BY {} ORDER BY {})", self.expression(next), self.expression(next)),
            _ => {
                let function = self.0.one(&[
                    "abs",
                    "length",
                    "count",
                    "sum",
                    "max",
                    "avg",
                    "upper",
                    "substr",
                    "date_trunc",
                    "extract",
                    "to_char",
                    "now",
                    "coalesce",
                    "nullif",
                    "pg_get_userbyid",
                    "format_type",
                    "array_agg",
                    "string_agg",
                    "regexp_replace",
                    "lpad",
                    "repeat",
                    "chr",
                    "to_timestamp",
                    "nope",
                    "current_setting",
                    "pg_typeof",
                    "array_to_string",
                    "split_part",
                    "json_build_object",
                    "date_part",
                    "round",
                    "power",
                    "ln",
                    "generate_series",
                ]);
                let arguments: Vec<String> = (0..self.0.below(4)).map(|_| self.expression(next)).collect();
                format!("{function}({})", arguments.join(", "))
            }
        }
    }

    fn atom(&mut self) -> String {
        self.0
            .one(&[
                "a",
                "b",
                "c",
                "d",
                "e",
                "f",
                "g",
                "*",
                "t.a",
                "nope",
                "NULL",
                "true",
                "0",
                "1",
                "-1",
                "9223372036854775807",
                "-9223372036854775808",
                "99999999999999999999999999999999999999",
                "1e308",
                "1e-400",
                "'NaN'",
                "''",
                "'x'",
                "'2026-01-01'",
                "'0001-01-01'",
                "'infinity'",
                "'\\x00'",
                "INTERVAL '1 day'",
                "INTERVAL '1000000000 years'",
                "DATE '9999-12-31'",
                "TIMESTAMP '2026-01-01'",
                "ARRAY[]::BIGINT[]",
                "$1",
                "E'\\n'",
                "'{}'",
                "'é\u{1f980}'",
                "x'ff'",
                "current_user",
                "1.5",
                "('a')::text",
                "U&'\\0041'",
            ])
            .to_owned()
    }
}

#[test]
fn statements_of_a_grammar_get_an_answer() {
    on_deep_stacks(made_statements());
}

async fn made_statements() {
    let panics = panics();
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::session(server.port()).await;
    answer(&mut raw, TABLES.as_bytes()).await;
    answer(&mut raw, b"SET statement_timeout = '20s'").await;
    let mut dice = Dice::new(16);
    let (began, mut round, mut rows, mut wrong) = (Instant::now(), 0, 0, Vec::new());
    while goes_on(round, 400, began) {
        round += 1;
        let mut sql = Grammar(&mut dice).statement();
        // `repeat('x', 99999999999)` and the like ask for more memory than there is.
        sql = sql.replace("repeat(", "length(").replace("lpad(", "length(").replace("generate_series(9", "abs(9");
        let answers = answer(&mut raw, sql.as_bytes()).await;
        check(&answers, &sql, &mut wrong);
        rows += usize::from(answers.iter().any(|(kind, _)| *kind == b'D'));
        assert_eq!(panics.load(Ordering::SeqCst), 0, "{sql}");
        if answers.iter().any(|(kind, body)| *kind == b'Z' && body != b"I") {
            answer(&mut raw, b"ROLLBACK").await;
        }
    }
    eprintln!("{round} statements, {rows} gave rows");
    nothing_wrong(&wrong);
    assert!(rows * 60 > round, "the grammar makes nothing that works: {rows} of {round}");
    server.stop().await;
}

#[test]
fn statements_with_bytes_changed_get_an_answer() {
    on_deep_stacks(changed_statements());
}

async fn changed_statements() {
    let panics = panics();
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::session(server.port()).await;
    answer(&mut raw, TABLES.as_bytes()).await;
    let statements = include_str!("../data/client_statements.sql");
    let statements: Vec<&str> =
        statements.lines().filter(|line| line.len() > 10 && !line.starts_with("--") && !line.starts_with("=>")).collect();
    let mut dice = Dice::new(17);
    let (began, mut round, mut wrong) = (Instant::now(), 0, Vec::new());
    while goes_on(round, 250, began) {
        round += 1;
        let mut bytes = dice.one(&statements).as_bytes().to_vec();
        for _ in 0..1 + dice.below(4) {
            let at = dice.below(bytes.len());
            match dice.below(5) {
                0 => bytes[at] = 1 + (dice.next() >> 24) as u8 % 255,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, *dice.one(&[&b'\'', &b'"', &b'(', &b')', &b'$', &b';', &0xff, &0xc3, &b'-', &b'\\'])),
                3 => bytes.truncate(at.max(1)),
                _ => {
                    let piece = bytes[at..(at + dice.below(30)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes.retain(|byte| *byte != 0);
        let answers = answer(&mut raw, &bytes).await;
        check(&answers, &String::from_utf8_lossy(&bytes), &mut wrong);
        assert_eq!(panics.load(Ordering::SeqCst), 0, "{}", String::from_utf8_lossy(&bytes));
    }
    nothing_wrong(&wrong);
    server.stop().await;
}
