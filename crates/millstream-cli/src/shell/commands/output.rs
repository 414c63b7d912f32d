//! `\o`: rows go into a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::input::Call;
use super::super::{Ran, Shell, places};
use super::{ArgKind, Command};

pub(super) const COMMAND: Command = Command {
    names: &["o", "output"],
    usage: "[FILE]",
    about: "rows go to a file; alone: here again",
    help: "Rows are written in the mode of \\mode. To write Parquet use \\copy.\n\n  \\mode csv\n  \\o report.csv\n  SELECT * FROM bids LIMIT 10;\n  \\o",
    arg: ArgKind::File,
    run,
};

/// A file that rows go to. Clones write to the same file.
#[derive(Debug, Clone)]
pub(crate) struct OutputFile {
    path: String,
    file: Arc<Mutex<BufWriter<File>>>,
}

impl OutputFile {
    fn create(path: &str) -> Result<Self, String> {
        let file = File::create(places::expand_home(path)).map_err(|error| format!("cannot write '{path}': {error}"))?;
        Ok(Self { path: path.to_owned(), file: Arc::new(Mutex::new(BufWriter::new(file))) })
    }

    /// Writes what is buffered; the error is a complete message.
    pub(crate) fn close(mut self) -> Result<(), String> {
        self.flush().map_err(|error| format!("cannot write '{}': {error}", self.path))
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    if let Some(before) = shell.output.take() {
        let path = before.path.clone();
        before.close()?;
        shell.screen.note(&format!("'{path}' is written"));
    }
    if let Some(path) = call.words().first() {
        shell.output = Some(OutputFile::create(path)?);
        shell.screen.note(&format!("rows go to '{path}' (\\o ends that)"));
    }
    Ok(())
}
