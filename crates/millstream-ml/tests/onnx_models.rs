//! Predictions equal those of onnxruntime, which `models/make.py` has written beside each model.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test, also outside of its test functions"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type};
use millstream_ml::error::{ModelError, ModelResult};
use millstream_ml::model::{Model, Patient, Task, Watch};
use millstream_ml::onnx::{
    EmbeddingModel, EmbeddingOptions, LIBRARY_VARIABLE, LoadLimits, OnnxModel, Pooling, Runtime, library_is_installed,
};
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

fn check(name: &str, model: &OnnxModel) {
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
            match model.runtime() {
                "native" => assert_eq!(single.to_data(), all.slice(row, 1).to_data(), "{name}, row {row}"),
                // onnxruntime sums in another order when there are more rows.
                _ => assert_eq!(single.data_type(), all.data_type(), "{name}, row {row}"),
            }
        }
    }
}

#[test]
fn every_model_of_the_folder_predicts_as_onnxruntime_does() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".parquet")?.to_owned()))
        .filter(|name| !name.ends_with(".library"))
        .collect();
    names.sort();
    assert!(names.len() >= 46, "{names:?}");
    names.iter().for_each(|name| check(name, &load(&folder().join(format!("{name}.onnx")))));
}

/// True where onnxruntime is installed; says so where it is not.
fn has_library() -> bool {
    let installed = library_is_installed();
    if !installed {
        println!(
            "SKIPPED: onnxruntime is not installed: pip install onnxruntime, and {LIBRARY_VARIABLE}=…/onnxruntime/capi/libonnxruntime.so.1…"
        );
    }
    installed
}

#[test]
fn onnxruntime_predicts_what_is_not_known_here() {
    if !has_library() {
        return;
    }
    let open = |name: &str, runtime| {
        let bytes = std::fs::read(folder().join(format!("{name}.onnx"))).unwrap();
        OnnxModel::load_for(&bytes, None, &LoadLimits::default(), runtime, 2)
    };
    for name in ["nearest_neighbours.library", "images.library"] {
        let model = open(name, Runtime::Auto).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(model.runtime(), "onnxruntime");
        check(name, &model);
    }
    // A file that is too large to be evaluated here goes there by itself.
    let bytes = std::fs::read(folder().join("gb_multiclass.onnx")).unwrap();
    let small = LoadLimits { file_bytes_max: 1000, ..LoadLimits::default() };
    let large = OnnxModel::load_for(&bytes, None, &small, Runtime::Auto, 1).unwrap();
    assert_eq!(large.runtime(), "onnxruntime");
    assert!(OnnxModel::load_for(&bytes, None, &small, Runtime::Native, 1).is_err());
    // And what is known here too.
    for name in ["lightgbm_binary", "mixed_ordinal", "mlp_regression", "trees_5_double", "logistic_multiclass"] {
        assert_eq!(open(name, Runtime::Auto).unwrap().runtime(), "native");
        match open(name, Runtime::Library) {
            Ok(model) => check(name, &model),
            Err(error) => assert!(error.to_string().contains("without ZipMap"), "{name}: {error}"),
        }
    }
    // Several batches beside each other, each with a session of its own, at most two.
    let model = open("images.library", Runtime::Library).unwrap();
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| check("images.library", &model)))));
}

/// Says no after a while.
struct Until(std::time::Instant);

impl Watch for Until {
    fn check(&self) -> ModelResult<()> {
        if std::time::Instant::now() < self.0 { Ok(()) } else { Err(ModelError::interrupted("it takes too long")) }
    }
}

#[test]
fn onnxruntime_stops_when_it_is_told() {
    if !has_library() {
        return;
    }
    let bytes = std::fs::read(folder().join("images.library.onnx")).unwrap();
    let model = OnnxModel::load_for(&bytes, None, &LoadLimits::default(), Runtime::Library, 1).unwrap();
    let values: ArrayRef = Arc::new(Float32Array::from(vec![0.5; 32 * 1000]));
    let until = Until(std::time::Instant::now());
    let error = model.predict_vectors(&values, 1000, &until).unwrap_err();
    assert_eq!(error.to_string(), "it takes too long");
    // The session is there again.
    model.predict_vectors(&values, 1000, &Patient).unwrap();
}

#[test]
fn vectors_of_features_are_columns_of_features() {
    for name in ["gb_binary", "mlp_multiclass_text", "ridge_double"] {
        let model = load(&folder().join(format!("{name}.onnx")));
        let rows = rows(&folder().join(format!("{name}.parquet")));
        let width = model.signature().features.len();
        let (features, count) = (&rows.columns()[..width], rows.num_rows());
        let expected = model.predict(features, count, &Patient).unwrap();
        let columns: Vec<Vec<f64>> = features.iter().map(doubles).collect();
        let flat: Vec<f64> = (0..count).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
        let values: ArrayRef = Arc::new(Float64Array::from(flat));
        let seen = model.predict_vectors(&values, count, &Patient).unwrap();
        for (seen, expected) in seen.iter().zip(&expected) {
            assert!(seen.to_data() == expected.to_data(), "{name}");
        }
        assert!(model.predict_vectors(&values, count + 1, &Patient).is_err());
    }
}

#[test]
fn texts_become_vectors() {
    let bytes = std::fs::read(folder().join("tokens.onnx")).unwrap();
    let tokenizer = std::fs::read(folder().join("tokens.json")).unwrap();
    let said = rows(&folder().join("tokens.vectors"));
    let expected = doubles(said.column(1).as_list::<i32>().values());
    let runtimes = if has_library() { vec![Runtime::Native, Runtime::Library] } else { vec![Runtime::Native] };
    for runtime in runtimes {
        let load = |options| EmbeddingModel::load(&bytes, &tokenizer, options, &LoadLimits::default(), (runtime, 1));
        let model = load(EmbeddingOptions::default()).unwrap();
        let given = model.predict(&said.columns()[..1], said.num_rows(), &Patient).unwrap();
        assert_close("tokens", &doubles(given[0].as_fixed_size_list().values()), &expected);
        // A text is what it is whatever stands beside it.
        for row in 0..said.num_rows() {
            let one = model.predict(&[said.column(0).slice(row, 1)], 1, &Patient).unwrap();
            assert_close("one", &doubles(one[0].as_fixed_size_list().values()), &expected[row * 8..(row + 1) * 8]);
        }
        let first = load(EmbeddingOptions { pooling: Pooling::First, normalize: Some(false), tokens_max: 16 }).unwrap();
        let given = first.predict(&said.columns()[..1], said.num_rows(), &Patient).unwrap();
        let given = doubles(given[0].as_fixed_size_list().values());
        // Every text starts with the same token.
        assert_eq!(given[..8], given[8..16]);
    }
    let wrong = EmbeddingModel::load(&bytes, b"{}", EmbeddingOptions::default(), &LoadLimits::default(), (Runtime::Native, 1));
    assert!(wrong.unwrap_err().to_string().contains("tokenizer.json"));
}
