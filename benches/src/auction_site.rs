//! NEXMark queries over the generator, memory, Parquet and JSON.
//!
//! The queries are those of the benchmark in window SQL, as `sql-examples/` has them; q5 and q7 name the bids twice, as the
//! benchmark does.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use millstream::SystemClock;
use millstream::connectors::nexmark::{NexmarkConfig, NexmarkSource, Table};
use millstream::connectors::{MemorySource, Read, Source};

use crate::Result;
use crate::arguments::Arguments;
use crate::case::{Case, Label, run_in_turn};
use crate::engine_run::{EngineQuery, run_script, runtime};
use crate::events;
use crate::prepared::Prepared;
use crate::report;

/// Columns that the queries read: name in SQL and type.
const COLUMNS: [(Table, &[(&str, &str)]); 3] = [
    (Table::Person, &[("id", "BIGINT"), ("name", "TEXT"), ("date_time", "TIMESTAMP(3)")]),
    (Table::Auction, &[("id", "BIGINT"), ("seller", "BIGINT"), ("date_time", "TIMESTAMP(3)")]),
    (Table::Bid, &[("auction", "BIGINT"), ("bidder", "BIGINT"), ("price", "BIGINT"), ("date_time", "TIMESTAMP(3)")]),
];

/// Name, query, the tables it reads.
const QUERIES: [(&str, &str, &[Table]); 5] = [
    ("q1", "SELECT auction, bidder, 0.908 * price AS price, date_time FROM bid", &[Table::Bid]),
    ("q2", "SELECT auction, price FROM bid WHERE auction % 123 = 0", &[Table::Bid]),
    (
        "q5",
        "SELECT counts.window_start, counts.window_end, counts.auction, counts.bids
         FROM (SELECT auction, count(*) AS bids, window_start, window_end
               FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY auction, window_start, window_end) AS counts
         JOIN (SELECT max(bids) AS most, window_start, window_end
               FROM (SELECT count(*) AS bids, window_start, window_end
                     FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds')
                     GROUP BY auction, window_start, window_end) AS per_auction
               GROUP BY window_start, window_end) AS best
         ON counts.window_start = best.window_start AND counts.window_end = best.window_end AND counts.bids >= best.most",
        &[Table::Bid],
    ),
    (
        "q7",
        "SELECT b.window_start, b.auction, b.bidder, b.price, b.date_time
         FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') AS b
         JOIN (SELECT max(price) AS highest, window_start, window_end
               FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') GROUP BY window_start, window_end) AS top
         ON b.price = top.highest AND b.window_start = top.window_start AND b.window_end = top.window_end",
        &[Table::Bid],
    ),
    (
        "q8",
        "SELECT p.window_start, p.id, p.name
         FROM (SELECT id, name, window_start, window_end
               FROM TUMBLE(person, date_time, INTERVAL '10 seconds') GROUP BY id, name, window_start, window_end) AS p
         JOIN (SELECT seller, window_start, window_end
               FROM TUMBLE(auction, date_time, INTERVAL '10 seconds') GROUP BY seller, window_start, window_end) AS a
         ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end",
        &[Table::Person, Table::Auction],
    ),
];

/// Where the events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Generator,
    Memory,
    Parquet,
    Json,
}

impl Origin {
    const ALL: [Self; 4] = [Self::Generator, Self::Memory, Self::Parquet, Self::Json];

    fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Memory => "memory",
            Self::Parquet => "parquet",
            Self::Json => "json",
        }
    }

    /// The table with the columns that queries read.
    fn create(self, table: Table, events: u64, threads: usize, folder: &Path) -> String {
        let name = table.name();
        let options = match self {
            Self::Generator => format!("'connector' = 'nexmark', 'table' = '{name}', 'events' = '{events}', 'lanes' = '{threads}'"),
            Self::Memory => format!("'connector' = 'prepared', 'name' = '{name}'"),
            Self::Parquet | Self::Json => file_options(self, table, folder),
        };
        // Prepared batches bring their columns along.
        let declared = if self == Self::Memory { &[] } else { columns_of(table) };
        let columns = declared.iter().fold(String::new(), |mut sql, (column, kind)| {
            // Writing into a string cannot fail.
            let _ = write!(sql, "{column} {kind}, ");
            sql
        });
        format!("CREATE TABLE {name} ({columns}WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND) WITH ({options});\n")
    }
}

