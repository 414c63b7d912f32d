//! Rows of a bounded input through something that remembers, in the order in which they come: [`crate::OrderedRows`] without time.
//!
//! Partitions are read one after the other, so that the order does not depend on which is faster. An order that the input was planned
//! with (ORDER BY) is required from then on: whatever else the optimizer finds, it stays.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt};

use crate::ordered_rows::MakeTransform;

/// See the module's page.
#[derive(Debug)]
pub struct OrderedExec {
    input: Arc<dyn ExecutionPlan>,
    maker: Arc<dyn MakeTransform>,
    order: Option<LexOrdering>,
    properties: Arc<PlanProperties>,
}

impl OrderedExec {
    /// `schema` is the input's with the added columns. The input keeps the order that it has.
    pub fn new(input: Arc<dyn ExecutionPlan>, maker: Arc<dyn MakeTransform>, schema: SchemaRef) -> Self {
        let order = input.output_ordering().cloned();
        Self::in_order(input, maker, order, schema)
    }

    fn in_order(input: Arc<dyn ExecutionPlan>, maker: Arc<dyn MakeTransform>, order: Option<LexOrdering>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { input, maker, order, properties: Arc::new(properties) }
    }
}

/// All partitions of a plan, one after the other.
pub fn in_partition_order(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> SendableRecordBatchStream {
    let (plan, context, schema) = (Arc::clone(plan), Arc::clone(context), plan.schema());
    let partitions = 0..plan.output_partitioning().partition_count();
    let stream = futures::stream::iter(partitions).map(move |partition| plan.execute(partition, Arc::clone(&context))).try_flatten();
    Box::pin(RecordBatchStreamAdapter::new(schema, stream))
}

impl DisplayAs for OrderedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ordered: {}", self.maker.describe())
    }
}

impl ExecutionPlan for OrderedExec {
    fn name(&self) -> &'static str {
        "OrderedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::in_order(input, Arc::clone(&self.maker), self.order.clone(), self.schema()))),
            _ => internal_err!("OrderedExec takes one child"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("OrderedExec has one partition: got {partition}");
        }
        let mut transform = self.maker.make()?;
        let schema = self.schema();
        let given = Arc::clone(&schema);
        let rows = in_partition_order(&self.input, &context);
        let stream = rows.map(move |batch| {
            let out = transform.transform(&batch?)?;
            Ok(RecordBatch::try_new(Arc::clone(&given), out.columns().to_vec())?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}
