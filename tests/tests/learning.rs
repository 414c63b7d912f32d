//! Models that learn: the same parameters whatever happens, and what others see of them.

use std::path::Path;
use std::time::Duration;

use millstream::{Engine, Outcome, PipelineHandle, Session, Settings};

use crate::harness::{self, patiently};

const EVENTS: u64 = 60_000;
const MODEL: &str = "CREATE MODEL third TYPE logistic_regression FEATURES (a, b, log_price) LABEL y
    WITH ('optimizer' = 'adam', 'batch_size' = '7', 'drift_detector' = 'adwin')";
const ROWS: &str =
    "SELECT date_time, auction % 10 AS a, bidder % 7 AS b, ln(CAST(price AS DOUBLE)) AS log_price, auction % 3 = 0 AS y FROM bid";
const STATE: &str = "SELECT tensor, index, value, first_moment, second_moment, text FROM model_state('third')";

fn bids(more: &str) -> String {
    format!(
        "CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, date_time TIMESTAMP(3), WATERMARK FOR date_time AS date_time - INTERVAL '2' SECOND)
        WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '{EVENTS}', 'event_rate' = '1000'{more})"
    )
}

fn quick() -> Settings {
    Settings { checkpoint_interval_ms: 10, epoch_rows_max: 700, batch_rows: 150, ..harness::settings() }
}

async fn engine(data: &Path, parallelism: usize) -> Engine {
    let settings = Settings { parallelism, ..quick() };
    Engine::builder().data(data.display().to_string()).settings(settings).build().await.unwrap()
}

