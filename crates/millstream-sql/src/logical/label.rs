//! What is known of a logical node's output: how its rows come, and which of its columns carry time.
//!
//! | flow | rows |
//! |---|---|
//! | [`Flow::Bounded`] | all there when asked: VALUES, stored tables, tables of a program |
//! | [`Flow::Append`] | come epoch by epoch |
//! | [`Flow::Closed`] | come window by window, each window whole |
//! | [`Flow::AtEnd`] | come once, at the end of a bounded input |

use std::collections::BTreeSet;
use std::fmt;

use datafusion::common::{Column, DFSchema, JoinType, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Aggregate, Expr, Join, LogicalPlan};
use millstream_time::WindowSpec;

use super::nodes::{EndBuffer, Leaf, OrderedNode, StreamLimitNode, WindowAggregate, WindowAssign};
use super::stream_table::StreamTable;

/// How rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flow {
    /// All there when asked.
    Bounded,
    /// Epoch by epoch.
    Append,
    /// Window by window, whole.
    Closed,
    /// Once, at the end of the input.
    AtEnd,
}

/// By which clock a window closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimeDomain {
    /// By the watermark.
    Event,
    /// By the epoch clock.
    Processing,
}

/// What a column is to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// An ordinary column.
    Plain,
    /// A time attribute: windows may be cut over it.
    Time(TimeDomain),
    /// First millisecond of the row's window.
    WindowStart(WindowSpec, TimeDomain),
    /// First millisecond after the row's window.
    WindowEnd(WindowSpec, TimeDomain),
    /// Last millisecond of the row's window: a time attribute too.
    WindowTime(WindowSpec, TimeDomain),
}

impl Role {
    /// The window that the column identifies, if it does.
    pub fn window(self) -> Option<(WindowSpec, TimeDomain)> {
        match self {
            Self::WindowStart(spec, domain) | Self::WindowEnd(spec, domain) | Self::WindowTime(spec, domain) => Some((spec, domain)),
            Self::Plain | Self::Time(_) => None,
        }
    }

    /// The clock of a time attribute.
    pub fn time_domain(self) -> Option<TimeDomain> {
        match self {
            Self::Time(domain) | Self::WindowTime(_, domain) => Some(domain),
            _ => None,
        }
    }
}

/// What is known of a node's output.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// How rows come.
    pub flow: Flow,
    /// One role a column.
    pub roles: Vec<Role>,
    /// Names of the streams below.
    pub streams: BTreeSet<String>,
    /// True if all streams below end by themselves.
    pub ends: bool,
}

impl Label {
    fn bounded(columns: usize) -> Self {
        Self { flow: Flow::Bounded, roles: vec![Role::Plain; columns], streams: BTreeSet::new(), ends: true }
    }

    /// True if no stream is below or all rows come at once.
    pub fn at_once(&self) -> bool {
        matches!(self.flow, Flow::Bounded | Flow::AtEnd)
    }

    /// The window whose columns come out, if any.
    pub fn window(&self) -> Option<(WindowSpec, TimeDomain)> {
        self.roles.iter().find_map(|role| role.window())
    }

    /// The role of an expression over a schema with this label.
    pub fn role_of(&self, expr: &Expr, schema: &DFSchema) -> Role {
        match expr {
            Expr::Alias(alias) => self.role_of(&alias.expr, schema),
            Expr::Column(column) => self.role_of_column(column, schema),
            _ => Role::Plain,
        }
    }

    fn role_of_column(&self, column: &Column, schema: &DFSchema) -> Role {
        schema.maybe_index_of_column(column).and_then(|index| self.roles.get(index).copied()).unwrap_or(Role::Plain)
    }

    /// Rows that come from here and there.
    fn join_flows(mut self, other: &Self) -> Self {
        self.streams.extend(other.streams.iter().cloned());
        self.ends &= other.ends;
        self.flow = match (self.flow, other.flow) {
            (Flow::Bounded, flow) | (flow, Flow::Bounded) => flow,
            (left, right) if left == right => left,
            _ => Flow::Append,
        };
        self
    }

