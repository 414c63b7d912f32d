//! What an epoch costs besides its rows: a TUMBLE aggregate in epochs of 1,000 rows.

use std::sync::Arc;

use millstream::connectors::MemorySource;
use serde_json::json;

use crate::Result;
use crate::arguments::Arguments;
use crate::case::{Case, Label, Measurement, run_in_turn};
use crate::engine_run::EngineQuery;
use crate::events;
use crate::floors::Floors;
use crate::prepared::Prepared;
use crate::report::{self, rounded};

const EPOCH_ROWS: usize = 1_000;
const KEYS: u64 = 10_000;
const QUERY: &str = "SELECT window_start, key, count(*) AS n, sum(v) AS total, avg(v) AS mean, max(v) AS highest
                     FROM TUMBLE(events, ts, INTERVAL '10 seconds') GROUP BY window_start, key";

/// Measures it on one partition, on one busy partition of two, and on two busy ones.
///
/// # Errors
/// Those of a run.
pub fn measure(arguments: &Arguments, floors: &mut Floors) -> Result<()> {
    let rows = (arguments.rows / 5).max(EPOCH_ROWS);
    let mut cases = Vec::new();
    for &threads in &arguments.threads {
        // One batch an epoch keeps one partition busy; as many batches as partitions keep all busy.
        cases.push(case("epochs_one_batch", rows, threads, 1)?);
        if threads > 1 {
            cases.push(case("epochs_batch_each", rows, threads, threads)?);
        }
    }
    cases.retain(|case| arguments.wants_case(&case.label.query, &case.label.input));
    let measured = run_in_turn(&cases, arguments.runs, report::progress)?;
    report::measurements(&measured)?;
    for one in &measured {
        tell(one, floors)?;
    }
    Ok(())
}

fn case(name: &str, rows: usize, threads: usize, batches: usize) -> Result<Case> {
    let batch_rows = EPOCH_ROWS / batches;
    let all = events::batches(rows, KEYS, batch_rows)?;
    let source = MemorySource::new(events::schema(), events::deal(&all, batches));
    let settings = [("epoch_rows_max", EPOCH_ROWS), ("batch_rows", batch_rows), ("epoch_linger_ms", 0)];
    let query = EngineQuery {
        threads,
        settings: settings.iter().map(|(name, value)| (*name, value.to_string())).collect(),
        prepared: Prepared::default().with("events", Arc::new(source)),
        tables: "CREATE TABLE events (WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'prepared', 'name' = 'events')"
            .to_owned(),
        query: QUERY.to_owned(),
        sum_of_n: Some(i64::try_from(rows)?),
    };
    let label = Label { query: name.to_owned(), input: "memory".to_owned(), threads, rows: rows as u64, keys: KEYS };
    Ok(Case::new(label, move || query.run()))
}

fn tell(one: &Measurement, floors: &mut Floors) -> Result<()> {
    let threads = one.label.threads;
    let microseconds = one.median_of(|run| run.cost.wall_s * 1e6 / run.epochs as f64);
    let fields = json!({
        "query": one.label.query,
        "threads": threads,
        "microseconds_per_epoch": rounded(microseconds, 1),
        "cpu_microseconds_per_epoch": rounded(one.median_of(|run| run.cost.cpu_s * 1e6 / run.epochs as f64), 1),
        "rows_per_epoch": one.median_of(|run| one.label.rows as f64 / run.epochs as f64).round(),
    });
    report::line("epoch_cost", &fields)?;
    match (threads, one.label.query.as_str()) {
        (1, _) => floors.at_most("µs per epoch of 1000 rows, one partition", 60.0, microseconds),
        (2, "epochs_batch_each") => floors.at_most("µs per epoch of 1000 rows, two busy partitions", 150.0, microseconds),
        _ => {}
    }
    Ok(())
}
