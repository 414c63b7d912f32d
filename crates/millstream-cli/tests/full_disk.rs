//! Disks that take no more: a pipeline waits, queries go on, nothing half is left, and when there is room again it goes on exactly.
//!
//! The disk is a small one in memory, which only root may mount; elsewhere these tests say loudly that they are skipped.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test of the process from outside")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nothing here takes as long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder on a disk of its own, of two megabytes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`: not allowed here.
    fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir(folder).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(folder).stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: a small disk cannot be mounted here (run the tests as root)");
            return None;
        }
        Some(Self(folder.to_owned()))
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.0.join("ballast")).unwrap();
        for size in [4096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a child that is still there holds it for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Prints a row every few milliseconds, for five seconds.
const QUERY: &str = "CREATE TABLE ticks (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '200',
    'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '1000'); SELECT n FROM ticks;";

/// A pipeline into `sink` of `format`.
fn script(folder: &Path, sink: &Path, format: &str) -> PathBuf {
    let sql = format!(
        "CREATE TABLE bids (auction BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time)
         WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '60000', 'rate' = '20000', 'event_rate' = '1000');
         CREATE SINK counted WITH ('connector' = 'file', 'path' = '{}', 'format' = '{format}') AS
         SELECT window_start, auction, count(*) AS n, sum(price) AS total FROM TUMBLE(bids, date_time, INTERVAL '1 second')
         GROUP BY window_start, window_end, auction;",
        sink.display()
    );
    let path = folder.join("script.sql");
    fs::write(&path, sql).unwrap();
    path
}

fn millstream() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.env_remove("MILLSTREAM_LOG").env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Rows of a folder, by the program itself.
fn rows(sink: &Path, format: &str) -> Vec<String> {
    let sql = format!(
        "CREATE TABLE f (window_start TIMESTAMP(3), auction BIGINT, n BIGINT, total BIGINT) WITH ('connector' = 'file', 'path' = '{}', 'format' = '{format}');
         SELECT * FROM f",
        sink.display()
    );
    let output = millstream().args(["--format", "csv", "-c", &sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rows: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

/// Lines of a stream, counted as they come; the whole text in the end.
fn listen(stream: impl Read + Send + 'static) -> (Arc<AtomicU64>, std::thread::JoinHandle<String>) {
    let lines = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&lines);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let mut reader = BufReader::new(stream);
        while reader.read_line(&mut text).is_ok_and(|bytes| bytes > 0) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        text
    });
    (lines, reader)
}

fn until(what: &str, child: &mut Child, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "still not so after {PATIENCE:?}: {what}");
        assert!(child.try_wait().unwrap().is_none(), "the program ended before this was so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn visible_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count()
}

/// Every manifest that is there ends in its hash.
fn manifests_are_whole(data: &Path) {
    let mut seen = 0;
    for pipeline in fs::read_dir(data.join("pipelines")).unwrap().flatten() {
        for entry in fs::read_dir(pipeline.path()).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("manifest-") {
                let text = fs::read_to_string(entry.path()).unwrap();
                assert!(text.ends_with("\"}\n") && text.contains(",\"sha256\":\""), "{}: {text}", entry.path().display());
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "no manifest is left");
}

fn expected(folder: &Path, format: &str) -> Vec<String> {
    let sink = folder.join("expected");
    let output = millstream().arg("run").arg(script(folder, &sink, format)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    rows(&sink, format)
}

/// What is on the small disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnDisk {
    Data,
    Sink,
}

/// `told` is what the program must have said while the disk was full.
fn survives_a_full_disk(on_disk: OnDisk, format: &str, told: &str) {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk")) else { return };
    let expected = expected(folder.path(), format);
    assert!(expected.len() > 1_000, "{} rows", expected.len());
    let (data, sink) = match on_disk {
        OnDisk::Data => (disk.0.join("data"), folder.path().join("out")),
        OnDisk::Sink => (folder.path().join("data"), disk.0.join("out")),
    };
    let mut command = millstream();
    command.args(["--format", "csv", "run", "--set", "checkpoint_interval_ms=20", "--data"]).arg(&data);
    let query = folder.path().join("query.sql");
    fs::write(&query, QUERY).unwrap();
    let mut child = command.arg(script(folder.path(), &sink, format)).arg(query).spawn().unwrap();
    let (answered, _answers) = listen(child.stdout.take().unwrap());
    let (warned, warnings) = listen(child.stderr.take().unwrap());
    until("the first rows are published", &mut child, || visible_files(&sink) > 0);
    disk.fill();
    let warned_before = warned.load(Ordering::Relaxed);
    until("three warnings are given", &mut child, || warned.load(Ordering::Relaxed) >= warned_before + 3);
    let answers = answered.load(Ordering::Relaxed);
    until("queries are answered", &mut child, || answered.load(Ordering::Relaxed) >= answers + 50);
    manifests_are_whole(&data);
    disk.make_room();
    let status = child.wait().unwrap();
    let warnings = warnings.join().unwrap();
    assert!(status.success(), "{warnings}");
    assert!(warnings.contains(told) && warnings.contains("No space left on device"), "{warnings}");
    manifests_are_whole(&data);
    let found = rows(&sink, format);
    assert!(found == expected, "{} rows, {} expected\n{warnings}", found.len(), expected.len());
}

#[test]
fn a_full_data_folder_makes_checkpoints_late_and_nothing_else() {
    survives_a_full_disk(OnDisk::Data, "csv", "the data folder fails; it is tried again");
}

#[test]
fn a_pipeline_waits_for_room_on_the_disk_of_its_sink() {
    for format in ["csv", "parquet"] {
        survives_a_full_disk(OnDisk::Sink, format, "the sink's disk is full; it is tried again");
    }
}