    /// The same flow with other columns; windows without any window column are no windows any more.
    pub fn with_roles(mut self, roles: Vec<Role>) -> Self {
        self.roles = roles;
        if self.flow == Flow::Closed && self.window().is_none() {
            self.flow = Flow::Append;
        }
        self
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flow {
            Flow::Bounded => f.write_str("bounded"),
            Flow::AtEnd => f.write_str("once, at end of input"),
            Flow::Append => f.write_str("append stream"),
            Flow::Closed => match self.window() {
                Some((spec, _)) => write!(f, "closed windows of {spec}"),
                None => f.write_str("closed windows"),
            },
        }
    }
}

/// The label of a node. Pure: looks only at the plan.
pub fn label(plan: &LogicalPlan) -> Result<Label> {
    let columns = plan.schema().fields().len();
    Ok(match plan {
        LogicalPlan::TableScan(scan) => label_scan(scan, columns),
        LogicalPlan::Projection(projection) => project(label(&projection.input)?, &projection.expr, projection.input.schema()),
        LogicalPlan::Filter(filter) => label(&filter.input)?,
        LogicalPlan::SubqueryAlias(alias) => label(&alias.input)?,
        LogicalPlan::Sort(sort) => label(&sort.input)?,
        LogicalPlan::Limit(limit) => label(&limit.input)?,
        LogicalPlan::Distinct(_) | LogicalPlan::Repartition(_) | LogicalPlan::Subquery(_) => label(plan.inputs()[0])?,
        LogicalPlan::Aggregate(aggregate) => label_aggregate(aggregate)?,
        LogicalPlan::Window(window) => {
            let mut label = label(&window.input)?;
            label.roles.resize(columns, Role::Plain);
            label
        }
        LogicalPlan::Join(join) => label_join(join)?,
        LogicalPlan::Union(union) => label_union(&union.inputs)?,
        LogicalPlan::Unnest(unnest) => {
            let label = label(&unnest.input)?;
            let input = unnest.input.schema();
            let roles = plan.schema().iter().map(|(qualifier, field)| {
                let column = Column::new(qualifier.cloned(), field.name());
                label.role_of_column(&column, input)
            });
            let roles = roles.collect();
            label.with_roles(roles)
        }
        LogicalPlan::Extension(extension) => label_extension(plan, extension.node.as_any(), columns)?,
        _ => {
            let mut all = Label::bounded(columns);
            for input in plan.inputs() {
                all = all.join_flows(&label(input)?);
            }
            all.with_roles(vec![Role::Plain; columns])
        }
    })
}

fn label_scan(scan: &datafusion::logical_expr::TableScan, columns: usize) -> Label {
    let provider = source_as_provider(&scan.source).ok();
    let Some(stream) = provider.as_ref().and_then(|provider| provider.downcast_ref::<StreamTable>()) else {
        return Label::bounded(columns);
    };
    let role = |index: usize| {
        if stream.event_time == Some(index) {
            Role::Time(TimeDomain::Event)
        } else if stream.processing_time.contains(&index) {
            Role::Time(TimeDomain::Processing)
        } else {
            Role::Plain
        }
    };
    let roles = match &scan.projection {
        Some(projection) => projection.iter().map(|&index| role(index)).collect(),
        None => (0..columns).map(role).collect(),
    };
    Label { flow: Flow::Append, roles, streams: BTreeSet::from([stream.name.clone()]), ends: stream.bounded }
}

fn project(input: Label, exprs: &[Expr], schema: &DFSchema) -> Label {
    let roles = exprs.iter().map(|expr| input.role_of(expr, schema)).collect();
    input.with_roles(roles)
}

/// Plain DataFusion aggregates: exact over windows if they group by the window, and over what comes at once.
fn label_aggregate(aggregate: &Aggregate) -> Result<Label> {
    let input = label(&aggregate.input)?;
    let mut roles: Vec<Role> = aggregate.group_expr.iter().map(|expr| input.role_of(expr, aggregate.input.schema())).collect();
    roles.resize(aggregate.schema.fields().len(), Role::Plain);
    Ok(input.with_roles(roles))
}

