//! About the session and the server: who, where, settings, privileges, locks.

use super::{Entry, entry, number, text_at};
use crate::catalog::shape::Cell;
use crate::settings::{SERVER_VERSION, unknown};

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Entry] = &[
    entry("version", "text", |_, _| Ok(Some(Cell::Text(format!(
        "PostgreSQL {SERVER_VERSION} (Millstream {})", env!("CARGO_PKG_VERSION")))))),
    entry("current_database", "name", |facts, _| Ok(Some(facts.identity.database.clone().into()))),
    entry("current_catalog", "name", |facts, _| Ok(Some(facts.identity.database.clone().into()))),
    entry("current_schema", "name", |_, _| Ok(Some("public".into()))),
    entry("current_schemas", "_name", |_, arguments| Ok(Some(Cell::Texts(match text_at(arguments, 0) {
        Some("true") => vec!["pg_catalog".to_owned(), "public".to_owned()],
        _ => vec!["public".to_owned()],
    })))),
    entry("current_user", "name", |facts, _| Ok(Some(facts.role().into()))),
    entry("session_user", "name", |facts, _| Ok(Some(facts.identity.user.clone().into()))),
    entry("current_role", "name", |facts, _| Ok(Some(facts.role().into()))),
    entry("user", "name", |facts, _| Ok(Some(facts.role().into()))),
    entry("pg_backend_pid", "int4", |facts, _| Ok(Some(i64::from(facts.identity.process).into()))),
    entry("pg_cancel_backend", "bool", |facts, arguments| {
        Ok(number(arguments, 0).map(|process| facts.server.cancellations.cancel_process(process).into()))
    }),
    entry("current_setting", "text", |facts, arguments| {
        let Some(name) = text_at(arguments, 0) else { return Ok(None) };
        match facts.variables.lock().get(name) {
            Some(value) => Ok(Some(value.into())),
            None if text_at(arguments, 1) == Some("true") => Ok(None),
            None => Err(unknown(name)),
        }
    }),
    entry("set_config", "text", |facts, arguments| {
        let (Some(name), Some(value)) = (text_at(arguments, 0), text_at(arguments, 1)) else { return Ok(None) };
        if ["role", "transaction_isolation", "transaction_read_only"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            return Err(crate::error::WireError::new("42501", format!("{name} can be changed by SET only")));
        }
        let mut variables = facts.variables.lock();
        variables.set(name, Some(value))?;
        Ok(variables.get(name).map(Cell::Text))
    }),
    entry("pg_is_in_recovery", "bool", |_, _| Ok(Some(false.into()))),
    entry("pg_is_wal_replay_paused", "bool", |_, _| Ok(Some(false.into()))),
    entry("pg_encoding_to_char", "name", |_, arguments| Ok(number::<i64>(arguments, 0).map(|code| if code == 6 { "UTF8" } else { "" }.into()))),
    entry("pg_char_to_encoding", "int4", |_, arguments| Ok(text_at(arguments, 0).map(|name| if name.eq_ignore_ascii_case("utf8") { 6_i64 } else { -1 }.into()))),
    entry("pg_client_encoding", "name", |_, _| Ok(Some("UTF8".into()))),
    entry("getdatabaseencoding", "name", |_, _| Ok(Some("UTF8".into()))),
    entry("inet_server_addr", "text", |_, _| Ok(None)),
    entry("inet_server_port", "int4", |facts, _| Ok(facts.server.config.pg.map(|pg| i64::from(pg.port()).into()))),
    entry("inet_client_addr", "text", |_, _| Ok(None)),
    entry("pg_my_temp_schema", "oid", |_, _| Ok(Some(Cell::Oid(0)))),
    entry("pg_is_other_temp_schema", "bool", |_, _| Ok(Some(false.into()))),
    entry("pg_tablespace_size", "int8", |_, _| Ok(None)),
    entry("pg_tablespace_location", "text", |_, _| Ok(Some("".into()))),
    entry("pg_stat_get_numscans", "int8", |_, _| Ok(Some(0_i64.into()))),
    entry("txid_current", "int8", |_, _| Ok(Some(1_i64.into()))),
    entry("pg_relation_size", "int8", |_, _| Ok(None)),
    entry("pg_table_size", "int8", |_, _| Ok(None)),
    entry("pg_indexes_size", "int8", |_, _| Ok(None)),
    entry("pg_total_relation_size", "int8", |_, _| Ok(None)),
    entry("pg_database_size", "int8", |_, _| Ok(None)),
    entry("row_security_active", "bool", |_, _| Ok(Some(false.into()))),
    // Advisory locks are per session in PostgreSQL and not there here: a pool that gives them all back has given them back.
    entry("pg_advisory_unlock_all", "void", |_, _| Ok(Some("".into()))),
];
