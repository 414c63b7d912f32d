//! What plain DataFusion gives: all rows in a table, windows spelled out by joins and `date_bin`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::data::Dataset;
use super::query::{Case, Windows};

/// The rows of the case's query.
pub(super) async fn run(data: &Dataset, case: &Case) -> Result<Vec<RecordBatch>, String> {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let context = SessionContext::new_with_config(config);
    for function in millstream::metric_functions() {
        context.register_udaf(function);
    }
    for (name, batch) in ["s", "r"].into_iter().zip(&data.tables) {
        let table = MemTable::try_new(data.schema.clone(), vec![vec![batch.clone()]]).unwrap();
        context.register_table(name, Arc::new(table)).unwrap();
    }
    for windows in &case.windows {
        let batch = series(data, windows);
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        context.register_table(windows.series_name(), Arc::new(table)).unwrap();
    }
    let show = |error: datafusion::error::DataFusionError| format!("{}\n{}", error.strip_backtrace(), case.stock());
    for view in &case.views {
        context.sql(&case.render_stock(view)).await.map_err(show)?.collect().await.map_err(show)?;
    }
    context.sql(&case.render_stock(&case.query)).await.map_err(show)?.collect().await.map_err(show)
}

/// Every window that may hold a row.
fn series(data: &Dataset, windows: &Windows) -> RecordBatch {
    let times = data.tables.iter().flat_map(|batch| {
        let times = batch.column(8).as_any().downcast_ref::<TimestampMillisecondArray>().unwrap();
        times.values().to_vec()
    });
    let times: Vec<i64> = times.collect();
    // A second window over `window_time` may lie a window further on, or back.
    let reach = 2 * windows.size_ms + 200_000;
    let (low, high) = (times.iter().min().copied().unwrap_or(0) - reach, times.iter().max().copied().unwrap_or(0) + reach);
    let mut starts = std::collections::BTreeSet::new();
    for &time in &times {
        for near in (time - 2 * windows.size_ms..=time + 120_000 + windows.slide_ms).step_by(usize::try_from(windows.slide_ms).unwrap()) {
            let start = near - (near - windows.offset_ms).rem_euclid(windows.slide_ms);
            if (low..=high).contains(&start) {
                starts.insert(start);
            }
        }
    }
    let column = |add: i64| -> ArrayRef { Arc::new(TimestampMillisecondArray::from_iter_values(starts.iter().map(|start| start + add))) };
    let field = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), false);
    let schema = Schema::new(vec![field("window_start"), field("window_end"), field("window_time")]);
    RecordBatch::try_new(Arc::new(schema), vec![column(0), column(windows.size_ms), column(windows.size_ms - 1)]).unwrap()
}
