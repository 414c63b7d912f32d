//! One pipeline's stages and operators, and how an epoch runs through them.
//!
//! A *step* is: every stage with input runs in order and feeds its operator, the operator advances to the step's watermark, and
//! what it releases is the input of later stages. An epoch's rows enter in its first step; if the watermark lets go more windows
//! than `epoch_windows_max`, further steps without input follow, so that memory stays bounded.

mod parts;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use millstream_operators::operator::OperatorSnapshot;
use millstream_operators::{EpochInputs, EpochScan, LayeredState, LeafId, OperatorMetrics, StatefulOperator, StoredPiece};
use millstream_sql::logical::PipelinePlan;
use millstream_sql::logical::label::TimeDomain;
use millstream_sql::physical::PhysicalPipeline;
use millstream_time::Watermark;
use tokio::task::JoinSet;

use crate::settings::{AggregateDistribution, Settings};

/// From so many groups per row on, hashing rows costs less than merging groups.
const GROUPS_PER_ROW_BY_KEY: f64 = 0.25;

/// Stages and operators, ready to run.
#[derive(Debug)]
pub(super) struct EpochPlan {
    stages: Vec<RunningStage>,
    operators: Vec<RunningOperator>,
    tables: Vec<Vec<RecordBatch>>,
    inputs: Arc<EpochInputs>,
    context: Arc<TaskContext>,
    windows_max: usize,
}

#[derive(Debug)]
struct RunningStage {
    plan: Arc<dyn ExecutionPlan>,
    inputs: BTreeSet<LeafId>,
    /// The same, its rows hashed by the keys of the operator it feeds; to be changed to where that pays.
    by_key: Option<Arc<dyn ExecutionPlan>>,
    /// Its partitions do not exchange rows, so one without input need not run.
    partitions_apart: bool,
}

#[derive(Debug)]
struct RunningOperator {
    operator: Arc<dyn StatefulOperator>,
    domain: TimeDomain,
    sources: BTreeSet<usize>,
}

/// How far time has come: per source, and by the epoch clock.
#[derive(Clone, Debug)]
pub(super) struct Times {
    pub(super) watermarks: Vec<Watermark>,
    pub(super) clock: Watermark,
}

/// What a step may release.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepLimit {
    /// Windows of each operator.
    pub(super) windows: usize,
    /// Operators before this one.
    pub(super) before: usize,
}

/// What a step gave.
#[derive(Debug, Default)]
pub(super) struct StepOutput {
    pub(super) batches: Vec<RecordBatch>,
    /// Nothing further will ever come out (LIMIT).
    pub(super) done: bool,
    /// Every operator is where the epoch's times want it.
    pub(super) caught_up: bool,
}

impl EpochPlan {
    pub(super) fn new(pipeline: &PipelinePlan, physical: PhysicalPipeline, context: &TaskContext, settings: &Settings) -> Result<Self> {
        let logical = pipeline.stages.iter().chain([&pipeline.result]);
        let stages = physical.stages.into_iter().chain([physical.result]).zip(logical).map(|(stage, logical)| RunningStage {
            partitions_apart: partitions_apart(&stage.plan),
            plan: stage.plan,
            by_key: if settings.aggregate_distribution == AggregateDistribution::LateMerge { None } else { stage.by_key },
            inputs: logical.inputs.clone(),
        });
        let operators = physical.operators.into_iter().zip(&pipeline.operators).map(|(operator, plan)| RunningOperator {
            operator,
            domain: plan.domain,
            sources: plan.watermark_sources.clone(),
        });
        let inputs = Arc::new(EpochInputs::default());
        let config = context.session_config().clone().with_extension(Arc::clone(&inputs));
        let context = Arc::new(TaskContext::new(
            context.task_id(),
            context.session_id(),
            config,
            context.scalar_functions().clone(),
            context.higher_order_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            context.runtime_env(),
        ));
        let mut plan = Self {
            stages: stages.collect(),
            operators: operators.collect(),
            tables: physical.tables,
            inputs,
            context,
            windows_max: settings.epoch_windows_max,
        };
        if settings.aggregate_distribution == AggregateDistribution::ByKey {
            (0..plan.operators.len()).try_for_each(|n| plan.distribute_by_key(n))?;
        }
        Ok(plan)
    }

