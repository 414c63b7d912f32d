//! Rows to many subscribers: a table grows, and each of them gets every row.

use std::time::Instant;

use serde_json::json;

use super::scans::Counting;
use super::{Arguments, servers};
use crate::Result;
use crate::report::{self, rounded};

/// Rows of one INSERT.
const BATCH: u64 = 10_000;

/// Measures rows a second that all subscribers together get.
///
/// # Errors
/// The server refuses.
#[expect(clippy::disallowed_methods, reason = "this is what measures")]
pub async fn measure(arguments: &Arguments) -> Result<()> {
    for (name, sql) in [("rows", "SUBSCRIBE grown"), ("COPY", "COPY (SUBSCRIBE grown) TO STDOUT")] {
        let server = servers::millstream().await?;
        let writer = server.client().await?;
        writer.batch_execute("CREATE TABLE grown (id BIGINT, k INTEGER, name TEXT, price DOUBLE PRECISION, at TIMESTAMP)").await?;
        let mut following = Vec::new();
        for _ in 0..arguments.subscribers {
            let mut counting = Counting::connect(server.port).await?;
            counting.ask(sql, false).await?;
            let wanted = arguments.subscribed_rows;
            following.push(tokio::spawn(async move {
                let mut rows = 0;
                while rows < wanted {
                    rows += u64::from(matches!(counting.next().await?, b'D' | b'd'));
                }
                crate::Result::Ok(counting.bytes)
            }));
        }
        let before = server.memory_mb();
        let began = Instant::now();
        let mut from = 0;
        while from < arguments.subscribed_rows {
            let to = (from + BATCH).min(arguments.subscribed_rows);
            let insert = format!(
                "INSERT INTO grown SELECT i, CAST(i % 1000 AS INTEGER), 'name ' || i, i * 0.25, TIMESTAMP '2026-01-01'
                 FROM generate_series({from}, {to} - 1) AS t (i)"
            );
            writer.batch_execute(&insert).await?;
            from = to;
        }
        let written = began.elapsed();
        let mut bytes = 0;
        for followed in following {
            bytes += followed.await??;
        }
        let seconds = began.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (rows, bytes) = ((arguments.subscribed_rows * arguments.subscribers as u64) as f64, bytes as f64);
        report::line(
            "fan_out",
            &json!({
                "way": name,
                "subscribers": arguments.subscribers,
                "rows_each": arguments.subscribed_rows,
                "seconds": rounded(seconds, 3),
                "seconds_to_write": rounded(written.as_secs_f64(), 3),
                "rows_per_second": (rows / seconds).round(),
                "mb_per_second": (bytes / seconds / 1e6).round(),
                "memory_before_mb": before.map(f64::round),
                "memory_mb": server.memory_mb().map(f64::round),
            }),
        )?;
    }
    Ok(())
}
