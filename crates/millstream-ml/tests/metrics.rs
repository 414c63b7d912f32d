//! Metrics against scikit-learn's answers where they are undefined or degenerate; merged states against one pass.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::type_complexity, reason = "these are tests")]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use millstream_ml::metric::{Average, EXACT_ROWS_MAX, LabelFamily, Metric, Share, common_family};
use serde_json::Value;

fn reference() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sklearn_metric_edge_cases.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn share(share: Share, average: Average, zero_division: Option<f64>) -> Metric {
    Metric::Share { share, average, positive: None, zero_division }
}

fn integers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn doubles(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn value(metric: &Metric, first: &ArrayRef, second: &ArrayRef) -> Option<f64> {
    let family = if metric.labelled() { LabelFamily::of(first.data_type()).unwrap() } else { LabelFamily::Number };
    let mut states = metric.states(family).unwrap();
    states.update(&[Arc::clone(first), Arc::clone(second)], &vec![0; first.len()], None, 1).unwrap();
    let values = states.take_values(1).unwrap();
    let values = values.as_primitive::<Float64Type>();
    values.is_valid(0).then(|| values.value(0))
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("defined");
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found}, scikit-learn says {expected}");
}

/// Labels and predictions whose confusion matrix is the reference's.
fn from_matrix(matrix: &Value) -> (ArrayRef, ArrayRef) {
    let (mut label, mut predicted) = (Vec::new(), Vec::new());
    for (row, cells) in matrix.as_array().unwrap().iter().enumerate() {
        for (column, count) in cells.as_array().unwrap().iter().enumerate() {
            for _ in 0..count.as_u64().unwrap() {
                label.push(row as i64);
                predicted.push(column as i64);
            }
        }
    }
    (integers(&label), integers(&predicted))
}

#[test]
fn degenerate_cases_are_those_of_scikit_learn() {
    let reference = reference();
    let expected = |name: &str| reference[name].as_f64().unwrap();
    let (none, all) = (integers(&[0, 0, 0]), integers(&[1, 1, 0]));
    let zero = Some(0.0);
    near(value(&share(Share::Precision, Average::Binary, zero), &all, &none), expected("prec no predicted pos (zd=0)"));
    near(value(&share(Share::Recall, Average::Binary, zero), &none, &all), expected("recall no actual pos (zd=0)"));
    near(value(&share(Share::F1, Average::Binary, zero), &none, &none), expected("f1 no tp/fp/fn (zd=0)"));
    assert_eq!(reference["prec zd=nan"], "nan");
    assert_eq!(value(&share(Share::Precision, Average::Binary, None), &all, &none), None);
    let (label, predicted) = from_matrix(&reference["cm"]);
    for (name, average) in [("micro", Average::Micro), ("macro", Average::Macro), ("weighted", Average::Weighted)] {
        for (at, of) in [Share::Precision, Share::Recall, Share::F1].into_iter().enumerate() {
            near(value(&share(of, average, None), &label, &predicted), reference[name][at].as_f64().unwrap());
        }
    }
    assert_eq!(reference["auc one class"], "nan");
    let auc = Metric::RocAuc { positive: None };
    assert_eq!(value(&auc, &integers(&[1, 1]), &doubles(&[0.1, 0.9])), None);
    near(value(&auc, &integers(&[0, 1, 0, 1]), &doubles(&[0.5, 0.5, 0.5, 0.9])), expected("auc ties"));
    let log_loss = Metric::LogLoss { positive: None };
    near(value(&log_loss, &integers(&[1, 0]), &doubles(&[0.0, 1.0])), expected("logloss p=0/1"));
    near(value(&Metric::R2, &doubles(&[2.0, 2.0]), &doubles(&[2.0, 2.0])), expected("r2 const y perfect"));
    near(value(&Metric::R2, &doubles(&[2.0, 2.0]), &doubles(&[2.0, 3.0])), expected("r2 const y imperfect"));
    assert_eq!(reference["r2 n=1"], "nan");
    assert_eq!(value(&Metric::R2, &doubles(&[2.0]), &doubles(&[3.0])), None);
    assert_eq!(value(&Metric::Accuracy, &integers(&[]), &integers(&[])), None, "scikit-learn refuses to answer");
}

