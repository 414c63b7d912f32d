//! Aligned columns in the manner of psql.
//!
//! ```text
//!  window_end          | item   |   n
//! ---------------------+--------+-----
//!  2024-01-01 00:00:10 | tea    |  12
//! ```
//!
//! The first rows are held back until there are [`MEASURED_ROWS`] of them or the caller says that no more come soon; they give the
//! column widths. A wider cell that comes later widens its column from there on. On a terminal, long texts are cut so that a row
//! keeps to its line, but never numbers, and never texts of several lines (a plan) or the only column.

use std::io::{self, Write};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::cell::{Cells, NULL, append_printable, is_numeric};
use super::{BOLD, DIM, Look, PLAIN, RowFormat};

/// So many rows are enough to choose column widths.
const MEASURED_ROWS: usize = 100;
/// Rows are laid out in slices of this many, so that memory stays bounded.
const LAYOUT_ROWS: usize = 1024;
/// A column of texts is not cut below this many characters.
const CUT_WIDTH_MIN: usize = 16;
const ELLIPSIS: &str = "...";

/// The table printer.
#[derive(Debug)]
pub(crate) struct Table {
    look: Look,
    columns: Vec<Column>,
    held: Vec<RecordBatch>,
    held_rows: usize,
    is_started: bool,
    line: String,
}

#[derive(Debug)]
struct Column {
    name: String,
    is_numeric: bool,
    width: usize,
}

/// A cell that is ready to be placed: printable, cut if it must be.
#[derive(Debug, Default)]
struct Cell {
    text: String,
    width: usize,
    is_null: bool,
}

/// How a result fits the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Whole,
    /// Long texts are cut.
    Cut,
    /// Even with all texts cut.
    TooWide,
}

/// How the first of these rows would fit as a table.
pub(crate) fn fit(batches: &[RecordBatch], look: Look) -> Fit {
    let (Some(first), Some(width)) = (batches.first(), look.width) else { return Fit::Whole };
    let mut table = Table::new(look);
    // Into nowhere, which cannot fail.
    _ = table.begin(&first.schema(), &mut io::sink());
    let mut rows_left = MEASURED_ROWS;
    for batch in batches {
        if rows_left == 0 || table.columns.len() < 2 {
            break;
        }
        let slice = batch.slice(0, batch.num_rows().min(rows_left));
        rows_left -= slice.num_rows();
        if let Ok(sheet) = lay_out(&slice) {
            table.widen(&sheet);
        }
    }
    let wanted = table.line_width();
    table.fit();
    match table.line_width() {
        _ if wanted <= width || table.columns.len() < 2 => Fit::Whole,
        fitted if fitted <= width => Fit::Cut,
        _ => Fit::TooWide,
    }
}

impl Table {
    pub(crate) fn new(look: Look) -> Self {
        Self { look, columns: Vec::new(), held: Vec::new(), held_rows: 0, is_started: false, line: String::new() }
    }

    fn start(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.is_started {
            return Ok(());
        }
        self.is_started = true;
        let held = std::mem::take(&mut self.held);
        let mut sheets = held.iter().map(lay_out).collect::<io::Result<Vec<_>>>()?;
        for sheet in &sheets {
            self.widen(sheet);
        }
        self.fit();
        self.print_header(out)?;
        for sheet in &mut sheets {
            self.print_rows(sheet, out)?;
        }
        self.held_rows = 0;
        Ok(())
    }

    fn widen(&mut self, rows: &[Vec<Cell>]) {
        for row in rows {
            for (column, cell) in self.columns.iter_mut().zip(row) {
                column.width = column.width.max(cell.width);
            }
        }
    }

    /// Characters that a row takes, with the separators.
    fn line_width(&self) -> usize {
        self.columns.iter().map(|column| column.width + 3).sum::<usize>().saturating_sub(1)
    }

    /// Cuts the widest texts, evenly, until a row fits the terminal.
    fn fit(&mut self) {
        let Some(terminal) = self.look.width else { return };
        if self.columns.len() == 1 {
            return;
        }
        loop {
            let excess = self.line_width().saturating_sub(terminal);
            if excess == 0 {
                return;
            }
            let texts = || self.columns.iter().filter(|column| !column.is_numeric);
            let widest = texts().map(|column| column.width).max().unwrap_or(0);
            if widest <= CUT_WIDTH_MIN {
                return;
            }
            let sharing = texts().filter(|column| column.width == widest).count();
            let next = texts().map(|column| column.width).filter(|width| *width < widest).max().unwrap_or(0);
            let step = excess.div_ceil(sharing).min(widest - next.max(CUT_WIDTH_MIN));
            for column in self.columns.iter_mut().filter(|column| !column.is_numeric && column.width == widest) {
                column.width = widest - step;
            }
        }
    }

