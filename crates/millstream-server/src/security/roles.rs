//! Users and roles: who may log in, by which verifier, who is member of what, and what each may do.
//!
//! Without a user in the server's configuration or in the roles' file everyone may come in, as whom they say they are, and may do
//! everything but reach files and manage roles: that is for loopback only. Roles that SQL makes are kept in a file of verifiers, if the
//! server has one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use parking_lot::RwLock;

use super::privileges::{Object, ObjectKind, PUBLIC, Privilege, Privileges};
use super::roles_file;
use super::scram::{Verifier, random_secret};
use crate::config::ServerConfig;
use crate::error::{Result, WireError};
use crate::statement::RoleCommand;

/// Roles that grant the use of files and other machines.
const FILE_ROLES: [&str; 3] = ["pg_read_server_files", "pg_write_server_files", "pg_execute_server_program"];

/// Roles that there are without anyone making them, with PostgreSQL's numbers.
pub(crate) const BUILT_IN: [(&str, u32); 5] = [
    ("pg_execute_server_program", 4571),
    ("pg_read_all_data", 6181),
    ("pg_read_server_files", 4569),
    ("pg_write_all_data", 6182),
    ("pg_write_server_files", 4570),
];

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

/// What changes.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) privileges: Privileges,
}

/// Everyone who is known.
#[derive(Debug)]
pub(crate) struct Roles {
    state: RwLock<State>,
    file: Option<PathBuf>,
    asks: bool,
    /// Who objects without an owner are shown to be of.
    first: Option<String>,
    secret: Vec<u8>,
}

impl Roles {
    pub(crate) fn new(config: &ServerConfig) -> Result<Self> {
        let mut state = match &config.roles_file {
            Some(path) if path.exists() => roles_file::read(path)?,
            _ => State::default(),
        };
        for (name, secret) in &config.users {
            let verifier = match Verifier::parse(secret) {
                Some(verifier) => verifier,
                None => Verifier::of_password(secret)?,
            };
            let before = state.roles.remove(name).unwrap_or_default();
            state.roles.insert(name.clone(), Role { verifier: Some(verifier), can_login: true, is_superuser: true, ..before });
        }
        // Users of a data folder keep it closed, also when the server is started without naming any.
        let asks = state.roles.values().any(|role| role.can_login && role.verifier.is_some());
        let superuser = || state.roles.iter().find(|(_, role)| role.is_superuser).map(|(name, _)| name.clone());
        let first = config.users.first().map(|(name, _)| name.clone()).or_else(superuser);
        Ok(Self { state: RwLock::new(state), file: config.roles_file.clone(), asks, first, secret: random_secret()? })
    }

    /// False: everyone is who they say they are.
    pub(crate) fn asks_for_passwords(&self) -> bool {
        self.asks
    }

    /// The superuser that comes first.
    pub(crate) fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// What a user's password is checked by; for an unknown one something that looks the same.
    pub(crate) fn verifier(&self, user: &str) -> Verifier {
        let known = self.state.read().roles.get(user).and_then(|role| role.verifier.clone());
        known.unwrap_or_else(|| Verifier::made_up(user, &self.secret))
    }

    pub(crate) fn can_login(&self, user: &str) -> bool {
        self.state.read().roles.get(user).is_some_and(|role| role.can_login && role.verifier.is_some())
    }

    pub(crate) fn exists(&self, role: &str) -> bool {
        is_built_in(role) || self.state.read().roles.contains_key(role)
    }

    /// Whether this is a user's password; for unknown users that takes as long.
    pub(crate) fn is_password(&self, user: &str, password: &str) -> bool {
        let fits = password.len() <= PASSWORD_BYTES_MAX && self.verifier(user).fits(password);
        self.can_login(user) && fits
    }

    /// Where nobody gives a password, everybody may do everything but reach files.
    pub(crate) fn is_superuser(&self, user: &str) -> bool {
        !self.asks || self.state.read().is_superuser(user)
    }

    pub(crate) fn may_use_files(&self, user: &str) -> bool {
        let state = self.state.read();
        self.asks && (state.is_superuser(user) || FILE_ROLES.iter().any(|right| state.all_roles_of(user).contains(*right)))
    }

    /// True if `user` is `role`, or a member of it; a superuser is of all.
    pub(crate) fn is_member(&self, user: &str, role: &str) -> bool {
        self.is_superuser(user) || self.state.read().all_roles_of(user).contains(role)
    }

    pub(crate) fn may(&self, user: &str, privilege: Privilege, kind: ObjectKind, name: &str) -> bool {
        let object = (kind, name.to_owned());
        if self.owns_object(user, &object) {
            return true;
        }
        let state = self.state.read();
        let roles = state.all_roles_of(user);
        let by_role = kind == ObjectKind::Relation
            && match privilege {
                Privilege::Select => roles.contains("pg_read_all_data"),
                Privilege::Insert | Privilege::Update | Privilege::Delete => roles.contains("pg_write_all_data"),
                _ => false,
            };
        by_role || state.privileges.is_granted(&roles, privilege, &object)
    }

