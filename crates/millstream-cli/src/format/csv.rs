//! CSV after RFC 4180, with `\n` line ends as Unix tools expect. NULL is an empty field, the empty string `""`.

use std::io::{self, Write};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::RowFormat;
use super::cell::Cells;

/// The CSV printer.
#[derive(Debug, Default)]
pub(crate) struct Csv {
    line: String,
    cell: String,
}

impl RowFormat for Csv {
    fn begin(&mut self, schema: &SchemaRef, out: &mut dyn Write) -> io::Result<()> {
        self.line.clear();
        for (idx, field) in schema.fields().iter().enumerate() {
            push_field(idx, field.name(), &mut self.line);
        }
        self.line.push('\n');
        out.write_all(self.line.as_bytes())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
        let cells = Cells::new(batch)?;
        for row in 0..cells.rows() {
            self.line.clear();
            for column in 0..cells.columns() {
                if cells.is_null(column, row) {
                    push_separator(column, &mut self.line);
                    continue;
                }
                self.cell.clear();
                cells.append(column, row, &mut self.cell)?;
                push_field(column, &self.cell, &mut self.line);
            }
            self.line.push('\n');
            out.write_all(self.line.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

fn push_separator(column: usize, line: &mut String) {
    if column > 0 {
        line.push(',');
    }
}

fn push_field(column: usize, text: &str, line: &mut String) {
    push_separator(column, line);
    if text.is_empty() || text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        line.push('"');
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::StringArray;

    use super::super::tests::{batch, print};
    use super::super::{Look, OutputFormat};

    #[test]
    fn null_and_the_empty_string_differ() {
        let rows = batch(vec![("a", Arc::new(StringArray::from(vec![Some(""), None, Some("x\ry")])))]);
        assert_eq!(print(OutputFormat::Csv, Look::default(), &[rows]), "a\n\"\"\n\n\"x\ry\"\n");
    }
}
