//! A chain of numbered entries: the one fence of everything durable.
//!
//! ```text
//!   manifest-1.json ◀── manifest-2.json ◀── manifest-3.json      each names the hash of the one before
//!    owner a, gen 1      owner a, gen 1      owner b, gen 2      b has claimed the chain: a can append no more
//! ```
//!
//! An entry is created and never changed. To own a chain is to have created its newest entry. Claiming is three steps:
//! [`Chain::head`]; then the caller finishes whatever the head calls for (the publication of a checkpoint); then
//! [`Chain::take_over`]. If another was faster, start again with `head`.
//!
//! The deciding is in [`decide`], without I/O.

pub mod decide;
mod entry;

use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::decide::{Standing, Taken, standing, taken_by, was_head};
pub use self::entry::{Entry, FORMAT_VERSION, Generation, Link, Nonce, StoredEntry, is_where_it_belongs, stands_on_predecessor};
use crate::digest::Digest;
use crate::error::{CheckpointError, Result};
use crate::folder::{Create, Folder};

/// `head` reads again so often while others go on with the chain; more often means that something is deeply wrong.
const HEAD_READS_MAX: usize = 100;

/// A chain with bodies of type `B`, to be read, or claimed.
#[derive(Debug)]
pub struct Chain<B> {
    folder: Folder,
    name: String,
    body: PhantomData<fn() -> B>,
}

impl<B> Clone for Chain<B> {
    fn clone(&self) -> Self {
        Self { folder: self.folder.clone(), name: self.name.clone(), body: PhantomData }
    }
}

/// The newest entry's name and what is under it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Head<B> {
    /// No entry yet.
    Empty,
    /// It can be read.
    Entry(StoredEntry<B>),
    /// It is there and cannot be trusted.
    Damaged {
        /// Its number.
        number: u64,
        /// The hash of the bytes that are there.
        found: Digest,
        /// Why, naming the file.
        error: CheckpointError,
    },
}

impl<B> Head<B> {
    /// The number of the newest entry, 0 if there is none.
    pub fn number(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Entry(stored) => stored.entry.number,
            Self::Damaged { number, .. } => *number,
        }
    }

    /// What the next entry says of this one. A damaged one is named by the hash of what is left of it.
    fn link(&self) -> Option<Link> {
        match self {
            Self::Empty => None,
            Self::Entry(stored) => Some(stored.link()),
            Self::Damaged { found, .. } => Some(Link { owner: Nonce("damaged".to_owned()), hash: *found }),
        }
    }
}

/// What [`Chain::take_over`] came to.
#[derive(Debug)]
pub enum TakeOver<B> {
    /// The chain is ours.
    Owned(Box<ChainOwner<B>>),
    /// Another was faster: start again with [`Chain::head`].
    Raced,
}

impl<B: Serialize + DeserializeOwned> Chain<B> {
    /// The chain of entries `<name>-<number>.json` in `folder`. Nothing is read yet.
    ///
    /// Errors: a name that is not plain.
    pub fn new(folder: Folder, name: &str) -> Result<Self> {
        if !crate::folder::name_is_plain(name) {
            return Err(CheckpointError::config(format!("name of a chain must be plain: got '{name}'")));
        }
        Ok(Self { folder, name: name.to_owned(), body: PhantomData })
    }

    /// The file name of an entry.
    pub fn file(&self, number: u64) -> String {
        format!("{}-{number}.json", self.name)
    }