    /// True if the user may do with the object what only its owner may.
    pub(crate) fn owns(&self, user: &str, kind: ObjectKind, name: &str) -> bool {
        self.owns_object(user, &(kind, name.to_owned()))
    }

    fn owns_object(&self, user: &str, object: &Object) -> bool {
        let state = self.state.read();
        !self.asks
            || state.is_superuser(user)
            || state.privileges.owner(object).is_some_and(|owner| state.all_roles_of(user).contains(owner))
    }

    /// Names with what is known, for the catalog.
    pub(crate) fn all(&self) -> Vec<(String, Role)> {
        self.state.read().roles.iter().map(|(name, role)| (name.clone(), role.clone())).collect()
    }

    pub(crate) fn owner(&self, kind: ObjectKind, name: &str) -> Option<String> {
        self.state.read().privileges.owner(&(kind, name.to_owned())).map(str::to_owned)
    }

    pub(crate) fn granted(&self, kind: ObjectKind, name: &str) -> Vec<(String, Vec<Privilege>)> {
        self.state.read().privileges.granted(&(kind, name.to_owned()))
    }

    pub(crate) fn access_list(&self, kind: ObjectKind, name: &str, owner: &str) -> Vec<String> {
        self.state.read().privileges.access_list(&(kind, name.to_owned()), owner)
    }

    /// A role has made an object. What was granted on an earlier one of its name is not for it.
    pub(crate) fn note_made(&self, user: &str, kind: ObjectKind, name: &str) -> Result<()> {
        let object = (kind, name.to_owned());
        self.change(|state| {
            let was_known = state.privileges.forget(&object);
            if self.asks {
                state.privileges.set_owner(object.clone(), user);
            }
            Ok(was_known || self.asks)
        })
    }

    /// An object is gone.
    pub(crate) fn note_dropped(&self, kind: ObjectKind, name: &str) -> Result<()> {
        self.change(|state| Ok(state.privileges.forget(&(kind, name.to_owned()))))
    }

    /// Runs a statement about roles or rights for a user who may do that; its tag.
    pub(crate) fn run(&self, command: &RoleCommand) -> Result<&'static str> {
        let mut tag = "";
        self.change(|state| {
            tag = apply(state, command)?;
            Ok(true)
        })?;
        Ok(tag)
    }

    /// Changes what is known, in the file first.
    fn change(&self, change: impl FnOnce(&mut State) -> Result<bool>) -> Result<()> {
        let mut state = self.state.write();
        let mut changed = state.clone();
        if change(&mut changed)? {
            if let Some(path) = &self.file {
                roles_file::save(path, &changed)?;
            }
            *state = changed;
        }
        Ok(())
    }
}

fn is_built_in(role: &str) -> bool {
    BUILT_IN.iter().any(|(name, _)| *name == role)
}

impl State {
    fn is_superuser(&self, user: &str) -> bool {
        self.roles.get(user).is_some_and(|role| role.is_superuser)
    }

    /// The user, and what it is a member of, directly or not.
    fn all_roles_of(&self, user: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut next = vec![user.to_owned()];
        while let Some(role) = next.pop() {
            next.extend(self.roles.get(&role).into_iter().flat_map(|role| role.member_of.iter().cloned()));
            if !all.insert(role) {
                // It was met before; so were those it is a member of.
                next.retain(|role| !all.contains(role));
            }
        }
        all
    }

    fn role(&mut self, name: &str) -> Result<&mut Role> {
        self.roles.get_mut(name).ok_or_else(|| missing(name))
    }

    fn check_exists(&self, name: &str) -> Result<()> {
        if self.roles.contains_key(name) || is_built_in(name) { Ok(()) } else { Err(missing(name)) }
    }
}

fn missing(name: &str) -> WireError {
    WireError::new("42704", format!("role \"{name}\" does not exist"))
}

