//! Active clients alone, and beside many idle ones (row R18 of the scorecard).

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde_json::json;
use tokio_postgres::{Client, Statement};

use super::scans::Counting;
use super::{Arguments, quantile, servers};
use crate::Result;
use crate::report::{self, rounded};

/// Statements of each active client.
const EACH: usize = 100;

/// Measures the active clients before and beside the idle ones.
///
/// # Errors
/// The server refuses.
#[expect(clippy::disallowed_methods, reason = "this is what measures")]
pub async fn measure(arguments: &Arguments) -> Result<()> {
    let server = servers::millstream().await?;
    let first = server.client().await?;
    first.batch_execute("CREATE TABLE few (id BIGINT); INSERT INTO few VALUES (1), (2), (3)").await?;
    let mut active = Vec::new();
    for _ in 0..arguments.active {
        let client = server.client().await?;
        let statement = client.prepare("SELECT id FROM few WHERE id = 2").await?;
        active.push((client, statement));
    }
    ask(&active).await?;
    let mut alone = ask(&active).await?;
    let before = server.memory_mb();
    let began = Instant::now();
    let mut idle = Vec::new();
    for _ in 0..arguments.idle {
        idle.push(Counting::connect(server.port).await?);
    }
    let connecting = began.elapsed().as_secs_f64() / arguments.idle.max(1) as f64;
    let after = server.memory_mb();
    let mut beside = ask(&active).await?;
    drop(idle);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let each_kb = before.zip(after).map(|(before, after)| (after - before) * 1024.0 / arguments.idle.max(1) as f64);
    report::line(
        "crowd",
        &json!({
            "active": arguments.active,
            "idle": arguments.idle,
            "p50_ms_alone": rounded(quantile(&mut alone, 0.5), 2),
            "p99_ms_alone": rounded(quantile(&mut alone, 0.99), 2),
            "p50_ms_beside": rounded(quantile(&mut beside, 0.5), 2),
            "p99_ms_beside": rounded(quantile(&mut beside, 0.99), 2),
            "connect_ms": rounded(connecting * 1e3, 2),
            "memory_kb_each": each_kb.map(|kb| rounded(kb, 1)),
        }),
    )
}

#[expect(clippy::disallowed_methods, reason = "this is what measures")]
async fn ask(clients: &[(Client, Statement)]) -> Result<Vec<Duration>> {
    let one = async |(client, statement): &(Client, Statement)| {
        let mut times = Vec::new();
        for _ in 0..EACH {
            let asked = Instant::now();
            client.query_one(statement, &[]).await?;
            times.push(asked.elapsed());
        }
        crate::Result::Ok(times)
    };
    Ok(try_join_all(clients.iter().map(one)).await?.into_iter().flatten().collect())
}