    /// The numbers of all entries, ascending. Other names in the folder are passed over.
    pub async fn numbers(&self) -> Result<Vec<u64>> {
        let names = self.folder.list().await?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| self.number_of(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn number_of(&self, file: &str) -> Option<u64> {
        let digits = file.strip_prefix(&self.name)?.strip_prefix('-')?.strip_suffix(".json")?;
        let number = digits.parse().ok()?;
        (self.file(number) == file && number > 0).then_some(number)
    }

    /// The entry `number`, checked; `None` if there is none.
    ///
    /// Errors: [`CheckpointError::Damaged`], [`CheckpointError::NewerFormat`], failures of the store.
    pub async fn read(&self, number: u64) -> Result<Option<StoredEntry<B>>> {
        let file = self.file(number);
        let bytes = self.folder.read_if_exists(&file).await?;
        bytes.map(|bytes| entry::decode(&bytes, &file, &self.name, number)).transpose()
    }

    /// The newest entry, durable from here on.
    ///
    /// Errors: failures of the store, and an entry of a newer format. Damage is a [`Head`] of its own.
    pub async fn head(&self) -> Result<Head<B>> {
        let mut highest = self.highest().await?;
        for _ in 0..HEAD_READS_MAX {
            let Some(number) = highest else { return Ok(Head::Empty) };
            let bytes = self.folder.read_if_exists(&self.file(number)).await?;
            highest = self.highest().await?;
            if let Some(bytes) = bytes
                && was_head(number, number, highest)
            {
                // Its creator may have died before the disk knew of it.
                self.folder.settle().await?;
                return self.understand(number, &bytes);
            }
        }
        Err(CheckpointError::bug(format!("head of '{}' cannot be read: it moved {HEAD_READS_MAX} times while it was read", self.name)))
    }

    fn understand(&self, number: u64, bytes: &Bytes) -> Result<Head<B>> {
        match entry::decode(bytes, &self.file(number), &self.name, number) {
            Ok(stored) => Ok(Head::Entry(stored)),
            Err(error) if error.is_damage() => Ok(Head::Damaged { number, found: Digest::of(bytes), error }),
            Err(error) => Err(error),
        }
    }

    async fn highest(&self) -> Result<Option<u64>> {
        Ok(self.numbers().await?.last().copied())
    }

    /// Claims the chain by an entry after `head` with the next generation. What `head` calls for must be finished.
    ///
    /// `generation_before` is the generation of the newest entry that can be read; `owner` must never have been used before.
    ///
    /// Errors: failures of the store. After a transient one call it again with the same arguments, or start with a new `head`.
    pub async fn take_over(&self, head: &Head<B>, generation_before: Generation, owner: Nonce, body: B) -> Result<TakeOver<B>> {
        let generation = Generation(generation_before.0 + 1);
        let mut claimant =
            ChainOwner { chain: self.clone(), owner, generation, number: head.number(), link: head.link(), pending: None, fenced: false };
        claimant.prepare(body)?;
        match claimant.finish(Predecessor::AsItWasRead).await {
            Ok(_) => Ok(TakeOver::Owned(Box::new(claimant))),
            Err(CheckpointError::Fenced { .. }) => Ok(TakeOver::Raced),
            Err(error) => Err(error),
        }
    }
}

/// Whether the entry before must be valid, or just the same as when it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Predecessor {
    Valid,
    AsItWasRead,
}

/// The right to append to a chain, until another claims it.
#[derive(Debug)]
pub struct ChainOwner<B> {
    chain: Chain<B>,
    owner: Nonce,
    generation: Generation,
    /// The newest entry that is known to be ours, or the one taken over.
    number: u64,
    link: Option<Link>,
    /// An entry whose creation is not known to have succeeded.
    pending: Option<(Bytes, Digest)>,
    fenced: bool,
}

impl<B: Serialize + DeserializeOwned> ChainOwner<B> {
    /// Our newest entry.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Ours.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Ours.
    pub fn owner(&self) -> &Nonce {
        &self.owner
    }

    /// The chain, for reading.
    pub fn chain(&self) -> &Chain<B> {
        &self.chain
    }

    /// Whether an append failed in a way that leaves open whether it happened: [`ChainOwner::resume`] must come next.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Appends an entry and returns its number: from then on it exists, and we owned the chain when it began to.
    ///
    /// Errors: [`CheckpointError::Fenced`]: publish nothing, stop. After a transient failure call [`ChainOwner::resume`] until it
    /// succeeds, is fenced, or the process gives up.
    pub async fn append(&mut self, body: B) -> Result<u64> {
        if self.is_pending() {
            return Err(CheckpointError::bug(format!("entry {} of '{}' is still pending", self.number + 1, self.chain.name)));
        }
        self.prepare(body)?;
        self.finish(Predecessor::Valid).await
    }

