//! Bytes that no client sends: the server answers or hangs up, and goes on with everybody else.

use millstream_server::ServerConfig;

use crate::TestServer;
use crate::raw::{Raw, error_state, frame, startup};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 24) as u8).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_disturb_nobody() {
    let server = TestServer::with(ServerConfig { startup_ms_max: 300, ..ServerConfig::default() }).await;
    let witness = server.client().await;
    let mut dice = Dice(0x5eed_1234_5678_9abc);
    for round in 0..200 {
        let mut raw = Raw::connect(server.port()).await;
        let count = 1 + (dice.next() % 200) as usize;
        if round % 2 == 0 {
            raw.send(&dice.bytes(count)).await;
        } else {
            raw.send(&startup(b"user\0me\0\0")).await;
            let kind = b"QPBDECHSdcfpX"[(dice.next() % 13) as usize];
            let body = dice.bytes(count);
            raw.send(&frame(kind, &body)).await;
            raw.send(&dice.bytes(count)).await;
        }
    }
    assert_eq!(witness.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cut_at_each_byte_disturbs_nobody() {
    let server = TestServer::start().await;
    let mut whole = startup(b"user\0me\0database\0x\0\0");
    whole.extend(frame(b'P', b"s\0SELECT $1::int\0\0\x01\0\0\0\x17"));
    whole.extend(frame(b'B', b"p\0s\0\0\x01\0\x01\0\x01\0\0\0\x04\0\0\0\x07\0\x01\0\x01"));
    whole.extend(frame(b'E', b"p\0\0\0\0\0"));
    whole.extend(frame(b'S', b""));
    for end in 0..whole.len() {
        let mut raw = Raw::connect(server.port()).await;
        raw.send(&whole[..end]).await;
    }
    let mut raw = Raw::connect(server.port()).await;
    raw.send(&whole).await;
    raw.until_ready().await;
    let answers = raw.until_ready().await;
    assert!(answers.iter().any(|(kind, body)| *kind == b'D' && body.ends_with(&[0, 0, 0, 4, 0, 0, 0, 7])), "{answers:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn false_lengths_are_refused_before_memory_is_kept() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::session(server.port()).await;
    raw.send(&[b'Q', 0x3f, 0xff, 0xff, 0xff]).await;
    assert_eq!(error_state(&raw.until_ready().await).as_deref(), Some("54000"));
    let (mut raw, _) = Raw::session(server.port()).await;
    raw.send(&[b'Q', 0, 0, 0, 1]).await;
    assert_eq!(error_state(&raw.until_ready().await).as_deref(), Some("08P01"));
    let mut raw = Raw::connect(server.port()).await;
    raw.send(&[0x7f, 0, 0, 0, 0, 3, 0, 0]).await;
    assert_eq!(error_state(&raw.until_ready().await).as_deref(), Some("54000"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_long_statements_are_errors() {
    let server = TestServer::start().await;
    let client = server.client().await;
    let nested = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let chain = format!("SELECT 1{}", " + 1".repeat(10_000));
    for sql in [nested, chain] {
        assert_eq!(crate::state(&client.simple_query(&sql).await.unwrap_err()), "54001");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_clients_at_once() {
    let server = TestServer::start().await;
    let mut clients = Vec::new();
    for _ in 0..500 {
        clients.push(Raw::session(server.port()).await.0);
    }
    for client in clients.iter_mut().step_by(10) {
        let answers = client.query("SELECT 1").await;
        assert_eq!(crate::raw::kinds(&answers), "TDCZ");
    }
    server.stop().await;
}
