//! SQL text to a plan: either one that DataFusion runs and ends, or a pipeline.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::sqlparser::ast;
use millstream_sql::logical::gates::insert_gates;
use millstream_sql::logical::stages::cut;
use millstream_sql::logical::{Flow, Label, PipelinePlan, label::label};
use millstream_sql::parse::{Emit, EmitMode, learns_in_order, rewrite_windows, with_deep_stack};

use crate::catalog::{ColumnSource, ExpressionPlanner, Object, Stream};
use crate::context::{EpochClock, clock_functions};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::file_table::{StatementFiles, is_file_name};
use crate::model::{PinnedModels, generic_functions, rewrite_table_functions};
use crate::session::SqlExtension;
use crate::session::run_statement::object_name;
use crate::settings::{ExecutionMode, Settings};

/// A planned query.
pub(crate) enum Planned {
    /// No stream in it: DataFusion runs it.
    Bounded(LogicalPlan),
    /// A pipeline over streams.
    Pipeline { plan: Box<PipelinePlan>, streams: Vec<Arc<Stream>> },
}

/// Plans for one statement; `sql` is for messages.
pub(crate) struct Planner<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) settings: &'a Settings,
    pub(crate) sql: &'a str,
    pub(crate) state: SessionState,
    pub(crate) epoch_clock: EpochClock,
    /// The versions of models that the plan uses.
    pub(crate) models: PinnedModels,
    /// Who says what may be read; `None`: everything.
    pub(crate) guard: Option<Arc<dyn SqlExtension>>,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(engine: &'a Engine, settings: &'a Settings, sql: &'a str) -> Self {
        let epoch_clock = EpochClock::default();
        epoch_clock.set(engine.inner.clock.now());
        let mut state = engine.inner.context.state();
        state.config_mut().options_mut().execution.target_partitions = settings.parallelism;
        let models = PinnedModels::of(&engine.inner.models);
        for function in clock_functions(&epoch_clock).into_iter().chain(generic_functions(&models, &engine.inner.clock)) {
            use datafusion::execution::FunctionRegistry;
            // Replacing a function of the same name cannot fail.
            let _ = state.register_udf(Arc::new(function));
        }
        Self { engine, settings, sql, state, epoch_clock, models, guard: None }
    }

    /// With what the program adds.
    pub(crate) fn extended(mut self, extension: Option<&dyn SqlExtension>) -> Self {
        if let Some(extension) = extension {
            extension.extend(&mut self.state);
        }
        self
    }

    /// Puts DataFusion's errors into the words of SQL.
    pub(crate) fn error(&self, error: &DataFusionError) -> Error {
        if let Some(own) = Error::within(error) {
            return own;
        }
        Error::planning(error, self.sql, &self.engine.inner.catalog.read().names())
    }

    /// The logical plan of a query, before analysis.
    pub(crate) async fn logical(&self, query: &ast::Query) -> Result<LogicalPlan> {
        let mut query = Box::new(query.clone());
        rewrite_table_functions(&mut query, &self.models).map_err(|error| Error::from(error.with_source(self.sql)))?;
        rewrite_windows(&mut query).map_err(|error| Error::from(error.with_source(self.sql)))?;
        let ordered = learns_in_order(&query).then(|| {
            let mut state = self.state.clone();
            // An ORDER BY in a subquery means nothing to other relations, and is left out.
            state.config_mut().options_mut().sql_parser.enable_subquery_sort_elimination = false;
            state
        });
        let state = ordered.as_ref().unwrap_or(&self.state);
        let statement = DFStatement::Statement(Box::new(ast::Statement::Query(query)));
        self.check_reads(&statement)?;
        let state = match StatementFiles::open(state, &statement).await? {
            None => Cow::Borrowed(state),
            Some(files) => {
                let mut state = state.clone();
                state.register_catalog_list(files);
                Cow::Owned(state)
            }
        };
        // Table look-ups are all that is asynchronous in it, and ours are ready at once.
        on_deep_stack(|| futures::executor::block_on(state.statement_to_plan(statement)).map_err(|error| self.error(&error)))
    }

    /// Asks whether everything that the query names may be read. What a view reads is the view's.
    fn check_reads(&self, statement: &DFStatement) -> Result<()> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let named = on_deep_stack(|| self.state.resolve_table_references(statement).map_err(|error| self.error(&error)))?;
        for name in &named {
            let is_ours = name.schema().is_none_or(|schema| schema == "public");
            if is_ours && self.engine.inner.catalog.read().get(name.table()).is_some() {
                guard.check_read(name.table())?;
            } else if is_file_name(name.table()) {
                guard.check_file(name.table())?;
            }
        }
        Ok(())
    }

    /// A plan that can run.
    pub(crate) fn plan(&self, logical: &LogicalPlan) -> Result<Planned> {
        on_deep_stack(|| self.plan_recursively(logical))
    }

    fn plan_recursively(&self, logical: &LogicalPlan) -> Result<Planned> {
        let bound = self.models.bind(logical.clone()).map_err(|error| self.error(&error))?;
        let optimized = self.state.optimize(&bound).and_then(|plan| self.models.bind(plan)).map_err(|error| self.error(&error))?;
        if self.settings.execution_mode == ExecutionMode::Batch {
            self.refuse_endless(&label(&optimized).map_err(|error| self.error(&error))?)?;
        }
        let gated = insert_gates(optimized).map_err(|error| self.error(&error))?;
        if label(&gated).map_err(|error| self.error(&error))?.flow == Flow::Bounded {
            return Ok(Planned::Bounded(gated));
        }
        let plan = cut(&gated).map_err(|error| self.error(&error))?;
        let catalog = self.engine.inner.catalog.read();
        let mut streams = Vec::new();
        for source in &plan.sources {
            match catalog.get(&source.table.name) {
                Some(Object::Stream(stream)) => streams.push(Arc::clone(stream)),
                _ => return Err(Error::user("42P01", format!("stream {} was dropped", source.table.name))),
            }
        }
        // The models that computed columns call are models that the pipeline calls.
        for column in streams.iter().flat_map(|stream: &Arc<Stream>| &stream.columns) {
            if let ColumnSource::Computed(expr) = column {
                self.models.bind_expr(expr.clone()).map_err(|error| self.error(&error))?;
            }
        }
        Ok(Planned::Pipeline { plan: Box::new(plan), streams })
    }

    /// In batch mode every stream must end.
    fn refuse_endless(&self, label: &Label) -> Result<()> {
        let catalog = self.engine.inner.catalog.read();
        let endless = |name: &&String| matches!(catalog.get(name), Some(Object::Stream(stream)) if !stream.table.bounded);
        match label.streams.iter().find(endless) {
            None => Ok(()),
            Some(name) => Err(Error::user(
                "0A000",
                format!(
                    "{name} never ends, so it cannot be read in batch mode (hint: bound it, a generator by its number of events; or SET execution_mode = 'streaming')"
                ),
            )),
        }
    }

    /// The plan with its columns cast to `schema` by position, or by `columns` where an INSERT names some.
    pub(crate) fn conform(&self, plan: LogicalPlan, schema: &SchemaRef, table: &str, columns: &[String]) -> Result<LogicalPlan> {
        let targets: Vec<&str> = if columns.is_empty() {
            schema.fields().iter().map(|field| field.name().as_str()).collect()
        } else {
            columns.iter().map(String::as_str).collect()
        };
        let given = plan.schema().fields().len();
        if given != targets.len() {
            return Err(Error::user(
                "42601",
                format!("INSERT INTO {table} takes {} columns ({}), the query gives {given}", targets.len(), targets.join(", ")),
            ));
        }
        let mut exprs = Vec::new();
        for field in schema.fields() {
            let expr = match targets.iter().position(|target| target == field.name()) {
                Some(position) => {
                    let column = Expr::Column(plan.schema().columns()[position].clone());
                    self.cast(column, field.data_type(), plan.schema(), table, field.name())?
                }
                None => lit(datafusion::common::ScalarValue::Null)
                    .cast_to(field.data_type(), plan.schema())
                    .map_err(|error| self.error(&error))?,
            };
            exprs.push(expr.alias(field.name()));
        }
        for target in targets {
            if schema.index_of(target).is_err() {
                return Err(Error::user("42703", format!("table {table} has no column {target} that can be written")));
            }
        }
        LogicalPlanBuilder::from(plan).project(exprs).and_then(LogicalPlanBuilder::build).map_err(|error| self.error(&error))
    }

    fn cast(&self, column: Expr, to: &DataType, schema: &DFSchema, table: &str, name: &str) -> Result<Expr> {
        let from = column.get_type(schema).map_err(|error| self.error(&error))?;
        if from == *to {
            return Ok(column);
        }
        if !datafusion::arrow::compute::can_cast_types(&from, to) {
            return Err(Error::user("42804", format!("column {name} of {table} is {to}, the query gives {from} (hint: CAST it)")));
        }
        Ok(cast(column, to.clone()))
    }
}

