//! `tables()` and `functions()`: what exists, as tables, with what a person wants to know of it.

use std::fmt;
use std::sync::{Arc, Weak};

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Documentation;

use crate::catalog::Object;
use crate::engine::{Engine, EngineInner};
use crate::error::Error;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// Tables, streams and views.
    Tables,
    /// Functions with how they are written.
    Functions,
}

impl Listing {
    pub(crate) const ALL: [Self; 2] = [Self::Tables, Self::Functions];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tables => "tables",
            Self::Functions => "functions",
        }
    }
}

/// The function of one engine.
pub(crate) struct ListingFunction {
    listing: Listing,
    engine: Weak<EngineInner>,
}

impl ListingFunction {
    pub(crate) fn new(listing: Listing, engine: Weak<EngineInner>) -> Self {
        Self { listing, engine }
    }
}

impl fmt::Debug for ListingFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.listing.name())
    }
}

impl TableFunctionImpl for ListingFunction {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        if !arguments.exprs().is_empty() {
            let name = self.listing.name();
            return plan_err!("{name}() takes no arguments: SELECT * FROM {name}() WHERE name = 'x'");
        }
        let inner = self.engine.upgrade().ok_or_else(|| DataFusionError::External(Box::new(Error::internal("the engine is gone"))))?;
        let engine = Engine { inner };
        let batch = match self.listing {
            Listing::Tables => tables(&engine)?,
            Listing::Functions => functions(&engine)?,
        };
        Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
    }
}

/// A row of `tables()`.
struct TableRow {
    name: String,
    kind: &'static str,
    connector: Option<String>,
    columns: usize,
    /// Rows and bytes, if they are kept here.
    held: Option<(u64, u64)>,
    event_time: Option<String>,
    statement: Option<String>,
}

fn tables(engine: &Engine) -> Result<RecordBatch> {
    let relations = engine.relations();
    let catalog = engine.inner.catalog.read();
    let row = |relation: crate::Relation| {
        let object = catalog.get(&relation.name);
        let (connector, event_time, held) = match object {
            Some(Object::Stream(stream)) => {
                let event_time = stream.table.event_time.map(|n| stream.table.schema.field(n).name().clone());
                (stream.options.get("connector").map(str::to_owned), event_time, None)
            }
            Some(Object::Stored(table) | Object::MaterializedView(table)) => (None, None, Some(table.held())),
            _ => (None, None, None),
        };
        TableRow {
            kind: object.map_or("table", Object::word),
            name: relation.name,
            connector,
            columns: relation.schema.fields().len(),
            held,
            event_time,
            statement: relation.sql,
        }
    };
    let rows: Vec<TableRow> = relations.into_iter().map(row).collect();
    let text = |value: fn(&TableRow) -> Option<&str>| Arc::new(rows.iter().map(value).collect::<StringArray>()) as ArrayRef;
    let count = |value: fn(&TableRow) -> Option<u64>| {
        let value = |row| value(row).map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        Arc::new(rows.iter().map(value).collect::<Int64Array>()) as ArrayRef
    };
    batch_of(vec![
        ("name", text(|row| Some(&row.name))),
        ("kind", text(|row| Some(row.kind))),
        ("connector", text(|row| row.connector.as_deref())),
        ("columns", count(|row| Some(row.columns as u64))),
        ("rows", count(|row| row.held.map(|(rows, _)| rows))),
        ("bytes", count(|row| row.held.map(|(_, bytes)| bytes))),
        ("event_time", text(|row| row.event_time.as_deref())),
        ("statement", text(|row| row.statement.as_deref())),
    ])
}

/// A row of `functions()`.
struct FunctionRow {
    name: String,
    kind: &'static str,
    about: Option<Documentation>,
}

fn functions(engine: &Engine) -> Result<RecordBatch> {
    let state = engine.inner.context.state();
    let row = |name: &str, kind, about: Option<&Documentation>| FunctionRow { name: name.to_owned(), kind, about: about.cloned() };
    let mut rows: Vec<FunctionRow> = Vec::new();
    rows.extend(state.scalar_functions().iter().map(|(name, function)| row(name, "scalar", function.documentation())));
    rows.extend(state.aggregate_functions().iter().map(|(name, function)| row(name, "aggregate", function.documentation())));
    rows.extend(state.window_functions().iter().map(|(name, function)| row(name, "window", function.documentation())));
    rows.extend(state.table_functions().keys().map(|name| row(name, "table", None)));
    rows.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
    let text = |value: fn(&FunctionRow) -> Option<String>| Arc::new(rows.iter().map(value).collect::<StringArray>()) as ArrayRef;
    batch_of(vec![
        ("name", text(|row| Some(row.name.clone()))),
        ("kind", text(|row| Some(row.kind.to_owned()))),
        ("syntax", text(|row| row.about.as_ref().map(|about| about.syntax_example.clone()))),
        ("description", text(|row| row.about.as_ref().map(|about| about.description.trim().to_owned()))),
        ("arguments", text(|row| row.about.as_ref().and_then(arguments))),
        ("example", text(|row| row.about.as_ref().and_then(|about| about.sql_example.as_deref()).map(unfenced))),
    ])
}

/// `name: what it is`, one a line.
fn arguments(about: &Documentation) -> Option<String> {
    let arguments = about.arguments.as_ref()?.iter();
    Some(
        arguments
            .map(|(name, what)| format!("{name}: {}", what.split_whitespace().collect::<Vec<_>>().join(" ")))
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

/// Without the marks of a code block.
fn unfenced(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("```")).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn batch_of(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let fields: Vec<Field> = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::util::pretty::pretty_format_batches;

    use crate::Engine;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_exists_is_listed_with_its_size() {
        let engine = Engine::builder().build().await.unwrap();
        let session = engine.session();
        let sql = "CREATE TABLE t (a BIGINT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y');
            CREATE TABLE s (n BIGINT, at TIMESTAMP(3), WATERMARK FOR at) WITH ('connector' = 'datagen', 'rows' = '1');
            CREATE VIEW v AS SELECT a FROM t";
        session.execute(sql).await.unwrap();
        let shown = |sql: &'static str| {
            let session = session.clone();
            async move { pretty_format_batches(&session.query(sql).await.unwrap().collect().await.unwrap()).unwrap().to_string() }
        };
        let text = shown("SELECT name, kind, connector, columns, rows, event_time FROM tables() ORDER BY name").await;
        for row in
            ["| s    | stream | datagen   | 2       |      | at         |", "| t    | table  |           | 2       | 2    |            |"]
        {
            assert!(text.contains(row), "{text}");
        }
        let text = shown("SELECT rows, bytes > 0 AS held FROM tables() WHERE name = 't'").await;
        assert!(text.contains("| 2    | true |"), "{text}");
        let text = shown("SELECT kind, syntax, example FROM functions() WHERE name IN ('date_trunc', 'sum')").await;
        assert!(text.contains("date_trunc(precision, expression)") && text.contains("| aggregate |") && !text.contains("```"), "{text}");
    }
}
