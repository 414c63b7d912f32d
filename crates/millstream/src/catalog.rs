//! What exists: streams, stored tables, views and tables of the program, by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use millstream_connectors::{Boundedness, ConnectorRegistry, Options, Source};
use millstream_sql::logical::StreamTable;
use millstream_sql::parse::{ColumnKind, CreateTable, arrow_type, identifier_text};
use millstream_time::Clock;

use crate::error::{Error, Result};
use crate::input::BadRows;
use crate::model::calls_model;
use crate::session::describe::sql_type;
use crate::stored_table::StoredTable;

/// A stream: a table with a connector.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) sql: String,
    /// As the planner sees it.
    pub(crate) table: Arc<StreamTable>,
    /// How each column of `table` comes about.
    pub(crate) columns: Vec<ColumnSource>,
    /// Columns that the connector reads or writes.
    pub(crate) physical: SchemaRef,
    /// Connector options.
    pub(crate) options: Options,
    /// `None` if the connector can only be written.
    pub(crate) source: Option<Arc<dyn Source>>,
    pub(crate) time: TimeOptions,
    /// `WATERMARK FOR` over the physical columns.
    pub(crate) watermark: Option<WatermarkDefinition>,
}

/// The columns of a table without a connector.
pub(crate) fn stored_columns(create: &CreateTable, name: &str) -> Result<SchemaRef> {
    let needs = |what: &str| {
        let hint = format!("WITH ('connector' = '…') makes {name} a stream; a query or a view over {name} can compute columns");
        Err(Error::user("0A000", format!("stored table {name} cannot have {what} (hint: {hint})")))
    };
    if create.watermark.is_some() {
        return needs("a WATERMARK");
    }
    let mut fields: Vec<Field> = Vec::new();
    for column in &create.columns {
        let column_name = identifier_text(&column.name);
        let field = match &column.kind {
            ColumnKind::Physical { data_type } => Field::new(column_name, arrow_type(data_type)?, !column.not_null),
            ColumnKind::Computed { .. } => return needs("computed columns"),
            ColumnKind::ProcessingTime => return needs("PROCTIME() columns"),
            _ => return needs("METADATA columns"),
        };
        if fields.iter().any(|other| other.name() == field.name()) {
            return Err(Error::user("42701", format!("column {} is declared twice", field.name())));
        }
        fields.push(field);
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Where a column's values come from.
#[derive(Clone, Debug)]
pub(crate) enum ColumnSource {
    /// The n-th physical column.
    Physical(usize),
    /// An expression over the physical columns.
    Computed(Expr),
    /// The epoch clock.
    ProcessingTime,
}

/// What `WATERMARK FOR` says.
#[derive(Clone, Debug)]
pub(crate) struct WatermarkDefinition {
    /// Column of the stream table.
    pub(crate) column: usize,
    /// How far it stays behind the column, if that is all the expression says.
    pub(crate) delay_ms: Option<i64>,
    /// The expression over the physical columns.
    pub(crate) expr: Expr,
}

/// Options that are the engine's, not the connector's.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimeOptions {
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_future_skew: Option<Duration>,
    pub(crate) bad_rows: BadRows,
    /// The stored table that bad rows go to.
    pub(crate) bad_rows_table: Option<String>,
    pub(crate) late_rows: LateRows,
}

/// When a row is too late for its windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LateRows {
    /// When the operator's watermark had closed them before the epoch: loses least.
    #[default]
    Lenient,
    /// When the source's running watermark just before the row had passed them: with one lane independent of how the input is
    /// cut into epochs.
    Strict,
}

/// An expression of a table definition, resolved over the physical columns.
pub(crate) trait ExpressionPlanner {
    fn plan(&self, expr: &datafusion::sql::sqlparser::ast::Expr, schema: &DFSchema) -> Result<Expr>;
}

