//! Predictions equal those of onnxruntime, which `models/make.py` has written beside each model.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test, also outside of its test functions")]

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type};
use millstream_ml::model::{Model, Patient, Task};
use millstream_ml::onnx::{LoadLimits, OnnxModel};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Differences up to this are those of 32-bit sums in another order.
const TOLERANCE: f64 = 1e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models")
}

fn load(path: &Path) -> OnnxModel {
    let bytes = std::fs::read(path).unwrap();
    OnnxModel::load(&bytes, None, &LoadLimits::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn doubles(array: &ArrayRef) -> Vec<f64> {
    let array = cast(array, &DataType::Float64).unwrap();
    array.as_primitive::<Float64Type>().iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}

#[track_caller]
fn assert_close(name: &str, seen: &[f64], expected: &[f64]) {
    assert_eq!(seen.len(), expected.len(), "{name}");
    for (row, (seen, expected)) in seen.iter().zip(expected).enumerate() {
        assert!((seen - expected).abs() <= TOLERANCE * expected.abs().max(1.0), "{name}, row {row}: {seen} instead of {expected}");
    }
}

/// Every n-th of the values, from `first` on.
fn column(values: &[f64], first: usize, width: usize) -> Vec<f64> {
    values.iter().skip(first).step_by(width).copied().collect()
}

fn check(name: &str) {
    let model = load(&folder().join(format!("{name}.onnx")));
    let rows = rows(&folder().join(format!("{name}.parquet")));
    let width = model.signature().features.len();
    let (features, count) = (&rows.columns()[..width], rows.num_rows());
    let outputs = model.predict(features, count, &Patient).unwrap_or_else(|error| panic!("{name}: {error}"));
    match &model.signature().task {
        Task::Classification { label, probabilities, classes } => {
            let labels = cast(&outputs[*label], &DataType::Utf8).unwrap();
            if let Some(expected) = rows.column_by_name("label") {
                let expected = cast(expected, &DataType::Utf8).unwrap();
                assert_eq!(labels.as_string::<i32>(), expected.as_string::<i32>(), "{name}");
            }
            let flat = doubles(outputs[*probabilities].as_fixed_size_list().values());
            let mut compared = 0;
            for (at, class) in classes.iter().enumerate() {
                let Some(expected) = rows.column_by_name(&format!("p{at}")) else { continue };
                assert_close(&format!("{name}, class {class}"), &column(&flat, at, classes.len()), &doubles(expected));
                compared += 1;
            }
            assert!(compared > 0, "{name} has nothing to compare with");
            // Labels are names of classes.
            assert!(
                labels.as_string::<i32>().iter().flatten().all(|label| classes.iter().any(|class| class == label)),
                "{name}: {classes:?}"
            );
        }
        Task::Regression { value } => assert_close(name, &doubles(&outputs[*value]), &doubles(rows.column_by_name("value").unwrap())),
        other => panic!("{name} is {other:?}"),
    }
    // Row by row gives what the batch gives.
    for row in [0, count - 1] {
        let one: Vec<ArrayRef> = features.iter().map(|array| array.slice(row, 1)).collect();
        for (single, all) in model.predict(&one, 1, &Patient).unwrap().iter().zip(&outputs) {
            assert_eq!(single.to_data(), all.slice(row, 1).to_data(), "{name}, row {row}");
        }
    }
}

#[test]
fn every_model_of_the_folder_predicts_as_onnxruntime_does() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".parquet")?.to_owned()))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "{names:?}");
    names.iter().for_each(|name| check(name));
}
