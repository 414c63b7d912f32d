//! Corners of the protocol.

use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::Type;

use crate::raw::{Raw, error_state, kinds};
use crate::{TestServer, state};

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_as_they_went() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client
        .batch_execute(
            "CREATE TABLE t (id BIGINT NOT NULL, name TEXT, score DOUBLE PRECISION, small SMALLINT, ok BOOLEAN, raw BYTEA, tags TEXT[])",
        )
        .await
        .unwrap();
    let insert = "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let tags: Vec<Option<String>> = vec![Some("a\"b".to_owned()), None];
    let values = client.execute(insert, &[&7_i64, &Some("it's"), &0.1_f64, &3_i16, &true, &vec![0_u8, 255], &tags]).await.unwrap();
    assert_eq!(values, 1);
    let row = client.query_one("SELECT * FROM t WHERE id = $1 AND name <> $2", &[&7_i64, &"other"]).await.unwrap();
    assert_eq!(row.get::<_, i64>("id"), 7);
    assert_eq!(row.get::<_, &str>("name"), "it's");
    assert_eq!((row.get::<_, f64>("score"), row.get::<_, i16>("small"), row.get::<_, bool>("ok")), (0.1, 3, true));
    assert_eq!(row.get::<_, Vec<u8>>("raw"), [0, 255]);
    assert_eq!(row.get::<_, Vec<Option<String>>>("tags"), tags);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_have_the_types_of_what_they_meet() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client.batch_execute("CREATE TABLE t (auction BIGINT, at TIMESTAMPTZ, price NUMERIC(10,2))").await.unwrap();
    for (sql, types) in [
        ("SELECT * FROM t WHERE auction = $1", vec![Type::INT8]),
        ("SELECT auction FROM t WHERE at BETWEEN $1 AND $2 LIMIT $3", vec![Type::TIMESTAMPTZ, Type::TIMESTAMPTZ, Type::INT8]),
        ("SELECT auction FROM t WHERE auction = ANY($1)", vec![Type::INT8_ARRAY]),
        ("SELECT $1", vec![Type::TEXT]),
        ("SELECT $1::int + 1, lower($2)", vec![Type::INT4, Type::TEXT]),
        ("INSERT INTO t (price, auction) VALUES ($1, $2)", vec![Type::NUMERIC, Type::INT8]),
    ] {
        let statement = client.prepare(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(statement.params(), types, "{sql}");
    }
    assert_eq!(state(&client.prepare("SELECT $1 IS NULL").await.unwrap_err()), "42P18");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_their_states() {
    let server = TestServer::start().await;
    let client = server.client().await;
    for (sql, expected) in [
        ("SELEC 1", "42601"),
        ("SELECT 'x", "42601"),
        ("SELECT * FROM nope", "42P01"),
        ("SELECT nope FROM pg_class", "42703"),
        ("SELECT nope(1)", "42883"),
        ("SELECT 1/0", "22012"),
        ("SET nonsense = 1", "42704"),
        ("FETCH 1 FROM c", "34000"),
        ("EXECUTE nothing", "26000"),
        ("DECLARE c CURSOR FOR SELECT 1", "25P01"),
        ("CREATE TABLE f (a BIGINT) WITH ('connector' = 'file', 'path' = '/etc/passwd', 'format' = 'csv')", "42501"),
        ("COPY pg_class TO '/tmp/x'", "42501"),
        ("SELECT * FROM missing.t", "42P01"),
    ] {
        let error = client.simple_query(sql).await.expect_err(sql);
        assert_eq!(state(&error), expected, "{sql}: {error:?}");
    }
    let error = client.simple_query("SELECT 1;\n  SELECT nope FROM pg_class").await.unwrap_err();
    let position = error.as_db_error().unwrap().position().cloned();
    assert_eq!(position, Some(tokio_postgres::error::ErrorPosition::Original(20)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_show_their_state() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::session(server.port()).await;
    let mut last = async |sql: &str| raw.query(sql).await.pop().unwrap().1[0];
    assert_eq!(last("BEGIN").await, b'T');
    assert_eq!(last("SAVEPOINT a").await, b'T');
    assert_eq!(last("SELECT nope").await, b'E');
    assert_eq!(last("SELECT 1").await, b'E');
    assert_eq!(last("ROLLBACK TO SAVEPOINT a").await, b'T');
    assert_eq!(last("COMMIT").await, b'I');
    assert_eq!(last("BEGIN READ ONLY; CREATE TABLE t (a BIGINT)").await, b'E');
    assert_eq!(last("END").await, b'I');
    assert_eq!(error_state(&raw.query("BEGIN; SELECT nope; SELECT 1").await).as_deref(), Some("42703"));
    assert_eq!(error_state(&raw.query("SELECT 1").await).as_deref(), Some("25P02"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_texts_have_many_statements_or_none() {
    let server = TestServer::start().await;
    let (mut raw, greeting) = Raw::session(server.port()).await;
    assert!(kinds(&greeting).starts_with('R') && kinds(&greeting).ends_with("KZ"), "{}", kinds(&greeting));
    assert_eq!(kinds(&raw.query("SELECT 1; SELECT 2 WHERE false;").await), "TDCTCZ");
    assert_eq!(kinds(&raw.query(" ; -- nothing\n;").await), "IZ");
    assert_eq!(kinds(&raw.query("SELECT 1; SELEC 2").await), "EZ", "nothing runs of a text that does not parse");
    assert_eq!(kinds(&raw.query("SELECT 1; SELECT nope; SELECT 3").await), "TDCEZ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn portals_stop_at_their_limit() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::session(server.port()).await;
    let sql = b"\0SELECT a FROM (VALUES (1), (2), (3), (4), (5)) AS t(a)\0\0\0";
    raw.message(b'P', sql).await;
    raw.message(b'B', b"p\0\0\0\0\0\0\0\0").await;
    raw.message(b'D', b"Pp\0").await;
    for _ in 0..3 {
        raw.message(b'E', b"p\0\0\0\0\x02").await;
    }
    raw.message(b'S', b"").await;
    assert_eq!(kinds(&raw.until_ready().await), "12TDDsDDsDCZ");
    // After an error everything up to Sync is skipped.
    raw.message(b'B', b"\0nope\0\0\0\0\0\0\0").await;
    raw.message(b'E', b"\0\0\0\0\0").await;
    raw.message(b'S', b"").await;
    assert_eq!(kinds(&raw.until_ready().await), "EZ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_at_once_and_cancel_ends_them() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client
        .batch_execute(
            "CREATE TABLE slow (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '20');
         SET execution_mode = 'streaming'",
        )
        .await
        .unwrap();
    let cancel = client.cancel_token();
    let rows = client.query_raw("SELECT n FROM slow", Vec::<i64>::new()).await.unwrap();
    let mut rows = std::pin::pin!(rows);
    for _ in 0..3 {
        rows.next().await.unwrap().unwrap();
    }
    #[expect(clippy::disallowed_methods, reason = "it is the time that is tested")]
    let asked = Instant::now();
    cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
    let error = loop {
        match rows.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the query ended by itself"),
        }
    };
    assert_eq!(state(&error), "57014");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    client.batch_execute("SET statement_timeout = '100ms'").await.unwrap();
    assert_eq!(state(&client.simple_query("SELECT n FROM slow").await.unwrap_err()), "57014");
    client.batch_execute("RESET statement_timeout; SELECT 1").await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_copied_in_and_out() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client.batch_execute("CREATE TABLE t (id BIGINT, name TEXT)").await.unwrap();
    let sink = client.copy_in("COPY t FROM STDIN").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    futures::SinkExt::send(&mut sink, bytes::Bytes::from_static(b"1\ta\\tb\n2\t\\N\n")).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 2);
    let out: Vec<_> = client.copy_out("COPY (SELECT * FROM t ORDER BY id) TO STDOUT (FORMAT csv, HEADER)").await.unwrap().collect().await;
    let text: Vec<u8> = out.into_iter().flat_map(|part| part.unwrap().to_vec()).collect();
    assert_eq!(String::from_utf8(text).unwrap(), "id,name\n1,a\tb\n2,\n");
    let out: Vec<_> = client.copy_out("COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE (name), NULL '-')").await.unwrap().collect().await;
    let text: Vec<u8> = out.into_iter().flat_map(|part| part.unwrap().to_vec()).collect();
    assert_eq!(String::from_utf8(text).unwrap(), "1,\"a\tb\"\n2,-\n");
    let sink = client.copy_in("COPY t FROM STDIN (FORMAT csv, HEADER match)").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    futures::SinkExt::send(&mut sink, bytes::Bytes::from_static(b"id,other\n3,c\n")).await.unwrap();
    assert_eq!(state(&sink.finish().await.unwrap_err()), "22P04");
    // All rows or none.
    let sink = client.copy_in("COPY t FROM STDIN").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    futures::SinkExt::send(&mut sink, bytes::Bytes::from_static(b"3\tc\nx\td\n")).await.unwrap();
    assert_eq!(state(&sink.finish().await.unwrap_err()), "22P02");
    assert_eq!(client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_kept_shown_and_reset() {
    let server = TestServer::start().await;
    let client = server.client().await;
    let show = async |name: &str| match client.simple_query(&format!("SHOW {name}")).await.unwrap().into_iter().nth(1) {
        Some(SimpleQueryMessage::Row(row)) => row.get(0).unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    client.batch_execute("SET application_name = 'x'; SET my.own = '1'; SET TIME ZONE 'Asia/Kolkata'").await.unwrap();
    assert_eq!(
        (show("application_name").await, show("my.own").await, show("timezone").await),
        ("x".into(), "1".into(), "Asia/Kolkata".into())
    );
    client.batch_execute("BEGIN; SET LOCAL timezone = 'UTC'; COMMIT").await.unwrap();
    assert_eq!(show("TimeZone").await, "Asia/Kolkata");
    client.batch_execute("DISCARD ALL").await.unwrap();
    assert_eq!(show("timezone").await, "UTC");
    assert_eq!(show("server_version_num").await, "150000");
    server.stop().await;
}
