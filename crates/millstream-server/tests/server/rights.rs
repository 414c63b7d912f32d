//! Owners, GRANT and REVOKE.

use millstream_server::ServerConfig;

use crate::{TestServer, state};

#[tokio::test(flavor = "multi_thread")]
async fn roles_see_and_write_what_they_were_granted() {
    let users = vec![("root".to_owned(), "secret".to_owned())];
    let server = TestServer::with(ServerConfig { users, ..ServerConfig::default() }).await;
    let root = server.connect("user=root password=secret").await.unwrap();
    let setup = "CREATE ROLE bi LOGIN PASSWORD 'bi'; CREATE ROLE maker LOGIN PASSWORD 'maker'; CREATE ROLE readers;
        CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT n + 1 AS m FROM t;
        CREATE TABLE s (n BIGINT, at TIMESTAMP(3), WATERMARK FOR at AS at) WITH ('connector' = 'datagen', 'number-of-rows' = '10');
        CREATE SINK p WITH ('connector' = 'blackhole') AS SELECT n FROM s;
        CREATE SECRET key AS 'hidden'";
    root.batch_execute(setup).await.unwrap();
    let bi = server.connect("user=bi password=bi").await.unwrap();
    let refused = [
        "SELECT * FROM t",
        "SELECT (SELECT max(n) FROM t)",
        "WITH x AS (SELECT * FROM t) SELECT 1 FROM x",
        "SELECT * FROM v",
        "COPY t TO STDOUT",
        "SUBSCRIBE t",
        "SUBSCRIBE (SELECT n FROM t)",
        "EXPLAIN SELECT * FROM t",
        "SELECT count(*) FROM TUMBLE(s, at, INTERVAL '1 second')",
        "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t",
        "INSERT INTO t VALUES (2)",
        "COPY t FROM STDIN",
        "CREATE TABLE mine (n BIGINT)",
        "CREATE VIEW mine AS SELECT 1 AS n",
        "CREATE OR REPLACE VIEW v AS SELECT 1 AS m",
        "CREATE SINK mine INTO t AS SELECT n FROM s",
        "CREATE TABLE mine WITH ('connector' = 'datagen', 'seed' = SECRET key) AS SELECT 1 AS n",
        "DROP TABLE t",
        "DROP VIEW v",
        "DROP PIPELINE p",
        "DROP SECRET key",
        "CHECKPOINT PIPELINE p",
        "GRANT SELECT ON t TO bi",
        "ALTER TABLE t OWNER TO bi",
        "ALTER ROLE bi SUPERUSER",
        "SET ROLE root",
        "CREATE MODEL m WITH ('path' = '/nonexistent.onnx')",
    ];
    for sql in refused {
        assert_eq!(state(&bi.simple_query(sql).await.expect_err(sql)), "42501", "{sql}");
    }
    let may = async |sql: &str| bi.query_one(&format!("SELECT {sql}"), &[]).await.unwrap().get::<_, bool>(0);
    assert!(!may("has_table_privilege('t', 'SELECT')").await && !may("has_schema_privilege('public', 'CREATE')").await);
    let listed = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(bi.query_one(listed, &[]).await.unwrap().get::<_, i64>(0), 0);
    // A view reads with its owner's rights; membership passes rights on.
    root.batch_execute("GRANT SELECT ON v TO readers; GRANT readers TO bi; GRANT INSERT ON TABLE t TO bi").await.unwrap();
    assert_eq!(bi.query_one("SELECT m FROM v", &[]).await.unwrap().get::<_, i64>(0), 2);
    bi.batch_execute("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(state(&bi.simple_query("INSERT INTO t SELECT n FROM t").await.unwrap_err()), "42501");
    assert!(may("has_table_privilege('t', 'SELECT, INSERT')").await && may("has_table_privilege('v'::regclass::oid, 'select')").await);
    assert!(!may("has_table_privilege('t', 'SELECT')").await && may("pg_has_role('readers', 'MEMBER')").await);
    assert!(may("has_table_privilege('root', 't', 'SELECT')").await);
    let list = bi.query_one("SELECT array_to_string(relacl, ' ') FROM pg_class WHERE relname = 'v'", &[]).await.unwrap();
    assert_eq!(list.get::<_, String>(0), "root=arwdDxt/root readers=r/root");
    root.batch_execute("REVOKE SELECT ON v FROM readers; GRANT pg_read_all_data TO bi").await.unwrap();
    assert_eq!(bi.query("SELECT n FROM t", &[]).await.unwrap().len(), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_a_thing_owns_it() {
    let users = vec![("root".to_owned(), "secret".to_owned())];
    let server = TestServer::with(ServerConfig { users, ..ServerConfig::default() }).await;
    let root = server.connect("user=root password=secret").await.unwrap();
    root.batch_execute(
        "CREATE ROLE maker LOGIN PASSWORD 'maker'; CREATE ROLE bi LOGIN PASSWORD 'bi'; GRANT CREATE ON SCHEMA public TO maker",
    )
    .await
    .unwrap();
    let maker = server.connect("user=maker password=maker").await.unwrap();
    let bi = server.connect("user=bi password=bi").await.unwrap();
    maker.batch_execute("CREATE TABLE t (n BIGINT); GRANT SELECT ON t TO bi").await.unwrap();
    bi.batch_execute("SELECT * FROM t").await.unwrap();
    let owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 't'";
    assert_eq!(bi.query_one(owner, &[]).await.unwrap().get::<_, String>(0), "maker");
    assert_eq!(state(&root.batch_execute("DROP ROLE maker").await.unwrap_err()), "2BP01");
    // Another table of the name is another table.
    maker.batch_execute("DROP TABLE t; CREATE TABLE t (n BIGINT)").await.unwrap();
    assert_eq!(state(&bi.batch_execute("SELECT * FROM t").await.unwrap_err()), "42501");
    root.batch_execute("REASSIGN OWNED BY maker TO root; DROP ROLE maker").await.unwrap();
    assert_eq!(state(&maker.batch_execute("DROP TABLE t").await.unwrap_err()), "42501");
    root.batch_execute("SET ROLE bi").await.unwrap();
    assert_eq!(state(&root.batch_execute("SELECT * FROM t").await.unwrap_err()), "42501");
    root.batch_execute("RESET ROLE; DROP TABLE t").await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_a_data_folder_close_it() {
    let folder = tempfile::tempdir().unwrap();
    let roles_file = Some(folder.path().join("roles"));
    let open = TestServer::with(ServerConfig { roles_file: roles_file.clone(), ..ServerConfig::default() }).await;
    // Whoever reaches the address is not who may make users.
    assert_eq!(state(&open.client().await.batch_execute("CREATE ROLE evil SUPERUSER LOGIN PASSWORD 'x'").await.unwrap_err()), "42501");
    open.stop().await;
    let users = vec![("root".to_owned(), "secret".to_owned())];
    let server = TestServer::with(ServerConfig { users, roles_file: roles_file.clone(), ..ServerConfig::default() }).await;
    let root = server.connect("user=root password=secret").await.unwrap();
    root.batch_execute("CREATE ROLE bi LOGIN PASSWORD 'canary-password'; CREATE TABLE t (n BIGINT); GRANT SELECT ON t TO bi")
        .await
        .unwrap();
    server.stop().await;
    let text = std::fs::read_to_string(folder.path().join("roles")).unwrap();
    assert!(text.contains("@grant\ttable\tt\tbi\tSELECT") && !text.contains("canary"), "{text}");
    let again = TestServer::with(ServerConfig { roles_file, ..ServerConfig::default() }).await;
    assert!(again.connect("user=anyone").await.is_err(), "users that are there close the server");
    again.connect("user=bi password=canary-password").await.unwrap();
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_rows_to_those_who_may_read_them() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let users = vec![("root".to_owned(), "secret".to_owned())];
    let server = TestServer::with(ServerConfig { users, ..ServerConfig::default() }).await;
    let root = server.connect("user=root password=secret").await.unwrap();
    root.batch_execute("CREATE ROLE bi LOGIN PASSWORD 'bi'; CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (1)").await.unwrap();
    let address = server.server.http_address().unwrap();
    let get = async || {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        // bi:bi
        let request = "GET /rows.json?name=t HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic Ymk6Ymk=\r\nConnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(get().await, "403");
    root.batch_execute("GRANT SELECT ON t TO bi").await.unwrap();
    assert_eq!(get().await, "200");
    server.stop().await;
}
