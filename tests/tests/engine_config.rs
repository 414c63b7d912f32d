//! The settings of the engine's DataFusion session, read from its source, so that tests below the public API run under them.

use datafusion::prelude::SessionConfig;

const CONTEXT: &str = include_str!("../../crates/millstream/src/context.rs");

/// What `session_config` of the engine gives.
pub(crate) fn pipeline_config(partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(partitions).with_collect_statistics(false);
    assert!(CONTEXT.contains(".with_collect_statistics(false)"));
    for (name, value) in settings() {
        config.options_mut().set(&format!("datafusion.{name}"), &value).unwrap();
    }
    config
}

/// `options.optimizer.x = y;` lines.
fn settings() -> Vec<(String, String)> {
    let assignments = CONTEXT.lines().filter_map(|line| line.trim().strip_prefix("options.")?.strip_suffix(';')?.split_once(" = "));
    let value = |text: &str| text.rsplit("::").next().unwrap_or(text).to_owned();
    assignments.map(|(name, text)| (name.to_owned(), value(text))).collect()
}

#[test]
fn the_settings_that_re_execution_needs_are_there() {
    let settings = settings();
    for needed in [
        "optimizer.enable_dynamic_filter_pushdown",
        "optimizer.enable_topk_dynamic_filter_pushdown",
        "optimizer.enable_join_dynamic_filter_pushdown",
        "optimizer.enable_aggregate_dynamic_filter_pushdown",
        "optimizer.enable_round_robin_repartition",
    ] {
        assert!(settings.contains(&(needed.to_owned(), "false".to_owned())), "{needed}");
    }
    assert!(settings.contains(&("optimizer.subset_repartition_threshold".to_owned(), "0".to_owned())));
}
