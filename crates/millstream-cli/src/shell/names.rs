//! What exists, for completion and colours: a picture of the catalog that is renewed before each prompt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::AsArray;
use millstream::Session;
use tokio::runtime::Runtime;

/// Tables whose columns are looked up; with more, those further down the alphabet complete without columns.
const DESCRIBED_TABLES_MAX: usize = 500;

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

    /// Takes a new picture. What cannot be read is left out: completion is a help, not an answer.
    pub(crate) fn refresh(&self, runtime: &Runtime, session: &Session) {
        let before = self.get().clone();
        let rows = |sql: &str| runtime.block_on(rows(session, sql));
        let tables = rows("SHOW TABLES").into_iter().map(|mut row| (std::mem::take(&mut row[0]), "table".to_owned()));
        let views = rows("SHOW VIEWS").into_iter().map(|mut row| (std::mem::take(&mut row[0]), "view".to_owned()));
        let tables: BTreeMap<String, String> = tables.chain(views).collect();
        let described = tables.keys().take(DESCRIBED_TABLES_MAX);
        let describe = |name: &String| {
            let quoted = name.replace('"', "\"\"");
            let columns = rows(&format!("DESCRIBE \"{quoted}\"")).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
            (name.clone(), columns)
        };
        let columns = described.map(describe).collect();
        let pair = |row: Vec<String>| (row[0].clone(), row[1].clone());
        // These do not change while the shell runs.
        let functions = if before.functions.is_empty() { rows("SHOW FUNCTIONS").into_iter().map(pair).collect() } else { before.functions };
        let connectors = if before.connectors.is_empty() { connectors(session) } else { before.connectors };
        let pipelines = session.engine().pipelines().into_iter().map(|status| status.name).collect();
        let settings = session.settings().all();
        *self.get() = Names { tables, columns, functions, settings, pipelines, connectors };
    }
}

/// The rows of a statement as text.
pub(crate) async fn rows(session: &Session, sql: &str) -> Vec<Vec<String>> {
    let Ok(query) = session.query(sql).await else { return Vec::new() };
    let mut rows = Vec::new();
    for batch in query.collect().await.unwrap_or_default() {
        let columns: Vec<_> = batch.columns().iter().filter_map(|column| column.as_string_opt::<i32>()).collect();
        if columns.len() == batch.num_columns() {
            rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_owned()).collect()));
        }
    }
    rows
}

fn connectors(session: &Session) -> Vec<ConnectorNames> {
    let connectors = session.engine().connectors();
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
