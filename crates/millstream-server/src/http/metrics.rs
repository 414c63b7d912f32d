//! `/metrics`: figures of pipelines and of the server in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use millstream::{PipelineState, PipelineStatus};

use crate::server::ServerState;

/// A figure of a pipeline: its name, kind, what it is, and its value if there is one.
type Figure = (&'static str, &'static str, &'static str, fn(&PipelineStatus) -> Option<f64>);

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
const FIGURES: &[Figure] = &[
    ("rows_in_total", "counter", "Rows read.", |p| Some(p.rows_in as f64)),
    ("rows_out_total", "counter", "Rows put out.", |p| Some(p.rows_out as f64)),
    ("bytes_in_total", "counter", "Bytes read.", |p| Some(p.bytes_in as f64)),
    ("rejected_rows_total", "counter", "Rows that did not decode.", |p| Some(p.rejected_rows as f64)),
    ("late_rows_total", "counter", "Rows that came after their windows had closed.", |p| Some(p.late_rows as f64)),
    ("untimed_rows_total", "counter", "Rows without an event time.", |p| Some(p.untimed_rows as f64)),
    ("epochs_total", "counter", "Epochs run.", |p| Some(p.epochs as f64)),
    ("restarts_total", "counter", "Restarts after failures.", |p| Some(p.restarts as f64)),
    ("open_windows", "gauge", "Panes held.", |p| Some(p.open_windows as f64)),
    ("state_bytes", "gauge", "Bytes of state, about.", |p| Some(p.state_bytes as f64)),
    ("busy_seconds_total", "counter", "Time at work.", |p| Some(p.load.busy_ms as f64 / 1000.0)),
    ("idle_seconds_total", "counter", "Time without input.", |p| Some(p.load.idle_ms as f64 / 1000.0)),
    ("held_back_seconds_total", "counter", "Time spent waiting for the sink or a checkpoint.", |p| {
        Some(p.load.held_back_ms as f64 / 1000.0)
    }),
    ("busy_ratio", "gauge", "Share of the last second at work.", |p| Some(p.load.busy_percent / 100.0)),
    ("idle_ratio", "gauge", "Share of the last second without input.", |p| Some(p.load.idle_percent / 100.0)),
    ("held_back_ratio", "gauge", "Share of the last second spent waiting for the sink or a checkpoint: back-pressure.", |p| {
        Some(p.load.held_back_percent / 100.0)
    }),
    ("watermark_seconds", "gauge", "The smallest watermark of its sources, since 1970.", |p| p.watermark_ms.map(|ms| ms as f64 / 1000.0)),
    ("running", "gauge", "1 while it runs.", |p| Some(f64::from(u8::from(matches!(p.state, PipelineState::Running))))),
    ("failed", "gauge", "1 if it has failed.", |p| Some(f64::from(u8::from(matches!(p.state, PipelineState::Failed(_)))))),
    ("checkpoint_number", "gauge", "The last checkpoint.", |p| p.last_checkpoint.as_ref().map(|c| c.number as f64)),
    ("checkpoint_duration_seconds", "gauge", "How long it took.", |p| p.last_checkpoint.as_ref().map(|c| c.duration_ms as f64 / 1000.0)),
    ("checkpoint_bytes", "gauge", "Bytes that it wrote.", |p| p.last_checkpoint.as_ref().map(|c| c.bytes_new as f64)),
];

pub(super) fn text(state: &ServerState) -> String {
    let mut text = String::new();
    let pipelines = state.engine.pipelines();
    for (name, kind, help, value) in FIGURES {
        head(&mut text, &format!("pipeline_{name}"), kind, help);
        for pipeline in &pipelines {
            if let Some(value) = value(pipeline) {
                // Writing into a string cannot fail.
                let _ = writeln!(text, "millstream_pipeline_{name}{{pipeline=\"{}\"}} {value}", escaped(&pipeline.name));
            }
        }
    }
    let metrics = &state.metrics;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    for (name, kind, help, value) in [
        ("pg_connections", "gauge", "Clients of the Postgres protocol.", state.open_connections() as u64),
        ("pg_connections_total", "counter", "Clients that came in.", load(&metrics.connections)),
        ("pg_connections_refused_total", "counter", "Clients for whom there was no room.", load(&metrics.refused)),
        ("pg_statements_total", "counter", "Statements run.", load(&metrics.statements)),
        ("pg_errors_total", "counter", "Errors told to clients.", load(&metrics.errors)),
    ] {
        head(&mut text, name, kind, help);
        let _ = writeln!(text, "millstream_{name} {value}");
    }
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP millstream_{name} {help}\n# TYPE millstream_{name} {kind}");
}

/// The value of a label.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
