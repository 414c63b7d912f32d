//! DataFusion as a pipeline needs it: the settings without which re-executing a plan gives wrong rows, and our extensions.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::catalog::DynamicFileCatalog;
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::{SessionConfig, SessionContext};
use millstream_sql::logical::relation::WindowRelationPlanner;
use millstream_sql::logical::window_rule::WindowAggregateRule;

use crate::file_table::FileTables;
use crate::learning::{LearnRelationPlanner, Learners};
use crate::metric_functions::metric_functions;

/// The time of the running epoch, in milliseconds since 1970; what `now()` gives in a pipeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct EpochClock(Arc<AtomicI64>);

impl EpochClock {
    pub(crate) fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::Relaxed);
    }

    fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A context without tables. `parallelism` is the number of partitions of a stage.
pub(crate) fn new_context(parallelism: usize, memory_limit: Option<u64>, learners: &Arc<Learners>) -> Result<SessionContext> {
    let mut runtime = RuntimeEnvBuilder::new();
    if let Some(limit) = memory_limit {
        runtime = runtime.with_memory_limit(usize::try_from(limit).unwrap_or(usize::MAX), 1.0);
    }
    let runtime = runtime.build_arc()?;
    let config = session_config(parallelism);
    let state = SessionStateBuilder::new()
        .with_runtime_env(Arc::clone(&runtime))
        .with_config(config.clone())
        .with_default_features()
        .with_analyzer_rule(Arc::new(WindowAggregateRule))
        .with_relation_planners(vec![Arc::new(WindowRelationPlanner), Arc::new(LearnRelationPlanner::new(Arc::clone(learners)))])
        .build();
    let tables = Arc::clone(state.catalog_list());
    let with_files = DynamicFileCatalog::new(tables, Arc::new(FileTables::new(config, runtime)));
    let state = SessionStateBuilder::new_from_existing(state).with_catalog_list(Arc::new(with_files)).build();
    let context = SessionContext::new_with_state(state);
    for function in metric_functions() {
        context.register_udaf(function);
    }
    Ok(context)
}

/// Why each is as it is: `docs/architecture.md`, "DataFusion, re-executed".
pub(crate) fn session_config(parallelism: usize) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(parallelism).with_collect_statistics(false);
    let options = config.options_mut();
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    options.optimizer.enable_round_robin_repartition = false;
    options.optimizer.subset_repartition_threshold = 0;
    options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
    options.sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    config
}

/// `now()` and its kin, bound to an epoch clock. DataFusion's own become constants when a query is planned.
pub(crate) fn clock_functions(clock: &EpochClock) -> Vec<ScalarUDF> {
    let function = |name: &'static str, aliases: &[&str], kind| {
        let aliases = aliases.iter().map(ToString::to_string).collect();
        ScalarUDF::from(ClockFunction { name, aliases, kind, clock: clock.clone(), signature: Signature::nullary(Volatility::Volatile) })
    };
    vec![
        function("now", &["current_timestamp"], ClockKind::Timestamp),
        function("current_date", &["today"], ClockKind::Date),
        function("current_time", &[], ClockKind::Time),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ClockKind {
    Timestamp,
    Date,
    Time,
}

#[derive(Debug)]
struct ClockFunction {
    name: &'static str,
    aliases: Vec<String>,
    kind: ClockKind,
    clock: EpochClock,
    signature: Signature,
}

impl PartialEq for ClockFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.clock.0, &other.clock.0)
    }
}

impl Eq for ClockFunction {}

impl std::hash::Hash for ClockFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for ClockFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            ClockKind::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            ClockKind::Date => DataType::Date32,
            ClockKind::Time => DataType::Time64(TimeUnit::Nanosecond),
        })
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ms = self.clock.get();
        let day = i32::try_from(ms.div_euclid(86_400_000)).ok();
        Ok(ColumnarValue::Scalar(match self.kind {
            ClockKind::Timestamp => ScalarValue::TimestampMillisecond(Some(ms), Some("UTC".into())),
            ClockKind::Date => ScalarValue::Date32(day),
            ClockKind::Time => ScalarValue::Time64Nanosecond(Some(ms.rem_euclid(86_400_000) * 1_000_000)),
        }))
    }
}
