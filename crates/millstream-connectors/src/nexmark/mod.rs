//! `'connector' = 'nexmark'`: the auction site of the NEXMark benchmark (Tucker, Tufte, Papadimos, Maier, 2002; proportions, ids
//! and skew as in the generator that Apache Beam made the standard).
//!
//! ```text
//! event number   0       1       2       3       4 ... 49      50      51  ...
//! kind           person  auction auction auction bid ... bid   person  auction ...
//! event time     start + number / event_rate
//! ```
//!
//! Persons, auctions and bids come from one sequence of events, so that bids name auctions and persons that exist at the time. A
//! table is one kind of them. Every value is a pure function of (seed, event number): lanes are shares of the sequence, a position
//! is a count, and resuming costs nothing.

mod auction;
mod bid;
mod config;
mod lane;
mod person;
mod sequence;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use millstream_time::Clock;

pub use config::{NexmarkConfig, Table};
use lane::NexmarkLane;
use sequence::Generator;

use crate::error::{ConnectorError, Result};
use crate::format::config::hint;
use crate::options::{OptionSpecs, Options};
use crate::registry::{Connector, Role};
use crate::source::{Boundedness, Lane, LaneId, Position, Replay, Source};

/// Makes NEXMark sources.
#[derive(Debug)]
pub struct NexmarkConnector;

impl Connector for NexmarkConnector {
    fn name(&self) -> &str {
        "nexmark"
    }

    fn about(&self) -> &str {
        "persons, auctions and bids of the NEXMark benchmark"
    }

    fn role(&self) -> Role {
        Role::Source
    }

    fn options(&self) -> OptionSpecs {
        config::OPTIONS
    }

    fn infer_schema(&self, options: Options) -> Result<Option<SchemaRef>> {
        Ok(Some(NexmarkConfig::parse(options)?.table.schema()))
    }

    fn source(&self, options: Options, columns: SchemaRef, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(NexmarkSource::new(NexmarkConfig::parse(options)?, columns, clock)?))
    }
}

/// Makes one column for events of its table.
type MakeColumn = fn(&Generator, &[u64]) -> ArrayRef;

impl Table {
    fn columns(self) -> &'static [(&'static str, Kind, MakeColumn)] {
        match self {
            Self::Person => person::COLUMNS,
            Self::Auction => auction::COLUMNS,
            Self::Bid => bid::COLUMNS,
        }
    }

    /// Its columns.
    pub fn schema(self) -> SchemaRef {
        let field = |(name, kind, _): &(&str, Kind, MakeColumn)| Field::new(*name, kind.data_type(), false);
        Arc::new(Schema::new(self.columns().iter().map(field).collect::<Vec<_>>()))
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Number,
    Text,
    Time,
}

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Self::Number => DataType::Int64,
            Self::Text => DataType::Utf8View,
            Self::Time => DataType::Timestamp(TimeUnit::Millisecond, None),
        }
    }
}

/// One table of the auction site.
#[derive(Debug)]
pub struct NexmarkSource {
    config: NexmarkConfig,
    generator: Arc<Generator>,
    columns: SchemaRef,
    /// For each declared column how it is made.
    makers: Vec<MakeColumn>,
    clock: Arc<dyn Clock>,
}

impl NexmarkSource {
    /// `columns`: any of the table's columns in any order; `dateTime` is taken for `date_time`.
    pub fn new(config: NexmarkConfig, columns: SchemaRef, clock: Arc<dyn Clock>) -> Result<Self> {
        let plain = |name: &str| name.replace('_', "").to_lowercase();
        let mut makers = Vec::new();
        for field in columns.fields() {
            let known = config.table.columns();
            let found = known.iter().find(|(name, ..)| plain(name) == plain(field.name()));
            let (_, kind, make) = found.ok_or_else(|| {
                let names: Vec<&str> = known.iter().map(|(name, ..)| *name).collect();
                let near = hint(field.name(), names.iter().copied());
                ConnectorError::config(format!(
                    "nexmark table '{}' has no column '{}': it has {}{near}",
                    config.table.name(),
                    field.name(),
                    names.join(", ")
                ))
            })?;
            lane::check_type(field, &kind.data_type())?;
            makers.push(*make);
        }
        let generator = Arc::new(Generator::new(&config));
        Ok(Self { config, generator, columns, makers, clock })
    }
}

#[async_trait]
impl Source for NexmarkSource {
    fn schema(&self) -> SchemaRef {
        self.columns.clone()
    }

    fn boundedness(&self) -> Boundedness {
        if self.config.events.is_some() { Boundedness::Bounded } else { Boundedness::Unbounded }
    }

    fn replay(&self) -> Replay {
        Replay::Exact
    }

    async fn lanes(&self) -> Result<Vec<LaneId>> {
        Ok((0..self.config.lanes).map(|lane| LaneId(lane.to_string())).collect())
    }

    async fn open(&self, lane: &LaneId, start: Option<&Position>, projection: &[usize]) -> Result<Box<dyn Lane>> {
        let number = lane.0.parse().ok().filter(|number| *number < self.config.lanes);
        let number = number.ok_or_else(|| ConnectorError::config(format!("there is no lane '{lane}': there are {}", self.config.lanes)))?;
        let row = start.map_or(Ok(0), |position| crate::source::row_of(position, "nexmark"))?;
        let schema = crate::format::lines::project(&self.columns, projection)?;
        let makers = projection.iter().map(|idx| self.makers[*idx]).collect();
        Ok(Box::new(NexmarkLane::new(&self.config, self.generator.clone(), number, row, schema, makers, self.clock.clone())))
    }
}