#[test]
fn the_confusion_matrix_lists_what_there_was() {
    let (label, predicted) = from_matrix(&reference()["cm"]);
    let mut states = Metric::ConfusionMatrix.states(LabelFamily::Integer).unwrap();
    states.update(&[Arc::clone(&label), predicted], &vec![0; label.len()], None, 1).unwrap();
    let cells = states.take_values(1).unwrap();
    let cells = cells.as_list::<i32>().value(0);
    let cells = cells.as_struct();
    let (labels, predicted) = (cells.column(0).as_string::<i32>(), cells.column(1).as_string::<i32>());
    let rows = cells.column(2).as_primitive::<Int64Type>();
    let found: Vec<(&str, &str, i64)> = (0..cells.len()).map(|row| (labels.value(row), predicted.value(row), rows.value(row))).collect();
    assert_eq!(found, [("0", "0", 2), ("1", "1", 1), ("1", "2", 1), ("2", "0", 1), ("2", "2", 2), ("2", "3", 1)]);
}

#[test]
fn known_values() {
    near(value(&Metric::MeanAbsoluteError, &doubles(&[1.0, 2.0, 3.0]), &doubles(&[1.0, 4.0, 2.0])), 1.0);
    near(value(&Metric::RootMeanSquaredError, &doubles(&[1.0, 2.0, 3.0]), &doubles(&[1.0, 4.0, 2.0])), (5.0_f64 / 3.0).sqrt());
    near(value(&Metric::R2, &doubles(&[3.0, -0.5, 2.0, 7.0]), &doubles(&[2.5, 0.0, 2.0, 8.0])), 0.948_608_137_044_967_9);
    near(
        value(&Metric::LogLoss { positive: None }, &integers(&[1, 0, 0, 1]), &doubles(&[0.9, 0.1, 0.2, 0.65])),
        -(2.0 * 0.9_f64.ln() + 0.8_f64.ln() + 0.65_f64.ln()) / 4.0,
    );
    near(value(&Metric::RocAuc { positive: None }, &integers(&[0, 0, 1, 1]), &doubles(&[0.1, 0.4, 0.35, 0.8])), 0.75);
    let texts = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    near(value(&Metric::Accuracy, &texts(&["a", "b", "b"]), &texts(&["a", "b", "c"])), 2.0 / 3.0);
    let spam = Metric::Share { share: Share::F1, average: Average::Binary, positive: Some("b".to_owned()), zero_division: None };
    near(value(&spam, &texts(&["a", "b", "b"]), &texts(&["b", "b", "c"])), 0.5);
    let psi = Metric::Psi { bins: 2, low: 0.0, high: 1.0 };
    near(value(&psi, &doubles(&[0.1, 0.2, 0.8, 0.9]), &doubles(&[0.1, 0.8, 0.8, 7.0])), -0.25 * 0.5_f64.ln() + 0.25 * 1.5_f64.ln());
}

#[test]
fn what_cannot_be_equal_is_not_compared() {
    let error = common_family(&DataType::Int64, &DataType::Utf8).unwrap_err().to_string();
    assert_eq!(
        error,
        "label and prediction must be of the same type: a number (Int64) never equals a text (Utf8) (hint: CAST one of them)"
    );
    assert!(common_family(&DataType::Boolean, &DataType::Int32).is_err());
    assert_eq!(common_family(&DataType::Int32, &DataType::Float32).unwrap(), LabelFamily::Number);
    let binary = share(Share::F1, Average::Binary, None);
    assert!(binary.check_positive(LabelFamily::Text).unwrap_err().to_string().contains("f1_score(label, prediction, 'binary', 'spam')"));
    assert!(Average::parse("makro").unwrap_err().to_string().ends_with("(hint: did you mean 'macro'?)"));
    assert!(Metric::Psi { bins: 1, low: 0.0, high: 1.0 }.states(LabelFamily::Number).is_err());
}

fn every_metric() -> Vec<Metric> {
    let mut metrics = vec![
        Metric::Accuracy,
        Metric::ConfusionMatrix,
        Metric::LogLoss { positive: None },
        Metric::RocAuc { positive: None },
        Metric::MeanAbsoluteError,
        Metric::RootMeanSquaredError,
        Metric::R2,
        Metric::Psi { bins: 10, low: 0.0, high: 1.0 },
    ];
    for average in [Average::Binary, Average::Macro, Average::Micro, Average::Weighted] {
        metrics.extend([Share::Precision, Share::Recall, Share::F1].map(|of| share(of, average, None)));
    }
    metrics
}

