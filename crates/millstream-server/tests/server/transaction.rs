//! Transactions: rows that wait for COMMIT, and what is seen of others meanwhile.

use tokio_postgres::Client;

use crate::raw::{Raw, error_state, kinds};
use crate::{TestServer, state};

async fn count(client: &Client, table: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_there_with_the_commit_or_not_at_all() {
    let server = TestServer::start().await;
    let (writer, reader) = (server.client().await, server.client().await);
    writer
        .batch_execute("CREATE TABLE a (n BIGINT NOT NULL); CREATE TABLE b (n BIGINT); CREATE VIEW doubled AS SELECT n * 2 AS n FROM a")
        .await
        .unwrap();
    writer.batch_execute("BEGIN; INSERT INTO a VALUES (1), (2); INSERT INTO b SELECT n FROM a").await.unwrap();
    assert_eq!((count(&writer, "a").await, count(&writer, "b").await, count(&writer, "doubled").await), (2, 2, 2), "it sees its own rows");
    assert_eq!((count(&reader, "a").await, count(&reader, "b").await), (0, 0));
    writer.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!((count(&writer, "a").await, count(&writer, "b").await), (0, 0));
    writer.batch_execute("BEGIN; INSERT INTO a VALUES (1); SAVEPOINT s; INSERT INTO a VALUES (2), (3)").await.unwrap();
    assert_eq!(state(&writer.batch_execute("INSERT INTO a VALUES (NULL)").await.unwrap_err()), "23502");
    writer.batch_execute("ROLLBACK TO s; INSERT INTO a VALUES (4)").await.unwrap();
    let sink = writer.copy_in("COPY b FROM STDIN").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    futures::SinkExt::send(&mut sink, bytes::Bytes::from_static(b"7\n8\n")).await.unwrap();
    sink.finish().await.unwrap();
    assert_eq!(count(&reader, "b").await, 0);
    writer.batch_execute("COMMIT").await.unwrap();
    let rows: i64 = reader.query_one("SELECT sum(n)::bigint FROM a", &[]).await.unwrap().get(0);
    assert_eq!((rows, count(&reader, "b").await), (5, 2));
    // A table that another session drops meanwhile: the commit fails, and says so.
    writer.batch_execute("BEGIN; INSERT INTO b VALUES (1)").await.unwrap();
    reader.batch_execute("DROP TABLE b").await.unwrap();
    assert_eq!(state(&writer.batch_execute("COMMIT").await.unwrap_err()), "42P01");
    // One that it drops itself takes its rows along.
    writer.batch_execute("BEGIN; CREATE TABLE c (n BIGINT); INSERT INTO c VALUES (1); DROP TABLE c; COMMIT").await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_sees_one_moment_of_all_tables() {
    let server = TestServer::start().await;
    let (dashboard, writer) = (server.client().await, server.client().await);
    writer.batch_execute("CREATE TABLE a (n BIGINT); CREATE TABLE b (n BIGINT); CREATE VIEW v AS SELECT * FROM b").await.unwrap();
    let write = "BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); COMMIT";
    writer.batch_execute(write).await.unwrap();
    dashboard.batch_execute("BEGIN READ ONLY").await.unwrap();
    assert_eq!(count(&dashboard, "a").await, 1);
    writer.batch_execute(write).await.unwrap();
    assert_eq!((count(&dashboard, "v").await, count(&dashboard, "b").await), (1, 1), "as at the first statement");
    dashboard.batch_execute("COMMIT").await.unwrap();
    assert_eq!((count(&dashboard, "a").await, count(&dashboard, "v").await), (2, 2));
    // Who wants to see others' rows says so.
    dashboard.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED").await.unwrap();
    assert_eq!(count(&dashboard, "a").await, 2);
    writer.batch_execute(write).await.unwrap();
    assert_eq!(count(&dashboard, "a").await, 3);
    let level: String = dashboard.query_one("SELECT current_setting('transaction_isolation')", &[]).await.unwrap().get(0);
    assert_eq!(level, "read committed");
    assert_eq!(
        state(
            &dashboard
                .batch_execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT nope")
                .await
                .unwrap_err()
        ),
        "42703"
    );
    dashboard.batch_execute("ROLLBACK; SET default_transaction_isolation = 'read committed'; BEGIN").await.unwrap();
    assert_eq!(count(&dashboard, "b").await, 3);
    writer.batch_execute(write).await.unwrap();
    assert_eq!(count(&dashboard, "b").await, 4);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_one_message_or_up_to_sync_belong_together() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client.batch_execute("CREATE TABLE t (n BIGINT NOT NULL)").await.unwrap();
    assert_eq!(state(&client.batch_execute("INSERT INTO t VALUES (1); INSERT INTO t VALUES (NULL)").await.unwrap_err()), "23502");
    assert_eq!(count(&client, "t").await, 0);
    client.batch_execute("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").await.unwrap();
    let (mut raw, _) = Raw::session(server.port()).await;
    let mut insert = async |values: &[&str]| {
        for value in values {
            raw.message(b'P', format!("\0INSERT INTO t VALUES ({value})\0\0\0").as_bytes()).await;
            raw.message(b'B', b"\0\0\0\0\0\0\0\0").await;
            raw.message(b'E', b"\0\0\0\0\0").await;
        }
        raw.message(b'S', b"").await;
        raw.until_ready().await
    };
    let failed = insert(&["3", "NULL", "4"]).await;
    assert_eq!((kinds(&failed), error_state(&failed)), ("12C12EZ".to_owned(), Some("23502".to_owned())));
    assert_eq!(count(&client, "t").await, 2);
    assert_eq!(kinds(&insert(&["3", "4"]).await), "12C12CZ");
    assert_eq!(count(&client, "t").await, 4);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_returns_its_rows() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client.batch_execute("CREATE TABLE t (id BIGINT NOT NULL, name VARCHAR(20))").await.unwrap();
    let rows =
        client.query("INSERT INTO t (id, name) VALUES ($1, $2), (8, 'b') RETURNING id + 1 AS next, name", &[&7_i64, &"a"]).await.unwrap();
    let pairs: Vec<(i64, String)> = rows.iter().map(|row| (row.get("next"), row.get("name"))).collect();
    assert_eq!(pairs, [(8, "a".to_owned()), (9, "b".to_owned())]);
    client.batch_execute("BEGIN; INSERT INTO t VALUES (1, 'x') RETURNING *; ROLLBACK").await.unwrap();
    assert_eq!(count(&client, "t").await, 2);
    assert_eq!(state(&client.simple_query("INSERT INTO t VALUES (NULL, 'x') RETURNING id").await.unwrap_err()), "23502");
    assert_eq!(state(&client.simple_query("INSERT INTO t SELECT * FROM t RETURNING id").await.unwrap_err()), "0A000");
    let (mut raw, _) = Raw::session(server.port()).await;
    let answers = raw.query("INSERT INTO t VALUES (3, 'c') RETURNING id").await;
    assert_eq!(kinds(&answers), "TDCZ");
    assert_eq!(answers[2].1, b"INSERT 0 1\0");
    server.stop().await;
}
