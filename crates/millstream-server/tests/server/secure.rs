//! Passwords, TLS, rights.

use millstream::Engine;
use millstream_server::{Server, ServerConfig};

use crate::raw::{Raw, error_state, startup};
use crate::{TestServer, state};

fn with_password() -> ServerConfig {
    ServerConfig { users: vec![("me".to_owned(), "secret".to_owned())], ..ServerConfig::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_comes_in_and_no_other() {
    let server = TestServer::with(with_password()).await;
    let client = server.connect("password=secret").await.unwrap();
    assert_eq!(state(&server.connect("password=wrong").await.err().unwrap()), "28P01");
    client.batch_execute("CREATE ROLE bi LOGIN PASSWORD 'bi'").await.unwrap();
    let bi = server.connect("user=bi password=bi").await.unwrap();
    assert_eq!(state(&bi.batch_execute("CREATE ROLE other LOGIN PASSWORD 'x'").await.unwrap_err()), "42501");
    client.batch_execute("DROP ROLE bi").await.unwrap();
    assert_eq!(state(&server.connect("user=bi password=bi").await.err().unwrap()), "28P01");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_is_asked_like_a_known_one() {
    let server = TestServer::with(with_password()).await;
    let mut salts = Vec::new();
    for user in ["me", "nobody", "nobody"] {
        let mut raw = Raw::connect(server.port()).await;
        raw.send(&startup(format!("user\0{user}\0\0").as_bytes())).await;
        assert_eq!(raw.answer().await.unwrap().0, b'R');
        raw.message(b'p', b"SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd").await;
        let (kind, body) = raw.answer().await.unwrap();
        assert_eq!(kind, b'R');
        let text = String::from_utf8(body[4..].to_vec()).unwrap();
        salts.push(text.split(",s=").nth(1).unwrap().to_owned());
    }
    assert_eq!(salts[1], salts[2], "an unknown user has the same salt each time, as a real one has");
    assert_eq!(salts[0].len(), salts[1].len());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_for_those_who_were_granted_them() {
    let server = TestServer::with(with_password()).await;
    let admin = server.connect("password=secret").await.unwrap();
    admin.batch_execute("CREATE ROLE bi LOGIN PASSWORD 'bi'; GRANT CREATE ON SCHEMA public TO bi").await.unwrap();
    let bi = server.connect("user=bi password=bi").await.unwrap();
    let reads = "CREATE TABLE f (a BIGINT) WITH ('connector' = 'file', 'path' = '/nonexistent/x.csv', 'format' = 'csv')";
    assert_eq!(state(&bi.batch_execute(reads).await.unwrap_err()), "42501");
    let models = [
        "CREATE MODEL m WITH ('format' = 'onnx', 'path' = '/nonexistent/x.onnx')",
        "CREATE MODEL m TYPE k_means FEATURES (a) WITH ('Warm_Start' = '/nonexistent/x.parquet')",
        "EXPORT MODEL m TO '/nonexistent/x.onnx'",
    ];
    for sql in models {
        assert_eq!(state(&bi.batch_execute(sql).await.unwrap_err()), "42501", "{sql}");
    }
    for sql in [
        "SELECT * FROM '/etc/x.csv'",
        "SELECT * FROM public.\"/etc/x.csv\"",
        "DESCRIBE '/etc/x.csv'",
        "SUBSCRIBE \"/etc/x.csv\"",
        "COPY \"/etc/x.csv\" TO STDOUT",
        "CREATE VIEW v AS SELECT * FROM '/etc/x.csv'",
        "CREATE TABLE c AS SELECT * FROM '/etc/x.csv'",
        "EXPLAIN SELECT * FROM '/etc/*.csv'",
    ] {
        assert_eq!(state(&bi.simple_query(sql).await.expect_err(sql)), "42501", "{sql}");
    }
    assert_eq!(state(&server.connect("user=bi password=bi options='-c role=me'").await.err().unwrap()), "42501");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.csv").display().to_string();
    std::fs::write(&file, "a\n1\n").unwrap();
    let statements = [
        format!("SELECT * FROM '{file}'"),
        format!("DESCRIBE '{file}'"),
        format!("EXPLAIN SELECT * FROM '{file}'"),
        format!("CREATE VIEW over_file AS SELECT * FROM '{file}'"),
        format!("CREATE TABLE of_file AS SELECT * FROM '{file}'"),
        format!("SELECT (SELECT max(a) FROM '{file}') AS m"),
        format!("COPY (SELECT * FROM '{file}') TO STDOUT"),
        "SELECT * FROM 's3://bucket/x.csv'".to_owned(),
        "DESCRIBE 's3://bucket/x.csv'".to_owned(),
    ];
    for sql in &statements {
        assert_eq!(state(&bi.batch_execute(sql).await.unwrap_err()), "42501", "{sql}");
        // As drivers ask.
        if sql.starts_with("SELECT") {
            assert_eq!(state(&bi.query(sql, &[]).await.unwrap_err()), "42501", "{sql}");
        }
    }
    admin.batch_execute("GRANT pg_read_server_files TO bi").await.unwrap();
    for sql in models {
        assert_ne!(state(&bi.batch_execute(sql).await.unwrap_err()), "42501", "{sql}");
    }
    let now = bi.batch_execute(reads).await;
    assert!(now.as_ref().err().is_none_or(|error| state(error) != "42501"), "{now:?}");
    assert_eq!(state(&bi.batch_execute(models[0]).await.unwrap_err()), "58030");
    for sql in &statements[..6] {
        bi.batch_execute(sql).await.unwrap();
    }
    let rows = bi.query(&format!("SELECT a FROM '{file}' WHERE a = $1"), &[&1_i64]).await.unwrap();
    assert_eq!(rows[0].get::<_, i64>(0), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_needs_protection() {
    let engine = Engine::builder().build().await.unwrap();
    let public = ServerConfig { pg: Some("0.0.0.0:0".parse().unwrap()), ..ServerConfig::default() };
    let error = Server::start(engine.clone(), public.clone()).await.unwrap_err();
    assert!(error.message.contains("0.0.0.0") && error.hint.unwrap().contains("--tls-cert"));
    let server = Server::start(engine, ServerConfig { allow_insecure: true, ..public }).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_told_so() {
    let server = TestServer::with(ServerConfig { connections_max: 2, ..ServerConfig::default() }).await;
    let (_one, two) = (server.client().await, server.client().await);
    assert_eq!(state(&server.connect("").await.err().unwrap()), "53300");
    drop(two);
    // The place is free once the server has seen that the client has gone.
    let again = async {
        loop {
            if let Ok(client) = server.connect("").await {
                return client;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), again).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_and_may_be_required() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert_path, key_path) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert_path, key.cert.pem()).unwrap();
    std::fs::write(&key_path, key.signing_key.serialize_pem()).unwrap();
    let config = ServerConfig { tls_cert: Some(cert_path), tls_key: Some(key_path), tls_required: true, ..ServerConfig::default() };
    let server = TestServer::with(config).await;
    assert_eq!(state(&server.connect("").await.err().unwrap()), "28000");
    let mut raw = Raw::connect(server.port()).await;
    raw.send(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]).await;
    // `S`, and then it waits for the client's hello; what is no hello ends it.
    raw.send(&startup(b"user\0me\0\0")).await;
    let answers = raw.until_ready().await;
    assert_ne!(error_state(&answers).as_deref(), Some("00000"));
    server.stop().await;
}
