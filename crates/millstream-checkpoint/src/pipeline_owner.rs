//! A pipeline's owner: the only one who appends to its chain and deletes from its folder.
//!
//! One checkpoint: [`new_file`](PipelineOwner::new_file) and `PipelineFolder::create_file` for state (C2) and staged rows (C3),
//! [`commit`](PipelineOwner::commit) (C4), the sinks publish (C5), [`mark_committed`](PipelineOwner::mark_committed) (C6),
//! [`collect_garbage`](PipelineOwner::collect_garbage) (C7).

use std::collections::HashSet;

use crate::chain::{ChainOwner, Generation, Nonce, decide};
use crate::error::{CheckpointError, Result};
use crate::file_name::{FileKind, FileName};
use crate::garbage::{GarbageFacts, is_deletable, marker_is_deletable};
use crate::manifest::{Manifest, file_names_are_understood, nothing_is_named_twice, only_checkpoints_stage};
use crate::pipeline_folder::{PipelineFolder, marker};

/// The right to checkpoint one pipeline, until another process takes it over.
#[derive(Debug)]
pub struct PipelineOwner {
    folder: PipelineFolder,
    owner: ChainOwner<Manifest>,
    /// Whether the newest manifest has something to publish that is not marked yet.
    unpublished: bool,
    /// The same of the pending manifest.
    pending_publishes: bool,
}

/// What [`PipelineOwner::collect_garbage`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Checkpoints that are left, ascending.
    pub kept: Vec<u64>,
    /// Files of state and staged rows that were deleted.
    pub deleted: Vec<String>,
}

impl PipelineOwner {
    pub(crate) fn new(folder: PipelineFolder, owner: ChainOwner<Manifest>) -> Self {
        Self { folder, owner, unpublished: false, pending_publishes: false }
    }

    /// The folder, for reading, and for writing files from the background.
    pub fn folder(&self) -> &PipelineFolder {
        &self.folder
    }

    /// The newest manifest's number.
    pub fn number(&self) -> u64 {
        self.owner.number()
    }

    /// Ours.
    pub fn generation(&self) -> Generation {
        self.owner.generation()
    }

    /// A name for a file of the next checkpoint. `nonce` is new for every file: letters and digits.
    ///
    /// Errors: an operator or sink whose id is no plain name.
    pub fn new_file(&self, kind: FileKind, of: &str, part: u32, nonce: Nonce, extension: &str) -> Result<FileName> {
        let number = self.number() + 1;
        FileName { kind, of: of.to_owned(), generation: self.generation(), number, part, nonce, extension: extension.to_owned() }.check()
    }

    /// C4: from here on the checkpoint exists. Returns its number; the sinks may publish it.
    ///
    /// Errors: [`CheckpointError::Fenced`]: publish nothing, stop. After a transient failure call
    /// [`PipelineOwner::resume_commit`]. A bug: the checkpoint before is not marked as committed; a claim would finish only the
    /// newest.
    pub async fn commit(&mut self, manifest: Manifest) -> Result<u64> {
        if self.unpublished {
            return Err(CheckpointError::bug(format!("checkpoint {} must be published before the next one", self.number())));
        }
        check_manifest(&manifest)?;
        self.pending_publishes = manifest.publishes();
        let number = self.owner.append(manifest).await?;
        self.unpublished = self.pending_publishes;
        Ok(number)
    }

    /// Goes on with a commit that failed in a way that leaves open whether it happened.
    ///
    /// Errors: as [`PipelineOwner::commit`].
    pub async fn resume_commit(&mut self) -> Result<u64> {
        if self.owner.is_pending() {
            self.owner.resume().await?;
            self.unpublished = self.pending_publishes;
        }
        Ok(self.number())
    }

    /// Whether a commit must be resumed.
    pub fn is_pending(&self) -> bool {
        self.owner.is_pending()
    }

    /// C6: every sink has published the newest checkpoint.
    pub async fn mark_committed(&mut self) -> Result<()> {
        self.folder.mark_committed(self.number()).await?;
        self.unpublished = false;
        Ok(())
    }

