//! What durability costs: throughput with checkpoints against none, how long the stream stands still for one, and how fast a large
//! state comes back.

use std::time::Duration;

use millstream::{Clock, Engine, PipelineHandle, Session, SystemClock};
use serde_json::json;

use crate::Result;
use crate::arguments::Arguments;
use crate::engine_run::runtime;
use crate::floors::Floors;
use crate::meter::Meter;
use crate::report::{self, rounded};

/// Rows of wide windows: every one a group of its own, or one of `groups`.
fn groups_sql(groups: Option<u64>, rows: u64) -> String {
    let key = groups.map_or_else(|| "id".to_owned(), |groups| format!("id % {groups}"));
    format!(
        "CREATE TABLE numbers (id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen', 'rows-per-second' = '0',
             'event_rate' = '1000', 'fields.id.kind' = 'sequence', 'fields.id.start' = '0', 'fields.id.end' = '{rows}');
         CREATE SINK counted WITH ('connector' = 'blackhole') AS
         SELECT window_start, {key} AS k, count(*) AS n, max(id) AS latest FROM TUMBLE(numbers, ts, INTERVAL '365 days')
         GROUP BY window_start, window_end, {key};"
    )
}

/// Measures all three.
///
/// # Errors
/// Those of a run.
pub fn measure(arguments: &Arguments, floors: &mut Floors) -> Result<()> {
    overhead(arguments, floors)?;
    stalls(arguments, floors)?;
    restore(arguments, floors)
}

/// The same pipeline with a checkpoint every second, every ten, and without a data folder.
fn overhead(arguments: &Arguments, floors: &mut Floors) -> Result<()> {
    let events = arguments.checkpoint_events;
    let sql = format!(
        "CREATE TABLE bid (auction BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND)
             WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '{events}', 'event_rate' = '20000');
         CREATE SINK counted WITH ('connector' = 'blackhole') AS
         SELECT window_start, auction, count(*) AS n, max(price) AS highest FROM TUMBLE(bid, date_time, INTERVAL '60 seconds')
         GROUP BY window_start, window_end, auction;"
    );
    let cases = [("none", None), ("10 s", Some(10_000)), ("1 s", Some(1_000))];
    let mut costs = vec![Vec::new(); cases.len()];
    for _ in 0..arguments.runs.min(3) {
        for ((_, interval_ms), costs) in cases.iter().zip(&mut costs) {
            costs.push(run_through(&sql, *interval_ms)?);
        }
    }
    let medians: Vec<f64> = costs.iter_mut().map(|costs| median(costs)).collect();
    for ((name, _), cpu_s) in cases.iter().zip(&medians) {
        let fields = json!({
            "checkpoints": name, "events": events, "cpu_s": rounded(*cpu_s, 3), "cpu_of_none": rounded(cpu_s / medians[0], 4),
        });
        report::line("checkpoint_overhead", &fields)?;
    }
    floors.at_most("CPU with checkpoints every 10 s, of that without", 1.02, medians[1] / medians[0]);
    Ok(())
}

fn run_through(sql: &str, interval_ms: Option<u64>) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    runtime(2)?.block_on(async {
        let mut builder = Engine::builder();
        if interval_ms.is_some() {
            builder = builder.data(folder.path().display().to_string());
        }
        let engine = builder.build().await?;
        let session = engine.session();
        session.set("checkpoint_interval_ms", &interval_ms.unwrap_or(3_600_000).to_string())?;
        let meter = Meter::start();
        session.execute(sql).await?;
        engine.wait().await?;
        Ok(meter.stop().cpu_s)
    })
}

