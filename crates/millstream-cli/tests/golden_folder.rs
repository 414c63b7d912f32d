//! A data folder of each format version, kept as a program left it that was killed: whoever goes on with it gives the same rows.

#![expect(clippy::unwrap_used, reason = "a test of the process from outside")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

const SINKS: [&str; 4] = ["tumbling", "hopping", "joined", "ranked"];

fn millstream(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(words).args(["--data", "data", "--format", "csv"]).current_dir(folder).stdin(Stdio::null());
    command.env_remove("MILLSTREAM_LOG").env_remove("RUST_LOG").env_remove("MILLSTREAM_CRASH_AT");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Rows of a sink that readers see, sorted.
fn published(folder: &Path, sink: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(folder.join("out").join(sink)).into_iter().flatten().map(|entry| entry.unwrap()) {
        if !entry.file_name().to_string_lossy().starts_with('.') {
            rows.extend(std::fs::read_to_string(entry.path()).unwrap().lines().map(str::to_owned));
        }
    }
    rows.sort();
    rows
}

/// Runs the script to its end: what every sink, table and view has then.
fn rows_at_end(folder: &Path) -> BTreeMap<String, Vec<String>> {
    millstream(folder, &["run", "script.sql"]);
    let mut all: BTreeMap<String, Vec<String>> = SINKS.iter().map(|sink| ((*sink).to_owned(), published(folder, sink))).collect();
    let mut rows: Vec<String> =
        millstream(folder, &["-c", "SELECT * FROM kept; SELECT * FROM per_minute"]).lines().map(str::to_owned).collect();
    rows.sort();
    all.insert("tables".to_owned(), rows);
    all
}

#[test]
fn data_folders_of_former_versions_go_on_with_the_same_rows() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let versions: Vec<_> = std::fs::read_dir(&golden).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    assert!(!versions.is_empty());
    for version in versions {
        let fresh = tempfile::tempdir().unwrap();
        for file in ["script.sql", "readings.csv"] {
            std::fs::copy(version.join(file), fresh.path().join(file)).unwrap();
        }
        let expected = rows_at_end(fresh.path());
        assert!(expected.values().all(|rows| rows.len() > 5), "{expected:?}");
        let kept = tempfile::tempdir().unwrap();
        copy(&version, kept.path());
        let before: Vec<Vec<String>> = SINKS.iter().map(|sink| published(kept.path(), sink)).collect();
        let rows = rows_at_end(kept.path());
        assert_eq!(rows, expected, "{}", version.display());
        for (sink, before) in SINKS.iter().zip(before) {
            assert!(before.len() < rows[*sink].len(), "{sink} was at its end");
            assert!(before.iter().all(|row| rows[*sink].contains(row)), "{sink} has changed what was published");
        }
        let went_on = millstream(kept.path(), &["-c", "SHOW CHECKPOINTS"]);
        assert!(SINKS.iter().all(|sink| went_on.contains(&format!("{sink},"))) && went_on.contains("finished"), "{went_on}");
    }
}
