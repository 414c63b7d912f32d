//! `/status.json`: what the page shows.

use millstream::{CheckpointFigures, PipelineFailure, PipelineLoad, PipelineState, PipelineStatus, RelationKind, SourceStatus};
use serde::Serialize;

use crate::metrics::ToldError;
use crate::server::ServerState;

#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    now_ms: i64,
    uptime_ms: i64,
    connections: usize,
    connections_max: usize,
    statements: u64,
    subscriptions: u64,
    pipelines: Vec<Pipeline>,
    relations: Vec<Relation>,
    errors: Vec<ToldError>,
}

#[derive(Debug, Serialize)]
struct Pipeline {
    name: String,
    state: String,
    /// Why it has failed.
    error: Option<String>,
    sources: Vec<SourceStatus>,
    writes_into: Option<String>,
    rows_in: u64,
    rows_out: u64,
    bytes_in: u64,
    late_rows: u64,
    rejected_rows: u64,
    last_rejected: Option<String>,
    untimed_rows: u64,
    open_windows: u64,
    state_bytes: u64,
    stored_bytes: u64,
    watermark_ms: Option<i64>,
    lag_ms: Option<i64>,
    load: PipelineLoad,
    restarts: u64,
    failures: Vec<PipelineFailure>,
    checkpoint: Option<CheckpointFigures>,
}

#[derive(Debug, Serialize)]
struct Relation {
    name: String,
    kind: &'static str,
    columns: usize,
    /// Rows so far, where they are kept.
    rows: Option<u64>,
    connector: Option<String>,
}

pub(super) fn status(state: &ServerState) -> Status {
    let now_ms = state.clock.now();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        now_ms,
        uptime_ms: now_ms - state.started_ms,
        connections: state.open_connections(),
        connections_max: state.config.connections_max,
        statements: state.metrics.statements.load(std::sync::atomic::Ordering::Relaxed),
        subscriptions: state.metrics.subscriptions.load(std::sync::atomic::Ordering::Relaxed),
        pipelines: state.engine.pipelines().into_iter().map(|status| pipeline(status, now_ms)).collect(),
        relations: relations(state),
        errors: state.metrics.last_errors(),
    }
}

fn pipeline(status: PipelineStatus, now_ms: i64) -> Pipeline {
    let error = match &status.state {
        PipelineState::Failed(message) => Some(message.clone()),
        _ => None,
    };
    Pipeline {
        state: status.state.to_string(),
        error,
        lag_ms: status.watermark_ms.filter(|_| !status.state.is_final()).map(|watermark| now_ms.saturating_sub(watermark)),
        name: status.name,
        sources: status.sources,
        writes_into: status.writes_into,
        rows_in: status.rows_in,
        rows_out: status.rows_out,
        bytes_in: status.bytes_in,
        late_rows: status.late_rows,
        rejected_rows: status.rejected_rows,
        last_rejected: status.last_rejected,
        untimed_rows: status.untimed_rows,
        open_windows: status.open_windows,
        state_bytes: status.state_bytes,
        stored_bytes: status.stored_bytes,
        watermark_ms: status.watermark_ms,
        load: status.load,
        restarts: status.restarts,
        failures: status.failures,
        checkpoint: status.last_checkpoint,
    }
}

fn relations(state: &ServerState) -> Vec<Relation> {
    let session = state.engine.session();
    let relation = |relation: millstream::Relation| Relation {
        rows: session.table_tail(&relation.name, u64::MAX).ok().map(|tail| tail.to),
        kind: match relation.kind {
            RelationKind::Stream => "stream",
            RelationKind::View => "view",
            RelationKind::MaterializedView => "materialized view",
            _ => "table",
        },
        columns: relation.schema.fields().len(),
        connector: relation.connector,
        name: relation.name,
    };
    state.engine.relations().into_iter().map(relation).collect()
}
