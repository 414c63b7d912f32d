//! Drives the real binary: usage, exit codes, signals, pipes.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test of the process from outside")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn millstream() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.env_remove("MILLSTREAM_LOG").env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    millstream().args(words).output().unwrap()
}

#[track_caller]
fn check(words: &[&str], code: i32, stdout: &str) -> String {
    let output = run(words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), stdout, "stderr: {stderr}");
    assert_eq!(output.status.code(), Some(code), "stderr: {stderr}");
    stderr
}

#[test]
fn help_tells_the_exit_codes_and_gives_examples() {
    let output = run(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for part in ["Examples:", "Exit codes:", "130", "143", "MILLSTREAM_LOG", "ndjson", "--mode", "docs/"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn version_names_datafusion_too() {
    let text = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert!(text.starts_with("millstream ") && text.contains("(DataFusion 55."), "{text}");
}

#[test]
fn wrong_usage_exits_with_2() {
    for words in [&["--no-such-option"][..], &["run"], &["--format", "xml", "-c", "SELECT 1"], &["script.sql"]] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn a_missing_script_is_found_before_anything_runs() {
    let stderr = check(&["-c", "SELECT 1", "-f", "no-such-file.sql"], 2, "");
    assert!(stderr.contains("cannot read the script 'no-such-file.sql'"), "{stderr}");
}

#[test]
fn a_wrong_log_filter_is_named() {
    let output = millstream().args(["-c", "SELECT 1"]).env("MILLSTREAM_LOG", "a=b=c").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("MILLSTREAM_LOG is no log filter: got 'a=b=c'"));
}

#[test]
fn select_prints_a_table() {
    let stderr = check(&["-c", "SELECT 1 AS a, 'x' AS b"], 0, " a | b\n---+---\n 1 | x\n");
    assert_eq!(stderr, "", "nothing but rows and errors when no terminal is there");
}

#[test]
fn scripts_run_in_order_and_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.sql");
    std::fs::write(&file, "#!/usr/bin/env -S millstream run\n-- two\nSELECT 2 AS n;\n").unwrap();
    let mut child = millstream()
        .args(["--format", "csv", "-c", "SELECT 1 AS n", "-f", file.to_str().unwrap(), "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 3 AS n; SELECT 4 AS n;").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "n\n1\nn\n2\nn\n3\nn\n4\n");
}

#[test]
fn standard_input_is_the_script_when_nothing_is_named() {
    let mut child = millstream().args(["--format", "ndjson"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 1 AS n").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"{\"n\":1}\n");
}

#[test]
fn an_error_exits_with_1_and_stops_the_script() {
    let stderr = check(&["--format", "csv", "-c", "SELECT 1 AS a; SELECT no_such_column; SELECT 2 AS b"], 1, "a\n1\n");
    assert!(stderr.starts_with("error: ") && stderr.contains("no_such_column"), "{stderr}");
}

#[test]
fn an_error_names_script_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("q.sql");
    std::fs::write(&file, "SELECT 1;\n\nSELECT no_such_column;\n").unwrap();
    let output = run(&["run", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("q.sql:3: "), "{stderr}");
}

#[test]
fn a_syntax_error_shows_the_place() {
    let stderr = check(&["-c", "SELECT 1;\nSELECT 2 FORM t WHERE"], 1, "");
    assert!(stderr.contains("LINE 2: SELECT 2 FORM t WHERE\n") && stderr.contains('^'), "{stderr}");
}

#[test]
fn a_bad_setting_is_named() {
    let stderr = check(&["--set", "paralelism=4", "-c", "SELECT 1"], 1, "");
    assert!(stderr.contains("paralelism") && stderr.contains("did you mean parallelism?"), "{stderr}");
}

const BIDS_CSV: &str = "item,price,ts\ntea,1.5,2024-01-01 00:00:01\nmilk,2,2024-01-01 00:00:02\ntea,0.25,2024-01-01 00:00:09\n\
                        tea,4,2024-01-01 00:00:15\n";

/// A folder with a CSV file, and the statement that makes a stream of it.
fn bids() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bids.csv");
    std::fs::write(&path, BIDS_CSV).unwrap();
    let table = format!(
        "CREATE TABLE bids (item TEXT, price DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts) \
         WITH ('connector' = 'file', 'path' = '{}', 'format' = 'csv')",
        path.display()
    );
    (folder, table)
}

const WINDOWS: &str = "SELECT window_end, item, count(*) AS n, sum(price) AS price FROM TUMBLE(bids, ts, INTERVAL '10 seconds') \
                       GROUP BY window_end, item ORDER BY window_end, item";

#[test]
fn windows_over_a_file_end_by_themselves() {
    let (_folder, table) = bids();
    let stdout = "window_end,item,n,price\n2024-01-01 00:00:10,milk,1,2.0\n2024-01-01 00:00:10,tea,2,1.75\n2024-01-01 00:00:20,tea,1,4.0\n";
    check(&["--format", "csv", "-c", &table, "-c", WINDOWS], 0, stdout);
}

#[test]
fn a_script_waits_for_its_pipelines() {
    let (folder, table) = bids();
    let out = folder.path().join("out.csv");
    let sink = format!(
        "CREATE TABLE totals (window_end TIMESTAMP(3), item TEXT, n BIGINT, price DOUBLE) \
         WITH ('connector' = 'file', 'path' = '{}', 'format' = 'csv')",
        out.display()
    );
    check(&["-c", &table, "-c", &sink, "-c", &format!("INSERT INTO totals {WINDOWS}")], 0, "");
    let files: String = files_under(&out).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    assert_eq!(files.matches("tea").count(), 2, "{files}");
}

#[test]
fn rows_that_are_missing_from_the_result_are_told() {
    let (folder, _) = bids();
    let path = folder.path().join("numbers.csv");
    std::fs::write(&path, "n\n1\nx\n3\n").unwrap();
    let table = |more: &str| format!("CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'file', 'path' = '{}'{more})", path.display());
    let skip = table(", 'bad_rows' = 'skip'");
    let stderr = check(&["--format", "csv", "-c", &skip, "-c", "SELECT * FROM numbers"], 0, "n\n1\n3\n");
    assert!(stderr.contains("warning: ") && stderr.contains("1 rejected row (the last: ") && stderr.contains("line 3"), "{stderr}");
    assert_eq!(check(&["-q", "--format", "csv", "-c", &skip, "-c", "SELECT * FROM numbers"], 0, "n\n1\n3\n"), "");

    let sink = "CREATE TABLE hole (n BIGINT) WITH ('connector' = 'blackhole')";
    let stderr = check(&["-c", &table(""), "-c", sink, "-c", "INSERT INTO hole SELECT * FROM numbers"], 1, "");
    assert_eq!(stderr.matches("error: pipeline insert_into_hole_1: ").count(), 1, "{stderr}");
}

fn files_under(path: &std::path::Path) -> Vec<std::path::PathBuf> {
    match path.is_dir() {
        true => std::fs::read_dir(path).unwrap().flat_map(|entry| files_under(&entry.unwrap().path())).collect(),
        false => vec![path.to_owned()],
    }
}

/// A stream that never ends.
const ENDLESS: &str = "CREATE TABLE endless (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000000', \
                       'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '9000000000000000000'); \
                       SELECT n AS endless FROM endless";

fn start_endless(words: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child =
        millstream().args(words).args(["--format", "ndjson", "-c", ENDLESS]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut rows = BufReader::new(child.stdout.take().unwrap());
    let mut row = String::new();
    rows.read_line(&mut row).unwrap();
    assert_eq!(row, "{\"endless\":1}\n");
    (child, rows)
}

fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[track_caller]
fn ends_soon(mut child: Child, code: i32) -> String {
    let start = Instant::now();
    let status = child.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "took {:?}", start.elapsed());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{stderr}");
    stderr
}

#[test]
fn ctrl_c_ends_an_endless_query_with_130() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let (child, mut rows) = start_endless(&[]);
        send(signal, &child);
        // Whoever reads to the end gets whole rows only.
        let mut rest = String::new();
        rows.read_to_string(&mut rest).unwrap();
        assert!(rest.is_empty() || rest.ends_with("}\n"));
        assert_eq!(ends_soon(child, code), "");
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once_while_nobody_reads() {
    let (child, rows) = start_endless(&[]);
    send("-INT", &child);
    std::thread::sleep(Duration::from_millis(100));
    send("-INT", &child);
    ends_soon(child, 130);
    drop(rows);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let (child, rows) = start_endless(&[]);
    drop(rows);
    assert_eq!(ends_soon(child, 0), "");
}

#[test]
fn no_row_is_lost_or_doubled_however_often_the_program_is_killed() {
    let output = run(&["selftest", "--kills", "60", "--seed", "7"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("selftest passed: 60 kills"), "{text}");
}
