//! One row by its key: prepared once and asked again and again, or sent as text each time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::servers::Server;
use super::{Arguments, quantile};
use crate::Result;
use crate::report::{self, rounded};

/// How a lookup is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Prepared,
    Text,
}

/// Measures each way with one client and with several.
///
/// # Errors
/// A server refuses.
pub async fn measure(arguments: &Arguments, servers: &[Server]) -> Result<()> {
    for way in [Way::Prepared, Way::Text] {
        for clients in [1, arguments.clients] {
            for server in servers {
                // Once to warm up.
                one(arguments, server, way, clients, arguments.lookups / 10).await?;
                let (mut times, wall) = one(arguments, server, way, clients, arguments.lookups).await?;
                #[expect(clippy::cast_precision_loss, reason = "figures for people")]
                let per_second = times.len() as f64 / wall.as_secs_f64();
                report::line(
                    "lookup",
                    &json!({
                        "server": server.name,
                        "way": if way == Way::Prepared { "prepared" } else { "text" },
                        "clients": clients,
                        "rows": arguments.rows,
                        "lookups": times.len(),
                        "per_second": per_second.round(),
                        "p50_ms": rounded(quantile(&mut times, 0.5), 3),
                        "p99_ms": rounded(quantile(&mut times, 0.99), 3),
                    }),
                )?;
            }
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is what measures")]
async fn one(arguments: &Arguments, server: &Server, way: Way, clients: usize, lookups: u64) -> Result<(Vec<Duration>, Duration)> {
    let rows = arguments.rows;
    let each = (lookups / clients as u64).max(1);
    let mut ready = Vec::new();
    for _ in 0..clients {
        let client = Arc::new(server.client().await?);
        let statement = client.prepare("SELECT id, k, name, price, at FROM points WHERE id = $1").await?;
        ready.push((client, statement));
    }
    let began = Instant::now();
    let tasks: Vec<_> = ready
        .into_iter()
        .enumerate()
        .map(|(number, (client, statement))| {
            tokio::spawn(async move {
                let mut times = Vec::new();
                for n in 0..each {
                    let id = scattered(n * clients as u64 + number as u64, rows);
                    let asked = Instant::now();
                    let name: String = match way {
                        Way::Prepared => client.query_one(&statement, &[&id]).await?.get(2),
                        Way::Text => text(&client, id).await?,
                    };
                    times.push(asked.elapsed());
                    if name != format!("name {id}") {
                        return Err(format!("row {id} is called {name}").into());
                    }
                }
                crate::Result::Ok(times)
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok((all, began.elapsed()))
}

async fn text(client: &tokio_postgres::Client, id: i64) -> Result<String> {
    let sql = format!("SELECT id, k, name, price, at FROM points WHERE id = {id}");
    let messages = client.simple_query(&sql).await?;
    let row = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(2),
        _ => None,
    });
    Ok(row.ok_or("no row")?.to_owned())
}

/// Keys all over the table, the same in every run.
fn scattered(n: u64, rows: u64) -> i64 {
    i64::try_from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % rows + 1).unwrap_or(1)
}
