//! Serving the engine: the Postgres wire protocol and the HTTP side.
