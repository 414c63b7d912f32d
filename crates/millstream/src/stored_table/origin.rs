//! What a segment of a log says about itself besides its rows: when it was written, and which checkpoints' rows are in it.
//!
//! It is JSON in the metadata of the segment's Arrow schema: `{"version": 1, "written_ms": …, "origins": [{"pipeline": …}]}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use millstream_checkpoint::LogSegment;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const KEY: &str = "millstream";
const VERSION: u32 = 1;

/// The checkpoint of a pipeline whose rows these are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// Its id in the data folder.
    pub(super) pipeline: String,
    pub(super) checkpoint: u64,
}

/// What is written into a segment beside its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SegmentNote {
    version: u32,
    /// Milliseconds since 1970.
    pub(super) written_ms: i64,
    /// Whose rows are in it; rows of INSERTs have none.
    pub(super) origins: Vec<Origin>,
}

impl SegmentNote {
    pub(super) fn new(written_ms: i64, origins: Vec<Origin>) -> Self {
        Self { version: VERSION, written_ms, origins }
    }

    /// Of segments that become one.
    pub(super) fn of_all(segments: &[LogSegment]) -> Result<Self> {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut written_ms = i64::MIN;
        for segment in segments {
            let note = Self::read_from(&segment.schema, segment.sequence)?;
            written_ms = written_ms.max(note.written_ms);
            for origin in note.origins {
                let known = last.entry(origin.pipeline).or_default();
                *known = origin.checkpoint.max(*known);
            }
        }
        let origins = last.into_iter().map(|(pipeline, checkpoint)| Origin { pipeline, checkpoint }).collect();
        Ok(Self::new(written_ms, origins))
    }

    /// `schema` with this note in it.
    pub(super) fn write_into(&self, schema: &Schema) -> Result<SchemaRef> {
        let text = serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Arc::new(Schema::new_with_metadata(schema.fields().clone(), [(KEY.to_owned(), text)].into())))
    }

    /// The note of a segment.
    pub(super) fn read_from(schema: &Schema, sequence: u64) -> Result<Self> {
        let unreadable = |why: String| Error::user("XX001", format!("segment {sequence} does not say whose rows are in it: {why}"));
        let text = schema.metadata().get(KEY).ok_or_else(|| unreadable("its note is missing".to_owned()))?;
        let note: Self = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        if note.version > VERSION {
            return Err(unreadable(format!("its note has version {} (hint: use the newer program that wrote it)", note.version)));
        }
        Ok(note)
    }
}
