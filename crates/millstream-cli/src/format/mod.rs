//! Result rows as text: one file per output format.
//!
//! Every format streams: a row is printed when it comes, not when the query ends. The table alone may hold the first rows back
//! for a moment, to choose its column widths; the caller says by [`RowFormat::settle`] when that moment is over.

pub(crate) mod cell;
mod csv;
mod html;
mod interval;
mod json;
mod markdown;
mod table;
mod vertical;

use std::io::{self, Write};

use clap::ValueEnum;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

/// The output formats, as `--format` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Aligned columns
    Table,
    /// RFC 4180 with one header line; NULL is empty, the empty string ""
    Csv,
    /// One array of objects
    Json,
    /// One object per line
    Ndjson,
    /// One line per column
    Vertical,
    /// A Markdown table
    Markdown,
    /// An HTML table; NULL is an empty cell
    Html,
}

/// What the place of the output can show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Bold headers and dim NULLs.
    pub(crate) color: bool,
    /// Columns of the terminal; none in a file or pipe, where nothing is cut.
    pub(crate) width: Option<usize>,
}

/// Prints the rows of one result. Calls come in the order `begin`, any number of `batch` and `settle`, `finish`.
pub(crate) trait RowFormat {
    /// The result has these columns.
    fn begin(&mut self, schema: &SchemaRef, out: &mut dyn Write) -> io::Result<()>;

    /// Rows have come.
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()>;

    /// True while rows are held back that [`settle`](Self::settle) would print.
    fn holds_rows(&self) -> bool {
        false
    }

    /// No more rows have come for a while: print what is held back.
    fn settle(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// The result is complete, or was interrupted: leave well-formed text behind.
    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

impl OutputFormat {
    /// A printer for one result.
    pub(crate) fn printer(self, look: Look) -> Box<dyn RowFormat> {
        match self {
            Self::Table => Box::new(table::Table::new(look)),
            Self::Csv => Box::new(csv::Csv::default()),
            Self::Json => Box::new(json::JsonRows::new(json::Framing::Array)),
            Self::Ndjson => Box::new(json::JsonRows::new(json::Framing::Lines)),
            Self::Vertical => Box::new(vertical::Vertical::new(look)),
            Self::Markdown => Box::new(markdown::Markdown::default()),
            Self::Html => Box::new(html::Html::default()),
        }
    }
}

pub(crate) use table::{Fit, fit};

pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const DIM: &str = "\x1b[2m";
pub(crate) const PLAIN: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    //! One result in all formats against golden texts.

    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};

    use super::*;

    /// What `format` prints for these batches.
    pub(crate) fn print(format: OutputFormat, look: Look, batches: &[RecordBatch]) -> String {
        let mut out = Vec::new();
        let mut printer = format.printer(look);
        printer.begin(&batches[0].schema(), &mut out).unwrap();
        for batch in batches {
            printer.batch(batch, &mut out).unwrap();
        }
        printer.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
    }

    fn sales() -> Vec<RecordBatch> {
        let first = batch(vec![
            ("window_end", Arc::new(TimestampMillisecondArray::from(vec![1_704_067_210_000, 1_704_067_220_000]))),
            ("item", Arc::new(StringArray::from(vec![Some("tea, \"green\""), None]))),
            ("n", Arc::new(Int64Array::from(vec![Some(5), Some(-12)]))),
            ("avg|x", Arc::new(Float64Array::from(vec![Some(0.5), None]))),
        ]);
        let second = batch(vec![
            ("window_end", Arc::new(TimestampMillisecondArray::from(vec![None, Some(1_704_067_230_250)]))),
            ("item", Arc::new(StringArray::from(vec!["日本茶", "two\nlines|\t"]))),
            ("n", Arc::new(Int64Array::from(vec![1_000_000, 0]))),
            ("avg|x", Arc::new(Float64Array::from(vec![1e21, 3.0]))),
        ]);
        vec![first, second]
    }

    fn check(format: OutputFormat, golden: &str) {
        let text = print(format, Look::default(), &sales());
        assert_eq!(text, golden, "\n--- {format:?} printed:\n{text}");
    }

    #[test]
    fn csv() {
        check(
            OutputFormat::Csv,
            "window_end,item,n,avg|x\n\
             2024-01-01 00:00:10,\"tea, \"\"green\"\"\",5,0.5\n\
             2024-01-01 00:00:20,,-12,\n\
             ,日本茶,1000000,1e21\n\
             2024-01-01 00:00:30.250,\"two\nlines|\t\",0,3.0\n",
        );
    }

