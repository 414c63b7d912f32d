//! Millstream: continuous SQL over streams, on Arrow and DataFusion.
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), millstream::Error> {
//! use millstream::Engine;
//!
//! let engine = Engine::builder().build().await?;
//! let session = engine.session();
//! session.execute("CREATE TABLE bids (WATERMARK FOR date_time) WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '100000')").await?;
//! let windows = session.query(
//!     "SELECT window_start, count(*) AS bids
//!      FROM TUMBLE(bids, date_time, INTERVAL '1 second') GROUP BY window_start",
//! ).await?.collect().await?;
//! # assert!(windows.iter().map(|batch| batch.num_rows()).sum::<usize>() > 5);
//! # Ok(()) }
//! ```
//!
//! An [`Engine`] holds what exists (streams, views, functions) and runs pipelines; a [`Session`] executes SQL with its own
//! settings; a [`Query`] gives the rows of one SELECT as they come; an INSERT runs on as a pipeline with a [`PipelineHandle`].
//!
//! How to read the code: `engine` and `session` (the API), `catalog` (what exists), `planning` (SQL to pipeline), `input` (lanes
//! in, epochs out), `pipeline` (the crank), `stored_table` (rows that are kept), `transaction` (rows that belong together).

mod blocking;
mod catalog;
mod checkpoint;
mod context;
mod crash_point;
mod data_folder;
mod engine;
mod error;
mod file_table;
pub mod input;
mod learning;
mod listings;
mod memory;
mod metric_functions;
mod model;
mod pipeline;
mod planning;
mod query;
mod result_names;
mod secret;
mod session;
mod settings;
mod stored_table;
mod transaction;

pub use checkpoint::CheckpointFigures;
pub use crash_point::CRASH_POINTS;
pub use engine::{Engine, EngineBuilder};
pub use error::{Error, ErrorKind, Result};
pub use metric_functions::metric_functions;
pub use millstream_connectors as connectors;
pub use millstream_sql::error::{SqlError, SqlErrorKind};
pub use millstream_sql::parse::{ParsedStatement, StatementPart, TextKind, TextPart, scan, statement_parts};
pub use millstream_time::{Clock, SystemClock};
pub use model::ModelStatus;
pub use pipeline::{PipelineFailure, PipelineHandle, PipelineLoad, PipelineState, PipelineStatus, SourceStatus};
pub use query::{Outcome, Query};
pub use session::{PreparedQuery, Relation, RelationKind, Session, SqlExtension};
pub use settings::{AggregateDistribution, ExecutionMode, Settings};
pub use stored_table::TableTail;
pub use transaction::{Isolation, Transaction, TransactionMark};
