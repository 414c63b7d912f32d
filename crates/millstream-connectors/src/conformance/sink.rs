//! What every sink must keep to.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringViewArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use super::{Violation, require, works};
use crate::sink::{Delivery, Sealed, Sink};

const HIDDEN: &str = "a transactional sink shows nothing before it is published";
const SHOWN: &str = "published rows are seen, all and once";
const LATER: &str = "a sink that shows rows after their checkpoint shows nothing before it exists";
const AT_ONCE: &str = "an at-least-once sink shows rows when they are written";
const AGAIN: &str = "publishing again, also by another instance, changes nothing";
const DISCARD: &str = "discard drops what was written since the last seal, and only that";
const DROP: &str = "a sink that is dropped before sealing leaves nothing for readers";
const EMPTY: &str = "a checkpoint without rows can be sealed and published";
const ROWS: &str = "a sealed checkpoint says how many rows it has";

/// The columns of the rows that [`check_sink`] writes: `id BIGINT, name TEXT`.
pub fn sink_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8View, true)]))
}

/// Rows with ids `from..to`.
///
/// # Panics
/// Never: the columns are those of [`sink_schema`].
pub fn sink_rows(from: i64, to: i64) -> RecordBatch {
    let names = StringViewArray::from_iter((from..to).map(|id| (id % 3 != 0).then(|| format!("name, \"{id}\""))));
    let columns: Vec<Arc<dyn Array>> = vec![Arc::new(Int64Array::from_iter_values(from..to)), Arc::new(names)];
    RecordBatch::try_new(sink_schema(), columns).unwrap_or_else(|_| RecordBatch::new_empty(sink_schema()))
}

