//! Ensembles of decision trees.
//!
//! ```text
//! node of the graph ──columns.rs (versions 1, 3), version_5.rs──▶ Draft ──forest.rs: checks, packs──▶ Forest
//!                                                                                                   │
//!                    scores by row and target ◀── walk.rs: eight rows at a time, block by block ────┘
//! ```
//!
//! [`ensemble`] holds the operators: what is done with the sums.

mod columns;
mod ensemble;
mod forest;
mod version_5;
mod walk;

pub(super) use ensemble::{Classifier, Regressor};