    fn print_header(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.line.clear();
        for (idx, column) in self.columns.iter().enumerate() {
            push_separator(idx, &mut self.line);
            let mut name = Cell::new(&column.name, false);
            name.cut(column.width);
            let is_last = idx + 1 == self.columns.len();
            push_aligned(&name.text, name.width, column, is_last, self.look.color.then_some(BOLD), &mut self.line);
        }
        self.line.push('\n');
        for (idx, column) in self.columns.iter().enumerate() {
            if idx > 0 {
                self.line.push('+');
            }
            self.line.extend(std::iter::repeat_n('-', column.width + 2));
        }
        self.line.push('\n');
        out.write_all(self.line.as_bytes())
    }

    fn print_batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = lay_out(batch)?;
        self.widen(&rows);
        self.fit();
        self.print_rows(&mut rows, out)
    }

    fn print_rows(&mut self, rows: &mut [Vec<Cell>], out: &mut dyn Write) -> io::Result<()> {
        for row in rows {
            for (column, cell) in self.columns.iter().zip(row.iter_mut()) {
                if self.look.width.is_some() && !column.is_numeric {
                    cell.cut(column.width);
                }
            }
            self.line.clear();
            let height = row.iter().map(|cell| cell.text.split('\n').count()).max().unwrap_or(1);
            for nth in 0..height {
                self.push_row_line(row, nth);
            }
            out.write_all(self.line.as_bytes())?;
        }
        Ok(())
    }

    /// Appends the `nth` line of a row whose cells may have several.
    fn push_row_line(&mut self, row: &[Cell], nth: usize) {
        for (idx, (column, cell)) in self.columns.iter().zip(row).enumerate() {
            push_separator(idx, &mut self.line);
            let text = if cell.is_one_line() && nth == 0 { &cell.text } else { cell.text.split('\n').nth(nth).unwrap_or("") };
            let width = if cell.is_one_line() && nth == 0 { cell.width } else { text.width() };
            let style = (self.look.color && cell.is_null).then_some(DIM);
            push_aligned(text, width, column, idx + 1 == row.len(), style, &mut self.line);
        }
        while self.line.ends_with(' ') {
            self.line.pop();
        }
        self.line.push('\n');
    }
}

impl RowFormat for Table {
    fn begin(&mut self, schema: &SchemaRef, _out: &mut dyn Write) -> io::Result<()> {
        for field in schema.fields() {
            let mut name = String::new();
            append_printable(field.name(), false, &mut name);
            let width = name.width();
            self.columns.push(Column { name, is_numeric: is_numeric(field.data_type()), width });
        }
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
        for offset in (0..batch.num_rows()).step_by(LAYOUT_ROWS) {
            let slice = batch.slice(offset, LAYOUT_ROWS.min(batch.num_rows() - offset));
            if self.is_started {
                self.print_batch(&slice, out)?;
                continue;
            }
            self.held_rows += slice.num_rows();
            self.held.push(slice);
            if self.held_rows >= MEASURED_ROWS {
                self.start(out)?;
            }
        }
        Ok(())
    }

    fn holds_rows(&self) -> bool {
        self.held_rows > 0
    }

    fn settle(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.holds_rows() { self.start(out) } else { Ok(()) }
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.start(out)
    }
}

impl Cell {
    fn new(raw: &str, is_null: bool) -> Self {
        let mut text = String::with_capacity(raw.len());
        append_printable(raw, true, &mut text);
        let width = text.split('\n').map(UnicodeWidthStr::width).max().unwrap_or(0);
        Self { text, width, is_null }
    }

    fn is_one_line(&self) -> bool {
        !self.text.contains('\n')
    }

    /// Shortens a one-line text to `width_max` characters, the last three of them dots.
    fn cut(&mut self, width_max: usize) {
        if self.width <= width_max || !self.is_one_line() {
            return;
        }
        let keep = width_max.saturating_sub(ELLIPSIS.len());
        let mut width = 0;
        let end = self.text.char_indices().find(|(_, character)| {
            width += character.width().unwrap_or(0);
            width > keep
        });
        if let Some((end, _)) = end {
            self.text.truncate(end);
            self.text.push_str(ELLIPSIS);
            self.width = self.text.width();
        }
    }
}

