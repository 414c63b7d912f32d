//! Writing files exactly once.
//!
//! ```text
//! write   .part-0.inprogress            hidden, locked by its writer: an unlocked one is a leftover of a crash and deleted
//! seal    .part-00000007-0.json.<pipeline>-00000007.sealed    complete and on disk; .part-00000007-0.json.sealed reserves the next name
//! publish part-00000007-0.json          renamed once the checkpoint exists: readers see all of its rows or none
//! ```
//!
//! A `path` that ends in `.json`, `.csv`, `.parquet`, … is one file: the first checkpoint's rows become it, those of later ones are
//! added to its end. A reader that looks while rows are added may see the first of them before the last; a Parquet file is written
//! anew each time. For a pipeline that runs on, a folder is better: one file a checkpoint, each of them all or nothing.

mod publish;
mod single;
mod staged;

use std::fmt;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::staged::StagedFile;
use super::config::FileConfig;
use crate::error::{ConnectorError, Result};
use crate::format::Format;
use crate::sink::{Delivery, Sealed, Sink};

/// Writes rows to a folder, or to one file.
pub struct FileSink {
    config: FileConfig,
    schema: SchemaRef,
    format: Format,
    target: Target,
    staged: Option<StagedFile>,
    /// What an earlier process left unfinished has been removed.
    swept: bool,
    /// In the names of sealed files: tells whose they are, where that is known.
    owner: Option<String>,
    /// Files that an earlier life of the pipeline has sealed for no checkpoint have been removed.
    sealed_swept: bool,
    /// One file: how long it will be when all that was sealed here is published.
    sealed_end: Option<u64>,
}

/// Where rows go.
#[derive(Clone, Debug)]
enum Target {
    /// Into files of this folder.
    Folder(PathBuf),
    /// Into this file of that folder.
    One { folder: PathBuf, name: String },
}

impl Target {
    fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) | Self::One { folder, .. } => folder,
        }
    }
}

/// What a checkpoint's manifest keeps of a sealed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SealedFile {
    /// Hidden name in the target's folder.
    staged: String,
    /// Name that readers see.
    published: String,
    /// Length.
    bytes: u64,
    /// One file: where these rows begin, in bytes (lines) or rows (Parquet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<u64>,
    /// Rows.
    rows: u64,
}

impl fmt::Debug for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSink").field("target", &self.target).field("format", &self.format).finish_non_exhaustive()
    }
}

