//! Stopping anywhere and going on gives the rows of one run: for random files, cut anywhere, read in random steps.

use std::fs;
use std::path::Path;

use millstream_connectors::{Lane, LaneId, Position, Read, Source};
use proptest::prelude::*;
use tempfile::tempdir;

use crate::support::*;

/// Rows and rejected rows in order, as text; stops after `steps` reads.
async fn some(lane: &mut Box<dyn Lane>, rows_max: usize, steps: usize) -> (Vec<String>, Option<Position>, bool) {
    let (mut texts, mut position) = (Vec::new(), None);
    for _ in 0..steps {
        match lane.read(rows_max).await.unwrap() {
            Read::Finished => return (texts, position, true),
            Read::Batch(batch) => {
                texts.extend(rows(&batch.rows));
                texts.extend(batch.rejected.iter().map(|row| format!("{} {}", row.place, row.reason)));
                position = Some(batch.position);
            }
        }
    }
    (texts, position, false)
}

async fn in_pieces(source: &dyn Source, lane: &LaneId, pieces: &[(usize, usize)]) -> Vec<String> {
    let mut all = Vec::new();
    let mut position = None;
    for (rows_max, steps) in pieces.iter().cycle() {
        let mut lane = source.open(lane, position.as_ref(), &[0, 1]).await.unwrap();
        let (texts, reached, finished) = some(&mut lane, *rows_max, *steps).await;
        all.extend(texts);
        position = reached.or(position);
        if finished {
            return all;
        }
    }
    all
}

fn check(write: impl Fn(&Path), more: &[(&str, &str)], pieces: &[(usize, usize)]) -> Result<(), TestCaseError> {
    let folder = tempdir().unwrap();
    write(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let source = file_source(folder.path(), &columns("id BIGINT, name TEXT"), more);
        let lane = LaneId("files".into());
        let whole = in_pieces(source.as_ref(), &lane, &[(usize::MAX, usize::MAX)]).await;
        let mut pieces = in_pieces(source.as_ref(), &lane, pieces).await;
        // Within a batch good rows come first here, so only the set is the same.
        let mut whole = whole;
        whole.sort();
        pieces.sort();
        prop_assert_eq!(whole, pieces);
        Ok(())
    })
}

fn pieces() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((1_usize..6, 1_usize..4), 1..5)
}

fn files(line: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat()), 1..4)
}

fn json_line() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<i64>(), "[a-z\"é]{0,5}").prop_map(|(id, name)| serde_json::json!({"id": id, "name": name}).to_string() + "\n"),
        Just("\n".to_owned()),
        Just("  \r\n".to_owned()),
        Just("{\"id\": \"bad\"}\n".to_owned()),
        Just("{\"id\": 1}".to_owned()),
    ]
}

fn csv_line() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<i64>(), "[a-z ]{0,5}").prop_map(|(id, name)| format!("{id},{name}\n")),
        (any::<i64>(), "[a-z\n,]{0,5}").prop_map(|(id, name)| format!("{id},\"{name}\"\r\n")),
        Just("\n".to_owned()),
        Just("bad,x\n".to_owned()),
        Just("1,\"open\n".to_owned()),
        Just("7\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn json(files in files(json_line()), pieces in pieces()) {
        let write = |folder: &Path| for (idx, text) in files.iter().enumerate() {
            fs::write(folder.join(format!("{idx}.json")), text).unwrap();
        };
        check(write, &[], &pieces)?;
    }

    #[test]
    fn csv(files in files(csv_line()), header in any::<bool>(), pieces in pieces()) {
        let write = |folder: &Path| for (idx, text) in files.iter().enumerate() {
            let header = if header { "name,id\n" } else { "" };
            fs::write(folder.join(format!("{idx}.csv")), format!("{header}{text}")).unwrap();
        };
        check(write, &[], &pieces)?;
    }

    #[test]
    fn nexmark(row in 0_u64..1_000_000_000_000, lanes in 1_u64..5, seed in any::<u64>()) {
        let registry = millstream_connectors::ConnectorRegistry::default();
        let (lanes, seed) = (lanes.to_string(), seed.to_string());
        let options = options(&[("connector", "nexmark"), ("table", "bid"), ("lanes", &lanes), ("seed", &seed)]);
        let schema = registry.infer_schema(options.clone()).unwrap().unwrap();
        let source = registry.source(options, schema, clock()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let lane = LaneId("0".into());
            let at = |row: u64| Position(serde_json::json!({ "row": row }));
            let mut one = source.open(&lane, Some(&at(row)), &[0, 2, 4, 5]).await.unwrap();
            let (together, ..) = some(&mut one, 20, 1).await;
            let mut two = source.open(&lane, Some(&at(row + 13)), &[0, 2, 4, 5]).await.unwrap();
            let (apart, ..) = some(&mut two, 7, 1).await;
            prop_assert_eq!(&together[13..], &apart[..]);
            Ok(())
        })?;
    }
}
