//! Many clients, slow ones, and those that go without a word: memory stays bounded and nobody else is disturbed.
//!
//! `MILLSTREAM_CROWD=5000` tries it with so many idle clients instead of 1,000.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use millstream_server::ServerConfig;
use tokio_postgres::Client;

use crate::TestServer;
use crate::hostile::{figure, open_connections};
use crate::raw::Raw;

/// Waits until a figure of /metrics is as wanted.
async fn becomes(server: &TestServer, name: &str, wanted: f64, seconds: u64) {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        let now = figure(server, name).await;
        if now == wanted {
            return;
        }
        assert!(Instant::now() < until, "{name} is {now} after {seconds} s, not {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Bytes that this process holds, the clients of the test among them.
async fn memory(server: &TestServer) -> f64 {
    figure(server, "millstream_process_resident_memory_bytes").await
}

/// The time that 99 of 100 statements of these clients stay below.
async fn p99(clients: &[Client], each: usize) -> Duration {
    let ask = async |client: &Client| {
        let mut times = Vec::new();
        for _ in 0..each {
            let began = Instant::now();
            // Nothing is planned for it: what is measured is the way there and back.
            assert_eq!(client.simple_query("SHOW server_encoding").await.unwrap().len(), 3);
            times.push(began.elapsed());
        }
        times
    };
    let mut times: Vec<Duration> = join_all(clients.iter().map(ask)).await.into_iter().flatten().collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_clients_do_not_slow_fifty_active_ones() {
    let idle = std::env::var("MILLSTREAM_CROWD").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000);
    let server = TestServer::with(ServerConfig { connections_max: idle + 60, startup_ms_max: 600_000, ..ServerConfig::default() }).await;
    let first = server.client().await;
    first.batch_execute("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1), (2), (3)").await.unwrap();
    let mut active = Vec::new();
    for _ in 0..50 {
        active.push(server.client().await);
    }
    p99(&active, 4).await;
    let before = p99(&active, 20).await;
    let memory_before = memory(&server).await;
    let mut others = Vec::new();
    for _ in 0..idle {
        others.push(Raw::session(server.port()).await.0);
    }
    // Some more that never get beyond their first byte.
    let mut beginners = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::connect(server.port()).await;
        raw.send(&[0]).await;
        beginners.push(raw);
    }
    let each = (memory(&server).await - memory_before) / idle as f64;
    let after = p99(&active, 20).await;
    eprintln!("p99 {before:?} alone, {after:?} beside {idle} idle clients of {each:.0} bytes each");
    // Beside it other tests run: twice as slow is what is wanted, and what a quiet machine shows.
    assert!(after < before * 4 + Duration::from_millis(250), "{before:?} alone, {after:?} beside {idle} idle clients");
    assert!(each < 200_000.0, "{each} bytes a client");
    assert_eq!(open_connections(&server).await, idle + 51);
    assert_eq!(active[0].query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 3);
    drop((others, beginners));
    becomes(&server, "millstream_pg_connections", 51.0, 60).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_ends_when_its_client_has_gone() {
    let server = TestServer::start().await;
    // In the middle of counting, in the middle of a result, before the first row of a subscription.
    for sql in [
        "SELECT count(*) FROM generate_series(1, 100000000000)",
        "SELECT * FROM generate_series(1, 100000000000)",
        "COPY (SELECT * FROM generate_series(1, 100000000000)) TO STDOUT",
        "SUBSCRIBE t",
    ] {
        let (mut raw, _) = Raw::session(server.port()).await;
        raw.query("CREATE TABLE IF NOT EXISTS t (id BIGINT)").await;
        raw.message(b'Q', format!("{sql}\0").as_bytes()).await;
        becomes(&server, "millstream_pg_statements_active", 1.0, 60).await;
        drop(raw);
        becomes(&server, "millstream_pg_statements_active", 0.0, 60).await;
        becomes(&server, "millstream_pg_connections", 0.0, 60).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_subscribers_among_five_hundred_clients_get_every_row() {
    const ROWS: i64 = 2_000;
    let server = TestServer::start().await;
    let writer = server.client().await;
    writer.batch_execute("CREATE TABLE t (id BIGINT)").await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(Raw::session(server.port()).await.0);
    }
    let mut following = Vec::new();
    for _ in 0..100 {
        let client = server.client().await;
        following.push(tokio::spawn(async move {
            let rows = client.query_raw("SUBSCRIBE t", Vec::<i64>::new()).await.unwrap();
            let rows = rows.take(ROWS as usize).map(|row| row.unwrap().get::<_, i64>("id"));
            rows.collect::<Vec<i64>>().await
        }));
    }
    becomes(&server, "millstream_pg_subscriptions", 100.0, 60).await;
    let memory_before = memory(&server).await;
    for n in 0..5 {
        let (from, to) = (n * ROWS / 5, (n + 1) * ROWS / 5 - 1);
        writer.batch_execute(&format!("INSERT INTO t SELECT i FROM generate_series({from}, {to}) AS x (i)")).await.unwrap();
    }
    let expected: Vec<i64> = (0..ROWS).collect();
    for followed in following {
        assert_eq!(tokio::time::timeout(Duration::from_secs(120), followed).await.unwrap().unwrap(), expected);
    }
    let grown = memory(&server).await - memory_before;
    assert!(grown < 150e6, "{grown} bytes for 100 subscribers");
    for client in idle.iter_mut().step_by(40) {
        assert_eq!(crate::raw::kinds(&client.query("SELECT 1").await), "TDCZ");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_hold_back_their_own_results_only() {
    let server = TestServer::start().await;
    let witness = server.client().await;
    witness.batch_execute("CREATE TABLE t (id BIGINT, x TEXT)").await.unwrap();
    let before = memory(&server).await;
    let mut readers = Vec::new();
    for n in 0..40 {
        let (mut raw, _) = Raw::session(server.port()).await;
        // Gigabytes each, of which nobody reads a byte.
        let sql =
            ["SELECT i, repeat('x', 100) FROM generate_series(1, 100000000) AS t (i)", "SUBSCRIBE SELECT id, x FROM t", "SUBSCRIBE t"]
                [n % 3];
        raw.message(b'Q', format!("{sql}\0").as_bytes()).await;
        readers.push(raw);
    }
    for n in 0..5 {
        let sql = format!("INSERT INTO t SELECT i, repeat('y', 100) FROM generate_series({n}, {n} + 5000) AS x (i)");
        witness.batch_execute(&sql).await.unwrap();
        assert_eq!(witness.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), (n + 1) * 5001);
    }
    let grown = memory(&server).await - before;
    eprintln!("{:.0} MB for 40 readers that do not read", grown / 1e6);
    assert!(grown < 500e6, "{grown} bytes for 40 readers that do not read");
    drop(readers);
    becomes(&server, "millstream_pg_connections", 1.0, 60).await;
    server.stop().await;
}

/// A machine that has lost its power says nothing: the kernel asks, and tells the server. Here only whether it would ask.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_looks_after_clients_that_may_have_gone() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::session(server.port()).await;
    raw.query("SELECT 1").await;
    let own = format!(":{:04X}", server.port());
    // Columns: number, local address, peer, state (01: established), queues, timer (02: keepalive) and when it is due.
    let is_looked_after = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .any(|line| line[1].ends_with(&own) && line[3] == "01" && line[5].starts_with("02:"))
    };
    let until = Instant::now() + Duration::from_secs(30);
    while !is_looked_after() {
        assert!(Instant::now() < until, "no timer looks after the connection");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop().await;
}
