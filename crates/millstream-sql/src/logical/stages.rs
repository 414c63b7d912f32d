//! Cuts a gated plan into stages: plain, bounded DataFusion plans with a stateful operator between each two.
//!
//! ```text
//! source ──▶ stage 0 ──▶ operator 0 ──▶ stage 1 ──▶ operator 1 ──▶ … ──▶ last stage ──▶ result
//! ```
//!
//! Stage n feeds operator n; the last stage gives the result. A stage only reads sources and operators before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, plan_err};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Aggregate, Expr, Filter, LogicalPlan, Projection, SubqueryAlias, TableScan};
use millstream_operators::{LeafId, MakeTransform, RowOrder};
use millstream_time::WindowSpec;

use super::label::{Flow, Label, Role, TimeDomain, label};
use super::nodes::{EndBuffer, Leaf, LeafSchema, OrderedNode, StreamLimitNode, WindowAggregate, WindowAssign, as_node, extension};
use super::stream_table::StreamTable;

/// A continuous query, cut.
#[derive(Debug)]
pub struct PipelinePlan {
    /// The streams read, by source number.
    pub sources: Vec<SourceScan>,
    /// Bounded parts that a stage joins with: run once.
    pub tables: Vec<LogicalPlan>,
    /// Stage n feeds operator n.
    pub stages: Vec<Stage>,
    /// The operators.
    pub operators: Vec<OperatorPlan>,
    /// The last stage: its output is the result.
    pub result: Stage,
    /// How result rows come.
    pub label: Label,
}

/// One stream and the columns of it that the pipeline reads.
#[derive(Clone, Debug)]
pub struct SourceScan {
    /// The stream.
    pub table: Arc<StreamTable>,
    /// Indices into its schema, ascending.
    pub columns: Vec<usize>,
}

/// A plan without memory.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its leaves are [`Leaf`] nodes or bounded tables.
    pub plan: LogicalPlan,
    /// What it reads.
    pub inputs: BTreeSet<LeafId>,
}

/// A stateful operator between two stages.
#[derive(Clone, Debug)]
pub struct OperatorPlan {
    /// Stable name: kind and number in the query.
    pub name: String,
    /// What it does.
    pub kind: OperatorKind,
    /// By which clock it advances.
    pub domain: TimeDomain,
    /// Sources whose smallest watermark it goes by.
    pub watermark_sources: BTreeSet<usize>,
    /// Label of what it hands on.
    pub label: Label,
}

/// What an operator does.
#[derive(Clone, Debug)]
pub enum OperatorKind {
    /// Aggregates by window.
    Aggregate {
        /// The windows.
        window: WindowSpec,
        /// The time column of the stage's output, or the window column that assigns its rows.
        time: AggregateTime,
        /// Keys and aggregates over the stage's output.
        aggregate: Aggregate,
        /// For each group expression, which window column it is.
        window_keys: Vec<Option<Role>>,
    },
    /// Holds rows until their window closes.
    Buffer {
        /// The windows.
        window: WindowSpec,
        /// Its time column in the stage's output.
        time: usize,
    },
    /// Counts rows.
    Limit {
        /// Rows passed over.
        offset: u64,
        /// Rows let through.
        limit: Option<u64>,
    },
    /// Gives rows in a fixed order to what remembers them.
    Ordered {
        /// What the order is.
        order: RowOrder,
        /// Makes what remembers.
        maker: Arc<dyn MakeTransform>,
    },
}

/// How an aggregate finds a row's windows.
#[derive(Clone, Debug)]
pub enum AggregateTime {
    /// By event time.
    EventTime(Column),
    /// A window column says it: start = value + `to_start_ms`.
    Assigned {
        /// The window column.
        column: Column,
        /// What to add to get the window's start.
        to_start_ms: i64,
    },
    /// The global window.
    Nothing,
}

/// Cuts a plan that has its gates.
pub fn cut(plan: &LogicalPlan) -> Result<PipelinePlan> {
    let mut cutter =
        Cutter { sources: collect_sources(plan)?, tables: Vec::new(), stages: Vec::new(), operators: Vec::new(), aggregates: Vec::new() };
    let label = label(plan)?;
    let result = cutter.stage(plan)?;
    let mut pipeline =
        PipelinePlan { sources: cutter.sources, tables: cutter.tables, stages: cutter.stages, operators: cutter.operators, result, label };
    share_watermarks(&mut pipeline);
    Ok(pipeline)
}

