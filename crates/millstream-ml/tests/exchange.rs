//! Learners to ONNX and back: what comes out predicts the same, here and in a learner that begins with it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use millstream_ml::learner::{LearnerDefinition, OnlineModel, Task};
use millstream_ml::model::{Model, Patient};
use millstream_ml::onnx::{LoadLimits, OnnxModel};

const ROWS: usize = 600;

fn definition(kind: &str, labelled: bool, options: &[(&str, &str)]) -> LearnerDefinition {
    LearnerDefinition {
        kind: kind.to_owned(),
        features: ["a", "value_1", "low"].map(str::to_owned).to_vec(),
        label: labelled.then(|| "y".to_owned()),
        key: None,
        options: options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

/// Features of very different sizes, one of them far from 0; and one that never varies.
fn features() -> Vec<ArrayRef> {
    let value = |row: usize, by: usize| (row * by % 1009) as f64 / 1009.0;
    vec![
        Arc::new((0..ROWS).map(|row| Some(value(row, 7919) * 3.0 - 1.0)).collect::<Float64Array>()),
        Arc::new((0..ROWS).map(|row| Some(1e6 + value(row, 104_729))).collect::<Float64Array>()),
        Arc::new(Float64Array::from(vec![7.5; ROWS])),
    ]
}

fn label(kind: &str) -> ArrayRef {
    let features = features();
    let a = features[0].as_primitive::<Float64Type>();
    match kind {
        "number" => Arc::new(a.iter().map(|a| a.map(|a| 4.0 * a + 20.0)).collect::<Float64Array>()),
        "boolean" => Arc::new(a.iter().map(|a| a.map(|a| a > 0.4)).collect::<BooleanArray>()),
        "integer" => Arc::new(a.iter().map(|a| a.map(|a| (a * 2.0).floor() as i64 + 40)).collect::<Int64Array>()),
        _ => Arc::new(a.iter().map(|a| a.map(|a| if a > 0.4 { "spam" } else { "ham" })).collect::<StringArray>()),
    }
}

fn cases() -> Vec<(LearnerDefinition, Option<ArrayRef>)> {
    let case = |kind: &str, labels: &str, options: &[(&str, &str)]| {
        let label = (!labels.is_empty()).then(|| label(labels));
        (definition(kind, label.is_some(), options), label)
    };
    vec![
        case("linear_regression", "number", &[]),
        case("linear_regression", "number", &[("scaler", "min_max"), ("optimizer", "ftrl")]),
        case("logistic_regression", "boolean", &[("optimizer", "adam"), ("threshold", "0.7")]),
        case("logistic_regression", "text", &[("positive_label", "spam"), ("momentum", "0.9")]),
        case("softmax_regression", "integer", &[("optimizer", "adagrad"), ("batch_size", "5"), ("l1", "0.0001")]),
        case("mlp_classifier", "boolean", &[("hidden", "6,3")]),
        case("mlp_regressor", "number", &[("hidden", "5")]),
        case("gaussian_naive_bayes", "text", &[("scaler", "standard")]),
        case("gaussian_naive_bayes", "integer", &[("scaler", "standard")]),
        case("k_means", "", &[("clusters", "4"), ("scaler", "standard")]),
        case("standard_scaler", "", &[]),
        case("min_max_scaler", "", &[]),
    ]
}

fn learned(definition: &LearnerDefinition, label: Option<&ArrayRef>) -> OnlineModel {
    let mut model = OnlineModel::new(definition.clone()).unwrap();
    model.test_then_train(&features(), label).unwrap();
    model
}

fn near(a: &Float64Array, b: &Float64Array, by: f64, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for row in 0..a.len() {
        let (a, b) = (a.value(row), b.value(row));
        assert!((a - b).abs() <= by * b.abs().max(1.0), "{what}, row {row}: {a}, expected {b}");
    }
}

#[test]
fn an_exported_model_gives_the_learners_predictions() {
    for (definition, label) in cases() {
        let what = format!("{} {:?}", definition.kind, definition.options);
        let mut model = learned(&definition, label.as_ref());
        let bytes = model.to_onnx(None).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(bytes, model.to_onnx(None).unwrap(), "{what}");
        let loaded = OnnxModel::load(&bytes, None, &LoadLimits::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let names: Vec<&str> = loaded.signature().features.iter().map(|feature| feature.name.as_str()).collect();
        assert_eq!(names, ["a", "value_1", "low"], "{what}");
        let outputs = loaded.predict(&features(), ROWS, &Patient).unwrap();
        let predicted = model.predict(&features(), label.as_ref().map(|label| label.data_type())).unwrap();
        let scores = predicted.score.as_primitive::<Float64Type>();
        match model.task() {
            Task::Regression => near(outputs[0].as_primitive(), scores, 1e-9, &what),
            Task::Binary => {
                let both = outputs[1].as_fixed_size_list().values().as_primitive::<Float64Type>().clone();
                near(&both.iter().skip(1).step_by(2).collect(), scores, 1e-9, &what);
                let text = |array: &ArrayRef, row| arrow::util::display::array_value_to_string(array, row).unwrap();
                let as_number = |text: String| text.replace("true", "1").replace("false", "0");
                for row in 0..ROWS {
                    assert_eq!(text(&outputs[0], row), as_number(text(&predicted.prediction, row)), "{what}, row {row}");
                }
            }
            Task::Classes => {
                let width = model.class_names().len();
                let all = outputs[1].as_fixed_size_list().values().as_primitive::<Float64Type>().clone();
                let greatest = all.values().chunks(width).map(|row| Some(row.iter().copied().fold(0.0, f64::max)));
                near(&greatest.collect(), scores, 1e-9, &what);
                assert_eq!(&outputs[0], &predicted.prediction, "{what}");
            }
            Task::Cluster => {
                near(outputs[0].as_primitive(), scores, 1e-9, &what);
                assert_eq!(outputs[1].as_primitive::<Int64Type>(), predicted.prediction.as_primitive::<Int64Type>(), "{what}");
            }
            _ => near(
                outputs[0].as_fixed_size_list().values().as_primitive(),
                predicted.prediction.as_fixed_size_list().values().as_primitive(),
                1e-9,
                &what,
            ),
        }
    }
}

#[test]
fn a_learner_begins_with_an_exported_model() {
    for (definition, label) in cases() {
        let what = format!("{} {:?}", definition.kind, definition.options);
        let mut model = learned(&definition, label.as_ref());
        let mut begun = OnlineModel::new(definition.clone()).unwrap();
        begun.start_from_onnx(&model.to_onnx(None).unwrap()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let label_type = label.as_ref().map(|label| label.data_type());
        let (expected, found) = (model.predict(&features(), label_type).unwrap(), begun.predict(&features(), label_type).unwrap());
        if model.task() != Task::Scale {
            near(found.score.as_primitive(), expected.score.as_primitive(), 1e-9, &what);
        }
        // It goes on from there: optimizers begin anew, what is known stays.
        begun.test_then_train(&features(), label.as_ref()).unwrap();
        assert_eq!(begun.counters().learned, ROWS as u64, "{what}");
        // A file of another type, or of other features, is refused.
        let mut other = LearnerDefinition { features: ["a", "b", "c"].map(str::to_owned).to_vec(), ..definition.clone() };
        let error = OnlineModel::new(other.clone()).unwrap().start_from_onnx(&model.to_onnx(None).unwrap()).unwrap_err().to_string();
        assert!(error.contains("TYPE and FEATURES must be the same"), "{what}: {error}");
        other.features.pop();
        assert!(OnlineModel::new(other).unwrap().start_from_onnx(&model.to_onnx(None).unwrap()).is_err(), "{what}");
    }
}

#[test]
fn a_learner_begins_with_another_programs_model() {
    // A scaler and a logistic regression of scikit-learn, exported by skl2onnx.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let mut begun = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".onnx") || !(name.contains("logistic") || name.contains("linear") || name.contains("mlp")) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let loaded = OnnxModel::load(&bytes, None, &LoadLimits::default()).unwrap();
        let width = loaded.signature().features.len();
        let features: Vec<ArrayRef> = (0..width)
            .map(|at| Arc::new((0..50).map(|row| Some(((row * 31 + at * 17) % 41) as f64 / 10.0)).collect::<Float64Array>()) as ArrayRef)
            .collect();
        let outputs = loaded.predict(&features, 50, &Patient).unwrap();
        for (kind, options) in [
            ("logistic_regression", vec![("scaler", "none")]),
            ("linear_regression", vec![("scaler", "none")]),
            ("softmax_regression", vec![("scaler", "none")]),
        ] {
            let mut definition = definition(kind, true, &options);
            definition.features = (0..width).map(|at| format!("f{at}")).collect();
            let mut model = OnlineModel::new(definition).unwrap();
            // What does not fit is refused with a reason.
            match model.start_from_onnx(&bytes) {
                Err(error) => assert!(error.to_string().contains("hint"), "{name} as {kind}: {error}"),
                Ok(()) if kind == "logistic_regression" && outputs.len() == 2 => {
                    let scores = model.predict(&features, None).unwrap().score;
                    let both = outputs[1].as_fixed_size_list().values().as_primitive::<Float64Type>().clone();
                    near(scores.as_primitive(), &both.iter().skip(1).step_by(2).collect(), 1e-5, &name);
                    begun += 1;
                }
                Ok(()) if kind == "linear_regression" && outputs.len() == 1 => {
                    near(model.predict(&features, None).unwrap().score.as_primitive(), outputs[0].as_primitive(), 1e-5, &name);
                    begun += 1;
                }
                Ok(()) => {}
            }
        }
    }
    assert!(begun >= 1, "no linear model was begun with");
}

#[test]
fn what_onnx_cannot_say_is_said() {
    let model = learned(&definition("half_space_trees", false, &[]), None);
    let error = model.to_onnx(None).unwrap_err().to_string();
    assert_eq!(error, "half_space_trees cannot be said in ONNX (hint: EXPORT MODEL … TO '….parquet')");
    let fresh = OnlineModel::new(definition("k_means", false, &[])).unwrap();
    assert_eq!(fresh.to_onnx(None).unwrap_err().to_string(), "the model has learned nothing yet");
    let scaled = learned(&definition("linear_regression", true, &[]), Some(&label("number"))).to_onnx(None).unwrap();
    let mut unscaled = OnlineModel::new(definition("linear_regression", true, &[("scaler", "min_max")])).unwrap();
    let error = unscaled.start_from_onnx(&scaled).unwrap_err().to_string();
    assert_eq!(error, "the file has the scaler 'standard', the model has 'min_max' (hint: WITH ('scaler' = 'standard'))");
    let mut folded = OnlineModel::new(definition("linear_regression", true, &[("scaler", "none")])).unwrap();
    folded.start_from_onnx(&scaled).unwrap();
    let mut net = OnlineModel::new(definition("mlp_regressor", true, &[("hidden", "4")])).unwrap();
    let of_five = learned(&definition("mlp_regressor", true, &[("hidden", "5")]), Some(&label("number"))).to_onnx(None).unwrap();
    let error = net.start_from_onnx(&of_five).unwrap_err().to_string();
    assert!(
        error.starts_with("the file has sums of 3 features in layers of 5, 1, the model needs sums of 3 features in layers of 4, 1"),
        "{error}"
    );
}

#[test]
fn damaged_files_are_refused_or_read() {
    let model = learned(&definition("softmax_regression", true, &[]), Some(&label("integer")));
    let bytes = model.to_onnx(None).unwrap();
    for at in (0..bytes.len()).step_by(3) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let mut begun = OnlineModel::new(model.definition().clone()).unwrap();
        if begun.start_from_onnx(&damaged).is_ok() {
            begun.test_then_train(&features(), Some(&label("integer"))).unwrap();
        }
        let _ = OnlineModel::new(model.definition().clone()).unwrap().start_from_onnx(&bytes[..at]);
    }
}
