//! The case's query as a pipeline: its rows cut into epochs, spread over lanes, shuffled within the watermark's delay.

use std::sync::Arc;

use datafusion::arrow::array::{Int32Array, RecordBatch};
use datafusion::arrow::compute::take_record_batch;
use millstream::{AggregateDistribution, Settings};
use millstream_testkit::{Random, TestData};

use super::data::{COLUMNS, Dataset};
use super::query::Case;
use crate::harness;

/// How a run cuts and deals its input.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    shuffled: bool,
    lanes: usize,
    parallelism: usize,
    distribution: AggregateDistribution,
    epoch_rows_max: usize,
    epoch_windows_max: usize,
    batch_rows: usize,
    lane_batch_rows: usize,
}

impl Variant {
    /// The first is one big epoch on one partition.
    pub(super) fn generate(random: &mut Random, number: usize) -> Self {
        if number == 0 {
            return Self {
                shuffled: false,
                lanes: 1,
                parallelism: 1,
                distribution: AggregateDistribution::Auto,
                epoch_rows_max: 1_000_000,
                epoch_windows_max: 1_000_000,
                batch_rows: 100_000,
                lane_batch_rows: 100_000,
            };
        }
        Self {
            shuffled: random.chance(70),
            lanes: 1 + random.below(3),
            parallelism: 1 + random.below(8),
            distribution: random.pick(&[AggregateDistribution::Auto, AggregateDistribution::LateMerge, AggregateDistribution::ByKey]),
            epoch_rows_max: random.pick(&[1, 7, 30, 100, 1_000]),
            epoch_windows_max: random.pick(&[1, 2, 5, 64]),
            batch_rows: random.pick(&[1, 5, 20, 1_000]),
            lane_batch_rows: random.pick(&[1, 9, 50, 1_000]),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            parallelism: self.parallelism,
            aggregate_distribution: self.distribution,
            epoch_rows_max: self.epoch_rows_max,
            epoch_windows_max: self.epoch_windows_max,
            batch_rows: self.batch_rows,
            ..harness::settings()
        }
    }

    fn deal(&self, rows: &RecordBatch, random: &mut Random) -> Vec<Vec<RecordBatch>> {
        let mut lanes = vec![Vec::new(); self.lanes];
        for row in 0..rows.num_rows() {
            lanes[random.below(self.lanes)].push(i32::try_from(row).unwrap());
        }
        let lane = |rows_of_lane: Vec<i32>| {
            let batches = rows_of_lane.chunks(self.lane_batch_rows.max(1));
            batches.map(|chunk| take_record_batch(rows, &Int32Array::from(chunk.to_vec())).unwrap()).collect()
        };
        lanes.into_iter().map(lane).collect()
    }
}

/// The rows of the case's query.
pub(super) async fn run(data: &Dataset, case: &Case, variant: &Variant, random: &mut Random) -> Result<Vec<RecordBatch>, String> {
    let served = Arc::new(TestData::new());
    let engine = harness::engine(&served, variant.settings()).await;
    let session = engine.session();
    for (table, name) in ["s", "r"].into_iter().enumerate() {
        let rows = data.arrival(table, random, variant.shuffled);
        served.put(name, data.schema.clone(), variant.deal(&rows, random));
        let delay = data.delay_ms;
        let sql = format!(
            "CREATE TABLE {name} ({COLUMNS}, WATERMARK FOR ts AS ts - INTERVAL '{delay}' MILLISECOND) WITH ('connector' = 'testdata', 'data' = '{name}')"
        );
        session.execute(&sql).await.map_err(|error| error.to_string())?;
    }
    for view in &case.views {
        session.execute(&case.render_ours(view)).await.map_err(|error| error.to_string())?;
    }
    let sql = case.render_ours(&case.query);
    let run = async {
        let mut query = session.query(&sql).await?;
        let mut batches = Vec::new();
        while let Some(batch) = query.next().await {
            batches.push(batch?);
        }
        Ok::<_, millstream::Error>((batches, query.status()))
    };
    let (batches, status) = harness::patiently(&sql, run).await.map_err(|error| error.to_string())?;
    if status.late_rows + status.untimed_rows > 0 {
        return Err(format!("{} rows are late, {} untimed: none should be", status.late_rows, status.untimed_rows));
    }
    Ok(batches)
}
