//! An object store that fails by a seed: before an effect, after it (the answer is lost), and whenever it is to create something while
//! there is no room. It may also be slow.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use millstream_time::Clock;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};

/// Numbers from a seed; SplitMix64.
#[derive(Debug)]
pub struct Dice(AtomicU64);

impl Dice {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number below `sides`.
    pub fn roll(&self, sides: u64) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Wraps a store in memory. Every call may yield first, so that processes overtake each other.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    store: Arc<InMemory>,
    dice: Arc<Dice>,
    /// Of 1000 calls so many fail.
    faults_per_mille: u64,
    room: Arc<Room>,
    /// By this clock so many of 1000 calls take seconds.
    slow: Option<(Arc<dyn Clock>, u64)>,
}

/// What a slow call takes at most.
const SLOW_MS_MAX: u64 = 3_000;

/// Whether a store takes anything new.
#[derive(Debug, Default)]
pub struct Room {
    full: AtomicBool,
    refused: AtomicU64,
}

impl Room {
    /// From here on nothing is created.
    pub fn fill(&self) {
        self.full.store(true, Ordering::Relaxed);
    }

    /// There is room again.
    pub fn make(&self) {
        self.full.store(false, Ordering::Relaxed);
    }

    /// How often there was none.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

enum Fault {
    None,
    Before,
    After,
}

impl FaultyStore {
    /// Of 1000 calls `faults_per_mille` fail, half of them after their effect.
    pub fn new(store: Arc<InMemory>, dice: Arc<Dice>, faults_per_mille: u64) -> Self {
        Self { store, dice, faults_per_mille, room: Arc::default(), slow: None }
    }

    /// Of 1000 calls `per_mille` take up to three seconds of `clock`.
    #[must_use]
    pub fn slow(mut self, clock: Arc<dyn Clock>, per_mille: u64) -> Self {
        self.slow = Some((clock, per_mille));
        self
    }

    /// Takes its room away and gives it back; clones of the store share it.
    pub fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    async fn fault(&self) -> Fault {
        for _ in 0..self.dice.roll(4) {
            tokio::task::yield_now().await;
        }
        if let Some((clock, per_mille)) = &self.slow
            && self.dice.roll(1000) < *per_mille
        {
            clock.sleep(Duration::from_millis(1 + self.dice.roll(SLOW_MS_MAX))).await;
        }
        match self.dice.roll(2000) {
            roll if roll < self.faults_per_mille => Fault::Before,
            roll if roll < self.faults_per_mille * 2 => Fault::After,
            _ => Fault::None,
        }
    }

    async fn faulty<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let lost = || Error::Generic { store: "faulty", source: "503 slow down".into() };
        match self.fault().await {
            Fault::None => call.await,
            Fault::Before => Err(lost()),
            Fault::After => {
                let _ = call.await;
                Err(lost())
            }
        }
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if self.room.full.load(Ordering::Relaxed) {
            self.room.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Error::Generic { store: "faulty", source: "507 no room is left".into() });
        }
        self.faulty(self.store.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.faulty(self.store.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (this, deleted) = (self.clone(), self.store.delete_stream(locations));
        deleted
            .then(move |deleted| {
                let this = this.clone();
                async move { this.faulty(async { deleted }).await }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.faulty(self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
