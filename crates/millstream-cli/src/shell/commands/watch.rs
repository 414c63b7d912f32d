//! `\watch`: runs a query again and again, its result always at the same place.

use std::time::Duration;

use millstream_time::Clock;

use super::super::backend::Flow;
use super::super::input::Call;
use super::super::live::{Live, Look};
use super::super::{Failure, Ran, Shell};
use super::{ArgKind, Command, query_of};
use crate::format::RowFormat;

pub(super) const COMMAND: Command = Command {
    names: &["watch"],
    usage: "[SECONDS]",
    about: "run a query again and again, in place",
    help: "Materialized views and stored tables show their newest rows. q or Ctrl-C leaves.\n\n  SELECT * FROM mv ORDER BY n DESC LIMIT 10 \\watch\n  \\watch 0.5",
    arg: ArgKind::None,
    run,
};

const SECONDS_DEFAULT: f64 = 2.0;
const SECONDS_MIN: f64 = 0.1;
const SECONDS_MAX: f64 = 86_400.0;
/// Rows of a result that are looked at each time.
const ROWS_MAX: usize = 1_000;

fn run(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let seconds = match call.args.as_str() {
        "" => SECONDS_DEFAULT,
        text => text.parse().ok().filter(|seconds| (SECONDS_MIN..=SECONDS_MAX).contains(seconds)).ok_or_else(|| {
            Failure::Message(format!("\\watch takes a number of seconds from {SECONDS_MIN} to {SECONDS_MAX}: got '{text}'"))
        })?,
    };
    let query = query_of(shell, call, "")?;
    if !shell.shows_rows() {
        return Err(Failure::Message("\\watch needs a terminal".to_owned()));
    }
    shell.last_query = Some(query.clone());
    let mut live = Live::default();
    loop {
        let lines = look(shell, &query, seconds)?;
        live.draw(shell.screen, &lines)?;
        match live.wait(shell, Duration::from_secs_f64(seconds))? {
            Look::Again | Look::Cleared => {}
            Look::Leave => return live.end(shell.screen),
        }
    }
}

fn look(shell: &mut Shell<'_>, query: &str, seconds: f64) -> Result<Vec<String>, Failure> {
    let start = shell.clock.monotonic();
    let rows = shell.start_query(query)?;
    if rows.flow() == Flow::Stream {
        let hint = "hint: it shows its rows as they come without \\watch; a materialized view over it can be watched";
        return Err(Failure::Message(format!("\\watch runs queries that end, this one reads a stream ({hint})")));
    }
    let format = shell.view.format;
    let mut view = Sheet { printer: format.printer(shell.screen.look()), text: Vec::new(), rows: 0 };
    let ended = shell.show(rows, &mut view, start)?;
    if let Some(signal) = ended.stopped {
        return Err(Failure::Stopped(signal));
    }
    let elapsed = crate::quantity::duration(ended.elapsed);
    let mut lines = vec![format!("every {seconds} s, {} rows in {elapsed}   q leaves", ended.rows)];
    lines.extend(String::from_utf8_lossy(&view.text).lines().map(str::to_owned));
    Ok(lines)
}

/// Collects the text of a result.
struct Sheet {
    printer: Box<dyn RowFormat>,
    text: Vec<u8>,
    rows: usize,
}

impl super::super::statement::View for Sheet {
    fn begin(&mut self, schema: &datafusion::arrow::datatypes::SchemaRef, _: &mut crate::screen::Screen) -> std::io::Result<()> {
        self.printer.begin(schema, &mut self.text)
    }

    fn batch(&mut self, batch: &datafusion::arrow::array::RecordBatch, _: &mut crate::screen::Screen) -> std::io::Result<bool> {
        self.rows += batch.num_rows();
        self.printer.batch(batch, &mut self.text)?;
        Ok(self.rows < ROWS_MAX)
    }

    fn tick(&mut self, _: Duration, _: &mut crate::screen::Screen) -> std::io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &mut crate::screen::Screen) -> std::io::Result<()> {
        self.printer.finish(&mut self.text)
    }
}
