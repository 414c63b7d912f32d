//! `'connector' = 'prepared', 'name' = '…'`: sources that the program has made, registered as anyone can register a connector.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use millstream::Clock;
use millstream::connectors::options::{ConfigReader, OptionSpec, OptionSpecs};
use millstream::connectors::{Connector, ConnectorError, Options, Role, Source};

const OPTIONS: OptionSpecs = &[&[OptionSpec::new("name", "events", "which of the prepared sources")]];

/// Sources by name.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    sources: BTreeMap<String, Arc<dyn Source>>,
}

impl Prepared {
    /// With one more source.
    #[must_use]
    pub fn with(mut self, name: &str, source: Arc<dyn Source>) -> Self {
        self.sources.insert(name.to_owned(), source);
        self
    }

    fn find(&self, options: Options) -> millstream::connectors::Result<&Arc<dyn Source>> {
        let config = ConfigReader::new(self.name(), options, OPTIONS)?;
        let name = config.required("name", "events")?;
        self.sources.get(name).ok_or_else(|| ConnectorError::config(format!("no source '{name}' was prepared")))
    }
}

impl Connector for Prepared {
    fn name(&self) -> &str {
        "prepared"
    }

    fn about(&self) -> &str {
        "sources made by the benchmark"
    }

    fn role(&self) -> Role {
        Role::Source
    }

    fn options(&self) -> OptionSpecs {
        OPTIONS
    }

    fn infer_schema(&self, options: Options) -> millstream::connectors::Result<Option<SchemaRef>> {
        Ok(Some(self.find(options)?.schema()))
    }

    fn source(&self, options: Options, _: SchemaRef, _: Arc<dyn Clock>) -> millstream::connectors::Result<Arc<dyn Source>> {
        Ok(Arc::clone(self.find(options)?))
    }
}
