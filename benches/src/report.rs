//! JSON lines on standard output, progress on standard error.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use crate::Result;
use crate::case::{Label, Measurement};

/// Prints one line.
///
/// # Errors
/// Standard output is closed.
pub fn line(kind: &str, fields: &impl Serialize) -> Result<()> {
    let mut all = serde_json::Map::new();
    all.insert("kind".to_owned(), Value::from(kind));
    if let Value::Object(fields) = serde_json::to_value(fields)? {
        all.extend(fields);
    }
    writeln!(io::stdout().lock(), "{}", Value::Object(all))?;
    Ok(())
}

/// Prints measurements.
///
/// # Errors
/// Standard output is closed.
pub fn measurements(all: &[Measurement]) -> Result<()> {
    for one in all {
        let Label { query, input, threads, rows, keys } = &one.label;
        let first = one.runs.first();
        line(
            "measurement",
            &json!({
                "query": query,
                "input": input,
                "threads": threads,
                "rows": rows,
                "keys": keys,
                "rows_out": first.map_or(0, |run| run.rows_out),
                "events_per_second": one.per_second().round(),
                "events_per_cpu_second": one.per_cpu_second().round(),
                "wall_s": rounded(one.median_of(|run| run.cost.wall_s), 4),
                "cpu_s": rounded(one.median_of(|run| run.cost.cpu_s), 4),
                "peak_rss_mb": one.median_of(|run| run.cost.peak_rss_mb).round(),
                "rss_before_mb": one.median_of(|run| run.cost.rss_before_mb).round(),
                "epochs": one.median_of(|run| run.epochs as f64),
                "runs": one.runs.len(),
                "cpu_s_of_runs": one.runs.iter().map(|run| rounded(run.cost.cpu_s, 4)).collect::<Vec<_>>(),
            }),
        )?;
    }
    Ok(())
}

/// Says what is being run.
pub fn progress(label: &Label) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "{} over {}, {} threads, {} keys", label.query, label.input, label.threads, label.keys);
}

/// For reading.
pub fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
