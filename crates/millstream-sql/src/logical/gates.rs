//! Puts a gate wherever something needs whole windows, and refuses what could never end. Runs on the optimized plan.
//!
//! | node | input flows | becomes |
//! |---|---|---|
//! | aggregate | append, by window | `WindowAggregate` |
//! | aggregate | closed, by window | as it is |
//! | join | windows with equal windows | buffers below, then as it is |
//! | join | a stream with a bounded table | as it is, if the table's unmatched rows are not asked for |
//! | OVER | by window | buffers below, then as it is |
//! | ORDER BY | closed, window first | as it is |
//! | LIMIT | append or closed | `StreamLimit` |
//! | LEARN | append, closed or at the end | `OrderedRows`; over what is bounded `OrderedExec` |
//! | any of these otherwise | all inputs end | rows are held to the end of the input |
//! | any of these otherwise | some input does not end | refused |

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, plan_err};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, FetchType, Join, Limit, LogicalPlan, SkipType, Sort};
use millstream_time::WindowSpec;

use super::label::{Flow, Label, TimeDomain, label};
use super::nodes::{EndBuffer, StreamLimitNode, WindowAggregate, WindowAssign, as_node, extension};
use super::window_rule::window_aggregate;

/// The plan with its gates.
pub fn insert_gates(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up(|node| gate(node).map(Transformed::yes))?.data)
}

fn gate(node: LogicalPlan) -> Result<LogicalPlan> {
    refuse_subqueries(&node)?;
    match node {
        LogicalPlan::Aggregate(aggregate) => gate_aggregate(aggregate),
        LogicalPlan::Join(join) => gate_join(join),
        LogicalPlan::Window(window) => {
            let input = label(&window.input)?;
            let by_window = |input: &Label| window.window_expr.iter().all(|expr| partitioned_by_window(expr, input, window.input.schema()));
            if input.at_once() || (input.flow == Flow::Closed && by_window(&input)) {
                return Ok(LogicalPlan::Window(window));
            }
            let closed = close_windows(&window.input)?;
            let held = label(&closed)?;
            if held.flow == Flow::Closed && by_window(&held) {
                return LogicalPlan::Window(window.clone()).with_new_exprs(window.window_expr, vec![closed]);
            }
            let held = hold_to_end(
                Arc::unwrap_or_clone(window.input.clone()),
                "a window function (OVER)",
                "PARTITION BY window_start, window_end over TUMBLE(…) or HOP(…) rows",
            )?;
            LogicalPlan::Window(window.clone()).with_new_exprs(window.window_expr, vec![held])
        }
        LogicalPlan::Sort(sort) => gate_sort(sort),
        LogicalPlan::Limit(limit) => gate_limit(limit),
        LogicalPlan::Distinct(Distinct::All(ref input)) if label(input)?.flow == Flow::Append => {
            let all = input.schema().columns().into_iter().map(Expr::Column).collect();
            gate_aggregate(Aggregate::try_new(Arc::clone(input), all, vec![])?)
        }
        LogicalPlan::Distinct(Distinct::On(ref on)) if !label(&on.input)?.at_once() => {
            plan_err!(
                "DISTINCT ON over a stream is not supported (hint: ROW_NUMBER() OVER (PARTITION BY window_start, window_end, … ORDER BY …) = 1)"
            )
        }
        LogicalPlan::Union(ref union) => {
            for input in &union.inputs {
                if !is_empty(input) && label(input)?.flow == Flow::Bounded && label(&node)?.flow != Flow::Bounded {
                    return plan_err!(
                        "UNION ALL of a stream and a table that is no stream is not supported (hint: give the table a connector, so that it is read once as a stream)"
                    );
                }
            }
            Ok(node)
        }
        LogicalPlan::RecursiveQuery(_) if label(&node)?.flow != Flow::Bounded => {
            plan_err!("WITH RECURSIVE over a stream is not supported (hint: it works over tables that are no streams)")
        }
        node => gate_extension(node),
    }
}

/// True if it is known that no row comes out: the optimizer has proved a leaf empty, and nothing above makes rows of nothing.
fn is_empty(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::EmptyRelation(empty) => !empty.produce_one_row,
        LogicalPlan::Aggregate(aggregate) => {
            let by_key = !aggregate.group_expr.is_empty() && !aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
            by_key && is_empty(&aggregate.input)
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => is_empty(&join.left) || is_empty(&join.right),
            JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => is_empty(&join.left),
            JoinType::Right | JoinType::RightAnti | JoinType::RightMark => is_empty(&join.right),
            JoinType::Full => is_empty(&join.left) && is_empty(&join.right),
        },
        LogicalPlan::Extension(_) => match as_node::<WindowAggregate>(plan) {
            Some(windowed) => is_empty(&LogicalPlan::Aggregate(windowed.aggregate.clone())),
            None => inputs_are_empty(plan),
        },
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Unnest(_) => inputs_are_empty(plan),
        _ => false,
    }
}

