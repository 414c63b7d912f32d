//! R3: every kind of durable file, cut short or with a bit flipped: an error that names the file, never a wrong row, never a panic.

use bytes::Bytes;
use millstream_checkpoint::chain::Head;
use millstream_checkpoint::{Chain, CheckpointError, Folder, PipelineFolder, Published, Recovery, TableLog};
use serde_json::Value;

use crate::golden::write;
use millstream_testkit::Dice;

async fn replace(root: &Folder, file: &str, bytes: Bytes) {
    root.delete(file).await.unwrap();
    root.create(file, bytes).await.unwrap();
}

/// Reads everything that is there, and gives the file that cannot be trusted.
async fn first_damage(root: &Folder) -> Option<CheckpointError> {
    let pipeline = PipelineFolder::new(root.sub("pipelines/7").unwrap()).unwrap();
    let look = pipeline.look().await.unwrap();
    if look.damage.is_some() {
        // The takeover before it is whole, so there is a way back.
        assert_eq!(look.before.map(|(number, _)| number), Some(1));
        assert_eq!(look.choose(Published::Nowhere), Recovery::FallBack { to: 1, damaged: 2 });
        assert_eq!(look.choose(Published::Perhaps), Recovery::Stop { damaged: 2, offer: Some(1) });
        return look.damage;
    }
    for checkpoint in pipeline.checkpoints().await.unwrap() {
        match checkpoint.manifest {
            Err(error) => return Some(error),
            Ok(stored) => {
                for file in stored.entry.body.files() {
                    pipeline.read_state(file).await.unwrap();
                }
            }
        }
    }
    let mut log = TableLog::open(root.sub("tables/3").unwrap(), 1).await.unwrap();
    if let Err(error) = log.read_from(1).await {
        return Some(error);
    }
    let catalog: Chain<Value> = Chain::new(root.sub("catalog").unwrap(), "catalog").unwrap();
    for number in catalog.numbers().await.unwrap() {
        if let Err(error) = catalog.read(number).await {
            return Some(error);
        }
    }
    matches!(catalog.head().await.unwrap(), Head::Damaged { .. }).then(|| panic!("only the head knows"))
}

async fn refused(root: &Folder, file: &str, what: &str) {
    let error = first_damage(root).await.unwrap_or_else(|| panic!("{file}: {what} was not noticed"));
    let message = error.to_string();
    let CheckpointError::Damaged { file: named, found, .. } = error else { panic!("{file}, {what}: {message}") };
    assert!(file.ends_with(&named), "{file}: {message}");
    assert!(message.contains(&found.to_string()) && message.contains("its hash should be"), "{message}");
}

#[tokio::test]
async fn every_kind_of_file_cut_or_flipped_is_named() {
    let flips = std::env::var("MILLSTREAM_CHECKPOINT_FLIPS").ok().and_then(|flips| flips.parse().ok()).unwrap_or(8);
    let root = Folder::memory();
    write(&root).await;
    assert!(first_damage(&root).await.is_none());
    let mut kinds = 0;
    for file in root.list_all().await.unwrap() {
        let bytes = root.read(&file).await.unwrap();
        // A marker holds nothing: that it is there is all it says.
        if bytes.is_empty() {
            assert!(file.contains("/committed-"), "{file}");
            continue;
        }
        kinds += 1;
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            replace(&root, &file, bytes.slice(..length)).await;
            refused(&root, &file, &format!("cut at {length}")).await;
        }
        let dice = Dice::new(kinds);
        for _ in 0..flips {
            let bit = dice.roll(bytes.len() as u64 * 8) as usize;
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            replace(&root, &file, flipped.into()).await;
            refused(&root, &file, &format!("bit {bit}")).await;
        }
        replace(&root, &file, bytes).await;
    }
    assert_eq!(kinds, 8, "two manifests, state, staged rows, two segments, two catalog entries");
}