/// Label (or value) and prediction (or score), with NULLs, for a metric.
fn columns(metric: &Metric, rows: usize) -> [ArrayRef; 2] {
    let unit = |row: usize, by: usize| ((row * by) % 9973) as f64 / 9973.0;
    let label: ArrayRef = match metric {
        _ if !metric.labelled() => Arc::new((0..rows).map(|row| (row % 17 != 3).then(|| unit(row, 7919))).collect::<Float64Array>()),
        _ => Arc::new((0..rows).map(|row| (row % 17 != 3).then(|| (unit(row, 7919) * 3.0) as i64)).collect::<Int64Array>()),
    };
    let other: ArrayRef = match metric {
        _ if metric.compares_labels() => {
            Arc::new((0..rows).map(|row| (row % 13 != 5).then(|| (unit(row, 31) * 3.0) as i64)).collect::<Int64Array>())
        }
        _ => Arc::new((0..rows).map(|row| (row % 13 != 5).then(|| unit(row, 31))).collect::<Float64Array>()),
    };
    [label, other]
}

#[test]
fn merged_states_are_as_one() {
    let groups_total = 5;
    // So many that a group's exact ROC becomes a histogram on the way.
    let rows = groups_total * EXACT_ROWS_MAX + 20_000;
    for metric in every_metric() {
        let family = if metric.labelled() { LabelFamily::Integer } else { LabelFamily::Number };
        let columns = columns(&metric, rows);
        let groups: Vec<usize> = (0..rows).map(|row| row * 31 % 7 % groups_total).collect();
        let filter: BooleanArray = (0..rows).map(|row| Some(row % 11 != 0)).collect();
        let mut at_once = metric.states(family).unwrap();
        at_once.update(&columns, &groups, Some(&filter), groups_total).unwrap();
        let mut merged = metric.states(family).unwrap();
        let piece = rows / 3 + 1;
        for from in (0..rows).step_by(piece) {
            let length = piece.min(rows - from);
            let slices: Vec<ArrayRef> = columns.iter().map(|column| column.slice(from, length)).collect();
            let mut part = metric.states(family).unwrap();
            part.update(&slices, &groups[from..from + length], Some(&filter.slice(from, length)), groups_total).unwrap();
            // In two goes, as an operator that emits its first groups does.
            for (at, count) in [(0, 2), (2, groups_total - 2)] {
                let states = part.take_states(count).unwrap();
                let fields = metric.state_fields();
                assert!(states.iter().zip(&fields).all(|(state, field)| state.data_type() == field.data_type()), "{metric:?}");
                let numbers: Vec<usize> = (at..at + count).collect();
                merged.merge(&states, &numbers, groups_total).unwrap();
            }
            assert_eq!(part.groups(), 0);
        }
        assert!(merged.size() > 0);
        let (expected, found) = (at_once.take_values(groups_total).unwrap(), merged.take_values(groups_total).unwrap());
        assert_eq!(found.data_type(), &metric.value_type());
        if metric == Metric::ConfusionMatrix {
            assert_eq!(&found, &expected);
            continue;
        }
        for (found, expected) in found.as_primitive::<Float64Type>().iter().zip(expected.as_primitive::<Float64Type>()) {
            let (found, expected) = (found.unwrap(), expected.unwrap());
            assert!((found - expected).abs() < 1e-9, "{metric:?}: {found}, {expected} at once");
        }
    }
}

#[test]
fn the_histogram_of_roc_auc_is_near() {
    let unit = |row: usize, by: usize| ((row * by) % 99_991) as f64 / 99_991.0;
    for (scale, shift) in [(1.0, 0.0), (20.0, -10.0)] {
        let rows = 40_000;
        let scores: Vec<f64> = (0..rows).map(|row| unit(row, 7919) * scale + shift).collect();
        let labels: Vec<i64> = (0..rows).map(|row| i64::from(unit(row, 7919) + unit(row, 31_337) > 1.1)).collect();
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        let (mut negatives, mut above) = (0_u64, 0_u64);
        for row in &order {
            if labels[*row] == 1 { above += negatives } else { negatives += 1 }
        }
        let exact = above as f64 / (negatives * (rows as u64 - negatives)) as f64;
        let found = value(&Metric::RocAuc { positive: None }, &integers(&labels), &doubles(&scores)).unwrap();
        assert!((found - exact).abs() < 2e-3, "{found}, exactly {exact}");
    }
}
