//! One line per column, for wide rows: `-[ RECORD 1 ]---`, then `name | value`.

use std::io::{self, Write};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use unicode_width::UnicodeWidthStr;

use super::cell::{Cells, NULL, append_printable};
use super::{BOLD, DIM, Look, PLAIN, RowFormat};

/// The rule above a record reaches this far beyond the names.
const RULE_BEYOND_NAMES: usize = 25;

/// The printer of the vertical format.
#[derive(Debug)]
pub(crate) struct Vertical {
    look: Look,
    /// Padded to one width.
    names: Vec<String>,
    rule_width: usize,
    records: u64,
    text: String,
    cell: String,
}

impl Vertical {
    pub(crate) fn new(look: Look) -> Self {
        Self { look, names: Vec::new(), rule_width: 0, records: 0, text: String::new(), cell: String::new() }
    }

    fn push_rule(&mut self) {
        self.records += 1;
        let rule = format!("-[ RECORD {} ]", self.records);
        let rule = format!("{rule:-<width$}", width = self.rule_width);
        match self.look.color {
            true => self.text.extend([BOLD, &rule, PLAIN, "\n"]),
            false => self.text.extend([&rule, "\n"]),
        }
    }

    fn push_value(&mut self, column: usize) {
        let indent = self.names[column].width();
        self.text.extend([&self.names[column], " | "]);
        for (idx, line) in self.cell.split('\n').enumerate() {
            if idx > 0 {
                self.text.push_str(&format!("{:indent$} | ", ""));
            }
            append_printable(line, false, &mut self.text);
            self.text.push('\n');
        }
    }

    fn push_null(&mut self, column: usize) {
        self.text.extend([&self.names[column], " | "]);
        match self.look.color {
            true => self.text.extend([DIM, NULL, PLAIN, "\n"]),
            false => self.text.extend([NULL, "\n"]),
        }
    }
}

impl RowFormat for Vertical {
    fn begin(&mut self, schema: &SchemaRef, _out: &mut dyn Write) -> io::Result<()> {
        let mut names = Vec::new();
        for field in schema.fields() {
            let mut name = String::new();
            append_printable(field.name(), false, &mut name);
            names.push(name);
        }
        let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
        for name in &mut names {
            name.extend(std::iter::repeat_n(' ', width - name.width()));
        }
        let rule_width = width + RULE_BEYOND_NAMES;
        self.rule_width = self.look.width.map_or(rule_width, |terminal| rule_width.min(terminal));
        self.names = names;
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
        let cells = Cells::new(batch)?;
        for row in 0..cells.rows() {
            self.text.clear();
            self.push_rule();
            for column in 0..cells.columns() {
                if cells.is_null(column, row) {
                    self.push_null(column);
                    continue;
                }
                self.cell.clear();
                cells.append(column, row, &mut self.cell)?;
                self.push_value(column);
            }
            out.write_all(self.text.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
