//! The options of formats, typed.

use crate::error::{ConnectorError, Result};
use crate::options::{ConfigReader, OptionSpec, did_you_mean};

/// Options that every connector with a `format` accepts.
pub const FORMAT_OPTIONS: &[OptionSpec] = &[
    OptionSpec::new(
        "format",
        "json",
        "json (one object per line), csv, parquet or raw (one TEXT column); default: by the file's extension",
    ),
    OptionSpec::new("max_line_bytes", "16 MiB", "a longer line is a bad row; default 16 MiB"),
    OptionSpec::new("csv.header", "true", "true, false or auto (a first line that names all columns is a header); default auto")
        .or(&["header"]),
    OptionSpec::new("csv.field-delimiter", ";", "character between fields; default ','").or(&["delimiter", "csv.delimiter"]),
    OptionSpec::new("csv.quote-character", "'", "character around fields; default '\"'").or(&["quote", "csv.quote"]),
    OptionSpec::new("csv.disable-quote-character", "true", "no quoting at all; default false"),
    OptionSpec::new("csv.escape-character", "\\", "character that makes the next one plain; default none").or(&["escape", "csv.escape"]),
    OptionSpec::new("csv.null-literal", "NULL", "text that means NULL; default: the empty field").or(&["null", "csv.null"]),
    OptionSpec::new("csv.allow-comments", "true", "lines that start with '#' are skipped; default false"),
    OptionSpec::new("json.fail-on-missing-field", "false", "accepted for Flink scripts; a missing field is NULL"),
    OptionSpec::new("json.timestamp-format.standard", "ISO-8601", "accepted for Flink scripts; both of its forms are always read"),
    OptionSpec::new("json.encode.ignore-null-fields", "false", "leave NULL fields out when writing; default false"),
];

/// How records are laid out in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Separated fields, quoted where needed.
    Csv,
    /// Whole lines as one text column.
    Raw,
    /// Parquet files.
    Parquet,
}

impl Format {
    /// All formats by name.
    pub const NAMES: &[&'static str] = &["json", "csv", "parquet", "raw"];

    /// The format named `name`, one of [`Format::NAMES`].
    fn from_name(name: &str) -> Self {
        match name {
            "json" => Self::Json,
            "csv" => Self::Csv,
            "raw" => Self::Raw,
            _ => Self::Parquet,
        }
    }

    /// Its name in `WITH ('format' = …)`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Raw => "raw",
            Self::Parquet => "parquet",
        }
    }

    /// Extensions of files in this format; the first is the one we write.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Json => &["json", "jsonl", "ndjson"],
            Self::Csv => &["csv", "tsv"],
            Self::Raw => &["txt", "log"],
            Self::Parquet => &["parquet"],
        }
    }

    /// The format of a file with this extension.
    pub fn from_extension(extension: &str) -> Option<Self> {
        let extension = extension.to_ascii_lowercase();
        [Self::Json, Self::Csv, Self::Raw, Self::Parquet].into_iter().find(|format| format.extensions().contains(&extension.as_str()))
    }

    /// The `format` option, if given.
    pub fn from_config(config: &ConfigReader) -> Result<Option<Self>> {
        if let Some("jsonl" | "ndjson" | "jsonlines") = config.text("format") {
            return Ok(Some(Self::Json));
        }
        Ok(config.choice("format", Self::NAMES)?.map(Self::from_name))
    }
}

/// Whether a CSV file starts with the names of its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// It does if its first line names every declared column.
    #[default]
    Auto,
    /// It does.
    Present,
    /// It does not: fields are in the order of the columns.
    Absent,
}

/// How CSV is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// Header line.
    pub header: Header,
    /// Between fields.
    pub delimiter: u8,
    /// Around fields; `None`: quotes are ordinary characters.
    pub quote: Option<u8>,
    /// Makes the next character plain.
    pub escape: Option<u8>,
    /// Text that means NULL; `None`: the empty field does.
    pub null_literal: Option<String>,
    /// Lines that start with this are skipped.
    pub comment: Option<u8>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { header: Header::Auto, delimiter: b',', quote: Some(b'"'), escape: None, null_literal: None, comment: None }
    }
}

impl CsvOptions {
    fn from_config(config: &ConfigReader) -> Result<Self> {
        let header = match config.choice("csv.header", &["auto", "true", "false"])? {
            Some("true") => Header::Present,
            Some("false") => Header::Absent,
            _ => Header::Auto,
        };
        let quote = match config.bool("csv.disable-quote-character")? {
            Some(true) => None,
            _ => Some(config.byte("csv.quote-character")?.unwrap_or(b'"')),
        };
        let delimiter = config.byte("csv.field-delimiter")?.unwrap_or(b',');
        // Escaping a quote by a quote is what doubling it means anyway.
        let escape = config.byte("csv.escape-character")?.filter(|escape| Some(*escape) != quote);
        if Some(delimiter) == quote || Some(delimiter) == escape {
            return Err(ConnectorError::config(format!(
                "option 'csv.field-delimiter' is also the quote or escape character: '{}'",
                char::from(delimiter)
            )));
        }
        Ok(Self {
            header,
            delimiter,
            quote,
            escape,
            null_literal: config.text("csv.null-literal").map(str::to_owned),
            comment: config.bool("csv.allow-comments")?.unwrap_or(false).then_some(b'#'),
        })
    }

    /// The same for a file with extension `.tsv`, unless a delimiter was chosen.
    #[must_use]
    pub fn for_extension(mut self, extension: Option<&str>) -> Self {
        if self.delimiter == b',' && extension.is_some_and(|extension| extension.eq_ignore_ascii_case("tsv")) {
            self.delimiter = b'\t';
        }
        self
    }
}

/// Options of the formats made of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineOptions {
    /// CSV details.
    pub csv: CsvOptions,
    /// Longest line; a longer one is a bad row.
    pub max_line_bytes: usize,
    /// JSON output leaves NULL fields out.
    pub json_omit_nulls: bool,
}

impl Default for LineOptions {
    fn default() -> Self {
        Self { csv: CsvOptions::default(), max_line_bytes: 16 << 20, json_omit_nulls: false }
    }
}

impl LineOptions {
    /// Reads [`FORMAT_OPTIONS`] except `format`.
    pub fn from_config(config: &ConfigReader) -> Result<Self> {
        let max_line_bytes = config.parsed("max_line_bytes", "a size from 1 KiB to 1 GiB", "16 MiB", |text| {
            crate::options::parse_bytes(text).filter(|bytes| (1 << 10..=1 << 30).contains(bytes))
        })?;
        // Checked although nothing depends on them: a wrong value is a misunderstanding worth telling.
        config.bool("json.fail-on-missing-field")?;
        config.choice("json.timestamp-format.standard", &["SQL", "ISO-8601"])?;
        Ok(Self {
            csv: CsvOptions::from_config(config)?,
            max_line_bytes: max_line_bytes.map_or(16 << 20, |bytes| bytes as usize),
            json_omit_nulls: config.bool("json.encode.ignore-null-fields")?.unwrap_or(false),
        })
    }
}

/// `" (hint: did you mean 'x'?)"` or nothing.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    did_you_mean(word, candidates).map(|near| format!(" (hint: did you mean '{near}'?)")).unwrap_or_default()
}
