//! EXPLAIN of a pipeline: stages, operators, labels, and by which watermark each operator closes.

use datafusion::common::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::displayable;

use crate::logical::label::{TimeDomain, label};
use crate::logical::stages::{OperatorKind, OperatorPlan, PipelinePlan};
use crate::physical::PhysicalPipeline;

/// The pipeline in the order in which rows walk it, one line a node; with `physical`, DataFusion's plans too.
pub fn explain_pipeline(pipeline: &PipelinePlan, physical: Option<&PhysicalPipeline>) -> Result<Vec<String>> {
    let mut lines = vec![format!("Pipeline: {}", pipeline.label)];
    for source in &pipeline.sources {
        let columns: Vec<&str> = source.columns.iter().map(|&column| source.table.schema.field(column).name().as_str()).collect();
        let ends = if source.table.bounded { "bounded" } else { "unbounded" };
        lines.push(format!("Source {}: {ends}, reads [{}]", source.table.name, columns.join(", ")));
    }
    for (number, table) in pipeline.tables.iter().enumerate() {
        lines.push(format!("Table {}: read once", number + 1));
        explain_plan(table, 1, &mut lines)?;
    }
    for (number, (stage, operator)) in pipeline.stages.iter().zip(&pipeline.operators).enumerate() {
        lines.push(format!("Stage {}: feeds {}", number + 1, operator.name));
        explain_plan(&stage.plan, 1, &mut lines)?;
        if let Some(physical) = physical {
            explain_physical(physical.stages[number].plan.as_ref(), &mut lines);
        }
        lines.push(explain_operator(operator, pipeline));
    }
    lines.push(format!("Stage {}: gives the result", pipeline.stages.len() + 1));
    explain_plan(&pipeline.result.plan, 1, &mut lines)?;
    if let Some(physical) = physical {
        explain_physical(physical.result.plan.as_ref(), &mut lines);
    }
    Ok(lines)
}

fn explain_plan(plan: &LogicalPlan, depth: usize, lines: &mut Vec<String>) -> Result<()> {
    lines.push(format!("{}{}  -- {}", "  ".repeat(depth), plan.display(), label(plan)?));
    plan.inputs().into_iter().try_for_each(|input| explain_plan(input, depth + 1, lines))
}

fn explain_physical(plan: &dyn datafusion::physical_plan::ExecutionPlan, lines: &mut Vec<String>) {
    let text = displayable(plan).indent(false).to_string();
    lines.extend(text.lines().map(|line| format!("    | {line}")));
}

fn explain_operator(operator: &OperatorPlan, pipeline: &PipelinePlan) -> String {
    let sources: Vec<&str> = operator.watermark_sources.iter().map(|&source| pipeline.sources[source].table.name.as_str()).collect();
    let clock = match operator.domain {
        TimeDomain::Event => format!("watermark of {}", sources.join(", ")),
        TimeDomain::Processing => "epoch clock".to_owned(),
    };
    let what = match &operator.kind {
        OperatorKind::Aggregate { window, aggregate, .. } => {
            let list = |exprs: &[datafusion::logical_expr::Expr]| exprs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!(
                "PaneAggregate {window}, keys=[{}], aggregates=[{}]; state: layers",
                list(&aggregate.group_expr),
                list(&aggregate.aggr_expr)
            )
        }
        OperatorKind::Buffer { window, .. } => format!("WindowBuffer {window}; state: buffer"),
        OperatorKind::Ordered { order, maker } => {
            let by = if order.time.is_some() { "by event time" } else { "as they come" };
            format!("{}, rows {by}; state: keyed", maker.describe())
        }
        OperatorKind::Limit { offset, limit } => {
            let limit = limit.map_or_else(|| "all".to_owned(), |limit| limit.to_string());
            format!("StreamLimit limit={limit}, offset={offset}; state: keyed")
        }
    };
    format!("Operator {}: {what}; closes by: {clock}; output: {}", operator.name, operator.label)
}
