//! A Markdown table, for issues and notes. Cells are not padded: Markdown does not need it and rows can stream.

use std::io::{self, Write};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::RowFormat;
use super::cell::{Cells, NULL, append_printable, is_numeric};

/// The Markdown printer.
#[derive(Debug, Default)]
pub(crate) struct Markdown {
    line: String,
    cell: String,
}

impl RowFormat for Markdown {
    fn begin(&mut self, schema: &SchemaRef, out: &mut dyn Write) -> io::Result<()> {
        self.line.clear();
        for field in schema.fields() {
            push_cell(field.name(), &mut self.line);
        }
        self.line.push_str("|\n");
        for field in schema.fields() {
            self.line.push_str(if is_numeric(field.data_type()) { "| ---: " } else { "| --- " });
        }
        self.line.push_str("|\n");
        out.write_all(self.line.as_bytes())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
        let cells = Cells::new(batch)?;
        for row in 0..cells.rows() {
            self.line.clear();
            for column in 0..cells.columns() {
                self.cell.clear();
                match cells.is_null(column, row) {
                    true => self.cell.push_str(NULL),
                    false => cells.append(column, row, &mut self.cell)?,
                }
                push_cell(&self.cell, &mut self.line);
            }
            self.line.push_str("|\n");
            out.write_all(self.line.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

fn push_cell(text: &str, line: &mut String) {
    line.push_str("| ");
    for (idx, part) in text.replace('|', "\\|").split('\n').enumerate() {
        if idx > 0 {
            line.push_str("<br>");
        }
        append_printable(part, false, line);
    }
    line.push(' ');
}
