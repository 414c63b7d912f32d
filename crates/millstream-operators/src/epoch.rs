//! How one epoch's batches enter a DataFusion plan.
//!
//! The leaf of every stage is an [`EpochScan`]. It holds no data: `execute` takes the batches of its leaf from the
//! [`EpochInputs`] that the crank put into the epoch's [`TaskContext`], so one plan serves all epochs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use parking_lot::Mutex;

/// Names one input of a pipeline's stages: a source, or the output of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeafId {
    /// The n-th source of the pipeline.
    Source(usize),
    /// The output of the n-th stateful operator.
    Operator(usize),
    /// The n-th table that does not change while the pipeline runs.
    Table(usize),
}

impl fmt::Display for LeafId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(n) => write!(f, "source {n}"),
            Self::Operator(n) => write!(f, "operator {n}"),
            Self::Table(n) => write!(f, "table {n}"),
        }
    }
}

/// The batches of one epoch by leaf, in arrival order. Part of the epoch's [`TaskContext`].
#[derive(Debug, Default)]
pub struct EpochInputs {
    batches: Mutex<HashMap<LeafId, Arc<[RecordBatch]>>>,
}

impl EpochInputs {
    /// Sets what a leaf reads in this epoch; an empty list clears it.
    pub fn set(&self, leaf: LeafId, batches: Vec<RecordBatch>) {
        if batches.is_empty() {
            self.batches.lock().remove(&leaf);
        } else {
            self.batches.lock().insert(leaf, batches.into());
        }
    }

    /// What a leaf reads in this epoch.
    pub fn get(&self, leaf: LeafId) -> Option<Arc<[RecordBatch]>> {
        self.batches.lock().get(&leaf).cloned()
    }

    /// The part of a leaf's batches that partition `partition` of `partitions` reads: neighbouring batches, so that what comes out
    /// partition by partition is in the order in which it came in. The first partitions get something if not all do.
    pub fn deal(&self, leaf: LeafId, partition: usize, partitions: usize) -> Vec<RecordBatch> {
        let Some(batches) = self.get(leaf) else { return Vec::new() };
        let busy = partitions.clamp(1, batches.len().max(1));
        if partition >= busy {
            return Vec::new();
        }
        batches[partition * batches.len() / busy..(partition + 1) * batches.len() / busy].to_vec()
    }
}

/// Leaf of a stage: gives this epoch's batches of one [`LeafId`].
#[derive(Debug)]
pub struct EpochScan {
    leaf: LeafId,
    label: String,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl EpochScan {
    /// A scan of columns `projection` of `leaf`'s batches (`None`: all), which then have `schema`, over `partitions` partitions.
    /// `label` is what EXPLAIN shows.
    pub fn try_new(leaf: LeafId, label: String, schema: SchemaRef, projection: Option<Vec<usize>>, partitions: usize) -> Result<Self> {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions.max(1)),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Self { leaf, label, projection, properties: Arc::new(properties) })
    }

    /// The leaf read.
    pub fn leaf(&self) -> LeafId {
        self.leaf
    }

    /// Columns of the leaf's batches that come out; `None` means all.
    pub fn projection(&self) -> Option<&[usize]> {
        self.projection.as_deref()
    }
}

impl DisplayAs for EpochScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.properties.eq_properties.schema();
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "EpochScan: {} [{}]", self.label, columns.join(", "))
    }
}

impl ExecutionPlan for EpochScan {
    fn name(&self) -> &'static str {
        "EpochScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("EpochScan takes no children, got {}", children.len()) }
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let inputs = context
            .session_config()
            .get_extension::<EpochInputs>()
            .ok_or_else(|| internal_datafusion_err!("{} is executed outside an epoch", self.leaf))?;
        let partitions = self.properties.partitioning.partition_count();
        let batches = inputs.deal(self.leaf, partition, partitions);
        let stream = MemoryStream::try_new(batches, self.schema(), self.projection.clone())?;
        Ok(Box::pin(stream))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{AsArray, Int64Array};
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn partitions_in_turn_give_the_order_of_arrival() {
        let batch = |n: i64| RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![n])) as _)]).unwrap();
        for count in 1..9_i64 {
            for partitions in 1..6 {
                let inputs = EpochInputs::default();
                inputs.set(LeafId::Source(0), (0..count).map(batch).collect());
                let dealt: Vec<Vec<RecordBatch>> =
                    (0..partitions).map(|partition| inputs.deal(LeafId::Source(0), partition, partitions)).collect();
                let numbers: Vec<i64> = dealt.iter().flatten().map(|batch| batch.column(0).as_primitive::<Int64Type>().value(0)).collect();
                assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "{count} batches, {partitions} partitions");
                let sizes: Vec<usize> = dealt.iter().map(Vec::len).filter(|size| *size > 0).collect();
                assert_eq!(sizes.len(), partitions.min(usize::try_from(count).unwrap()));
                assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            }
        }
    }
}