/// Makes a stream of `CREATE TABLE … WITH (…)`.
pub(crate) fn stream(
    create: &CreateTable,
    name: &str,
    sql: &str,
    connectors: &ConnectorRegistry,
    clock: &Arc<dyn Clock>,
    planner: &dyn ExpressionPlanner,
) -> Result<Stream> {
    let name = name.to_owned();
    let mut options = Options::from_pairs(create.options.iter().map(|option| (option.key.clone(), option.value.clone())));
    let time = take_time_options(&mut options)?;
    let physical = physical_columns(create, &options, connectors)?;
    let df_schema = DFSchema::try_from(Arc::clone(&physical)).map_err(|error| Error::running(&error))?;
    let declared = declared_columns(create, &physical, &df_schema, planner)?;
    let fields: Vec<FieldRef> = declared.iter().map(|(field, _)| Arc::clone(field)).collect();
    let columns: Vec<ColumnSource> = declared.into_iter().map(|(_, source)| source).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let watermark = watermark(create, &schema, &columns, &df_schema, planner)?;
    if watermark.as_ref().is_some_and(|watermark| calls_model(&watermark.expr, None)) {
        return Err(Error::user(
            "0A000",
            "a watermark cannot depend on what a model says (hint: declare it over a column that has a time)",
        ));
    }
    let role = connectors.role(&options)?;
    let source = if role.is_source() { Some(connectors.source(options.clone(), Arc::clone(&physical), Arc::clone(clock))?) } else { None };
    if let Some(source) = &source {
        check_source(&name, &source.schema(), &physical)?;
    }
    let processing_time = columns.iter().enumerate().filter(|(_, source)| matches!(source, ColumnSource::ProcessingTime)).map(|(n, _)| n);
    let table = StreamTable {
        name: name.clone(),
        event_time: watermark.as_ref().map(|watermark| watermark.column),
        processing_time: processing_time.collect(),
        bounded: source.as_ref().is_some_and(|source| source.boundedness() == Boundedness::Bounded),
        schema,
    };
    Ok(Stream { name, sql: sql.to_owned(), table: Arc::new(table), columns, physical, options, source, time, watermark })
}

/// A connector must give what was declared; one of the program may not.
fn check_source(name: &str, given: &SchemaRef, declared: &SchemaRef) -> Result<()> {
    let types = |schema: &SchemaRef| schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>();
    if types(given) == types(declared) {
        return Ok(());
    }
    let list = |schema: &SchemaRef| {
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>().join(", ")
    };
    Err(Error::user(
        "42804",
        format!(
            "the connector of {name} gives other columns than were declared: {}; declared were {} (hint: leave the columns out, where the connector knows them)",
            list(given),
            list(declared)
        ),
    ))
}

fn take_time_options(options: &mut Options) -> Result<TimeOptions> {
    let skip = options.take_ignore_parse_errors()?;
    let (bad_rows, bad_rows_table) = match options.take_any(&["bad_rows", "bad-rows"])?.as_deref() {
        None if skip => (BadRows::Skip, None),
        None | Some("fail") => (BadRows::Fail, None),
        Some("skip") => (BadRows::Skip, None),
        Some(table) => (BadRows::Keep, Some(table.to_owned())),
    };
    let late_rows = match options.take_any(&["late_rows", "late-rows"])?.as_deref() {
        None | Some("lenient") => LateRows::Lenient,
        Some("strict") => LateRows::Strict,
        Some(other) => return Err(Error::user("22023", format!("late_rows must be 'lenient' or 'strict': got '{other}'"))),
    };
    Ok(TimeOptions {
        idle_timeout: options.take_duration("idle_timeout")?,
        max_future_skew: options.take_duration("max_future_skew")?,
        bad_rows,
        bad_rows_table,
        late_rows,
    })
}

fn physical_columns(create: &CreateTable, options: &Options, connectors: &ConnectorRegistry) -> Result<SchemaRef> {
    let mut fields = Vec::new();
    for column in &create.columns {
        let name = identifier_text(&column.name);
        match &column.kind {
            ColumnKind::Physical { data_type } => fields.push(Field::new(name, arrow_type(data_type)?, !column.not_null)),
            ColumnKind::Metadata { .. } => {
                return Err(Error::user("0A000", format!("METADATA column {name}: no connector here has metadata yet")));
            }
            _ => {}
        }
    }
    if !fields.is_empty() {
        return Ok(Arc::new(Schema::new(fields)));
    }
    match connectors.infer_schema(options.clone())? {
        Some(schema) => Ok(schema),
        None => Err(Error::user(
            "42601",
            format!("table {} declares no columns (hint: CREATE TABLE t (id BIGINT, ts TIMESTAMP(3)) WITH (…))", create.name),
        )),
    }
}

