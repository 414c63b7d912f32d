//! The files of a model: of this machine, of a folder, or of an object store.

use std::path::Path;

use bytes::Bytes;
use millstream_checkpoint::folder::Folder;
use millstream_ml::onnx::{LoadLimits, Runtime};

use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::model::ModelOptions;
use crate::session::Session;

/// What a version is made of.
#[derive(Clone, Debug)]
pub(super) struct ModelFiles {
    pub(super) network: Bytes,
    pub(super) tokenizer: Option<Bytes>,
}

/// Where exporters put a network and its tokenizer in a folder.
const NETWORKS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];
const TOKENIZER: &str = "tokenizer.json";

/// A `tokenizer.json` may be this large.
const TOKENIZER_BYTES_MAX: u64 = 64 << 20;

/// Reads the files that the options name.
pub(super) async fn read(session: &Session, options: &ModelOptions) -> Result<ModelFiles> {
    let limits = LoadLimits::default();
    let limit = if options.runtime == Runtime::Native { limits.file_bytes_max } else { limits.library_file_bytes_max };
    let (path, beside) = within(&options.path);
    let network = read_file(session, "model", &path, limit).await?;
    let tokenizer = match options.tokenizer.as_ref().or(beside.as_ref()) {
        Some(path) => Some(read_file(session, "tokenizer", path, TOKENIZER_BYTES_MAX).await?),
        None => None,
    };
    Ok(ModelFiles { network, tokenizer })
}

/// The file of a folder, and the tokenizer that is in it; a file stays what it is.
fn within(path: &str) -> (String, Option<String>) {
    let folder = Path::new(path);
    if path.contains("://") || !folder.is_dir() {
        return (path.to_owned(), None);
    }
    let found = NETWORKS.iter().map(|name| folder.join(name)).find(|file| file.is_file());
    let network = found.unwrap_or_else(|| folder.join(NETWORKS[0]));
    let tokenizer = folder.join(TOKENIZER);
    (network.display().to_string(), tokenizer.is_file().then(|| tokenizer.display().to_string()))
}

/// The bytes of a local file or of an object store's, at most `limit`.
pub(in crate::session) async fn read_file(session: &Session, what: &str, path: &str, limit: u64) -> Result<Bytes> {
    let unreadable = |error: &dyn std::fmt::Display| {
        let hint = match path.contains("://") {
            true => "URLs are file:///folder/model.onnx, s3://bucket/model.onnx and the like",
            false => "paths count from the folder the program was started in",
        };
        Error::user("58030", format!("cannot read the {what} '{path}': {error} (hint: {hint})"))
    };
    let too_large = move |size: u64| std::io::Error::other(format!("it has {size} bytes, at most {limit} are read"));
    if path.contains("://") {
        let Some((folder, file)) = path.rsplit_once('/').filter(|(folder, file)| folder.contains("://") && !file.is_empty()) else {
            return Err(unreadable(&"it names no file"));
        };
        let folder = Folder::from_url(folder).map_err(|error| unreadable(&error))?;
        let bytes = folder.read(file).await.map_err(|error| unreadable(&error))?;
        if bytes.len() as u64 > limit {
            return Err(unreadable(&too_large(bytes.len() as u64)));
        }
        return Ok(bytes);
    }
    let owned = path.to_owned();
    let read = move || {
        let metadata = std::fs::metadata(&owned)?;
        if !metadata.is_file() {
            return Err(std::io::Error::other("it is no file"));
        }
        if metadata.len() > limit {
            return Err(too_large(metadata.len()));
        }
        std::fs::read(&owned)
    };
    let bytes = Blocking::of(session.settings().background_threads).run("reading a model", read).await?;
    bytes.map(Bytes::from).map_err(|error| unreadable(&error))
}