fn apply(state: &mut State, command: &RoleCommand) -> Result<&'static str> {
    match command {
        RoleCommand::Create { name, password, login, superuser, member_of } => {
            if state.check_exists(name).is_ok() || [PUBLIC, "none"].contains(&name.as_str()) || name.starts_with("pg_") {
                return Err(WireError::new("42710", format!("role \"{name}\" already exists")));
            }
            member_of.iter().try_for_each(|role| state.check_exists(role))?;
            let verifier = password.as_deref().map(verifier_of).transpose()?;
            let member_of = member_of.iter().cloned().collect();
            state.roles.insert(name.clone(), Role { verifier, can_login: *login, is_superuser: *superuser, member_of });
            Ok("CREATE ROLE")
        }
        RoleCommand::Alter { name, password, login, superuser } => {
            let verifier = password.as_deref().map(verifier_of).transpose()?;
            let role = state.role(name)?;
            role.verifier = verifier.or(role.verifier.take());
            role.can_login = login.unwrap_or(role.can_login);
            role.is_superuser = superuser.unwrap_or(role.is_superuser);
            Ok("ALTER ROLE")
        }
        RoleCommand::Drop { names, if_exists } => {
            for name in names {
                drop_role(state, name, *if_exists)?;
            }
            Ok("DROP ROLE")
        }
        RoleCommand::Members { roles, members, grants } => {
            for (role, member) in roles.iter().flat_map(|role| members.iter().map(move |member| (role, member))) {
                change_member(state, role, member, *grants)?;
            }
            Ok(if *grants { "GRANT ROLE" } else { "REVOKE ROLE" })
        }
        RoleCommand::Privileges { privileges, objects, roles, grants } => {
            for role in roles.iter().filter(|role| *role != PUBLIC) {
                state.check_exists(role)?;
            }
            for (object, role) in objects.iter().flat_map(|object| roles.iter().map(move |role| (object, role))) {
                let some = privileges.as_deref().unwrap_or(Privilege::of(object.0));
                match grants {
                    true => state.privileges.grant(object.clone(), role, some),
                    false => state.privileges.revoke(object, role, some),
                }
            }
            Ok(if *grants { "GRANT" } else { "REVOKE" })
        }
        RoleCommand::Owner { object, role, tag } => {
            state.check_exists(role)?;
            state.privileges.set_owner(object.clone(), role);
            Ok(tag)
        }
        RoleCommand::Reassign { from, to } => {
            state.check_exists(to)?;
            for object in from.iter().flat_map(|role| state.privileges.owned_by(role)).collect::<Vec<_>>() {
                state.privileges.set_owner(object, to);
            }
            Ok("REASSIGN OWNED")
        }
    }
}

fn drop_role(state: &mut State, name: &str, if_exists: bool) -> Result<()> {
    if let Some((kind, object)) = state.privileges.owned_by(name).first() {
        return Err(WireError::new("2BP01", format!("role \"{name}\" cannot be dropped because some objects depend on it"))
            .with_detail(format!("owner of {} {object}", kind.word()))
            .with_hint(format!("REASSIGN OWNED BY {name} TO another role")));
    }
    if state.roles.remove(name).is_none() && !if_exists {
        return Err(missing(name));
    }
    state.privileges.forget_role(name);
    for role in state.roles.values_mut() {
        role.member_of.remove(name);
    }
    Ok(())
}

fn change_member(state: &mut State, role: &str, member: &str, grants: bool) -> Result<()> {
    state.check_exists(role)?;
    if grants && state.all_roles_of(role).contains(member) {
        return Err(WireError::new("0LP01", format!("role \"{role}\" is a member of role \"{member}\"")));
    }
    let members = &mut state.role(member)?.member_of;
    match grants {
        true => members.insert(role.to_owned()),
        false => members.remove(role),
    };
    Ok(())
}

fn verifier_of(password: &str) -> Result<Verifier> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(WireError::new("22023", format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes")));
    }
    Verifier::parse(password).map_or_else(|| Verifier::of_password(password), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(role: &str, member: &str) -> RoleCommand {
        RoleCommand::Members { roles: vec![role.to_owned()], members: vec![member.to_owned()], grants: true }
    }

    #[test]
    fn rights_come_by_membership_and_go_with_the_object() {
        let config = ServerConfig { users: vec![("root".to_owned(), "x".to_owned())], ..ServerConfig::default() };
        let roles = Roles::new(&config).unwrap();
        let create =
            |name: &str| RoleCommand::Create { name: name.to_owned(), password: None, login: false, superuser: false, member_of: vec![] };
        for name in ["a", "b", "c"] {
            roles.run(&create(name)).unwrap();
        }
        roles.run(&member("a", "b")).unwrap();
        roles.run(&member("b", "c")).unwrap();
        assert_eq!(roles.run(&member("c", "a")).unwrap_err().sqlstate, "0LP01");
        roles.note_made("a", ObjectKind::Relation, "t").unwrap();
        assert!(roles.owns("c", ObjectKind::Relation, "t") && !roles.owns("nobody", ObjectKind::Relation, "t"));
        assert_eq!(roles.run(&RoleCommand::Drop { names: vec!["a".to_owned()], if_exists: false }).unwrap_err().sqlstate, "2BP01");
        roles.note_dropped(ObjectKind::Relation, "t").unwrap();
        assert!(
            !roles.may("c", Privilege::Select, ObjectKind::Relation, "t")
                && roles.may("root", Privilege::Select, ObjectKind::Relation, "t")
        );
    }
}
