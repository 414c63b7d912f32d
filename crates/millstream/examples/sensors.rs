//! A program feeds rows into a channel; SQL with a function of the program's own gives windows while it does.
//!
//! `cargo run -p millstream --example sensors`

#![expect(clippy::print_stdout, reason = "an example shows what it gets")]

use std::error::Error;
use std::sync::Arc;

use datafusion::arrow::array::{Float64Array, RecordBatch, StringArray, TimestampMillisecondArray, cast::AsArray};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use millstream::connectors::options::{OptionSpecs, Options};
use millstream::connectors::{Connector, ConnectorError, Role, Source, channel_source};
use millstream::{Clock, Engine};

/// Ten o'clock on some day, in milliseconds since 1970.
const TEN: i64 = 1_717_236_000_000;

/// Makes the program's channel available as `'connector' = 'sensors'`. A channel can be read once.
#[derive(Debug)]
struct Sensors(Arc<dyn Source>);

impl Connector for Sensors {
    fn name(&self) -> &str {
        "sensors"
    }

    fn about(&self) -> &str {
        "what the sensors of this program measure"
    }

    fn role(&self) -> Role {
        Role::Source
    }

    fn options(&self) -> OptionSpecs {
        &[]
    }

    fn infer_schema(&self, _: Options) -> Result<Option<SchemaRef>, ConnectorError> {
        Ok(Some(self.0.schema()))
    }

    fn source(&self, _: Options, _: SchemaRef, _: Arc<dyn Clock>) -> Result<Arc<dyn Source>, ConnectorError> {
        Ok(Arc::clone(&self.0))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("sensor", DataType::Utf8, false),
        Field::new("fahrenheit", DataType::Float64, false),
        Field::new("measured_at", DataType::Timestamp(TimeUnit::Millisecond, None), false),
    ]));
    let (sender, source) = channel_source(Arc::clone(&schema), 4);
    let celsius = create_udf("celsius", vec![DataType::Float64], DataType::Float64, Volatility::Immutable, Arc::new(to_celsius));
    let engine = Engine::builder().with_connector(Arc::new(Sensors(source))).with_udf(celsius).build().await?;
    let session = engine.session();
    session
        .execute("CREATE TABLE measured (WATERMARK FOR measured_at AS measured_at - INTERVAL '1' SECOND) WITH ('connector' = 'sensors')")
        .await?;
    let mut query = session
        .query(
            "SELECT window_start, sensor, round(avg(celsius(fahrenheit)), 1) AS celsius, count(*) AS readings
             FROM TUMBLE(measured, measured_at, INTERVAL '10 seconds')
             GROUP BY window_start, sensor
             ORDER BY window_start, sensor",
        )
        .await?;

    #[expect(clippy::disallowed_methods, reason = "a program of its own spawns its own tasks")]
    let feeder = tokio::spawn(async move {
        for second in 0..25_u32 {
            sender.send(measure(&schema, second)?).await?;
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    });
    let mut rows = 0;
    // The first window comes as soon as a row is a second past its end, the last one when the sender is gone.
    while let Some(batch) = query.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        println!("{}", pretty_format_batches(&[batch])?);
    }
    feeder.await?.map_err(|error| error.to_string())?;
    println!("{rows} rows, state: {}", query.status().state);
    Ok(())
}

/// Two sensors, once a second.
fn measure(schema: &SchemaRef, second: u32) -> Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let at = TEN + i64::from(second) * 1_000;
    RecordBatch::try_new(
        Arc::clone(schema),
        vec![
            Arc::new(StringArray::from(vec!["cellar", "roof"])),
            Arc::new(Float64Array::from(vec![50.0 + f64::from(second % 2), 68.0 + f64::from(second)])),
            Arc::new(TimestampMillisecondArray::from(vec![at, at + 250])),
        ],
    )
}

fn to_celsius(arguments: &[ColumnarValue]) -> datafusion::common::Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let fahrenheit = arrays[0].as_primitive::<Float64Type>();
    let celsius: Float64Array = fahrenheit.unary(|degrees| (degrees - 32.0) / 1.8);
    Ok(ColumnarValue::Array(Arc::new(celsius)))
}
