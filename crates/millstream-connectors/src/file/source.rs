//! Reading files.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use millstream_time::Clock;

use super::config::FileConfig;
use super::lane::FileLane;
use super::open_file::Wanted;
use super::position::FilePosition;
use crate::error::Result;
use crate::source::{Boundedness, Lane, LaneId, Position, Replay, Source};

/// All files that a path stands for, as one lane.
#[derive(Debug)]
pub struct FileSource {
    config: Arc<FileConfig>,
    columns: SchemaRef,
    clock: Arc<dyn Clock>,
}

impl FileSource {
    /// For the declared columns. The files need not exist yet.
    pub fn new(config: FileConfig, columns: SchemaRef, clock: Arc<dyn Clock>) -> Self {
        Self { config: Arc::new(config), columns, clock }
    }
}

#[async_trait]
impl Source for FileSource {
    fn schema(&self) -> SchemaRef {
        self.columns.clone()
    }

    fn boundedness(&self) -> Boundedness {
        if self.config.follow.is_some() { Boundedness::Unbounded } else { Boundedness::Bounded }
    }

    fn replay(&self) -> Replay {
        Replay::Exact
    }

    async fn lanes(&self) -> Result<Vec<LaneId>> {
        Ok(vec![LaneId("files".to_owned())])
    }

    async fn open(&self, lane: &LaneId, start: Option<&Position>, projection: &[usize]) -> Result<Box<dyn Lane>> {
        crate::source::check_lane(lane, &["files"])?;
        let start = start.map(FilePosition::from_position).transpose()?;
        let wanted = Wanted { columns: self.columns.clone(), projection: projection.to_vec() };
        Ok(Box::new(FileLane::open(self.config.clone(), wanted, self.clock.clone(), start.as_ref())?))
    }
}
