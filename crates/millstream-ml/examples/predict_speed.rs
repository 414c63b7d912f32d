//! Rows per second of a model: `predict_speed model.onnx rows.parquet [batch rows]`.
//!
//! The first columns of the Parquet file are the features; they are repeated until a batch is full.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "a program that measures")]

use std::fs::File;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{concat, concat_batches};
use millstream_ml::model::{Model, Patient};
use millstream_ml::onnx::{LoadLimits, OnnxModel};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let model = OnnxModel::load(&std::fs::read(&args[1]).unwrap(), None, &LoadLimits::default()).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&args[2]).unwrap()).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let rows = concat_batches(&batches[0].schema(), &batches).unwrap();
    let wanted: usize = args.get(3).map_or(8192, |text| text.parse().unwrap());
    let repeated = |array: &ArrayRef| {
        let times = wanted.div_ceil(array.len());
        concat(&vec![array.as_ref(); times]).unwrap().slice(0, wanted)
    };
    let features: Vec<ArrayRef> = rows.columns()[..model.signature().features.len()].iter().map(repeated).collect();
    let start = Instant::now();
    let mut count = 0_u64;
    while start.elapsed() < Duration::from_secs(1) {
        std::hint::black_box(model.predict(&features, wanted, &Patient).unwrap());
        count += wanted as u64;
    }
    println!("{}: {:.0} rows/s in batches of {wanted}", args[1], count as f64 / start.elapsed().as_secs_f64());
}
