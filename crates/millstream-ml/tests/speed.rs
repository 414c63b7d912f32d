//! How fast learners are. Run it by hand: `cargo test --release -p millstream-ml --test speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::type_complexity, reason = "these are tests")]

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::array::{ArrayRef, BooleanArray, Float64Array};
use millstream_ml::learner::{LearnerDefinition, OnlineModel};
use millstream_ml::metric::{Average, LabelFamily, Metric, Share};

#[test]
#[ignore = "measures, and only a release build says something"]
#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn rows_per_second() {
    const ROWS: usize = 8_192;
    const FEATURES: usize = 20;
    let value = |row: usize, feature: usize| ((row * 7919 + feature * 104_729) % 1000) as f64 / 1000.0 - 0.5;
    let columns: Vec<ArrayRef> = (0..FEATURES)
        .map(|feature| Arc::new((0..ROWS).map(|row| Some(value(row, feature))).collect::<Float64Array>()) as ArrayRef)
        .collect();
    let label: ArrayRef = Arc::new((0..ROWS).map(|row| Some(value(row, 0) + value(row, 3) > 0.0)).collect::<BooleanArray>());
    for optimizer in ["sgd", "adagrad", "adam", "ftrl"] {
        let definition = LearnerDefinition {
            kind: "logistic_regression".to_owned(),
            features: (0..FEATURES).map(|feature| format!("f{feature}")).collect(),
            label: Some("y".to_owned()),
            key: None,
            options: [("optimizer".to_owned(), optimizer.to_owned())].into(),
        };
        let mut model = OnlineModel::new(definition).unwrap();
        let start = std::time::Instant::now();
        let mut rows = 0;
        while start.elapsed().as_secs_f64() < 2.0 {
            model.test_then_train(&columns, Some(&label)).unwrap();
            rows += ROWS;
        }
        println!(
            "logistic_regression, {FEATURES} features, {optimizer}: {:.1} M rows/s",
            rows as f64 / start.elapsed().as_secs_f64() / 1e6
        );
    }
}

#[test]
#[ignore = "measures, and only a release build says something"]
#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn metric_rows_per_second() {
    const ROWS: usize = 8_192;
    let label: ArrayRef = Arc::new((0..ROWS).map(|row| Some((row * 7919 % 1000 > 500) as i64)).collect::<Int64Array>());
    let predicted: ArrayRef = Arc::new((0..ROWS).map(|row| Some((row * 31 % 1000 > 500) as i64)).collect::<Int64Array>());
    let score: ArrayRef = Arc::new((0..ROWS).map(|row| Some((row * 7919 % 1000) as f64 / 1000.0)).collect::<Float64Array>());
    let share = |average| Metric::Share { share: Share::F1, average, positive: None, zero_division: None };
    let cases = [
        ("accuracy", Metric::Accuracy, &label, &predicted),
        ("f1_score", share(Average::Binary), &label, &predicted),
        ("f1_score macro", share(Average::Macro), &label, &predicted),
        ("confusion_matrix", Metric::ConfusionMatrix, &label, &predicted),
        ("log_loss", Metric::LogLoss { positive: None }, &label, &score),
        ("roc_auc", Metric::RocAuc { positive: None }, &label, &score),
        ("mae", Metric::MeanAbsoluteError, &score, &score),
        ("rmse", Metric::RootMeanSquaredError, &score, &score),
        ("r2_score", Metric::R2, &score, &score),
        ("psi", Metric::Psi { bins: 10, low: 0.0, high: 1.0 }, &score, &score),
    ];
    for (name, metric, first, second) in cases {
        for groups_total in [1, 100] {
            let groups: Vec<usize> = (0..ROWS).map(|row| row * 31 % groups_total).collect();
            let family = if metric.labelled() { LabelFamily::Integer } else { LabelFamily::Number };
            let mut states = metric.states(family).unwrap();
            let start = std::time::Instant::now();
            let mut rows = 0;
            while start.elapsed().as_secs_f64() < 0.5 {
                states.update(&[Arc::clone(first), Arc::clone(second)], &groups, None, groups_total).unwrap();
                rows += ROWS;
            }
            println!("{name}, {groups_total} groups: {:.0} M rows/s", rows as f64 / start.elapsed().as_secs_f64() / 1e6);
        }
    }
}