    /// Keeps the newest `keep` checkpoints (at least one) and deletes older ones, then the files that nobody refers to any more.
    /// Whoever wants to be able to fall back keeps two.
    ///
    /// Errors: a kept manifest that cannot be read: then nothing is deleted. [`CheckpointError::Fenced`].
    pub async fn collect_garbage(&mut self, keep: usize) -> Result<Collected> {
        if self.owner.is_pending() {
            return Err(CheckpointError::bug("garbage must not be collected while a commit is pending"));
        }
        let numbers = self.owner.chain().numbers().await?;
        let kept = decide::kept(&numbers, keep).to_vec();
        let referenced = match self.referenced(&kept).await {
            Err(error) if error.is_damage() => {
                // One who is fenced may miss a manifest that its successor has retired.
                self.owner.retire_below(0).await?;
                return Err(error);
            }
            referenced => referenced?,
        };
        self.owner.retire_below(kept.first().copied().unwrap_or_default()).await?;
        for number in self.folder.markers().await? {
            if marker_is_deletable(number, &kept) {
                self.folder.folder().delete(&marker(number)).await?;
            }
        }
        let facts = GarbageFacts { referenced: &referenced, generation: self.generation(), finished: self.number() };
        let deleted = self.delete_files(&facts).await?;
        Ok(Collected { kept, deleted })
    }

    /// Read before anything is deleted: what cannot be read may refer to anything.
    async fn referenced(&self, kept: &[u64]) -> Result<HashSet<String>> {
        let mut referenced = HashSet::new();
        for number in kept {
            let stored = self.folder.manifest(*number).await?;
            referenced.extend(stored.entry.body.files().map(|file| file.name.clone()));
        }
        Ok(referenced)
    }

    async fn delete_files(&self, facts: &GarbageFacts<'_>) -> Result<Vec<String>> {
        let mut deleted = Vec::new();
        for kind in [FileKind::State, FileKind::Staged] {
            for name in self.folder.folder().sub(kind.folder())?.list_all().await? {
                let file = format!("{}/{name}", kind.folder());
                if is_deletable(&file, facts) {
                    self.folder.folder().delete(&file).await?;
                    deleted.push(file);
                }
            }
        }
        Ok(deleted)
    }
}