async fn pipeline(session: &Session, sql: &str) -> PipelineHandle {
    match session.execute(sql).await.unwrap().pop() {
        Some(Outcome::Pipeline(handle)) => handle,
        other => panic!("no pipeline: {other:?}"),
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    patiently(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The state of an engine that nothing happens to.
async fn undisturbed() -> Vec<String> {
    let engine = Engine::builder().settings(harness::settings()).build().await.unwrap();
    let session = engine.session();
    session.execute(&bids("")).await.unwrap();
    let handle = pipeline(&session, &format!("{MODEL} AS {ROWS}")).await;
    patiently("the end", handle.wait()).await.unwrap();
    harness::rows(&session, STATE).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_was_killed_learns_the_same_to_the_last_bit() {
    let expected = undisturbed().await;
    assert!(expected.iter().any(|row| row.starts_with("weight|")), "{expected:?}");
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut lives = vec![engine(&data, 1).await];
    let session = lives[0].session();
    session.execute(&bids(", 'rate' = '30000'")).await.unwrap();
    let mut handle = pipeline(&session, &format!("{MODEL} AS {ROWS}")).await;
    for parallelism in [2, 3, 1] {
        let before = handle.status().rows_in;
        until("rows are read", || handle.status().rows_in >= before + 8_000 || handle.status().state.is_final()).await;
        // The next process takes over while this one works: what it did since its last checkpoint is lost.
        let next = engine(&data, parallelism).await;
        handle = next.session().pipeline("third").unwrap();
        lives.push(next);
    }
    patiently("the end", handle.wait()).await.unwrap();
    let session = lives[3].session();
    assert_eq!(harness::rows(&session, STATE).await.unwrap(), expected);
    // Also of a pipeline that has ended.
    let after = engine(&data, 2).await;
    assert_eq!(harness::rows(&after.session(), STATE).await.unwrap(), expected);
    for life in lives {
        life.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_see_a_model_as_of_its_checkpoints() {
    let engine = Engine::builder().settings(quick()).build().await.unwrap();
    let session = engine.session();
    session.execute(&bids(", 'rate' = '20000'")).await.unwrap();
    session.execute(MODEL).await.unwrap();
    assert_eq!(harness::rows(&session, "SELECT third(1, 2, 3.0)").await.unwrap(), ["NULL"]);
    let learn = format!("SELECT date_time, y, prediction FROM LEARN(({ROWS}), third)");
    let blackhole = |name: &str| format!("CREATE SINK {name} WITH ('connector' = 'blackhole') AS {learn}");
    let first = pipeline(&session, &blackhole("first")).await;
    let error = session.execute(&blackhole("second")).await.unwrap_err().to_string();
    assert!(error.contains("pipeline first trains model third already"), "{error}");
    let error = session.execute("DROP MODEL third").await.unwrap_err().to_string();
    assert!(error.contains("pipeline first trains model third"), "{error}");
    patiently("the end", first.wait()).await.unwrap();
    let scores = harness::rows(&session, "SELECT third(a, 2, 6.0) BETWEEN 0 AND 1 FROM (VALUES (1), (2)) AS t(a)").await.unwrap();
    assert_eq!(scores, ["true", "true"]);
    let learned = harness::rows(&session, "SELECT value > 1000 FROM model_state('third') WHERE tensor = 'counters' AND index = 1").await;
    assert_eq!(learned.unwrap(), ["true"]);
    // The same rows learned once more give the same.
    let before = harness::rows(&session, STATE).await.unwrap();
    let second = pipeline(&session, &blackhole("second")).await;
    patiently("the end", second.wait()).await.unwrap();
    assert_eq!(harness::rows(&session, STATE).await.unwrap(), before);
    session.execute("DROP MODEL third").await.unwrap();
    assert!(session.execute("SELECT third(1, 2, 3.0)").await.is_err());
}

/// The path of a file in a folder, as SQL has it.
fn file(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

async fn message(session: &Session, sql: &str) -> String {
    match session.execute(sql).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{sql} was not refused"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_goes_into_files_and_on_from_them() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let (parquet, onnx) = (file(place.path(), "third.parquet"), file(place.path(), "third.onnx"));
    let first = engine(&data, 2).await;
    let session = first.session();
    session.execute(&bids("")).await.unwrap();
    let handle = pipeline(&session, &format!("{MODEL} AS {ROWS}")).await;
    patiently("the end", handle.wait()).await.unwrap();
    let state = harness::rows(&session, STATE).await.unwrap();
    session.execute(&format!("EXPORT MODEL third TO '{parquet}'; EXPORT MODEL third TO '{onnx}'")).await.unwrap();

    // To the last bit from Parquet, also after the file has gone.
    let options = "'optimizer' = 'adam', 'batch_size' = '7', 'drift_detector' = 'adwin'";
    let again = |name: &str, more: &str, from: &str| {
        format!("CREATE MODEL {name} TYPE logistic_regression FEATURES (a, b, log_price) LABEL y WITH ({more}'warm_start' = '{from}')")
    };
    session.execute(&again("warm", &format!("{options}, "), &parquet)).await.unwrap();
    // ONNX as a model of a file, and as what another learner begins with.
    session.execute(&format!("CREATE MODEL of_file WITH ('path' = '{onnx}')")).await.unwrap();
    session.execute(&again("from_onnx", "", &onnx)).await.unwrap();
    std::fs::remove_file(&parquet).unwrap();
    let same = state_of("warm");
    assert_eq!(without_definition(harness::rows(&session, &same).await.unwrap()), without_definition(state.clone()));
    let compared = "SELECT max(abs(third(a, b, p) - of_file(a, b, p))) < 1e-12, max(abs(third(a, b, p) - warm(a, b, p))) = 0,
            max(abs(third(a, b, p) - from_onnx(a, b, p))) < 1e-12, min(third(a, b, p)) < max(third(a, b, p)),
            count(*) FILTER (WHERE predict_label('third', a, b, p) = (predict_label('of_file', a, b, p) = 1)),
            min(predict_proba('third', a, b, p)['true'] + predict_proba('third', a, b, p)['false'])
        FROM (SELECT n % 10 AS a, n % 7 AS b, n % 13 AS p FROM generate_series(1, 500) AS g(n))";
    assert_eq!(harness::rows(&session, compared).await.unwrap(), ["true|true|true|true|500|1"]);
    first.shutdown().await;

    let second = engine(&data, 1).await;
    let session = second.session();
    assert_eq!(without_definition(harness::rows(&session, &same).await.unwrap()), without_definition(state));
    assert_eq!(harness::rows(&session, compared).await.unwrap(), ["true|true|true|true|500|1"]);
    let error = message(&session, &again("x", "'hidden' = '3', ", &onnx)).await;
    assert!(error.contains("no option 'hidden'"), "{error}");
    let error = message(&session, &again("x", "", &parquet)).await;
    assert!(error.contains("cannot read the model"), "{error}");
    let other = format!("CREATE MODEL x TYPE linear_regression FEATURES (a, b, log_price) LABEL y WITH ('warm_start' = '{onnx}')");
    let error = message(&session, &other).await;
    assert!(error.contains("the file is of a logistic_regression of (a, b, log_price)"), "{error}");
    second.shutdown().await;
}

fn state_of(model: &str) -> String {
    STATE.replace("third", model)
}

/// A definition with a warm start has the same words as one without.
fn without_definition(rows: Vec<String>) -> Vec<String> {
    rows.into_iter().filter(|row| !row.starts_with("definition|")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_has_a_model_and_all_of_them_come_back() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let learn = "CREATE MODEL by_seller TYPE linear_regression FEATURES (a, b) LABEL log_price PARTITION BY k
        WITH ('optimizer' = 'adagrad', 'batch_size' = '3')
        AS SELECT date_time, auction % 10 AS a, bidder % 7 AS b, ln(CAST(price AS DOUBLE)) AS log_price, 'k' || auction % 4 AS k FROM bid";
    let first = engine(&data, 2).await;
    let session = first.session();
    session.execute(&bids(", 'rate' = '60000'")).await.unwrap();
    let handle = pipeline(&session, learn).await;
    until("rows are read", || handle.status().rows_in >= 20_000 || handle.status().state.is_final()).await;
    let second = engine(&data, 3).await;
    let session = second.session();
    let handle = session.pipeline("by_seller").unwrap();
    patiently("the end", handle.wait()).await.unwrap();
    let state = |key: &str| {
        format!(
            "SELECT tensor, index, value, first_moment, second_moment, text FROM model_state('by_seller')
            WHERE group_key = '{key}' ORDER BY tensor, index"
        )
    };
    let keys = "SELECT DISTINCT group_key FROM model_state('by_seller') WHERE group_key IS NOT NULL";
    assert_eq!(harness::rows(&session, keys).await.unwrap(), ["k0", "k1", "k2", "k3"]);
    // The model of a key is the one that learns its rows alone.
    let alone = learn.replace("by_seller", "alone").replace("PARTITION BY k", "") + " WHERE auction % 4 = 1";
    session.execute(&bids("").replace("bid (", "all_bids (")).await.unwrap();
    let handle = pipeline(&session, &alone.replace("FROM bid", "FROM all_bids")).await;
    patiently("the end", handle.wait()).await.unwrap();
    let expected = "SELECT tensor, index, value, first_moment, second_moment, text FROM model_state('alone')
        WHERE tensor NOT IN ('definition', 'state_version') ORDER BY tensor, index";
    assert_eq!(harness::ordered_rows(&session, &state("k1")).await.unwrap(), harness::ordered_rows(&session, expected).await.unwrap());
    let scores =
        "SELECT by_seller('k1', a, 2) = alone(a, 2), by_seller('none', a, 2) IS NULL, by_seller('k1', a, 2) = by_seller('k2', a, 2)
        FROM (VALUES (1), (2)) AS t(a)";
    assert_eq!(harness::rows(&session, scores).await.unwrap(), ["true|true|false", "true|true|false"]);
    let error = message(&session, "EXPORT MODEL by_seller TO 'x.onnx'").await;
    assert!(error.contains("ONNX holds one"), "{error}");
    let onnx = file(place.path(), "k1.onnx");
    session.execute(&format!("EXPORT MODEL by_seller FOR 'k1' TO '{onnx}'; CREATE MODEL k1 WITH ('path' = '{onnx}')")).await.unwrap();
    let scores = "SELECT abs(by_seller('k1', a, 2) - k1(a, 2)) < 1e-12 FROM (VALUES (1), (2)) AS t(a)";
    assert_eq!(harness::rows(&session, scores).await.unwrap(), ["true", "true"]);
    second.shutdown().await;
    first.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_learns_a_table_at_once_and_is_one_of_the_models() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let first = engine(&data, 3).await;
    let session = first.session();
    session.execute("CREATE TABLE t AS SELECT n % 17 AS a, 3.0 * (n % 17) + 1 AS y FROM generate_series(1, 5000) AS g(n)").await.unwrap();
    let learn =
        "MODEL line TYPE linear_regression FEATURES (a) LABEL y WITH ('optimizer' = 'adagrad', 'learning_rate' = '1') AS SELECT * FROM t";
    session.execute(&format!("CREATE {learn}")).await.unwrap();
    let near = "SELECT abs(line(5) - 16) < 0.5, predict('line', 5) = line(5)";
    assert_eq!(harness::rows(&session, near).await.unwrap(), ["true|true"]);
    let shown = harness::rows(&session, "SHOW MODELS").await.unwrap();
    assert!(shown.len() == 1 && shown[0].starts_with("line|1|learns by linear_regression|"), "{shown:?}");
    let described = harness::rows(&session, "DESCRIBE MODEL line").await.unwrap();
    for line in ["type|linear_regression", "features|a", "label|y", "takes|a DOUBLE", "learned|5000", "option optimizer|adagrad"] {
        assert!(described.iter().any(|row| row == line), "{line} is not in {described:?}");
    }
    session.execute("CREATE VIEW v AS SELECT line(a) AS p FROM t").await.unwrap();
    let error = message(&session, "DROP MODEL line").await;
    assert!(error.contains("view v calls model line"), "{error}");
    // A query that does not plan changes nothing; one that does takes the place of the model, also for the view.
    message(&session, &format!("CREATE OR REPLACE {learn} WHERE no_column = 1")).await;
    assert_eq!(harness::rows(&session, near).await.unwrap(), ["true|true"]);
    let error = message(&session, "CREATE OR REPLACE MODEL line TYPE k_means FEATURES (a, b)").await;
    assert!(error.contains("view v calls model line"), "{error}");
    session.execute(&format!("CREATE OR REPLACE {}", learn.replace("'adagrad'", "'adam'"))).await.unwrap();
    let before = harness::rows(&session, "SELECT min(p), max(p) FROM v").await.unwrap();
    first.shutdown().await;
    // It comes back as it was learned, whatever the table holds by now.
    let second = engine(&data, 1).await;
    let session = second.session();
    assert_eq!(harness::rows(&session, "SELECT min(p), max(p) FROM v").await.unwrap(), before);
    session.execute("DROP VIEW v; DROP MODEL line").await.unwrap();
    assert!(harness::rows(&session, "SHOW MODELS").await.unwrap().is_empty());
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_calls_a_learner_with_what_one_checkpoint_holds() {
    let place = tempfile::tempdir().unwrap();
    let engine = engine(&place.path().join("data"), 2).await;
    let session = engine.session();
    session.execute(&bids(", 'rate' = '30000'")).await.unwrap();
    let trains = pipeline(&session, &format!("{MODEL} AS {ROWS}")).await;
    patiently("a checkpoint", async {
        while harness::rows(&session, "SELECT third(1, 2, 3.0) IS NULL").await.unwrap() != ["false"] {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    session.execute("CREATE TABLE scored (s DOUBLE, same BOOLEAN)").await.unwrap();
    let calls = "CREATE SINK calls INTO scored AS SELECT third(x, 2, 3.0) AS s, third(x, 2, 3.0) = predict('third', x, 2, 3.0) AS same
        FROM (SELECT bidder % 2 + 1 AS x FROM bid) AS b";
    let calls = pipeline(&session, calls).await;
    let error = message(&session, "DROP MODEL third").await;
    assert!(error.contains("pipeline calls calls model third"), "{error}");
    patiently("the end", calls.wait()).await.unwrap();
    patiently("the end", trains.wait()).await.unwrap();
    // One row has the same score wherever it is computed, and the model has changed while the pipeline ran.
    let found = harness::rows(&session, "SELECT bool_and(same), count(*) > 1000 FROM scored").await.unwrap();
    assert_eq!(found, ["true|true"]);
    let twice = format!(
        "CREATE SINK twice WITH ('connector' = 'blackhole') AS SELECT prediction FROM LEARN(({ROWS}), other)
        UNION ALL SELECT prediction FROM LEARN(({ROWS} WHERE bidder > 5), other)"
    );
    session.execute(&MODEL.replace("third", "other")).await.unwrap();
    let error = message(&session, &twice).await;
    assert!(error.contains("model other would be trained at two places of one pipeline"), "{error}");
    engine.shutdown().await;
}

/// Exported models in another runtime. What is not installed is told and left out; `MILLSTREAM_PYTHON` names another python.
#[tokio::test(flavor = "multi_thread")]
async fn onnxruntime_gives_the_predictions_of_exported_learners() {
    let place = tempfile::tempdir().unwrap();
    let engine = Engine::builder().settings(harness::settings()).build().await.unwrap();
    let session = engine.session();
    let table = "CREATE TABLE t AS SELECT (n % 17) / 4.0 AS a, 100000 + n % 29 AS b, (n % 17) / 4.0 > 2 AS y, 3.0 * (n % 17) AS z
        FROM generate_series(1, 3000) AS g(n)";
    session.execute(table).await.unwrap();
    let models = [
        ("linear", "linear_regression", "LABEL z", ""),
        ("logistic", "logistic_regression", "LABEL y", "WITH ('optimizer' = 'adam')"),
        ("softmax", "softmax_regression", "LABEL y", ""),
        ("net", "mlp_classifier", "LABEL y", "WITH ('hidden' = '8,4')"),
        ("line_net", "mlp_regressor", "LABEL z", ""),
        ("bayes", "gaussian_naive_bayes", "LABEL y", "WITH ('positive_label' = 'true')"),
        ("centres", "k_means", "", "WITH ('clusters' = '6')"),
    ];
    let (mut files, mut expected) = (Vec::new(), Vec::new());
    for (name, kind, label, options) in models {
        let path = file(place.path(), &format!("{name}.onnx"));
        let script = format!(
            "CREATE MODEL {name} TYPE {kind} FEATURES (a, b) {label} {options} AS SELECT * FROM t; EXPORT MODEL {name} TO '{path}'"
        );
        session.execute(&script).await.unwrap();
        files.push(path);
        let value = match name {
            // Its probability of the second class that it saw.
            "softmax" => "predict_proba('softmax', a, b)['true']".to_owned(),
            "bayes" => "predict_proba('bayes', a, b)['true']".to_owned(),
            name => format!("{name}(a, b)"),
        };
        let rows = harness::ordered_rows(&session, &format!("SELECT {value} FROM t LIMIT 200")).await.unwrap();
        expected.push((name, rows.iter().map(|row| row.parse::<f64>().unwrap()).collect::<Vec<_>>()));
    }
    let columns = harness::ordered_rows(&session, "SELECT a, b FROM t LIMIT 200").await.unwrap();
    let column = |at: usize| columns.iter().map(|row| row.split('|').nth(at).unwrap()).collect::<Vec<_>>().join(",");
    let features = file(place.path(), "features.json");
    std::fs::write(&features, format!("{{\"a\":[{}],\"b\":[{}]}}", column(0), column(1))).unwrap();
    let python = std::env::var("MILLSTREAM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other_runtimes.py");
    let Ok(output) = std::process::Command::new(&python).arg(script).arg(features).args(files).output() else {
        eprintln!("SKIPPED: there is no {python}");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    if let Some(module) = lines.trim().strip_prefix("missing|") {
        eprintln!("SKIPPED: python has no module {module} (pip install onnxruntime)");
        return;
    }
    assert_eq!(lines.lines().count(), expected.len(), "{lines}");
    for (line, (name, expected)) in lines.lines().zip(expected) {
        let (found_name, numbers) = line.split_once('|').unwrap();
        let numbers: Vec<f64> = numbers.trim_matches(['[', ']']).split(", ").map(|number| number.parse().unwrap()).collect();
        assert_eq!((found_name, numbers.len()), (name, expected.len()));
        for (row, (found, expected)) in numbers.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{name}, row {row}: {found}, expected {expected}");
        }
    }
}
