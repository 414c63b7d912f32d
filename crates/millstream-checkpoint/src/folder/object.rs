//! Objects in a store of the `object_store` crate.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::{Back, Create, Depth};
use crate::error::{CheckpointError, Result};

pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.store)
    }
}

#[async_trait]
impl Back for Objects {
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Create> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&Path::from(name), bytes.into(), options).await {
            Ok(_) => Ok(Create::Created),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Create::Exists),
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => Err(CheckpointError::config(format!(
                "store must know conditional creation: '{}' does not (hint: checkpoints need a store with If-None-Match)",
                self.store
            ))),
            Err(error) => Err(CheckpointError::object(format!("cannot create '{name}'"), error)),
        }
    }

    async fn read_if_exists(&self, name: &str) -> Result<Option<Bytes>> {
        let read = async { self.store.get(&Path::from(name)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(CheckpointError::object(format!("cannot read '{name}'"), error)),
        }
    }

    async fn list(&self, folder: &str, depth: Depth) -> Result<Vec<String>> {
        let path = Path::from(folder);
        let path = (!folder.is_empty()).then_some(&path);
        let listed = match depth {
            Depth::Children => self.store.list_with_delimiter(path).await.map(|listed| listed.objects),
            Depth::All => self.store.list(path).try_collect().await,
        };
        let objects = listed.map_err(|error| CheckpointError::object(format!("cannot list '{folder}'"), error))?;
        Ok(objects.into_iter().map(|object| object.location.to_string()).collect())
    }

    async fn delete(&self, name: &str) -> Result<()> {
        match self.store.delete(&Path::from(name)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(CheckpointError::object(format!("cannot delete '{name}'"), error)),
        }
    }

    /// What a store has answered for is durable.
    async fn settle(&self, _folder: &str) -> Result<()> {
        Ok(())
    }

    async fn remove_leftovers(&self, _folder: &str) -> Result<()> {
        Ok(())
    }
}
