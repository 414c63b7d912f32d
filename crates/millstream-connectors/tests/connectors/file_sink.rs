//! Writing files through crashes, beside others, and after them.

use std::fs::{self, File};
use std::path::Path;

use millstream_connectors::conformance::{sink_ids, sink_rows, sink_schema};
use millstream_connectors::{ConnectorRegistry, Sink};
use tempfile::tempdir;

use crate::support::*;

fn sink(path: &Path, more: &[(&str, &str)]) -> Box<dyn Sink> {
    let mut options = options(more);
    options.insert("connector", "file");
    options.insert("path", path.to_str().unwrap());
    ConnectorRegistry::default().sink(options, sink_schema(), clock()).unwrap()
}

async fn ids(path: &Path) -> Vec<i64> {
    let mut ids = sink_ids(&read_all(file_source(path, &sink_schema(), &[]).as_ref()).await.unwrap().batches);
    ids.sort_unstable();
    ids
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

const JSON: &[(&str, &str)] = &[("format", "json")];

#[tokio::test]
async fn a_crash_before_the_manifest_leaves_only_hidden_files() {
    let folder = tempdir().unwrap();
    let mut crashed = sink(folder.path(), JSON);
    crashed.write(&[sink_rows(0, 5)]).await.unwrap();
    crashed.seal(7).await.unwrap();
    drop(crashed);
    // The checkpoint never happened: its number comes again, with other rows.
    let mut next = sink(folder.path(), JSON);
    next.write(&[sink_rows(10, 15)]).await.unwrap();
    let sealed = next.seal(7).await.unwrap();
    next.publish(&sealed).await.unwrap();
    assert_eq!(ids(folder.path()).await, [10, 11, 12, 13, 14]);
    assert_eq!(names(folder.path()), [".part-00000007-0.json.sealed", "part-00000007-1.json"]);
}

/// Of a pipeline that is known: its own leftovers go, those of others and of later checkpoints stay. A later one may be of a process that
/// has taken over from this one, which does not know it yet.
#[tokio::test]
async fn leftovers_of_a_pipeline_are_removed_by_itself_only() {
    for (options, file) in [(JSON, ""), (JSON, "rows.json")] {
        let folder = tempdir().unwrap();
        for (pipeline, checkpoint) in [("f/one/1", 9), ("f/one/1", 2), ("f/two/2", 2), ("", 2)] {
            let mut crashed = sink(&folder.path().join(file), options);
            if !pipeline.is_empty() {
                crashed.serve(pipeline);
            }
            crashed.write(&[sink_rows(0, 5)]).await.unwrap();
            crashed.seal(checkpoint).await.unwrap();
        }
        let before = names(folder.path());
        // In a folder each of the three with an owner has a reservation beside it.
        assert_eq!(before.len(), if file.is_empty() { 7 } else { 4 }, "{before:?}");
        let mut next = sink(&folder.path().join(file), options);
        next.serve("f/one/1");
        next.write(&[sink_rows(10, 15)]).await.unwrap();
        let sealed = next.seal(4).await.unwrap();
        next.publish(&sealed).await.unwrap();
        let hidden: Vec<String> = names(folder.path()).into_iter().filter(|name| name.starts_with('.')).collect();
        let hidden: Vec<String> = hidden.into_iter().filter(|name| !name.ends_with(".lock")).collect();
        assert_eq!(hidden.len(), if file.is_empty() { 5 } else { 3 }, "{hidden:?}");
        assert_eq!(hidden.iter().filter(|name| name.contains("-00000009.sealed")).count(), 1, "{hidden:?}");
        assert!(hidden.iter().all(|name| before.contains(name)), "{hidden:?}");
    }
}

#[tokio::test]
async fn two_pipelines_may_write_to_one_folder() {
    let folder = tempdir().unwrap();
    let (mut one, mut two) = (sink(folder.path(), JSON), sink(folder.path(), JSON));
    one.serve("f/one/1");
    for checkpoint in 1..4 {
        if checkpoint == 3 {
            two.serve("f/two/2");
        }
        let from = checkpoint * 100;
        one.write(&[sink_rows(from, from + 2)]).await.unwrap();
        two.write(&[sink_rows(from + 50, from + 52)]).await.unwrap();
        let (first, second) = (one.seal(checkpoint as u64).await.unwrap(), two.seal(checkpoint as u64).await.unwrap());
        two.publish(&second).await.unwrap();
        one.publish(&first).await.unwrap();
    }
    assert_eq!(ids(folder.path()).await, [100, 101, 150, 151, 200, 201, 250, 251, 300, 301, 350, 351]);
    assert_eq!(names(folder.path()).iter().filter(|name| name.starts_with('.')).count(), 0);
}

#[tokio::test]
async fn unfinished_files_of_dead_writers_are_removed_and_of_living_ones_kept() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join(".part-3.inprogress"), "left by a crash").unwrap();
    fs::write(folder.path().join(".part-x.inprogress"), "not ours").unwrap();
    let held = File::create(folder.path().join(".part-4.inprogress")).unwrap();
    held.lock().unwrap();
    let mut writer = sink(folder.path(), JSON);
    writer.write(&[sink_rows(0, 1)]).await.unwrap();
    assert_eq!(names(folder.path()), [".part-0.inprogress", ".part-4.inprogress", ".part-x.inprogress"]);
    drop(writer);
    assert_eq!(names(folder.path()), [".part-4.inprogress", ".part-x.inprogress"]);
}

