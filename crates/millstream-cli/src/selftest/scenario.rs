//! The files of one round: input, script, data folder, and a folder for each sink.

use std::fs;
use std::path::{Path, PathBuf};

use super::pipelines::{PIPELINES, Pipeline, TABLES};

/// The files of one round.
pub(super) struct Scenario {
    folder: PathBuf,
    /// The statements that make the tables.
    pub(super) tables: String,
}

impl Scenario {
    /// Writes input and script into `folder`.
    pub(super) fn write(folder: &Path, events: u64) -> Result<Self, String> {
        let readings = folder.join("readings.csv");
        fs::write(&readings, readings_csv(events / 4)).map_err(|error| error.to_string())?;
        let tables = TABLES.replace("{events}", &events.to_string()).replace("{input}", &readings.display().to_string());
        let scenario = Self { folder: folder.to_owned(), tables };
        fs::write(scenario.script(), scenario.sql()).map_err(|error| error.to_string())?;
        Ok(scenario)
    }

    pub(super) fn script(&self) -> PathBuf {
        self.folder.join("pipelines.sql")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the program says when it fails.
    pub(super) fn messages(&self) -> PathBuf {
        self.folder.join("messages.txt")
    }

    pub(super) fn sink(&self, pipeline: &Pipeline) -> PathBuf {
        self.folder.join(pipeline.sink)
    }

    /// Small epochs and frequent checkpoints, so that many things are under way when it dies.
    fn sql(&self) -> String {
        let mut sql = "SET epoch_rows_max = 500;\nSET batch_rows = 100;\nSET checkpoint_interval_ms = 60;\n".to_owned();
        sql.push_str(&self.tables);
        for pipeline in PIPELINES {
            let (name, path) = (pipeline.sink, self.sink(pipeline));
            sql.push_str(&format!(
                "CREATE SINK {name} WITH ('connector' = 'file', 'path' = '{}', 'format' = 'csv', 'csv.header' = 'false') AS\n{};\n",
                path.display(),
                pipeline.query
            ));
        }
        sql
    }

    /// Rows that readers of a sink's folder see, sorted.
    pub(super) fn published_rows(&self, pipeline: &Pipeline) -> Result<Vec<String>, String> {
        let mut rows = Vec::new();
        for path in self.published_files(pipeline)? {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            rows.extend(text.lines().map(str::to_owned));
        }
        rows.sort();
        Ok(rows)
    }

    /// Files that readers of a sink's folder see.
    pub(super) fn published_files(&self, pipeline: &Pipeline) -> Result<Vec<PathBuf>, String> {
        let folder = self.sink(pipeline);
        let mut files = Vec::new();
        if folder.exists() {
            for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
                let path = entry.map_err(|error| error.to_string())?.path();
                if path.file_name().is_none_or(|name| !name.to_string_lossy().starts_with('.')) {
                    files.push(path);
                }
            }
        }
        Ok(files)
    }
}

/// Readings a second apart in pairs, from 50 sensors, a little out of order.
fn readings_csv(rows: u64) -> String {
    let mut text = "sensor,celsius,ts\n".to_owned();
    for row in 0..rows {
        let at = row * 20 + if row % 7 == 0 { 900 } else { 0 };
        let (second, milli) = (at / 1000, at % 1000);
        let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
        let celsius = (row * 7919 % 4000) as f64 / 100.0;
        text.push_str(&format!("{},{celsius},2026-01-01 {hour:02}:{minute:02}:{second:02}.{milli:03}\n", row * 31 % 50));
    }
    text
}