    /// Runs a step. `rows` are the epoch's batches by source (empty in steps after the first); no operator releases more than
    /// `limit.windows` windows (0: time stays), and none from `limit.before` on releases any.
    pub(super) async fn step(&mut self, rows: Vec<Vec<RecordBatch>>, times: &Times, limit: StepLimit) -> Result<StepOutput> {
        let mut fed: BTreeSet<LeafId> = BTreeSet::new();
        for (source, batches) in rows.into_iter().enumerate() {
            if !batches.is_empty() {
                fed.insert(LeafId::Source(source));
            }
            self.inputs.set(LeafId::Source(source), batches);
        }
        self.set_tables();
        let limits = self.step_limits(times, limit.windows);
        let mut output = StepOutput { caught_up: true, ..StepOutput::default() };
        for n in 0..self.operators.len() {
            if !self.stages[n].inputs.is_disjoint(&fed) {
                self.run_into_operator(n).await?;
            }
            let target = self.target(n, times);
            let to = if n < limit.before { target.min(self.limit(n, limits)) } else { Watermark::MIN };
            output.caught_up &= to == target;
            let released = self.operators[n].operator.advance(to)?;
            let leaf = LeafId::Operator(n);
            if released.windows > 0 {
                fed.insert(leaf);
                self.adapt(n)?;
            }
            self.inputs.set(leaf, released.batches);
            let feeds_result = self.stages.last().is_some_and(|result| result.inputs.len() == 1 && result.inputs.contains(&leaf));
            output.done |= released.done && feeds_result;
        }
        if self.stages.last().is_some_and(|result| !result.inputs.is_disjoint(&fed)) {
            output.batches = self.run_result().await?;
        }
        for leaf in fed {
            self.inputs.set(leaf, Vec::new());
        }
        Ok(output)
    }

    fn set_tables(&self) {
        for (table, batches) in self.tables.iter().enumerate() {
            self.inputs.set(LeafId::Table(table), batches.clone());
        }
    }

    /// Changes to hashing once an operator has seen that late merge does its work twice.
    fn adapt(&mut self, n: usize) -> Result<()> {
        let pays = |groups_per_row: f64| groups_per_row > GROUPS_PER_ROW_BY_KEY;
        if self.stages[n].by_key.is_some() && self.operators[n].operator.groups_per_row().is_some_and(pays) {
            return self.distribute_by_key(n);
        }
        Ok(())
    }

    fn distribute_by_key(&mut self, n: usize) -> Result<()> {
        if let Some(by_key) = self.stages[n].by_key.take() {
            self.operators[n].operator.distribute_by_key()?;
            self.stages[n].partitions_apart = false;
            self.stages[n].plan = by_key;
        }
        Ok(())
    }

    /// Where operator `n` should be: the smallest watermark of its sources, or the epoch clock.
    fn target(&self, n: usize, times: &Times) -> Watermark {
        let operator = &self.operators[n];
        let ended = |source: &usize| times.watermarks[*source] == Watermark::MAX;
        if operator.domain == TimeDomain::Processing {
            return if operator.sources.iter().all(ended) { Watermark::MAX } else { times.clock };
        }
        operator.sources.iter().map(|&source| times.watermarks[source]).min().unwrap_or(Watermark::MAX)
    }

    /// By event time and by the clock.
    fn step_limits(&self, times: &Times, windows: usize) -> (Watermark, Watermark) {
        (self.step_limit(TimeDomain::Event, times, windows), self.step_limit(TimeDomain::Processing, times, windows))
    }

    fn limit(&self, n: usize, (event, clock): (Watermark, Watermark)) -> Watermark {
        if self.operators[n].domain == TimeDomain::Event { event } else { clock }
    }

