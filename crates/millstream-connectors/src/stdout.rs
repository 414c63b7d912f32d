//! `'connector' = 'stdout'` (Flink: `print`): rows as lines on standard output, at once.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_time::Clock;
use serde_json::json;

use crate::error::{ConnectorError, Result};
use crate::format::encode::{LineEncoder, PrintEncoder, line_encoder};
use crate::format::{FORMAT_OPTIONS, Format, LineOptions};
use crate::options::{ConfigReader, OptionSpec, OptionSpecs, Options};
use crate::registry::{Connector, Role};
use crate::sink::{Delivery, Sealed, Sink};

const OPTIONS: OptionSpecs = &[
    &[
        OptionSpec::new("standard-error", "true", "write to standard error instead; default false"),
        OptionSpec::new("print-identifier", "out", "start each row with 'out> '; rows are then in the print form"),
        OptionSpec::new("delivery", "after_checkpoint", "write rows when their checkpoint exists, instead of at once"),
        OptionSpec::new("style", "print", "print: rows as '+I[1, one]' instead of a format; default: as 'format' says, which is json"),
    ],
    FORMAT_OPTIONS,
];

/// Makes sinks to standard output.
#[derive(Debug)]
pub struct StdoutConnector;

impl Connector for StdoutConnector {
    fn name(&self) -> &str {
        "stdout"
    }

    fn synonyms(&self) -> &[&str] {
        &["print"]
    }

    fn about(&self) -> &str {
        "rows as lines on standard output"
    }

    fn role(&self) -> Role {
        Role::Sink
    }

    fn options(&self) -> OptionSpecs {
        OPTIONS
    }

    fn sink(&self, mut options: Options, schema: SchemaRef, _clock: Arc<dyn Clock>) -> Result<Box<dyn Sink>> {
        // 'print' is no format of files, so it is not among their names.
        if options.get("format").is_some_and(|format| format.eq_ignore_ascii_case("print")) {
            options.take("format");
            options.insert("style", "print");
        }
        let config = ConfigReader::new(self.name(), options, OPTIONS)?;
        let lines = LineOptions::from_config(&config)?;
        let identifier = config.text("print-identifier");
        let encoder: Box<dyn LineEncoder> = match (config.choice("style", &["print"])?, identifier, Format::from_config(&config)?) {
            (Some(_), _, _) | (_, Some(_), None) => {
                Box::new(PrintEncoder { prefix: identifier.map(|name| format!("{name}> ")).unwrap_or_default() })
            }
            (_, _, format) => line_encoder(format.unwrap_or(Format::Json), &lines, &schema)?,
        };
        let to_error = config.bool("standard-error")?.unwrap_or(false);
        let out: Box<dyn Write + Send> = if to_error { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        let sink = WriterSink::new(out, encoder);
        Ok(match config.choice("delivery", &["at_once", "after_checkpoint"])? {
            Some("after_checkpoint") => Box::new(AfterCheckpoint::new(sink)),
            _ => Box::new(sink),
        })
    }
}

/// Writes lines to anything, flushed after every write.
pub struct WriterSink {
    out: Box<dyn Write + Send>,
    encoder: Box<dyn LineEncoder>,
    bytes: Vec<u8>,
    header_written: bool,
    rows: u64,
}

impl fmt::Debug for WriterSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterSink").field("encoder", &self.encoder).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl WriterSink {
    /// Onto `out`.
    pub fn new(out: Box<dyn Write + Send>, encoder: Box<dyn LineEncoder>) -> Self {
        Self { out, encoder, bytes: Vec::new(), header_written: false, rows: 0 }
    }
}

#[async_trait]
impl Sink for WriterSink {
    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    async fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        self.bytes.clear();
        if !self.header_written {
            self.bytes = self.encoder.header()?;
        }
        for batch in batches {
            self.encoder.encode(batch, &mut self.bytes)?;
            self.rows += batch.num_rows() as u64;
        }
        self.out.write_all(&self.bytes).and_then(|()| self.out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => ConnectorError::closed("the reader of standard output has gone"),
            _ => ConnectorError::io("cannot write to standard output", error),
        })?;
        self.header_written = true;
        Ok(())
    }

    async fn seal(&mut self, checkpoint: u64) -> Result<Sealed> {
        Ok(Sealed::new(checkpoint, std::mem::take(&mut self.rows), json!({})))
    }

    async fn publish(&mut self, _sealed: &Sealed) -> Result<()> {
        Ok(())
    }

    async fn discard(&mut self) -> Result<()> {
        self.rows = 0;
        Ok(())
    }
}

/// Holds rows back until their checkpoint exists, then writes them to a [`WriterSink`].
#[derive(Debug)]
pub struct AfterCheckpoint {
    sink: WriterSink,
    held: Vec<RecordBatch>,
}

impl AfterCheckpoint {
    /// In front of `sink`.
    pub fn new(sink: WriterSink) -> Self {
        Self { sink, held: Vec::new() }
    }
}

#[async_trait]
impl Sink for AfterCheckpoint {
    fn delivery(&self) -> Delivery {
        Delivery::AfterCheckpoint
    }

    async fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        self.held.extend(batches.iter().filter(|batch| batch.num_rows() > 0).cloned());
        Ok(())
    }

    async fn seal(&mut self, checkpoint: u64) -> Result<Sealed> {
        Ok(Sealed::staged(checkpoint, std::mem::take(&mut self.held)))
    }

    async fn publish(&mut self, sealed: &Sealed) -> Result<()> {
        if sealed.staged.is_empty() { Ok(()) } else { self.sink.write(&sealed.staged).await }
    }

    async fn discard(&mut self) -> Result<()> {
        self.held.clear();
        Ok(())
    }
}
