//! `/metrics`: figures of pipelines, of models and of the server in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream::{ModelStatus, PipelineState, PipelineStatus, SourceStatus};

use super::process::process;
use crate::metrics::SECONDS;
use crate::server::ServerState;

/// A figure of something: its name, kind, what it is, and its value if there is one.
type Figure<T> = (&'static str, &'static str, &'static str, fn(&T) -> Option<f64>);

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
const PIPELINE: &[Figure<PipelineStatus>] = &[
    ("rows_in_total", "counter", "Rows read.", |p| Some(p.rows_in as f64)),
    ("rows_out_total", "counter", "Rows put out.", |p| Some(p.rows_out as f64)),
    ("bytes_in_total", "counter", "Bytes read.", |p| Some(p.bytes_in as f64)),
    ("rejected_rows_total", "counter", "Rows that did not decode.", |p| Some(p.rejected_rows as f64)),
    ("late_rows_total", "counter", "Rows that came after their windows had closed.", |p| Some(p.late_rows as f64)),
    ("untimed_rows_total", "counter", "Rows without an event time.", |p| Some(p.untimed_rows as f64)),
    ("epochs_total", "counter", "Epochs run.", |p| Some(p.epochs as f64)),
    ("restarts_total", "counter", "Restarts after failures.", |p| Some(p.restarts as f64)),
    ("open_windows", "gauge", "Panes held.", |p| Some(p.open_windows as f64)),
    ("state_bytes", "gauge", "Bytes of state in memory, about.", |p| Some(p.state_bytes as f64)),
    ("stored_bytes", "gauge", "Bytes of state that has left memory, about.", |p| Some(p.stored_bytes as f64)),
    ("busy_seconds_total", "counter", "Time at work.", |p| Some(p.load.busy_ms as f64 / 1000.0)),
    ("idle_seconds_total", "counter", "Time without input.", |p| Some(p.load.idle_ms as f64 / 1000.0)),
    ("held_back_seconds_total", "counter", "Time spent waiting for the sink or a checkpoint: back-pressure.", |p| {
        Some(p.load.held_back_ms as f64 / 1000.0)
    }),
    ("busy_ratio", "gauge", "Share of the last second at work.", |p| Some(p.load.busy_percent / 100.0)),
    ("idle_ratio", "gauge", "Share of the last second without input.", |p| Some(p.load.idle_percent / 100.0)),
    ("held_back_ratio", "gauge", "Share of the last second spent waiting for the sink or a checkpoint.", |p| {
        Some(p.load.held_back_percent / 100.0)
    }),
    ("watermark_seconds", "gauge", "The smallest watermark of its sources, since 1970.", |p| p.watermark_ms.map(|ms| ms as f64 / 1000.0)),
    ("running", "gauge", "1 while it runs.", |p| Some(f64::from(u8::from(matches!(p.state, PipelineState::Running))))),
    ("failed", "gauge", "1 if it has failed.", |p| Some(f64::from(u8::from(matches!(p.state, PipelineState::Failed(_)))))),
    ("checkpoint_number", "gauge", "The last checkpoint since the server started.", |p| {
        p.last_checkpoint.as_ref().map(|c| c.number as f64)
    }),
    ("checkpoint_timestamp_seconds", "gauge", "When it was sealed, since 1970.", |p| {
        p.last_checkpoint.as_ref().map(|c| c.created_ms as f64 / 1000.0)
    }),
    ("checkpoint_duration_seconds", "gauge", "From its seal to its existence.", |p| {
        p.last_checkpoint.as_ref().map(|c| c.duration_ms as f64 / 1000.0)
    }),
    ("checkpoint_stall_seconds", "gauge", "How long the stream stood still for it.", |p| {
        p.last_checkpoint.as_ref().map(|c| c.stall_us as f64 / 1e6)
    }),
    ("checkpoint_written_bytes", "gauge", "Bytes that it wrote.", |p| p.last_checkpoint.as_ref().map(|c| c.bytes_new as f64)),
    ("checkpoint_state_bytes", "gauge", "Bytes of all state files that it refers to.", |p| {
        p.last_checkpoint.as_ref().map(|c| c.bytes_total as f64)
    }),
];

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
const SOURCE: &[Figure<SourceStatus>] = &[
    ("rows_total", "counter", "Rows that a pipeline has read from a source.", |s| Some(s.rows as f64)),
    ("bytes_total", "counter", "Bytes that a pipeline has read from a source.", |s| Some(s.bytes as f64)),
    ("rejected_rows_total", "counter", "Rows of a source that did not decode.", |s| Some(s.rejected_rows as f64)),
    ("watermark_seconds", "gauge", "The watermark of a source, since 1970.", |s| s.watermark_ms.map(|ms| ms as f64 / 1000.0)),
    ("idle", "gauge", "1 while all lanes of a source wait for rows.", |s| Some(f64::from(u8::from(s.is_idle)))),
];

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
const MODEL: &[Figure<ModelStatus>] = &[
    ("calls_total", "counter", "Batches predicted by a model.", |m| Some(m.calls as f64)),
    ("rows_total", "counter", "Rows predicted by a model.", |m| Some(m.rows as f64)),
    ("null_rows_total", "counter", "Rows without a prediction because a feature is NULL.", |m| Some(m.null_rows as f64)),
    ("errors_total", "counter", "Batches that a model failed on.", |m| Some(m.errors as f64)),
    ("seconds_total", "counter", "Time spent in a model.", |m| Some(m.seconds)),
    ("rows_per_second", "gauge", "Rows by time spent in a model.", |m| Some(m.rows_per_second as f64)),
    ("latency_p50_seconds", "gauge", "Half of the batches took at most this long.", |m| Some(m.p50_us as f64 / 1e6)),
    ("latency_p99_seconds", "gauge", "All batches but one in a hundred took at most this long.", |m| Some(m.p99_us as f64 / 1e6)),
    ("version", "gauge", "Number of the version in use.", |m| Some(m.version as f64)),
];

/// Everything, in one text.
pub(super) fn text(state: &ServerState) -> String {
    let mut text = Text::default();
    text.one("build_info", "gauge", "Always 1; its label is the version.", &format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0);
    let now_ms = state.clock.now();
    let pipelines = state.engine.pipelines();
    pipelines_of(&mut text, &pipelines, now_ms);
    models_of(&mut text, &state.engine.models());
    tables_of(&mut text, state);
    wire_of(&mut text, state);
    process_of(&mut text, state, now_ms);
    text.0
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
fn pipelines_of(text: &mut Text, pipelines: &[PipelineStatus], now_ms: i64) {
    let label = |pipeline: &PipelineStatus| format!("{{pipeline=\"{}\"}}", escaped(&pipeline.name));
    for (name, kind, help, value) in PIPELINE {
        let name = format!("pipeline_{name}");
        text.head(&name, kind, help);
        pipelines.iter().for_each(|pipeline| text.value(&name, &label(pipeline), value(pipeline)));
    }
    text.head("pipeline_watermark_lag_seconds", "gauge", "How far the watermark is behind the clock, while it runs.");
    for pipeline in pipelines.iter().filter(|pipeline| !pipeline.state.is_final()) {
        let lag = pipeline.watermark_ms.map(|watermark| now_ms.saturating_sub(watermark) as f64 / 1000.0);
        text.value("pipeline_watermark_lag_seconds", &label(pipeline), lag);
    }
    for (name, kind, help, value) in SOURCE {
        let name = format!("source_{name}");
        text.head(&name, kind, help);
        for pipeline in pipelines {
            for (number, source) in pipeline.sources.iter().enumerate() {
                // A pipeline may read one stream twice, and labels must differ.
                let twice = pipeline.sources[..number].iter().filter(|before| before.name == source.name).count();
                let source_name = if twice == 0 { source.name.clone() } else { format!("{}#{}", source.name, twice + 1) };
                let labels = format!("{{pipeline=\"{}\",source=\"{}\"}}", escaped(&pipeline.name), escaped(&source_name));
                text.value(&name, &labels, value(source));
            }
        }
    }
}

fn models_of(text: &mut Text, models: &[ModelStatus]) {
    for (name, kind, help, value) in MODEL {
        let name = format!("model_{name}");
        text.head(&name, kind, help);
        for model in models {
            text.value(&name, &format!("{{model=\"{}\"}}", escaped(&model.name)), value(model));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
fn tables_of(text: &mut Text, state: &ServerState) {
    let session = state.engine.session();
    text.head("table_rows_total", "counter", "Rows that a stored table or materialized view has been given.");
    for relation in state.engine.relations() {
        if let Ok(tail) = session.table_tail(&relation.name, u64::MAX) {
            text.value("table_rows_total", &format!("{{table=\"{}\"}}", escaped(&relation.name)), Some(tail.to as f64));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
fn wire_of(text: &mut Text, state: &ServerState) {
    let metrics = &state.metrics;
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    for (name, kind, help, value) in [
        ("pg_connections", "gauge", "Clients of the Postgres protocol.", state.open_connections() as f64),
        ("pg_connections_max", "gauge", "Clients that there may be.", state.config.connections_max as f64),
        ("pg_connections_total", "counter", "Clients that came in.", load(&metrics.connections)),
        ("pg_connections_refused_total", "counter", "Clients for whom there was no room.", load(&metrics.refused)),
        ("pg_statements_total", "counter", "Statements run.", load(&metrics.statements)),
        ("pg_statements_active", "gauge", "Statements at work.", load(&metrics.active)),
        ("pg_subscriptions", "gauge", "Subscriptions that are open.", load(&metrics.subscriptions)),
        ("pg_rows_sent_total", "counter", "Rows sent to clients.", load(&metrics.rows_sent)),
    ] {
        text.one(name, kind, help, "", value);
    }
    text.head("pg_errors_total", "counter", "Errors told to clients, by SQLSTATE.");
    for (sqlstate, count) in metrics.errors_by_state() {
        text.value("pg_errors_total", &format!("{{sqlstate=\"{}\"}}", escaped(&sqlstate)), Some(count as f64));
    }
    let name = "pg_statement_duration_seconds";
    text.head(name, "histogram", "How long statements took, from the request to the last row.");
    let (counts, seconds) = metrics.times.figures();
    let ends = SECONDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    for (end, count) in ends.zip(&counts) {
        text.value(&format!("{name}_bucket"), &format!("{{le=\"{end}\"}}"), Some(*count as f64));
    }
    text.value(&format!("{name}_sum"), "", Some(seconds));
    text.value(&format!("{name}_count"), "", counts.last().map(|count| *count as f64));
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
fn process_of(text: &mut Text, state: &ServerState, now_ms: i64) {
    let process = process();
    let figures = [
        ("uptime_seconds", "gauge", "Since the server started.", Some((now_ms - state.started_ms) as f64 / 1000.0)),
        ("process_resident_memory_bytes", "gauge", "Memory that the process holds.", process.resident_bytes.map(|bytes| bytes as f64)),
        ("process_cpu_seconds_total", "counter", "Processor time that the process has used.", process.cpu_seconds),
        ("process_open_fds", "gauge", "Files and sockets that the process has open.", process.open_files.map(|files| files as f64)),
        ("process_threads", "gauge", "Threads of the process.", process.threads.map(|threads| threads as f64)),
    ];
    for (name, kind, help, value) in figures {
        if let Some(value) = value {
            text.one(name, kind, help, "", value);
        }
    }
}

/// What is written; all names begin alike. Writing into a string cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP millstream_{name} {help}\n# TYPE millstream_{name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: Option<f64>) {
        if let Some(value) = value {
            let _ = writeln!(self.0, "millstream_{name}{labels} {value}");
        }
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, labels: &str, value: f64) {
        self.head(name, kind, help);
        self.value(name, labels, Some(value));
    }
}

/// The value of a label.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