    /// Watermark that lets no operator of the domain release more than `windows` windows.
    ///
    /// Only windows up to an operator's own target count: what it will not release now must not hold back the others.
    fn step_limit(&self, domain: TimeDomain, times: &Times, windows: usize) -> Watermark {
        if windows == 0 {
            return Watermark::MIN;
        }
        let due = self.operators.iter().enumerate().filter(|(_, operator)| operator.domain == domain);
        // The n-th due window may also be the last one that waits: then nothing limits the step.
        let limit = due.filter_map(|(n, operator)| {
            let (last, next) = (operator.operator.nth_due(windows)?, operator.operator.nth_due(windows + 1)?);
            (next > last && last < self.target(n, times).as_ms()).then_some(last)
        });
        limit.min().map_or(Watermark::MAX, Watermark::from_ms)
    }

    /// The earliest end of a window that waits for the epoch clock, in milliseconds since 1970.
    pub(super) fn next_clock_due(&self) -> Option<i64> {
        let by_clock = self.operators.iter().filter(|operator| operator.domain == TimeDomain::Processing);
        by_clock.filter_map(|operator| operator.operator.nth_due(1)).min()
    }

    /// The operators, for work beside the epochs.
    pub(super) fn operators(&self) -> Vec<Arc<dyn StatefulOperator>> {
        self.operators.iter().map(|operator| Arc::clone(&operator.operator)).collect()
    }

    pub(super) fn metrics(&self) -> impl Iterator<Item = OperatorMetrics> {
        self.operators.iter().map(|operator| operator.operator.metrics())
    }

    /// State sealed before `since` (none: the beginning), one snapshot an operator, is only named.
    pub(super) fn snapshot(&self, since: &[OperatorSnapshot]) -> Result<Vec<OperatorSnapshot>> {
        let since = since.iter().map(|snapshot| snapshot.next_seal).chain(std::iter::repeat(0));
        self.operators.iter().zip(since).map(|(operator, since)| operator.operator.snapshot(since)).collect()
    }

    pub(super) fn restore(&self, snapshots: &[OperatorSnapshot]) -> Result<()> {
        self.operators.iter().zip(snapshots).try_for_each(|(operator, snapshot)| operator.operator.restore(snapshot))
    }

    /// Windows that an operator releases in a step at most, if memory does not press.
    pub(super) fn windows_max(&self) -> usize {
        self.windows_max
    }

    pub(super) fn state_bytes(&self) -> u64 {
        self.metrics().map(|operator| operator.state_bytes).sum()
    }

    /// Operators whose state consists of layers.
    fn layered(&self) -> impl Iterator<Item = (usize, &dyn LayeredState)> {
        self.operators.iter().enumerate().filter_map(|(n, operator)| Some((n, operator.operator.layers()?)))
    }

    /// Bytes in memory that can leave it once they are stored.
    pub(super) fn can_leave(&self) -> u64 {
        self.layered().map(|(_, layers)| layers.can_leave()).sum()
    }

    /// Lets `bytes` of state leave memory that the snapshots `stored` contain; how many left.
    pub(super) fn evict(&self, stored: &[OperatorSnapshot], bytes: u64) -> u64 {
        self.layered().fold(0, |freed, (n, layers)| match stored.get(n) {
            Some(snapshot) if freed < bytes => freed + layers.evict(snapshot.next_seal, bytes - freed),
            _ => freed,
        })
    }

    /// Bytes of state that are only in the store and that a step needs.
    pub(super) fn due_back(&self, times: &Times, limit: StepLimit) -> u64 {
        let limits = self.step_limits(times, limit.windows);
        let layered = self.layered().take_while(|(n, _)| *n < limit.before);
        layered.map(|(n, layers)| layers.due_back(self.target(n, times).min(self.limit(n, limits)))).sum()
    }

    /// The pieces that a step needs, by operator; each is to be given to [`take_back`](Self::take_back) before.
    pub(super) fn recall(&self, times: &Times, limit: StepLimit) -> Vec<(usize, StoredPiece)> {
        let limits = self.step_limits(times, limit.windows);
        let recall = |(n, layers): (usize, &dyn LayeredState)| {
            let pieces = layers.recall(self.target(n, times).min(self.limit(n, limits)));
            pieces.into_iter().map(move |piece| (n, piece))
        };
        self.layered().take_while(|(n, _)| *n < limit.before).flat_map(recall).collect()
    }