/// The ids of such rows.
pub fn sink_ids(batches: &[RecordBatch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

/// Checks a sink for rows of [`sink_schema`]. `make` gives a new instance for the same output, as after a restart; `visible` the ids
/// that a reader of the output sees, in order. The output is empty at the start.
pub async fn check_sink(
    make: impl Fn() -> crate::Result<Box<dyn Sink>>,
    visible: impl Fn() -> crate::Result<Vec<i64>>,
) -> Result<(), Violation> {
    let sink = works(make(), SHOWN)?;
    let check = Check { make, visible };
    match sink.delivery() {
        Delivery::AtLeastOnce => check.at_least_once(sink).await,
        Delivery::AfterCheckpoint => check.after_checkpoint(sink).await,
        Delivery::Transactional => check.transactional(sink).await,
    }
}

struct Check<M, V> {
    make: M,
    visible: V,
}

impl<M: Fn() -> crate::Result<Box<dyn Sink>>, V: Fn() -> crate::Result<Vec<i64>>> Check<M, V> {
    fn expect(&self, rule: &'static str, expected: impl IntoIterator<Item = i64>) -> Result<(), Violation> {
        let seen = works((self.visible)(), rule)?;
        let expected: Vec<i64> = expected.into_iter().collect();
        require(seen == expected, rule, || {
            let shown = |ids: &[i64]| format!("{} rows {:?}…{:?}", ids.len(), ids.first(), ids.last());
            format!("a reader sees {}, expected {}", shown(&seen), shown(&expected))
        })
    }

    async fn write(&self, sink: &mut Box<dyn Sink>, from: i64, to: i64) -> Result<(), Violation> {
        let middle = from + (to - from) / 2;
        works(sink.write(&[sink_rows(from, middle), sink_rows(middle, middle), sink_rows(middle, to)]).await, SHOWN)
    }

    /// Seals; what comes back went through a manifest and, as one batch, through the files beside it.
    async fn seal(&self, sink: &mut Box<dyn Sink>, checkpoint: u64, rows: u64) -> Result<Sealed, Violation> {
        let sealed = works(sink.seal(checkpoint).await, ROWS)?;
        require(sealed.checkpoint == checkpoint && sealed.rows == rows, ROWS, || format!("{sealed:?}, expected {rows} rows"))?;
        let wrong = |detail: String| Violation { rule: ROWS, detail };
        let stored = serde_json::to_string(&sealed).and_then(|text| serde_json::from_str::<Sealed>(&text));
        let mut stored = stored.map_err(|error| wrong(error.to_string()))?;
        if let Some(first) = sealed.staged.first() {
            let staged = concat_batches(first.schema_ref(), &sealed.staged).map_err(|error| wrong(error.to_string()))?;
            stored.staged = vec![staged];
        }
        Ok(stored)
    }

    async fn after_checkpoint(&self, mut sink: Box<dyn Sink>) -> Result<(), Violation> {
        self.write(&mut sink, 0, 100).await?;
        self.expect(LATER, 0..0)?;
        let first = self.seal(&mut sink, 1, 100).await?;
        self.expect(LATER, 0..0)?;
        works(sink.publish(&first).await, SHOWN)?;
        self.expect(SHOWN, 0..100)?;
        self.write(&mut sink, 900, 910).await?;
        works(sink.discard().await, DISCARD)?;
        let empty = self.seal(&mut sink, 2, 0).await?;
        works(sink.publish(&empty).await, EMPTY)?;
        self.expect(DISCARD, 0..100)?;
        // Sealed by a process that is gone, shown by the next one.
        self.write(&mut sink, 100, 110).await?;
        let third = self.seal(&mut sink, 3, 10).await?;
        drop(sink);
        let mut next = works((self.make)(), SHOWN)?;
        works(next.publish(&third).await, SHOWN)?;
        self.expect(SHOWN, 0..110)
    }

    async fn at_least_once(&self, mut sink: Box<dyn Sink>) -> Result<(), Violation> {
        self.write(&mut sink, 0, 100).await?;
        self.expect(AT_ONCE, 0..100)?;
        let sealed = self.seal(&mut sink, 1, 100).await?;
        works(sink.publish(&sealed).await, AGAIN)?;
        works(sink.publish(&sealed).await, AGAIN)?;
        let empty = self.seal(&mut sink, 2, 0).await?;
        works(sink.publish(&empty).await, EMPTY)?;
        works(sink.discard().await, DISCARD)?;
        self.expect(AGAIN, 0..100)
    }

    async fn transactional(&self, mut sink: Box<dyn Sink>) -> Result<(), Violation> {
        // The plain way.
        self.write(&mut sink, 0, 100).await?;
        self.expect(HIDDEN, 0..0)?;
        let first = self.seal(&mut sink, 1, 100).await?;
        self.expect(HIDDEN, 0..0)?;
        works(sink.publish(&first).await, SHOWN)?;
        self.expect(SHOWN, 0..100)?;
        // Again, and by another.
        works(sink.publish(&first).await, AGAIN)?;
        let mut other = works((self.make)(), AGAIN)?;
        works(other.publish(&first).await, AGAIN)?;
        self.expect(AGAIN, 0..100)?;
        // Rows after a seal belong to the next checkpoint; discard drops only them.
        self.write(&mut sink, 100, 150).await?;
        let second = self.seal(&mut sink, 2, 50).await?;
        self.write(&mut sink, 900, 910).await?;
        works(sink.discard().await, DISCARD)?;
        works(sink.publish(&second).await, DISCARD)?;
        self.expect(DISCARD, 0..150)?;
        // No rows.
        let empty = self.seal(&mut sink, 3, 0).await?;
        works(sink.publish(&empty).await, EMPTY)?;
        works(sink.publish(&empty).await, EMPTY)?;
        self.expect(EMPTY, 0..150)?;
        // Sealed by a process that is gone, published by the next one.
        self.write(&mut sink, 150, 160).await?;
        let fourth = self.seal(&mut sink, 4, 10).await?;
        drop(sink);
        let mut next = works((self.make)(), AGAIN)?;
        works(next.publish(&fourth).await, AGAIN)?;
        works(next.publish(&fourth).await, AGAIN)?;
        self.expect(AGAIN, 0..160)?;
        // Dropped before sealing.
        self.write(&mut next, 990, 999).await?;
        drop(next);
        let mut last = works((self.make)(), DROP)?;
        self.write(&mut last, 160, 170).await?;
        let fifth = self.seal(&mut last, 5, 10).await?;
        works(last.publish(&fifth).await, DROP)?;
        works(last.publish(&fourth).await, AGAIN)?;
        self.expect(DROP, 0..170)
    }
}