fn lay_out(batch: &RecordBatch) -> io::Result<Vec<Vec<Cell>>> {
    let cells = Cells::new(batch)?;
    let mut raw = String::new();
    let mut rows = Vec::with_capacity(cells.rows());
    for row in 0..cells.rows() {
        let mut line = Vec::with_capacity(cells.columns());
        for column in 0..cells.columns() {
            if cells.is_null(column, row) {
                line.push(Cell::new(NULL, true));
                continue;
            }
            raw.clear();
            cells.append(column, row, &mut raw)?;
            line.push(Cell::new(&raw, false));
        }
        rows.push(line);
    }
    Ok(rows)
}

fn push_separator(column: usize, line: &mut String) {
    line.push_str(if column == 0 { " " } else { " | " });
}

fn push_aligned(text: &str, width: usize, column: &Column, is_last: bool, style: Option<&str>, line: &mut String) {
    let padding = column.width.saturating_sub(width);
    if column.is_numeric {
        line.extend(std::iter::repeat_n(' ', padding));
    }
    match style {
        Some(style) => line.extend([style, text, PLAIN]),
        None => line.push_str(text),
    }
    if !column.is_numeric && !is_last {
        line.extend(std::iter::repeat_n(' ', padding));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Int64Array, StringArray};

    use super::super::OutputFormat;
    use super::super::tests::{batch, print};
    use super::*;

    fn on_terminal(width: usize) -> Look {
        Look { color: false, width: Some(width) }
    }

    fn rows(names: Vec<&str>, numbers: Vec<i64>) -> RecordBatch {
        batch(vec![("name", Arc::new(StringArray::from(names))), ("n", Arc::new(Int64Array::from(numbers)))])
    }

    #[test]
    fn a_wider_cell_widens_its_column_from_there_on() {
        let mut out = Vec::new();
        let mut table = Table::new(Look::default());
        let first = rows(vec!["a"], vec![1]);
        table.begin(&first.schema(), &mut out).unwrap();
        table.batch(&first, &mut out).unwrap();
        assert!(out.is_empty() && table.holds_rows());
        table.settle(&mut out).unwrap();
        assert!(!table.holds_rows());
        table.batch(&rows(vec!["much longer"], vec![1_000]), &mut out).unwrap();
        table.batch(&rows(vec!["b"], vec![2]), &mut out).unwrap();
        table.finish(&mut out).unwrap();
        let golden = " name | n\n------+---\n a    | 1\n much longer | 1000\n b           |    2\n";
        assert_eq!(String::from_utf8(out).unwrap(), golden);
    }

    #[test]
    fn a_hundred_rows_start_the_table() {
        let mut out = Vec::new();
        let mut table = Table::new(Look::default());
        let many = rows(vec!["x"; 100], (0..100).collect());
        table.begin(&many.schema(), &mut out).unwrap();
        table.batch(&many.slice(0, 99), &mut out).unwrap();
        assert!(out.is_empty());
        table.batch(&many.slice(99, 1), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 102);
    }

    #[test]
    fn long_texts_are_cut_on_a_terminal_only() {
        let long = rows(vec!["The quick brown fox jumps over the lazy dog", "日本語日本語日本語日本語日本語"], vec![123_456, 7]);
        let golden = " name                   |      n\n\
                      ------------------------+--------\n \
                      The quick brown fox... | 123456\n \
                      日本語日本語日本語...  |      7\n";
        assert_eq!(print(OutputFormat::Table, on_terminal(33), std::slice::from_ref(&long)), golden);
        assert!(print(OutputFormat::Table, Look::default(), &[long]).contains("over the lazy dog"));
    }

    #[test]
    fn the_only_column_and_plans_are_not_cut() {
        let text = "a long text that goes beyond the twenty columns of this terminal";
        let single = batch(vec![("t", Arc::new(StringArray::from(vec![text])))]);
        assert!(print(OutputFormat::Table, on_terminal(20), &[single]).contains(text));
        let plan = format!("Filter\n  {text}");
        let plans = batch(vec![
            ("plan_type", Arc::new(StringArray::from(vec!["logical_plan"]))),
            ("plan", Arc::new(StringArray::from(vec![plan.as_str()]))),
        ]);
        assert!(print(OutputFormat::Table, on_terminal(40), &[plans]).contains(text));
    }

    #[test]
    fn color_marks_headers_and_nulls_without_moving_them() {
        let rows = batch(vec![("a", Arc::new(Int64Array::from(vec![Some(12_345), None])))]);
        let text = print(OutputFormat::Table, Look { color: true, width: Some(80) }, &[rows]);
        assert_eq!(text, "     \x1b[1ma\x1b[0m\n-------\n 12345\n  \x1b[2mNULL\x1b[0m\n");
    }
}
