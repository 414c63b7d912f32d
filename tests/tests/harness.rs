//! An engine over given rows, and its results as text.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use millstream::{Engine, Error, Session, Settings};
use millstream_testkit::TestData;

/// Nothing here takes as long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// An engine with the connector `testdata`.
pub(crate) async fn engine(data: &Arc<TestData>, settings: Settings) -> Engine {
    let connector: Arc<dyn millstream_connectors::Connector> = data.clone();
    Engine::builder().with_connector(connector).settings(settings).build().await.expect("an engine without tables")
}

/// Settings for tests: nothing waits.
pub(crate) fn settings() -> Settings {
    Settings { epoch_linger_ms: 0, parallelism: 2, ..Settings::default() }
}

/// One value of a result.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Float(f64),
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Text(text) => f.write_str(text),
            Self::Float(number) => write!(f, "{number}"),
        }
    }
}

/// All rows of batches.
pub(crate) fn cells(batches: &[RecordBatch]) -> Vec<Vec<Cell>> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let formatters: Vec<_> = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cell = |(column, formatter): (&Arc<dyn Array>, &ArrayFormatter<'_>)| match column.data_type() {
                _ if column.is_null(row) => Cell::Null,
                DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
                DataType::Float32 => Cell::Float(column.as_primitive::<Float32Type>().value(row).into()),
                _ => Cell::Text(formatter.value(row).to_string()),
            };
            rows.push(batch.columns().iter().zip(&formatters).map(cell).collect());
        }
    }
    rows
}

/// Rows as text, in their order, columns joined by `|`.
pub(crate) fn text(batches: &[RecordBatch]) -> Vec<String> {
    let row = |row: &Vec<Cell>| row.iter().map(ToString::to_string).collect::<Vec<_>>().join("|");
    cells(batches).iter().map(row).collect()
}

/// The rows of a query that ends by itself, in their order.
pub(crate) async fn ordered_rows(session: &Session, sql: &str) -> Result<Vec<String>, Error> {
    Ok(text(&batches(session, sql).await?))
}

/// The rows of a query that ends by itself, sorted.
pub(crate) async fn rows(session: &Session, sql: &str) -> Result<Vec<String>, Error> {
    let mut rows = ordered_rows(session, sql).await?;
    rows.sort();
    Ok(rows)
}

/// What a query that ends by itself gives.
pub(crate) async fn batches(session: &Session, sql: &str) -> Result<Vec<RecordBatch>, Error> {
    let run = async { session.query(sql).await?.collect().await };
    patiently(sql, run).await
}

/// Panics if `work` does not end.
pub(crate) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("still running after {PATIENCE:?}: {what}"),
    }
}
