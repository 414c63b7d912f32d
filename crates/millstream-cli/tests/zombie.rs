//! A process that sleeps while another takes its data folder over, and wakes up: it must see that and let go.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test of the process from outside")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Rounds, unless `MILLSTREAM_ZOMBIE_ROUNDS` says otherwise.
const ROUNDS: u64 = 5;

/// Nothing here takes as long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two seconds of reading, one window a second of event time.
fn script(folder: &Path, sink: &str) -> PathBuf {
    let sql = format!(
        "CREATE TABLE bids (auction BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time)
         WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '30000', 'rate' = '20000', 'event_rate' = '1000');
         CREATE SINK counted WITH ('connector' = 'file', 'path' = '{}', 'format' = 'csv', 'csv.header' = 'false') AS
         SELECT window_start, auction, count(*) AS n, sum(price) AS total FROM TUMBLE(bids, date_time, INTERVAL '1 second')
         GROUP BY window_start, window_end, auction;",
        folder.join(sink).display()
    );
    let path = folder.join(format!("{sink}.sql"));
    std::fs::write(&path, sql).unwrap();
    path
}

fn millstream() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.env_remove("MILLSTREAM_LOG").env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn start(folder: &Path) -> Child {
    let mut command = millstream();
    command.args(["run", "--set", "checkpoint_interval_ms=20", "--data"]).arg(folder.join("data")).arg(folder.join("out.sql"));
    command.spawn().unwrap()
}

fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Files that readers see.
fn published(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
    entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).map(|entry| entry.path()).collect()
}

fn rows(folder: &Path) -> Vec<String> {
    let texts = published(folder).into_iter().map(|path| std::fs::read_to_string(path).unwrap());
    let mut rows: Vec<String> = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    rows.sort();
    rows
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "still not so after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn end_of(mut child: Child) -> Output {
    until("the process ends", || child.try_wait().unwrap().is_some());
    child.wait_with_output().unwrap()
}

/// One round: the first owner is stopped at another instant each time, and woken while the second one runs or after it has ended.
fn wake_up_late(round: u64) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    script(folder.path(), "out");
    let out = folder.path().join("out");
    let first = start(folder.path());
    until("the first one publishes", || !published(&out).is_empty());
    std::thread::sleep(Duration::from_millis(round * 37 % 500));
    send("-STOP", &first);
    let before = published(&out).len();
    let second = start(folder.path());
    let second = if round.is_multiple_of(2) {
        let ended = end_of(second);
        assert!(ended.status.success(), "round {round}: {}", String::from_utf8_lossy(&ended.stderr));
        None
    } else {
        until("the second one publishes", || published(&out).len() > before);
        Some(second)
    };
    send("-CONT", &first);
    let ended = end_of(first);
    let message = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "round {round}: {message}");
    assert!(message.contains("fenced by generation 2"), "round {round}: {message}");
    if let Some(second) = second {
        let ended = end_of(second);
        assert!(ended.status.success(), "round {round}: {}", String::from_utf8_lossy(&ended.stderr));
    }
    rows(&out)
}

#[test]
fn an_owner_that_wakes_up_too_late_publishes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = script(folder.path(), "expected");
    let ended = millstream().arg("run").arg(script).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let expected = rows(&folder.path().join("expected"));
    assert!(expected.len() > 1_000, "{} rows", expected.len());
    let rounds = std::env::var("MILLSTREAM_ZOMBIE_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let found = wake_up_late(round);
        let times = |row: &String| found.iter().filter(|other| *other == row).count();
        let wrong: Vec<_> = expected.iter().filter(|row| found != expected && times(row) != 1).take(3).collect();
        assert!(found == expected, "round {round}: {} rows, {} expected; lost or twice: {wrong:?}", found.len(), expected.len());
    }
}
