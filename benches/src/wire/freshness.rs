//! From a row's coming in to its being seen: rows come by a socket, a pipeline puts them into a materialized view, a client asks for the
//! newest again and again.

use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Arguments, quantile, servers};
use crate::Result;
use crate::report::{self, rounded};

/// Rows are sent so often.
const EVERY: Duration = Duration::from_millis(1);

/// Time that does not count.
const WARM_UP: Duration = Duration::from_secs(2);

/// What was sent: the last row of a piece and when it left.
type Sent = Arc<Mutex<VecDeque<(i64, Instant)>>>;

/// Measures each rate.
///
/// # Errors
/// The server refuses.
pub async fn measure(arguments: &Arguments) -> Result<()> {
    for rate in &arguments.rates {
        let server = servers::millstream().await?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let sent = Sent::default();
        let seconds = Duration::from_secs(arguments.seconds) + WARM_UP;
        let (writing, rate) = (Arc::clone(&sent), *rate);
        let writer = std::thread::spawn(move || write(&listener, rate, seconds, &writing));
        let client = server.client().await?;
        client
            .batch_execute(&format!(
                "CREATE TABLE coming (id BIGINT, k INTEGER, price DOUBLE PRECISION)
                     WITH ('connector' = 'socket', 'hostname' = '127.0.0.1', 'port' = '{port}', 'format' = 'csv', 'csv.header' = 'false');
                 CREATE MATERIALIZED VIEW seen WITH ('retention' = '5 seconds') AS SELECT id, k, price FROM coming WHERE price >= 0"
            ))
            .await?;
        let (mut times, asked) = watch(&client, &sent, seconds).await?;
        let lag = writer.join().map_err(|_| "the writer has failed")??;
        report::line(
            "freshness",
            &json!({
                "rows_per_second": rate,
                "samples": times.len(),
                "selects": asked,
                "p50_ms": rounded(quantile(&mut times, 0.5), 2),
                "p99_ms": rounded(quantile(&mut times, 0.99), 2),
                "max_ms": rounded(quantile(&mut times, 1.0), 2),
                "writer_late_ms": rounded(lag.as_secs_f64() * 1e3, 1),
                "memory_mb": server.memory_mb().map(f64::round),
            }),
        )?;
    }
    Ok(())
}

/// Sends rows evenly; how late it was at most.
#[expect(clippy::disallowed_methods, reason = "this is what measures")]
fn write(listener: &TcpListener, rate: u64, seconds: Duration, sent: &Sent) -> Result<Duration> {
    let (mut socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    let began = Instant::now();
    let (mut id, mut text, mut late) = (0_u64, String::new(), Duration::ZERO);
    while began.elapsed() < seconds {
        let due = u64::try_from(began.elapsed().as_micros())? * rate / 1_000_000;
        if due > id {
            text.clear();
            let left = Instant::now();
            late = late.max(Duration::from_micros((due - id) * 1_000_000 / rate));
            while id < due {
                id += 1;
                text.push_str(&format!("{id},{},{}.5\n", id % 1000, id % 77));
            }
            sent.lock().map_err(|_| "poisoned")?.push_back((i64::try_from(id)?, left));
            socket.write_all(text.as_bytes())?;
        }
        std::thread::sleep(EVERY);
    }
    Ok(late)
}

/// Asks for the newest row until the time is over; how old each piece was when it was first seen, and how often it asked.
#[expect(clippy::disallowed_methods, reason = "this is what measures")]
async fn watch(client: &tokio_postgres::Client, sent: &Sent, seconds: Duration) -> Result<(Vec<Duration>, u64)> {
    let statement = client.prepare("SELECT max(id) FROM seen").await?;
    let (began, mut times, mut asked) = (Instant::now(), Vec::new(), 0);
    while began.elapsed() < seconds {
        let newest: Option<i64> = client.query_one(&statement, &[]).await?.get(0);
        let now = Instant::now();
        asked += 1;
        {
            let mut waiting = sent.lock().map_err(|_| "poisoned")?;
            while let Some((id, left)) = waiting.front().copied()
                && newest.is_some_and(|newest| id <= newest)
            {
                waiting.pop_front();
                if began.elapsed() > WARM_UP {
                    times.push(now.duration_since(left));
                }
            }
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok((times, asked))
}
