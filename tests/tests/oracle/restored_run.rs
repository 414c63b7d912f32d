//! The case's query stage by stage, with its operators snapshot at random epochs and restored into fresh ones with another number
//! of partitions.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::TimestampMillisecondType;
use datafusion::common::Result;
use datafusion::datasource::ViewTable;
use datafusion::execution::{SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;
use millstream_operators::operator::OperatorSnapshot;
use millstream_operators::{EpochInputs, LeafId, StatefulOperator, StoredPiece};
use millstream_sql::logical::gates::insert_gates;
use millstream_sql::logical::label::{Flow, label};
use millstream_sql::logical::relation::WindowRelationPlanner;
use millstream_sql::logical::stages::cut;
use millstream_sql::logical::window_rule::WindowAggregateRule;
use millstream_sql::logical::{PipelinePlan, StreamTable};
use millstream_sql::parse::{parse_query, rewrite_windows};
use millstream_sql::physical::{PhysicalPipeline, PhysicalStage, plan_pipeline};
use millstream_testkit::Random;
use millstream_time::Watermark;

use super::data::Dataset;
use super::query::Case;
use crate::engine_config::pipeline_config;

/// The rows of the case's query; `None` if it is no pipeline.
pub(super) async fn run(data: &Dataset, case: &Case, random: &mut Random) -> Result<Option<Vec<RecordBatch>>> {
    let Some((plan, context)) = plan(data, case).await? else { return Ok(None) };
    let mut crank = MiniCrank::new(&plan, &context, random).await?;
    let arrivals = [data.arrival(0, random, true), data.arrival(1, random, true)];
    let mut taken = [0, 0];
    let mut result = Vec::new();
    let mut stored: Vec<OperatorSnapshot> = Vec::new();
    loop {
        let rows = [0, 1].map(|table| {
            let left = arrivals[table].num_rows() - taken[table];
            let rows = random.below(40).min(left);
            let batch = arrivals[table].slice(taken[table], rows);
            taken[table] += rows;
            batch
        });
        let ended = [0, 1].map(|table| taken[table] == arrivals[table].num_rows());
        // The lower of both, whether the query reads both or one.
        let watermark = [0, 1]
            .map(|table| if ended[table] { Watermark::MAX } else { watermark(&arrivals[table].slice(0, taken[table]), data.delay_ms) });
        let watermark = watermark[0].min(watermark[1]);
        let done = crank.turn(rows, watermark, &stored, random, &mut result).await?;
        if done || watermark == Watermark::MAX {
            return Ok(Some(result));
        }
        if random.chance(50) {
            stored = crank.snapshots(&stored, random)?;
        }
        if random.chance(30) {
            stored = crank.snapshots(&stored, random)?;
            crank = MiniCrank::new(&plan, &context, random).await?;
            crank.restore(&stored, random)?;
        }
    }
}

fn watermark(seen: &RecordBatch, delay_ms: i64) -> Watermark {
    let times = seen.column(8).as_primitive::<TimestampMillisecondType>();
    datafusion::arrow::compute::max(times).map_or(Watermark::MIN, |latest| Watermark::from_event_time_ms(latest - delay_ms))
}

async fn plan(data: &Dataset, case: &Case) -> Result<Option<(PipelinePlan, SessionContext)>> {
    let state = SessionStateBuilder::new()
        .with_config(pipeline_config(1))
        .with_default_features()
        .with_analyzer_rule(Arc::new(WindowAggregateRule))
        .with_relation_planners(vec![Arc::new(WindowRelationPlanner)])
        .build();
    let context = SessionContext::new_with_state(state);
    for function in millstream::metric_functions() {
        context.register_udaf(function);
    }
    for name in ["s", "r"] {
        let table = StreamTable {
            name: name.to_owned(),
            schema: data.schema.clone(),
            event_time: Some(8),
            processing_time: Vec::new(),
            bounded: true,
        };
        context.register_table(name, Arc::new(table))?;
    }
    for view in &case.views {
        let text = case.render_ours(view);
        let (name, query) = text.strip_prefix("CREATE VIEW ").and_then(|rest| rest.split_once(" AS ")).expect("a view as generated");
        let view = ViewTable::new(logical(&context.state(), query).await?, None);
        context.register_table(name, Arc::new(view))?;
    }
    let logical = logical(&context.state(), &case.render_ours(&case.query)).await?;
    let gated = insert_gates(context.state().optimize(&logical)?)?;
    if label(&gated)?.flow == Flow::Bounded {
        return Ok(None);
    }
    Ok(Some((cut(&gated)?, context)))
}

async fn logical(state: &SessionState, sql: &str) -> Result<LogicalPlan> {
    let external = |error| datafusion::common::DataFusionError::External(Box::new(error));
    let (mut query, _) = parse_query(sql).map_err(external)?;
    rewrite_windows(&mut query).map_err(external)?;
    state.statement_to_plan(Statement::Statement(Box::new(ast::Statement::Query(query)))).await
}

/// What the engine's crank does, in one thread and without anything that a snapshot does not touch.
struct MiniCrank {
    physical: PhysicalPipeline,
    sources: Vec<(usize, Vec<usize>)>,
    inputs: Arc<EpochInputs>,
    task: Arc<TaskContext>,
    by_key: Vec<bool>,
}

impl MiniCrank {
    async fn new(plan: &PipelinePlan, context: &SessionContext, random: &mut Random) -> Result<Self> {
        let mut state = context.state();
        state.config_mut().options_mut().execution.target_partitions = 1 + random.below(8);
        let inputs = Arc::new(EpochInputs::default());
        state.config_mut().set_extension(Arc::clone(&inputs));
        let physical = plan_pipeline(plan, &state).await?;
        let sources = plan.sources.iter().map(|source| (usize::from(source.table.name == "r"), source.columns.clone())).collect();
        let by_key = physical.stages.iter().map(|stage| stage.by_key.is_some() && random.chance(30)).collect::<Vec<_>>();
        for (operator, by_key) in physical.operators.iter().zip(&by_key) {
            if *by_key {
                operator.distribute_by_key()?;
            }
        }
        Ok(Self { physical, sources, inputs, task: state.task_ctx(), by_key })
    }

    /// One epoch; true if nothing further can come.
    async fn turn(
        &mut self,
        rows: [RecordBatch; 2],
        watermark: Watermark,
        stored: &[OperatorSnapshot],
        random: &mut Random,
        result: &mut Vec<RecordBatch>,
    ) -> Result<bool> {
        for (number, (table, columns)) in self.sources.iter().enumerate() {
            let rows = rows[*table].project(columns)?;
            let batches = cut_up(&rows, random);
            self.inputs.set(LeafId::Source(number), batches);
        }
        for (number, batches) in self.physical.tables.iter().enumerate() {
            self.inputs.set(LeafId::Table(number), batches.clone());
        }
        let mut done = false;
        for number in 0..self.physical.operators.len() {
            let stage = &mut self.physical.stages[number];
            let operator = Arc::clone(&self.physical.operators[number]);
            for (partition, batches) in run_stage(stage, self.by_key[number], &self.task).await?.into_iter().enumerate() {
                batches.iter().try_for_each(|batch| operator.update(partition, batch))?;
            }
            leave_and_come_back(operator.as_ref(), stored.get(number), watermark, random)?;
            let released = operator.advance(watermark)?;
            done = released.done && number + 1 == self.physical.operators.len();
            self.inputs.set(LeafId::Operator(number), released.batches);
        }
        // Without rows an aggregate of the last stage would still give one.
        let leaves = self.physical.operators.len();
        let fed =
            leaves == 0 || (0..leaves).any(|number| self.inputs.get(LeafId::Operator(number)).is_some()) || watermark == Watermark::MAX;
        if fed {
            let partitions = run_stage(&mut self.physical.result, false, &self.task).await?;
            result.extend(partitions.into_iter().flatten().filter(|batch| batch.num_rows() > 0));
        }
        Ok(done)
    }

    /// Snapshots as a store has them: what is new since `stored`, and what was stored before.
    fn snapshots(&self, stored: &[OperatorSnapshot], random: &mut Random) -> Result<Vec<OperatorSnapshot>> {
        let mut snapshots = Vec::new();
        for (number, operator) in self.physical.operators.iter().enumerate() {
            let earlier = stored.get(number);
            merge_some(operator.as_ref(), earlier, random)?;
            let mut snapshot = operator.snapshot(earlier.map_or(0, |earlier| earlier.next_seal))?;
            if let Some(earlier) = earlier {
                snapshot.complete_from(earlier);
            }
            snapshots.push(snapshot);
        }
        Ok(snapshots)
    }

    /// Whatever order the rows of a snapshot come in.
    fn restore(&self, snapshots: &[OperatorSnapshot], random: &mut Random) -> Result<()> {
        for (operator, snapshot) in self.physical.operators.iter().zip(snapshots) {
            let mut snapshot = snapshot.clone();
            random.shuffle(&mut snapshot.layers);
            snapshot.layers.iter_mut().for_each(|layer| random.shuffle(&mut layer.rows));
            operator.restore(&snapshot)?;
        }
        Ok(())
    }
}

/// What a store has of a layer.
fn stored_rows(stored: &OperatorSnapshot, piece: StoredPiece) -> Vec<RecordBatch> {
    let layer = stored.layers.iter().find(|layer| layer.seal == piece.seal).expect("a layer that is needed is in the last snapshot");
    layer.rows.clone()
}

/// Some layers leave memory, and those that the watermark needs come back.
fn leave_and_come_back(
    operator: &dyn StatefulOperator,
    stored: Option<&OperatorSnapshot>,
    watermark: Watermark,
    random: &mut Random,
) -> Result<()> {
    let (Some(layers), Some(stored)) = (operator.layers(), stored) else { return Ok(()) };
    if random.chance(50) {
        layers.evict(stored.next_seal, random.below(3000) as u64);
    }
    let due = layers.due_back(watermark);
    let pieces = layers.recall(watermark);
    assert_eq!(due > 0, !pieces.is_empty(), "{due} bytes are due, {} pieces are needed", pieces.len());
    pieces.into_iter().try_for_each(|piece| layers.take_back(piece, &stored_rows(stored, piece)))
}

/// Merges some layers, wherever they are.
fn merge_some(operator: &dyn StatefulOperator, stored: Option<&OperatorSnapshot>, random: &mut Random) -> Result<()> {
    let Some(layers) = operator.layers() else { return Ok(()) };
    while random.chance(50)
        && let Some(merge) = layers.next_merge(u64::MAX)
    {
        let rows = |piece: StoredPiece| (piece, stored.map(|stored| stored_rows(stored, piece)).unwrap_or_default());
        layers.merge(&merge, &merge.stored().into_iter().map(rows).collect::<Vec<_>>())?;
    }
    Ok(())
}

async fn run_stage(stage: &mut PhysicalStage, by_key: bool, task: &Arc<TaskContext>) -> Result<Vec<Vec<RecordBatch>>> {
    let place = match &mut stage.by_key {
        Some(plan) if by_key => plan,
        _ => &mut stage.plan,
    };
    *place = reset_plan_states(Arc::clone(place))?;
    let streams = (0..place.output_partitioning().partition_count()).map(|partition| place.execute(partition, Arc::clone(task)));
    let streams = streams.collect::<Result<Vec<_>>>()?;
    let collected = streams.into_iter().map(|stream| stream.collect::<Vec<_>>());
    let collected = futures::future::join_all(collected).await;
    collected.into_iter().map(|batches| batches.into_iter().collect()).collect()
}

fn cut_up(rows: &RecordBatch, random: &mut Random) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut from = 0;
    while from < rows.num_rows() {
        let count = (1 + random.below(12)).min(rows.num_rows() - from);
        batches.push(rows.slice(from, count));
        from += count;
    }
    batches
}