/// A million groups, all of them changed between any two checkpoints.
fn stalls(arguments: &Arguments, floors: &mut Floors) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut stalls = runtime(2)?.block_on(async {
        let (engine, session) = engine_over(folder.path()).await?;
        session.set("checkpoint_interval_ms", "3600000")?;
        session.set("checkpoint_keep", "1000")?;
        session.execute(&groups_sql(Some(arguments.checkpoint_groups), i64::MAX as u64 / 2)).await?;
        let handle = only_pipeline(&session)?;
        let mut stalls = Vec::new();
        for round in 1..=arguments.checkpoints as u64 {
            rows_read(&handle, round * 2 * arguments.checkpoint_groups).await?;
            handle.checkpoint().await?;
            let figures = handle.status().last_checkpoint.ok_or("no checkpoint was taken")?;
            report::line("checkpoint", &figures)?;
            stalls.push(figures.stall_us as f64 / 1e3);
        }
        engine.shutdown().await;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(stalls)
    })?;
    stalls.sort_by(f64::total_cmp);
    let p99 = stalls[(stalls.len() * 99 / 100).min(stalls.len() - 1)];
    let fields = json!({
        "groups": arguments.checkpoint_groups, "checkpoints": stalls.len(),
        "stall_ms_median": rounded(stalls[stalls.len() / 2], 2), "stall_ms_p99": rounded(p99, 2),
    });
    report::line("checkpoint_stall", &fields)?;
    if arguments.checkpoint_groups >= 1_000_000 {
        floors.at_most("ms of stall, p99, 1 million dirty groups", 50.0, p99);
    }
    Ok(())
}

/// Open groups that come back from the folder into a new engine.
fn restore(arguments: &Arguments, floors: &mut Floors) -> Result<()> {
    let groups = arguments.restore_groups;
    let folder = tempfile::tempdir()?;
    runtime(2)?.block_on(async {
        let (engine, session) = engine_over(folder.path()).await?;
        session.set("checkpoint_interval_ms", "1000")?;
        session.execute(&groups_sql(None, i64::MAX as u64 / 2)).await?;
        rows_read(&only_pipeline(&session)?, groups).await?;
        engine.shutdown().await;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    let (seconds, rows) = runtime(2)?.block_on(async {
        let clock = SystemClock::default();
        let (engine, session) = engine_over(folder.path()).await?;
        // The first row that was not read before.
        rows_read(&only_pipeline(&session)?, 1).await?;
        let seconds = clock.monotonic().as_secs_f64();
        let rows = restored_rows(&session).await?;
        engine.shutdown().await;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((seconds, rows))
    })?;
    report::line("restore", &json!({ "groups": rows, "seconds": rounded(seconds, 3) }))?;
    if rows >= 10_000_000 {
        floors.at_most("seconds to go on with 10 million open groups", 3.0 * rows as f64 / 1e7, seconds);
    }
    Ok(())
}

async fn engine_over(folder: &std::path::Path) -> Result<(Engine, Session)> {
    let engine = Engine::builder().data(folder.display().to_string()).build().await?;
    let session = engine.session();
    Ok((engine, session))
}

fn only_pipeline(session: &Session) -> Result<PipelineHandle> {
    Ok(session.pipeline("counted").ok_or("the pipeline is not there")?)
}

/// Rows of state in the checkpoint that the pipeline went on from.
async fn restored_rows(session: &Session) -> Result<u64> {
    use datafusion::arrow::array::AsArray;
    let mut query = session.query("SHOW CHECKPOINTS FOR counted").await?;
    let mut rows = 0;
    while let Some(batch) = query.next().await {
        let batch = batch?;
        let column = batch.column_by_name("rows").ok_or("SHOW CHECKPOINTS has no column rows")?;
        rows = column.as_string::<i32>().iter().flatten().filter_map(|text| text.parse().ok()).fold(rows, u64::max);
    }
    Ok(rows)
}

/// Waits until the pipeline has read so many rows since it was started.
async fn rows_read(handle: &PipelineHandle, rows: u64) -> Result<()> {
    let clock = SystemClock::default();
    loop {
        let status = handle.status();
        if status.rows_in >= rows {
            return Ok(());
        }
        if status.state.is_final() {
            return Err(format!("the pipeline ended early: {:?}", status.state).into());
        }
        clock.sleep(Duration::from_millis(1)).await;
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
