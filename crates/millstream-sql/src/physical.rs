//! From a cut pipeline to what runs: one DataFusion physical plan a stage, one operator between each two.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result, internal_err, plan_datafusion_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::aggregate::{LoweredAggregate, LoweredAggregateBuilder};
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use millstream_operators::pane_table::PaneAggregateExpr;
use millstream_operators::{
    EpochScan, OrderedExec, OrderedRows, OutputColumn, PaneAggregate, PaneAggregateSpec, StatefulOperator, StreamLimit, TimeSource,
    WindowAssignExec, WindowBuffer, window_fields,
};
use millstream_time::WindowSpec;

use crate::logical::label::Role;
use crate::logical::nodes::{Leaf, OrderedNode, WindowAssign, as_node};
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
    /// The same with its rows hashed by the keys of the aggregate it feeds, where there are keys and several partitions.
    pub by_key: Option<Arc<dyn ExecutionPlan>>,
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
        let by_key = match &operator.kind {
            OperatorKind::Aggregate { .. } => {
                let spec = aggregate_spec(operator, stage, &plan, state)?;
                let by_key = hashed_by_key(&spec, &plan)?;
                operators.push(Arc::new(PaneAggregate::try_new(spec, plan.output_partitioning().partition_count())?));
                by_key
            }
            OperatorKind::Buffer { window, time } => {
                operators.push(Arc::new(window_buffer(*window, *time, &plan)));
                None
            }
            OperatorKind::Ordered { order, maker } => {
                operators.push(Arc::new(OrderedRows::try_new(*order, plan.schema(), maker.as_ref())?));
                None
            }
            OperatorKind::Limit { offset, limit } => {
                operators.push(Arc::new(StreamLimit::new(*offset, *limit)));
                None
            }
        };
        stages.push(PhysicalStage { plan, by_key });
    }
    let plan = plan_stage(&pipeline.result.plan, state).await?;
    Ok(PhysicalPipeline { schema: plan.schema(), tables, stages, operators, result: PhysicalStage { plan, by_key: None } })
}

/// The physical plan of an optimized logical plan that may hold our nodes.
pub async fn plan_stage(plan: &LogicalPlan, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(NodePlanner)]);
    // What depends on the order of its rows gets them from one partition: exchanges between several have none.
    if plan.exists(|node| Ok(as_node::<OrderedNode>(node).is_some()))? {
        let mut state = state.clone();
        state.config_mut().options_mut().execution.target_partitions = 1;
        return planner.create_physical_plan(plan, &state).await;
    }
    planner.create_physical_plan(plan, state).await
}

/// The stage's rows hashed by the aggregate's keys over its partitions.
fn hashed_by_key(spec: &PaneAggregateSpec, plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let partitions = plan.output_partitioning().partition_count();
    if partitions < 2 || spec.keys.is_empty() {
        return Ok(None);
    }
    let keys = spec.keys.iter().map(|(expr, _)| Arc::clone(expr)).collect();
    let hashed = RepartitionExec::try_new(Arc::clone(plan), Partitioning::Hash(keys, partitions))?;
    Ok(Some(Arc::new(hashed)))
}

fn window_buffer(window: WindowSpec, time: usize, plan: &Arc<dyn ExecutionPlan>) -> WindowBuffer {
    let schema = plan.schema();
    if window == WindowSpec::Global {
        return WindowBuffer::new(window, time, schema);
    }
    let mut fields = schema.fields().to_vec();
    fields.extend(window_fields(schema.field(time).data_type()));
    WindowBuffer::new(window, time, Arc::new(Schema::new(fields)))
}

fn aggregate_spec(
    operator: &OperatorPlan,
    stage: &Stage,
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
) -> Result<PaneAggregateSpec> {
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
        let LoweredAggregate { aggregate, filter, .. } = LoweredAggregateBuilder::new(expr, input, &physical, props, &planning).build()?;
        aggregates.push(PaneAggregateExpr::new(aggregate, filter));
        output.push(OutputColumn::Aggregate(number));
    }
    Ok(PaneAggregateSpec { window: *window, time, keys, aggregates, output, schema })
}

/// Plans [`Leaf`], [`WindowAssign`] and [`OrderedNode`] over what is bounded.
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
        if let Some(ordered) = node.as_any().downcast_ref::<OrderedNode>() {
            let [input] = physical_inputs else { return internal_err!("Ordered takes one input") };
            let schema = Arc::clone(UserDefinedLogicalNode::schema(ordered).inner());
            return Ok(Some(Arc::new(OrderedExec::new(Arc::clone(input), Arc::clone(&ordered.maker), schema))));
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
