//! Bytes that no client sends: the server answers or hangs up, and goes on with everybody else.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millstream_server::ServerConfig;

use crate::TestServer;
use crate::http::get;
use crate::raw::{Raw, error_state, frame, startup};
use crate::sql_fuzz::{Dice, goes_on, panics};

/// True once no connection but `left` is open.
async fn all_gone_but(server: &TestServer, left: usize) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    while open_connections(server).await > left {
        if Instant::now() > until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

/// As /metrics says.
pub(crate) async fn open_connections(server: &TestServer) -> usize {
    figure(server, "millstream_pg_connections").await as usize
}

/// A figure of /metrics.
pub(crate) async fn figure(server: &TestServer, name: &str) -> f64 {
    let (_, answer) = get(server.http_port(), "/metrics", "").await;
    let line = answer.lines().find(|line| line.split([' ', '{']).next() == Some(name));
    line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.parse().unwrap()).unwrap_or_else(|| panic!("no {name} in {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_disturb_nobody() {
    let panics = panics();
    let server = TestServer::with(ServerConfig { startup_ms_max: 300, ..ServerConfig::default() }).await;
    let witness = server.client().await;
    let mut dice = Dice::new(0x5eed);
    let (began, mut round) = (Instant::now(), 0);
    while goes_on(round, 200, began) {
        round += 1;
        let mut raw = Raw::connect(server.port()).await;
        let count = 1 + dice.below(200);
        if round % 2 == 0 {
            raw.send(&dice.bytes(count)).await;
        } else {
            raw.send(&startup(b"user\0me\0\0")).await;
            let kind = b"QPBDECHSdcfpFX"[dice.below(14)];
            let body = dice.bytes(count);
            raw.send(&frame(kind, &body)).await;
            raw.send(&dice.bytes(count)).await;
        }
        if round % 50 == 0 {
            assert_eq!(witness.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
        }
    }
    assert!(all_gone_but(&server, 1).await, "connections stay");
    assert_eq!(panics.load(Ordering::SeqCst), 0);
    server.stop().await;
}

/// Messages that a client may send, in an order and with names in which none would.
fn message_of_a_session(dice: &mut Dice) -> Vec<u8> {
    let name = |dice: &mut Dice| *dice.one(&[&"", &"a", &"b", &"c"]);
    let (one, two) = (name(dice), name(dice));
    let texts = [
        "SELECT 1",
        "SELECT $1::bigint + 1",
        "BEGIN",
        "COMMIT",
        "",
        "SELECT nope",
        "SELECT * FROM generate_series(1, 50)",
        "FETCH 1 FROM a",
        "DECLARE b CURSOR FOR SELECT 1",
        "COPY (SELECT 1) TO STDOUT",
        "COPY t FROM STDIN",
        "DISCARD ALL",
        "SELECT 1; SELECT 2",
        "INSERT INTO t VALUES ($1)",
    ];
    let text = texts[dice.below(texts.len())];
    match dice.below(16) {
        0 | 1 => frame(b'P', format!("{one}\0{text}\0\0\0").as_bytes()),
        2 | 3 => {
            let mut body = format!("{two}\0{one}\0").into_bytes();
            let values = u8::try_from(dice.below(3)).unwrap();
            body.extend([0, 0, 0, values]);
            (0..values).for_each(|_| body.extend([0, 0, 0, 1, b'5']));
            body.extend([0, 1, 0, u8::try_from(dice.below(3)).unwrap()]);
            frame(b'B', &body)
        }
        4 | 5 => frame(b'E', &[two.as_bytes(), b"\0\0\0\0", &[u8::try_from(dice.below(4)).unwrap()]].concat()),
        6 => frame(b'D', format!("{}{one}\0", dice.one(&["S", "P", "X"])).as_bytes()),
        7 => frame(b'C', format!("{}{one}\0", dice.one(&["S", "P", ""])).as_bytes()),
        8 | 9 => frame(b'S', b""),
        10 => frame(b'H', b""),
        11 => frame(b'd', b"7\n"),
        12 => frame(*dice.one(&[&b'c', &b'f']), b"\0"),
        13 => frame(b'Q', format!("{text}\0").as_bytes()),
        14 => frame(b'p', b"x\0"),
        _ => frame(b'F', &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_out_of_order_disturb_nobody() {
    let panics = panics();
    let server = TestServer::start().await;
    let witness = server.client().await;
    witness.batch_execute("CREATE TABLE t (id BIGINT)").await.unwrap();
    let mut dice = Dice::new(0x0dd);
    let (began, mut round) = (Instant::now(), 0);
    while goes_on(round, 60, began) {
        round += 1;
        let (mut raw, _) = Raw::session(server.port()).await;
        for _ in 0..40 {
            let message = message_of_a_session(&mut dice);
            raw.send(&message).await;
        }
        // Whatever state that has left: it ends in an answer or in a closed connection, not in silence.
        raw.send(&[frame(b'f', b"\0"), frame(b'S', b""), frame(b'Q', b"SELECT 'the end'\0")].concat()).await;
        let ended = async {
            loop {
                match raw.answer().await {
                    None => return,
                    Some((b'D', body)) if body.ends_with(b"the end") => return,
                    Some((b'E', body)) if String::from_utf8_lossy(&body).contains("25P02") => raw.query("ROLLBACK; SELECT 'the end'").await,
                    Some(_) => continue,
                };
                return;
            }
        };
        let answered = tokio::time::timeout(Duration::from_secs(120), ended).await;
        assert!(answered.is_ok(), "no answer in round {round}");
    }
    assert_eq!(witness.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    assert!(all_gone_but(&server, 1).await, "connections stay");
    assert_eq!(panics.load(Ordering::SeqCst), 0);
    server.stop().await;
}

/// A length that lies, in every place that has one.
#[tokio::test(flavor = "multi_thread")]
async fn lengths_within_messages_that_lie_are_errors() {
    let panics = panics();
    let server = TestServer::start().await;
    let bind = b"\0s\0\0\x01\0\x01\0\x01\0\0\0\x04\0\0\0\x07\0\x01\0\x01";
    let (mut raw, _) = Raw::session(server.port()).await;
    raw.send(&frame(b'P', b"s\0SELECT $1::int\0\0\x01\0\0\0\x17")).await;
    for at in 3..bind.len() {
        for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut body = bind.to_vec();
            body[at] = byte;
            raw.send(&[frame(b'B', &body), frame(b'E', b"\0\0\0\0\0"), frame(b'S', b"")].concat()).await;
            let answers = raw.until_ready().await;
            assert_eq!(answers.last().map(|(kind, _)| *kind), Some(b'Z'), "byte {at} as {byte:#x}: {answers:?}");
        }
    }
    assert_eq!(panics.load(Ordering::SeqCst), 0);
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
    assert!(all_gone_but(&server, 0).await, "connections stay");
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
async fn a_text_that_is_no_utf8_is_an_error_and_the_session_goes_on() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::session(server.port()).await;
    raw.send(&frame(b'Q', b"SELECT '\xff'\0")).await;
    let answers = raw.until_ready().await;
    assert_eq!((error_state(&answers).as_deref(), crate::raw::kinds(&answers).as_str()), (Some("22021"), "EZ"));
    raw.send(&[frame(b'P', b"\0SELECT '\xff'\0\0\0"), frame(b'S', b"")].concat()).await;
    assert_eq!(crate::raw::kinds(&raw.until_ready().await), "EZ");
    assert_eq!(crate::raw::kinds(&raw.query("SELECT 1").await), "TDCZ");
    server.stop().await;
}
