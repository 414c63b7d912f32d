//! Stored tables and materialized views when the process dies at every step of a checkpoint.

#![expect(clippy::unwrap_used, reason = "a test of the process from outside")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// 46 of 50 events are bids; ten seconds of event time.
const SCRIPT: &str = "
CREATE TABLE bids (WATERMARK FOR date_time)
WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '10000', 'rate' = '20000', 'event_rate' = '1000');
CREATE TABLE copied (auction BIGINT, price BIGINT, date_time TIMESTAMP(3));
CREATE SINK copying INTO copied AS SELECT auction, price, date_time FROM bids;
CREATE MATERIALIZED VIEW per_second AS
SELECT window_start, count(*) AS n, sum(price) AS total FROM TUMBLE(bids, date_time, INTERVAL '1 second') GROUP BY window_start;
";

fn millstream(folder: &Path, words: &[&str], crash_at: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(words).arg("--data").arg(folder.join("data")).args(["--format", "csv", "--set", "checkpoint_interval_ms=10"]);
    command.env_remove("MILLSTREAM_LOG").env_remove("RUST_LOG").env_remove("MILLSTREAM_CRASH_AT").stdin(Stdio::null());
    if let Some(place) = crash_at {
        command.env("MILLSTREAM_CRASH_AT", place);
    }
    command.output().unwrap()
}

/// What readers see in the end.
fn seen(folder: &Path) -> String {
    let sql = "SELECT count(*), sum(price), max(date_time) FROM copied;
               SELECT count(*), count(DISTINCT window_start), sum(n), sum(total) FROM per_second";
    let output = millstream(folder, &["-c", sql], None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().filter(|line| !line.contains('(')).collect::<Vec<_>>().join("\n")
}

fn run_with_crashes(crashes: &[&str]) -> (String, u32) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.sql");
    std::fs::write(&script, SCRIPT).unwrap();
    let words = ["run", script.to_str().unwrap()];
    let mut died = 0;
    for crash in crashes {
        let output = millstream(folder.path(), &words, Some(crash));
        died += u32::from(output.status.code().is_none());
    }
    let output = millstream(folder.path(), &words, None);
    assert!(output.status.success(), "{crashes:?}: {}", String::from_utf8_lossy(&output.stderr));
    let staged = std::fs::read_dir(folder.path().join("data/tables/2/staged")).map(Iterator::count).unwrap_or_default();
    assert_eq!(staged, 0, "{crashes:?}: nothing that is sealed is left");
    (seen(folder.path()), died)
}

/// A process dies between a checkpoint and its publication, and the disk damages that checkpoint: nobody has seen its rows, so the one
/// before goes on by itself. So it is with stored tables and with folders of files.
#[test]
fn a_damaged_checkpoint_whose_rows_nobody_saw_is_passed_over() {
    for in_files in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let with = if in_files {
            format!(" WITH ('connector' = 'file', 'path' = '{}', 'format' = 'csv', 'csv.header' = 'false')", out.display())
        } else {
            String::new()
        };
        let script = format!(
            "CREATE TABLE bids (WATERMARK FOR date_time)
             WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '10000', 'rate' = '20000', 'event_rate' = '1000');
             CREATE TABLE per_bidder (bidder BIGINT, n BIGINT){with};
             CREATE SINK counting INTO per_bidder AS
             SELECT bidder, count(*) FROM TUMBLE(bids, date_time, INTERVAL '1 second') GROUP BY window_start, bidder;"
        );
        let file = folder.path().join("script.sql");
        std::fs::write(&file, script).unwrap();
        let words = ["run", file.to_str().unwrap()];
        assert!(!millstream(folder.path(), &words, Some("after-manifest:9")).status.success());
        damage_newest_state(&folder.path().join("data/pipelines/3/state/aggregate_1"));
        let output = millstream(folder.path(), &words, None);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        assert!(told.contains("nobody has seen its rows"), "{told}");
        let counted: i64 = if in_files {
            let files = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
            let hidden = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().starts_with('.');
            let (hidden, shown): (Vec<_>, Vec<_>) = files.partition(hidden);
            assert!(hidden.is_empty(), "{hidden:?}");
            let rows = shown.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>();
            rows.lines().map(|line| line.rsplit_once(',').unwrap().1.parse::<i64>().unwrap()).sum()
        } else {
            let output = millstream(folder.path(), &["-c", "SELECT sum(n) FROM per_bidder"], None);
            String::from_utf8_lossy(&output.stdout).lines().last().unwrap().parse().unwrap()
        };
        assert_eq!(counted, 9200, "in files: {in_files}");
    }
}

fn damage_newest_state(folder: &Path) {
    let newest = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).max_by_key(|entry| {
        let name = entry.file_name().into_string().unwrap();
        name.split('-').nth(1).unwrap().parse::<u64>().unwrap()
    });
    std::fs::write(newest.unwrap().path(), b"rust").unwrap();
}

/// Rows that wait for their checkpoint are printed by whoever comes after a crash, and those that never got one are made again.
#[test]
fn lines_that_wait_for_their_checkpoint_are_neither_lost_nor_early() {
    let script = "CREATE TABLE bids WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '4000', 'rate' = '3000');
        CREATE SINK lines WITH ('connector' = 'stdout', 'format' = 'csv', 'csv.header' = 'false', 'delivery' = 'after_checkpoint')
        AS SELECT auction, bidder, price, date_time FROM bids;";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script.sql");
    std::fs::write(&file, script).unwrap();
    let mut printed = String::new();
    for crash in [Some("after-manifest:2"), Some("after-state:2"), None] {
        let output = millstream(folder.path(), &["run", file.to_str().unwrap()], crash);
        assert_eq!(output.status.success(), crash.is_none(), "{}", String::from_utf8_lossy(&output.stderr));
        printed.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    let rows: Vec<&str> = printed.lines().filter(|line| line.split(',').count() == 4).collect();
    let distinct: std::collections::BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!((rows.len(), distinct.len()), (3680, 3680));
}

#[test]
fn a_crash_at_any_step_loses_and_doubles_nothing() {
    let (expected, died) = run_with_crashes(&[]);
    assert_eq!(died, 0);
    assert!(expected.starts_with("9200,") && expected.contains("\n10,10,9200,"), "{expected}");
    let places = ["before-seal", "after-seal", "after-state", "after-manifest", "after-publish", "after-committed", "after-retention"];
    std::thread::scope(|threads| {
        let runs: Vec<_> = places
            .map(|place| {
                (
                    place,
                    threads.spawn(move || {
                        let (first, second) = (format!("{place}:3"), format!("{place}:8"));
                        run_with_crashes(&[&first, &second, "after-claim:2"])
                    }),
                )
            })
            .into();
        for (place, run) in runs {
            let (rows, died) = run.join().unwrap();
            assert_eq!(rows, expected, "{place}");
            assert!(died >= 2, "{place}: the process died {died} times");
        }
    });
}