impl ExpressionPlanner for Planner<'_> {
    fn plan(&self, expr: &ast::Expr, schema: &DFSchema) -> Result<Expr> {
        let expr = ast::ExprWithAlias { expr: expr.clone(), alias: None };
        let planned = self.state.create_logical_expr_from_sql_expr(expr, schema).and_then(|expr| {
            use datafusion::common::tree_node::TreeNode;
            Ok(expr.rewrite(&mut TypeCoercionRewriter::new(schema))?.data)
        });
        let planned = planned.map_err(|error| self.error(&error))?;
        Ok(planned)
    }
}

/// Planning recurses as deep as the statement nests; the parser's limits are made for this stack.
fn on_deep_stack<R: Send>(work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    with_deep_stack(|| Ok(work()))?
}

/// Refuses what EMIT asks for and is not there yet, for a query whose rows are read and not written.
pub(crate) fn check_emit(emit: Option<&Emit>) -> Result<()> {
    match late_rows_into(emit)? {
        None => Ok(()),
        Some(table) => {
            let hint = "hint: INSERT INTO, CREATE SINK and CREATE MATERIALIZED VIEW can";
            Err(Error::user("0A000", format!("LATE ROWS INTO {table}: a query whose rows are only read keeps no others ({hint})")))
        }
    }
}

/// The table that late rows go to, if the query names one; refuses what EMIT asks for and is not there yet.
pub(crate) fn late_rows_into(emit: Option<&Emit>) -> Result<Option<String>> {
    let Some(emit) = emit else { return Ok(None) };
    let refused = |what: &str| {
        Err(Error::user(
            "0A000",
            format!("{what} is not supported yet (hint: EMIT ON WINDOW CLOSE is the default: each window once, complete)"),
        ))
    };
    match emit.mode {
        EmitMode::OnWindowClose if emit.allowed_lateness_ms == 0 => emit.late_rows_into.as_ref().map(object_name).transpose(),
        EmitMode::OnWindowClose => refused("ALLOWED LATENESS"),
        EmitMode::OnUpdate => refused("EMIT ON UPDATE"),
        _ => refused("EMIT EVERY"),
    }
}
