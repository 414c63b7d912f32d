//! A stored table as DataFusion reads it: the rows that are there when the query is planned for running.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use super::StoredTable;
use super::zones::Condition;
use crate::transaction::Reads;

#[derive(Debug)]
pub(super) struct StoredTableProvider {
    table: Arc<StoredTable>,
}

impl StoredTableProvider {
    pub(super) fn new(table: Arc<StoredTable>) -> Self {
        Self { table }
    }
}

#[async_trait]
impl TableProvider for StoredTableProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.table.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Some batches can be left out; those that are left are filtered as always.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let can = |filter: &&Expr| match Condition::read(filter, &self.table.schema) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(can).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let reads = session.config().get_extension::<Reads>();
        let rows = reads.map_or_else(|| self.table.snapshot(), |reads| reads.rows(&self.table));
        let rows = rows.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let conditions: Vec<Condition> = filters.iter().filter_map(|filter| Condition::read(filter, &self.table.schema)).collect();
        let rows = if conditions.is_empty() { rows } else { self.table.zones.select(rows, &conditions) };
        Ok(MemorySourceConfig::try_new_exec(&[rows], self.schema(), projection.cloned())?)
    }
}