fn label_join(join: &Join) -> Result<Label> {
    let (left, right) = (label(&join.left)?, label(&join.right)?);
    let plain = |label: &Label| vec![Role::Plain; label.roles.len()];
    let both = left.clone().join_flows(&right);
    let roles = match join.join_type {
        JoinType::Inner => [left.roles, right.roles].concat(),
        JoinType::Left => [left.roles.clone(), plain(&right)].concat(),
        JoinType::Right => [plain(&left), right.roles].concat(),
        JoinType::Full => [plain(&left), plain(&right)].concat(),
        JoinType::LeftSemi | JoinType::LeftAnti => left.roles,
        JoinType::RightSemi | JoinType::RightAnti => right.roles,
        JoinType::LeftMark => [left.roles, vec![Role::Plain]].concat(),
        JoinType::RightMark => [right.roles, vec![Role::Plain]].concat(),
    };
    Ok(both.with_roles(roles))
}

fn label_union(inputs: &[std::sync::Arc<LogicalPlan>]) -> Result<Label> {
    let mut labels = inputs.iter().map(|input| label(input));
    let Some(first) = labels.next() else { return Ok(Label::bounded(0)) };
    let mut all = first?;
    for next in labels {
        let next = next?;
        let roles = all.roles.iter().zip(&next.roles).map(|(a, b)| union_role(*a, *b)).collect();
        all = all.join_flows(&next).with_roles(roles);
    }
    Ok(all)
}

/// Time attributes of different kinds are still time attributes together.
fn union_role(a: Role, b: Role) -> Role {
    match (a, b) {
        _ if a == b => a,
        _ if a.time_domain().is_some() && a.time_domain() == b.time_domain() => Role::Time(a.time_domain().unwrap_or(TimeDomain::Event)),
        _ => Role::Plain,
    }
}

fn label_extension(plan: &LogicalPlan, node: &dyn std::any::Any, columns: usize) -> Result<Label> {
    if let Some(assign) = node.downcast_ref::<WindowAssign>() {
        let input = label(&assign.input)?;
        let mut roles: Vec<Role> = input.roles.iter().map(|role| if role.window().is_some() { Role::Plain } else { *role }).collect();
        roles.extend(assign.window_roles());
        let flow = if assign.buffered && input.flow != Flow::Bounded { Flow::Closed } else { input.flow };
        let flow = if flow == Flow::Closed && !assign.buffered { Flow::Append } else { flow };
        return Ok(Label { flow, roles, ..input });
    }
    if let Some(aggregate) = node.downcast_ref::<WindowAggregate>() {
        let mut label = label(&aggregate.aggregate.input)?;
        let schema = aggregate.aggregate.input.schema();
        let mut roles: Vec<Role> = aggregate.aggregate.group_expr.iter().map(|expr| label.role_of(expr, schema)).collect();
        roles.resize(columns, Role::Plain);
        label.flow = match (label.flow, aggregate.window) {
            (Flow::Bounded, _) => Flow::Bounded,
            (Flow::AtEnd, _) | (_, WindowSpec::Global) => Flow::AtEnd,
            _ => Flow::Closed,
        };
        label.roles = roles;
        return Ok(label);
    }
    if let Some(buffer) = node.downcast_ref::<EndBuffer>() {
        return Ok(Label { flow: Flow::AtEnd, ..label(&buffer.input)? });
    }
    if let Some(limit) = node.downcast_ref::<StreamLimitNode>() {
        return label(&limit.input);
    }
    if let Some(ordered) = node.downcast_ref::<OrderedNode>() {
        let mut label = label(&ordered.input)?;
        label.roles.resize(columns, Role::Plain);
        return Ok(label);
    }
    if let Some(leaf) = node.downcast_ref::<Leaf>() {
        return Ok(leaf.label.clone());
    }
    let mut all = Label::bounded(columns);
    for input in plan.inputs() {
        all = all.join_flows(&label(input)?);
    }
    Ok(all)
}
