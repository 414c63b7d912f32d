//! `'connector' = 'socket'`: lines over TCP, from a server we connect to or from clients that connect to us.
//!
//! What was read cannot be read again: after a crash the rows since the last checkpoint are lost (at most once).

mod config;
mod lane;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use millstream_time::Clock;

pub use config::{Mode, SocketConfig};
use lane::SocketLane;

use crate::error::Result;
use crate::format::Format;
use crate::format::lines::LineDecoder;
use crate::options::{OptionSpecs, Options};
use crate::registry::{Connector, Role};
use crate::source::{Boundedness, Lane, LaneId, Position, Replay, Source};

/// Makes socket sources.
#[derive(Debug)]
pub struct SocketConnector;

impl Connector for SocketConnector {
    fn name(&self) -> &str {
        "socket"
    }

    fn about(&self) -> &str {
        "lines over TCP: raw text, JSON or CSV"
    }

    fn role(&self) -> Role {
        Role::Source
    }

    fn options(&self) -> OptionSpecs {
        config::OPTIONS
    }

    fn infer_schema(&self, options: Options) -> Result<Option<SchemaRef>> {
        let is_raw = SocketConfig::parse(options)?.format == Format::Raw;
        Ok(is_raw.then(|| Arc::new(Schema::new(vec![Field::new("line", DataType::Utf8View, true)]))))
    }

    fn source(&self, options: Options, columns: SchemaRef, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(SocketSource::new(SocketConfig::parse(options)?, columns, clock)?))
    }
}

/// Lines over TCP.
#[derive(Debug)]
pub struct SocketSource {
    config: Arc<SocketConfig>,
    columns: SchemaRef,
    clock: Arc<dyn Clock>,
}

impl SocketSource {
    /// Connects or listens only when its lane is opened.
    pub fn new(config: SocketConfig, columns: SchemaRef, clock: Arc<dyn Clock>) -> Result<Self> {
        // What the format cannot hold is told now.
        LineDecoder::new(config.format, &config.lines, &columns, &[], None)?;
        Ok(Self { config: Arc::new(config), columns, clock })
    }
}

#[async_trait]
impl Source for SocketSource {
    fn schema(&self) -> SchemaRef {
        self.columns.clone()
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Unbounded
    }

    fn replay(&self) -> Replay {
        Replay::None
    }

    async fn lanes(&self) -> Result<Vec<LaneId>> {
        Ok(vec![LaneId("socket".to_owned())])
    }

    async fn open(&self, lane: &LaneId, start: Option<&Position>, projection: &[usize]) -> Result<Box<dyn Lane>> {
        crate::source::check_lane(lane, &["socket"])?;
        let rows = start.map_or(Ok(0), |position| crate::source::row_of(position, "socket"))?;
        let decoder = LineDecoder::new(self.config.format, &self.config.lines, &self.columns, projection, None)?;
        Ok(Box::new(SocketLane::open(self.config.clone(), decoder, self.clock.clone(), rows).await?))
    }
}