/// The invariants of a manifest, before it is written.
pub(crate) fn check_manifest(manifest: &Manifest) -> Result<()> {
    for (holds, invariant) in [
        (nothing_is_named_twice(manifest), "nothing is named twice"),
        (only_checkpoints_stage(manifest), "only checkpoints stage rows"),
        (file_names_are_understood(manifest), "file names are understood"),
    ] {
        if !holds {
            return Err(CheckpointError::bug(format!("manifest of pipeline {} breaks an invariant: {invariant}", manifest.pipeline)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;
    use crate::manifest::tests::{file, manifest};
    use crate::pipeline_folder::{Claimed, Publication};
    use crate::recovery::{Health, Published, Recovery};
    use crate::state_file::EncodedFile;
    use bytes::Bytes;

    async fn claim(pipeline: &PipelineFolder, owner: &str) -> PipelineOwner {
        let look = pipeline.look().await.unwrap();
        if look.head.number() > 0 && !look.committed {
            pipeline.mark_committed(look.head.number()).await.unwrap();
        }
        let body = match &look.head {
            crate::chain::Head::Entry(stored) => stored.entry.body.as_takeover(stored.entry.number, 1),
            _ => manifest(&[]).as_takeover(0, 1),
        };
        match pipeline.take_over(&look, owner.into(), body, Publication::Finished).await.unwrap() {
            Claimed::Owned(owner) => *owner,
            Claimed::Raced => panic!("raced"),
        }
    }

    async fn write(owner: &PipelineOwner, nonce: &str) -> String {
        let name = owner.new_file(FileKind::State, "agg", 0, nonce.into(), "parquet").unwrap().to_string();
        let bytes = Bytes::from(name.clone());
        let mut state = file(&name);
        state.bytes = bytes.len() as u64;
        owner.folder().create_file(&EncodedFile { file: state, bytes }).await.unwrap();
        name
    }

    fn whole(names: &[&str]) -> Manifest {
        let mut manifest = manifest(names);
        for file in &mut manifest.operators[0].files {
            file.bytes = file.name.len() as u64;
        }
        manifest
    }

    #[tokio::test]
    async fn a_checkpoint_is_kept_until_it_is_retired() {
        let pipeline = PipelineFolder::new(Folder::memory().sub("p").unwrap()).unwrap();
        let mut owner = claim(&pipeline, "a").await;
        let first = write(&owner, "x").await;
        assert_eq!(owner.commit(whole(&[&first])).await.unwrap(), 2);
        assert!(owner.commit(whole(&[])).await.unwrap_err().to_string().contains("must be published"));
        owner.mark_committed().await.unwrap();
        let orphan = write(&owner, "y").await;
        let second = write(&owner, "z").await;
        assert_eq!(owner.collect_garbage(2).await.unwrap().deleted, Vec::<String>::new(), "files of a checkpoint to come stay");
        owner.commit(whole(&[&second])).await.unwrap();
        owner.mark_committed().await.unwrap();
        assert_eq!(owner.collect_garbage(2).await.unwrap(), Collected { kept: vec![2, 3], deleted: vec![orphan] });
        assert_eq!(owner.collect_garbage(1).await.unwrap(), Collected { kept: vec![3], deleted: vec![first] });
        assert_eq!(pipeline.folder().list_all().await.unwrap(), ["committed-3", "manifest-3.json", &second]);
        assert_eq!(pipeline.checkpoints().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_damaged_file_leads_back_or_stops() {
        let pipeline = PipelineFolder::new(Folder::memory().sub("p").unwrap()).unwrap();
        let mut owner = claim(&pipeline, "a").await;
        let first = write(&owner, "x").await;
        owner.commit(whole(&[&first])).await.unwrap();
        owner.mark_committed().await.unwrap();
        let second = write(&owner, "y").await;
        owner.commit(whole(&[&first, &second])).await.unwrap();
        pipeline.folder().delete(&second).await.unwrap();
        let look = pipeline.look().await.unwrap();
        assert!(!look.committed);
        assert!(matches!(&look.damage, Some(CheckpointError::Missing { file, .. }) if *file == second));
        assert_eq!(look.before, Some((2, Health::Whole)));
        assert_eq!(look.choose(Published::Nowhere), Recovery::FallBack { to: 2, damaged: 3 });
        assert_eq!(look.choose(Published::Perhaps), Recovery::Stop { damaged: 3, offer: Some(2) });
        let body = pipeline.manifest(2).await.unwrap().entry.body.as_takeover(2, 9);
        assert!(pipeline.take_over(&look, "b".into(), body.clone(), Publication::Finished).await.is_err());
        let claimed = pipeline.take_over(&look, "b".into(), body, Publication::GivenUp).await.unwrap();
        let Claimed::Owned(b) = claimed else { panic!() };
        assert_eq!((b.number(), b.generation()), (4, Generation(2)));
        assert_eq!(pipeline.look().await.unwrap().choose(Published::Perhaps), Recovery::Resume(4));
        assert!(matches!(owner.collect_garbage(1).await, Err(CheckpointError::Fenced { .. })));
    }

    #[tokio::test]
    async fn nothing_is_deleted_beside_a_manifest_that_cannot_be_read() {
        let pipeline = PipelineFolder::new(Folder::memory()).unwrap();
        let mut owner = claim(&pipeline, "a").await;
        let orphan = write(&owner, "x").await;
        owner.commit(whole(&[])).await.unwrap();
        owner.mark_committed().await.unwrap();
        pipeline.folder().delete("manifest-1.json").await.unwrap();
        pipeline.folder().create("manifest-1.json", Bytes::from("{}")).await.unwrap();
        assert!(matches!(owner.collect_garbage(2).await, Err(CheckpointError::Damaged { file, .. }) if file == "manifest-1.json"));
        assert!(pipeline.folder().read(&orphan).await.is_ok());
        assert_eq!(owner.collect_garbage(1).await.unwrap().deleted, [orphan]);
    }
}
