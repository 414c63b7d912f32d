//! A stream as DataFusion's planner sees it: a table that only a pipeline can read.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

/// The physical and processing-time columns of a stream and what is known of its time.
///
/// Computed columns are not here: the catalog puts a projection on top of this table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTable {
    /// The table's name, unique in the catalog.
    pub name: String,
    /// Columns as read, then the processing-time columns.
    pub schema: SchemaRef,
    /// Index of the column `WATERMARK FOR` names, if it is a physical one.
    pub event_time: Option<usize>,
    /// Indices of the columns that the engine fills with the epoch clock.
    pub processing_time: Vec<usize>,
    /// True if the source ends by itself.
    pub bounded: bool,
}

#[async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(&self, _: &dyn Session, _: Option<&Vec<usize>>, _: &[Expr], _: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        plan_err!("stream {} can only be read by a pipeline", self.name)
    }
}
