//! TUMBLE and HOP in FROM, as a relation that DataFusion's SQL planner calls back for.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DataFusionError, Result, plan_datafusion_err};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, TableFactor};
use millstream_time::WindowSpec;

use super::label::{Flow, TimeDomain, label};
use super::nodes::{WindowAssign, extension};
use crate::parse::{WindowCall, WindowKind};

/// Plans the canonical form that [`crate::parse::rewrite_windows`] leaves.
#[derive(Debug)]
pub struct WindowRelationPlanner;

impl RelationPlanner for WindowRelationPlanner {
    fn plan_relation(&self, relation: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<RelationPlanning> {
        let Some(call) = WindowCall::from_table_factor(&relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let call = call.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let spec = match call.kind {
            WindowKind::Tumble { size_ms, offset_ms } => WindowSpec::tumble(size_ms, offset_ms),
            WindowKind::Hop { slide_ms, size_ms, offset_ms } => WindowSpec::hop(slide_ms, size_ms, offset_ms),
        };
        let spec = spec.map_err(|error| plan_datafusion_err!("{error}"))?;
        let input = context.plan(TableFactor::Derived { lateral: false, subquery: call.input, alias: None, sample: None })?;
        let time = context.sql_to_expr(SqlExpr::Identifier(call.time_column), input.schema())?;
        let datafusion::logical_expr::Expr::Column(time) = time else {
            return Err(plan_datafusion_err!("DESCRIPTOR takes a column: got {time}"));
        };
        let domain = time_domain(&input, &time, spec)?;
        let node = WindowAssign::try_new(Arc::new(input), spec, time, domain, false)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(extension(node), call.alias))))
    }
}

/// The clock of a window over `time`; an error that says how to declare one if the column is no time attribute.
fn time_domain(input: &datafusion::logical_expr::LogicalPlan, time: &Column, spec: WindowSpec) -> Result<TimeDomain> {
    let label = label(input)?;
    let schema = input.schema();
    let (_, field) = schema.qualified_field_from_column(time)?;
    if !matches!(field.data_type(), DataType::Timestamp(_, _)) {
        return Err(plan_datafusion_err!(
            "a window needs a TIMESTAMP column: {} is {} (hint: declare it TIMESTAMP(3), or add a computed column, ts AS CAST({} AS TIMESTAMP(3)))",
            time.name,
            field.data_type(),
            time.name
        ));
    }
    let index = schema.index_of_column(time)?;
    if let Some(domain) = label.roles[index].time_domain() {
        return Ok(domain);
    }
    if label.flow == Flow::Bounded || label.flow == Flow::AtEnd {
        return Ok(TimeDomain::Event);
    }
    let attributes: Vec<&str> = label
        .roles
        .iter()
        .zip(schema.fields())
        .filter(|(role, _)| role.time_domain().is_some())
        .map(|(_, field)| field.name().as_str())
        .collect();
    Err(if attributes.is_empty() {
        let streams = label.streams.iter().cloned().collect::<Vec<_>>().join(", ");
        let name = &time.name;
        plan_datafusion_err!(
            "{spec} needs an event-time column, and {streams} has none (hint: declare one in CREATE TABLE: WATERMARK FOR {name} AS {name} - INTERVAL '5' SECOND)"
        )
    } else {
        plan_datafusion_err!(
            "{} is no event-time column (hint: use {}, or declare WATERMARK FOR {} in CREATE TABLE)",
            time.name,
            attributes.join(" or "),
            time.name
        )
    })
}
