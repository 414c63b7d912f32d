//! Our logical nodes.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, internal_err, plan_err};
use datafusion::logical_expr::{Aggregate, Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use millstream_operators::{LeafId, MakeTransform, window_fields};
use millstream_time::WindowSpec;

use super::label::{Label, Role, TimeDomain};

/// Makes an extension node a plan.
pub fn extension<T: UserDefinedLogicalNodeCore>(node: T) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

/// The node inside a plan, if it is a `T`.
pub fn as_node<T: 'static>(plan: &LogicalPlan) -> Option<&T> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}

fn one_input(mut inputs: Vec<LogicalPlan>, node: &str) -> Result<Arc<LogicalPlan>> {
    match (inputs.pop(), inputs.is_empty()) {
        (Some(input), true) => Ok(Arc::new(input)),
        _ => internal_err!("{node} takes one input"),
    }
}

/// `TUMBLE(…)` or `HOP(…)` in FROM: the input's rows with `window_start`, `window_end` and `window_time`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowAssign {
    /// The rows.
    pub input: Arc<LogicalPlan>,
    /// The windows.
    pub spec: WindowSpec,
    /// The time attribute of the input.
    pub time: Column,
    /// By which clock windows close.
    pub domain: TimeDomain,
    /// True once a gate was put here: rows come out window by window.
    pub buffered: bool,
    schema: DFSchemaRef,
}

impl WindowAssign {
    /// A node over `input`; refuses an input that has window columns of these names already.
    pub fn try_new(input: Arc<LogicalPlan>, spec: WindowSpec, time: Column, domain: TimeDomain, buffered: bool) -> Result<Self> {
        let (_, field) = input.schema().qualified_field_from_column(&time)?;
        let mut fields: Vec<_> = input.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        for window in window_fields(field.data_type()) {
            if fields.iter().any(|(_, field)| field.name() == window.name()) {
                let name = window.name();
                return plan_err!(
                    "column {name} exists already in the input of {spec} (hint: select its columns by name and rename {name})"
                );
            }
            fields.push((None, window));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Self { input, spec, time, domain, buffered, schema })
    }

    /// Roles of the three window columns.
    pub fn window_roles(&self) -> [Role; 3] {
        [Role::WindowStart(self.spec, self.domain), Role::WindowEnd(self.spec, self.domain), Role::WindowTime(self.spec, self.domain)]
    }
}

impl PartialOrd for WindowAssign {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.input, self.spec).partial_cmp(&(&other.input, other.spec))
    }
}

impl UserDefinedLogicalNodeCore for WindowAssign {
    fn name(&self) -> &'static str {
        "WindowAssign"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![Expr::Column(self.time.clone())]
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        ["window_start", "window_end", "window_time"].map(String::from).into()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowAssign: {} over {}", self.spec, self.time)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let time = match exprs.into_iter().next() {
            Some(Expr::Column(column)) => column,
            _ => self.time.clone(),
        };
        Self::try_new(one_input(inputs, "WindowAssign")?, self.spec, time, self.domain, self.buffered)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        let mut columns: Vec<usize> = output_columns.iter().copied().filter(|&column| column < width).collect();
        columns.extend(self.input.schema().maybe_index_of_column(&self.time));
        columns.sort_unstable();
        columns.dedup();
        Some(vec![columns])
    }
}

/// An aggregate whose groups are windows: released when the watermark passes a window's end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowAggregate {
    /// Input, keys (window columns among them) and aggregates, as DataFusion planned them.
    pub aggregate: Aggregate,
    /// The windows.
    pub window: WindowSpec,
    /// By which clock they close.
    pub domain: TimeDomain,
}

impl PartialOrd for WindowAggregate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.aggregate.partial_cmp(&other.aggregate)
    }
}

