//! The options of the `nexmark` connector, typed.

use crate::error::{ConnectorError, Result};
use crate::options::{ConfigReader, OptionSpec, OptionSpecs, Options};

/// Every option.
pub(super) const OPTIONS: OptionSpecs = &[&[
    OptionSpec::new("table", "bid", "which events: person, auction or bid").or(&["nexmark.table.type"]),
    OptionSpec::new("events", "1000000", "number of events of all three kinds together; default: endless")
        .or(&["nexmark.event.num", "number-of-events"]),
    OptionSpec::new("rate", "100000", "events of all three kinds per second of wall time; 0 or absent: as fast as possible"),
    OptionSpec::new("event_rate", "10000", "events of all three kinds per second of event time; default 10000"),
    OptionSpec::new("seed", "42", "another seed gives other events; default 0"),
    OptionSpec::new("lanes", "4", "parallel parts, each in the order of event time; default 1").or(&["nexmark.split.num"]),
    OptionSpec::new("start_time", "2015-07-15 00:00:00", "event time of the first event; default 2015-07-15 00:00:00 UTC"),
]];

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Someone who sells and bids.
    Person,
    /// Something for sale.
    Auction,
    /// An offer.
    Bid,
}

impl Table {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Auction => "auction",
            Self::Bid => "bid",
        }
    }
}

/// The options.
#[derive(Clone, Debug)]
pub struct NexmarkConfig {
    /// Which events.
    pub table: Table,
    /// Number of events of all kinds; `None`: endless.
    pub events: Option<u64>,
    /// Events of all kinds per second of wall time; `None`: as fast as possible.
    pub rate: Option<u64>,
    /// Events of all kinds per second of event time.
    pub event_rate: u64,
    /// What the events depend on.
    pub seed: u64,
    /// Parallel parts.
    pub lanes: u64,
    /// Event time of event 0, milliseconds since 1970.
    pub start_ms: i64,
}

impl NexmarkConfig {
    /// Everything as by default.
    pub fn new(table: Table) -> Self {
        Self { table, events: None, rate: None, event_rate: 10_000, seed: 0, lanes: 1, start_ms: 1_436_918_400_000 }
    }

    /// From raw options.
    pub fn parse(options: Options) -> Result<Self> {
        let config = ConfigReader::new("nexmark", options, OPTIONS)?;
        let table = match config.choice("table", &["bid", "auction", "person"])? {
            Some("bid") => Table::Bid,
            Some("auction") => Table::Auction,
            Some(_) => Table::Person,
            None => {
                config.required("table", "bid")?;
                return Err(ConnectorError::config("option 'table' is missing"));
            }
        };
        let default = Self::new(table);
        let lanes = config.parsed("lanes", "a count from 1 to 1024", "4", |text| {
            crate::options::parse_count(text).filter(|count| (1..=1024).contains(count))
        })?;
        Ok(Self {
            table,
            events: config.count("events")?,
            rate: config.count("rate")?.filter(|rate| *rate > 0),
            event_rate: config.positive("event_rate")?.unwrap_or(default.event_rate),
            seed: config.count("seed")?.unwrap_or(default.seed),
            lanes: lanes.unwrap_or(default.lanes),
            start_ms: config.parsed("start_time", "a timestamp", "2015-07-15 00:00:00", parse_time)?.unwrap_or(default.start_ms),
        })
    }
}

fn parse_time(text: &str) -> Option<i64> {
    arrow::compute::kernels::cast_utils::string_to_datetime(&chrono::Utc, text.trim()).ok().map(|time| time.timestamp_millis())
}
