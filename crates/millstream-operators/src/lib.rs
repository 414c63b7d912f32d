//! What a pipeline remembers between epochs, and how an epoch reaches DataFusion.
//!
//! A pipeline is a chain of *stages* (plain, bounded DataFusion plans that forget everything when they end) joined by *stateful
//! operators* (which remember). In each epoch a stage reads its input through [`EpochScan`], and its output goes row by row into
//! the next operator's state ([`StatefulOperator::update`]); then the watermark advances and operators hand on what it lets go
//! ([`StatefulOperator::advance`]).
//!
//! Read in this order: [`epoch`] (how batches enter a plan), [`operator`] (the trait), [`pane_table`] (one pane's keys and
//! accumulators), [`layered_state`] (layers that can leave memory), [`key_part`] (windows that close part by part), [`pane_aggregate`] (TUMBLE
//! and HOP aggregates), [`window_buffer`] (rows held until their window closes), [`stream_limit`], [`ordered_rows`] and [`ordered_exec`]
//! (rows in one fixed order to what learns from them).

pub mod epoch;
pub mod event_time;
pub mod key_part;
pub mod layered_state;
pub mod operator;
pub mod ordered_exec;
pub mod ordered_rows;
pub mod pane_aggregate;
pub mod pane_table;
pub mod pane_tree;
pub mod stream_limit;
pub mod window_assign;
pub mod window_buffer;

pub use epoch::{EpochInputs, EpochScan, LeafId};
pub use key_part::{KeyPart, key_columns, split_by_key};
pub use layered_state::{DueWindow, LayerMerge, LayeredState, StoredPiece};
pub use operator::{OperatorId, OperatorMetrics, Released, StateLayer, StateShape, StatefulOperator, StoredRows};
pub use ordered_exec::{OrderedExec, in_partition_order};
pub use ordered_rows::{MakeTransform, OrderedRows, OrderedTransform, RowOrder};
pub use pane_aggregate::{OutputColumn, PaneAggregate, PaneAggregateSpec, TimeSource};
pub use stream_limit::StreamLimit;
pub use window_assign::{WindowAssignExec, append_window_columns, window_fields};
pub use window_buffer::WindowBuffer;
