//! `\copy (query) to 'file'`: the rows of a query into one file, its format by the ending.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use millstream::{TextKind, scan};
use millstream_time::Clock;

use super::super::input::Call;
use super::super::statement::View;
use super::super::{Failure, Ran, Shell, places};
use super::{ArgKind, Command};
use crate::format::{Look, OutputFormat, RowFormat};
use crate::screen::Screen;

pub(super) const COMMAND: Command = Command {
    names: &["copy"],
    usage: "(QUERY) to 'FILE'",
    about: "rows into parquet, csv, json, md, html",
    help: "The file appears when the query has ended.\n\n  \\copy (SELECT * FROM bids LIMIT 1000) to 'bids.parquet'\n  \\copy bids to 'bids.csv'",
    arg: ArgKind::Text,
    run,
};

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let (query, path) = parse(&call.args).ok_or_else(|| "\\copy is written \\copy (SELECT …) to 'file.parquet'".to_owned())?;
    let path = places::expand_home(&path);
    let start = shell.clock.monotonic();
    let query = shell.start_query(&query)?;
    let mut view = CopyView { target: Target::new(path)?, writer: None };
    let ended = shell.show(query, &mut view, start)?;
    if let Some(signal) = ended.stopped {
        return Err(Failure::Stopped(signal));
    }
    let path = view.target.path.display().to_string();
    view.target.keep()?;
    shell.screen.note(&format!("{} rows into '{path}' ({})", ended.rows, crate::quantity::duration(ended.elapsed)));
    Ok(())
}

/// The query and the file of `(query) to 'file'` or `table to 'file'`.
fn parse(args: &str) -> Option<(String, String)> {
    let parts: Vec<_> = scan(args).into_iter().filter(|part| part.kind != TextKind::Blank).collect();
    let [.., to, file] = parts.as_slice() else { return None };
    let is_to = args[to.range.clone()].eq_ignore_ascii_case("to") && file.kind == TextKind::Text;
    let source = args[..to.range.start].trim();
    if !is_to || source.is_empty() {
        return None;
    }
    let file = args[file.range.clone()].trim_matches('\'').replace("''", "'");
    let query = match source.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(query) => query.to_owned(),
        None => format!("SELECT * FROM {source}"),
    };
    Some((query, file))
}

/// A file that gets its name when it is complete.
struct Target {
    path: PathBuf,
    ending: String,
    file: tempfile::NamedTempFile,
}

impl Target {
    fn new(path: PathBuf) -> Result<Self, Failure> {
        let known = ["parquet", "pq", "csv", "json", "ndjson", "jsonl", "md", "html"];
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let shown = path.display();
        if !known.contains(&ending.as_str()) {
            return Err(Failure::Message(format!("the format goes by the ending, one of {}: got '{shown}'", known.join(", "))));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::NamedTempFile::new_in(folder).map_err(|error| format!("cannot write '{shown}': {error}"))?;
        Ok(Self { path, ending, file })
    }

    fn keep(self) -> Ran {
        let shown = self.path.display().to_string();
        let file = self.file.persist(&self.path).map_err(|error| format!("cannot write '{shown}': {}", error.error))?;
        set_usual_mode(&file)?;
        Ok(())
    }
}

/// Temporary files are readable by their owner only; this one is a file like others.
fn set_usual_mode(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.sync_all()
}

enum Writer {
    Parquet(Box<ArrowWriter<File>>),
    Text(Box<dyn RowFormat>, BufWriter<File>),
}

struct CopyView {
    target: Target,
    writer: Option<Writer>,
}

fn writer(target: &Target, schema: &SchemaRef) -> io::Result<Writer> {
    let file = target.file.reopen()?;
    let format = match target.ending.as_str() {
        "parquet" | "pq" => {
            let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
            let writer = ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(properties)).map_err(io::Error::other)?;
            return Ok(Writer::Parquet(Box::new(writer)));
        }
        "csv" => OutputFormat::Csv,
        "json" => OutputFormat::Json,
        "md" => OutputFormat::Markdown,
        "html" => OutputFormat::Html,
        _ => OutputFormat::Ndjson,
    };
    let mut out = BufWriter::new(file);
    let mut printer = format.printer(Look::default());
    printer.begin(schema, &mut out)?;
    Ok(Writer::Text(printer, out))
}

impl View for CopyView {
    fn begin(&mut self, schema: &SchemaRef, _: &mut Screen) -> io::Result<()> {
        self.writer = Some(writer(&self.target, schema)?);
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, _: &mut Screen) -> io::Result<bool> {
        match &mut self.writer {
            Some(Writer::Parquet(writer)) => writer.write(batch).map_err(io::Error::other)?,
            Some(Writer::Text(printer, out)) => printer.batch(batch, out)?,
            None => {}
        }
        Ok(true)
    }

    fn tick(&mut self, _: Duration, _: &mut Screen) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &mut Screen) -> io::Result<()> {
        match self.writer.take() {
            Some(Writer::Parquet(writer)) => writer.close().map(drop).map_err(io::Error::other),
            Some(Writer::Text(mut printer, mut out)) => {
                printer.finish(&mut out)?;
                out.flush()
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_and_file() {
        let pair = |query: &str, file: &str| Some((query.to_owned(), file.to_owned()));
        assert_eq!(parse("(SELECT ' to ' FROM t) to 'a b.csv'"), pair("SELECT ' to ' FROM t", "a b.csv"));
        assert_eq!(parse("bids TO 'x.parquet'"), pair("SELECT * FROM bids", "x.parquet"));
        assert_eq!(parse("bids 'x.parquet'"), None);
        assert_eq!(parse("to 'x.parquet'"), None);
    }
}