impl FileSink {
    /// For rows of `schema`. Nothing is created before the first row.
    pub fn new(config: FileConfig, schema: SchemaRef) -> Result<Self> {
        let path = &config.path;
        let text = path.display();
        if path.to_string_lossy().contains(['*', '?', '[']) {
            return Err(ConnectorError::config(format!(
                "path '{text}' is a pattern: it can only be read (hint: write to a folder or a file)"
            )));
        }
        let by_extension = path.extension().and_then(|extension| extension.to_str()).and_then(Format::from_extension);
        let target = match (path.file_name().and_then(|name| name.to_str()), by_extension) {
            (Some(name), Some(_)) if !path.is_dir() => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                Target::One { folder: folder.to_owned(), name: name.to_owned() }
            }
            _ if path.is_file() => {
                return Err(ConnectorError::config(format!(
                    "path '{text}' is a file: a folder is expected (hint: end it in .json, .csv or .parquet to write one file)"
                )));
            }
            _ => Target::Folder(path.clone()),
        };
        let format = config.format.or(by_extension).ok_or_else(|| {
            ConnectorError::config(format!("format of folder '{text}' is not given (hint: 'format' = 'json', 'csv' or 'parquet')"))
        })?;
        if format != Format::Parquet {
            crate::format::encode::line_encoder(format, &config.lines, &schema)?;
        }
        Ok(Self { config, schema, format, target, staged: None, swept: false, owner: None, sealed_swept: false, sealed_end: None })
    }

    fn open(&mut self) -> Result<&mut StagedFile> {
        if self.staged.is_none() {
            let folder = self.target.folder();
            std::fs::create_dir_all(folder)
                .map_err(|error| ConnectorError::io(format!("cannot create folder '{}'", folder.display()), error))?;
            let stem = self.stem();
            if !self.swept {
                staged::remove_abandoned(folder, &stem)?;
                self.swept = true;
            }
            let start = match &self.target {
                Target::Folder(_) => None,
                Target::One { folder, name } => Some(match self.sealed_end {
                    Some(end) => end,
                    None => single::length(&folder.join(name), self.format)?,
                }),
            };
            let with_header = start.is_none_or(|start| start == 0);
            self.staged = Some(StagedFile::create(folder, &stem, self.format, &self.config, &self.schema, with_header, start)?);
        }
        self.staged.as_mut().ok_or_else(|| ConnectorError::data("no file is open: this is a bug"))
    }

    /// Start of hidden names.
    fn stem(&self) -> String {
        match &self.target {
            Target::Folder(_) => self.config.prefix.clone(),
            Target::One { name, .. } => name.clone(),
        }
    }

    fn seal_file(&mut self, checkpoint: u64, staged: StagedFile) -> Result<SealedFile> {
        let folder = self.target.folder().to_owned();
        let start = staged.start;
        if let (Some(owner), false) = (&self.owner, self.sealed_swept) {
            // What a checkpoint names has been published before anything is sealed again. Later ones may be of another process, which
            // has taken over from this one.
            staged::remove_sealed(&folder, owner, checkpoint, matches!(self.target, Target::Folder(_)))?;
            self.sealed_swept = true;
        }
        let finished = staged.finish()?;
        let owned = |name: String| self.owner.iter().fold(name, |name, owner| staged::owned(&name, owner, checkpoint));
        let (hidden, published) = match &self.target {
            Target::Folder(_) => {
                let extension = self.format.extensions()[0];
                let name = |sequence: u32| format!("{}-{checkpoint:08}-{sequence}.{extension}", self.config.prefix);
                let (reserved, published) =
                    staged::reserve(&folder, |sequence| (staged::reservation(&name(sequence)), name(sequence)), true)?;
                // The reservation keeps the published name from all others until it is taken.
                (owned(reserved), published)
            }
            Target::One { name, .. } => {
                let hidden = |sequence| owned(format!(".{name}-{checkpoint:08}-{sequence}.sealed"));
                staged::reserve(&folder, |sequence| (hidden(sequence), name.clone()), false)?
            }
        };
        staged::rename(&finished.path, &folder.join(&hidden))?;
        staged::sync_folder(&folder)?;
        if let Some(start) = start {
            self.sealed_end = Some(start + if self.format == Format::Parquet { finished.rows } else { finished.bytes });
        }
        Ok(SealedFile { staged: hidden, published, bytes: finished.bytes, start, rows: finished.rows })
    }
}

#[async_trait]
impl Sink for FileSink {
    fn delivery(&self) -> Delivery {
        Delivery::Transactional
    }

    fn serve(&mut self, pipeline: &str) {
        let hash = Sha256::digest(pipeline);
        let owner: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        (self.owner, self.sealed_swept) = (Some(owner), false);
    }

    async fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
            self.open()?.write(batch)?;
        }
        Ok(())
    }

    async fn seal(&mut self, checkpoint: u64) -> Result<Sealed> {
        let file = self.staged.take().map(|staged| self.seal_file(checkpoint, staged)).transpose()?;
        let rows = file.as_ref().map_or(0, |file| file.rows);
        let detail = serde_json::to_value(&file).map_err(|error| ConnectorError::data(format!("sealed file cannot be named: {error}")))?;
        Ok(Sealed::new(checkpoint, rows, detail))
    }

    async fn publish(&mut self, sealed: &Sealed) -> Result<()> {
        let file: Option<SealedFile> = serde_json::from_value(sealed.detail.clone())
            .map_err(|error| ConnectorError::data(format!("checkpoint {} has no sealed file of this sink: {error}", sealed.checkpoint)))?;
        let Some(file) = file else { return Ok(()) };
        let folder = self.target.folder();
        match file.start {
            None => publish::publish_new(folder, &file),
            Some(start) => single::publish_at(folder, &file, start, self.format),
        }
    }

    async fn is_published(&mut self, checkpoint: u64) -> Result<Option<bool>> {
        // One file: some of the rows may have been added to it already.
        match (&self.target, &self.owner) {
            (Target::Folder(folder), Some(owner)) => Ok(staged::withdraw(folder, owner, checkpoint)?.then_some(false)),
            _ => Ok(None),
        }
    }

    async fn discard(&mut self) -> Result<()> {
        // The pipeline goes on from its last checkpoint, published or not: only the file itself tells where rows go next.
        self.sealed_end = None;
        match self.staged.take() {
            Some(staged) => staged.remove(),
            None => Ok(()),
        }
    }
}
