//! `'connector' = 'datagen'`: random or counted values for any columns, with Flink's option names.
//!
//! Unlike Flink's, every value is a pure function of (seed, column, row number), so that a position is a count and a run can be
//! repeated. TIMESTAMP columns hold event time: `start_time` plus the row's number at `event_rate` rows per second (which is
//! `rows-per-second` if not given), earlier by a random part of `fields.<name>.max-past` for rows out of order.

mod config;
mod field;
mod lane;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_time::Clock;

pub use config::DatagenConfig;
use field::FieldGenerator;
use lane::DatagenLane;

use crate::error::Result;
use crate::options::{OptionSpecs, Options};
use crate::registry::{Connector, Role};
use crate::source::{Boundedness, Lane, LaneId, Position, Replay, Source};

/// Makes generators.
#[derive(Debug)]
pub struct DatagenConnector;

impl Connector for DatagenConnector {
    fn name(&self) -> &str {
        "datagen"
    }

    fn synonyms(&self) -> &[&str] {
        &["generator"]
    }

    fn about(&self) -> &str {
        "random or counted values for any columns"
    }

    fn role(&self) -> Role {
        Role::Source
    }

    fn options(&self) -> OptionSpecs {
        config::OPTIONS
    }

    fn source(&self, options: Options, columns: SchemaRef, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(DatagenSource::new(DatagenConfig::parse(options, &columns)?, columns, clock)))
    }
}

/// Makes rows.
#[derive(Debug)]
pub struct DatagenSource {
    config: Arc<DatagenConfig>,
    columns: SchemaRef,
    generators: Arc<Vec<FieldGenerator>>,
    clock: Arc<dyn Clock>,
}

impl DatagenSource {
    /// For any columns of simple types.
    pub fn new(config: DatagenConfig, columns: SchemaRef, clock: Arc<dyn Clock>) -> Self {
        let generators = field::generators(&config, &columns);
        Self { config: Arc::new(config), columns, generators: Arc::new(generators), clock }
    }
}

#[async_trait]
impl Source for DatagenSource {
    fn schema(&self) -> SchemaRef {
        self.columns.clone()
    }

    fn boundedness(&self) -> Boundedness {
        if self.config.rows.is_some() { Boundedness::Bounded } else { Boundedness::Unbounded }
    }

    fn replay(&self) -> Replay {
        Replay::Exact
    }

    async fn lanes(&self) -> Result<Vec<LaneId>> {
        Ok(vec![LaneId("0".to_owned())])
    }

    async fn open(&self, lane: &LaneId, start: Option<&Position>, projection: &[usize]) -> Result<Box<dyn Lane>> {
        crate::source::check_lane(lane, &["0"])?;
        let row = start.map_or(Ok(0), |position| crate::source::row_of(position, "datagen"))?;
        let schema = crate::format::lines::project(&self.columns, projection)?;
        let lane = DatagenLane::new(&self.config, self.generators.clone(), row, schema, projection.to_vec(), self.clock.clone());
        Ok(Box::new(lane))
    }
}
