//! Users and roles: who may log in, by which verifier, and who may touch the server's files.
//!
//! Without a user in the server's configuration everyone may come in, as whom they say they are: that is for loopback only. Roles that
//! SQL makes are kept in a file of verifiers, if the server has one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use parking_lot::RwLock;

use super::scram::{Verifier, random_secret};
use crate::config::ServerConfig;
use crate::error::{Result, WireError};
use crate::statement::RoleCommand;

/// Roles that grant the use of files and other machines.
const FILE_ROLES: [&str; 3] = ["pg_read_server_files", "pg_write_server_files", "pg_execute_server_program"];

/// Longest password.
const PASSWORD_BYTES_MAX: usize = 1024;

/// A user, or a name for a right.
#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    pub(crate) verifier: Option<Verifier>,
    pub(crate) can_login: bool,
    pub(crate) is_superuser: bool,
    pub(crate) member_of: BTreeSet<String>,
}

/// Everyone who is known.
#[derive(Debug)]
pub(crate) struct Roles {
    roles: RwLock<BTreeMap<String, Role>>,
    file: Option<PathBuf>,
    asks: bool,
    secret: Vec<u8>,
}

impl Roles {
    pub(crate) fn new(config: &ServerConfig) -> Result<Self> {
        let mut roles = BTreeMap::new();
        if let Some(path) = &config.roles_file
            && path.exists()
        {
            let text = std::fs::read_to_string(path)
                .map_err(|error| WireError::new("58030", format!("cannot read {}: {error}", path.display())))?;
            for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
                let (name, role) =
                    read_line(line).ok_or_else(|| WireError::new("58030", format!("{}: a line cannot be read", path.display())))?;
                roles.insert(name, role);
            }
        }
        for (name, secret) in &config.users {
            let verifier = match Verifier::parse(secret) {
                Some(verifier) => verifier,
                None => Verifier::of_password(secret)?,
            };
            let before = roles.remove(name).unwrap_or_default();
            let role = Role { verifier: Some(verifier), can_login: true, is_superuser: true, ..before };
            roles.insert(name.clone(), role);
        }
        Ok(Self { roles: RwLock::new(roles), file: config.roles_file.clone(), asks: !config.users.is_empty(), secret: random_secret()? })
    }

    /// False: everyone is who they say they are.
    pub(crate) fn asks_for_passwords(&self) -> bool {
        self.asks
    }

    /// What a user's password is checked by; for an unknown one something that looks the same.
    pub(crate) fn verifier(&self, user: &str) -> Verifier {
        let known = self.roles.read().get(user).and_then(|role| role.verifier.clone());
        known.unwrap_or_else(|| Verifier::made_up(user, &self.secret))
    }

    pub(crate) fn can_login(&self, user: &str) -> bool {
        self.roles.read().get(user).is_some_and(|role| role.can_login && role.verifier.is_some())
    }

    /// Whether this is a user's password; for unknown users that takes as long.
    pub(crate) fn is_password(&self, user: &str, password: &str) -> bool {
        let fits = password.len() <= PASSWORD_BYTES_MAX && self.verifier(user).fits(password);
        self.can_login(user) && fits
    }

    /// Where nobody gives a password, everybody may do everything but reach files.
    pub(crate) fn is_superuser(&self, user: &str) -> bool {
        !self.asks || self.roles.read().get(user).is_some_and(|role| role.is_superuser)
    }

    pub(crate) fn may_use_files(&self, user: &str) -> bool {
        let roles = self.roles.read();
        let Some(role) = roles.get(user) else { return false };
        (self.asks && role.is_superuser) || FILE_ROLES.iter().any(|right| is_member(&roles, user, right, 0))
    }

    /// Names with what is known, for the catalog.
    pub(crate) fn all(&self) -> Vec<(String, Role)> {
        self.roles.read().iter().map(|(name, role)| (name.clone(), role.clone())).collect()
    }

    /// Runs a statement about roles; its tag.
    pub(crate) fn run(&self, command: &RoleCommand) -> Result<&'static str> {
        let mut roles = self.roles.write();
        let mut changed = roles.clone();
        let tag = apply(&mut changed, command)?;
        if let Some(path) = &self.file {
            save(path, &changed)?;
        }
        *roles = changed;
        Ok(tag)
    }
}