struct Cutter {
    sources: Vec<SourceScan>,
    tables: Vec<LogicalPlan>,
    stages: Vec<Stage>,
    operators: Vec<OperatorPlan>,
    /// Aggregates cut so far and what stands for them: an equal one is computed once.
    aggregates: Vec<(WindowAggregate, LogicalPlan)>,
}

impl Cutter {
    /// The plan as a stage, with everything below its gates cut off.
    fn stage(&mut self, plan: &LogicalPlan) -> Result<Stage> {
        let plan = plan.clone().transform_down(|node| self.cut_node(node))?.data;
        let mut inputs = BTreeSet::new();
        plan.apply(|node| {
            if let Some(leaf) = as_node::<Leaf>(node) {
                inputs.insert(leaf.leaf);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(Stage { plan, inputs })
    }

    fn cut_node(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let done = |plan: LogicalPlan| Ok(Transformed::new(plan, true, TreeNodeRecursion::Jump));
        if let LogicalPlan::TableScan(scan) = &node
            && let Some(leaf) = self.source_leaf(scan, &node)?
        {
            return done(leaf);
        }
        if let Some(aggregate) = as_node::<WindowAggregate>(&node) {
            if let Some((_, leaf)) = self.aggregates.iter().find(|(cut, _)| cut == aggregate) {
                return done(leaf.clone());
            }
            let leaf = self.cut_aggregate(aggregate, &node)?;
            self.aggregates.push((aggregate.clone(), leaf.clone()));
            return done(leaf);
        }
        if let Some(assign) = as_node::<WindowAssign>(&node)
            && assign.buffered
        {
            let time = assign.input.schema().index_of_column(&assign.time)?;
            let kind = OperatorKind::Buffer { window: assign.spec, time };
            return done(self.operator(&assign.input, kind, assign.domain, "window_buffer", &node)?);
        }
        if let Some(buffer) = as_node::<EndBuffer>(&node) {
            let kind = OperatorKind::Buffer { window: WindowSpec::Global, time: 0 };
            return done(self.operator(&buffer.input, kind, TimeDomain::Event, "end_buffer", &node)?);
        }
        if let Some(limit) = as_node::<StreamLimitNode>(&node) {
            let kind = OperatorKind::Limit { offset: limit.offset, limit: limit.limit };
            return done(self.operator(&limit.input, kind, TimeDomain::Event, "limit", &node)?);
        }
        if let Some(ordered) = as_node::<OrderedNode>(&node) {
            let kind = OperatorKind::Ordered { order: row_order(&label(&ordered.input)?), maker: Arc::clone(&ordered.maker) };
            return done(self.operator(&ordered.input, kind, TimeDomain::Event, "learn", &node)?);
        }
        if label(&node)?.flow == Flow::Bounded {
            // Reached from above a stream: a bounded part that a stage joins with.
            return done(self.table_leaf(node)?);
        }
        Ok(Transformed::no(node))
    }

    /// Cuts below an operator and gives the leaf that stands for its output.
    fn operator(
        &mut self,
        input: &LogicalPlan,
        kind: OperatorKind,
        domain: TimeDomain,
        word: &str,
        node: &LogicalPlan,
    ) -> Result<LogicalPlan> {
        let stage = self.stage(input)?;
        self.push_operator(stage, kind, domain, word, node)
    }

    fn push_operator(
        &mut self,
        stage: Stage,
        kind: OperatorKind,
        domain: TimeDomain,
        word: &str,
        node: &LogicalPlan,
    ) -> Result<LogicalPlan> {
        refuse_chance(&stage.plan)?;
        if let OperatorKind::Aggregate { aggregate, .. } = &kind {
            aggregate.group_expr.iter().chain(&aggregate.aggr_expr).try_for_each(refuse_chance_in)?;
        }
        let number = self.operators.iter().filter(|other| other.name.starts_with(word)).count() + 1;
        let watermark_sources = self.sources_of(&stage);
        let label = label(node)?;
        let name = format!("{word}_{number}");
        let leaf = Leaf {
            leaf: LeafId::Operator(self.operators.len()),
            title: name.clone(),
            projection: None,
            schema: LeafSchema(Arc::clone(node.schema())),
            label: label.clone(),
        };
        self.stages.push(stage);
        self.operators.push(OperatorPlan { name, kind, domain, watermark_sources, label });
        Ok(extension(leaf))
    }

    fn sources_of(&self, stage: &Stage) -> BTreeSet<usize> {
        let mut sources = BTreeSet::new();
        for input in &stage.inputs {
            match input {
                LeafId::Source(source) => {
                    sources.insert(*source);
                }
                LeafId::Operator(operator) => sources.extend(&self.operators[*operator].watermark_sources),
                LeafId::Table(_) => {}
            }
        }
        sources
    }

    fn source_leaf(&self, scan: &TableScan, node: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        let Some(stream) = stream_of(scan) else { return Ok(None) };
        let Some(source) = self.sources.iter().position(|source| source.table.name == stream.name) else { return Ok(None) };
        let read = &self.sources[source].columns;
        let wanted = wanted_columns(scan, &stream);
        let projection: Vec<usize> = wanted.iter().filter_map(|column| read.binary_search(column).ok()).collect();
        let all = projection.len() == read.len() && projection.is_sorted();
        Ok(Some(extension(Leaf {
            leaf: LeafId::Source(source),
            title: stream.name.clone(),
            projection: (!all).then_some(projection),
            schema: LeafSchema(Arc::clone(node.schema())),
            label: label(node)?,
        })))
    }

    fn table_leaf(&mut self, node: LogicalPlan) -> Result<LogicalPlan> {
        let leaf = Leaf {
            leaf: LeafId::Table(self.tables.len()),
            title: format!("table {}", self.tables.len() + 1),
            projection: None,
            schema: LeafSchema(Arc::clone(node.schema())),
            label: label(&node)?,
        };
        self.tables.push(node);
        Ok(extension(leaf))
    }

    fn cut_aggregate(&mut self, node: &WindowAggregate, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let aggregate = &node.aggregate;
        let input = label(&aggregate.input)?;
        let schema = aggregate.input.schema();
        let window_keys: Vec<Option<Role>> = aggregate
            .group_expr
            .iter()
            .map(|expr| Some(input.role_of(expr, schema)).filter(|role| node.window != WindowSpec::Global && role.window().is_some()))
            .collect();
        let plain_keys = aggregate.group_expr.iter().zip(&window_keys).filter(|(_, window)| window.is_none()).map(|(expr, _)| expr);
        let uses_window = plain_keys.chain(&aggregate.aggr_expr).any(|expr| reads_window(expr, &input, schema));
        let fused = if node.window == WindowSpec::Global || uses_window { None } else { strip_assign(&aggregate.input)? };
        let (below, time) = match fused {
            Some((below, time)) => (below, AggregateTime::EventTime(time)),
            None if node.window == WindowSpec::Global => (aggregate.input.as_ref().clone(), AggregateTime::Nothing),
            None => (aggregate.input.as_ref().clone(), assigned_time(&input, schema, node.window)?),
        };
        let stage = self.stage(&below)?;
        let kind = OperatorKind::Aggregate { window: node.window, time, aggregate: aggregate.clone(), window_keys };
        self.push_operator(stage, kind, node.domain, "aggregate", plan)
    }
}

/// By event time, where there is one. Groups of a closed window come in no order of their own.
fn row_order(input: &Label) -> RowOrder {
    let time = input.roles.iter().position(|role| role.time_domain() == Some(TimeDomain::Event));
    RowOrder { time, by_content: time.is_some() && input.flow == Flow::Closed }
}

/// Operators that feed one stage close by the same watermark: the smallest of all sources below that stage.
fn share_watermarks(pipeline: &mut PipelinePlan) {
    let stages: Vec<BTreeSet<LeafId>> = pipeline.stages.iter().chain([&pipeline.result]).map(|stage| stage.inputs.clone()).collect();
    // From the result down, so that a union of sources reaches operators below operators.
    for inputs in stages.iter().rev() {
        let operators: Vec<usize> = inputs.iter().filter_map(|leaf| if let LeafId::Operator(n) = leaf { Some(*n) } else { None }).collect();
        if operators.len() < 2 {
            continue;
        }
        let all: BTreeSet<usize> = operators.iter().flat_map(|&n| pipeline.operators[n].watermark_sources.clone()).collect();
        for operator in operators {
            pipeline.operators[operator].watermark_sources.clone_from(&all);
        }
    }
}

/// What goes into state must come out the same when input is read again.
fn refuse_chance(plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| {
        node.expressions().iter().try_for_each(refuse_chance_in)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn refuse_chance_in(expr: &Expr) -> Result<()> {
    expr.apply(|expr| match expr {
        Expr::ScalarFunction(function) if matches!(function.name(), "random" | "uuid") => plan_err!(
            "{}() below a window would give other rows when the input is read again after a failure (hint: use it above the window, or take the value from the data)",
            function.name()
        ),
        _ => Ok(TreeNodeRecursion::Continue),
    })?;
    Ok(())
}

fn stream_of(scan: &TableScan) -> Option<StreamTable> {
    source_as_provider(&scan.source).ok()?.downcast_ref::<StreamTable>().cloned()
}

fn wanted_columns(scan: &TableScan, stream: &StreamTable) -> Vec<usize> {
    scan.projection.clone().unwrap_or_else(|| (0..stream.schema.fields().len()).collect())
}

/// Every stream below, with the columns that any of its scans reads.
fn collect_sources(plan: &LogicalPlan) -> Result<Vec<SourceScan>> {
    let mut found: BTreeMap<String, (StreamTable, BTreeSet<usize>)> = BTreeMap::new();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(stream) = stream_of(scan)
        {
            let wanted = wanted_columns(scan, &stream);
            found.entry(stream.name.clone()).or_insert_with(|| (stream, BTreeSet::new())).1.extend(wanted);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found.into_values().map(|(table, columns)| SourceScan { table: Arc::new(table), columns: columns.into_iter().collect() }).collect())
}

/// True if an expression reads a window column.
fn reads_window(expr: &Expr, input: &Label, schema: &datafusion::common::DFSchema) -> bool {
    expr.column_refs().into_iter().any(|column| input.role_of(&Expr::Column(column.clone()), schema).window().is_some())
}

/// The window column by which already assigned rows are aggregated.
fn assigned_time(input: &Label, schema: &datafusion::common::DFSchema, window: WindowSpec) -> Result<AggregateTime> {
    let size = window.size_ms().unwrap_or(0);
    let to_start = |role: &Role| match role {
        Role::WindowStart(spec, _) if *spec == window => Some(0),
        Role::WindowEnd(spec, _) if *spec == window => Some(-size),
        Role::WindowTime(spec, _) if *spec == window => Some(1 - size),
        _ => None,
    };
    let found = input.roles.iter().enumerate().find_map(|(index, role)| Some((index, to_start(role)?)));
    match found {
        Some((index, to_start_ms)) => Ok(AggregateTime::Assigned { column: Column::from(schema.qualified_field(index)), to_start_ms }),
        None => plan_err!("the columns of {window} are not in the input of this aggregate"),
    }
}

/// A chain of projections and filters over a [`WindowAssign`] without it, and the time column that comes out, so that rows are
/// aggregated by pane without ever being assigned. `None` if something in between reads a window column.
fn strip_assign(plan: &LogicalPlan) -> Result<Option<(LogicalPlan, Column)>> {
    if let Some(assign) = as_node::<WindowAssign>(plan) {
        return Ok((!assign.buffered).then(|| (assign.input.as_ref().clone(), assign.time.clone())));
    }
    let input_of = |input: &LogicalPlan| label(input);
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let Some((input, time)) = strip_assign(&alias.input)? else { return Ok(None) };
            let plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?);
            Ok(Some((plan, Column::new(Some(alias.alias.clone()), time.name))))
        }
        LogicalPlan::Filter(filter) => {
            if reads_window(&filter.predicate, &input_of(&filter.input)?, filter.input.schema()) {
                return Ok(None);
            }
            let Some((input, time)) = strip_assign(&filter.input)? else { return Ok(None) };
            Ok(Some((LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?), time)))
        }
        LogicalPlan::Projection(projection) => strip_projection(projection),
        _ => Ok(None),
    }
}

fn strip_projection(projection: &Projection) -> Result<Option<(LogicalPlan, Column)>> {
    let input = label(&projection.input)?;
    let schema = projection.input.schema();
    let mut exprs = Vec::new();
    for expr in &projection.expr {
        if input.role_of(expr, schema).window().is_some() {
            continue;
        }
        if reads_window(expr, &input, schema) {
            return Ok(None);
        }
        exprs.push(expr.clone());
    }
    let Some((below, time)) = strip_assign(&projection.input)? else { return Ok(None) };
    let is_time = |expr: &Expr| matches!(expr, Expr::Column(column) if *column == time);
    if !exprs.iter().any(is_time) {
        exprs.push(Expr::Column(time.clone()));
    }
    // A name clash of the added column leaves the rows to be assigned instead.
    Ok(Projection::try_new(exprs, Arc::new(below)).ok().map(|projection| (LogicalPlan::Projection(projection), time)))
}
