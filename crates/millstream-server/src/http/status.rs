//! `/status.json`: what the page shows.

use millstream::RelationKind;
use serde::Serialize;

use crate::server::ServerState;

#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    uptime_ms: i64,
    connections: usize,
    pipelines: Vec<Pipeline>,
    relations: Vec<Relation>,
}

#[derive(Debug, Serialize)]
struct Pipeline {
    name: String,
    state: String,
    rows_in: u64,
    rows_out: u64,
    late_rows: u64,
    rejected_rows: u64,
    open_windows: u64,
    state_bytes: u64,
    watermark_ms: Option<i64>,
    busy_percent: f64,
    held_back_percent: f64,
    restarts: u64,
    checkpoint: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Relation {
    name: String,
    kind: &'static str,
    columns: usize,
}

pub(super) fn status(state: &ServerState) -> Status {
    let pipelines = state.engine.pipelines().into_iter().map(|status| Pipeline {
        name: status.name,
        state: status.state.to_string(),
        rows_in: status.rows_in,
        rows_out: status.rows_out,
        late_rows: status.late_rows,
        rejected_rows: status.rejected_rows,
        open_windows: status.open_windows,
        state_bytes: status.state_bytes,
        watermark_ms: status.watermark_ms,
        busy_percent: status.load.busy_percent,
        held_back_percent: status.load.held_back_percent,
        restarts: status.restarts,
        checkpoint: status.last_checkpoint.map(|checkpoint| checkpoint.number),
    });
    let relations = state.engine.relations().into_iter().map(|relation| Relation {
        name: relation.name,
        kind: match relation.kind {
            RelationKind::Stream => "stream",
            RelationKind::View => "view",
            RelationKind::MaterializedView => "materialized view",
            _ => "table",
        },
        columns: relation.schema.fields().len(),
    });
    Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_ms: state.clock.now() - state.started_ms,
        connections: state.open_connections(),
        pipelines: pipelines.collect(),
        relations: relations.collect(),
    }
}
