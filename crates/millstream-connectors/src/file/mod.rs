//! `'connector' = 'file'`: files of JSON lines, CSV, Parquet or raw lines, read once or followed; written exactly once.

pub mod config;
mod infer;
mod lane;
mod lines_file;
mod listing;
mod open_file;
mod position;
mod rows_file;
mod sink;
mod source;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use millstream_time::Clock;

pub use config::FileConfig;
pub use infer::{TextHead, infer_head};
pub use sink::FileSink;
pub use source::FileSource;

use crate::error::Result;
use crate::options::{OptionSpecs, Options};
use crate::registry::{Connector, Role};
use crate::sink::Sink;
use crate::source::Source;

/// Makes file sources and sinks.
#[derive(Debug)]
pub struct FileConnector;

impl Connector for FileConnector {
    fn name(&self) -> &str {
        "file"
    }

    fn synonyms(&self) -> &[&str] {
        &["filesystem", "files"]
    }

    fn about(&self) -> &str {
        "JSON, CSV, Parquet or text files: a file, a folder or a pattern"
    }

    fn role(&self) -> Role {
        Role::SourceAndSink
    }

    fn options(&self) -> OptionSpecs {
        config::OPTIONS
    }

    fn infer_schema(&self, options: Options) -> Result<Option<SchemaRef>> {
        let config = FileConfig::parse(options)?;
        let files = listing::list(&config)?;
        let first = files.first().ok_or_else(|| listing::nothing_found(&config))?;
        infer::infer_file(&config, &first.path).map(Some)
    }

    fn source(&self, options: Options, columns: SchemaRef, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(FileSource::new(FileConfig::parse(options)?, columns, clock)))
    }

    fn sink(&self, options: Options, schema: SchemaRef, _clock: Arc<dyn Clock>) -> Result<Box<dyn Sink>> {
        Ok(Box::new(FileSink::new(FileConfig::parse(options)?, schema)?))
    }
}
