//! How fast learners are. Run it by hand: `cargo test --release -p millstream-ml --test speed -- --ignored --nocapture`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array};
use millstream_ml::learner::{LearnerDefinition, OnlineModel};

#[test]
#[ignore = "measures, and only a release build says something"]
#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn rows_per_second() {
    const ROWS: usize = 8_192;
    const FEATURES: usize = 20;
    let value = |row: usize, feature: usize| ((row * 7919 + feature * 104_729) % 1000) as f64 / 1000.0 - 0.5;
    let columns: Vec<ArrayRef> =
        (0..FEATURES).map(|feature| Arc::new((0..ROWS).map(|row| Some(value(row, feature))).collect::<Float64Array>()) as ArrayRef).collect();
    let label: ArrayRef = Arc::new((0..ROWS).map(|row| Some(value(row, 0) + value(row, 3) > 0.0)).collect::<BooleanArray>());
    for optimizer in ["sgd", "adagrad", "adam", "ftrl"] {
        let definition = LearnerDefinition {
            kind: "logistic_regression".to_owned(),
            features: (0..FEATURES).map(|feature| format!("f{feature}")).collect(),
            label: Some("y".to_owned()),
            options: [("optimizer".to_owned(), optimizer.to_owned())].into(),
        };
        let mut model = OnlineModel::new(definition).unwrap();
        let start = std::time::Instant::now();
        let mut rows = 0;
        while start.elapsed().as_secs_f64() < 2.0 {
            model.test_then_train(&columns, Some(&label)).unwrap();
            rows += ROWS;
        }
        println!("logistic_regression, {FEATURES} features, {optimizer}: {:.1} M rows/s", rows as f64 / start.elapsed().as_secs_f64() / 1e6);
    }
}