fn declared_columns(
    create: &CreateTable,
    physical: &SchemaRef,
    df_schema: &DFSchema,
    planner: &dyn ExpressionPlanner,
) -> Result<Vec<(FieldRef, ColumnSource)>> {
    let mut declared: Vec<(FieldRef, ColumnSource)> = Vec::new();
    let from_connector = !create.columns.iter().any(|column| matches!(column.kind, ColumnKind::Physical { .. }));
    if from_connector {
        declared.extend(physical.fields().iter().enumerate().map(|(n, field)| (Arc::clone(field), ColumnSource::Physical(n))));
    }
    let mut next_physical = 0;
    for column in &create.columns {
        let name = identifier_text(&column.name);
        if declared.iter().any(|(field, _)| *field.name() == name) {
            return Err(Error::user("42701", format!("column {name} is declared twice")));
        }
        match &column.kind {
            ColumnKind::Computed { expr, .. } => {
                let expr = planner.plan(expr, df_schema)?;
                let (_, field) =
                    datafusion::logical_expr::ExprSchemable::to_field(&expr, df_schema).map_err(|error| Error::running(&error))?;
                let field = Field::new(name, field.data_type().clone(), field.is_nullable());
                declared.push((Arc::new(field), ColumnSource::Computed(expr)));
            }
            ColumnKind::ProcessingTime => {
                let field = Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false);
                declared.push((Arc::new(field), ColumnSource::ProcessingTime));
            }
            _ => {
                declared.push((Arc::clone(&physical.fields()[next_physical]), ColumnSource::Physical(next_physical)));
                next_physical += 1;
            }
        }
    }
    Ok(declared)
}

fn watermark(
    create: &CreateTable,
    schema: &SchemaRef,
    columns: &[ColumnSource],
    physical: &DFSchema,
    planner: &dyn ExpressionPlanner,
) -> Result<Option<WatermarkDefinition>> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let Some(watermark) = &create.watermark else { return Ok(None) };
    let name = identifier_text(&watermark.column);
    let Ok(column) = schema.index_of(&name) else {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(Error::user("42703", format!("WATERMARK FOR {name}: there is no such column (hint: there are {})", names.join(", "))));
    };
    let data_type = schema.field(column).data_type();
    if !matches!(data_type, DataType::Timestamp(..)) {
        return Err(Error::user(
            "42804",
            format!(
                "WATERMARK FOR {name}: the column must be a TIMESTAMP, it is {} (hint: declare {name} TIMESTAMP(3))",
                sql_type(data_type)
            ),
        ));
    }
    let own = match &columns[column] {
        ColumnSource::Physical(n) => Expr::Column(physical.columns()[*n].clone()),
        ColumnSource::Computed(expr) => expr.clone(),
        ColumnSource::ProcessingTime => {
            return Err(Error::user("42601", format!("WATERMARK FOR {name}: a PROCTIME() column needs no watermark")));
        }
    };
    let Some(expr) = &watermark.expr else {
        return Ok(Some(WatermarkDefinition { column, delay_ms: Some(0), expr: own }));
    };
    // The expression may name computed columns: plan it over the table's columns, then put their expressions in.
    let table = DFSchema::try_from(Arc::clone(schema)).map_err(|error| Error::running(&error))?;
    let expr = planner.plan(expr, &table)?;
    let expr = expr.transform(|node| {
        Ok(match &node {
            Expr::Column(column) => match schema.index_of(&column.name).map(|n| &columns[n]) {
                Ok(ColumnSource::Computed(expr)) => Transformed::yes(expr.clone()),
                Ok(ColumnSource::Physical(n)) => Transformed::yes(Expr::Column(physical.columns()[*n].clone())),
                _ => Transformed::no(node),
            },
            _ => Transformed::no(node),
        })
    });
    let expr = expr.map_err(|error| Error::running(&error))?.data;
    Ok(Some(WatermarkDefinition { column, delay_ms: watermark.delay_ms().ok(), expr }))
}

/// Everything by name.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    objects: BTreeMap<String, Object>,
}

/// One named thing.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Stream(Arc<Stream>),
    View {
        sql: String,
    },
    /// A table without a connector.
    Stored(Arc<StoredTable>),
    MaterializedView(Arc<StoredTable>),
    /// A `TableProvider` of the program.
    Table,
}

impl Object {
    /// The word for it in messages.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Stream(_) => "stream",
            Self::View { .. } => "view",
            Self::Stored(_) | Self::Table => "table",
            Self::MaterializedView(_) => "materialized view",
        }
    }
}

impl Catalog {
    pub(crate) fn get(&self, name: &str) -> Option<&Object> {
        self.objects.get(name)
    }

    pub(crate) fn insert(&mut self, name: String, object: Object) {
        self.objects.insert(name, object);
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Object> {
        self.objects.remove(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Object)> {
        self.objects.iter()
    }
}
