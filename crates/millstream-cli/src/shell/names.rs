//! What exists, for completion and colours: a picture of the catalog that is renewed before each prompt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream::connectors::Connector;

/// Tables whose columns are looked up; with more, those further down the alphabet complete without columns.
const DESCRIBED_TABLES_MAX: usize = 500;

/// The word for a view whose rows are kept.
pub(crate) const MATERIALIZED_VIEW: &str = "materialized view";

/// A connector with its options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConnectorNames {
    pub(crate) name: String,
    pub(crate) about: String,
    /// Name, help and example.
    pub(crate) options: Vec<(String, String, String)>,
}

/// Names by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Tables and views with the word for each.
    pub(crate) tables: BTreeMap<String, String>,
    /// Columns of each table, with their types.
    pub(crate) columns: BTreeMap<String, Vec<(String, String)>>,
    pub(crate) functions: Vec<(String, String)>,
    pub(crate) models: Vec<String>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) pipelines: Vec<String>,
    pub(crate) connectors: Vec<ConnectorNames>,
}

/// Shared by the shell, which renews them, and the line editor, which reads them.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedNames(Arc<Mutex<Names>>);

impl SharedNames {
    pub(crate) fn get(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    /// The tables whose columns are to be looked up one by one.
    pub(crate) fn tables_to_describe(&self) -> Vec<String> {
        self.tables.keys().take(DESCRIBED_TABLES_MAX).cloned().collect()
    }
}

/// Names of tables and views, from the rows of `SHOW TABLES` and `SHOW VIEWS`.
pub(crate) fn described(tables: Vec<Vec<String>>, views: Vec<Vec<String>>) -> Names {
    let table = |row: Vec<String>| Some((row.first()?.clone(), "table".to_owned()));
    let view = |row: Vec<String>| {
        let is_materialized = row.get(1).is_some_and(|kind| kind == "materialized");
        Some((row.first()?.clone(), if is_materialized { MATERIALIZED_VIEW } else { "view" }.to_owned()))
    };
    let tables = tables.into_iter().filter_map(table).chain(views.into_iter().filter_map(view)).collect();
    Names { tables, ..Names::default() }
}

/// The connectors with their options.
pub(crate) fn connectors_of(connectors: &[Arc<dyn Connector>]) -> Vec<ConnectorNames> {
    let names = connectors.iter().map(|connector| ConnectorNames {
        name: connector.name().to_owned(),
        about: connector.about().to_owned(),
        options: connector
            .options()
            .iter()
            .copied()
            .flatten()
            .map(|spec| (spec.name.to_owned(), spec.help.to_owned(), spec.example.to_owned()))
            .collect(),
    });
    names.collect()
}
