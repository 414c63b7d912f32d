//! A query collected to its end, and a pipeline into files that runs beside it and tells how it is doing.
//!
//! `cargo run -p millstream --example auction_site`

#![expect(clippy::print_stdout, reason = "an example shows what it gets")]

use std::error::Error;

use datafusion::arrow::util::pretty::pretty_format_batches;
use millstream::{Engine, Outcome, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings { parallelism: 2, ..Settings::default() };
    let engine = Engine::builder().settings(settings).build().await?;
    let session = engine.session();
    session
        .execute(
            "CREATE TABLE bids (WATERMARK FOR date_time)
             WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '200000', 'event_rate' = '10000')",
        )
        .await?;

    // A statement that writes starts a pipeline; its handle tells how it is and ends it.
    let folder = std::env::temp_dir().join(format!("millstream_auction_site_{}", std::process::id()));
    let written = session
        .execute(&format!(
            "CREATE SINK per_second WITH ('connector' = 'file', 'path' = '{}', 'format' = 'parquet') AS
             SELECT window_start, channel, count(*) AS bids, max(price) AS highest
             FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(date_time), INTERVAL '1' SECOND))
             GROUP BY window_start, window_end, channel",
            folder.display()
        ))
        .await?;
    let Some(Outcome::Pipeline(pipeline)) = written.into_iter().next() else { return Err("a sink is a pipeline".into()) };

    // Meanwhile, a query. `collect` waits for its end, which comes because the generator is bounded.
    let query = session
        .query(
            "SELECT window_start, window_end, count(*) AS bids, count(DISTINCT bidder) AS bidders, max(price) AS highest
             FROM HOP(bids, date_time, INTERVAL '5 seconds', INTERVAL '10 seconds')
             GROUP BY window_start, window_end
             ORDER BY window_start",
        )
        .await?;
    println!("{}", pretty_format_batches(&query.collect().await?)?);

    pipeline.wait().await?;
    let status = pipeline.status();
    println!(
        "pipeline {} {}: {} rows in, {} rows out, {} late",
        status.name, status.state, status.rows_in, status.rows_out, status.late_rows
    );

    // What it wrote is a table like any other.
    session.execute(&format!("CREATE TABLE written WITH ('connector' = 'file', 'path' = '{}')", folder.display())).await?;
    let total = session.query("SELECT count(*) AS rows, sum(bids) AS bids FROM written").await?.collect().await?;
    println!("{}", pretty_format_batches(&total)?);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
