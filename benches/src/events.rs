//! Rows in memory: 10,000 a second of event time, up to two seconds out of order, keys evenly at random.

use std::sync::Arc;

use datafusion::arrow::array::{Float64Array, Int64Array, RecordBatch, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::Result;

/// Rows of a batch, which is also DataFusion's default.
pub const BATCH_ROWS: usize = 8192;

/// How late a row can be; the watermark's delay.
pub const DISORDER_MS: u64 = 2_000;

const ROWS_PER_MS: usize = 10;
const START_MS: i64 = 1_700_000_000_000;

/// The columns: `ts`, `key`, `v`, none of them null.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), false),
        Field::new("key", DataType::Int64, false),
        Field::new("v", DataType::Float64, false),
    ]))
}

/// `rows` rows with `keys` different keys in batches of `batch_rows`; the same for the same arguments.
///
/// # Errors
/// Never in practice: columns that do not fit the schema.
pub fn batches(rows: usize, keys: u64, batch_rows: usize) -> Result<Vec<RecordBatch>> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let schema = schema();
    let mut batches = Vec::with_capacity(rows.div_ceil(batch_rows));
    for first in (0..rows).step_by(batch_rows) {
        let count = batch_rows.min(rows - first);
        let (mut times, mut key_values, mut values) = (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
        for row in first..first + count {
            let late_ms = i64::try_from(random.next() % DISORDER_MS)?;
            times.push(START_MS + i64::try_from(row / ROWS_PER_MS)? - late_ms);
            key_values.push(i64::try_from(random.next() % keys.max(1))?);
            values.push((random.next() >> 44) as f64 / 1e3);
        }
        let columns: Vec<datafusion::arrow::array::ArrayRef> = vec![
            Arc::new(TimestampMillisecondArray::from(times)),
            Arc::new(Int64Array::from(key_values)),
            Arc::new(Float64Array::from(values)),
        ];
        batches.push(RecordBatch::try_new(Arc::clone(&schema), columns)?);
    }
    Ok(batches)
}

/// Batches dealt in turn to `lanes` lanes, as the partitions of a topic hold them.
pub fn deal(batches: &[RecordBatch], lanes: usize) -> Vec<Vec<RecordBatch>> {
    (0..lanes).map(|lane| batches.iter().skip(lane).step_by(lanes).cloned().collect()).collect()
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::{Int64Type, TimestampMillisecondType};

    use super::*;

    #[test]
    fn as_many_rows_as_asked_for_and_none_is_later_than_the_disorder() {
        let batches = batches(25_000, 7, 1_000).unwrap();
        assert_eq!(batches.len(), 25);
        let mut latest = i64::MIN;
        for batch in &batches {
            assert_eq!(batch.num_rows(), 1_000);
            assert!(batch.column(1).as_primitive::<Int64Type>().values().iter().all(|key| (0..7).contains(key)));
            for time in batch.column(0).as_primitive::<TimestampMillisecondType>().values() {
                latest = latest.max(*time);
                assert!(latest - time <= DISORDER_MS as i64);
            }
        }
    }

    #[test]
    fn dealing_loses_nothing() {
        let all = batches(5_000, 3, 1_000).unwrap();
        let lanes = deal(&all, 2);
        assert_eq!((lanes[0].len(), lanes[1].len()), (3, 2));
        assert_eq!(lanes[1][0], all[1]);
    }
}
