//! From a cut pipeline to what runs: one DataFusion physical plan a stage, one operator between each two.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, Result, internal_err, plan_datafusion_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::aggregate::{LoweredAggregate, LoweredAggregateBuilder};
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PhysicalExpr};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use millstream_operators::pane_table::PaneAggregateExpr;
use millstream_operators::{
    EpochScan, OutputColumn, PaneAggregate, PaneAggregateSpec, StatefulOperator, StreamLimit, TimeSource, WindowAssignExec, WindowBuffer,
};

use crate::logical::label::Role;
use crate::logical::nodes::{Leaf, WindowAssign};
use crate::logical::stages::{AggregateTime, OperatorKind, OperatorPlan, PipelinePlan, Stage};

/// A pipeline that can run.
#[derive(Debug)]
pub struct PhysicalPipeline {
    /// Schema of the result.
    pub schema: SchemaRef,
    /// Contents of the bounded tables, by number.
    pub tables: Vec<Vec<RecordBatch>>,
    /// Stage n feeds operator n.
    pub stages: Vec<PhysicalStage>,
    /// The operators.
    pub operators: Vec<Arc<dyn StatefulOperator>>,
    /// The last stage.
    pub result: PhysicalStage,
}

/// A stage that can run.
#[derive(Clone, Debug)]
pub struct PhysicalStage {
    /// Executed once an epoch, reset in between.
    pub plan: Arc<dyn ExecutionPlan>,
}

/// Plans every stage and makes fresh operators.
pub async fn plan_pipeline(pipeline: &PipelinePlan, state: &SessionState) -> Result<PhysicalPipeline> {
    let mut tables = Vec::new();
    for table in &pipeline.tables {
        let plan = plan_stage(table, state).await?;
        tables.push(datafusion::physical_plan::collect(plan, state.task_ctx()).await?);
    }
    let mut stages = Vec::new();
    let mut operators: Vec<Arc<dyn StatefulOperator>> = Vec::new();
    for (stage, operator) in pipeline.stages.iter().zip(&pipeline.operators) {
        let plan = plan_stage(&stage.plan, state).await?;
        operators.push(make_operator(operator, stage, &plan, state)?);
        stages.push(PhysicalStage { plan });
    }
    let plan = plan_stage(&pipeline.result.plan, state).await?;
    Ok(PhysicalPipeline { schema: plan.schema(), tables, stages, operators, result: PhysicalStage { plan } })
}

/// The physical plan of an optimized logical plan that may hold our nodes.
pub async fn plan_stage(plan: &LogicalPlan, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(NodePlanner)]);
    planner.create_physical_plan(plan, state).await
}

fn make_operator(
    operator: &OperatorPlan,
    stage: &Stage,
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
) -> Result<Arc<dyn StatefulOperator>> {
    let partitions = plan.output_partitioning().partition_count();
    Ok(match &operator.kind {
        OperatorKind::Aggregate { .. } => Arc::new(PaneAggregate::try_new(aggregate_spec(operator, stage, plan, state)?, partitions)?),
        OperatorKind::Buffer { window, time } => {
            let schema = match window.size_ms() {
                Some(_) => {
                    let mut fields = plan.schema().fields().to_vec();
                    fields.extend(millstream_operators::window_fields(plan.schema().field(*time).data_type()));
                    Arc::new(datafusion::arrow::datatypes::Schema::new(fields))
                }
                None => plan.schema(),
            };
            Arc::new(WindowBuffer::new(*window, *time, schema))
        }
        OperatorKind::Limit { offset, limit } => Arc::new(StreamLimit::new(*offset, *limit)),
    })
}

fn aggregate_spec(operator: &OperatorPlan, stage: &Stage, plan: &Arc<dyn ExecutionPlan>, state: &SessionState) -> Result<PaneAggregateSpec> {
    let OperatorKind::Aggregate { window, time, aggregate, window_keys } = &operator.kind else {
        return internal_err!("{} is no aggregate", operator.name);
    };
    let input: &DFSchema = stage.plan.schema();
    let physical = plan.schema();
    let props = state.execution_props();
    let schema = Arc::clone(aggregate.schema.inner());
    let index = |column| input.index_of_column(column);
    let time = match time {
        AggregateTime::EventTime(column) => TimeSource::EventTime(index(column)?),
        AggregateTime::Assigned { column, to_start_ms } => TimeSource::Assigned { column: index(column)?, to_start_ms: *to_start_ms },
        AggregateTime::Nothing => TimeSource::Nothing,
    };
    let mut output = Vec::new();
    let mut keys: Vec<(Arc<dyn PhysicalExpr>, _)> = Vec::new();
    for (position, (expr, window)) in aggregate.group_expr.iter().zip(window_keys).enumerate() {
        output.push(match window {
            Some(Role::WindowStart(..)) => OutputColumn::WindowStart,
            Some(Role::WindowEnd(..)) => OutputColumn::WindowEnd,
            Some(Role::WindowTime(..)) => OutputColumn::WindowTime,
            _ => {
                let expr = create_physical_expr(expr, input, props, &PhysicalPlanningContext::default())?;
                keys.push((expr, Arc::clone(&schema.fields()[position])));
                OutputColumn::Key(keys.len() - 1)
            }
        });
    }
    let mut aggregates = Vec::new();
    for (number, expr) in aggregate.aggr_expr.iter().enumerate() {
        let planning = PhysicalPlanningContext::default();
        let LoweredAggregate { aggregate, filter, .. } =
            LoweredAggregateBuilder::new(expr, input, &physical, props, &planning).build()?;
        aggregates.push(PaneAggregateExpr::new(aggregate, filter));
        output.push(OutputColumn::Aggregate(number));
    }
    Ok(PaneAggregateSpec { window: *window, time, keys, aggregates, output, schema, disjoint_partitions: false })
}

/// Plans [`Leaf`] and [`WindowAssign`].
struct NodePlanner;

#[async_trait]
impl ExtensionPlanner for NodePlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn datafusion::catalog::Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(leaf) = node.as_any().downcast_ref::<Leaf>() {
            return plan_leaf(leaf, session.config().target_partitions()).map(Some);
        }
        if let Some(assign) = node.as_any().downcast_ref::<WindowAssign>() {
            let [input] = physical_inputs else { return internal_err!("WindowAssign takes one input") };
            let time = assign.input.schema().index_of_column(&assign.time)?;
            let schema = Arc::clone(UserDefinedLogicalNode::schema(assign).inner());
            return Ok(Some(Arc::new(WindowAssignExec::new(Arc::clone(input), assign.spec, time, schema))));
        }
        Err(plan_datafusion_err!("{} cannot run here", node.name()))
    }
}

fn plan_leaf(leaf: &Leaf, partitions: usize) -> Result<Arc<dyn ExecutionPlan>> {
    use millstream_operators::LeafId;
    let partitions = if matches!(leaf.leaf, LeafId::Source(_)) { partitions } else { 1 };
    let schema = Arc::clone(leaf.schema.0.inner());
    Ok(Arc::new(EpochScan::try_new(leaf.leaf, leaf.title.clone(), schema, leaf.projection.clone(), partitions)?))
}

