//! What PostgreSQL's clients find out about a server: `pg_catalog`, `information_schema`, and functions beside them.

use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::Query;
use millstream::SqlExtension;
use parking_lot::Mutex;

use crate::connection::Identity;
use crate::rewrite;
use crate::server::ServerState;
use crate::settings::Variables;

/// What a session's queries know besides the engine's SQL.
#[derive(Debug)]
pub(crate) struct WireSql {
    server: Arc<ServerState>,
    identity: Identity,
    variables: Arc<Mutex<Variables>>,
}

impl WireSql {
    pub(crate) fn new(server: Arc<ServerState>, identity: Identity, variables: Arc<Mutex<Variables>>) -> Self {
        Self { server, identity, variables }
    }
}

impl SqlExtension for WireSql {
    fn extend(&self, _state: &mut SessionState) {
        let _ = (&self.server, &self.identity, &self.variables);
    }

    fn rewrite(&self, query: &mut Query) -> millstream::Result<()> {
        rewrite::rewrite(query)
    }
}
