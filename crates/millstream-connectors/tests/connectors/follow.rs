//! Files that grow, appear, vanish and change, while reading and between runs.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use millstream_connectors::{Lane, LaneId, Position, Read, Result, Source};
use tempfile::tempdir;

use crate::support::*;

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

async fn open(source: &dyn Source, start: Option<&Position>) -> Result<Box<dyn Lane>> {
    source.open(&LaneId("files".into()), start, &[0]).await
}

async fn next(lane: &mut Box<dyn Lane>) -> (Vec<String>, Position) {
    match lane.read(100).await.unwrap() {
        Read::Batch(batch) => (rows(&batch.rows), batch.position),
        Read::Finished => panic!("it ended"),
    }
}

/// Waits for rows that never come: the clock jumps, so some polls pass in no time.
async fn gives_nothing(lane: &mut Box<dyn Lane>) {
    let mut reading = lane.read(100);
    for _ in 0..50 {
        assert!(futures::poll!(&mut reading).is_pending());
    }
}

#[tokio::test]
async fn appended_lines_and_new_files_are_read() {
    let folder = tempdir().unwrap();
    let source = file_source(folder.path(), &columns("id BIGINT"), &[("follow", "true"), ("format", "json")]);
    let mut lane = open(source.as_ref(), None).await.unwrap();
    gives_nothing(&mut lane).await;
    append(&folder.path().join("a.json"), "{\"id\": 1}\n{\"id\": 2}");
    assert_eq!(next(&mut lane).await.0, ["1"]);
    gives_nothing(&mut lane).await;
    append(&folder.path().join("a.json"), "2}\n{\"id\":");
    let (rows, position) = next(&mut lane).await;
    assert_eq!(rows, Vec::<String>::new(), "the line was not complete when its first half was read");
    append(&folder.path().join("a.json"), " 3}\n{\"id\": 4}");
    assert_eq!(next(&mut lane).await.0, ["3"]);
    // A next file: the one before is complete, even without a newline at its end.
    append(&folder.path().join("b.json"), "{\"id\": 5}\n");
    append(&folder.path().join(".hidden.json"), "{\"id\": 6}\n");
    assert_eq!(next(&mut lane).await.0, ["4"]);
    assert_eq!(next(&mut lane).await.0, ["5"]);
    gives_nothing(&mut lane).await;

    let mut again = open(source.as_ref(), Some(&position)).await.unwrap();
    assert_eq!(next(&mut again).await.0, ["3"]);
    assert_eq!(next(&mut again).await.0, ["4"]);
    assert_eq!(next(&mut again).await.0, ["5"]);
}

#[tokio::test]
async fn csv_headers_may_come_later() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "na").unwrap();
    let source = file_source(&path, &columns("id BIGINT, name TEXT"), &[("follow", "true")]);
    let mut lane = open(source.as_ref(), None).await.unwrap();
    gives_nothing(&mut lane).await;
    append(&path, "me,id\n");
    gives_nothing(&mut lane).await;
    append(&path, "x,1\n");
    let (rows, position) = next(&mut lane).await;
    assert_eq!(rows, ["1"]);
    append(&path, "y,2\n");
    let mut again = open(source.as_ref(), Some(&position)).await.unwrap();
    assert_eq!(next(&mut again).await.0, ["2"]);
}

async fn error_after(change: impl FnOnce(&Path), more: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let folder = tempdir().unwrap();
    for name in ["b.json", "c.json"] {
        append(&folder.path().join(name), "{\"id\": 1}\n{\"id\": 2}\n");
    }
    let source = file_source(folder.path(), &columns("id BIGINT"), more);
    let mut lane = open(source.as_ref(), None).await.unwrap();
    next(&mut lane).await;
    let (_, position) = next(&mut lane).await;
    change(folder.path());
    let resumed = match open(source.as_ref(), Some(&position)).await {
        Err(error) => Some(error.to_string()),
        Ok(_) => None,
    };
    let mut reading = lane.read(100);
    let mut running = None;
    for _ in 0..50 {
        if let std::task::Poll::Ready(result) = futures::poll!(&mut reading) {
            running = result.err().map(|error| error.to_string());
            break;
        }
    }
    (running, resumed)
}

fn assert_told(error: &Option<String>, fact: &str) {
    assert!(error.as_ref().is_some_and(|error| error.contains(fact)), "{error:?} should say: {fact}");
}

#[tokio::test]
async fn a_change_of_what_was_read_is_an_error() {
    let follow = [("follow", "true")];
    let (running, resumed) = error_after(|folder| fs::write(folder.join("c.json"), "{\"id\": 1}\n").unwrap(), &follow).await;
    assert_told(&running, "c.json' was changed after it was read: it has 10 bytes, 20 were read");
    assert_told(&resumed, "c.json' was changed after it was read: it has 10 bytes, 20 were read");

    let (_, resumed) = error_after(|folder| fs::write(folder.join("c.json"), "{\"id\": 1}\n{\"id\": 7}\n{}\n").unwrap(), &follow).await;
    assert_told(&resumed, "c.json' was changed after it was read: its first 20 bytes");

    let (_, resumed) = error_after(|folder| fs::remove_file(folder.join("c.json")).unwrap(), &follow).await;
    assert_told(&resumed, "c.json' is gone: it was read up to 20");

    let (running, _) = error_after(|folder| append(&folder.join("b.json"), "{\"id\": 3}\n"), &follow).await;
    assert_told(&running, "b.json' was changed after it was read: it has 30 bytes, it had 20");

    let (running, resumed) = error_after(|folder| append(&folder.join("a.json"), "{}\n"), &follow).await;
    assert_told(&running, "a.json' appeared before files that were read already");
    assert_told(&resumed, "are not those that were read: 2 now, 1 then");

    // What was read may be cleared away.
    let (running, resumed) = error_after(|folder| fs::remove_file(folder.join("b.json")).unwrap(), &follow).await;
    assert_eq!((running, resumed), (None, None));
}

#[tokio::test]
async fn by_time_of_change_any_name_may_come_next() {
    let folder = tempdir().unwrap();
    let set_time = |name: &str, seconds: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        OpenOptions::new().append(true).open(folder.path().join(name)).unwrap().set_modified(time).unwrap();
    };
    append(&folder.path().join("m.json"), "{\"id\": 1}\n");
    set_time("m.json", 1_000);
    let source = file_source(folder.path(), &columns("id BIGINT"), &[("follow", "true"), ("order_by", "modified")]);
    let mut lane = open(source.as_ref(), None).await.unwrap();
    assert_eq!(next(&mut lane).await.0, ["1"]);
    append(&folder.path().join("a.json"), "{\"id\": 2}\n");
    set_time("a.json", 2_000);
    let (rows, position) = next(&mut lane).await;
    assert_eq!(rows, ["2"]);
    append(&folder.path().join("a.json"), "{\"id\": 3}\n");
    append(&folder.path().join("b.json"), "{\"id\": 4}\n");
    let mut again = open(source.as_ref(), Some(&position)).await.unwrap();
    assert_eq!(next(&mut again).await.0, ["3"]);
    assert_eq!(next(&mut again).await.0, ["4"]);
}
