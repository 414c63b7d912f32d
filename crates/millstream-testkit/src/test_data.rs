//! The connector `testdata`: what a test put under a name is read and written through SQL.
//!
//! `CREATE TABLE s (…) WITH ('connector' = 'testdata', 'data' = 'bids')`

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millstream_connectors::error::{ConnectorError, Result};
use millstream_connectors::memory::{MemoryOutput, MemorySource};
use millstream_connectors::options::{OptionSpec, OptionSpecs, Options};
use millstream_connectors::registry::{Connector, Role};
use millstream_connectors::sink::Sink;
use millstream_connectors::source::Source;
use millstream_time::Clock;
use parking_lot::Mutex;

/// Sources and outputs by name. Cheap to share; what is put later is seen by tables made later.
#[derive(Debug, Default)]
pub struct TestData {
    sources: Mutex<BTreeMap<String, Arc<dyn Source>>>,
    outputs: Mutex<BTreeMap<String, MemoryOutput>>,
}

const OPTIONS: OptionSpecs = &[&[OptionSpec::new("data", "bids", "name under which the test put its rows")]];

impl TestData {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `lanes`, each a list of batches, under `name`.
    pub fn put(&self, name: &str, schema: SchemaRef, lanes: Vec<Vec<RecordBatch>>) {
        self.put_source(name, Arc::new(MemorySource::new(schema, lanes)));
    }

    /// Serves a source of the test's own under `name`.
    pub fn put_source(&self, name: &str, source: Arc<dyn Source>) {
        self.sources.lock().insert(name.to_owned(), source);
    }

    /// What was written and published under `name`.
    pub fn output(&self, name: &str) -> MemoryOutput {
        self.outputs.lock().entry(name.to_owned()).or_default().clone()
    }
}

fn data_name(mut options: Options) -> Result<String> {
    options.take("data").ok_or_else(|| ConnectorError::config("testdata needs the option 'data'"))
}

impl Connector for TestData {
    fn name(&self) -> &str {
        "testdata"
    }

    fn about(&self) -> &str {
        "rows that a test put there"
    }

    fn role(&self) -> Role {
        Role::SourceAndSink
    }

    fn options(&self) -> OptionSpecs {
        OPTIONS
    }

    fn infer_schema(&self, options: Options) -> Result<Option<SchemaRef>> {
        let name = data_name(options)?;
        Ok(self.sources.lock().get(&name).map(|source| source.schema()))
    }

    fn source(&self, options: Options, columns: SchemaRef, _: Arc<dyn Clock>) -> Result<Arc<dyn Source>> {
        let name = data_name(options)?;
        if let Some(source) = self.sources.lock().get(&name) {
            return Ok(Arc::clone(source));
        }
        // A table that is only written needs no rows.
        Ok(Arc::new(MemorySource::new(columns, Vec::new())))
    }

    fn sink(&self, options: Options, _: SchemaRef, _: Arc<dyn Clock>) -> Result<Box<dyn Sink>> {
        Ok(Box::new(self.output(&data_name(options)?).sink()))
    }
}
