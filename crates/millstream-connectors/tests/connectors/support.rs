//! What the tests share: a clock that jumps, reading a source to its end, rows as text.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use millstream_connectors::{ConnectorRegistry, LaneId, Options, Position, Read, RejectedRow, Result, Source};
use millstream_time::Clock;
use parking_lot::Mutex;

/// Time passes only by sleeping, at once.
#[derive(Debug, Default)]
pub(crate) struct JumpingClock {
    since_start: Mutex<Duration>,
    sleeps: Mutex<Vec<Duration>>,
}

impl JumpingClock {
    pub(crate) fn slept(&self) -> Vec<Duration> {
        self.sleeps.lock().clone()
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> i64 {
        1_700_000_000_000 + self.monotonic().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        *self.since_start.lock()
    }

    async fn sleep(&self, duration: Duration) {
        *self.since_start.lock() += duration;
        self.sleeps.lock().push(duration);
        tokio::task::yield_now().await;
    }
}

pub(crate) fn clock() -> Arc<JumpingClock> {
    Arc::new(JumpingClock::default())
}

pub(crate) fn options(pairs: &[(&str, &str)]) -> Options {
    Options::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>())
}

/// `"id BIGINT, name TEXT NOT NULL, at TIMESTAMP"`
pub(crate) fn columns(text: &str) -> SchemaRef {
    let field = |column: &str| {
        let mut words = column.split_whitespace();
        let (name, data_type) = (words.next().unwrap(), words.next().unwrap());
        let data_type = match data_type {
            "BIGINT" => DataType::Int64,
            "INT" => DataType::Int32,
            "DOUBLE" => DataType::Float64,
            "BOOLEAN" => DataType::Boolean,
            "TEXT" => DataType::Utf8View,
            "DATE" => DataType::Date32,
            "TIMESTAMP" => DataType::Timestamp(TimeUnit::Millisecond, None),
            other => panic!("{other}"),
        };
        Field::new(name, data_type, words.next() != Some("NOT"))
    };
    Arc::new(Schema::new(text.split(',').map(field).collect::<Vec<_>>()))
}

pub(crate) fn file_source(path: &Path, columns: &SchemaRef, more: &[(&str, &str)]) -> Arc<dyn Source> {
    let mut options = options(more);
    options.insert("connector", "file");
    options.insert("path", path.to_str().unwrap());
    ConnectorRegistry::default().source(options, columns.clone(), clock()).unwrap()
}

#[derive(Debug, Default)]
pub(crate) struct Everything {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) rejected: Vec<RejectedRow>,
    pub(crate) positions: Vec<Position>,
}

impl Everything {
    pub(crate) fn rows(&self) -> Vec<String> {
        self.batches.iter().flat_map(rows).collect()
    }

    pub(crate) fn rejections(&self) -> Vec<String> {
        self.rejected.iter().map(|row| format!("{}: {}", row.place.rsplit('/').next().unwrap(), row.reason)).collect()
    }
}

/// Reads one lane to its end.
pub(crate) async fn read_lane(
    source: &dyn Source,
    lane: &LaneId,
    start: Option<&Position>,
    projection: &[usize],
    rows_max: usize,
) -> Result<Everything> {
    let mut lane = source.open(lane, start, projection).await?;
    let mut everything = Everything::default();
    loop {
        match lane.read(rows_max).await? {
            Read::Finished => return Ok(everything),
            Read::Batch(batch) => {
                everything.batches.push(batch.rows);
                everything.rejected.extend(batch.rejected);
                everything.positions.push(batch.position);
            }
        }
    }
}

/// Reads all lanes to their ends, all columns.
pub(crate) async fn read_all(source: &dyn Source) -> Result<Everything> {
    let projection: Vec<usize> = (0..source.schema().fields().len()).collect();
    let mut all = Everything::default();
    for lane in source.lanes().await? {
        let one = read_lane(source, &lane, None, &projection, 8_192).await?;
        all.batches.extend(one.batches);
        all.rejected.extend(one.rejected);
        all.positions.extend(one.positions);
    }
    Ok(all)
}

/// Rows as text: `1|one|`.
pub(crate) fn rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default();
    let columns: Vec<_> = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|")).collect()
}
