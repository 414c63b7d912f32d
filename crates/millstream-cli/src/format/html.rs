//! An HTML table.

use std::io::{self, Write};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::RowFormat;
use super::cell::{Cells, append_printable, is_numeric};

/// The printer of HTML.
#[derive(Debug, Default)]
pub(crate) struct Html {
    numeric: Vec<bool>,
    text: String,
    cell: String,
}

impl Html {
    fn push_escaped(&mut self) {
        let mut printable = String::new();
        append_printable(&self.cell, true, &mut printable);
        for character in printable.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\n' => self.text.push_str("<br>"),
                other => self.text.push(other),
            }
        }
    }
}

impl RowFormat for Html {
    fn begin(&mut self, schema: &SchemaRef, out: &mut dyn Write) -> io::Result<()> {
        self.text.push_str("<table>\n<thead>\n<tr>");
        for field in schema.fields() {
            self.numeric.push(is_numeric(field.data_type()));
            self.cell.clone_from(field.name());
            self.text.push_str("<th>");
            self.push_escaped();
            self.text.push_str("</th>");
        }
        self.text.push_str("</tr>\n</thead>\n<tbody>\n");
        out.write_all(std::mem::take(&mut self.text).as_bytes())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
        let cells = Cells::new(batch)?;
        for row in 0..cells.rows() {
            self.text.clear();
            self.text.push_str("<tr>");
            for column in 0..cells.columns() {
                self.text.push_str(if self.numeric[column] { "<td align=\"right\">" } else { "<td>" });
                if !cells.is_null(column, row) {
                    self.cell.clear();
                    cells.append(column, row, &mut self.cell)?;
                    self.push_escaped();
                }
                self.text.push_str("</td>");
            }
            self.text.push_str("</tr>\n");
            out.write_all(self.text.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"</tbody>\n</table>\n")
    }
}
