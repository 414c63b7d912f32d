//! The stored tables that take what is in no result: rows that do not decode (`bad_rows`), and late ones (`LATE ROWS INTO`).

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use millstream_sql::logical::PipelinePlan;

use super::Session;
use super::describe::sql_type;
use super::pipelines::pipeline_id;
use crate::catalog::{Object, Stream};
use crate::error::{Error, Result};
use crate::pipeline::{SideTable, sources_with_windows};
use crate::stored_table::StoredTable;

/// The tables of one pipeline, found before anything of it is stored.
#[derive(Debug)]
pub(super) struct SideTables {
    /// Number and name of a source, and where its bad rows go.
    rejected: Vec<(usize, String, Arc<StoredTable>)>,
    /// Number of a source, the columns of it that the table takes, and the table.
    late: Vec<(usize, Vec<usize>, Arc<StoredTable>)>,
}

impl SideTables {
    /// What the streams' `bad_rows` and the query's `LATE ROWS INTO` name.
    pub(super) fn find(session: &Session, plan: &PipelinePlan, streams: &[Arc<Stream>], late_into: Option<String>) -> Result<Self> {
        let (mut rejected, mut late) = (Vec::new(), Vec::new());
        for (number, stream) in streams.iter().enumerate() {
            if let Some(table) = &stream.time.bad_rows_table {
                rejected.push((number, stream.name.clone(), bad_rows_table(session, table)?));
            }
        }
        if let Some(name) = late_into {
            let sources = sources_with_windows(plan)?;
            if sources.is_empty() {
                let hint = "hint: TUMBLE or HOP over a stream with a WATERMARK, or over a view that only filters and computes";
                return Err(Error::user("0A000", format!("LATE ROWS INTO {name}: no window of the query stands over a stream ({hint})")));
            }
            for source in sources {
                let (columns, table) = late_rows_table(session, &name, &streams[source])?;
                late.push((source, columns, table));
            }
        }
        Ok(Self { rejected, late })
    }

    /// As sinks of the pipeline whose id in the data folder is `id`.
    pub(super) fn open(self, pipeline: &str, id: Option<u64>) -> Vec<SideTable> {
        // Marks of their own, so that they are not taken for the pipeline's result if both go to one table.
        let id = pipeline_id(id);
        let rejected = self.rejected.into_iter().map(|(source, name, table)| {
            let sink = table.sink(pipeline, &format!("{id}r{source}"), false);
            SideTable::rejected(source, name, sink)
        });
        let late = self.late.into_iter().map(|(source, columns, table)| {
            let sink = table.sink(pipeline, &format!("{id}l{source}"), false);
            SideTable::late(source, columns, sink)
        });
        rejected.chain(late).collect()
    }
}

/// The stored table that `bad_rows` names.
pub(super) fn bad_rows_table(session: &Session, name: &str) -> Result<Arc<StoredTable>> {
    let columns = "(source TEXT, place TEXT, reason TEXT, bytes BYTEA)";
    let table = match session.engine.inner.catalog.read().get(name) {
        Some(Object::Stored(table)) => Arc::clone(table),
        Some(object) => {
            return Err(Error::user("42809", format!("bad_rows = '{name}': {name} is a {}, no stored table", object.word())));
        }
        None => {
            let hint = format!("hint: 'fail', 'skip', or first CREATE TABLE {name} {columns}");
            return Err(Error::user("42P01", format!("bad_rows = '{name}': there is no such table ({hint})")));
        }
    };
    let types = |schema: &SchemaRef| schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>();
    if types(&table.schema) != types(&SideTable::rejected_columns()) {
        return Err(Error::user(
            "42804",
            format!("bad_rows = '{name}': the table has other columns (hint: CREATE TABLE {name} {columns})"),
        ));
    }
    Ok(table)
}

/// The stored table that late rows of `stream` go to, and which columns of the stream are its columns.
fn late_rows_table(session: &Session, name: &str, stream: &Stream) -> Result<(Vec<usize>, Arc<StoredTable>)> {
    let like = format!("hint: CREATE TABLE {name} (LIKE {})", stream.name);
    let table = match session.engine.inner.catalog.read().get(name) {
        Some(Object::Stored(table)) => Arc::clone(table),
        Some(object) => {
            return Err(Error::user("42809", format!("LATE ROWS INTO {name}: {name} is a {}, no stored table", object.word())));
        }
        None => return Err(Error::user("42P01", format!("LATE ROWS INTO {name}: there is no such table ({like})"))),
    };
    let mut columns = Vec::with_capacity(table.schema.fields().len());
    for field in table.schema.fields() {
        let Some((column, given)) = stream.table.schema.column_with_name(field.name()) else {
            let message = format!("LATE ROWS INTO {name}: {} has no column {} ({like})", stream.name, field.name());
            return Err(Error::user("42703", message));
        };
        if given.data_type() != field.data_type() {
            let (takes, gives) = (sql_type(field.data_type()), sql_type(given.data_type()));
            let message = format!("LATE ROWS INTO {name}: column {} is {takes}, in {} it is {gives} ({like})", field.name(), stream.name);
            return Err(Error::user("42804", message));
        }
        columns.push(column);
    }
    Ok((columns, table))
}
