//! The options of the `file` connector, typed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{ConnectorError, Result};
use crate::format::{FORMAT_OPTIONS, Format, LineOptions};
use crate::options::{ConfigReader, OptionSpec, OptionSpecs, Options};

/// Every option.
pub const OPTIONS: OptionSpecs = &[
    &[
        OptionSpec::new("path", "data/bids.json", "a file, a folder, or a pattern like 'data/*.csv', relative to the working directory"),
        OptionSpec::new("follow", "true", "go on watching for appended lines and new files; default false: read what is there and end"),
        OptionSpec::new("poll_interval", "1s", "how often to look when following; default 500ms; Flink's name for it turns following on")
            .or(&["source.monitor-interval"]),
        OptionSpec::new("order_by", "name", "order in which files are read: name or modified; default name"),
        OptionSpec::new("prefix", "part", "start of the names of written files; default 'part'"),
        OptionSpec::new("compression", "zstd", "of written Parquet: zstd, snappy, lz4 or none; default zstd").or(&["parquet.compression"]),
    ],
    FORMAT_OPTIONS,
];

/// Order of the files of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOrder {
    /// By path.
    Name,
    /// By time of last change, then path.
    Modified,
}

/// Compression of Parquet pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileCompression {
    /// Small and fast enough.
    Zstd,
    /// Fast.
    Snappy,
    /// Fast.
    Lz4,
    /// None.
    None,
}

/// The options.
#[derive(Clone, Debug)]
pub struct FileConfig {
    /// File, folder or pattern.
    pub path: PathBuf,
    /// If given.
    pub format: Option<Format>,
    /// Details of line formats.
    pub lines: LineOptions,
    /// `Some(interval)`: follow.
    pub follow: Option<Duration>,
    /// Order of files.
    pub order: FileOrder,
    /// Start of written names.
    pub prefix: String,
    /// Of written Parquet.
    pub compression: FileCompression,
}

impl FileConfig {
    /// From raw options.
    pub fn parse(options: Options) -> Result<Self> {
        let config = ConfigReader::new("file", options, OPTIONS)?;
        let path = local_path(config.required("path", "data/bids.json")?)?;
        let interval = config.parsed("poll_interval", "a duration above zero", "1s", |text| {
            crate::options::parse_duration(text).filter(|interval| !interval.is_zero())
        })?;
        let follow = config.bool("follow")?.unwrap_or(interval.is_some());
        let compression = match config.choice("compression", &["zstd", "snappy", "lz4", "none"])? {
            Some("snappy") => FileCompression::Snappy,
            Some("lz4") => FileCompression::Lz4,
            Some("none") => FileCompression::None,
            _ => FileCompression::Zstd,
        };
        let order = match config.choice("order_by", &["name", "modified"])? {
            Some("modified") => FileOrder::Modified,
            _ => FileOrder::Name,
        };
        let is_prefix = |text: &str| !text.is_empty() && !text.starts_with(['.', '_']) && !text.contains(['/', '\\']);
        let prefix =
            config.parsed("prefix", "the start of a file name, not hidden", "part", |text| is_prefix(text).then(|| text.to_owned()))?;
        Ok(Self {
            path,
            format: Format::from_config(&config)?,
            lines: LineOptions::from_config(&config)?,
            follow: follow.then(|| interval.unwrap_or(Duration::from_millis(500))),
            order,
            prefix: prefix.unwrap_or_else(|| "part".to_owned()),
            compression,
        })
    }

    /// The format of one file: as the option says, else by its extension.
    pub fn format_of(&self, file: &Path) -> Result<Format> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let extension = file.extension().and_then(|extension| extension.to_str());
        extension.and_then(Format::from_extension).ok_or_else(|| {
            let hint = match extension {
                Some("gz" | "zst" | "bz2" | "xz" | "zip") => "compressed files are not read: unpack it first",
                _ => "say it: 'format' = 'json', 'csv', 'parquet' or 'raw'",
            };
            ConnectorError::config(format!("format of '{}' is not known from its name (hint: {hint})", file.display()))
        })
    }

    /// The line options for one file: a `.tsv` has tabs.
    pub fn lines_of(&self, file: &Path) -> LineOptions {
        let mut lines = self.lines.clone();
        lines.csv = lines.csv.for_extension(file.extension().and_then(|extension| extension.to_str()));
        lines
    }
}

fn local_path(text: &str) -> Result<PathBuf> {
    let path = text.strip_prefix("file://").unwrap_or(text);
    if let Some((scheme, _)) = path.split_once("://") {
        return Err(ConnectorError::config(format!(
            "path '{text}' is not local: scheme '{scheme}' is not supported (hint: use a path on this machine)"
        )));
    }
    if path.trim().is_empty() {
        return Err(ConnectorError::config("option 'path' is empty (hint: for example 'path' = 'data/bids.json')"));
    }
    Ok(PathBuf::from(path))
}
