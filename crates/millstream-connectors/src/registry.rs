//! Which connectors there are, by name.
//!
//! One connector is one file or folder with a [`Connector`], and one line in [`ConnectorRegistry::default`]. Programs
//! [`register`](ConnectorRegistry::register) their own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use millstream_time::Clock;

use crate::error::{ConnectorError, Result};
use crate::options::{OptionSpecs, Options, did_you_mean};
use crate::sink::Sink;
use crate::source::Source;

/// What a connector can be used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Only read.
    Source,
    /// Only written.
    Sink,
    /// Both.
    SourceAndSink,
}

impl Role {
    /// Whether it can be read.
    pub fn is_source(self) -> bool {
        self != Self::Sink
    }

    /// Whether it can be written.
    pub fn is_sink(self) -> bool {
        self != Self::Source
    }
}

/// Makes sources and sinks of one kind from the options of a table. The option `connector` is not among them any more.
pub trait Connector: fmt::Debug + Send + Sync {
    /// Its name in `WITH ('connector' = …)`.
    fn name(&self) -> &str;

    /// Other names for it.
    fn synonyms(&self) -> &[&str] {
        &[]
    }

    /// What it is, in one line.
    fn about(&self) -> &str;

    /// Source, sink or both.
    fn role(&self) -> Role;

    /// Every option it accepts.
    fn options(&self) -> OptionSpecs;

    /// The columns of a table that declares none, if the connector knows (generators) or can find out (files).
    fn infer_schema(&self, options: Options) -> Result<Option<SchemaRef>> {
        let _ = options;
        Ok(None)
    }

    /// Makes a source. `columns` are the declared physical columns.
    fn source(&self, options: Options, columns: SchemaRef, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>> {
        let _ = (options, columns, clock);
        Err(ConnectorError::config(format!("connector '{}' cannot be read: it is a sink", self.name())))
    }

    /// Makes a sink for rows of `schema`.
    fn sink(&self, options: Options, schema: SchemaRef, clock: Arc<dyn Clock>) -> Result<Box<dyn Sink>> {
        let _ = (options, schema, clock);
        Err(ConnectorError::config(format!("connector '{}' cannot be written: it is a source", self.name())))
    }
}

/// All connectors.
#[derive(Clone, Debug)]
pub struct ConnectorRegistry {
    connectors: BTreeMap<String, Arc<dyn Connector>>,
}

impl Default for ConnectorRegistry {
    /// The built-in ones.
    fn default() -> Self {
        let mut registry = Self::empty();
        registry.register(Arc::new(crate::blackhole::BlackholeConnector));
        registry.register(Arc::new(crate::datagen::DatagenConnector));
        registry.register(Arc::new(crate::file::FileConnector));
        registry.register(Arc::new(crate::nexmark::NexmarkConnector));
        registry.register(Arc::new(crate::socket::SocketConnector));
        registry.register(Arc::new(crate::stdout::StdoutConnector));
        registry
    }
}

impl ConnectorRegistry {
    /// Without any.
    pub fn empty() -> Self {
        Self { connectors: BTreeMap::new() }
    }

    /// Adds a connector; one of the same name is replaced.
    pub fn register(&mut self, connector: Arc<dyn Connector>) {
        self.connectors.insert(connector.name().to_owned(), connector);
    }

    /// All connectors by name.
    pub fn connectors(&self) -> impl Iterator<Item = &Arc<dyn Connector>> {
        self.connectors.values()
    }

    /// The connector with this name or synonym.
    pub fn connector(&self, name: &str) -> Result<&Arc<dyn Connector>> {
        let wanted = name.trim().to_ascii_lowercase();
        let by_synonym = || self.connectors.values().find(|connector| connector.synonyms().contains(&wanted.as_str()));
        self.connectors.get(&wanted).or_else(by_synonym).ok_or_else(|| self.unknown(name))
    }

