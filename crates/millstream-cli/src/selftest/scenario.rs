//! The pipelines that are killed: Nexmark and file input, windows, a join and a plain filter, all into files.

use std::fs;
use std::path::{Path, PathBuf};

/// Tables, shared by the script and by the batch run; `{events}` and `{input}` are filled in.
pub(super) const TABLES: &str = "
CREATE TABLE bid (
    auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '{events}', 'event_rate' = '1000');
CREATE TABLE person (
    id BIGINT, name TEXT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'person', 'events' = '{events}', 'event_rate' = '1000');
CREATE TABLE auction (
    id BIGINT, seller BIGINT, reserve BIGINT, date_time TIMESTAMP(3),
    WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'auction', 'events' = '{events}', 'event_rate' = '1000');
CREATE TABLE reading (
    sensor BIGINT, celsius DOUBLE, ts TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'file', 'path' = '{input}', 'format' = 'csv', 'csv.header' = 'true');
";

/// A pipeline, and the same question to a batch engine that knows no windows.
pub(super) struct Pipeline {
    /// Name of its sink.
    pub(super) sink: &'static str,
    /// The continuous query.
    pub(super) query: &'static str,
    /// Plain SQL over all rows at once.
    pub(super) batch: &'static str,
}

/// What runs.
pub(super) const PIPELINES: &[Pipeline] = &[
    Pipeline {
        sink: "filtered",
        query: "SELECT auction, price * 2 AS doubled, channel FROM bid WHERE auction % 123 = 0",
        batch: "SELECT auction, price * 2 AS doubled, channel FROM bid WHERE auction % 123 = 0",
    },
    Pipeline {
        sink: "tumbled",
        query: "SELECT window_start, auction, count(*) AS n, max(price) AS highest FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') \
                GROUP BY window_start, window_end, auction",
        batch: "SELECT date_bin(INTERVAL '10 seconds', date_time) AS window_start, auction, count(*) AS n, max(price) AS highest FROM bid \
                GROUP BY 1, 2",
    },
    Pipeline {
        sink: "newcomers",
        query: "SELECT p.window_start, p.id, p.name, a.reserve FROM TUMBLE(person, date_time, INTERVAL '10 seconds') AS p \
                JOIN TUMBLE(auction, date_time, INTERVAL '10 seconds') AS a \
                ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end",
        batch: "SELECT date_bin(INTERVAL '10 seconds', p.date_time) AS window_start, p.id, p.name, a.reserve FROM person AS p \
                JOIN auction AS a ON p.id = a.seller \
                AND date_bin(INTERVAL '10 seconds', p.date_time) = date_bin(INTERVAL '10 seconds', a.date_time)",
    },
    Pipeline {
        sink: "hottest",
        query: "SELECT window_start, auction, n FROM (SELECT window_start, window_end, auction, n, ROW_NUMBER() OVER \
                (PARTITION BY window_start, window_end ORDER BY n DESC, auction) AS place FROM \
                (SELECT window_start, window_end, auction, count(*) AS n FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') \
                GROUP BY window_start, window_end, auction)) WHERE place <= 3",
        batch: "SELECT window_start, auction, n FROM (SELECT window_start, auction, n, ROW_NUMBER() OVER \
                (PARTITION BY window_start ORDER BY n DESC, auction) AS place FROM \
                (SELECT date_bin(INTERVAL '10 seconds', date_time) AS window_start, auction, count(*) AS n FROM bid GROUP BY 1, 2)) WHERE place <= 3",
    },
    Pipeline {
        sink: "hopped",
        query: "SELECT window_start, sensor, count(*) AS n, min(celsius) AS lowest FROM HOP(reading, ts, INTERVAL '2 seconds', INTERVAL '6 seconds') \
                GROUP BY window_start, window_end, sensor",
        batch: "SELECT date_bin(INTERVAL '2 seconds', ts) - shift.back AS window_start, sensor, count(*) AS n, \
                min(celsius) AS lowest FROM reading CROSS JOIN (VALUES (INTERVAL '0 seconds'), (INTERVAL '2 seconds'), (INTERVAL '4 seconds')) AS shift (back) GROUP BY 1, 2",
    },
];

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
    pub(super) fn published_rows(&self, folder: &Path) -> Result<Vec<String>, String> {
        let mut rows = Vec::new();
        if folder.exists() {
            for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
                let path = entry.map_err(|error| error.to_string())?.path();
                let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
                if !hidden {
                    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                    rows.extend(text.lines().map(str::to_owned));
                }
            }
        }
        rows.sort();
        Ok(rows)
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
