//! Lines over TCP.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use millstream_connectors::{ConnectorRegistry, Lane, LaneId, Read, Replay, Result, Source};

use crate::support::*;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn source(port: u16, column_list: &str, more: &[(&str, &str)]) -> Arc<dyn Source> {
    let mut options = options(more);
    options.insert("connector", "socket");
    options.insert("hostname", "127.0.0.1");
    options.insert("port", port.to_string());
    ConnectorRegistry::default().source(options, columns(column_list), clock()).unwrap()
}

async fn open(source: &dyn Source) -> Result<Box<dyn Lane>> {
    source.open(&LaneId("socket".into()), None, &[0]).await
}

async fn next(lane: &mut Box<dyn Lane>) -> Option<(Vec<String>, usize)> {
    match lane.read(100).await.unwrap() {
        Read::Finished => None,
        Read::Batch(batch) => Some((rows(&batch.rows), batch.rejected.len())),
    }
}

#[tokio::test]
async fn a_refused_connection_is_explained() {
    let port = free_port();
    let error = open(source(port, "line TEXT", &[]).as_ref()).await.err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot connect to 127.0.0.1:{port}: Connection refused")), "{error}");
    assert!(error.contains(&format!("nc -lk {port}")), "{error}");
}

#[tokio::test]
async fn connecting_gives_lines_until_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = source(listener.local_addr().unwrap().port(), "line TEXT", &[]);
    assert_eq!(source.replay(), Replay::None);
    let mut lane = open(source.as_ref()).await.unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"one\r\ntwo\nthr").unwrap();
    assert_eq!(next(&mut lane).await.unwrap().0, ["one", "two"]);
    server.write_all(b"ee\nlast without newline").unwrap();
    assert_eq!(next(&mut lane).await.unwrap().0, ["three"]);
    drop(server);
    assert_eq!(next(&mut lane).await.unwrap().0, ["last without newline"]);
    assert!(next(&mut lane).await.is_none());
}

#[tokio::test]
async fn it_connects_again_when_asked_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = source(listener.local_addr().unwrap().port(), "id BIGINT", &[("format", "json"), ("reconnect", "10ms")]);
    let mut lane = open(source.as_ref()).await.unwrap();
    for round in 0..3 {
        let accepting = listener.try_clone().unwrap();
        let server = std::thread::spawn(move || {
            let (mut server, _) = accepting.accept().unwrap();
            server.write_all(format!("{{\"id\": {round}}}\n").as_bytes()).unwrap();
        });
        assert_eq!(next(&mut lane).await.unwrap().0, [round.to_string()]);
        server.join().unwrap();
    }
}

#[tokio::test]
async fn several_clients_may_connect_and_bad_rows_are_kept_apart() {
    let port = free_port();
    let source = source(port, "id BIGINT, name TEXT", &[("mode", "listen"), ("format", "csv"), ("clients_max", "2")]);
    let mut lane = open(source.as_ref()).await.unwrap();
    let mut one = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut two = TcpStream::connect(("127.0.0.1", port)).unwrap();
    one.write_all(b"1,a\nx").unwrap();
    assert_eq!(next(&mut lane).await.unwrap(), (vec!["1".to_owned()], 0));
    two.write_all(b"2,b\n").unwrap();
    assert_eq!(next(&mut lane).await.unwrap(), (vec!["2".to_owned()], 0));
    // The start of a line is kept until its end comes; the other client is not disturbed.
    one.write_all(b"y,c\n").unwrap();
    assert_eq!(next(&mut lane).await.unwrap(), (vec![], 1));
    drop(one);
    let mut three = TcpStream::connect(("127.0.0.1", port)).unwrap();
    three.write_all(b"3,c\n").unwrap();
    assert_eq!(next(&mut lane).await.unwrap(), (vec!["3".to_owned()], 0));
}
