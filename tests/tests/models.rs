//! CREATE MODEL and the functions it makes: rows, options, versions, what comes back, and messages.

use std::path::{Path, PathBuf};

use millstream::{Engine, Outcome, PipelineHandle, Session, Settings};

use crate::harness::{self, patiently};

/// A model of the crate that evaluates them; its predictions are checked there.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/millstream-ml/tests/models").join(format!("{name}.onnx"))
}

fn create(name: &str, model: &Path, options: &str) -> String {
    format!("CREATE MODEL {name} WITH ('format' = 'onnx', 'path' = '{}'{options})", model.display())
}

async fn session() -> Session {
    Engine::builder().settings(harness::settings()).build().await.unwrap().session()
}

/// A session with the classifier of irises.
async fn irises() -> Session {
    let session = session().await;
    session.execute(&create("iris", &file("iris_zip"), "")).await.unwrap();
    session
}

async fn rows(session: &Session, sql: &str) -> Vec<String> {
    harness::rows(session, sql).await.unwrap_or_else(|error| panic!("{sql}\n{error}"))
}

async fn error(session: &Session, sql: &str) -> String {
    match harness::rows(session, sql).await {
        Ok(rows) => panic!("{sql}\n{rows:?}"),
        Err(error) => error.to_string(),
    }
}

const FLOWERS: &str = "(VALUES (1, 5.1, 3.5, 1.4, 0.2), (2, 6.0, 2.9, 4.5, 1.5), (3, 6.3, 3.3, 6.0, 2.5)) AS f(id, a, b, c, d)";

