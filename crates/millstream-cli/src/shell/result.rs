//! Shows the rows of a query in the chosen format: held back until their layout can be chosen, then printed or paged.
//!
//! Of a snapshot all rows are held (up to a limit), so that a result larger than the screen can go to the pager. The rows of a
//! stream are printed as they come, after the first few have settled the widths of columns.

use std::io::{self, Write};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::Shell;
use super::backend::Flow;
use super::commands::output::OutputFile;
use super::statement::View;
use super::view_settings::Expanded;
use super::{pager, spark, terminal};
use crate::format::{Fit, Look, OutputFormat, RowFormat, fit};
use crate::screen::Screen;

/// Rows of a snapshot that are shown on a terminal.
const SHOWN_ROWS_MAX: usize = 100_000;
/// Rows of a stream that are held back at most.
const STREAM_ROWS_HELD_MAX: usize = 100;
/// The first rows of a stream are printed when no more have come for so long.
const SETTLE_AFTER: Duration = Duration::from_millis(60);
/// Rows that have not ended by then are taken for a stream where nobody knows.
const STREAM_AFTER: Duration = Duration::from_millis(400);
/// Lines that the terminal needs besides the result: the next prompt and the summary.
const LINES_KEPT_FREE: usize = 3;

/// The view of a result.
pub(crate) struct ResultView {
    format: OutputFormat,
    expanded: Expanded,
    sparklines: bool,
    has_pager: bool,
    flow: Flow,
    /// On the terminal, where a person looks.
    is_shown: bool,
    look: Look,
    file: Option<OutputFile>,
    schema: Option<SchemaRef>,
    held: Vec<RecordBatch>,
    held_rows: usize,
    held_since: Option<Duration>,
    printer: Option<Box<dyn RowFormat>>,
    is_cut: bool,
    is_flipped: bool,
}

impl ResultView {
    pub(crate) fn new(shell: &Shell<'_>, flow: Flow) -> Self {
        let is_shown = shell.shows_rows();
        let look = if shell.output.is_some() { Look::default() } else { shell.screen.look() };
        Self {
            format: shell.view.format,
            expanded: shell.view.expanded,
            sparklines: shell.view.sparklines,
            has_pager: shell.view.pager,
            flow,
            is_shown,
            look,
            file: shell.output.clone(),
            schema: None,
            held: Vec::new(),
            held_rows: 0,
            held_since: None,
            printer: None,
            is_cut: false,
            is_flipped: false,
        }
    }

    /// What the person should know about how the rows were shown.
    pub(crate) fn note(&self) -> Option<String> {
        if self.is_flipped {
            return Some("wide rows are shown one column a line; \\x off makes a table of them".to_owned());
        }
        self.is_cut.then(|| "long texts are cut; \\x on shows them whole".to_owned())
    }

    fn choose_format(&mut self) -> OutputFormat {
        if self.format != OutputFormat::Table || self.expanded == Expanded::Off {
            self.note_cut();
            return self.format;
        }
        if self.expanded == Expanded::On {
            return OutputFormat::Vertical;
        }
        self.note_cut();
        if self.is_flipped { OutputFormat::Vertical } else { OutputFormat::Table }
    }

    fn note_cut(&mut self) {
        if !self.is_shown || self.format != OutputFormat::Table {
            return;
        }
        match fit(&self.held, self.look) {
            Fit::Whole => {}
            Fit::Cut => self.is_cut = true,
            Fit::TooWide => self.is_flipped = self.expanded == Expanded::Auto,
        }
    }

    /// Chooses the layout and prints what is held.
    fn start(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(schema) = self.schema.clone() else { return Ok(()) };
        let mut printer = self.choose_format().printer(self.look);
        printer.begin(&schema, out)?;
        for batch in std::mem::take(&mut self.held) {
            printer.batch(&batch, out)?;
        }
        self.held_rows = 0;
        self.printer = Some(printer);
        Ok(())
    }

    fn with_out(&mut self, screen: &mut Screen, work: impl FnOnce(&mut Self, &mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match self.file.clone() {
            Some(mut file) => work(self, &mut file),
            None => work(self, screen.rows()),
        }
    }
}

impl View for ResultView {
    fn begin(&mut self, schema: &SchemaRef, screen: &mut Screen) -> io::Result<()> {
        self.schema = Some(if self.sparklines { spark::schema_with_sparks(schema) } else { SchemaRef::clone(schema) });
        if !self.is_shown {
            return self.with_out(screen, |view, out| view.start(out));
        }
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, screen: &mut Screen) -> io::Result<bool> {
        let drawn;
        let batch = match (&self.schema, self.sparklines) {
            (Some(schema), true) => {
                drawn = spark::with_sparks(batch, schema)?;
                &drawn
            }
            _ => batch,
        };
        if self.printer.is_some() {
            self.with_out(screen, |view, out| view.printer.as_mut().map_or(Ok(()), |printer| printer.batch(batch, out)))?;
            return Ok(true);
        }
        self.held_rows += batch.num_rows();
        self.held.push(batch.clone());
        if self.flow == Flow::Stream && self.held_rows >= STREAM_ROWS_HELD_MAX {
            self.with_out(screen, |view, out| view.start(out))?;
        }
        Ok(self.flow == Flow::Stream || self.held_rows < SHOWN_ROWS_MAX)
    }

    fn tick(&mut self, now: Duration, screen: &mut Screen) -> io::Result<()> {
        if let Some(printer) = self.printer.as_mut() {
            if printer.holds_rows() {
                self.with_out(screen, |view, out| view.printer.as_mut().map_or(Ok(()), |printer| printer.settle(out)))?;
            }
            return Ok(());
        }
        if self.flow != Flow::Snapshot && self.held_rows > 0 {
            let since = *self.held_since.get_or_insert(now);
            let settle_after = if self.flow == Flow::Stream { SETTLE_AFTER } else { STREAM_AFTER };
            if now.saturating_sub(since) >= settle_after {
                self.flow = Flow::Stream;
                self.with_out(screen, |view, out| {
                    view.start(out)?;
                    view.printer.as_mut().map_or(Ok(()), |printer| printer.settle(out))
                })?;
            }
        }
        Ok(())
    }

    fn resized(&mut self, screen: &mut Screen) -> io::Result<()> {
        if self.file.is_none() {
            self.look = screen.look();
        }
        Ok(())
    }

    fn finish(&mut self, screen: &mut Screen) -> io::Result<()> {
        if self.printer.is_some() {
            return self.with_out(screen, |view, out| view.printer.as_mut().map_or(Ok(()), |printer| printer.finish(out)));
        }
        let mut text = Vec::new();
        self.start(&mut text)?;
        if let Some(printer) = self.printer.as_mut() {
            printer.finish(&mut text)?;
        }
        let (_, height) = terminal::size();
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        if self.has_pager && self.is_shown && lines > height.saturating_sub(LINES_KEPT_FREE) {
            screen.flush()?;
            return pager::show(&String::from_utf8_lossy(&text), self.look.color);
        }
        screen.rows().write_all(&text)
    }
}
