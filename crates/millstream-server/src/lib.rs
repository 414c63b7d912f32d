//! Serving the engine: the Postgres wire protocol and the HTTP side.
//!
//! ```text
//!  client ──▶ protocol (frames, messages) ──▶ connection (session, portals, COPY, cursors)
//!                                                 │  statement (what was sent)   settings   security
//!                                                 ▼
//!                          rewrite, catalog (what PostgreSQL's clients ask) ──▶ millstream::Session ──▶ values ──▶ client
//! ```
//! A newcomer reads `server`, `connection/mod.rs`, `connection/execute.rs`, then `catalog` and `rewrite`.

mod cancel;
mod catalog;
mod config;
mod connection;
mod error;
mod http;
mod metrics;
mod protocol;
mod rewrite;
mod security;
mod server;
mod settings;
mod statement;
mod values;

pub use config::ServerConfig;
pub use error::WireError;
pub use server::{Listening, Server};
