//! The file of roles and rights: a line each, verifiers only, never a password.

use std::path::Path;

use super::privileges::Privileges;
use super::roles::{Role, State};
use super::scram::Verifier;
use crate::error::{Result, WireError};

/// Reads it.
///
/// # Errors
/// A line that says nothing: rights must not be lost in silence.
pub(super) fn read(path: &Path) -> Result<State> {
    let unreadable = |why: String| WireError::new("58030", format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    let mut state = State { roles: std::collections::BTreeMap::new(), privileges: Privileges::default() };
    for (line, n) in text.lines().zip(1..) {
        let known = match line {
            line if line.trim().is_empty() || line.starts_with('#') => Some(()),
            line if line.starts_with('@') => state.privileges.read_line(line),
            line => read_role(line).map(|(name, role)| drop(state.roles.insert(name, role))),
        };
        known.ok_or_else(|| unreadable(format!("line {n} cannot be read")))?;
    }
    Ok(state)
}

/// `name verifier login superuser group,group`, by tabs.
fn read_role(line: &str) -> Option<(String, Role)> {
    let mut parts = line.split('\t');
    let name = parts.next()?.to_owned();
    let verifier = match parts.next()? {
        "-" => None,
        text => Some(Verifier::parse(text)?),
    };
    let (can_login, is_superuser) = (parts.next()? == "login", parts.next()? == "superuser");
    let member_of = parts.next().unwrap_or_default().split(',').filter(|group| !group.is_empty()).map(str::to_owned).collect();
    Some((name, Role { verifier, can_login, is_superuser, member_of }))
}

/// Writes it beside and renames it, so that a crash leaves one or the other.
pub(super) fn save(path: &Path, state: &State) -> Result<()> {
    let mut text =
        String::from("# Roles of millstream: name, verifier, login, superuser, member of; @own and @grant: kind, name, role, rights\n");
    for (name, role) in &state.roles {
        if name.is_empty() || name.contains(['\t', '\n', '\r', ',']) || name.starts_with(['#', '@']) {
            return Err(WireError::new("42602", format!("\"{name}\" cannot be the name of a role")));
        }
        let verifier = role.verifier.as_ref().map_or_else(|| "-".to_owned(), Verifier::to_text);
        let groups = role.member_of.iter().cloned().collect::<Vec<_>>().join(",");
        let (login, superuser) = (if role.can_login { "login" } else { "-" }, if role.is_superuser { "superuser" } else { "-" });
        text.push_str(&format!("{name}\t{verifier}\t{login}\t{superuser}\t{groups}\n"));
    }
    for line in state.privileges.to_lines() {
        text.push_str(&line);
        text.push('\n');
    }
    let beside = path.with_extension("new");
    let written = write_private(&beside, &text).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| WireError::new("58030", format!("roles cannot be written to {}: {error}", path.display())))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
