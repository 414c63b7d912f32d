//! A result that is drawn in place, kept up to date: `\live`.
//!
//! ```text
//!  shop     | n  | total          <- the table, as many rows as the screen has room for; what has changed stands out
//! ----------+----+---------
//!  bakery   | 12 |  130.20
//! 3 rows, live | 1.2 k/s in | watermark … | state …      space holds it still, q leaves
//! ```
//!
//! Rows of a query that ends are drawn when it has; it is run again then. Those of a stream are drawn as they come, the newest at the
//! bottom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use unicode_width::UnicodeWidthStr;

use super::backend::Flow;
use super::pager;
use super::spark;
use super::statement::View;
use super::terminal::{self, Frame};
use crate::format::{BOLD, Look, OutputFormat, PLAIN};
use crate::screen::Screen;
use crate::status_line::{Progress, SEPARATOR, StatusLine};

/// Rows that are kept of a result.
const ROWS_MAX: usize = 1_000;
/// Rows of which nobody knows whether they end are drawn as a stream when they have not by then.
const STREAM_AFTER: Duration = Duration::from_millis(700);
/// How often a stream is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(150);
/// So long does a change stand out.
const CHANGE_SHOWN: Duration = Duration::from_millis(1_200);
/// Lines besides the rows: the status line, and the free one that the cursor is on.
const LINES_BESIDE: usize = 2;
const GREEN: &str = "\x1b[1;32m";
const BEFORE_KEYS: &str = "   ";
const KEYS: &str = "space holds it still, q leaves";

/// Which rows are shown of more than there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The query has an order: the first are those that are asked for.
    First,
    /// The newest.
    Last,
}

/// How results look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) format: OutputFormat,
    pub(crate) sparklines: bool,
    pub(crate) has_color: bool,
    pub(crate) end: End,
}

/// The table on the screen.
pub(crate) struct LiveTable {
    style: Style,
    flow: Flow,
    schema: Option<SchemaRef>,
    batches: VecDeque<RecordBatch>,
    rows: u64,
    kept_rows: usize,
    begun: Option<Duration>,
    drawn_at: Duration,
    is_changed: bool,
    frame: Frame,
    changes: Changes,
    status: StatusLine,
    running: Vec<Progress>,
    now: Duration,
}

impl LiveTable {
    pub(crate) fn new(style: Style) -> Self {
        Self {
            style,
            flow: Flow::Snapshot,
            schema: None,
            batches: VecDeque::new(),
            rows: 0,
            kept_rows: 0,
            begun: None,
            drawn_at: Duration::ZERO,
            is_changed: true,
            frame: Frame::default(),
            changes: Changes::default(),
            status: StatusLine::default(),
            running: Vec::new(),
            now: Duration::ZERO,
        }
    }

    /// The query runs (again): its rows take the place of those before.
    pub(crate) fn restart(&mut self, flow: Flow) {
        self.flow = flow;
        self.batches.clear();
        (self.rows, self.kept_rows, self.begun) = (0, 0, None);
    }

    /// What runs, for the line below.
    pub(crate) fn tell(&mut self, now: Duration, running: Vec<Progress>) {
        self.now = now;
        self.running = running;
    }

    fn keep(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        match self.style.end {
            End::First => {
                let room = ROWS_MAX.saturating_sub(self.kept_rows).min(batch.num_rows());
                if room > 0 {
                    self.batches.push_back(batch.slice(0, room));
                    self.kept_rows += room;
                }
            }
            End::Last => {
                let skipped = batch.num_rows().saturating_sub(ROWS_MAX);
                self.batches.push_back(batch.slice(skipped, batch.num_rows() - skipped));
                self.kept_rows += batch.num_rows() - skipped;
                while let Some(first) = self.batches.front().map(RecordBatch::num_rows)
                    && self.kept_rows - first >= ROWS_MAX
                {
                    self.batches.pop_front();
                    self.kept_rows -= first;
                }
            }
        }
    }

