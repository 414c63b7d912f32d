//! DataFusion's operators may be run again and again: each plan runs three times with a reset in between and other input each
//! time, and gives what a fresh plan gives, while its metrics do not grow.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use millstream_operators::{EpochInputs, EpochScan, LeafId};
use millstream_testkit::Random;

use crate::engine_config::pipeline_config;
use crate::oracle::comparison::compare;

/// A table whose scan reads the epoch's batches of one source.
#[derive(Debug)]
struct EpochTable(usize);

#[async_trait::async_trait]
impl TableProvider for EpochTable {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = projection.cloned().unwrap_or_else(|| (0..4).collect());
        let schema = Arc::new(schema().project(&columns)?);
        let partitions = state.config().target_partitions();
        Ok(Arc::new(EpochScan::try_new(LeafId::Source(self.0), "s".to_owned(), schema, Some(columns), partitions)?))
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("k", DataType::Int64, true),
        Field::new("g", DataType::Utf8, true),
        Field::new("d", DataType::Float64, true),
    ]))
}

fn batches(random: &mut Random) -> Vec<RecordBatch> {
    let mut id = 0;
    let count = random.below(5);
    let batch = |random: &mut Random| {
        let rows = 1 + random.below(30);
        let ids: Vec<i64> = (0..rows)
            .map(|_| {
                id += 1;
                id
            })
            .collect();
        let keys: Vec<Option<i64>> = (0..rows).map(|_| (!random.chance(10)).then(|| random.within(0..6))).collect();
        let words: Vec<Option<String>> = (0..rows).map(|_| (!random.chance(10)).then(|| format!("w{}", random.within(0..4)))).collect();
        let numbers: Vec<Option<f64>> = (0..rows).map(|_| (!random.chance(10)).then(|| random.within(-100..100) as f64 / 4.0)).collect();
        let columns: Vec<Arc<dyn datafusion::arrow::array::Array>> = vec![
            Arc::new(Int64Array::from(ids)),
            Arc::new(Int64Array::from(keys)),
            Arc::new(StringArray::from(words)),
            Arc::new(Float64Array::from(numbers)),
        ];
        RecordBatch::try_new(schema(), columns).unwrap()
    };
    std::iter::repeat_with(|| ())
        .take(count)
        .map({
            let mut batch = batch;
            move |()| batch(random)
        })
        .collect()
}

/// Names and values of session settings.
type SettingList = &'static [(&'static str, &'static str)];

