//! Window aggregates over rows in memory, beside the limit: the suites `aggregates` and `bids`.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use millstream::connectors::MemorySource;
use serde_json::json;

use crate::Result;
use crate::arguments::Arguments;
use crate::case::{Case, Label, Measurement, find, run_in_turn};
use crate::engine_run::EngineQuery;
use crate::events;
use crate::floors::Floors;
use crate::limit::BatchQuery;
use crate::prepared::Prepared;
use crate::report::{self, rounded};

/// Names of the queries over `events`.
pub const LIMIT: &str = "limit_10s";
/// See [`LIMIT`].
pub const TUMBLE: &str = "tumble_10s";
/// See [`LIMIT`].
pub const HOP_SHORT: &str = "hop_2s_10s";
/// See [`LIMIT`].
pub const HOP_LONG: &str = "hop_2s_120s";

const VALUES: &str = "count(*) AS n, sum(v) AS total, avg(v) AS mean, max(v) AS highest";
const EVENTS: &str =
    "CREATE TABLE events (WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'prepared', 'name' = 'events')";

/// Batches in memory that Millstream and the limit both read.
struct Input<'a> {
    name: &'a str,
    keys: u64,
    batches: &'a [RecordBatch],
    table: &'a str,
}

impl Input<'_> {
    fn rows(&self) -> u64 {
        self.batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }

    fn label(&self, query: &str, threads: usize) -> Label {
        Label { query: query.to_owned(), input: self.name.to_owned(), threads, rows: self.rows(), keys: self.keys }
    }

    /// `windows`: how many hold a row.
    fn streaming(&self, name: &str, sql: String, windows: u64, threads: usize) -> Result<Case> {
        let Some(first) = self.batches.first() else { return Err("no rows".into()) };
        let source = MemorySource::new(first.schema(), events::deal(self.batches, threads));
        let query = EngineQuery {
            threads,
            prepared: Prepared::default().with("events", Arc::new(source)),
            tables: self.table.to_owned(),
            query: sql,
            sum_of_n: Some(i64::try_from(self.rows() * windows)?),
            ..EngineQuery::default()
        };
        Ok(Case::new(self.label(name, threads), move || query.run()))
    }

    fn batch(&self, name: &str, sql: String, threads: usize) -> Result<Case> {
        let sum_of_n = Some(i64::try_from(self.rows())?);
        let query = BatchQuery { threads, partitions: events::deal(self.batches, threads), query: sql, sum_of_n };
        Ok(Case::new(self.label(name, threads), move || query.run()))
    }
}

/// count, sum, avg and max by key.
///
/// # Errors
/// Those of a run.
pub fn measure(arguments: &Arguments, floors: &mut Floors) -> Result<()> {
    for &keys in &arguments.keys {
        let batches = events::batches(arguments.rows, keys, events::BATCH_ROWS)?;
        let input = Input { name: "memory", keys, batches: &batches, table: EVENTS };
        let mut cases = Vec::new();
        for &threads in &arguments.threads {
            let group = |window: &str| {
                format!("SELECT window_start, window_end, key, {VALUES} FROM {window} GROUP BY window_start, window_end, key")
            };
            let limit = format!(
                "SELECT date_bin(INTERVAL '10 seconds', ts) AS w, key, {VALUES} FROM events GROUP BY date_bin(INTERVAL '10 seconds', ts), key"
            );
            cases.push(input.batch(LIMIT, limit, threads)?);
            cases.push(input.streaming(TUMBLE, group("TUMBLE(events, ts, INTERVAL '10 seconds')"), 1, threads)?);
            cases.push(input.streaming(HOP_SHORT, group("HOP(events, ts, INTERVAL '2 seconds', INTERVAL '10 seconds')"), 5, threads)?);
            cases.push(input.streaming(HOP_LONG, group("HOP(events, ts, INTERVAL '2 seconds', INTERVAL '120 seconds')"), 60, threads)?);
        }
        cases.retain(|case| arguments.wants_case(&case.label.query, &case.label.input));
        let measured = run_in_turn(&cases, arguments.runs, report::progress)?;
        report::measurements(&measured)?;
        ratios(&measured, keys, &arguments.threads)?;
        judge(&measured, keys, floors);
    }
    Ok(())
}

