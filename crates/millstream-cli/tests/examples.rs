//! Runs every script of `sql-examples/` with the real binary and compares what comes out with the file beside it; and the SQL of
//! the documentation.
//!
//! Expected output was checked when it was written by a computation outside of Millstream; see `sql-examples/README.md`.

#![expect(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test of the process from outside")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a script gets to run; none of them needs a second.
const PATIENCE: Duration = Duration::from_secs(120);
/// Different cuts into epochs, batches and partitions, same rows.
const CUTS: &[&[&str]] = &[
    &[],
    &["--set", "parallelism=1"],
    &["--set", "parallelism=3", "--set", "epoch_rows_max=1777", "--set", "batch_rows=500", "--set", "epoch_windows_max=1"],
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn example(name: &str) -> String {
    std::fs::read_to_string(root().join("sql-examples").join(name)).unwrap()
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(words).current_dir(root()).env_remove("MILLSTREAM_LOG").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end, or fails loudly when there is none.
#[track_caller]
fn finish(mut command: Command) -> Output {
    let mut child = command.spawn().unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = |mut pipe: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            pipe.read_to_end(&mut text).unwrap();
            text
        })
    };
    let (stdout, stderr) = (read(Box::new(stdout)), read(Box::new(stderr)));
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("{command:?} has not ended after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Runs a script and returns (standard output, standard error).
#[track_caller]
fn run(script: &str, more: &[&str]) -> (String, String) {
    let output = finish(command(&[&["run", script, "--format", "csv"], more].concat()));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{script}: {stderr}");
    (String::from_utf8(output.stdout).unwrap(), stderr)
}

/// Runs a script of `sql-examples/` as it is, in every cut.
#[track_caller]
fn check(name: &str, told: &str) {
    for cut in CUTS {
        let (stdout, stderr) = run(&format!("sql-examples/{name}.sql"), cut);
        assert_eq!(stdout, example(&format!("{name}.expected")), "{name} {cut:?}");
        assert_eq!(stderr, told, "{name} {cut:?}");
    }
}

/// Writes a changed script where it can be run.
fn changed(folder: &tempfile::TempDir, name: &str, from: &str, to: &str) -> String {
    let sql = example(&format!("{name}.sql"));
    assert!(sql.contains(from), "{name} has no {from}");
    let path = folder.path().join(format!("{name}.sql"));
    std::fs::write(&path, sql.replace(from, to)).unwrap();
    path.to_str().unwrap().to_owned()
}

macro_rules! examples {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            check($name, "");
        })*

        /// The scripts above.
        const PLAIN: &[&str] = &[$($name),*];
    };
}

examples! {
    machine_temperature: "01_machine_temperature",
    taxi_demand: "02_taxi_demand",
    payment_bursts: "03_payment_bursts",
    web_log: "04_web_log",
    nexmark_q5: "05_nexmark_q5",
    nexmark_q7: "06_nexmark_q7",
    nexmark_q8: "07_nexmark_q8",
    top_sellers: "08_top_sellers",
    cascade: "11_cascade",
    learned_anomalies: "13_learned_anomalies",
    online_classifier: "14_online_classifier",
    fraud_score: "fraud_score",
    sentiment: "sentiment",
}

const SPECIAL: &[&str] = &["09_late_data", "10_word_count_socket", "12_file_sink"];

#[test]
fn every_script_is_run_and_has_its_output_beside_it() {
    let mut found = Vec::new();
    for file in std::fs::read_dir(root().join("sql-examples")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            assert!(path.with_extension("expected").exists(), "{} has no expected output", path.display());
            found.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    let mut known = [PLAIN, SPECIAL].concat();
    known.sort_unstable();
    assert_eq!(found, known);
}

#[test]
fn late_rows_are_told() {
    check("09_late_data", "warning: query_1: 3 late rows\n");
}

#[test]
fn word_count_over_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"to be or not\nTo be\n").unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let from = ("'hostname' = 'localhost', 'port' = '9999'", format!("'hostname' = '127.0.0.1', 'port' = '{port}'"));
    let script = changed(&folder, "10_word_count_socket", from.0, &from.1);
    let (stdout, _) = run(&script, &[]);
    server.join().unwrap();
    // The words may fall into two windows of the clock: what counts is their sum.
    assert_eq!(totals(&stdout), totals(&example("10_word_count_socket.expected")));
}

fn totals(csv: &str) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for line in csv.lines().skip(1) {
        let (word, times) = line.split_once(',').unwrap();
        *totals.entry(word.to_owned()).or_default() += times.parse::<u64>().unwrap();
    }
    totals
}

#[test]
fn a_sink_writes_files() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("daily");
    let script = changed(&folder, "12_file_sink", "target/daily_temperature", out.to_str().unwrap());
    let (stdout, _) = run(&script, &[]);
    assert_eq!(stdout, "");
    let files: Vec<PathBuf> = std::fs::read_dir(&out).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("one file is expected: {files:?}") };
    assert_eq!(std::fs::read_to_string(file).unwrap(), example("12_file_sink.expected"));
}

/// The SQL blocks of a page are one script.
#[track_caller]
fn check_page(page: &str) {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let blocks = text.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.sql");
    std::fs::write(&path, blocks.collect::<Vec<_>>().join("\n")).unwrap();
    let (stdout, _) = run(path.to_str().unwrap(), &[]);
    assert!(stdout.lines().count() > 2, "{page} prints rows");
}

#[test]
fn documentation_of_learning() {
    check_page("docs/learning.md");
}

#[test]
fn documentation_of_metrics() {
    check_page("docs/metrics.md");
}

#[test]
fn documentation_of_tables() {
    check_page("docs/sql/tables.md");
}

#[test]
fn documentation_of_stored_tables() {
    check_page("docs/sql/stored_tables.md");
}

#[test]
fn documentation_of_windows() {
    check_page("docs/sql/windows.md");
}

#[test]
fn documentation_of_queries() {
    check_page("docs/sql/queries.md");
}

#[test]
fn the_readme_prints_what_it_says() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let sql = readme.split("```sql\n").nth(1).unwrap().split("```").next().unwrap();
    let output = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let printed = finish(command(&["-c", sql]));
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), output);
}
