//! `\copy table from 'file'`: the rows of a file of this side into a table, here or at a server.
//!
//! An engine of this process reads the file itself. A server is sent the rows by COPY: a CSV file as it is, others as CSV.

use std::path::Path;

use bytes::Bytes;
use millstream::connectors::file::infer_head;
use millstream::{Engine, Query};
use millstream_time::Clock;

use super::super::backend::connected::CopyIn;
use super::super::backend::{Answer, Backend};
use super::super::{Failure, Ran, Shell, places};
use crate::format::{Look, OutputFormat};

/// So much of a CSV file is looked at to find out its columns, and sent at a time.
const CHUNK_BYTES: usize = 256 * 1024;

pub(super) fn run(shell: &mut Shell<'_>, table: &str, columns: &[String], file: &str) -> Ran {
    let start = shell.clock.monotonic();
    let path = match file.contains("://") {
        true => file.to_owned(),
        false => places::expand_home(file).display().to_string(),
    };
    let rows = match &shell.backend {
        Backend::Embedded(_) => into_engine(shell, table, columns, &path)?,
        Backend::Connected(_) => into_server(shell, table, columns, &path)?,
    };
    let elapsed = crate::quantity::duration(shell.clock.monotonic().saturating_sub(start));
    shell.screen.note(&format!("{rows} row{} from '{file}' into {table} ({elapsed})", if rows == 1 { "" } else { "s" }));
    Ok(())
}

fn into_engine(shell: &mut Shell<'_>, table: &str, columns: &[String], path: &str) -> Result<u64, Failure> {
    let quoted = path.replace('\'', "''");
    let found: Vec<String> = {
        let rows = shell.start_query(&format!("SELECT * FROM '{quoted}' LIMIT 0"))?;
        rows.schema().fields().iter().map(|field| field.name().clone()).collect()
    };
    let (targets, sources) = match columns {
        [] => match same_names(shell, table, &found) {
            Some(names) => (names.clone(), names),
            None => (Vec::new(), vec!["*".to_owned()]),
        },
        columns => (columns.to_vec(), vec!["*".to_owned()]),
    };
    let targets = if targets.is_empty() { String::new() } else { format!(" ({})", targets.join(", ")) };
    let sql = format!("INSERT INTO {table}{targets} SELECT {} FROM '{quoted}'", sources.join(", "));
    let statements = shell.backend.statements(&sql)?;
    let [statement] = statements.as_slice() else { return Err(Failure::Message("one table is expected".to_owned())) };
    match shell.start_statement(statement)? {
        Answer::Done(message) => Ok(message.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)),
        _ => Err(Failure::Message(format!("{table} takes no rows of a file (hint: \\copy fills stored tables)"))),
    }
}

/// The columns of a file in SQL, if the table has all of them.
fn same_names(shell: &mut Shell<'_>, table: &str, found: &[String]) -> Option<Vec<String>> {
    let described = shell.runtime.block_on(shell.backend.text_rows(&format!("DESCRIBE {table}")));
    let known: Vec<&String> = described.iter().filter_map(|row| row.first()).collect();
    let all = !found.is_empty() && found.iter().all(|name| known.contains(&name));
    all.then(|| found.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect())
}

fn into_server(shell: &mut Shell<'_>, table: &str, columns: &[String], path: &str) -> Result<u64, Failure> {
    let ending = Path::new(path).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if ending == "csv" && !path.contains(['*', '?', '[']) && !path.contains("://") {
        return csv_into_server(shell, table, columns, path);
    }
    let (engine, query) = shell.or_signal(open(path))?;
    let found: Vec<String> = query.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut copy = begin(shell, table, columns, &found, true)?;
    let sent = send_rows(shell, query, &mut copy);
    drop(engine);
    sent?;
    shell.or_signal(copy.finish())
}

/// The rows of a file, read here.
async fn open(path: &str) -> Result<(Engine, Query), Failure> {
    let engine = Engine::builder().build().await?;
    let query = engine.session().query(&format!("SELECT * FROM '{}'", path.replace('\'', "''"))).await?;
    Ok((engine, query))
}

fn send_rows(shell: &mut Shell<'_>, mut query: Query, copy: &mut CopyIn) -> Ran {
    let schema = query.schema();
    let mut printer = OutputFormat::Csv.printer(Look::default());
    let mut text = Vec::new();
    printer.begin(&schema, &mut text)?;
    while let Some(batch) = shell.or_signal(async { query.next().await.transpose().map_err(Failure::from) })? {
        printer.batch(&batch, &mut text)?;
        shell.send(copy, Bytes::from(std::mem::take(&mut text)))?;
    }
    printer.finish(&mut text)?;
    shell.send(copy, Bytes::from(text))
}

fn csv_into_server(shell: &mut Shell<'_>, table: &str, columns: &[String], path: &str) -> Result<u64, Failure> {
    use std::io::Read;
    let unreadable = |error: std::io::Error| Failure::Message(format!("cannot read '{path}': {error}"));
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut filled = file.read(&mut chunk).map_err(unreadable)?;
    let head = &chunk[..filled];
    let lines = if filled < CHUNK_BYTES { filled } else { head.iter().rposition(|byte| *byte == b'\n').map_or(filled, |at| at + 1) };
    let head = infer_head(path, &head[..lines]).map_err(|error| Failure::Message(error.to_string()))?;
    let found: Vec<String> = head.schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut copy = begin(shell, table, columns, &found, head.has_header)?;
    while filled > 0 {
        shell.send(&mut copy, Bytes::copy_from_slice(&chunk[..filled]))?;
        filled = file.read(&mut chunk).map_err(unreadable)?;
    }
    shell.or_signal(copy.finish())
}

/// Asks the server to take CSV.
fn begin(shell: &mut Shell<'_>, table: &str, columns: &[String], found: &[String], has_header: bool) -> Result<CopyIn, Failure> {
    let targets = match columns {
        [] => same_names(shell, table, found).unwrap_or_default(),
        columns => columns.to_vec(),
    };
    let targets = if targets.is_empty() { String::new() } else { format!(" ({})", targets.join(", ")) };
    let sql = format!("COPY {table}{targets} FROM STDIN WITH (FORMAT csv, HEADER {has_header})");
    let statements = shell.backend.statements(&sql)?;
    let [statement] = statements.as_slice() else { return Err(Failure::Message("one table is expected".to_owned())) };
    match shell.start_statement(statement)? {
        Answer::CopyIn(copy) => Ok(copy),
        _ => Err(Failure::Message(format!("{table} takes no rows of a file"))),
    }
}
