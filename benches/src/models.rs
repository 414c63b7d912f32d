//! What models cost in SQL: predictions beside the same model called on the same batches, and metrics as aggregates.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use millstream::{Engine, Session};
use millstream_ml::model::{Model, Patient};
use millstream_ml::onnx::{LoadLimits, OnnxModel, Runtime, library_is_installed};
use serde_json::json;

use crate::Result;
use crate::arguments::Arguments;
use crate::engine_run::runtime;
use crate::floors::Floors;
use crate::meter::Meter;
use crate::report::{self, rounded};

/// Rows of a batch in memory.
const BATCH_ROWS: usize = 8192;

/// Models of the tests, each with so many batches that it takes a while.
const MODELS: [(&str, usize); 5] =
    [("gb_binary", 200), ("rf_regression", 200), ("xgboost_binary", 200), ("mlp_nozip", 100), ("logistic_multiclass", 400)];

/// Metrics over a label, a prediction, a score and a value.
const METRICS: [&str; 10] = [
    "accuracy(y, p)",
    "f1_score(y, p)",
    "f1_score(y, p, 'macro')",
    "confusion_matrix(y, p)",
    "log_loss(y, s)",
    "roc_auc(y, s)",
    "mae(v, s)",
    "rmse(v, s)",
    "r2_score(v, s)",
    "psi(v, s)",
];

/// Measures both.
///
/// # Errors
/// Those of a run.
pub fn measure(arguments: &Arguments, floors: &mut Floors) -> Result<()> {
    for (name, batches) in MODELS {
        if arguments.wants_case(name, "native") {
            inference(arguments, floors, name, batches, Runtime::Native)?;
        }
    }
    if library_is_installed() {
        for (name, batches) in [("lightgbm_multiclass", 20), ("mlp_nozip", 100), ("gb_multiclass", 50)] {
            if arguments.wants_case(name, "onnxruntime") {
                inference(arguments, floors, name, batches, Runtime::Library)?;
            }
        }
    }
    metrics(arguments, floors)
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/millstream-ml/tests/models").join(format!("{name}.onnx"))
}

/// Numbers that look random, from -2 to 2.
fn numbers(rows: usize, column: usize) -> Vec<f64> {
    (0..rows).map(|row| 2.0 * ((row * 31 + column * 17) as f64 * 0.7123).sin()).collect()
}

fn inference(arguments: &Arguments, floors: &mut Floors, name: &str, batches: usize, runtime_kind: Runtime) -> Result<()> {
    let word = if runtime_kind == Runtime::Library { "onnxruntime" } else { "native" };
    let model = OnnxModel::load_for(&std::fs::read(file(name))?, None, &LoadLimits::default(), runtime_kind, 1)?;
    let width = model.signature().features.len();
    let columns: Vec<ArrayRef> = (0..width).map(|column| Arc::new(Float64Array::from(numbers(BATCH_ROWS, column))) as ArrayRef).collect();
    let fields: Vec<Field> = (0..width).map(|column| Field::new(format!("f{column}"), DataType::Float64, false)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let arguments_of_call = (0..width).map(|column| format!("f{column}")).collect::<Vec<_>>().join(", ");
    let (mut direct, mut in_sql) = (Vec::new(), Vec::new());
    for run in 0..=arguments.runs {
        let meter = Meter::start();
        for _ in 0..batches {
            std::hint::black_box(model.predict(batch.columns(), BATCH_ROWS, &Patient)?);
        }
        let alone = meter.stop().cpu_s;
        let within = runtime(1)?.block_on(async {
            let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone(); batches]])?;
            let session = session_over(table).await?;
            let options = format!("'runtime' = '{word}', 'threads' = '1', 'batch_rows_max' = '{BATCH_ROWS}'");
            session.execute(&format!("CREATE MODEL m WITH ('path' = '{}', {options})", file(name).display())).await?;
            let meter = Meter::start();
            let mut query = session.query(&format!("SELECT count(m({arguments_of_call})) AS n FROM rows")).await?;
            while let Some(batch) = query.next().await {
                batch?;
            }
            Ok::<_, crate::Error>(meter.stop().cpu_s)
        })?;
        // The first run does not count.
        if run > 0 {
            direct.push(alone);
            in_sql.push(within);
        }
    }
    let rows = (batches * BATCH_ROWS) as f64;
    let (direct, in_sql) = (rows / median(&mut direct), rows / median(&mut in_sql));
    let fields = json!({
        "model": name, "runtime": word, "features": width, "rows": rows,
        "direct_rows_per_cpu_second": direct.round(), "sql_rows_per_cpu_second": in_sql.round(), "ratio": rounded(in_sql / direct, 3),
    });
    report::line("inference", &fields)?;
    floors.at_least(&format!("rows per CPU second in SQL, of the model called directly: {name}, {word}"), 0.9, in_sql / direct);
    Ok(())
}

async fn session_over(table: MemTable) -> Result<Session> {
    let session = Engine::builder().with_table("rows", Arc::new(table)).build().await?.session();
    session.set("parallelism", "1")?;
    Ok(session)
}

fn metrics(arguments: &Arguments, floors: &mut Floors) -> Result<()> {
    let rows = arguments.rows;
    let batches = rows.div_ceil(BATCH_ROWS);
    let scores: Vec<f64> = numbers(BATCH_ROWS, 1).into_iter().map(|score| (score + 2.0) / 4.0).collect();
    let values: Vec<f64> = numbers(BATCH_ROWS, 2).into_iter().map(|score| (score + 2.0) / 4.0).collect();
    let labels: Vec<i64> = values.iter().map(|value| i64::from(*value > 0.5)).collect();
    let predictions: Vec<i64> = scores.iter().map(|score| i64::from(*score > 0.5)).collect();
    let keys: Vec<i64> = (0..BATCH_ROWS as i64).map(|row| row * 7 % 100).collect();
    let field = |name: &str, data_type| Field::new(name, data_type, false);
    let schema = Schema::new(vec![
        field("k", DataType::Int64),
        field("y", DataType::Int64),
        field("p", DataType::Int64),
        field("s", DataType::Float64),
        field("v", DataType::Float64),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(keys)),
        Arc::new(Int64Array::from(labels)),
        Arc::new(Int64Array::from(predictions)),
        Arc::new(Float64Array::from(scores)),
        Arc::new(Float64Array::from(values)),
    ];
    let batch = RecordBatch::try_new(Arc::new(schema), columns)?;
    for metric in METRICS {
        for (grouping, sql) in [
            ("all rows", format!("SELECT {metric} AS m FROM rows")),
            ("100 groups", format!("SELECT k, {metric} AS m FROM rows GROUP BY k")),
        ] {
            if !arguments.wants_case(metric, grouping) {
                continue;
            }
            let mut costs = Vec::new();
            for run in 0..=arguments.runs {
                let cost = runtime(1)?.block_on(async {
                    let session = session_over(MemTable::try_new(batch.schema(), vec![vec![batch.clone(); batches]])?).await?;
                    let meter = Meter::start();
                    let mut query = session.query(&sql).await?;
                    while let Some(batch) = query.next().await {
                        batch?;
                    }
                    Ok::<_, crate::Error>(meter.stop().cpu_s)
                })?;
                if run > 0 {
                    costs.push(cost);
                }
            }
            let per_second = (batches * BATCH_ROWS) as f64 / median(&mut costs);
            report::line("metric", &json!({ "metric": metric, "over": grouping, "rows_per_cpu_second": per_second.round() }))?;
            if grouping == "all rows" {
                floors.at_least(&format!("million rows per CPU second of {metric}"), 20.0, per_second / 1e6);
            }
        }
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
