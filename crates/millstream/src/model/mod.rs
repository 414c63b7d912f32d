//! Models in SQL: what CREATE MODEL makes, and the functions that predict with it.
//!
//! ```text
//! CREATE MODEL ─session/models.rs─▶ Models (registry.rs): by name a RegisteredModel with all its versions
//!                                      │
//!   a plan that calls m(…) ────────────┤ PinnedModels (pinned.rs): the version that one plan uses; the crank lets it change
//!                                      ▼ only between two epochs
//!   ModelFunction (function.rs) ─▶ evaluate.rs: NULLs, chunks, timeout, figures ─▶ millstream-ml
//! ```
//!
//! What a version takes and gives in SQL is in `shape.rs`. Versions of one model have the same shape: it is what plans rely on.

mod evaluate;
mod figures;
mod function;
mod gate;
mod options;
mod pinned;
mod registry;
mod shape;
mod table_functions;

pub use figures::ModelStatus;
pub(crate) use function::generic_functions;
pub(crate) use options::ModelOptions;
pub(crate) use pinned::{PinnedModels, calls_model};
pub(crate) use registry::{ModelUse, ModelVersion, Models, RegisteredModel, StoredModel, StoredVersion};
pub(crate) use shape::{Declared, ModelShape, ResultColumn, ResultSource};
pub(crate) use table_functions::rewrite_table_functions;
