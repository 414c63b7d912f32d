//! What bytes mean: JSON lines, CSV, raw lines, Parquet.
//!
//! ```text
//! bytes ──frame──> records ──decode──> RecordBatch          one call for many records, no String per line
//!                     │         └─fails─> bisect ──> good rows + RejectedRows, each with its bytes, place and reason
//!                     └─ too long, quote never closed ──> RejectedRow
//! ```
//!
//! Line formats go through [`lines::LineDecoder`], whatever brings the bytes. Parquet is read and written as whole files.

pub mod buffer;
pub mod config;
pub mod csv;
pub mod encode;
pub mod frame;
pub mod infer;
pub mod json;
pub mod lines;
pub mod parquet;
pub mod raw;
pub mod type_name;

pub use config::{CsvOptions, FORMAT_OPTIONS, Format, Header, LineOptions};
