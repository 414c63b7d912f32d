//! What of a pipeline is on disk, for anyone to read.
//!
//! ```text
//!   <pipeline>/manifest-<N>.json                  the chain; its newest entry is the pipeline's truth
//!   <pipeline>/committed-<N>                      sinks have published N; that it is there is all it says
//!   <pipeline>/state/<operator>/….parquet         rows that operators remember
//!   <pipeline>/staged/<sink>/…                    rows that sinks will publish
//! ```
//!
//! Going on with a pipeline: [`look`](PipelineFolder::look), [`choose`](Look::choose), finish the publication and
//! [`mark_committed`](PipelineFolder::mark_committed) if it is not, then [`take_over`](PipelineFolder::take_over). If another was
//! faster, start again.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::chain::{Chain, Generation, Head, Nonce, StoredEntry, TakeOver};
use crate::error::{CheckpointError, Result};
use crate::folder::{Create, Folder};
use crate::manifest::{Manifest, StateFile};
use crate::pipeline_owner::{PipelineOwner, check_manifest};
use crate::recovery::{Health, Published, Recovery, RecoveryFacts, choose};
use crate::state_file::{self, EncodedFile, StateRows};

/// A file that vanishes right after it was created is created again so often.
const CREATIONS_MAX: usize = 8;

/// `look` starts again so often while others go on with the pipeline.
const LOOKS_MAX: usize = 100;

/// One pipeline's folder. Cheap to clone, so that files can be written behind the crank's back.
#[derive(Clone, Debug)]
pub struct PipelineFolder {
    folder: Folder,
    chain: Chain<Manifest>,
}

/// A kept checkpoint, for people.
#[derive(Debug)]
pub struct ListedCheckpoint {
    /// Its number.
    pub number: u64,
    /// Whether sinks have published it.
    pub committed: bool,
    /// What is in it, or why it cannot be read.
    pub manifest: Result<StoredEntry<Manifest>>,
}

/// What recovery has found.
#[derive(Debug)]
pub struct Look {
    /// The newest manifest.
    pub head: Head<Manifest>,
    /// Whether its publication is finished, or it has none.
    pub committed: bool,
    /// What is wrong with the newest, if anything is: names the file.
    pub damage: Option<CheckpointError>,
    /// The one before, looked at only if the newest is damaged.
    pub before: Option<(u64, Health)>,
    /// What was read of the newest.
    pub kept: KeptFiles,
}

/// Files that were read and found whole, so that they need not be read again.
#[derive(Debug, Default)]
pub struct KeptFiles(HashMap<String, Bytes>);

impl KeptFiles {
    /// The rows of a file that is here, which it then is no more.
    ///
    /// Errors: [`CheckpointError::Damaged`].
    pub fn take(&mut self, file: &StateFile) -> Result<Option<StateRows>> {
        self.0.remove(&file.name).map(|bytes| state_file::decode_whole(file, &bytes)).transpose()
    }
}

impl Look {
    /// Where to go on. `published` counts only if the newest is damaged.
    pub fn choose(&self, published: Published) -> Recovery {
        let health = if self.damage.is_none() { Health::Whole } else { Health::Damaged };
        let newest = (self.head.number() > 0).then_some((self.head.number(), health));
        choose(RecoveryFacts { newest, before: self.before, published })
    }
}

/// Why the head needs no more publishing when its pipeline is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// The head is committed, or has nothing to publish.
    Finished,
    /// The head is damaged, and it was decided to go on from an older one ([`Recovery::FallBack`], or a user's RESTORE).
    GivenUp,
}

/// What [`PipelineFolder::take_over`] came to.
#[derive(Debug)]
pub enum Claimed {
    /// The pipeline is ours.
    Owned(Box<PipelineOwner>),
    /// Another was faster: start again with [`PipelineFolder::look`].
    Raced,
}