    /// The lines of the rows that there is room for.
    fn lines(&mut self, width: usize, room: usize) -> io::Result<Vec<String>> {
        let Some(schema) = self.schema.clone() else { return Ok(Vec::new()) };
        let look = Look { color: false, width: Some(width) };
        let mut printer = self.style.format.printer(look);
        let mut text = Vec::new();
        printer.begin(&schema, &mut text)?;
        for batch in shown(&self.batches, room, self.style.end) {
            printer.batch(&batch, &mut text)?;
        }
        printer.finish(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let head = pager::header_lines(&text.lines().collect::<Vec<_>>());
        // Cells of several lines may still take too much room.
        let excess = lines.len().saturating_sub(room + head);
        match self.style.end {
            End::First => lines.truncate(lines.len() - excess),
            End::Last => drop(lines.drain(head..head + excess)),
        }
        let body = lines.split_off(head);
        let mut all: Vec<String> = lines.into_iter().map(|line| self.strong(&line)).collect();
        all.extend(self.changes.mark(self.now, body, self.style.has_color));
        Ok(all)
    }

    fn strong(&self, line: &str) -> String {
        if self.style.has_color { format!("{BOLD}{line}{PLAIN}") } else { line.to_owned() }
    }

    fn status(&mut self, width: usize) -> String {
        let rows = if self.rows == 1 { "1 row".to_owned() } else { format!("{} rows", crate::quantity::rows(self.rows)) };
        let mut line = format!("{rows}, live");
        let room = width.saturating_sub(line.len() + SEPARATOR.len());
        if let Some(figures) = self.status.update(self.now, &self.running, room) {
            line.push_str(SEPARATOR);
            line.push_str(&figures);
        }
        if line.width() + BEFORE_KEYS.len() + KEYS.len() <= width {
            line.push_str(BEFORE_KEYS);
            line.push_str(KEYS);
        }
        line
    }

    /// Draws the table at its place.
    pub(crate) fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        let (width, height) = terminal::size();
        let width = width.saturating_sub(1);
        let mut lines = self.lines(width, height.saturating_sub(LINES_BESIDE + 2).max(1))?;
        let status = self.status(width);
        lines.push(if self.style.has_color { format!("{}{status}{PLAIN}", crate::format::DIM) } else { status });
        let lines: Vec<String> = lines.iter().map(|line| pager::cut(line, 0, width)).collect();
        let text = self.frame.redraw(&lines);
        screen.rows().write_all(text.as_bytes())?;
        self.is_changed = false;
        screen.flush()
    }

    /// Draws it at the top of a cleared screen: the terminal has another size.
    pub(crate) fn clear(&mut self, screen: &mut Screen) -> io::Result<()> {
        let text = self.frame.resized();
        screen.rows().write_all(text.as_bytes())
    }
}

/// The first or last rows, at most `room`.
fn shown(batches: &VecDeque<RecordBatch>, room: usize, end: End) -> Vec<RecordBatch> {
    let mut left = room;
    let mut chosen = Vec::new();
    let mut take = |batch: &RecordBatch| {
        let rows = batch.num_rows().min(left);
        left -= rows;
        let from = if end == End::First { 0 } else { batch.num_rows() - rows };
        if rows > 0 {
            chosen.push(batch.slice(from, rows));
        }
    };
    match end {
        End::First => batches.iter().for_each(&mut take),
        End::Last => batches.iter().rev().for_each(&mut take),
    }
    if end == End::Last {
        chosen.reverse();
    }
    chosen
}

impl View for LiveTable {
    fn begin(&mut self, schema: &SchemaRef, _: &mut Screen) -> io::Result<()> {
        self.schema = Some(if self.style.sparklines { spark::schema_with_sparks(schema) } else { SchemaRef::clone(schema) });
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, _: &mut Screen) -> io::Result<bool> {
        match (&self.schema, self.style.sparklines) {
            (Some(schema), true) => {
                let drawn = spark::with_sparks(batch, schema)?;
                self.keep(&drawn);
            }
            _ => self.keep(batch),
        }
        self.is_changed = true;
        Ok(true)
    }

    fn tick(&mut self, now: Duration, screen: &mut Screen) -> io::Result<()> {
        let begun = *self.begun.get_or_insert(now);
        let is_stream = self.flow == Flow::Stream || self.flow == Flow::Unknown && now.saturating_sub(begun) >= STREAM_AFTER;
        if is_stream && now.saturating_sub(self.drawn_at) >= DRAW_EVERY {
            // The newest rows of a stream are what it is watched for.
            self.style.end = End::Last;
            self.drawn_at = now;
            self.now = now;
            self.draw(screen)?;
        }
        Ok(())
    }

    fn progress(&mut self, now: Duration, running: &[Progress]) {
        self.tell(now, running.to_vec());
    }

    fn resized(&mut self, screen: &mut Screen) -> io::Result<()> {
        self.clear(screen)
    }

