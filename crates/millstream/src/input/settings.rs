//! What the caller says about the sources of a pipeline and the size of an epoch.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::physical_plan::PhysicalExpr;
use millstream_connectors::Source;

use super::error::{InputError, Result};

/// What the planner knows of one source of a pipeline.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// Table name, for messages and metrics.
    pub name: String,
    /// Where the rows come from.
    pub source: Arc<dyn Source>,
    /// Columns of [`Source::schema`] to read, ascending.
    pub projection: Vec<usize>,
    /// How event time advances.
    pub watermark: WatermarkRule,
    /// Timestamp column (of the projected batch) the future-skew guard looks at.
    pub event_time: Option<usize>,
    /// How long a lane must have been polled empty to be idle; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// How far past the clock an event time may be and still advance the watermark; `None`: any time does.
    pub max_future_skew: Option<Duration>,
    /// What to do with rows that do not decode.
    pub bad_rows: BadRows,
}

/// How a source's watermark follows from its rows.
#[derive(Clone, Debug)]
pub enum WatermarkRule {
    /// No event time: nothing is known until the source ends.
    None,
    /// The running maximum of a timestamp column, minus a constant.
    Column {
        /// Column of the projected batch; a timestamp of any unit.
        index: usize,
        /// Milliseconds to subtract.
        delay_ms: i64,
    },
    /// The running maximum of an expression over the projected batch that gives a timestamp.
    Expr(Arc<dyn PhysicalExpr>),
}

/// What to do with rows that do not decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRows {
    /// Stop with an error that shows the row's place. The batch that holds it is not handed out.
    #[default]
    Fail,
    /// Count it and go on.
    Skip,
    /// Count it, hand it out with the epoch that it belongs to, and go on.
    Keep,
}

/// Sizes and times of epochs and queues.
#[derive(Clone, Debug)]
pub struct InputSettings {
    /// Rows of an epoch at most.
    pub epoch_rows_max: usize,
    /// Bytes of an epoch at most (in memory, as Arrow; one batch is always taken).
    pub epoch_bytes_max: usize,
    /// How long to wait for more after an epoch's first rows.
    pub epoch_linger: Duration,
    /// Rows after which an epoch lingers no longer.
    pub epoch_rows_min: usize,
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// Batches of each lane that wait to be taken at most.
    pub lane_batches_ahead: usize,
    /// How far a source's watermark may be ahead of the slowest one's; `None`: any distance.
    pub source_drift_max: Option<Duration>,
    /// How often unbounded sources are asked for new lanes.
    pub lane_discovery_interval: Duration,
    /// Each lane is read on a thread of its own: it may block.
    pub background_threads: bool,
}

impl Default for InputSettings {
    fn default() -> Self {
        Self {
            epoch_rows_max: 256 * 1024,
            epoch_bytes_max: 64 * 1024 * 1024,
            epoch_linger: Duration::from_millis(5),
            epoch_rows_min: 4096,
            batch_rows: 8192,
            lane_batches_ahead: 8,
            source_drift_max: None,
            lane_discovery_interval: Duration::from_secs(30),
            background_threads: true,
        }
    }
}

impl InputSettings {
    /// Rows a lane is asked for: a position exists only between batches, so a batch must fit into an epoch.
    pub(super) fn read_rows(&self) -> usize {
        self.batch_rows.min(self.epoch_rows_max).max(1)
    }
}

impl SourceSpec {
    /// The schema of the batches, after checking that everything in the description fits it.
    pub(super) fn checked_schema(&self) -> Result<SchemaRef> {
        let schema = self
            .source
            .schema()
            .project(&self.projection)
            .map_err(|error| InputError::config(&self.name, format!("the projection {:?} does not fit: {error}", self.projection)))?;
        match &self.watermark {
            WatermarkRule::None => {}
            WatermarkRule::Column { index, .. } => self.check_timestamp_column("watermark", *index, &schema)?,
            WatermarkRule::Expr(expr) => {
                let data_type = expr.data_type(&schema).map_err(|error| InputError::watermark(&self.name, error))?;
                self.check_timestamp("watermark expression", &expr.to_string(), &data_type)?;
            }
        }
        if let Some(index) = self.event_time {
            self.check_timestamp_column("event time", index, &schema)?;
        }
        Ok(Arc::new(schema))
    }

    fn check_timestamp_column(&self, what: &str, index: usize, schema: &datafusion::arrow::datatypes::Schema) -> Result<()> {
        match schema.fields().get(index) {
            Some(field) => self.check_timestamp(&format!("{what} column"), field.name(), field.data_type()),
            None => Err(InputError::bug(&self.name, format!("the {what} column has index {index} of {}", schema.fields().len()))),
        }
    }

    fn check_timestamp(&self, what: &str, name: &str, data_type: &DataType) -> Result<()> {
        match data_type {
            DataType::Timestamp(..) => Ok(()),
            other => Err(InputError::config(&self.name, format!("the {what} must be a timestamp: {name} is {other} (hint: cast it)"))),
        }
    }
}