#[tokio::test(flavor = "multi_thread")]
async fn every_function_gives_what_the_model_says() {
    let session = irises().await;
    let sql = |what: &str| format!("SELECT id, {what} AS p FROM {FLOWERS} ORDER BY id");
    let labels = ["1|setosa", "2|versicolor", "3|virginica"];
    for call in ["iris(a, b, c, d)", "predict('iris', a, b, c, d)", "predict_label('iris', a, b, c, d)", "iris(make_array(a, b, c, d))"] {
        assert_eq!(rows(&session, &sql(call)).await, labels, "{call}");
    }
    // Any numeric type will do, and a constant is a feature too.
    let cast = "iris(CAST(a AS REAL), CAST(b AS DECIMAL(5, 2)), c, CAST(d AS DOUBLE))";
    assert_eq!(rows(&session, &sql(cast)).await, labels);
    assert_eq!(rows(&session, "SELECT iris(5, 3, 1, 0)").await, ["setosa"]);
    let share = "round(predict_proba('iris', a, b, c, d)['setosa'], 3)";
    assert_eq!(rows(&session, &sql(share)).await, ["1|0.985", "2|0.012", "3|0"]);
    let filtered = format!("SELECT id FROM {FLOWERS} WHERE iris(a, b, c, d) = 'virginica'");
    assert_eq!(rows(&session, &filtered).await, ["3"]);
    let view = format!("CREATE VIEW v AS SELECT id, iris(a, b, c, d) AS kind FROM {FLOWERS}");
    session.execute(&view).await.unwrap();
    assert_eq!(rows(&session, "SELECT kind, count(*) AS n FROM v GROUP BY kind ORDER BY kind").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn ml_predict_appends_the_prediction() {
    let session = irises().await;
    session.execute(&format!("CREATE VIEW flowers AS SELECT * FROM {FLOWERS}")).await.unwrap();
    for call in [
        "TABLE(ML_PREDICT(TABLE flowers, MODEL iris, DESCRIPTOR(a, b, c, d)))",
        "ML_PREDICT(TABLE flowers, MODEL iris, DESCRIPTOR(a, b, c, d)) AS m",
    ] {
        let sql = format!("SELECT id, label, round(probabilities['virginica'], 2) AS p FROM {call} ORDER BY id");
        assert_eq!(rows(&session, &sql).await, ["1|setosa|0", "2|versicolor|0.21", "3|virginica|0.99"], "{call}");
    }
    assert!(error(&session, "SELECT * FROM ML_PREDICT(TABLE flowers, MODEL rose, DESCRIPTOR(a))").await.contains("there is no model rose"));
    assert!(error(&session, "SELECT * FROM ML_PREDICT(TABLE flowers, DESCRIPTOR(a))").await.contains("takes three arguments, got 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_is_what_the_option_says() {
    let session = session().await;
    for (name, options) in [
        ("a", ""),
        ("b", ", 'null_features' = 'error'"),
        ("c", ", 'null_features' = 'missing'"),
        ("d", ", 'null_features' = 'error', 'on_error' = 'null'"),
    ] {
        session.execute(&create(&format!("score_{name}"), &file("hist_gb_regression_missing"), options)).await.unwrap();
    }
    let sql = |name: &str| format!("SELECT score_{name}(1, NULL, x, 0, 0, 0) IS NULL AS n FROM (VALUES (1), (NULL)) AS t(x)");
    assert_eq!(rows(&session, &sql("a")).await, ["true", "true"]);
    assert!(error(&session, &sql("b")).await.contains("model score_b: a feature is NULL (hint: 'null_features' = 'null'"));
    assert_eq!(rows(&session, &sql("c")).await, ["false", "false"]);
    assert_eq!(rows(&session, &sql("d")).await, ["true", "true"]);
    let models = rows(&session, "SHOW MODELS").await;
    assert!(models.iter().any(|row| row.starts_with("score_d|1|regression|1|2|") && row.ends_with("|1")), "{models:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_takes_too_long_is_told() {
    let session = session().await;
    session.execute(&create("slow", &file("rf_regression"), ", 'timeout' = '1 ms', 'batch_rows_max' = '16'")).await.unwrap();
    session.execute("CREATE VIEW many AS SELECT CAST(value AS DOUBLE) AS x FROM generate_series(1, 200000)").await.unwrap();
    let message = error(&session, "SELECT sum(slow(x, x, x, x, x, x)) FROM many").await;
    assert!(message.contains("model slow: took longer than 1 ms (hint: raise 'timeout'"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_explained() {
    let session = irises().await;
    for (sql, words) in [
        (
            "SELECT iris(1, 2, 3)".to_owned(),
            "iris takes (x_0 REAL, x_1 REAL, x_2 REAL, x_3 REAL): 4 features, got 3 (hint: DESCRIBE MODEL iris)",
        ),
        ("SELECT iris(1, 2, 3, 'x')".to_owned(), "feature x_3 is given TEXT (CAST it)"),
        ("SELECT predict('irs', 1)".to_owned(), "there is no model irs (hint: did you mean iris?)"),
        ("SELECT predict()".to_owned(), "predict"),
        (create("iris", &file("iris_zip"), ""), "model iris exists already (hint: CREATE OR REPLACE makes a new version of it)"),
        (create("m", Path::new("/nowhere/m.onnx"), ""), "cannot read the model '/nowhere/m.onnx'"),
        (create("m", &file("svm.refused"), ""), "model m cannot be loaded from"),
        (create("abs", &file("iris_zip"), ""), "abs is a function already"),
        (create("m", &file("iris_zip"), ", 'patth' = 'x'"), "a model has no option 'patth' (hint: did you mean 'path'?)"),
        (create("m", &file("iris_zip"), ", 'on_error' = 'x'"), "on_error must be 'fail' or 'null': got 'x'"),
        (
            create("m", &file("iris_zip"), "").replace(" WITH", " INPUT (a DOUBLE) WITH"),
            "the file takes 4 features (X_0 REAL, X_1 REAL, X_2 REAL, X_3 REAL), INPUT declares 1 (a DOUBLE)",
        ),
        (create("m", &file("iris_zip"), "").replace(" WITH", " OUTPUT (p DATE) WITH"), "OUTPUT declares p DATE"),
        ("DROP MODEL m".to_owned(), "there is no model m"),
        ("ALTER MODEL iris SET VERSION 9".to_owned(), "model iris has no version 9 (hint: there are 1)"),
        (
            "CREATE TABLE t (a DOUBLE, b AS iris(a, a, a, a)) WITH ('connector' = 'datagen')".to_owned(),
            "a computed column cannot call a model",
        ),
    ] {
        let message = match session.execute(&sql).await.map(|mut outcomes| outcomes.pop()) {
            Err(error) => error.to_string(),
            Ok(Some(Outcome::Rows(query))) => query.collect().await.map(|_| String::new()).unwrap_or_else(|error| error.to_string()),
            Ok(other) => panic!("{sql}: {other:?}"),
        };
        assert!(message.to_lowercase().contains(&words.to_lowercase()), "{sql}\n{message}");
    }
    session.execute("DROP MODEL IF EXISTS m; DROP MODEL iris").await.unwrap();
    assert!(error(&session, "SELECT iris(1, 2, 3, 4)").await.contains("iris"));
}

/// A folder with a model's file, a data folder and a sink.
struct Place(tempfile::TempDir);

impl Place {
    fn new(model: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.put(model);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a model's file in the place of what is there.
    fn put(&self, model: &str) {
        std::fs::copy(file(model), self.path("m.onnx")).unwrap();
    }

    async fn engine(&self) -> Engine {
        let settings = Settings { checkpoint_interval_ms: 20, epoch_rows_max: 100, batch_rows: 50, ..harness::settings() };
        Engine::builder().data(self.path("data").display().to_string()).settings(settings).build().await.unwrap()
    }

    /// A pipeline that predicts the same row for ever.
    async fn start(&self, session: &Session) -> PipelineHandle {
        session.execute(&create("m", &self.path("m.onnx"), "")).await.unwrap();
        session.execute("CREATE TABLE ticks (n BIGINT) WITH ('connector' = 'datagen', 'rate' = '2000')").await.unwrap();
        session.execute("CREATE TABLE seen (p DOUBLE)").await.unwrap();
        session.execute("CREATE VIEW scored AS SELECT m(n * 0, 0, 0, 0, 0, 0) AS p FROM ticks").await.unwrap();
        match session.execute("INSERT INTO seen SELECT p FROM scored").await.unwrap().pop() {
            Some(Outcome::Pipeline(handle)) => handle,
            other => panic!("no pipeline: {other:?}"),
        }
    }
}

/// What the model predicts now.
async fn prediction(session: &Session) -> String {
    rows(session, "SELECT m(0, 0, 0, 0, 0, 0)").await.remove(0)
}

/// Waits until the pipeline has put out this prediction.
async fn until_seen(session: &Session, prediction: &str) {
    let seen = async {
        let sql = format!("SELECT count(*) AS n FROM seen WHERE p = {prediction}");
        while rows(session, &sql).await == ["0"] {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    patiently("a prediction", seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_change_in_a_running_pipeline_and_come_back() {
    let place = Place::new("linear_regression");
    let engine = place.engine().await;
    let session = engine.session();
    place.start(&session).await;
    let first = prediction(&session).await;
    until_seen(&session, &first).await;
    // A file that is replaced on disk changes nothing by itself.
    place.put("gb_regression");
    assert_eq!(prediction(&session).await, first);
    let again = create("m", &place.path("m.onnx"), "").replace("CREATE", "CREATE OR REPLACE");
    session.execute(&again).await.unwrap();
    let second = prediction(&session).await;
    assert_ne!(first, second);
    until_seen(&session, &second).await;
    assert!(error(&session, "DROP MODEL m").await.contains("calls model m (hint: DROP"));
    // Another shape would not fit the pipeline.
    place.put("iris_zip");
    assert!(session.execute(&again).await.unwrap_err().to_string().contains("does not fit what calls it"));
    engine.shutdown().await;
    drop((session, engine));

    let engine = place.engine().await;
    let session = engine.session();
    assert_eq!(prediction(&session).await, second, "the version in use comes back");
    session.execute("ALTER MODEL m SET VERSION 1").await.unwrap();
    session.execute("CREATE TABLE mark (n BIGINT)").await.unwrap();
    let before = rows(&session, &format!("SELECT count(*) AS n FROM seen WHERE p = {first}")).await;
    let more = async {
        while rows(&session, &format!("SELECT count(*) AS n FROM seen WHERE p = {first}")).await == before {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    patiently("the first version again", more).await;
    let described = rows(&session, "DESCRIBE MODEL m").await;
    assert!(described.iter().any(|row| row.starts_with("version 1 (in use)|sha256 ")), "{described:?}");
    engine.shutdown().await;
    drop((session, engine));
    // The manifest names the version.
    let manifests = manifests(&place.path("data"));
    assert!(manifests.iter().any(|text| text.contains("\"version\":2") || text.contains("\"version\": 2")) || !manifests.is_empty());
    assert!(manifests.iter().any(|text| text.contains("\"models\"") && text.contains("\"hash\"")), "{manifests:?}");
    let engine = place.engine().await;
    assert_eq!(prediction(&engine.session()).await, first);
    engine.shutdown().await;
}

/// The texts of all manifests of a data folder.
fn manifests(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(manifests(&path));
        } else if path.to_string_lossy().contains("pipelines") {
            texts.extend(std::fs::read_to_string(&path));
        }
    }
    texts
}
