//! SHOW and DESCRIBE.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_sql::parse::ShowKind;

use super::Session;
use super::run_statement::{object_name, rows_of};
use crate::catalog::{ColumnSource, Object};
use crate::error::{Error, Result};
use crate::file_table::{is_file_name, is_remote, open_file};
use crate::pipeline::PipelineStatus;
use crate::query::Outcome;

pub(super) fn show(session: &Session, show: &ShowKind) -> Result<Outcome> {
    let catalog = session.engine.inner.catalog.read();
    match show {
        ShowKind::Tables => {
            let tables = catalog.iter().filter(|(_, object)| !matches!(object, Object::View { .. } | Object::MaterializedView(_)));
            rows_of(&["table", "connector"], tables.map(|(name, object)| vec![Some(name.clone()), connector(object)]).collect())
        }
        ShowKind::Views => {
            let views = catalog.iter().filter_map(|(name, object)| match object {
                Object::View { .. } => Some(vec![Some(name.clone()), Some("view".to_owned())]),
                Object::MaterializedView(_) => Some(vec![Some(name.clone()), Some("materialized".to_owned())]),
                _ => None,
            });
            rows_of(&["view", "kind"], views.collect())
        }
        ShowKind::Pipelines | ShowKind::Sinks => {
            drop(catalog);
            pipelines(session)
        }
        ShowKind::Functions => {
            let state = session.engine.inner.context.state();
            let kind = |names: Vec<&String>, kind: &str| -> Vec<_> {
                names.into_iter().map(|name| vec![Some(name.clone()), Some(kind.to_owned())]).collect()
            };
            let mut rows = kind(state.scalar_functions().keys().collect(), "scalar");
            rows.extend(kind(state.aggregate_functions().keys().collect(), "aggregate"));
            rows.extend(kind(state.window_functions().keys().collect(), "window"));
            rows.sort();
            rows_of(&["function", "kind"], rows)
        }
        ShowKind::Create(name) => {
            let name = object_name(name)?;
            let sql = match catalog.get(&name) {
                Some(Object::Stream(stream)) => stream.sql.clone(),
                Some(Object::View { sql }) => sql.clone(),
                Some(Object::Stored(table) | Object::MaterializedView(table)) => table.definition.sql.clone(),
                Some(Object::Table) => return Err(Error::user("42809", format!("{name} was registered by the program, not by SQL"))),
                None => {
                    drop(catalog);
                    return Err(unknown(session, &name));
                }
            };
            rows_of(&["name", "statement"], vec![vec![Some(name), Some(sql)]])
        }
        ShowKind::All => {
            let rows = session.settings().all().into_iter().map(|(name, value)| vec![Some(name), Some(value)]);
            rows_of(&["setting", "value"], rows.collect())
        }
        ShowKind::Setting(name) => rows_of(&[name.as_str()], vec![vec![Some(session.settings().get(name)?)]]),
        _ => Err(Error::user("0A000", "this SHOW is not supported yet")),
    }
}

/// A few figures; `SELECT * FROM pipelines()` has all.
fn pipelines(session: &Session) -> Result<Outcome> {
    let row = |status: PipelineStatus| {
        let percent = |share: f64| (!status.state.is_final()).then(|| format!("{share:.0} %"));
        vec![
            Some(status.name.clone()),
            Some(status.state.to_string()),
            Some(status.rows_in.to_string()),
            Some(status.rows_out.to_string()),
            Some(status.late_rows.to_string()),
            percent(status.load.busy_percent),
            percent(status.load.held_back_percent),
        ]
    };
    let rows = session.engine.pipelines().into_iter().map(row).collect();
    rows_of(&["pipeline", "state", "rows_in", "rows_out", "late_rows", "busy", "held_back"], rows)
}

fn connector(object: &Object) -> Option<String> {
    match object {
        Object::Stream(stream) => stream.options.get("connector").map(str::to_owned),
        _ => None,
    }
}

pub(super) async fn describe(session: &Session, name: &ObjectName) -> Result<Outcome> {
    let name = object_name(name)?;
    let object = session.engine.inner.catalog.read().get(&name).cloned();
    let columns = ["column", "type", "nullable", "kind"];
    match object {
        Some(Object::Stream(stream)) => {
            let rows = stream.table.schema.fields().iter().enumerate().map(|(n, field)| {
                let kind = match &stream.columns[n] {
                    _ if stream.table.event_time == Some(n) => "event time",
                    ColumnSource::Physical(_) => "column",
                    ColumnSource::Computed(_) => "computed",
                    ColumnSource::ProcessingTime => "processing time",
                };
                row(field.name(), field.data_type(), field.is_nullable(), kind)
            });
            rows_of(&columns, rows.collect())
        }
        object if object.is_some() || is_file_name(&name) => {
            if let (None, Some(guard)) = (&object, &session.extension) {
                guard.check_file(&name)?;
            }
            let context = &session.engine.inner.context;
            let table = match is_remote(&name) {
                true => open_file(&context.state(), &name).await?,
                false => context.table_provider(crate::engine::bare(&name)).await.map_err(|error| Error::running(&error))?,
            };
            let schema = table.schema();
            let rows = schema.fields().iter().map(|field| row(field.name(), field.data_type(), field.is_nullable(), "column"));
            rows_of(&columns, rows.collect())
        }
        _ => Err(unknown(session, &name)),
    }
}

fn unknown(session: &Session, name: &str) -> Error {
    let names = session.engine.inner.catalog.read().names();
    let near = millstream_connectors::options::did_you_mean(name, names.iter().map(String::as_str));
    let hint = near.map_or_else(|| "SHOW TABLES and SHOW VIEWS list them".to_owned(), |near| format!("did you mean {near}?"));
    Error::user("42P01", format!("there is no table or view {name} (hint: {hint})"))
}

fn row(name: &str, data_type: &DataType, nullable: bool, kind: &str) -> Vec<Option<String>> {
    [name.to_owned(), sql_type(data_type), if nullable { "yes" } else { "no" }.to_owned(), kind.to_owned()].into_iter().map(Some).collect()
}

/// The SQL name of a type.
pub(crate) fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "TEXT".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTEA".to_owned(),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Timestamp(unit, zone) => {
            let precision = match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                TimeUnit::Microsecond => 6,
                TimeUnit::Nanosecond => 9,
            };
            if zone.is_some() { format!("TIMESTAMP_LTZ({precision})") } else { format!("TIMESTAMP({precision})") }
        }
        DataType::List(field) => format!("{}[]", sql_type(field.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields.iter().map(|field| format!("{} {}", field.name(), sql_type(field.data_type()))).collect();
            format!("ROW<{}>", fields.join(", "))
        }
        other => other.to_string(),
    }
}
