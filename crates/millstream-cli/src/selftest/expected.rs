//! What the sinks must hold in the end: the batch queries, by DataFusion alone, over all rows at once.

use std::sync::Arc;

use datafusion::arrow::csv::WriterBuilder;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use millstream::Engine;

use super::pipelines::PIPELINES;

/// Rows of every pipeline's sink as lines of CSV, sorted; in the order of the pipelines. `tables` makes the tables.
pub(super) async fn rows(tables: &str) -> Result<Vec<Vec<String>>, String> {
    let text = |error: &dyn std::fmt::Display| format!("the batch run: {error}");
    let engine = Engine::builder().build().await.map_err(|error| text(&error))?;
    let session = engine.session();
    session.execute(tables).await.map_err(|error| text(&error))?;
    let context = SessionContext::new();
    for table in ["bid", "person", "auction", "reading"] {
        let query = session.query(&format!("SELECT * FROM {table}")).await.map_err(|error| text(&error))?;
        let schema = query.schema();
        let batches = query.collect().await.map_err(|error| text(&error))?;
        let table_rows = MemTable::try_new(schema, vec![batches]).map_err(|error| text(&error))?;
        context.register_table(table, Arc::new(table_rows)).map_err(|error| text(&error))?;
    }
    let mut all = Vec::new();
    for pipeline in PIPELINES {
        let frame = context.sql(pipeline.batch).await.map_err(|error| text(&error))?;
        let batches = frame.collect().await.map_err(|error| text(&error))?;
        let mut csv = Vec::new();
        let mut writer = WriterBuilder::new().with_header(false).build(&mut csv);
        for batch in &batches {
            writer.write(batch).map_err(|error| text(&error))?;
        }
        drop(writer);
        let mut rows: Vec<String> = String::from_utf8_lossy(&csv).lines().map(str::to_owned).collect();
        rows.sort();
        all.push(rows);
    }
    Ok(all)
}