    pub(super) fn take_back(&self, n: usize, piece: StoredPiece, rows: &[RecordBatch]) -> Result<()> {
        self.operators[n].operator.layers().map_or(Ok(()), |layers| layers.take_back(piece, rows))
    }

    async fn run_into_operator(&mut self, n: usize) -> Result<()> {
        let plan = self.stages[n].fresh_plan()?;
        let operator = Arc::clone(&self.operators[n].operator);
        let partitions = self.stages[n].busy_partitions(&self.inputs);
        let Some((&own, others)) = partitions.split_first() else { return Ok(()) };
        let mut tasks = JoinSet::new();
        for &partition in others {
            let (plan, operator, context) = (Arc::clone(&plan), Arc::clone(&operator), Arc::clone(&self.context));
            tasks.spawn(async move { feed(plan, partition, context, operator.as_ref()).await });
        }
        if !others.is_empty() {
            // A worker keeps the task it spawned last to itself; one that does nothing makes room for others to take the real ones.
            tasks.spawn(std::future::ready(Ok(())));
        }
        // One partition runs right here: a thread less to wake.
        feed(plan, own, Arc::clone(&self.context), operator.as_ref()).await?;
        while let Some(done) = tasks.join_next().await {
            done.map_err(|error| datafusion::common::DataFusionError::ExecutionJoin(Box::new(error)))??;
        }
        Ok(())
    }

    async fn run_result(&mut self) -> Result<Vec<RecordBatch>> {
        let context = Arc::clone(&self.context);
        let inputs = Arc::clone(&self.inputs);
        let Some(stage) = self.stages.last_mut() else { return Ok(Vec::new()) };
        let plan = stage.fresh_plan()?;
        let mut all = Vec::new();
        // Partitions are put out in order, so that an ordered result stays ordered.
        let partitions = stage.busy_partitions(&inputs);
        if let [partition] = partitions[..] {
            collect_into(plan.execute(partition, context)?, &mut all).await?;
            return Ok(all);
        }
        for batches in datafusion::physical_plan::collect_partitioned(plan, context).await? {
            all.extend(batches.into_iter().filter(|batch| batch.num_rows() > 0));
        }
        Ok(all)
    }
}

impl RunningStage {
    /// The plan as if it had never run; earlier streams of it are gone by now.
    fn fresh_plan(&mut self) -> Result<Arc<dyn ExecutionPlan>> {
        self.plan = reset_plan_states(Arc::clone(&self.plan))?;
        Ok(Arc::clone(&self.plan))
    }

    /// The partitions that have something to do.
    fn busy_partitions(&self, inputs: &EpochInputs) -> Vec<usize> {
        let partitions = self.plan.output_partitioning().partition_count();
        if !self.partitions_apart || partitions == 1 {
            return (0..partitions).collect();
        }
        let batches = |leaf: &LeafId| inputs.get(*leaf).map_or(0, |batches| batches.len());
        let most = self.inputs.iter().map(batches).max().unwrap_or(0);
        (0..partitions.min(most.max(1))).collect()
    }
}

/// True if every node works partition by partition over leaves of sources only.
fn partitions_apart(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let partitions = plan.output_partitioning().partition_count();
    let same = |child: &&Arc<dyn ExecutionPlan>| child.output_partitioning().partition_count() == partitions;
    let children = plan.children();
    match children.as_slice() {
        [] => plan.downcast_ref::<EpochScan>().is_some(),
        [child] => !plan.name().contains("Repartition") && same(child) && partitions_apart(child),
        _ => false,
    }
}

async fn feed(plan: Arc<dyn ExecutionPlan>, partition: usize, context: Arc<TaskContext>, operator: &dyn StatefulOperator) -> Result<()> {
    let mut stream = plan.execute(partition, context)?;
    while let Some(batch) = stream.next().await {
        operator.update(partition, &batch?)?;
    }
    Ok(())
}

async fn collect_into(mut stream: datafusion::execution::SendableRecordBatchStream, all: &mut Vec<RecordBatch>) -> Result<()> {
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        if batch.num_rows() > 0 {
            all.push(batch);
        }
    }
    Ok(())
}
