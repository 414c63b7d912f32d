//! Who may come in, and what they may touch.

mod privileges;
mod roles;
mod roles_file;
pub(crate) mod scram;
pub(crate) mod tls;

use std::net::SocketAddr;

use millstream_sql::parse::Statement;

use crate::config::ServerConfig;
use crate::error::{Result, WireError};
pub(crate) use privileges::{Object, ObjectKind, PUBLIC, Privilege};
pub(crate) use roles::{BUILT_IN, Roles};

/// Connectors that touch neither files nor the network.
const HARMLESS_CONNECTORS: &[&str] = &["nexmark", "datagen", "random", "blackhole", "stdout", "print"];

const GRANT_HINT: &str = "start the server with --server-files, or GRANT pg_read_server_files TO a role";

/// Refuses a statement whose connector reaches files of the server or other machines, unless that is granted.
pub(crate) fn check_connector(statement: &Statement, is_granted: bool) -> Result<()> {
    if !is_granted && let Some(file) = model_file(statement) {
        return Err(WireError::new("42501", format!("permission denied for '{file}': it is a file of the server or of another machine"))
            .with_hint("start the server with --server-files, or GRANT pg_read_server_files TO a role"));
    }
    let options = match statement {
        Statement::CreateModel(_) | Statement::CreateView(_) => &[],
        _ => statement.options(),
    };
    let connector = options.iter().find(|option| option.key == "connector");
    let is_harmless = connector.is_none_or(|option| HARMLESS_CONNECTORS.contains(&option.value.to_lowercase().as_str()));
    if is_granted || options.is_empty() || (connector.is_some() && is_harmless) {
        return Ok(());
    }
    let name = connector.map_or("", |option| option.value.as_str());
    Err(WireError::new("42501", format!("permission denied for connector '{name}': it reaches files of the server or other machines"))
        .with_hint(GRANT_HINT))
}

/// The file that a statement about a model reads or writes.
fn model_file(statement: &Statement) -> Option<&str> {
    match statement {
        Statement::ExportModel(export) => Some(&export.path),
        Statement::CreateModel(create) => {
            let file = |option: &&millstream_sql::parse::WithOption| {
                ["path", "warm_start", "tokenizer"].iter().any(|key| key.eq_ignore_ascii_case(option.key.trim()))
            };
            create.options.iter().find(file).map(|option| option.value.as_str())
        }
        _ => None,
    }
}

/// Refuses an address that others can reach, if everybody there could come in unseen.
///
/// # Errors
/// A public address without passwords and TLS.
pub(crate) fn check_address(address: SocketAddr, config: &ServerConfig, asks_for_passwords: bool, what: &str) -> Result<()> {
    let is_safe = asks_for_passwords && config.tls_cert.is_some();
    if address.ip().is_loopback() || is_safe || config.allow_insecure {
        return Ok(());
    }
    Err(WireError::new("42501", format!("{what} {address} can be reached from other machines, and nothing protects it")).with_hint(
        "listen on 127.0.0.1; or give --users with --tls-cert and --tls-key; or say --allow-insecure, if something else protects it",
    ))
}
