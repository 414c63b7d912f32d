//! `\copy (query) to 'file'`: the rows of a query into one file, its format by the ending. `\copy table from 'file'`: see [`load`].

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
use super::{ArgKind, Command, load};
use crate::format::{Look, OutputFormat, RowFormat};
use crate::screen::Screen;

pub(super) const COMMAND: Command = Command {
    names: &["copy"],
    usage: "(QUERY) to 'FILE'",
    about: "rows to a file; TABLE from 'FILE' reads one",
    help: "Files are on this side, also when the shell is connected to a server; the ending says what is in them: parquet, csv, json, \
           ndjson (md, html too when they are written).\nA written file appears when the query has ended. Columns of a file that is read go \
           to those of the same name, or by their order.\n\n  \\copy (SELECT * FROM bids LIMIT 1000) to 'bids.parquet'\n  \\copy bids to \
           'bids.csv'\n  \\copy bids from 'bids.csv'\n  \\copy bids (auction, price) from 'more.parquet'",
    arg: ArgKind::Text,
    run,
};

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let usage = || "\\copy is written \\copy (SELECT …) to 'file.parquet', or \\copy table from 'file.csv'".to_owned();
    let (query, path) = match parse(&call.args).ok_or_else(usage)? {
        Direction::To { query, file } => (query, file),
        Direction::From { table, columns, file } => return load::run(shell, &table, &columns, &file),
    };
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
    let plural = if ended.rows == 1 { "" } else { "s" };
    shell.screen.note(&format!("{} row{plural} into '{path}' ({})", ended.rows, crate::quantity::duration(ended.elapsed)));
    Ok(())
}

/// What `\copy` is to do.
#[derive(Debug, PartialEq, Eq)]
enum Direction {
    To { query: String, file: String },
    From { table: String, columns: Vec<String>, file: String },
}

/// `(query) to 'file'`, `table to 'file'`, `table (columns) from 'file'`.
fn parse(args: &str) -> Option<Direction> {
    let parts: Vec<_> = scan(args).into_iter().filter(|part| part.kind != TextKind::Blank).collect();
    let [head @ .., word, file] = parts.as_slice() else { return None };
    let source = args[..word.range.start].trim();
    if source.is_empty() || file.kind != TextKind::Text {
        return None;
    }
    let file = args[file.range.clone()].trim_matches('\'').replace("''", "'");
    let inner = |text: &str| text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).map(str::to_owned);
    match args[word.range.clone()].to_ascii_lowercase().as_str() {
        "to" => {
            let query = inner(source).unwrap_or_else(|| format!("SELECT * FROM {source}"));
            Some(Direction::To { query, file })
        }
        "from" => {
            let open = head.iter().find(|part| part.kind == TextKind::Open).map_or(source.len(), |open| open.range.start);
            let (table, columns) = source.split_at(open);
            let columns = inner(columns.trim()).unwrap_or_default();
            let columns = columns.split(',').map(|column| column.trim().to_owned()).filter(|column| !column.is_empty()).collect();
            let table = table.trim().to_owned();
            (!table.is_empty()).then_some(Direction::From { table, columns, file })
        }
        _ => None,
    }
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
    fn queries_tables_and_files() {
        let to = |query: &str, file: &str| Some(Direction::To { query: query.to_owned(), file: file.to_owned() });
        assert_eq!(parse("(SELECT ' to ' FROM t) to 'a b.csv'"), to("SELECT ' to ' FROM t", "a b.csv"));
        assert_eq!(parse("bids TO 'x.parquet'"), to("SELECT * FROM bids", "x.parquet"));
        let from = |columns: &[&str]| {
            let columns = columns.iter().map(ToString::to_string).collect();
            Some(Direction::From { table: "bids".to_owned(), columns, file: "x.csv".to_owned() })
        };
        assert_eq!(parse("bids from 'x.csv'"), from(&[]));
        assert_eq!(parse("bids (a, \"B\") FROM 'x.csv'"), from(&["a", "\"B\""]));
        for wrong in ["bids 'x.parquet'", "to 'x.parquet'", "from 'x.csv'", "bids from x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
