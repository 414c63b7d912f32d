//! The HTTP side, asked as a browser, Prometheus and an orchestrator ask it.

use std::collections::{BTreeMap, BTreeSet};

use millstream::Engine;
use millstream_server::{Listening, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::TestServer;
use crate::raw::{Raw, error_state, startup};

/// An answer: its status and its text, head included.
pub(crate) async fn get(port: u16, path: &str, more: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let host = if more.contains("Host:") { String::new() } else { format!("Host: 127.0.0.1:{port}\r\n") };
    let request = format!("GET {path} HTTP/1.1\r\n{host}{more}Connection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// A stream, a pipeline into a materialized view with a name that nobody should give, and its rows.
async fn with_pipeline(server: &TestServer) {
    let client = server.client().await;
    client
        .batch_execute(
            "CREATE TABLE bids (auction BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time AS date_time)
                 WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '20000');
             CREATE MATERIALIZED VIEW \"<b>\"\"q\\\"\"</b>\" AS SELECT window_start, count(*) AS bids, max(price) AS highest
                 FROM TUMBLE(bids, date_time, INTERVAL '1 second') GROUP BY window_start",
        )
        .await
        .unwrap();
    for handle in server.engine.pipelines() {
        let handle = server.engine.session().pipeline(&handle.name).unwrap();
        handle.wait().await.unwrap();
    }
    let _ = client.batch_execute("SELECT * FROM nope").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_before_there_is_an_engine() {
    let any = Some("127.0.0.1:0".parse().unwrap());
    let listening = Listening::start(ServerConfig { pg: any, http: any, ..ServerConfig::default() }).await.unwrap();
    let (http, pg) = (listening.http_address().unwrap().port(), listening.pg_address().unwrap().port());
    assert_eq!(get(http, "/health", "").await.0, 200);
    let (status, answer) = get(http, "/ready", "").await;
    assert_eq!((status, body(&answer)), (503, "not ready: starting\n"));
    assert_eq!(get(http, "/metrics", "").await.0, 503);
    let mut raw = Raw::connect(pg).await;
    raw.send(&startup(b"user\0me\0\0")).await;
    assert_eq!(error_state(&raw.until_ready().await).as_deref(), Some("57P03"));

    let engine = Engine::builder().build().await.unwrap();
    let server = listening.serve(engine.clone());
    assert_eq!(get(http, "/ready", "").await.0, 200);
    Raw::session(pg).await;
    server.stop().await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_of_failed_pipelines() {
    let server = TestServer::with(ServerConfig { server_files: true, ..ServerConfig::default() }).await;
    let http = server.http_port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.jsonl");
    std::fs::write(&file, "{\"k\": 1}\n{\"k\": \"no number\"}\n").unwrap();
    let client = server.client().await;
    let sql = format!(
        "CREATE TABLE rows (k BIGINT) WITH ('connector' = 'file', 'path' = '{}', 'format' = 'json', 'bad_rows' = 'fail');
         CREATE SINK broken WITH ('connector' = 'blackhole') AS SELECT k FROM rows",
        file.display()
    );
    client.batch_execute(&sql).await.unwrap();
    assert!(server.engine.session().pipeline("broken").unwrap().wait().await.is_err());
    let (status, answer) = get(http, "/ready", "").await;
    assert_eq!((status, body(&answer)), (503, "not ready: 1 pipeline failed: broken\n"));
    assert_eq!(get(http, "/health", "").await.0, 200);
    let (_, answer) = get(http, "/status.json", "").await;
    let shown: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    let pipeline = &shown["pipelines"][0];
    assert_eq!(
        (&pipeline["state"], &pipeline["writes_into"], &pipeline["sources"][0]["name"]),
        (&"failed".into(), &"blackhole".into(), &"rows".into())
    );
    assert!(pipeline["failures"].as_array().unwrap().iter().any(|failure| failure["restarted"] == false), "{pipeline}");
    client.batch_execute("DROP PIPELINE broken").await.unwrap();
    assert_eq!(get(http, "/ready", "").await.0, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_valid_and_the_dashboard_asks_for_no_others() {
    let server = TestServer::start().await;
    with_pipeline(&server).await;
    let (status, answer) = get(server.http_port(), "/metrics", "").await;
    assert!(status == 200 && answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    let families = parse(body(&answer));
    let value = |name: &str| families[name].1.values().next().copied().unwrap_or(f64::NAN);
    assert!(value("millstream_pipeline_rows_in_total") > 10_000.0, "{answer}");
    assert!(value("millstream_pg_errors_total") >= 1.0 && value("millstream_table_rows_total") > 0.0, "{answer}");
    let histogram = &families["millstream_pg_statement_duration_seconds"].1;
    let up_to: Vec<f64> = histogram.iter().filter(|(series, _)| series.contains("_bucket")).map(|(_, count)| *count).collect();
    let count = histogram["millstream_pg_statement_duration_seconds_count"];
    assert!(up_to.len() == 11 && up_to.iter().all(|one| *one <= count) && count >= 3.0, "{answer}");

    let dashboard = include_str!("../../../../docs/grafana-dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let asked: BTreeSet<String> = names_in(&dashboard.to_string());
    assert!(asked.len() > 25, "{asked:?}");
    for name in asked {
        let family = name.strip_suffix("_bucket").unwrap_or(&name);
        assert!(families.contains_key(family), "the dashboard asks for {name}, which is not there");
    }
    server.stop().await;
}

/// Names of figures in the expressions of a dashboard.
fn names_in(text: &str) -> BTreeSet<String> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    parts.filter(|part| part.starts_with("millstream_")).map(str::to_owned).collect()
}

/// Families of figures: their type and their series. Anything that the format forbids is a panic.
fn parse(text: &str) -> BTreeMap<String, (String, BTreeMap<String, f64>)> {
    let mut families: BTreeMap<String, (String, BTreeMap<String, f64>)> = BTreeMap::new();
    let mut current = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!families.contains_key(name) && !help.is_empty(), "twice, or without help: {line}");
            current = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(name == current && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            families.insert(name.to_owned(), (kind.to_owned(), BTreeMap::new()));
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let is_own = name == current || ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{current}{end}"));
            assert!(is_own, "{line} stands below {current}");
            if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                check_labels(labels);
            }
            let known = families.get_mut(&current).unwrap().1.insert(series.to_owned(), value.parse().unwrap());
            assert!(known.is_none(), "twice: {line}");
        }
    }
    families
}

/// `{name="value",…}` with only the three escapes that there are.
fn check_labels(labels: &str) {
    let mut rest = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap();
    loop {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{labels}");
        let mut bytes = value.bytes().enumerate();
        let end = loop {
            match bytes.next().unwrap() {
                (at, b'"') => break at,
                (_, b'\\') => assert!(b"\\\"n".contains(&bytes.next().unwrap().1), "{labels}"),
                _ => {}
            }
        };
        match value[end + 1..].strip_prefix(',') {
            Some(next) => rest = next,
            None => return assert!(value[end + 1..].is_empty(), "{labels}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_whole_and_asks_nobody_else() {
    let server = TestServer::start().await;
    let http = server.http_port();
    let (status, page) = get(http, "/", "").await;
    assert_eq!(status, 200);
    for header in ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "referrer-policy: no-referrer"] {
        assert!(page.contains(header), "{page}");
    }
    let mut waiting = vec![("/".to_owned(), body(&page).to_owned())];
    let mut seen = BTreeSet::new();
    while let Some((path, text)) = waiting.pop() {
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://") && !elsewhere.contains("//cdn"), "{path} asks elsewhere");
        assert!(!text.contains("innerHTML") && !text.contains("style=\"") && !text.contains(" onclick"), "{path} has markup made of text");
        for name in text.split(['"', '\'']).map(|part| part.trim_start_matches("./")) {
            let is_file = [".js", ".css", ".svg"].iter().any(|end| name.len() < 40 && name.ends_with(end));
            if is_file && seen.insert(name.to_owned()) {
                let (status, answer) = get(http, &format!("/{name}"), "").await;
                assert_eq!(status, 200, "{name} of {path}");
                waiting.push((name.to_owned(), body(&answer).to_owned()));
            }
        }
    }
    assert!(seen.len() >= 7, "{seen:?}");
    assert_eq!(get(http, "/nothing", "").await.0, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_asked_for_piece_by_piece() {
    let server = TestServer::start().await;
    let http = server.http_port();
    let client = server.client().await;
    client.batch_execute("CREATE TABLE t (at TIMESTAMP, n BIGINT, s TEXT)").await.unwrap();
    client.batch_execute("INSERT INTO t SELECT to_timestamp(g), g, 'x' FROM generate_series(1, 1000) AS x (g)").await.unwrap();
    let ask = async |more: &str| {
        let (status, answer) = get(http, &format!("/rows.json?name=t{more}"), "").await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<serde_json::Value>(body(&answer)).unwrap()
    };
    let first = ask("&limit=3").await;
    assert_eq!((&first["from"], &first["to"]), (&997.into(), &1000.into()));
    assert_eq!(first["columns"][0], serde_json::json!({"name": "at", "kind": "time"}));
    assert_eq!(first["rows"][2], serde_json::json!([1_000_000, 1000.0, "x"]));
    assert_eq!(ask("&from=1000").await["rows"], serde_json::json!([]));
    client.batch_execute("INSERT INTO t VALUES (NULL, 1001, '<script>')").await.unwrap();
    assert_eq!(ask("&from=1000").await["rows"], serde_json::json!([[null, 1001.0, "<script>"]]));
    // Never more than there is room for.
    assert_eq!(ask("&limit=1000000000").await["rows"].as_array().unwrap().len(), 1001);
    for wrong in ["/rows.json?name=nope", "/rows.json?name="] {
        assert_eq!(get(http, wrong, "").await.0, 404, "{wrong}");
    }
    assert_eq!(get(http, "/rows.json", "").await.0, 400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_password_sees_nothing() {
    let users = vec![("me".to_owned(), "right: password".to_owned())];
    let server = TestServer::with(ServerConfig { users, ..ServerConfig::default() }).await;
    let http = server.http_port();
    // me:right: password, me:wrong, nobody:right: password
    let right = "Authorization: Basic bWU6cmlnaHQ6IHBhc3N3b3Jk\r\n";
    let wrong =
        ["", "Authorization: Basic bWU6d3Jvbmc=\r\n", "Authorization: Basic bm9ib2R5OnJpZ2h0OiBwYXNzd29yZA==\r\n", "Authorization: x\r\n"];
    for path in ["/", "/page.js", "/metrics", "/status.json", "/history.json", "/rows.json?name=t", "/nothing"] {
        for header in wrong {
            let (status, answer) = get(http, path, header).await;
            assert!(status == 401 && answer.contains("www-authenticate: Basic"), "{path} {header}: {answer}");
        }
    }
    for path in ["/", "/metrics", "/status.json"] {
        assert_eq!(get(http, path, &format!("{right}Host: any.name\r\n")).await.0, 200, "{path}");
    }
    assert_eq!((get(http, "/health", "").await.0, get(http, "/ready", "").await.0), (200, 200));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_points_here_is_not_enough() {
    let server = TestServer::start().await;
    let http = server.http_port();
    for (host, status) in [("evil.example", 421), ("evil.example:8080", 421), ("localhost:8080", 200), ("[::1]:1", 200)] {
        assert_eq!(get(http, "/status.json", &format!("Host: {host}\r\n")).await.0, status, "{host}");
    }
    server.stop().await;
}