    #[test]
    fn json() {
        check(
            OutputFormat::Json,
            "[{\"window_end\":\"2024-01-01 00:00:10\",\"item\":\"tea, \\\"green\\\"\",\"n\":5,\"avg|x\":0.5}\n\
             ,{\"window_end\":\"2024-01-01 00:00:20\",\"item\":null,\"n\":-12,\"avg|x\":null}\n\
             ,{\"window_end\":null,\"item\":\"日本茶\",\"n\":1000000,\"avg|x\":1.0e21}\n\
             ,{\"window_end\":\"2024-01-01 00:00:30.250\",\"item\":\"two\\nlines|\\t\",\"n\":0,\"avg|x\":3.0}\n\
             ]\n",
        );
    }

    #[test]
    fn ndjson() {
        check(
            OutputFormat::Ndjson,
            "{\"window_end\":\"2024-01-01 00:00:10\",\"item\":\"tea, \\\"green\\\"\",\"n\":5,\"avg|x\":0.5}\n\
             {\"window_end\":\"2024-01-01 00:00:20\",\"item\":null,\"n\":-12,\"avg|x\":null}\n\
             {\"window_end\":null,\"item\":\"日本茶\",\"n\":1000000,\"avg|x\":1.0e21}\n\
             {\"window_end\":\"2024-01-01 00:00:30.250\",\"item\":\"two\\nlines|\\t\",\"n\":0,\"avg|x\":3.0}\n",
        );
    }

    #[test]
    fn vertical() {
        check(
            OutputFormat::Vertical,
            "-[ RECORD 1 ]----------------------\n\
             window_end | 2024-01-01 00:00:10\n\
             item       | tea, \"green\"\n\
             n          | 5\n\
             avg|x      | 0.5\n\
             -[ RECORD 2 ]----------------------\n\
             window_end | 2024-01-01 00:00:20\n\
             item       | NULL\n\
             n          | -12\n\
             avg|x      | NULL\n\
             -[ RECORD 3 ]----------------------\n\
             window_end | NULL\n\
             item       | 日本茶\n\
             n          | 1000000\n\
             avg|x      | 1e21\n\
             -[ RECORD 4 ]----------------------\n\
             window_end | 2024-01-01 00:00:30.250\n\
             item       | two\n           \
                        | lines|\\t\n\
             n          | 0\n\
             avg|x      | 3.0\n",
        );
    }

    #[test]
    fn markdown() {
        check(
            OutputFormat::Markdown,
            "| window_end | item | n | avg\\|x |\n\
             | --- | --- | ---: | ---: |\n\
             | 2024-01-01 00:00:10 | tea, \"green\" | 5 | 0.5 |\n\
             | 2024-01-01 00:00:20 | NULL | -12 | NULL |\n\
             | NULL | 日本茶 | 1000000 | 1e21 |\n\
             | 2024-01-01 00:00:30.250 | two<br>lines\\|\\t | 0 | 3.0 |\n",
        );
    }

    #[test]
    fn table() {
        check(
            OutputFormat::Table,
            " window_end              | item         |       n | avg|x\n\
             -------------------------+--------------+---------+-------\n \
              2024-01-01 00:00:10     | tea, \"green\" |       5 |   0.5\n \
              2024-01-01 00:00:20     | NULL         |     -12 |  NULL\n \
              NULL                    | 日本茶       | 1000000 |  1e21\n \
              2024-01-01 00:00:30.250 | two          |       0 |   3.0\n                         \
                                      | lines|\\t     |         |\n",
        );
    }

    #[test]
    fn an_empty_result_is_well_formed() {
        let empty = [sales()[0].slice(0, 0)];
        let cases = [
            (OutputFormat::Csv, "window_end,item,n,avg|x\n"),
            (OutputFormat::Json, "[]\n"),
            (OutputFormat::Ndjson, ""),
            (OutputFormat::Vertical, ""),
            (OutputFormat::Markdown, "| window_end | item | n | avg\\|x |\n| --- | --- | ---: | ---: |\n"),
            (OutputFormat::Table, " window_end | item | n | avg|x\n------------+------+---+-------\n"),
        ];
        for (format, golden) in cases {
            assert_eq!(print(format, Look::default(), &empty), golden, "{format:?}");
        }
    }
}
