//! Plans and messages as people read them, compared with files under `golden/`. `UPDATE_GOLDEN=1` writes them anew.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use millstream::Session;
use millstream_testkit::TestData;

use crate::harness;

const TABLES: &str = "
CREATE TABLE bids (auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, ts TIMESTAMP(3), proc AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '4' SECOND)
WITH ('connector' = 'datagen');
CREATE TABLE auctions (id BIGINT, seller BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts) WITH ('connector' = 'datagen');
CREATE TABLE past (auction BIGINT, price BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts) WITH ('connector' = 'file', 'path' = 'slt/data/bids.csv');
CREATE TABLE timeless (auction BIGINT, ts TIMESTAMP(3)) WITH ('connector' = 'datagen');
CREATE TABLE out (n BIGINT) WITH ('connector' = 'blackhole');
";

async fn session() -> Session {
    let session = harness::engine(&Arc::new(TestData::new()), harness::settings()).await.session();
    session.execute(TABLES).await.unwrap();
    session
}

/// Compares text with a file of this folder's `golden/`.
fn check(name: &str, got: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, got).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(expected == got, "{name} differs (UPDATE_GOLDEN=1 writes it anew):\n--- expected\n{expected}\n--- got\n{got}");
}

/// Each file holds one query and its plan.
const PLANS: &[(&str, &str)] = &[
    ("filter", "SELECT auction, price * 2 AS twice FROM bids WHERE price > 100"),
    (
        "tumble",
        "SELECT window_start, auction, count(*) AS n, avg(price) FROM TUMBLE(bids, ts, INTERVAL '10' SECOND) WHERE channel = 'web' GROUP BY window_start, window_end, auction HAVING count(*) > 1",
    ),
    ("hop", "SELECT window_end, max(price) FROM HOP(bids, ts, INTERVAL '3' SECOND, INTERVAL '10' SECOND) GROUP BY window_end"),
    ("processing_time", "SELECT window_start, count(*) FROM TUMBLE(bids, proc, INTERVAL '1' SECOND) GROUP BY window_start"),
    (
        "cascade",
        "SELECT window_start, max(n) FROM TUMBLE((SELECT window_time AS at, auction, count(*) AS n FROM TUMBLE(bids, ts, INTERVAL '10' SECOND) GROUP BY window_time, auction), at, INTERVAL '1' MINUTE) GROUP BY window_start",
    ),
    (
        "join",
        "SELECT a.window_start, a.id, b.price FROM TUMBLE(auctions, ts, INTERVAL '10' SECOND) AS a LEFT JOIN TUMBLE(bids, ts, INTERVAL '10' SECOND) AS b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.id = b.auction",
    ),
    (
        "anti_join",
        "SELECT window_start, id FROM TUMBLE(auctions, ts, INTERVAL '10' SECOND) AS a WHERE NOT EXISTS (SELECT 1 FROM TUMBLE(bids, ts, INTERVAL '10' SECOND) AS b WHERE b.window_start = a.window_start AND b.auction = a.id)",
    ),
    (
        "top_n",
        "SELECT window_start, auction, price FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY price DESC) AS place FROM TUMBLE(bids, ts, INTERVAL '10' SECOND)) WHERE place <= 3",
    ),
    (
        "most_of_each_window",
        "WITH counts AS (SELECT window_start, window_end, auction, count(*) AS n FROM HOP(bids, ts, INTERVAL '2' SECOND, INTERVAL '10' SECOND) GROUP BY window_start, window_end, auction) SELECT c.auction, c.n FROM counts AS c JOIN (SELECT window_start, window_end, max(n) AS most FROM counts GROUP BY window_start, window_end) AS m ON c.window_start = m.window_start AND c.window_end = m.window_end AND c.n = m.most",
    ),
    (
        "union",
        "SELECT window_start, count(*) FROM TUMBLE((SELECT ts FROM bids UNION ALL SELECT ts FROM auctions), ts, INTERVAL '10' SECOND) GROUP BY window_start",
    ),
    (
        "ordered_and_limited",
        "SELECT window_start, count(*) FROM TUMBLE(bids, ts, INTERVAL '10' SECOND) GROUP BY window_start ORDER BY window_start LIMIT 5",
    ),
    ("end_of_input", "SELECT auction, sum(price) FROM past GROUP BY auction ORDER BY auction"),
    ("with_a_table", "SELECT b.price, n.name FROM bids AS b JOIN (VALUES (1, 'one'), (3, 'three')) AS n(id, name) ON n.id = b.auction"),
    ("bounded", "SELECT 1 + 1 AS two"),
];

#[tokio::test(flavor = "multi_thread")]
async fn plans_read_as_before() {
    let session = session().await;
    let mut wrong = Vec::new();
    for (name, sql) in PLANS {
        let plan = harness::ordered_rows(&session, &format!("EXPLAIN {sql}")).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let text = format!("{sql}\n\n{}\n", plan.join("\n"));
        let checked = std::panic::catch_unwind(|| check(&format!("explain/{name}.txt"), &text));
        wrong.extend(checked.err().map(|_| *name));
        harness::ordered_rows(&session, &format!("EXPLAIN VERBOSE {sql}")).await.unwrap_or_else(|error| panic!("verbose, {sql}: {error}"));
    }
    assert!(wrong.is_empty(), "plans differ: {wrong:?}");
}