fn ratios(measured: &[Measurement], keys: u64, threads: &[usize]) -> Result<()> {
    for &threads in threads {
        for (query, to) in [(TUMBLE, LIMIT), (HOP_SHORT, TUMBLE), (HOP_LONG, HOP_SHORT)] {
            let (Some(one), Some(other)) = (find(measured, query, keys, threads), find(measured, to, keys, threads)) else { continue };
            let fields = json!({
                "of": query, "to": to, "keys": keys, "threads": threads,
                "per_cpu_second": rounded(one.speed_over(other, |cost| cost.cpu_s), 3),
                "per_second": rounded(one.speed_over(other, |cost| cost.wall_s), 3),
            });
            report::line("ratio", &fields)?;
        }
    }
    Ok(())
}

fn judge(measured: &[Measurement], keys: u64, floors: &mut Floors) {
    let measured_at = |query, threads| find(measured, query, keys, threads);
    let cpu_ratio = |query, to| Some(measured_at(query, 1)?.speed_over(measured_at(to, 1)?, |cost| cost.cpu_s));
    if let Some(ratio) = cpu_ratio(TUMBLE, LIMIT) {
        floors.at_least(&format!("TUMBLE 10 s over the limit, {keys} keys, per CPU second"), 1.5, ratio);
    }
    if keys == 1_000 {
        if let Some(ratio) = cpu_ratio(HOP_SHORT, TUMBLE) {
            floors.at_least("HOP 2 s/10 s over TUMBLE 10 s, 1000 keys, per CPU second", 0.5, ratio);
        }
        if let Some(ratio) = cpu_ratio(HOP_LONG, HOP_SHORT) {
            floors.at_least("HOP 2 s/120 s over HOP 2 s/10 s, 1000 keys, per CPU second", 0.75, ratio);
        }
    }
    if let (Some(two), Some(one)) = (measured_at(TUMBLE, 2), measured_at(TUMBLE, 1)) {
        let ratio = two.speed_over(one, |cost| cost.wall_s);
        floors.at_least(&format!("TUMBLE 10 s, 2 threads over 1, {keys} keys, per second"), 1.7, ratio);
    }
}

/// NEXMark bids per auction: what other engines are compared by.
///
/// # Errors
/// Those of a run.
pub fn measure_bids(arguments: &Arguments, bids: &[RecordBatch]) -> Result<()> {
    let table =
        "CREATE TABLE bid (WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND) WITH ('connector' = 'prepared', 'name' = 'events')";
    let input = Input { name: "memory", keys: 0, batches: bids, table };
    let mut cases = Vec::new();
    for &threads in &arguments.threads {
        let limit = "SELECT date_bin(INTERVAL '10 seconds', date_time) AS w, auction, count(*) AS n, max(price) AS highest, avg(price) AS mean \
                     FROM events GROUP BY date_bin(INTERVAL '10 seconds', date_time), auction";
        let tumble = "SELECT window_start, window_end, auction, count(*) AS n, max(price) AS highest, avg(price) AS mean \
                      FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') GROUP BY window_start, window_end, auction";
        let hop = "SELECT window_start, window_end, auction, count(*) AS n \
                   FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY window_start, window_end, auction";
        cases.push(input.batch("bids_limit_10s", limit.to_owned(), threads)?);
        cases.push(input.streaming("bids_tumble_10s", tumble.to_owned(), 1, threads)?);
        cases.push(input.streaming("bids_hop_2s_10s", hop.to_owned(), 5, threads)?);
    }
    cases.retain(|case| arguments.wants_case(&case.label.query, &case.label.input));
    report::measurements(&run_in_turn(&cases, arguments.runs, report::progress)?)
}
