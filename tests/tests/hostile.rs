//! Data and SQL that nobody should send: errors or counted rows, never a panic, a crash or a hang.

use std::sync::Arc;

use millstream::{Error, Session};
use millstream_testkit::{Random, TestData};

use crate::harness;

async fn session() -> Session {
    harness::engine(&Arc::new(TestData::new()), harness::settings()).await.session()
}

/// Reads `bytes` as a file of a format; rows, then rejected rows.
async fn read(name: &str, bytes: &[u8], options: &str) -> Result<(Vec<String>, u64), Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let session = session().await;
    let create = format!("CREATE TABLE t (a BIGINT, b TEXT) WITH ('connector' = 'file', 'path' = '{}'{options})", path.display());
    session.execute(&create).await?;
    let mut query = session.query("SELECT a, b FROM t").await?;
    let mut rows = Vec::new();
    while let Some(batch) = harness::patiently(name, query.next()).await {
        rows.extend(harness::text(&[batch?]));
    }
    Ok((rows, query.status().rejected_rows))
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_decode_fail_or_are_counted() {
    let json = b"{\"a\": 1, \"b\": \"x\"}\n{\"a\": \"no number\", \"b\": \"y\"}\n{broken\n{\"a\": 4, \"b\": \"z\"}\n";
    let error = read("bad.json", json, "").await.unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
    let (rows, rejected) = read("bad.json", json, ", 'bad_rows' = 'skip'").await.unwrap();
    assert_eq!((rows, rejected), (vec!["1|x".to_owned(), "4|z".to_owned()], 2));
    let csv = b"a,b\n1,x\ntwo,y\n3,z\n";
    let error = read("bad.csv", csv, "").await.unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("two"), "{error}");
    let (rows, rejected) = read("bad.csv", csv, ", 'bad_rows' = 'skip'").await.unwrap();
    assert_eq!((rows, rejected), (vec!["1|x".to_owned(), "3|z".to_owned()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_utf8_is_a_bad_row() {
    for (name, bytes) in
        [("bad.json", b"{\"a\": 1, \"b\": \"x\"}\n{\"a\": 2, \"b\": \"\xff\xfe\"}\n".as_slice()), ("bad.csv", b"a,b\n1,x\n2,\xff\xfe\n")]
    {
        let error = read(name, bytes, "").await.unwrap_err().to_string();
        assert!(error.to_lowercase().contains("utf"), "{name}: {error}");
        let (rows, rejected) = read(name, bytes, ", 'bad_rows' = 'skip'").await.unwrap();
        assert_eq!((rows, rejected), (vec!["1|x".to_owned()], 1), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupt_files_are_errors() {
    for (name, bytes) in [
        ("empty.parquet", b"".as_slice()),
        ("short.parquet", b"PAR1"),
        ("noise.parquet", b"PAR1 this is no parquet file at all PAR1"),
        ("absent_footer.parquet", b"PAR1\x00\x00\x00\x00\xff\xff\xff\x7fPAR1"),
    ] {
        let error = read(name, bytes, "").await.unwrap_err().to_string();
        assert!(error.contains(name) || error.to_lowercase().contains("parquet"), "{name}: {error}");
    }
}

/// Whatever bytes a file holds, reading it ends.
#[tokio::test(flavor = "multi_thread")]
async fn noise_ends_in_rows_or_an_error() {
    let mut random = Random::new(20_240_601);
    for round in 0..60 {
        let length = random.below(400);
        let alphabet = b"{}[]\",:\n\r\\ab01\0\xff\xc3\xa9-e.\t";
        let bytes: Vec<u8> = (0..length)
            .map(|_| if random.chance(70) { alphabet[random.below(alphabet.len())] } else { random.number().to_le_bytes()[0] })
            .collect();
        for name in ["noise.json", "noise.csv", "noise.parquet"] {
            for options in ["", ", 'bad_rows' = 'skip'"] {
                if let Err(error) = read(name, &bytes, options).await {
                    assert!(!error.to_string().contains("panic"), "round {round}, {name}: {error}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_statements_give_rows_or_an_error() {
    let session = session().await;
    session
        .execute("CREATE TABLE t (a BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts) WITH ('connector' = 'datagen', 'number-of-rows' = '3')")
        .await
        .unwrap();
    let terms = |operator: &str| vec!["a = a"; 10_000].join(operator);
    let nested = |depth: usize| format!("SELECT {}1{} FROM t", "(".repeat(depth), ")".repeat(depth));
    let statements = [
        format!("SELECT {} FROM t", vec!["a"; 10_000].join(" + ")),
        format!("SELECT a FROM t WHERE {}", terms(" OR ")),
        format!("SELECT a FROM t WHERE {}", terms(" AND ")),
        format!("SELECT a FROM t WHERE a IN ({})", vec!["1"; 10_000].join(", ")),
        format!("SELECT {} FROM t", vec!["a"; 2_000].join(", ")),
        format!("SELECT CASE {} END FROM t", "WHEN a = 1 THEN 2 ".repeat(5_000)),
        nested(10_000),
        format!("SELECT {}a FROM t", "-".repeat(9_999)),
        format!("SELECT {}true", "NOT ".repeat(10_000)),
        format!("SELECT a FROM {}t{}", "(SELECT a FROM ".repeat(3_000), ") AS x".repeat(3_000)),
        vec!["SELECT a FROM t"; 2_000].join(" UNION ALL "),
        format!("SELECT '{}'", "x".repeat(5_000_000)),
        format!("SELECT window_start, count(*) FROM TUMBLE(t, ts, INTERVAL '{}' SECOND) GROUP BY window_start", "9".repeat(500)),
    ];
    for sql in statements {
        let shown: String = sql.chars().take(60).collect();
        match harness::batches(&session, &sql).await {
            Ok(_) => {}
            Err(error) => {
                assert!(!error.to_string().is_empty() && error.to_string().len() < 4_000, "{shown}: {} bytes", error.to_string().len())
            }
        }
    }
}

/// Statements made of pieces of good ones.
#[tokio::test(flavor = "multi_thread")]
async fn shuffled_statements_do_not_panic() {
    let session = session().await;
    session
        .execute("CREATE TABLE t (a BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts) WITH ('connector' = 'datagen', 'number-of-rows' = '3')")
        .await
        .unwrap();
    let words: Vec<&str> = "SELECT a , count ( * ) FROM TUMBLE ( t , ts , INTERVAL '1' SECOND ) AS w GROUP BY window_start HAVING a > 1 ORDER BY a LIMIT 3 TABLE ( HOP ( TABLE t , DESCRIPTOR ( ts ) , INTERVAL '1' SECOND , INTERVAL '2' SECOND ) ) WITH x AS ( SELECT 1 ) UNION ALL CREATE VIEW v EMIT ON WINDOW CLOSE WATERMARK FOR ; DROP SHOW DESCRIBE EXPLAIN"
        .split(' ')
        .collect();
    let mut random = Random::new(7);
    for _ in 0..2_000 {
        let length = 1 + random.below(25);
        let start = random.below(words.len());
        let sql: Vec<&str> = (0..length)
            .map(|place| if random.chance(80) { words[(start + place) % words.len()] } else { words[random.below(words.len())] })
            .collect();
        let sql = sql.join(" ");
        // Whether it is accepted does not matter.
        let _ = harness::patiently(&sql, session.execute(&sql)).await;
    }
}
