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

/// The tokenizer of the model `tokens`, as an option.
fn tokenizer() -> String {
    format!(", 'tokenizer' = '{}'", file("tokens").with_extension("json").display())
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
async fn ml_evaluate_says_how_right_a_model_is() {
    let session = irises().await;
    session
        .execute(&format!(
            "CREATE VIEW judged AS SELECT *, CASE id WHEN 1 THEN 'setosa' WHEN 2 THEN 'virginica' ELSE 'virginica' END AS kind FROM {FLOWERS}"
        ))
        .await
        .unwrap();
    // As the metrics over the predictions say.
    let sql = "SELECT * FROM TABLE(ML_EVALUATE(TABLE judged, MODEL iris, DESCRIPTOR(kind), DESCRIPTOR(a, b, c, d)))";
    let by_hand = "SELECT count(*), accuracy(kind, p), precision_score(kind, p, 'macro'), recall_score(kind, p, 'macro'), f1_score(kind, p, 'macro'), \
                   f1_score(kind, p, 'weighted') FROM (SELECT kind, iris(a, b, c, d) AS p FROM judged) AS t";
    let evaluated = rows(&session, sql).await;
    assert_eq!(evaluated, rows(&session, by_hand).await);
    assert!(evaluated[0].starts_with("3|0.666"), "{evaluated:?}");
    // Two classes, by their names; and numbers, with the arguments by name.
    session.execute(&create("good", &file("logistic_binary_text"), "")).await.unwrap();
    session.execute(&create("number", &file("linear_regression"), "")).await.unwrap();
    let points = "SELECT sin(value) AS x, cos(value * 3) AS z, sin(value * 7) AS w, value FROM generate_series(1, 200)";
    session.execute(&format!("CREATE VIEW points AS {points}")).await.unwrap();
    session
        .execute(
            "CREATE VIEW labelled AS SELECT *, CASE WHEN value % 3 = 0 THEN 'bad' ELSE predict_label('good', x, z, w, x, z, w) END AS y,
             number(x, z, w, x, z, w) + 1 AS v FROM points",
        )
        .await
        .unwrap();
    let sql = "SELECT rows, accuracy, precision, f1, log_loss, roc_auc FROM ML_EVALUATE(TABLE labelled, MODEL good, DESCRIPTOR(y), DESCRIPTOR(x, z, w, x, z, w))";
    let by_hand = "SELECT count(*), accuracy(y, l), precision_score(y, l, 'binary', 'good'), f1_score(y, l, 'binary', 'good'), log_loss(y, p, 'good'), \
                   roc_auc(y, p, 'good') FROM (SELECT y, predict_label('good', x, z, w, x, z, w) AS l, good(x, z, w, x, z, w) AS p FROM labelled) AS t";
    assert_eq!(rows(&session, sql).await, rows(&session, by_hand).await);
    let sql = "SELECT rows, mae, rmse, r2_score < 1 FROM ML_EVALUATE(MODEL => MODEL number, INPUT => TABLE labelled, LABEL => DESCRIPTOR(v), \
               ARGS => DESCRIPTOR(x, z, w, x, z, w))";
    let evaluated = rows(&session, sql).await;
    assert!(evaluated[0].starts_with("200|1") || evaluated[0].starts_with("200|0.99999"), "{evaluated:?}");
    for (sql, words) in [
        ("SELECT * FROM ML_EVALUATE(TABLE judged, MODEL iris, DESCRIPTOR(a))", "ML_EVALUATE takes four arguments, got 3"),
        ("SELECT * FROM ML_EVALUATE(TABLE judged, MODEL iri, DESCRIPTOR(kind), DESCRIPTOR(a))", "did you mean iris?"),
        ("SELECT * FROM ML_EVALUATE(TABLE judged, MODEL iris, DESCRIPTOR(kind, a), DESCRIPTOR(a))", "ML_EVALUATE takes one label"),
        ("SELECT * FROM ML_EVALUATE(TABLE judged, MODEL iris, DESCRIPTOR(id), DESCRIPTOR(a, b, c, d))", "must be of the same type"),
    ] {
        let message = error(&session, sql).await;
        assert!(message.contains(words), "{sql}\n{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_classified_and_become_vectors() {
    let session = session().await;
    session.execute(&create("likes", &file("text_words"), "")).await.unwrap();
    let texts = "(VALUES ('I loved this wonderful film'), ('dull, bad and long'), (NULL)) AS t(x)";
    let seen = rows(&session, &format!("SELECT likes(x) > 0.5 AS p FROM {texts}")).await;
    assert_eq!(seen, ["NULL", "false", "true"]);
    session.execute(&create("embed", &file("tokens"), &tokenizer())).await.unwrap();
    let sql = format!(
        "SELECT array_length(embed(x)) AS n, round(array_distance(embed(x), embed(upper(x))), 3) AS d, embed(x) IS NULL AS z FROM {texts}"
    );
    let seen = rows(&session, &sql).await;
    assert_eq!(seen, ["8|0|false", "8|0|false", "NULL|NULL|true"]);
    session.execute("CREATE TABLE kept (v REAL[])").await.unwrap();
    session.execute(&format!("INSERT INTO kept SELECT embed(x) FROM {texts}")).await.unwrap();
    assert_eq!(rows(&session, "SELECT count(v) AS n FROM kept").await, ["2"]);
    let described = rows(&session, "DESCRIBE MODEL embed").await;
    assert!(
        described.iter().any(|row| row == "takes|text TEXT") && described.iter().any(|row| row == "gives|embedding REAL[]"),
        "{described:?}"
    );
    // A folder that has both files, and the URL of a file.
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file("tokens"), folder.path().join("model.onnx")).unwrap();
    std::fs::copy(file("tokens").with_extension("json"), folder.path().join("tokenizer.json")).unwrap();
    session.execute(&create("beside", folder.path(), "")).await.unwrap();
    let url = format!("file://{}", folder.path().join("model.onnx").display());
    session.execute(&create("url", Path::new(&url), &tokenizer())).await.unwrap();
    let sql = format!("SELECT beside(x) = embed(x) AND url(x) = embed(x) AS same FROM {texts} WHERE x IS NOT NULL");
    assert_eq!(rows(&session, &sql).await, ["true", "true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computed_column_calls_a_model() {
    let session = irises().await;
    session
        .execute(
            "CREATE TABLE flowers (id BIGINT, a DOUBLE, kind AS iris(a * 0 + 5.1, 3.5, 1.4, 0.2)) WITH ('connector' = 'datagen', 'rows' = '5')",
        )
        .await
        .unwrap();
    assert_eq!(rows(&session, "SELECT kind, count(*) AS n FROM flowers GROUP BY kind").await, ["setosa|5"]);
    let message = error(&session, "DROP MODEL iris").await;
    assert!(message.contains("a computed column of table flowers calls model iris (hint: DROP TABLE flowers first)"), "{message}");
    session.execute("DROP TABLE flowers; DROP MODEL iris").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_features_may_have_nulls() {
    let session = irises().await;
    let parts = "predict_proba('iris', a, 3.5, 1.4, 0.2)['setosa'] IS NULL AS p, predict_proba('iris', a, 3.5, 1.4, 0.2) IS NULL AS s";
    let seen = rows(&session, &format!("SELECT {parts} FROM (VALUES (5.1), (NULL)) AS t(a)")).await;
    assert_eq!(seen, ["false|false", "true|true"]);
    let lists = "(VALUES (1, make_array(5.1, 3.5, 1.4, 0.2)), (2, make_array(5.1, NULL, 1.4, 0.2)), (3, NULL), (4, make_array(6.3, 3.3, 6.0, 2.5))) AS t(id, v)";
    let seen = rows(&session, &format!("SELECT id, iris(v) AS p FROM {lists} ORDER BY id")).await;
    assert_eq!(seen, ["1|setosa", "2|NULL", "3|NULL", "4|virginica"]);
    let short = error(&session, "SELECT iris(v) FROM (VALUES (make_array(1.0, 2.0))) AS t(v)").await;
    assert!(short.contains("a list of 2 values where the model takes 4 features"), "{short}");
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
        (create("m", &file("nearest_neighbours.refused"), ", 'runtime' = 'native'"), "model m cannot be loaded from"),
        (create("m", &file("iris_zip"), ", 'runtime' = 'gpu'"), "runtime must be 'auto', 'native' or 'onnxruntime': got 'gpu'"),
        (create("m", &file("iris_zip"), ", 'threads' = '0'"), "threads must be a number from 1 to 1024: got '0'"),
        (create("m", &file("tokens"), ", 'tokenizer' = '/nowhere'"), "cannot read the tokenizer '/nowhere'"),
        (create("m", &file("iris_zip"), &tokenizer()), "which no tokenizer gives"),
        (create("m", Path::new("file:///nowhere/m.onnx"), ""), "cannot read the model 'file:///nowhere/m.onnx'"),
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
            "CREATE TABLE t (a TIMESTAMP(3), WATERMARK FOR a AS CASE WHEN iris(1, 2, 3, 4) = 'x' THEN a ELSE a - INTERVAL '1' SECOND END) WITH ('connector' = 'datagen')"
                .to_owned(),
            "a watermark cannot depend on what a model says",
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

/// The rows that the sink has with this prediction, once a checkpoint has shown them.
async fn shown(session: &Session, pipeline: &str, prediction: &str) -> String {
    session.execute(&format!("CHECKPOINT PIPELINE {pipeline}")).await.unwrap();
    rows(session, &format!("SELECT count(*) AS n FROM seen WHERE p = {prediction}")).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_pipeline_goes_on_with_the_version_of_its_checkpoint() {
    let place = Place::new("linear_regression");
    let settings = Settings { checkpoint_interval_ms: 3_600_000, epoch_rows_max: 100, batch_rows: 50, ..harness::settings() };
    let engine = Engine::builder().data(place.path("data").display().to_string()).settings(settings).build().await.unwrap();
    let session = engine.session();
    let name = place.start(&session).await.name();
    let first = prediction(&session).await;
    let some = async { while shown(&session, &name, &first).await == "0" {} };
    patiently("rows of the first version", some).await;
    session.execute(&format!("PAUSE PIPELINE {name}")).await.unwrap();
    let before: u64 = shown_rows(&session, &first).await;
    place.put("gb_regression");
    session.execute(&create("m", &place.path("m.onnx"), "").replace("CREATE", "CREATE OR REPLACE")).await.unwrap();
    let second = prediction(&session).await;
    session.execute(&format!("RESUME PIPELINE {name}")).await.unwrap();
    // Until its own first checkpoint it is the former version, whatever the catalog says.
    let more = async {
        while engine.pipelines().iter().all(|status| status.name != name || status.rows_out == 0) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    patiently("rows after the restart", more).await;
    assert_eq!(shown(&session, &name, &second).await, "0");
    assert!(shown_rows(&session, &first).await > before);
    // From then on it is the current one.
    let swapped = async { while shown(&session, &name, &second).await == "0" {} };
    patiently("rows of the second version", swapped).await;
    engine.shutdown().await;
}

async fn shown_rows(session: &Session, prediction: &str) -> u64 {
    rows(session, &format!("SELECT count(*) AS n FROM seen WHERE p = {prediction}")).await[0].parse().unwrap()
}

/// Files of models in a data folder.
fn model_files(place: &Place) -> usize {
    std::fs::read_dir(place.path("data/models")).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_no_version_needs_are_deleted() {
    let place = Place::new("linear_regression");
    let engine = place.engine().await;
    let session = engine.session();
    session.execute(&create("m", &place.path("m.onnx"), "")).await.unwrap();
    session.execute(&create("n", &place.path("m.onnx"), "")).await.unwrap();
    session.execute(&create("embed", &file("tokens"), &tokenizer())).await.unwrap();
    place.put("gb_regression");
    session.execute(&create("m", &place.path("m.onnx"), "").replace("CREATE", "CREATE OR REPLACE")).await.unwrap();
    assert_eq!(model_files(&place), 4);
    session.execute("DROP MODEL m").await.unwrap();
    assert_eq!(model_files(&place), 3, "the other model has the first version's file");
    engine.shutdown().await;
    drop((session, engine));
    // What a crash has left goes at the next start; what is needed stays and works.
    std::fs::write(place.path("data/models").join(format!("{}.onnx", "0".repeat(64))), "left").unwrap();
    let engine = place.engine().await;
    assert_eq!(model_files(&place), 3);
    assert_eq!(rows(&engine.session(), "SELECT array_length(embed('good')) AS n, n(1, 2, 3, 4, 5, 6) IS NULL AS z").await, ["8|false"]);
    engine.session().execute("DROP MODEL embed; DROP MODEL n").await.unwrap();
    assert_eq!(model_files(&place), 0);
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