fn inputs_are_empty(plan: &LogicalPlan) -> bool {
    let inputs = plan.inputs();
    !inputs.is_empty() && inputs.into_iter().all(is_empty)
}

fn gate_extension(node: LogicalPlan) -> Result<LogicalPlan> {
    let Some(windowed) = as_node::<WindowAggregate>(&node) else { return Ok(node) };
    match label(&windowed.aggregate.input)?.flow {
        Flow::Append if needs_sorted_rows(&windowed.aggregate) => {
            let closed = Arc::new(close_windows(&windowed.aggregate.input)?);
            if label(&closed)?.flow != Flow::Closed {
                return plan_err!("an aggregate that needs its rows sorted (nth_value) takes rows of one TUMBLE or HOP");
            }
            let Aggregate { group_expr, aggr_expr, schema, .. } = windowed.aggregate.clone();
            Ok(LogicalPlan::Aggregate(Aggregate::try_new_with_schema(closed, group_expr, aggr_expr, schema)?))
        }
        Flow::Append => Ok(node),
        // Whole windows or everything at once: DataFusion's own aggregate is exact.
        _ => Ok(LogicalPlan::Aggregate(windowed.aggregate.clone())),
    }
}

fn gate_aggregate(aggregate: Aggregate) -> Result<LogicalPlan> {
    let input = label(&aggregate.input)?;
    if input.at_once() {
        return Ok(LogicalPlan::Aggregate(aggregate));
    }
    if let Some(node) = window_aggregate(&aggregate)? {
        return gate_extension(extension(node));
    }
    let schema = aggregate.input.schema();
    let by_window = aggregate.group_expr.iter().any(|expr| input.role_of(expr, schema).window().is_some());
    if input.flow == Flow::Closed && by_window {
        return Ok(LogicalPlan::Aggregate(aggregate));
    }
    if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) || needs_sorted_rows(&aggregate) {
        let what = "an aggregate without a window";
        let held = hold_to_end(Arc::unwrap_or_clone(aggregate.input), what, "a window in GROUP BY")?;
        return Ok(LogicalPlan::Aggregate(Aggregate::try_new_with_schema(
            Arc::new(held),
            aggregate.group_expr,
            aggregate.aggr_expr,
            aggregate.schema,
        )?));
    }
    if !input.ends {
        return refuse(
            &input,
            "GROUP BY or DISTINCT without a window",
            "group by window_start, window_end of TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)",
        );
    }
    Ok(extension(WindowAggregate { aggregate, window: WindowSpec::Global, domain: TimeDomain::Event }))
}

/// True if an aggregate is wrong unless it is fed in the order of its ORDER BY: its rows are then held until their window closes,
/// and DataFusion sorts and aggregates them.
fn needs_sorted_rows(aggregate: &Aggregate) -> bool {
    aggregate.aggr_expr.iter().any(|expr| match expr.clone().unalias() {
        Expr::AggregateFunction(function) => {
            let sorted = !function.params.order_by.is_empty() && !function.func.supports_within_group_clause();
            sorted && function.func.order_sensitivity().hard_requires()
        }
        _ => false,
    })
}

fn gate_join(join: Join) -> Result<LogicalPlan> {
    let (left, right) = (label(&join.left)?, label(&join.right)?);
    if left.at_once() && right.at_once() {
        return Ok(LogicalPlan::Join(join));
    }
    if right.flow == Flow::Bounded || left.flow == Flow::Bounded {
        let stream_is_left = right.flow == Flow::Bounded;
        let exact = match join.join_type {
            JoinType::Inner => true,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => stream_is_left,
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => !stream_is_left,
            JoinType::Full => false,
        };
        if exact {
            return Ok(LogicalPlan::Join(join));
        }
    } else {
        let rebuilt = Join { left: Arc::new(close_windows(&join.left)?), right: Arc::new(close_windows(&join.right)?), ..join.clone() };
        let (left, right) = (label(&rebuilt.left)?, label(&rebuilt.right)?);
        if left.flow == Flow::Closed && right.flow == Flow::Closed && joined_by_window(&rebuilt, &left, &right) {
            return Ok(LogicalPlan::Join(rebuilt));
        }
    }
    let what = if right.flow == Flow::Bounded || left.flow == Flow::Bounded {
        "an outer join that keeps the rows of a table that is no stream"
    } else {
        "a join of two streams without a common window"
    };
    let hint = "join TUMBLE(…) or HOP(…) of both ON a.window_start = b.window_start AND a.window_end = b.window_end AND …";
    let hold = |side: Arc<LogicalPlan>, label: &Label| -> Result<Arc<LogicalPlan>> {
        if label.at_once() { Ok(side) } else { Ok(Arc::new(hold_to_end(Arc::unwrap_or_clone(side), what, hint)?)) }
    };
    Ok(LogicalPlan::Join(Join { left: hold(join.left, &left)?, right: hold(join.right, &right)?, ..join }))
}

