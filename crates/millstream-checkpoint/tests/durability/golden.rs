//! Files of released versions, kept for ever: they must give the same rows for ever. `tests/golden/v1` was written by
//! `MILLSTREAM_GOLDEN=write`, which refuses to write over what is there; a new format gets a new folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millstream_checkpoint::chain::Head;
use millstream_checkpoint::{
    Chain, Claimed, FileKind, Folder, Generation, Manifest, ManifestKind, ManifestStats, OperatorState, PipelineFolder, Publication,
    SinkState, StateRows, StateShape, TableLog, TakeOver, state_file,
};
use serde_json::{Value, json};

use crate::round_trip::all_kinds;

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

pub(crate) fn manifest() -> Manifest {
    Manifest {
        kind: ManifestKind::Checkpoint,
        pipeline: "7".into(),
        sql: "INSERT INTO out SELECT a, count(*) FROM t GROUP BY a -- ä".into(),
        fingerprint: json!({"plan": "x", "time_zone": "UTC"}),
        created_at_ms: 1_700_000_000_000,
        reason: "interval".into(),
        from: None,
        inputs: json!({"t": {"lanes": {"0": {"offset": 12, "watermark": -5}}}}),
        operators: vec![OperatorState {
            id: "agg-0".into(),
            shape: StateShape::Layers,
            watermark: i64::MIN,
            detail: json!({"late": 3}),
            files: vec![],
        }],
        sinks: vec![SinkState { name: "out".into(), sealed: json!({"rows": 2}), staged: vec![] }],
        models: BTreeMap::from([("m".to_owned(), json!({"version": 4}))]),
        stats: ManifestStats { duration_ms: 5, stall_us: 40, rows_in: 12, bytes_new: 100, bytes_total: 200, state_rows: 3 },
    }
}

/// A pipeline with one checkpoint, a table of two segments, a catalog of two entries; gives the checkpoint's manifest.
pub(crate) async fn write(root: &Folder) -> Manifest {
    let pipeline = PipelineFolder::new(root.sub("pipelines/7").unwrap()).unwrap();
    let look = pipeline.look().await.unwrap();
    let first = Manifest { operators: vec![], ..manifest() }.as_takeover(0, 1);
    let claimed = pipeline.take_over(&look, "golden".into(), first, Publication::Finished).await.unwrap();
    let Claimed::Owned(mut owner) = claimed else { panic!("raced") };
    let mut manifest = manifest();
    for (kind, of) in [(FileKind::State, "agg-0"), (FileKind::Staged, "out")] {
        let name = owner.new_file(kind, of, 0, "golden".into(), "parquet").unwrap();
        let batch = all_kinds(&[Some(1), None, Some(-3)]);
        let encoded = state_file::encode(&name, &StateRows { schema: batch.schema(), batches: vec![batch] }).unwrap();
        pipeline.create_file(&encoded).await.unwrap();
        match kind {
            FileKind::State => manifest.operators[0].files.push(encoded.file),
            FileKind::Staged => manifest.sinks[0].staged.push(encoded.file),
        }
    }
    owner.commit(manifest.clone()).await.unwrap();
    owner.mark_committed().await.unwrap();
    let mut log = TableLog::open(root.sub("tables/3").unwrap(), 0xabcd).await.unwrap();
    log.append(&[all_kinds(&[Some(5)])]).await.unwrap();
    log.append(&[all_kinds(&[None]), all_kinds(&[Some(6), Some(7)])]).await.unwrap();
    let catalog: Chain<Value> = Chain::new(root.sub("catalog").unwrap(), "catalog").unwrap();
    let head = catalog.head().await.unwrap();
    let claimed = catalog.take_over(&head, Generation(0), "golden".into(), json!({})).await.unwrap();
    let TakeOver::Owned(mut owner) = claimed else { panic!("raced") };
    owner.append(json!({"tables": {"3": "CREATE TABLE t (a BIGINT)"}})).await.unwrap();
    manifest
}

async fn check(root: &Folder) {
    let pipeline = PipelineFolder::new(root.sub("pipelines/7").unwrap()).unwrap();
    let look = pipeline.look().await.unwrap();
    assert!(look.committed && look.damage.is_none(), "{look:?}");
    let stored = pipeline.manifest(2).await.unwrap();
    assert_eq!(stored.entry.generation, Generation(1));
    let read = stored.entry.body;
    let file = read.operators[0].files[0].clone();
    let mut expected = manifest();
    expected.operators[0].files = vec![file.clone()];
    expected.sinks[0].staged = read.sinks[0].staged.clone();
    assert_eq!(read, expected);
    assert_eq!(pipeline.read_state(&file).await.unwrap().batches, [all_kinds(&[Some(1), None, Some(-3)])]);
    assert_eq!(pipeline.manifest(1).await.unwrap().entry.body.kind, ManifestKind::Takeover);
    let mut log = TableLog::open(root.sub("tables/3").unwrap(), 1).await.unwrap();
    let segments = log.read_from(1).await.unwrap();
    assert_eq!(segments[0].batches, [all_kinds(&[Some(5)])]);
    assert_eq!(segments[1].batches, [all_kinds(&[None]), all_kinds(&[Some(6), Some(7)])]);
    let catalog: Chain<Value> = Chain::new(root.sub("catalog").unwrap(), "catalog").unwrap();
    let Head::Entry(head) = catalog.head().await.unwrap() else { panic!("no head") };
    assert_eq!(head.entry.body, json!({"tables": {"3": "CREATE TABLE t (a BIGINT)"}}));
}

#[tokio::test]
async fn files_of_version_1_read_back_the_same() {
    if std::env::var("MILLSTREAM_GOLDEN").is_ok_and(|value| value == "write") {
        assert!(!place().exists(), "golden files are never written anew");
        write(&Folder::local(place())).await;
    }
    check(&Folder::local(place())).await;
}

#[tokio::test]
async fn what_is_written_today_reads_back_too() {
    let root = Folder::memory();
    write(&root).await;
    check(&root).await;
}
