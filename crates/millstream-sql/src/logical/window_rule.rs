//! Analyzer rule: an aggregate that groups by a window column becomes a [`WindowAggregate`], before the optimizer can rewrite it.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use super::label::{Flow, label};
use super::nodes::{WindowAggregate, extension};

/// See the module's page.
#[derive(Debug)]
pub struct WindowAggregateRule;

impl AnalyzerRule for WindowAggregateRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite)?.data)
    }

    fn name(&self) -> &'static str {
        "window_aggregate"
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => match window_aggregate(&aggregate)? {
            Some(node) => Ok(Transformed::yes(extension(node))),
            None => Ok(Transformed::no(LogicalPlan::Aggregate(aggregate))),
        },
        other => Ok(Transformed::no(other)),
    }
}

/// The aggregate as a window aggregate, if it groups rows that flow by a window they were assigned to.
pub(super) fn window_aggregate(aggregate: &Aggregate) -> Result<Option<WindowAggregate>> {
    let input = label(&aggregate.input)?;
    if input.flow != Flow::Append {
        return Ok(None);
    }
    let schema = aggregate.input.schema();
    let windows: Vec<_> = aggregate.group_expr.iter().filter_map(|expr| input.role_of(expr, schema).window()).collect();
    let Some(&(window, domain)) = windows.first() else {
        if input.window().is_some() && aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return plan_err!(
                "GROUPING SETS, CUBE and ROLLUP over a window are not supported yet (hint: aggregate once per window, then group that result by window_start, window_end and the sets)"
            );
        }
        return Ok(None);
    };
    if windows.iter().any(|&other| other != (window, domain)) {
        return plan_err!("GROUP BY mixes columns of two different windows");
    }
    Ok(Some(WindowAggregate { aggregate: aggregate.clone(), window, domain }))
}
