//! Catalogs, schemas and tables as the planner sees them: the engine's own under the session's database, and PostgreSQL's beside them.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider};
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::{DataFusionError, Result};

use super::shape::{SHAPES, batch, shape};
use super::{Facts, builtin, fill, fill_information};

/// The list of one session: whatever a catalog is called, it is the session's database.
pub(super) fn catalogs(inner: Arc<dyn CatalogProviderList>, inner_name: String, facts: &Arc<Facts>) -> Arc<dyn CatalogProviderList> {
    let public = inner.catalog(&inner_name).and_then(|catalog| catalog.schema("public"));
    let database = Arc::new(Database { public, facts: Arc::clone(facts) });
    Arc::new(Databases { inner, database })
}

#[derive(Debug)]
struct Databases {
    inner: Arc<dyn CatalogProviderList>,
    database: Arc<Database>,
}

impl CatalogProviderList for Databases {
    fn register_catalog(&self, name: String, catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        self.inner.register_catalog(name, catalog)
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![self.database.facts.identity.database.clone()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let is_ours = name == self.database.facts.identity.database || self.inner.catalog(name).is_some();
        is_ours.then(|| Arc::clone(&self.database) as _)
    }
}

#[derive(Debug)]
struct Database {
    public: Option<Arc<dyn SchemaProvider>>,
    facts: Arc<Facts>,
}

impl CatalogProvider for Database {
    fn schema_names(&self) -> Vec<String> {
        ["information_schema", "pg_catalog", "public"].map(str::to_owned).to_vec()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            "public" => Some(Arc::new(Public { tables: self.public.clone()?, facts: Arc::clone(&self.facts) })),
            "pg_catalog" | "information_schema" => Some(Arc::new(System { name: name.to_owned(), facts: Arc::clone(&self.facts) })),
            _ => None,
        }
    }
}

/// Tables of users, and behind them PostgreSQL's catalog, as on its search path.
#[derive(Debug)]
struct Public {
    tables: Arc<dyn SchemaProvider>,
    facts: Arc<Facts>,
}

#[async_trait]
impl SchemaProvider for Public {
    fn table_names(&self) -> Vec<String> {
        self.tables.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.tables.table(name).await? {
            Some(table) => Ok(Some(table)),
            None => relation(&self.facts, "pg_catalog", name),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.table_exist(name) || shape("pg_catalog", name).is_some()
    }
}

#[derive(Debug)]
struct System {
    name: String,
    facts: Arc<Facts>,
}

#[async_trait]
impl SchemaProvider for System {
    fn table_names(&self) -> Vec<String> {
        SHAPES.values().filter(|shape| shape.schema_name == self.name).map(|shape| shape.name.clone()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        relation(&self.facts, &self.name, name)
    }

    fn table_exist(&self, name: &str) -> bool {
        shape(&self.name, name).is_some()
    }
}

fn relation(facts: &Facts, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    let Some(shape) = shape(schema, name) else { return Ok(None) };
    let external = |error: crate::WireError| DataFusionError::External(Box::new(error));
    let mut batches = Vec::new();
    if let Some(rows) = builtin::rows(shape) {
        batches.push(rows.map_err(external)?);
    }
    let rows = match schema {
        "pg_catalog" => fill::rows(name, facts),
        _ => fill_information::rows(name, facts),
    };
    batches.push(batch(shape, &rows).map_err(external)?);
    Ok(Some(Arc::new(MemTable::try_new(Arc::clone(&shape.schema), vec![batches])?)))
}