/// True if the join's equalities contain the window: start with start, end with end, or time with time, of the same windows.
fn joined_by_window(join: &Join, left: &Label, right: &Label) -> bool {
    join.on.iter().any(|(l, r)| {
        let roles = (left.role_of(l, join.left.schema()), right.role_of(r, join.right.schema()));
        roles.0 == roles.1 && roles.0.window().is_some()
    })
}

fn partitioned_by_window(expr: &Expr, input: &Label, schema: &datafusion::common::DFSchema) -> bool {
    match expr {
        Expr::Alias(alias) => partitioned_by_window(&alias.expr, input, schema),
        Expr::WindowFunction(function) => function.params.partition_by.iter().any(|expr| input.role_of(expr, schema).window().is_some()),
        _ => false,
    }
}

fn gate_sort(sort: Sort) -> Result<LogicalPlan> {
    let input = label(&sort.input)?;
    if input.at_once() {
        return Ok(LogicalPlan::Sort(sort));
    }
    let closed = close_windows(&sort.input)?;
    let held = label(&closed)?;
    let by_window = sort.expr.first().is_some_and(|first| first.asc && held.role_of(&first.expr, closed.schema()).window().is_some());
    if held.flow == Flow::Closed && by_window {
        // Sorted release by release is sorted for ever; what a fetch would cut off counts across releases.
        let fetch = sort.fetch;
        let sorted = LogicalPlan::Sort(Sort { input: Arc::new(closed), fetch: None, ..sort });
        return Ok(match fetch {
            Some(rows) => extension(StreamLimitNode { input: Arc::new(sorted), offset: 0, limit: Some(rows as u64) }),
            None => sorted,
        });
    }
    let held =
        hold_to_end(Arc::unwrap_or_clone(sort.input.clone()), "ORDER BY over a stream", "ORDER BY window_start or window_end first")?;
    Ok(LogicalPlan::Sort(Sort { input: Arc::new(held), ..sort }))
}

fn gate_limit(limit: Limit) -> Result<LogicalPlan> {
    if label(&limit.input)?.at_once() {
        return Ok(LogicalPlan::Limit(limit));
    }
    let (SkipType::Literal(offset), FetchType::Literal(rows)) = (limit.get_skip_type()?, limit.get_fetch_type()?) else {
        return plan_err!("LIMIT and OFFSET over a stream take constants");
    };
    Ok(extension(StreamLimitNode { input: limit.input, offset: offset as u64, limit: rows.map(|rows| rows as u64) }))
}

/// The plan with gates put where rows were only assigned to windows, so that they come window by window.
fn close_windows(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let closed = plan.clone().transform_down(|node| {
        if let Some(assign) = as_node::<WindowAssign>(&node) {
            let flows = label(&assign.input)?.flow == Flow::Append || label(&assign.input)?.flow == Flow::Closed;
            let gated = if flows {
                extension(WindowAssign::try_new(Arc::clone(&assign.input), assign.spec, assign.time.clone(), assign.domain, true)?)
            } else {
                node
            };
            return Ok(Transformed::new(gated, true, TreeNodeRecursion::Jump));
        }
        let stateless =
            matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Join(_));
        let recursion = if stateless { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Jump };
        Ok(Transformed::new(node, false, recursion))
    })?;
    Ok(closed.data)
}

/// The plan with its rows held to the end of the input; refused if the input may not end.
fn hold_to_end(plan: LogicalPlan, what: &str, hint: &str) -> Result<LogicalPlan> {
    let label = label(&plan)?;
    if !label.ends {
        return refuse(&label, what, hint);
    }
    Ok(extension(EndBuffer { input: Arc::new(plan) }))
}

fn refuse<T>(label: &Label, what: &str, hint: &str) -> Result<T> {
    let streams = label.streams.iter().cloned().collect::<Vec<_>>().join(", ");
    plan_err!("{what} would wait for the end of {streams}, which may never come (hint: {hint}; or bound the source)")
}

/// Subqueries that the optimizer could not turn into joins would be run once per epoch.
fn refuse_subqueries(node: &LogicalPlan) -> Result<()> {
    let mut found = None;
    node.apply_subqueries(|subquery| {
        if label(subquery)?.flow != Flow::Bounded || !node.inputs().is_empty() && label(node.inputs()[0])?.flow != Flow::Bounded {
            found = Some(());
        }
        Ok(TreeNodeRecursion::Stop)
    })?;
    match found {
        Some(()) => plan_err!("this subquery over a stream is not supported (hint: write it as a join)"),
        None => Ok(()),
    }
}
