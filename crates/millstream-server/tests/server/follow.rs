//! SUBSCRIBE: rows as they come.

use futures::StreamExt;

use crate::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_followed_from_its_first_row_on() {
    let server = TestServer::start().await;
    let (reader, writer) = (server.client().await, server.client().await);
    writer.batch_execute("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1), (2)").await.unwrap();
    let rows = reader.query_raw("SUBSCRIBE t", Vec::<i64>::new()).await.unwrap();
    let mut rows = std::pin::pin!(rows);
    let mut next = async || {
        let row = rows.next().await.unwrap().unwrap();
        (row.get::<_, String>("op"), row.get::<_, Option<String>>("resume_token"), row.get::<_, i64>("id"))
    };
    assert_eq!(next().await, ("insert".to_owned(), Some("1".to_owned()), 1));
    assert_eq!(next().await.2, 2);
    writer.batch_execute("INSERT INTO t VALUES (3)").await.unwrap();
    assert_eq!(next().await, ("insert".to_owned(), Some("3".to_owned()), 3));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_gives_what_has_come_within_its_time() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client.batch_execute("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1), (2), (3)").await.unwrap();
    client.batch_execute("DECLARE c CURSOR FOR SUBSCRIBE t").await.unwrap();
    let count = async |sql: &str| client.query(sql, &[]).await.unwrap().len();
    assert_eq!(count("FETCH 2 FROM c").await, 2);
    assert_eq!(count("FETCH 100 FROM c WITH (timeout = '100ms')").await, 1);
    assert_eq!(count("FETCH 100 FROM c WITH (timeout = '50ms')").await, 0);
    client.batch_execute("CLOSE c").await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_to_a_stream_that_ends_ends() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client.batch_execute("CREATE TABLE bids (auction BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time) WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '2000')").await.unwrap();
    let out: Vec<_> = client.copy_out("COPY (SUBSCRIBE SELECT auction FROM bids) TO STDOUT").await.unwrap().collect().await;
    let lines = out.into_iter().map(|part| String::from_utf8(part.unwrap().to_vec()).unwrap()).collect::<String>();
    let expected: i64 = client.query_one("SELECT count(*) FROM bids", &[]).await.unwrap().get(0);
    assert_eq!(i64::try_from(lines.lines().count()).unwrap(), expected);
    assert!(lines.lines().all(|line| line.starts_with("insert\t")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_goes_on_behind_the_last_row_of_its_client() {
    let server = TestServer::start().await;
    let client = server.client().await;
    client.batch_execute("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1), (2), (3)").await.unwrap();
    client.batch_execute("DECLARE c CURSOR FOR SUBSCRIBE t").await.unwrap();
    let rows = client.query("FETCH 2 FROM c", &[]).await.unwrap();
    let token: String = rows[1].get("resume_token");
    client.batch_execute("CLOSE c; INSERT INTO t VALUES (4)").await.unwrap();
    client.batch_execute(&format!("DECLARE c CURSOR FOR SUBSCRIBE t WITH (RESUME = '{token}')")).await.unwrap();
    let rows = client.query("FETCH 10 FROM c WITH (timeout = '200ms')", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, i64>("id")).collect::<Vec<_>>(), [3, 4]);
    for (sql, expected) in [
        ("SUBSCRIBE t WITH (RESUME = 'x')", "22023"),
        ("SUBSCRIBE (SELECT id FROM t) WITH (RESUME = '1')", "0A000"),
        ("SUBSCRIBE t WITH (NONSENSE = '1')", "42601"),
    ] {
        assert_eq!(crate::state(&client.simple_query(sql).await.expect_err(sql)), expected, "{sql}");
    }
    server.stop().await;
}
