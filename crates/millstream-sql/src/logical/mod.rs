//! From DataFusion's logical plan to a pipeline: window nodes, labels, gates, stages.
//!
//! A query's walk: the statement is planned by DataFusion, where [`relation`] turns TUMBLE and HOP in FROM into a
//! [`WindowAssign`](nodes::WindowAssign) node; [`window_rule`] turns aggregates over windows into
//! [`WindowAggregate`](nodes::WindowAggregate) before any optimizer rule; DataFusion optimizes; [`gates`] puts a gate wherever
//! something needs whole windows and refuses what would never end; [`stages`] cuts the plan at the gates. What a node may do is
//! decided by its inputs' [`label`]s.

pub mod gates;
pub mod label;
pub mod nodes;
pub mod relation;
pub mod stages;
pub mod stream_table;
pub mod window_rule;

pub use label::{Flow, Label, Role};
pub use stages::{OperatorKind, PipelinePlan, SourceScan, Stage};
pub use stream_table::StreamTable;