impl UserDefinedLogicalNodeCore for WindowAggregate {
    fn name(&self) -> &'static str {
        "WindowAggregate"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.aggregate.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.aggregate.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.aggregate.group_expr.iter().chain(&self.aggregate.aggr_expr).cloned().collect()
    }

    /// A condition on a key that is a column of the input can be checked before aggregating.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let key = |name: &str| self.aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::Column(column) if column.name == name));
        let window = |name: &str| name.starts_with("window_");
        let names = self.aggregate.schema.fields().iter().map(|field| field.name().clone());
        names.filter(|name| self.window == WindowSpec::Global || window(name) || !key(name)).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |exprs: &[Expr]| exprs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (keys, aggregates) = (list(&self.aggregate.group_expr), list(&self.aggregate.aggr_expr));
        write!(f, "WindowAggregate: {}, keys=[{keys}], aggregates=[{aggregates}]", self.window)
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let aggr_expr = exprs.split_off(self.aggregate.group_expr.len());
        let input = one_input(inputs, "WindowAggregate")?;
        let aggregate = Aggregate::try_new_with_schema(input, exprs, aggr_expr, Arc::clone(&self.aggregate.schema))?;
        Ok(Self { aggregate, ..self.clone() })
    }

    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.aggregate.input.schema();
        let exprs = self.aggregate.group_expr.iter().chain(&self.aggregate.aggr_expr);
        let mut columns: Vec<usize> = exprs.flat_map(Expr::column_refs).filter_map(|column| schema.maybe_index_of_column(column)).collect();
        columns.sort_unstable();
        columns.dedup();
        Some(vec![columns])
    }
}

/// Holds rows to the end of a bounded input, for what needs all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct EndBuffer {
    /// The rows.
    pub input: Arc<LogicalPlan>,
}

impl UserDefinedLogicalNodeCore for EndBuffer {
    fn name(&self) -> &'static str {
        "EndBuffer"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndBuffer")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(Self { input: one_input(inputs, "EndBuffer")? })
    }
}

/// LIMIT and OFFSET over rows that come epoch by epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct StreamLimitNode {
    /// The rows.
    pub input: Arc<LogicalPlan>,
    /// Rows passed over first.
    pub offset: u64,
    /// Rows let through after that.
    pub limit: Option<u64>,
}

impl UserDefinedLogicalNodeCore for StreamLimitNode {
    fn name(&self) -> &'static str {
        "StreamLimit"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamLimit: offset={}", self.offset)?;
        self.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(Self { input: one_input(inputs, "StreamLimit")?, ..self.clone() })
    }
}

/// Rows in a fixed order through something that remembers and adds columns: `LEARN(…)`.
#[derive(Clone, Debug)]
pub struct OrderedNode {
    /// The rows.
    pub input: Arc<LogicalPlan>,
    /// Makes what remembers; it knows columns of the input by number.
    pub maker: Arc<dyn MakeTransform>,
    schema: DFSchemaRef,
}

impl OrderedNode {
    /// A node over `input`; refuses an input that has columns of the added names already.
    pub fn try_new(input: Arc<LogicalPlan>, maker: Arc<dyn MakeTransform>) -> Result<Self> {
        let mut fields: Vec<_> = input.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        for added in maker.added() {
            if fields.iter().any(|(_, field)| field.name() == added.name()) {
                let (name, what) = (added.name(), maker.describe());
                return plan_err!(
                    "column {name} exists already in the input of {what} (hint: select its columns by name and rename {name})"
                );
            }
            fields.push((None, added));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Self { input, maker, schema })
    }
}

impl PartialEq for OrderedNode {
    fn eq(&self, other: &Self) -> bool {
        self.input == other.input && self.maker.describe() == other.maker.describe()
    }
}

impl Eq for OrderedNode {}

impl std::hash::Hash for OrderedNode {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.maker.describe().hash(state);
    }
}

impl PartialOrd for OrderedNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl UserDefinedLogicalNodeCore for OrderedNode {
    fn name(&self) -> &'static str {
        "Ordered"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ordered: {}", self.maker.describe())
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Self::try_new(one_input(inputs, "Ordered")?, Arc::clone(&self.maker))
    }

    /// Columns are known by number: all stay.
    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

/// Where a stage begins: a source, or an operator's output.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct Leaf {
    /// What is read.
    pub leaf: LeafId,
    /// Its name for EXPLAIN.
    pub title: String,
    /// Columns of the leaf's batches that come out.
    pub projection: Option<Vec<usize>>,
    /// What comes out.
    pub schema: LeafSchema,
    /// Its label.
    pub label: Label,
}

/// A schema that compares by its fields (plans must be ordered, schemas are not).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeafSchema(
    /// The schema.
    pub DFSchemaRef,
);

impl PartialOrd for LeafSchema {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Leaf {
    fn name(&self) -> &'static str {
        "Input"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema.0
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.schema.0.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "Input: {} [{}]", self.title, columns.join(", "))
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}