/// The operator that a query is there for, the query, and settings that make the planner choose it.
const QUERIES: &[(&str, &str, SettingList)] = &[
    ("FilterExec", "SELECT id FROM s WHERE k > 2", &[]),
    ("ProjectionExec", "SELECT id + 1 AS i, upper(g) AS g FROM s", &[]),
    ("AggregateExec: mode=Single", "SELECT k, count(*), sum(d), min(g), max(d) FROM s GROUP BY k", &[("execution.target_partitions", "1")]),
    ("AggregateExec: mode=Partial", "SELECT k, g, count(*), avg(d), count(DISTINCT id) FROM s GROUP BY k, g", &[]),
    ("AggregateExec: mode=FinalPartitioned", "SELECT k, stddev(d), median(d), array_agg(id ORDER BY id) FROM s GROUP BY k", &[]),
    ("AggregateExec: mode=Final,", "SELECT count(*), max(d), first_value(g ORDER BY id) FROM s", &[]),
    ("AggregateExec", "SELECT DISTINCT k, g FROM s", &[]),
    ("AggregateExec", "SELECT k, g, count(*) FROM s GROUP BY ROLLUP (k, g)", &[]),
    ("HashJoinExec: mode=Partitioned", "SELECT a.id, b.id AS other FROM s AS a JOIN r AS b ON a.k = b.k", &[]),
    ("HashJoinExec", "SELECT a.id, b.id AS other FROM s AS a LEFT JOIN r AS b ON a.k = b.k AND a.d < b.d", &[]),
    ("HashJoinExec", "SELECT a.id, b.id AS other FROM s AS a FULL JOIN r AS b ON a.k = b.k", &[]),
    ("HashJoinExec", "SELECT id FROM s WHERE k IN (SELECT k FROM r)", &[]),
    ("HashJoinExec", "SELECT id FROM s AS a WHERE NOT EXISTS (SELECT 1 FROM r AS b WHERE b.k = a.k AND b.d > a.d)", &[]),
    ("NestedLoopJoinExec", "SELECT a.id, b.id AS other FROM s AS a JOIN r AS b ON a.id < b.id AND a.d > b.d", &[]),
    ("NestedLoopJoinExec", "SELECT a.id, b.id AS other FROM s AS a FULL JOIN r AS b ON a.d > b.d", &[]),
    ("CrossJoinExec", "SELECT a.id, b.id AS other FROM s AS a CROSS JOIN r AS b", &[]),
    (
        "SortMergeJoinExec",
        "SELECT a.id, b.id AS other FROM s AS a LEFT JOIN r AS b ON a.k = b.k",
        &[("optimizer.prefer_hash_join", "false")],
    ),
    (
        "SortMergeJoinExec",
        "SELECT id FROM s AS a WHERE EXISTS (SELECT 1 FROM r AS b WHERE b.k = a.k)",
        &[("optimizer.prefer_hash_join", "false")],
    ),
    ("SortExec", "SELECT id, g FROM s ORDER BY g, id", &[]),
    ("SortExec: TopK", "SELECT id, d FROM s ORDER BY d DESC NULLS LAST, id LIMIT 5", &[]),
    ("SortPreservingMergeExec", "SELECT id FROM s ORDER BY id DESC", &[]),
    ("BoundedWindowAggExec", "SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) AS n FROM s", &[]),
    ("WindowAggExec", "SELECT id, sum(d) OVER (PARTITION BY k) AS n FROM s", &[]),
    ("WindowAggExec", "SELECT id, lag(g) OVER (ORDER BY id), rank() OVER (ORDER BY k) FROM s", &[]),
    ("UnionExec", "SELECT id FROM s UNION ALL SELECT id FROM r", &[]),
    ("InterleaveExec", "SELECT k, count(*) FROM s GROUP BY k UNION ALL SELECT k, count(*) FROM r GROUP BY k", &[]),
    ("UnnestExec", "SELECT id, unnest(make_array(k, id)) AS u FROM s", &[]),
    ("RepartitionExec", "SELECT k, max(id) FROM s GROUP BY k", &[]),
    ("CoalescePartitionsExec", "SELECT sum(id) FROM s", &[]),
    ("LimitExec", "SELECT count(*) FROM (SELECT id FROM s LIMIT 7)", &[]),
    ("PartialSortExec", "SELECT n FROM (SELECT k, id, row_number() OVER (PARTITION BY k ORDER BY id) AS n FROM s) ORDER BY n", &[]),
    ("CaseExpr", "SELECT CASE WHEN k > 3 THEN 'many' WHEN k IS NULL THEN 'none' ELSE g END AS c FROM s", &[]),
];

/// Operators that a query is there for and the planner does not use: looked at when DataFusion changes.
const NOT_CHOSEN: &[&str] = &["PartialSortExec", "CaseExpr", "InterleaveExec"];

async fn context(settings: &[(&str, &str)]) -> (SessionContext, Arc<EpochInputs>) {
    let inputs = Arc::new(EpochInputs::default());
    let mut config = pipeline_config(3);
    for (name, value) in settings {
        config.options_mut().set(&format!("datafusion.{name}"), value).unwrap();
    }
    config.set_extension(Arc::clone(&inputs));
    let context = SessionContext::new_with_config(config);
    context.register_table("s", Arc::new(EpochTable(0))).unwrap();
    context.register_table("r", Arc::new(EpochTable(1))).unwrap();
    (context, inputs)
}

fn metric_count(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.metrics().map_or(0, |metrics| metrics.iter().count()) + plan.children().into_iter().map(metric_count).sum::<usize>()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operator_may_run_again() {
    let mut wrong = BTreeSet::new();
    for (number, (operator, sql, settings)) in QUERIES.iter().enumerate() {
        let (context, inputs) = context(settings).await;
        let plan_it = || async { context.sql(sql).await.unwrap().create_physical_plan().await.unwrap() };
        let mut plan = plan_it().await;
        let text = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
        if !text.contains(operator) && !NOT_CHOSEN.contains(operator) {
            wrong.insert(format!("{sql}\nuses no {operator}:\n{text}"));
        }
        let mut random = Random::new(number as u64 + 1);
        let mut metrics = Vec::new();
        for run in 0..6 {
            inputs.set(LeafId::Source(0), batches(&mut random));
            inputs.set(LeafId::Source(1), batches(&mut random));
            let expected = collect(plan_it().await, context.task_ctx()).await.unwrap();
            plan = reset_plan_states(plan).unwrap();
            let got = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
            // Partitions are merged in any order, so the last bits of float sums differ between two runs.
            if let Err(difference) = compare(&expected, &got, 0) {
                wrong.insert(format!("{sql}\nrun {run}: {difference}"));
            }
            metrics.push(metric_count(&plan));
        }
        // A run without rows may touch fewer operators.
        let early = metrics[..3].iter().max().unwrap();
        if metrics[3..].iter().any(|count| *count > early * 3 / 2 + 10) {
            wrong.insert(format!("{sql}\nmetrics grow: {metrics:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n\n"));
}
