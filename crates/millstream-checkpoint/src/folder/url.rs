//! From the text a user gives to a [`Folder`].

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ObjectStore, RetryConfig};

use super::{Folder, name_is_plain};
use crate::error::{CheckpointError, Result};

const SCHEMES: &str = "a path, file:///…, memory:, s3://bucket/…, gs://bucket/…, az://container/… or abfss://container@account…/…";

/// How often, and for how long, reading a file that is no part of a data folder is tried again.
const READ_RETRIES_MAX: usize = 3;
const READ_RETRIES_WITHIN: Duration = Duration::from_secs(20);

pub(super) fn open(url: &str) -> Result<Folder> {
    match place(url)? {
        Place::Memory => Ok(Folder::memory()),
        Place::Local(path) => Ok(Folder::local(path)),
        Place::Cloud { cloud, prefix } => Folder::from_store(store(cloud, url, RetryConfig::default()).map_err(not_opened)?, prefix),
    }
}

fn not_opened(reason: String) -> CheckpointError {
    CheckpointError::config(format!("data folder {reason}"))
}

/// The store that holds the object of a URL, for reading files that are no part of a data folder; `None` if the scheme is none of
/// `s3`, `s3a`, `gs`, `az`. A store that cannot be reached is given up sooner than under a data folder: somebody waits for the rows.
///
/// # Errors
/// A URL without a bucket, or an environment that does not say how to get there; the text goes on from the URL.
pub fn store_of(url: &str) -> std::result::Result<Option<Arc<dyn ObjectStore>>, String> {
    let cloud = match url.split_once("://") {
        Some(("s3" | "s3a", _)) => Cloud::S3,
        Some(("gs", _)) => Cloud::Google,
        Some(("az", _)) => Cloud::Azure,
        _ => return Ok(None),
    };
    let retry = RetryConfig { max_retries: READ_RETRIES_MAX, retry_timeout: READ_RETRIES_WITHIN, ..RetryConfig::default() };
    store(cloud, url, retry).map(Some)
}

#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Memory,
    Local(&'a str),
    Cloud { cloud: Cloud, prefix: &'a str },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cloud {
    S3,
    Google,
    Azure,
}

/// A scheme has at least two letters, so that `C:\data` is a path.
fn place(url: &str) -> Result<Place<'_>> {
    if url == "memory:" || url == "memory:///" {
        return Ok(Place::Memory);
    }
    if let Some(path) = url.strip_prefix("file://") {
        if path.starts_with('/') && !path.contains('%') {
            return Ok(Place::Local(path));
        }
        return Err(CheckpointError::config(format!("file URL must be file:///path without '%': got '{url}' (hint: give the plain path)")));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        if url.is_empty() {
            return Err(CheckpointError::config(format!("data folder must have a path: got '' (hint: {SCHEMES})")));
        }
        return Ok(Place::Local(url));
    };
    let cloud = match scheme {
        "s3" | "s3a" => Cloud::S3,
        "gs" => Cloud::Google,
        "az" | "abfs" | "abfss" => Cloud::Azure,
        _ => {
            return Err(CheckpointError::config(format!(
                "data folder cannot be opened: scheme '{scheme}' is not known (hint: {SCHEMES}; programs pass other stores as objects)"
            )));
        }
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    if bucket.is_empty() {
        return Err(CheckpointError::config(format!("data folder must name a bucket: got '{url}' (hint: {scheme}://bucket/folder)")));
    }
    if !prefix.is_empty() && !prefix.split('/').all(name_is_plain) {
        return Err(CheckpointError::config(format!(
            "folder of a bucket must have plain names: got '{prefix}' (hint: letters, digits, '_', '-', '=' and inner '.', separated by '/')"
        )));
    }
    Ok(Place::Cloud { cloud, prefix })
}

/// The store of `url`, with the credentials its own tools use: the environment (`AWS_…`, `GOOGLE_…`, `AZURE_STORAGE_…`), or those
/// the machine is given by its cloud. Nothing is contacted yet.
fn store(cloud: Cloud, url: &str, retry: RetryConfig) -> std::result::Result<Arc<dyn ObjectStore>, String> {
    let store: object_store::Result<Arc<dyn ObjectStore>> = match cloud {
        Cloud::S3 => AmazonS3Builder::from_env().with_url(url).with_retry(retry).build().map(|store| Arc::new(store) as _),
        Cloud::Google => GoogleCloudStorageBuilder::from_env().with_url(url).with_retry(retry).build().map(|store| Arc::new(store) as _),
        Cloud::Azure => MicrosoftAzureBuilder::from_env().with_url(url).with_retry(retry).build().map(|store| Arc::new(store) as _),
    };
    store.map_err(|error| {
        let needs = match cloud {
            Cloud::S3 => "AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT and AWS_ALLOW_HTTP for other S3 stores",
            Cloud::Google => "GOOGLE_APPLICATION_CREDENTIALS",
            Cloud::Azure => "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
        };
        format!("'{url}' cannot be opened: {error} (hint: the environment may need {needs})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths() {
        assert_eq!(place("memory:").unwrap(), Place::Memory);
        for path in ["/a/b", "a/b", "./a", "a:b"] {
            assert_eq!(place(path).unwrap(), Place::Local(path));
        }
        assert_eq!(place("file:///a").unwrap(), Place::Local("/a"));
        for wrong in ["", "file://host/a", "file:///a%20b", "ftp://bucket/a", "s3://", "s3:///a", "s3://b/a b", "gs://b/../a"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        let message = place("ftp://bucket/a").unwrap_err().to_string();
        assert!(message.contains("scheme 'ftp' is not known"), "{message}");
    }

    #[test]
    fn buckets_and_their_folders() {
        let cloud = |cloud, prefix| Place::Cloud { cloud, prefix };
        assert_eq!(place("s3://bucket").unwrap(), cloud(Cloud::S3, ""));
        assert_eq!(place("s3a://bucket/a/b/").unwrap(), cloud(Cloud::S3, "a/b"));
        assert_eq!(place("gs://bucket/a").unwrap(), cloud(Cloud::Google, "a"));
        assert_eq!(place("az://container/a").unwrap(), cloud(Cloud::Azure, "a"));
        assert_eq!(place("abfss://container@account.dfs.core.windows.net/a").unwrap(), cloud(Cloud::Azure, "a"));
    }
}