    fn finish(&mut self, screen: &mut Screen) -> io::Result<()> {
        self.draw(screen)
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// What was different a moment ago.
#[derive(Debug, Default)]
struct Changes {
    /// Each row's cells and when each of them changed, by the first cells that tell the rows apart.
    rows: BTreeMap<String, Vec<(String, Duration)>>,
    key_cells: Option<usize>,
}

const BETWEEN_CELLS: &str = " | ";

impl Changes {
    /// The lines with the cells that have just changed made to stand out. Before the first time nothing has changed.
    fn mark(&mut self, now: Duration, lines: Vec<String>, has_color: bool) -> Vec<String> {
        let cells: Vec<Vec<&str>> = lines.iter().map(|line| line.split(BETWEEN_CELLS).collect()).collect();
        let key_cells = key_cells(&cells);
        let is_comparable = self.key_cells == Some(key_cells);
        let never = now.saturating_sub(CHANGE_SHOWN + Duration::from_millis(1));
        let mut rows = BTreeMap::new();
        let mut marked = Vec::with_capacity(cells.len());
        for cells in &cells {
            let key = key_of(cells, key_cells);
            let before = self.rows.get(&key);
            let since = |(n, cell): (usize, &&str)| match before.and_then(|cells| cells.get(n)) {
                Some((text, since)) if text == cell.trim() => *since,
                _ if is_comparable => now,
                _ => never,
            };
            let times: Vec<Duration> = cells.iter().enumerate().map(since).collect();
            let shown = cells.iter().zip(&times).map(|(cell, since)| {
                let is_new = has_color && now.saturating_sub(*since) <= CHANGE_SHOWN;
                if is_new { format!("{GREEN}{cell}{PLAIN}") } else { (*cell).to_owned() }
            });
            marked.push(shown.collect::<Vec<_>>().join(BETWEEN_CELLS));
            rows.insert(key, cells.iter().map(|cell| cell.trim().to_owned()).zip(times).collect());
        }
        self.rows = rows;
        self.key_cells = Some(key_cells);
        marked
    }
}

/// How many of the first cells tell the rows apart; all of them if none do.
fn key_cells(rows: &[Vec<&str>]) -> usize {
    let most = rows.iter().map(Vec::len).max().unwrap_or(1);
    let is_key = |count: &usize| {
        let mut seen = BTreeSet::new();
        rows.iter().all(|cells| seen.insert(key_of(cells, *count)))
    };
    (1..most).find(is_key).unwrap_or(most)
}

fn key_of(cells: &[&str], count: usize) -> String {
    cells.iter().take(count).map(|cell| cell.trim()).collect::<Vec<_>>().join(BETWEEN_CELLS)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array};

    use super::*;

    fn batch(numbers: std::ops::Range<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(numbers.collect::<Int64Array>());
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    #[test]
    fn what_changed_stands_out_for_a_moment() {
        let mut changes = Changes::default();
        let at = |millis| Duration::from_millis(millis);
        let mut look = |millis, lines: &[&str]| changes.mark(at(millis), lines.iter().map(ToString::to_string).collect(), true);
        assert_eq!(look(5_000, &[" a | 1 | x"]), [" a | 1 | x"], "at first everything is as it was");
        assert_eq!(look(5_200, &[" a | 2 | x"]), [format!(" a | {GREEN}2{PLAIN} | x")]);
        assert_eq!(look(5_400, &[" a | 2 | x", " b | 1 | y"])[0], format!(" a | {GREEN}2{PLAIN} | x"));
        assert_eq!(
            look(6_500, &[" a | 2 | x", " b | 1 | y"]),
            [" a | 2 | x".to_owned(), format!("{GREEN} b{PLAIN} | {GREEN}1{PLAIN} | {GREEN}y{PLAIN}")]
        );
        assert_eq!(look(9_000, &[" b |  1 | y"]), [" b |  1 | y"], "another width is no change");
    }

    #[test]
    fn rows_are_known_by_as_many_cells_as_it_takes() {
        let mut changes = Changes::default();
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        changes.mark(Duration::from_secs(5), lines(&[" 1 | a | 3", " 1 | b | 3"]), true);
        let marked = changes.mark(Duration::from_secs(6), lines(&[" 1 | a | 3", " 1 | b | 4"]), true);
        assert_eq!(marked, [" 1 | a | 3".to_owned(), format!(" 1 | b | {GREEN}4{PLAIN}")]);
        assert_eq!(key_cells(&[vec!["x", "1"], vec!["x", "1"]]), 2);
    }

    #[test]
    fn the_newest_or_the_first_rows_are_kept() {
        let style = |end| Style { format: OutputFormat::Table, sparklines: false, has_color: false, end };
        for (end, expected) in [(End::Last, ["1598", "1599"]), (End::First, ["0", "1"])] {
            let mut table = LiveTable::new(style(end));
            table.schema = Some(batch(0..1).schema());
            for start in (0..1_600).step_by(200) {
                table.keep(&batch(start..start + 200));
            }
            assert!(table.kept_rows <= ROWS_MAX + 200 && table.rows == 1_600);
            let lines = table.lines(40, 2).unwrap();
            assert_eq!(lines[2..].iter().map(|line| line.trim()).collect::<Vec<_>>(), expected);
        }
    }
}