#[tokio::test]
async fn lost_and_damaged_files_are_told() {
    let folder = tempdir().unwrap();
    let mut writer = sink(folder.path(), JSON);
    writer.write(&[sink_rows(0, 5)]).await.unwrap();
    let sealed = writer.seal(1).await.unwrap();
    let hidden = folder.path().join(".part-00000001-0.json.sealed");
    let bytes = fs::read(&hidden).unwrap();
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&hidden, &bytes[..cut]).unwrap();
        let error = writer.publish(&sealed).await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("is damaged: '.part-00000001-0.json.sealed' has {cut} bytes, {} were sealed", bytes.len())),
            "{error}"
        );
    }
    fs::remove_file(&hidden).unwrap();
    let error = writer.publish(&sealed).await.unwrap_err().to_string();
    assert!(error.contains("is lost: neither '.part-00000001-0.json.sealed' nor 'part-00000001-0.json' is there"), "{error}");
}

/// Asked about a checkpoint that cannot be read any more, a folder knows what is still hidden, and keeps it from being shown.
#[tokio::test]
async fn what_is_sealed_and_not_shown_can_be_withdrawn() {
    let folder = tempdir().unwrap();
    let mut writer = sink(folder.path(), JSON);
    writer.serve("p");
    writer.write(&[sink_rows(0, 5)]).await.unwrap();
    let first = writer.seal(1).await.unwrap();
    writer.publish(&first).await.unwrap();
    writer.write(&[sink_rows(5, 9)]).await.unwrap();
    let second = writer.seal(2).await.unwrap();
    let mut successor = sink(folder.path(), JSON);
    assert_eq!(successor.is_published(2).await.unwrap(), None, "nobody knows whose it is");
    successor.serve("other");
    assert_eq!(successor.is_published(2).await.unwrap(), None, "another pipeline's is not its own");
    successor.serve("p");
    assert_eq!(successor.is_published(1).await.unwrap(), None, "it was shown, or had no rows");
    for _ in 0..2 {
        assert_eq!(successor.is_published(2).await.unwrap(), Some(false));
    }
    let error = writer.publish(&second).await.unwrap_err().to_string();
    assert!(error.contains("is lost"), "a former owner that wakes up cannot show it: {error}");
    successor.write(&[sink_rows(5, 9)]).await.unwrap();
    let again = successor.seal(4).await.unwrap();
    successor.publish(&again).await.unwrap();
    assert_eq!(names(folder.path()), ["part-00000001-0.json", "part-00000004-0.json"]);
}

#[tokio::test]
async fn one_file_grows_over_checkpoints_runs_and_crashes() {
    for extension in ["csv", "json", "parquet"] {
        let folder = tempdir().unwrap();
        let path = folder.path().join(format!("out.{extension}"));
        for run in 0..2 {
            let mut writer = sink(&path, &[]);
            for checkpoint in 0..3 {
                let from = run * 30 + checkpoint * 10;
                writer.write(&[sink_rows(from, from + 10)]).await.unwrap();
                let sealed = writer.seal(checkpoint as u64).await.unwrap();
                if extension != "parquet" && (run, checkpoint) != (0, 0) {
                    // A crash in the middle of publishing: some of the bytes are there.
                    let hidden = fs::read(folder.path().join(sealed.detail["staged"].as_str().unwrap())).unwrap();
                    let mut there = fs::read(&path).unwrap();
                    there.extend_from_slice(&hidden[..hidden.len() / 2]);
                    fs::write(&path, there).unwrap();
                }
                writer.publish(&sealed).await.unwrap();
                sink(&path, &[]).publish(&sealed).await.unwrap();
            }
        }
        assert_eq!(ids(&path).await, (0..60).collect::<Vec<_>>(), "{extension}");
        assert_eq!(names(folder.path()), [format!(".out.{extension}.lock"), format!("out.{extension}")]);
    }
}

#[tokio::test]
async fn one_file_with_foreign_bytes_is_left_alone() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("out.json");
    let mut writer = sink(&path, &[]);
    writer.write(&[sink_rows(0, 5)]).await.unwrap();
    let sealed = writer.seal(1).await.unwrap();
    fs::write(&path, "{\"id\": 99}\n").unwrap();
    let error = writer.publish(&sealed).await.unwrap_err().to_string();
    assert!(error.contains("out.json' was changed by somebody else: bytes from 0 on are not those of the checkpoint"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"id\": 99}\n");
}

#[test]
fn paths_that_cannot_be_written_are_told() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("plain"), "").unwrap();
    let refused = |path: &str, more: &[(&str, &str)]| {
        let mut options = options(more);
        options.insert("connector", "file");
        options.insert("path", folder.path().join(path).to_str().unwrap());
        ConnectorRegistry::default().sink(options, sink_schema(), clock()).unwrap_err().to_string()
    };
    assert!(refused("*.json", &[]).contains("is a pattern: it can only be read"));
    assert!(refused("plain", JSON).contains("is a file: a folder is expected"));
    assert!(refused("folder", &[]).contains("format of folder"));
    assert!(refused("a.json", &[("format", "raw")]).contains("writes one column: got 2"));
    assert!(refused("a.json", &[("prefix", ".x")]).contains("not hidden"));
}
