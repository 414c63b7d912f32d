//! Generated rows of two streams, `s` and `r`, with bounded disorder.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_testkit::Random;

/// Columns of both streams, as `CREATE TABLE` declares them.
pub(super) const COLUMNS: &str = "id BIGINT, k BIGINT, g TEXT, a INT, b BIGINT, d DOUBLE, f BOOLEAN, m DECIMAL(12, 2), ts TIMESTAMP(3)";

/// The rows of a case.
#[derive(Debug)]
pub(super) struct Dataset {
    pub(super) schema: SchemaRef,
    /// `s` and `r`, each in order of event time.
    pub(super) tables: [RecordBatch; 2],
    /// How far a row may arrive behind the latest one.
    pub(super) delay_ms: i64,
    /// From the first to the last event time, about.
    pub(super) span_ms: i64,
}

impl Dataset {
    pub(super) fn generate(random: &mut Random) -> Self {
        let span_ms = random.pick(&[1_000, 20_000, 100_000]);
        let start_ms = random.pick(&[0, 1_700_000_000_000, -50_000, 951_782_395_123]);
        let keys = random.pick(&[1, 3, 10, 200]);
        let tables = [0, 1].map(|_| {
            let rows = random.pick(&[0, 1, 40, 150, 300]);
            generate_rows(random, rows, start_ms, span_ms, keys)
        });
        Self { schema: schema(), tables, delay_ms: random.pick(&[0, 1, 500, 5_000]), span_ms }
    }

    /// The rows of a table as they arrive: shuffled within the delay.
    pub(super) fn arrival(&self, table: usize, random: &mut Random, shuffled: bool) -> RecordBatch {
        let batch = &self.tables[table];
        let times = batch.column(8).as_any().downcast_ref::<TimestampMillisecondArray>().unwrap();
        let mut order: Vec<(i64, u64, i32)> = times
            .values()
            .iter()
            .zip(0..)
            .map(|(&time, row)| if shuffled { (time + random.within(0..self.delay_ms + 1), random.number(), row) } else { (time, 0, row) })
            .collect();
        order.sort_unstable();
        take_record_batch(batch, &Int32Array::from_iter_values(order.into_iter().map(|(_, _, row)| row))).unwrap()
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("k", DataType::Int64),
        field("g", DataType::Utf8),
        field("a", DataType::Int32),
        field("b", DataType::Int64),
        field("d", DataType::Float64),
        field("f", DataType::Boolean),
        field("m", DataType::Decimal128(12, 2)),
        field("ts", DataType::Timestamp(TimeUnit::Millisecond, None)),
    ]))
}

fn generate_rows(random: &mut Random, rows: i64, start_ms: i64, span_ms: i64, keys: i64) -> RecordBatch {
    let nulls = random.pick(&[0, 20, 60]);
    // A part of the time may be empty, so that windows are skipped.
    let gap = random.chance(30).then(|| random.within(0..span_ms));
    let mut times: Vec<i64> = (0..rows)
        .map(|_| {
            let time = random.within(0..span_ms);
            start_ms + gap.filter(|gap| time > *gap).map_or(time, |_| time + span_ms * 3)
        })
        .collect();
    times.sort_unstable();
    let or_null = |random: &mut Random, value: i64| (!random.chance(nulls)).then_some(value);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..rows)),
        Arc::new(
            (0..rows)
                .map(|_| {
                    let value = random.within(0..keys);
                    or_null(random, value).or(random.chance(90).then_some(value))
                })
                .collect::<Int64Array>(),
        ),
        Arc::new(
            (0..rows)
                .map(|_| {
                    let value = random.within(0..keys.min(20));
                    or_null(random, value).map(|value| format!("key-{value}"))
                })
                .collect::<StringArray>(),
        ),
        Arc::new(
            (0..rows)
                .map(|_| {
                    let value = random.within(-5..6);
                    or_null(random, value).map(|value| i32::try_from(value).unwrap())
                })
                .collect::<Int32Array>(),
        ),
        Arc::new(
            (0..rows)
                .map(|_| {
                    let value = random.within(-1_000_000_000_000..1_000_000_000_000);
                    or_null(random, value)
                })
                .collect::<Int64Array>(),
        ),
        Arc::new(
            (0..rows)
                .map(|_| {
                    let value = random.within(-4_000..4_000);
                    or_null(random, value).map(|value| value as f64 / 7.0)
                })
                .collect::<Float64Array>(),
        ),
        Arc::new(
            (0..rows)
                .map(|_| {
                    let value = random.within(0..2);
                    or_null(random, value).map(|value| value == 1)
                })
                .collect::<BooleanArray>(),
        ),
        Arc::new(
            (0..rows)
                .map(|_| {
                    let value = random.within(-100_000..100_000);
                    or_null(random, value).map(i128::from)
                })
                .collect::<Decimal128Array>()
                .with_precision_and_scale(12, 2)
                .unwrap(),
        ),
        Arc::new(TimestampMillisecondArray::from(times)),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}