/// Roles within roles are followed so far.
const MEMBER_DEPTH_MAX: usize = 32;

fn is_member(roles: &BTreeMap<String, Role>, user: &str, right: &str, depth: usize) -> bool {
    depth < MEMBER_DEPTH_MAX
        && roles.get(user).is_some_and(|role| {
            role.member_of.contains(right) || role.member_of.iter().any(|group| is_member(roles, group, right, depth + 1))
        })
}

fn apply(roles: &mut BTreeMap<String, Role>, command: &RoleCommand) -> Result<&'static str> {
    let missing = |name: &str| WireError::new("42704", format!("role \"{name}\" does not exist"));
    match command {
        RoleCommand::Create { name, password, login, superuser } => {
            if roles.contains_key(name) || FILE_ROLES.contains(&name.as_str()) {
                return Err(WireError::new("42710", format!("role \"{name}\" already exists")));
            }
            let verifier = password.as_deref().map(verifier_of).transpose()?;
            roles.insert(name.clone(), Role { verifier, can_login: *login, is_superuser: *superuser, member_of: BTreeSet::new() });
            Ok("CREATE ROLE")
        }
        RoleCommand::Alter { name, password, login, superuser } => {
            let role = roles.get_mut(name).ok_or_else(|| missing(name))?;
            if let Some(password) = password {
                role.verifier = Some(verifier_of(password)?);
            }
            role.can_login = login.unwrap_or(role.can_login);
            role.is_superuser = superuser.unwrap_or(role.is_superuser);
            Ok("ALTER ROLE")
        }
        RoleCommand::Drop { name, if_exists } => match roles.remove(name) {
            None if !if_exists => Err(missing(name)),
            _ => Ok("DROP ROLE"),
        },
        RoleCommand::Grant { role, member } => {
            if !roles.contains_key(role) && !FILE_ROLES.contains(&role.as_str()) {
                return Err(missing(role));
            }
            roles.get_mut(member).ok_or_else(|| missing(member))?.member_of.insert(role.clone());
            Ok("GRANT ROLE")
        }
        RoleCommand::Revoke { role, member } => {
            roles.get_mut(member).ok_or_else(|| missing(member))?.member_of.remove(role);
            Ok("REVOKE ROLE")
        }
    }
}

fn verifier_of(password: &str) -> Result<Verifier> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(WireError::new("22023", format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes")));
    }
    Verifier::parse(password).map_or_else(|| Verifier::of_password(password), Ok)
}

/// `name verifier login superuser group,group`, by tabs; verifiers only, never a password.
fn read_line(line: &str) -> Option<(String, Role)> {
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

/// Written beside and renamed, so that a crash leaves one or the other.
fn save(path: &std::path::Path, roles: &BTreeMap<String, Role>) -> Result<()> {
    let mut text = String::from("# Roles of millstream: name, verifier, login, superuser, member of\n");
    for (name, role) in roles {
        if name.contains(['\t', '\n', '\r']) || name.starts_with('#') {
            return Err(WireError::new("42602", format!("\"{name}\" cannot be the name of a role")));
        }
        let verifier = role.verifier.as_ref().map_or_else(|| "-".to_owned(), Verifier::to_text);
        let groups = role.member_of.iter().cloned().collect::<Vec<_>>().join(",");
        let (login, superuser) = (if role.can_login { "login" } else { "-" }, if role.is_superuser { "superuser" } else { "-" });
        text.push_str(&format!("{name}\t{verifier}\t{login}\t{superuser}\t{groups}\n"));
    }
    let beside = path.with_extension("new");
    let written = write_private(&beside, &text).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| WireError::new("58030", format!("roles cannot be written to {}: {error}", path.display())))
}

fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
