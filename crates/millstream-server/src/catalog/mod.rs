//! What PostgreSQL's clients find out about a server: `pg_catalog`, `information_schema`, and functions beside them.
//!
//! ```text
//!  relations.txt (names and types of PostgreSQL 15's catalog) ──▶ shape.rs ─┐
//!  builtin.rs    (types, functions, operators: the same everywhere) ────────┼──▶ provider.rs ──▶ the planner
//!  facts.rs      (what is here: tables, columns, roles, settings) ─ fill.rs ┘
//! ```
//! Every relation of PostgreSQL's catalog is there with its columns; those about what does not exist here are empty.

mod builtin;
mod facts;
mod fill;
mod fill_information;
mod functions;
mod operators;
mod provider;
mod shape;

use std::sync::Arc;

use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::sql::sqlparser::ast::Query;
use datafusion_pg_catalog::pg_catalog::array_bounds_udf::{create_array_lower_udf, create_array_upper_udf};
use millstream::SqlExtension;
use parking_lot::Mutex;

use crate::connection::Identity;
use crate::rewrite;
use crate::security::{ObjectKind, Privilege};
use crate::server::ServerState;
use crate::settings::Variables;
pub(crate) use facts::{DeclaredTables, Facts};

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
    fn extend(&self, state: &mut SessionState) {
        let facts = Arc::new(Facts::new(Arc::clone(&self.server), self.identity.clone(), Arc::clone(&self.variables)));
        let catalogs = provider::catalogs(Arc::clone(state.catalog_list()), state.config_options().catalog.default_catalog.clone(), &facts);
        state.register_catalog_list(catalogs);
        let options = state.config_mut().options_mut();
        options.catalog.default_catalog.clone_from(&self.identity.database);
        // What TIMESTAMPTZ without a zone means in this session.
        options.execution.time_zone = Some(self.variables.lock().zone_name());
        let functions: Vec<_> = functions::all(&facts).into_iter().map(Arc::new).collect();
        // Neither can fail: a function of the same name is replaced.
        let _ = state.register_expr_planner(Arc::new(operators::Operators::new(&functions)));
        for function in functions {
            let _ = state.register_udf(function);
        }
        for function in [create_array_upper_udf(), create_array_lower_udf()] {
            let _ = state.register_udf(Arc::new(function));
        }
        if let Some(keywords) = builtin::keywords() {
            state.register_udtf("pg_get_keywords", keywords);
        }
    }

    fn rewrite(&self, query: &mut Query) -> millstream::Result<()> {
        rewrite::rewrite(query)
    }

    fn check_file(&self, name: &str) -> millstream::Result<()> {
        let role = self.variables.lock().role(&self.identity.user);
        match self.server.config.server_files || self.server.roles.may_use_files(&role) {
            true => Ok(()),
            false => {
                let hint = "hint: start the server with --server-files, or GRANT pg_read_server_files TO a role";
                Err(millstream::Error::user("42501", format!("permission denied for the server's file '{name}' ({hint})")))
            }
        }
    }

    fn check_read(&self, relation: &str) -> millstream::Result<()> {
        let role = self.variables.lock().role(&self.identity.user);
        match self.server.roles.may(&role, Privilege::Select, ObjectKind::Relation, relation) {
            true => Ok(()),
            false => {
                let hint = format!("hint: GRANT SELECT ON {relation} TO {role}");
                Err(millstream::Error::user("42501", format!("permission denied for table {relation} ({hint})")))
            }
        }
    }
}

/// Whether a column of the catalog with this name holds arrays.
pub(crate) fn is_array_column(name: &str) -> bool {
    let is_array = |kind: &str| kind.starts_with('_') || kind == "int2vector" || kind == "oidvector";
    shape::SHAPES.values().any(|shape| shape.columns.iter().any(|(column, kind)| column == name && is_array(kind)))
}

/// Whether a relation of the catalog never has rows here: nothing of its kind exists.
pub(crate) fn is_always_empty(name: &str) -> bool {
    const NEVER: &[&str] = &[
        "pg_policy",
        "pg_trigger",
        "pg_statistic_ext",
        "pg_statistic_ext_data",
        "pg_publication",
        "pg_publication_rel",
        "pg_publication_namespace",
        "pg_inherits",
        "pg_sequence",
        "pg_foreign_table",
        "pg_foreign_server",
        "pg_event_trigger",
        "pg_subscription",
        "pg_partitioned_table",
        "pg_attrdef",
    ];
    NEVER.contains(&name)
}