    /// Tries the pending entry again. Does nothing if there is none.
    ///
    /// Errors: as [`ChainOwner::append`].
    pub async fn resume(&mut self) -> Result<u64> {
        if self.is_pending() { self.finish(Predecessor::Valid).await } else { Ok(self.number) }
    }

    fn prepare(&mut self, body: B) -> Result<()> {
        let entry = Entry {
            format_version: FORMAT_VERSION,
            chain: self.chain.name.clone(),
            number: self.number + 1,
            generation: self.generation,
            owner: self.owner.clone(),
            predecessor: self.link.clone(),
            body,
        };
        self.pending = Some(entry::encode(&entry)?);
        Ok(())
    }

    async fn finish(&mut self, predecessor: Predecessor) -> Result<u64> {
        let number = self.number + 1;
        if self.fenced {
            return Err(self.fenced_by(number).await);
        }
        let Some((bytes, hash)) = self.pending.clone() else { return Ok(self.number) };
        let ours = Link { owner: self.owner.clone(), hash };
        if self.chain.folder.create(&self.chain.file(number), bytes).await? == Create::Exists {
            let found = self.found_link(number).await?;
            if taken_by(&ours, found.as_ref()) != Taken::Ours {
                return Err(self.fenced_by(number).await);
            }
        }
        let highest = self.chain.highest().await?;
        let before = match predecessor {
            _ if self.link.is_none() => None,
            Predecessor::Valid => self.found_link(self.number).await?,
            Predecessor::AsItWasRead => self.link_as_read().await?,
        };
        match standing(number, highest, self.link.as_ref(), before.as_ref()) {
            Standing::Fenced(number) => Err(self.fenced_by(number).await),
            Standing::Head => {
                self.number = number;
                self.link = Some(ours);
                self.pending = None;
                Ok(number)
            }
        }
    }

    /// The link of a valid entry. One that is there and damaged is nobody's.
    async fn found_link(&self, number: u64) -> Result<Option<Link>> {
        match self.chain.read(number).await {
            Ok(stored) => Ok(stored.map(|stored| stored.link())),
            Err(error) if error.is_damage() => Ok(Some(Link { owner: Nonce("damaged".to_owned()), hash: Digest::of(b"") })),
            Err(error) => Err(error),
        }
    }

    async fn link_as_read(&self) -> Result<Option<Link>> {
        let Some(bytes) = self.chain.folder.read_if_exists(&self.chain.file(self.number)).await? else { return Ok(None) };
        Ok(self.chain.understand(self.number, &bytes)?.link())
    }

    async fn fenced_by(&mut self, number: u64) -> CheckpointError {
        self.fenced = true;
        // Only for the message: that it cannot be read changes nothing.
        let generation = match self.chain.read(number).await {
            Ok(Some(stored)) => stored.entry.generation.0,
            _ => 0,
        };
        CheckpointError::Fenced { chain: self.chain.name.clone(), generation, number }
    }

    /// Deletes the entries below `lowest`. The newest is never deleted.
    ///
    /// Errors: [`CheckpointError::Fenced`] if another goes on with the chain.
    pub async fn retire_below(&mut self, lowest: u64) -> Result<()> {
        let numbers = self.chain.numbers().await?;
        if self.fenced || numbers.last() != Some(&self.number) {
            return Err(self.fenced_by(numbers.last().copied().unwrap_or_default()).await);
        }
        for number in numbers.into_iter().filter(|number| *number < lowest.min(self.number)) {
            self.chain.folder.delete(&self.chain.file(number)).await?;
        }
        // What the deleted entries alone referred to may be deleted only after this.
        self.chain.folder.settle().await
    }
}

#[cfg(test)]
mod tests;