impl PipelineFolder {
    /// The pipeline in `folder`. Nothing is read yet.
    pub fn new(folder: Folder) -> Result<Self> {
        Ok(Self { chain: Chain::new(folder.clone(), "manifest")?, folder })
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Reads the newest manifest and all its files, and if something is damaged the one before with all of its.
    ///
    /// Errors: failures of the store and formats of a newer version. Damage is a finding, no error.
    pub async fn look(&self) -> Result<Look> {
        self.look_and_keep(0).await
    }

    /// The same, and the newest manifest's files are kept if they have at most `bytes_max` bytes.
    pub async fn look_and_keep(&self, bytes_max: u64) -> Result<Look> {
        for _ in 0..LOOKS_MAX {
            let look = self.look_once(bytes_max).await?;
            // Files of a head that has been left behind may be deleted while we look: that is no damage.
            if look.damage.is_none() || self.is_head(look.head.number()).await? {
                return Ok(look);
            }
        }
        Err(CheckpointError::bug(format!("{}: its newest checkpoint moved {LOOKS_MAX} times while it was read", self.folder)))
    }

    async fn look_once(&self, bytes_max: u64) -> Result<Look> {
        let head = self.chain.head().await?;
        let committed = match &head {
            Head::Entry(stored) if stored.entry.body.publishes() => self.is_committed(stored.entry.number).await?,
            Head::Damaged { number, .. } => self.is_committed(*number).await?,
            _ => true,
        };
        let mut kept = KeptFiles::default();
        let damage = match &head {
            Head::Empty => None,
            Head::Entry(stored) => {
                let manifest = &stored.entry.body;
                let keeps = manifest.files().map(|file| file.bytes).sum::<u64>() <= bytes_max;
                self.damage_of(manifest, keeps.then_some(&mut kept)).await?
            }
            Head::Damaged { .. } => self.chain.read(head.number()).await.err(),
        };
        let before = if damage.is_some() { self.health_before(head.number()).await? } else { None };
        Ok(Look { head, committed, damage, before, kept })
    }

    async fn is_head(&self, number: u64) -> Result<bool> {
        Ok(self.chain.numbers().await?.last().copied().unwrap_or_default() == number)
    }

    /// The first file of a manifest that cannot be trusted.
    async fn damage_of(&self, manifest: &Manifest, mut kept: Option<&mut KeptFiles>) -> Result<Option<CheckpointError>> {
        for file in manifest.files() {
            match self.read_file(file).await {
                Ok(bytes) => {
                    if let Some(kept) = &mut kept {
                        kept.0.insert(file.name.clone(), bytes);
                    }
                }
                Err(error) if error.is_damage() => return Ok(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn health_before(&self, number: u64) -> Result<Option<(u64, Health)>> {
        let number = number.saturating_sub(1);
        let health = match self.chain.read(number).await {
            Ok(None) => return Ok(None),
            Ok(Some(stored)) if self.damage_of(&stored.entry.body, None).await?.is_none() => Health::Whole,
            Ok(Some(_)) => Health::Damaged,
            Err(error) if error.is_damage() => Health::Damaged,
            Err(error) => return Err(error),
        };
        Ok(Some((number, health)))
    }

    /// One manifest, checked.
    ///
    /// Errors: [`CheckpointError::Missing`] if it was retired or never existed, [`CheckpointError::Damaged`].
    pub async fn manifest(&self, number: u64) -> Result<StoredEntry<Manifest>> {
        let found = self.chain.read(number).await?;
        found.ok_or_else(|| CheckpointError::Missing { file: self.chain.file(number), detail: "no such checkpoint is kept".to_owned() })
    }

    /// All kept checkpoints, oldest first. A damaged one is listed with its error.
    pub async fn checkpoints(&self) -> Result<Vec<ListedCheckpoint>> {
        let committed: HashSet<u64> = self.markers().await?.into_iter().collect();
        let mut listed = Vec::new();
        for number in self.chain.numbers().await? {
            listed.push(ListedCheckpoint { number, committed: committed.contains(&number), manifest: self.manifest(number).await });
        }
        Ok(listed)
    }

    /// C6: every sink has published checkpoint `number`. May be said twice.
    pub async fn mark_committed(&self, number: u64) -> Result<()> {
        self.folder.create(&marker(number), Bytes::new()).await.map(|_| ())
    }

    /// Whether every sink has published checkpoint `number`.
    pub async fn is_committed(&self, number: u64) -> Result<bool> {
        Ok(self.folder.read_if_exists(&marker(number)).await?.is_some())
    }

    /// Numbers that are marked, in any order.
    pub(crate) async fn markers(&self) -> Result<Vec<u64>> {
        let names = self.folder.list().await?;
        let numbers = names.iter().filter_map(|name| {
            let number = name.strip_prefix("committed-")?.parse().ok()?;
            (marker(number) == *name).then_some(number)
        });
        Ok(numbers.collect())
    }

    /// Creates a file of state or of staged rows; durable on return. May be repeated after a transient failure.
    ///
    /// Errors: another file of that name, which means that a nonce was used twice.
    pub async fn create_file(&self, encoded: &EncodedFile) -> Result<()> {
        let file = &encoded.file;
        for _ in 0..CREATIONS_MAX {
            if self.folder.create(&file.name, encoded.bytes.clone()).await? == Create::Created {
                return Ok(());
            }
            // Its answer was lost. If it has gone again by now, a successor has collected it: the commit will be fenced.
            if let Some(there) = self.folder.read_if_exists(&file.name).await? {
                return state_file::check(file, &there).map_err(|error| CheckpointError::bug(format!("a nonce was used twice: {error}")));
            }
        }
        Err(CheckpointError::Missing { file: file.name.clone(), detail: "it is deleted whenever it is created".to_owned() })
    }

    /// The bytes of a file, checked against the manifest's length and hash.
    pub async fn read_file(&self, file: &StateFile) -> Result<Bytes> {
        let bytes = self.folder.read(&file.name).await?;
        state_file::check(file, &bytes)?;
        Ok(bytes)
    }

    /// The rows of a Parquet file, checked.
    pub async fn read_state(&self, file: &StateFile) -> Result<StateRows> {
        let bytes = self.folder.read(&file.name).await?;
        state_file::decode(file, &bytes)
    }

    /// Claims the pipeline: `manifest` becomes the entry after `look`'s head, usually its
    /// [takeover](Manifest::as_takeover) or, for a new pipeline, a first one without state.
    ///
    /// `owner` must be a nonce never used before.
    ///
    /// Errors: a head whose publication is neither finished nor given up; failures of the store, after which to start again.
    pub async fn take_over(&self, look: &Look, owner: Nonce, manifest: Manifest, publication: Publication) -> Result<Claimed> {
        let number = look.head.number();
        if manifest.publishes() {
            return Err(CheckpointError::bug(format!("a takeover of manifest {number} must not publish")));
        }
        if publication == Publication::Finished && (!look.committed || look.damage.is_some()) && !self.is_committed(number).await? {
            // The marker goes with its manifest; so look for the head after looking for the marker.
            if !self.is_head(number).await? {
                return Ok(Claimed::Raced);
            }
            return Err(CheckpointError::bug(format!("publication of checkpoint {number} must be finished before it is taken over")));
        }
        check_manifest(&manifest)?;
        let before = self.generation_of(&look.head).await?;
        match self.chain.take_over(&look.head, before, owner, manifest).await? {
            TakeOver::Raced => Ok(Claimed::Raced),
            TakeOver::Owned(owner) => {
                self.folder.remove_leftovers().await?;
                Ok(Claimed::Owned(Box::new(PipelineOwner::new(self.clone(), *owner))))
            }
        }
    }

    /// The head's generation; for a damaged one the most it can be: each entry may have been a claim.
    async fn generation_of(&self, head: &Head<Manifest>) -> Result<Generation> {
        if let Head::Entry(stored) = head {
            return Ok(stored.entry.generation);
        }
        let mut numbers = self.chain.numbers().await?;
        while let Some(number) = numbers.pop() {
            match self.chain.read(number).await {
                Ok(Some(stored)) => return Ok(Generation(stored.entry.generation.0 + head.number().saturating_sub(number))),
                Err(error) if !error.is_damage() => return Err(error),
                _ => {}
            }
        }
        Ok(Generation(head.number()))
    }
}

pub(crate) fn marker(number: u64) -> String {
    format!("committed-{number}")
}
