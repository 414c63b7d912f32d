//! What pipelines cost that get no rows.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use millstream::connectors::channel_source;
use millstream::{Clock, SystemClock};
use serde_json::json;

use crate::Result;
use crate::arguments::Arguments;
use crate::engine_run::{EngineQuery, runtime};
use crate::events;
use crate::floors::Floors;
use crate::meter::Meter;
use crate::prepared::Prepared;
use crate::report::{self, rounded};

/// Until what belongs to the start of a pipeline is over.
const SETTLING: Duration = Duration::from_millis(500);

/// Measures a channel that had rows once, and a socket that listens.
///
/// # Errors
/// Those of the engine.
pub fn measure(arguments: &Arguments, floors: &mut Floors) -> Result<()> {
    let threads = arguments.threads.iter().copied().max().unwrap_or(1);
    let seconds = Duration::from_secs(arguments.idle_seconds.max(1));
    let (sender, source) = channel_source(events::schema(), 4);
    let channel = EngineQuery {
        threads,
        prepared: Prepared::default().with("events", source),
        tables: "CREATE TABLE events (WATERMARK FOR ts AS ts - INTERVAL '2' SECOND)
                 WITH ('connector' = 'prepared', 'name' = 'events', 'idle_timeout' = '1s')"
            .to_owned(),
        query: "SELECT window_start, count(*) AS n FROM TUMBLE(events, ts, INTERVAL '10 seconds') GROUP BY window_start".to_owned(),
        ..EngineQuery::default()
    };
    let rows = events::batches(100_000, 1_000, events::BATCH_ROWS)?;
    let feed = async {
        for batch in rows {
            sender.send(batch).await?;
        }
        Ok(())
    };
    let percent = watch(&channel, seconds, feed)?;
    tell("channel", threads, percent, floors)?;
    drop(sender);

    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let socket = EngineQuery {
        threads,
        tables: format!(
            "CREATE TABLE lines (k BIGINT, at AS PROCTIME()) WITH ('connector' = 'socket', 'hostname' = '127.0.0.1', 'port' = '{port}', 'mode' = 'listen', 'format' = 'json')"
        ),
        query: "SELECT window_start, count(*) AS n FROM TUMBLE(lines, at, INTERVAL '1 second') GROUP BY window_start".to_owned(),
        ..EngineQuery::default()
    };
    let percent = watch(&socket, seconds, async { Ok(()) })?;
    tell("socket", threads, percent, floors)
}

/// Percent of a core.
fn watch(query: &EngineQuery, seconds: Duration, feed: impl Future<Output = Result<()>>) -> Result<f64> {
    let runtime = runtime(query.threads)?;
    let percent = runtime.block_on(async {
        let session = query.session().await?;
        let mut rows = session.query(&query.query).await?;
        feed.await?;
        let clock = Arc::new(SystemClock::default());
        let settled = Arc::clone(&clock);
        // Rows must be taken, or the pipeline would wait for their reader instead of its input.
        let drain = async { while rows.next().await.is_some() {} };
        let watched = async {
            settled.sleep(SETTLING).await;
            let meter = Meter::start();
            clock.sleep(seconds).await;
            meter.stop()
        };
        futures::pin_mut!(drain, watched);
        match futures::future::select(watched, drain).await {
            futures::future::Either::Left((cost, _)) => Ok::<f64, crate::Error>(100.0 * cost.cpu_s / cost.wall_s),
            futures::future::Either::Right(_) => Err("the pipeline ended although its input goes on".into()),
        }
    });
    runtime.shutdown_background();
    percent
}

fn tell(input: &str, threads: usize, percent: f64, floors: &mut Floors) -> Result<()> {
    report::line("idle", &json!({ "input": input, "threads": threads, "percent_of_a_core": rounded(percent, 3) }))?;
    floors.at_most(&format!("idle {input}: percent of a core"), 1.0, percent);
    Ok(())
}