fn file_options(origin: Origin, table: Table, folder: &Path) -> String {
    let format = origin.name();
    format!("'connector' = 'file', 'format' = '{format}', 'path' = '{}'", folder.join(format).join(table.name()).display())
}

fn columns_of(table: Table) -> &'static [(&'static str, &'static str)] {
    COLUMNS.iter().find(|(other, _)| *other == table).map_or(&[], |(_, columns)| columns)
}

/// Rows of a table among `events` events: of 50 events 1 is a person, 3 are auctions, 46 are bids.
fn rows_of(table: Table, events: u64) -> u64 {
    events / 50
        * match table {
            Table::Person => 1,
            Table::Auction => 3,
            Table::Bid => 46,
        }
}

/// Measures every query over every origin.
///
/// # Errors
/// Those of a run.
pub fn measure(arguments: &Arguments) -> Result<()> {
    let events = arguments.events / 50 * 50;
    let folder = tempfile::tempdir()?;
    let origins: Vec<Origin> =
        Origin::ALL.into_iter().filter(|origin| QUERIES.iter().any(|(query, ..)| arguments.wants_case(query, origin.name()))).collect();
    for &origin in origins.iter().filter(|origin| matches!(origin, Origin::Parquet | Origin::Json)) {
        write_files(origin, events, folder.path())?;
    }
    let mut tables = Vec::new();
    if origins.contains(&Origin::Memory) {
        for (table, _) in COLUMNS {
            tables.push((table, generate(table, events)?));
        }
    }
    let mut cases = Vec::new();
    for (name, sql, reads) in QUERIES {
        for origin in Origin::ALL.into_iter().filter(|origin| arguments.wants_case(name, origin.name())) {
            for &threads in &arguments.threads {
                let prepared = tables.iter().fold(Prepared::default(), |prepared, (table, batches)| {
                    let Some(first) = batches.first() else { return prepared };
                    prepared.with(table.name(), Arc::new(MemorySource::new(first.schema(), events::deal(batches, threads))))
                });
                let query = EngineQuery {
                    threads,
                    prepared,
                    tables: reads.iter().map(|table| origin.create(*table, events, threads, folder.path())).collect(),
                    query: sql.to_owned(),
                    ..EngineQuery::default()
                };
                let rows = reads.iter().map(|table| rows_of(*table, events)).sum();
                let label = Label { query: name.to_owned(), input: origin.name().to_owned(), threads, rows, keys: 0 };
                cases.push(Case::new(label, move || query.run()));
            }
        }
    }
    report::measurements(&run_in_turn(&cases, arguments.runs, report::progress)?)
}

/// Writes all columns of all tables, with Millstream's own file sink.
fn write_files(origin: Origin, events: u64, folder: &Path) -> Result<()> {
    let mut sql = String::new();
    for (table, _) in COLUMNS {
        let (name, options) = (table.name(), file_options(origin, table, folder));
        write!(
            sql,
            "CREATE TABLE {name} WITH ('connector' = 'nexmark', 'table' = '{name}', 'events' = '{events}');
             CREATE SINK {name}_file WITH ({options}) AS SELECT * FROM {name};\n"
        )?;
    }
    run_script(&sql)
}

/// The columns of a table that the queries read, as batches in memory.
///
/// # Errors
/// Those of the generator.
pub fn generate(table: Table, events: u64) -> Result<Vec<RecordBatch>> {
    let config = NexmarkConfig { events: Some(events), ..NexmarkConfig::new(table) };
    let all = table.schema();
    let wanted = columns_of(table).iter().map(|(column, _)| all.index_of(column)).collect::<std::result::Result<Vec<_>, _>>()?;
    let source = NexmarkSource::new(config, all, Arc::new(SystemClock::default()))?;
    runtime(1)?.block_on(async {
        let mut batches = Vec::new();
        for lane in source.lanes().await? {
            let mut lane = source.open(&lane, None, &wanted).await?;
            while let Read::Batch(batch) = lane.read(events::BATCH_ROWS).await? {
                batches.push(batch.rows);
            }
        }
        Ok(batches)
    })
}