    /// Whether the connector that `options` name can be a source, a sink or both.
    pub fn role(&self, options: &Options) -> Result<Role> {
        Ok(self.connector(connector_name(options)?)?.role())
    }

    /// The columns of a table that declares none.
    pub fn infer_schema(&self, mut options: Options) -> Result<Option<SchemaRef>> {
        let connector = self.taken_from(&mut options)?;
        connector.infer_schema(options)
    }

    /// A source as `options` say, with the declared physical columns.
    pub fn source(&self, mut options: Options, columns: SchemaRef, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>> {
        let connector = self.taken_from(&mut options)?;
        if !connector.role().is_source() {
            return Err(self.wrong_role(connector.name(), "cannot be read: it is a sink", "sources", Role::is_source));
        }
        connector.source(options, columns, clock)
    }

    /// A sink as `options` say, for rows of `schema`.
    pub fn sink(&self, mut options: Options, schema: SchemaRef, clock: Arc<dyn Clock>) -> Result<Box<dyn Sink>> {
        let connector = self.taken_from(&mut options)?;
        if !connector.role().is_sink() {
            return Err(self.wrong_role(connector.name(), "cannot be written: it is a source", "sinks", Role::is_sink));
        }
        connector.sink(options, schema, clock)
    }

    fn taken_from(&self, options: &mut Options) -> Result<&Arc<dyn Connector>> {
        let connector = self.connector(connector_name(options)?)?;
        options.take("connector");
        Ok(connector)
    }

    fn unknown(&self, name: &str) -> ConnectorError {
        let names: Vec<&str> = self.connectors.keys().map(String::as_str).collect();
        let all =
            self.connectors.values().flat_map(|connector| std::iter::once(connector.name()).chain(connector.synonyms().iter().copied()));
        let suggestion = did_you_mean(name, all).map(|near| format!("did you mean '{near}'? ")).unwrap_or_default();
        ConnectorError::config(format!("there is no connector '{name}' (hint: {suggestion}there are {})", names.join(", ")))
    }

    fn wrong_role(&self, name: &str, fact: &str, kind: &str, fits: impl Fn(Role) -> bool) -> ConnectorError {
        let names: Vec<&str> = self.connectors.values().filter(|other| fits(other.role())).map(|other| other.name()).collect();
        ConnectorError::config(format!("connector '{name}' {fact} (hint: {kind} are {})", names.join(", ")))
    }
}

fn connector_name(options: &Options) -> Result<&str> {
    options.get("connector").ok_or_else(|| {
        ConnectorError::config("option 'connector' is missing (hint: for example 'connector' = 'file', 'path' = 'bids.json')".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_synonyms_and_suggestions() {
        let registry = ConnectorRegistry::default();
        assert_eq!(registry.connector("filesystem").unwrap().name(), "file");
        assert_eq!(registry.connector("PRINT").unwrap().name(), "stdout");
        let error = registry.connector("nexmrk").unwrap_err().to_string();
        assert!(error.starts_with("there is no connector 'nexmrk' (hint: did you mean 'nexmark'? there are "), "{error}");
        let error = registry.role(&Options::default()).unwrap_err().to_string();
        assert!(error.contains("'connector' = 'file'"), "{error}");
    }

    #[test]
    fn no_two_connectors_share_a_name_and_no_two_options() {
        let registry = ConnectorRegistry::default();
        let mut names = std::collections::BTreeSet::new();
        for connector in registry.connectors() {
            for name in std::iter::once(connector.name()).chain(connector.synonyms().iter().copied()) {
                assert!(names.insert(name.to_owned()), "{name}");
            }
            let mut options = std::collections::BTreeSet::new();
            for spec in connector.options().iter().copied().flatten() {
                for name in std::iter::once(spec.name).chain(spec.synonyms.iter().copied()) {
                    assert!(options.insert(name), "{}: {name}", connector.name());
                }
                assert!(!spec.help.is_empty() && !spec.example.is_empty(), "{}", spec.name);
            }
        }
    }
}