/// Statements that are wrong, by subject: each file holds them with their messages.
const WRONG: &[(&str, &[&str])] = &[
    (
        "syntax",
        &[
            "SELEC 1",
            "SELECT FROM WHERE",
            "SELECT 'open",
            "SELECT (1",
            "CREATE TABLE",
            "CREATE TABLE t (a BIGINT",
            "INSERT INTO",
            "SELECT * FROM bids WHERE",
            "\u{1f980} \u{0}",
            "EXPLAIN DROP TABLE bids",
            "SELECT 1; SELECT",
            "CREATE TABLE t (a BIGNIT) WITH ('connector' = 'datagen')",
        ],
    ),
    (
        "names",
        &[
            "SELECT prise FROM bids",
            "SELECT * FROM bid",
            "SELECT cuont(*) FROM bids",
            "SELECT b.nothing FROM bids AS b",
            "INSERT INTO nowhere SELECT auction FROM bids",
            "SELECT auction FROM bids AS a JOIN auctions AS b ON a.auction = b.id WHERE ts > now()",
            "CREATE TABLE t (a BIGINT) WITH ('connector' = 'kafak')",
            "CREATE TABLE t (a BIGINT) WITH ('connector' = 'datagen', 'rows_per_secnd' = '3')",
            "CREATE TABLE t (a BIGINT) WITH ('connector' = 'datagen', 'rate' = 'fast')",
            "CREATE TABLE t (a BIGINT, a BIGINT) WITH ('connector' = 'datagen')",
            "CREATE TABLE t (a TIMESTAMP(3), WATERMARK FOR a)",
            "DROP TABLE nothing",
        ],
    ),
    (
        "types",
        &[
            "SELECT price + channel FROM bids WHERE price = 'x' + 1",
            "SELECT sum(channel) FROM past_text",
            "SELECT window_start, sum(channel) FROM TUMBLE(bids, ts, INTERVAL '10' SECOND) GROUP BY window_start",
            "SELECT * FROM bids WHERE price",
            "SELECT CAST(channel AS NOTHING) FROM bids",
            "SELECT abs(channel, 1, 2) FROM bids",
            "INSERT INTO out SELECT channel, price FROM bids",
            "CREATE TABLE t (a TEXT, WATERMARK FOR a) WITH ('connector' = 'datagen')",
            "CREATE TABLE t (a BIGINT, WATERMARK FOR b) WITH ('connector' = 'datagen')",
            "CREATE TABLE t (a BIGINT, b AS nothing + 1) WITH ('connector' = 'datagen')",
        ],
    ),
    (
        "windows",
        &[
            "SELECT window_start FROM TUMBLE(bids, ts, INTERVAL '0' SECOND) GROUP BY window_start",
            "SELECT window_start FROM TUMBLE(bids, ts, INTERVAL '-10' SECOND) GROUP BY window_start",
            "SELECT window_start FROM TUMBLE(bids, ts, INTERVAL '1' MONTH) GROUP BY window_start",
            "SELECT window_start FROM TUMBLE(bids, ts, 10) GROUP BY window_start",
            "SELECT window_start FROM TUMBLE(bids, ts) GROUP BY window_start",
            "SELECT window_start FROM HOP(bids, ts, INTERVAL '20' SECOND, INTERVAL '10' SECOND) GROUP BY window_start",
            "SELECT window_start FROM TUMBLE(bids, price, INTERVAL '10' SECOND) GROUP BY window_start",
            "SELECT window_start FROM TUMBLE(bids, nothing, INTERVAL '10' SECOND) GROUP BY window_start",
            "SELECT window_start FROM TUMBLE(nothing, ts, INTERVAL '10' SECOND) GROUP BY window_start",
            "SELECT window_start FROM TUMBLE(timeless, ts, INTERVAL '10' SECOND) GROUP BY window_start",
            "SELECT window_start FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(ts), SIZZE => INTERVAL '10' SECOND)) GROUP BY window_start",
            "SELECT window_start FROM TABLE(SESSION(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start",
            "SELECT count(*) FROM bids GROUP BY TUMBLE(ts, INTERVAL '10' SECOND)",
        ],
    ),
    (
        "endless",
        &[
            "SELECT auction, count(*) FROM bids GROUP BY auction",
            "SELECT count(*) FROM bids",
            "SELECT auction FROM bids ORDER BY auction",
            "SELECT DISTINCT auction FROM bids",
            "SELECT a.auction FROM bids AS a JOIN auctions AS b ON a.auction = b.id",
            "SELECT rank() OVER (ORDER BY price) FROM bids",
            "SELECT auction FROM bids WHERE price > (SELECT max(price) FROM past)",
            "SELECT window_start, count(*) FROM TUMBLE(bids, ts, INTERVAL '10' SECOND) GROUP BY window_start EMIT EVERY INTERVAL '1' SECOND",
            "SELECT random() FROM TUMBLE(bids, ts, INTERVAL '10' SECOND) GROUP BY window_start, random()",
        ],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn messages_read_as_before() {
    let session = session().await;
    let mut differ = Vec::new();
    for (subject, statements) in WRONG {
        let mut text = String::new();
        for sql in *statements {
            let outcome = harness::patiently(sql, session.execute(sql)).await;
            let told = match outcome {
                Err(error) => format!("{} {:?}\n{error}", error.sqlstate(), error.kind()),
                Ok(_) => "is accepted".to_owned(),
            };
            write!(text, "{}\n{told}\n\n", sql.replace('\0', "\\0")).unwrap();
        }
        let checked = std::panic::catch_unwind(|| check(&format!("errors/{subject}.txt"), &text));
        differ.extend(checked.err().map(|_| *subject));
        assert!(!text.contains("is accepted"), "{text}");
        assert!(!text.contains("Internal"), "a bug is shown as one:\n{text}");
    }
    assert!(differ.is_empty(), "messages differ: {differ:?}");
}
