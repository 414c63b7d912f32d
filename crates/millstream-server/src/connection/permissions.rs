//! Who may do what: looked at before a statement runs. What a query reads is looked at by the planner, through `WireSql`.

use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_sql::parse::{Drop, DropKind, Emit, PipelineAction, SinkTarget, Statement, identifier_text};

use super::Connection;
use super::execute::Answer;
use crate::error::{Result, WireError};
use crate::security::{Object, ObjectKind, Privilege, check_connector};
use crate::statement::RoleCommand;

/// What a statement does to objects, for the time when it has succeeded.
#[derive(Debug, Default)]
pub(super) struct Made {
    makes: Option<Object>,
    drops: Option<Object>,
}

/// The last part of a name.
fn bare(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(identifier_text).unwrap_or_default()
}

impl Connection {
    /// The role whose rights count: who has logged in, or what `SET ROLE` said.
    pub(super) fn role(&self) -> String {
        self.variables.lock().role(&self.identity.user)
    }

    /// True if this session may touch the server's files and other machines.
    pub(super) fn may_use_server_files(&self) -> bool {
        self.server.config.server_files || self.server.roles.may_use_files(&self.role())
    }

    pub(super) fn check_privilege(&self, privilege: Privilege, kind: ObjectKind, name: &str) -> Result<()> {
        match self.server.roles.may(&self.role(), privilege, kind, name) {
            true => Ok(()),
            false => Err(denied(kind, name).with_hint(format!("GRANT {} ON {} {name} TO {}", privilege.word(), kind.word(), self.role()))),
        }
    }

    fn check_owner(&self, kind: ObjectKind, name: &str) -> Result<()> {
        match self.server.roles.owns(&self.role(), kind, name) {
            true => Ok(()),
            false => Err(WireError::new("42501", format!("must be owner of {} {name}", kind.word()))),
        }
    }

    /// Refuses what the role may not do.
    pub(super) fn check_rights(&self, statement: &Statement) -> Result<Made> {
        check_connector(statement, self.may_use_server_files())?;
        for secret in statement.options().iter().filter(|option| option.is_secret) {
            self.check_owner(ObjectKind::Secret, &secret.value)?;
        }
        match statement {
            Statement::CreateTable(create) => {
                let rows = create.options.iter().filter(|option| matches!(option.key.as_str(), "bad_rows" | "bad-rows"));
                for table in rows.filter(|option| !matches!(option.value.as_str(), "fail" | "skip")) {
                    self.check_privilege(Privilege::Insert, ObjectKind::Relation, &table.value)?;
                }
                if let Some(like) = &create.like {
                    self.check_privilege(Privilege::Select, ObjectKind::Relation, &bare(like))?;
                }
                self.makes(ObjectKind::Relation, bare(&create.name), create.or_replace)
            }
            Statement::CreateView(create) => {
                self.check_late_rows(create.query.emit.as_ref())?;
                self.makes(ObjectKind::Relation, bare(&create.name), create.or_replace)
            }
            Statement::CreateSink(create) => {
                self.check_late_rows(create.query.emit.as_ref())?;
                if let SinkTarget::Into(table) = &create.target {
                    self.check_privilege(Privilege::Insert, ObjectKind::Relation, &bare(table))?;
                }
                self.makes(ObjectKind::Pipeline, bare(&create.name), create.or_replace)
            }
            Statement::CreateSecret(create) => self.makes(ObjectKind::Secret, bare(&create.name), create.or_replace),
            Statement::CreateModel(create) => self.makes(ObjectKind::Model, bare(&create.name), create.or_replace),
            Statement::AlterModel(alter) => self.check_owner(ObjectKind::Model, &bare(&alter.name)).map(|()| Made::default()),
            Statement::Insert(insert) => {
                self.check_late_rows(insert.query.emit.as_ref())?;
                self.check_privilege(Privilege::Insert, ObjectKind::Relation, &bare(&insert.table)).map(|()| Made::default())
            }
            Statement::Drop(drop) => self.drops(drop),
            Statement::Pipeline(command) => {
                let name = bare(&command.name);
                match command.action {
                    PipelineAction::Restore { .. } => self.check_owner(self.pipeline_kind(&name), &name)?,
                    _ if self.server.roles.owns(&self.role(), self.pipeline_kind(&name), &name) => {}
                    _ => self.check_privilege(Privilege::Maintain, ObjectKind::Pipeline, &name)?,
                }
                Ok(Made::default())
            }
            _ => Ok(Made::default()),
        }
    }

    /// A materialized view and its pipeline are one thing.
    fn pipeline_kind(&self, name: &str) -> ObjectKind {
        match self.server.engine.relation(name) {
            Some(relation) if relation.kind == millstream::RelationKind::MaterializedView => ObjectKind::Relation,
            _ => ObjectKind::Pipeline,
        }
    }

    fn check_late_rows(&self, emit: Option<&Emit>) -> Result<()> {
        match emit.and_then(|emit| emit.late_rows_into.as_ref()) {
            Some(table) => self.check_privilege(Privilege::Insert, ObjectKind::Relation, &bare(table)),
            None => Ok(()),
        }
    }

    fn makes(&self, kind: ObjectKind, name: String, or_replace: bool) -> Result<Made> {
        if !self.server.roles.may(&self.role(), Privilege::Create, ObjectKind::Schema, "public") {
            return Err(denied(ObjectKind::Schema, "public").with_hint(format!("GRANT CREATE ON SCHEMA public TO {}", self.role())));
        }
        let is_there = match kind {
            ObjectKind::Relation => self.server.engine.relation(&name).is_some(),
            ObjectKind::Pipeline => self.session.pipeline(&name).is_some_and(|pipeline| !pipeline.status().state.is_final()),
            _ => self.server.roles.owner(kind, &name).is_some(),
        };
        if is_there && or_replace {
            self.check_owner(kind, &name)?;
        }
        // What is there already stays whose it is.
        Ok(Made { makes: (!is_there).then_some((kind, name)), drops: None })
    }

    fn drops(&self, drop: &Drop) -> Result<Made> {
        let name = bare(&drop.name);
        let kind = match drop.kind {
            DropKind::Pipeline | DropKind::Sink => ObjectKind::Pipeline,
            DropKind::Model => ObjectKind::Model,
            DropKind::Secret => ObjectKind::Secret,
            _ => ObjectKind::Relation,
        };
        let is_missing = kind == ObjectKind::Relation && self.server.engine.relation(&name).is_none();
        if !is_missing {
            self.check_owner(kind, &name)?;
        }
        Ok(Made { makes: None, drops: Some((kind, name)) })
    }

    /// The statement has succeeded: what it made is the role's.
    pub(super) fn note_ownership(&self, made: Made) -> Result<()> {
        if let Some((kind, name)) = made.drops {
            self.server.roles.note_dropped(kind, &name)?;
        }
        match made.makes {
            Some((kind, name)) => self.server.roles.note_made(&self.role(), kind, &name),
            None => Ok(()),
        }
    }

    /// `SET ROLE`: to one that the user is a member of.
    pub(super) fn check_role(&self, role: &str) -> Result<()> {
        let roles = &self.server.roles;
        if role == "none" || !roles.asks_for_passwords() {
            return Ok(());
        }
        if !roles.exists(role) {
            return Err(WireError::new("22023", format!("role \"{role}\" does not exist")));
        }
        match roles.is_member(&self.identity.user, role) {
            true => Ok(()),
            false => Err(WireError::new("42501", format!("permission denied to set role \"{role}\""))),
        }
    }

    /// Statements about roles are for superusers, those about rights for owners too.
    pub(super) fn role_command(&mut self, command: &RoleCommand) -> Result<Answer> {
        let roles = &self.server.roles;
        if !roles.asks_for_passwords() {
            let message = "permission denied: roles and rights need users who give a password";
            return Err(WireError::new("42501", message).with_hint("start the server with --users FILE or MILLSTREAM_PASSWORD"));
        }
        let is_superuser = roles.is_superuser(&self.role());
        let command = match command {
            RoleCommand::Privileges { privileges, objects, roles: grantees, grants } => {
                let objects = self.named_objects(objects)?;
                objects.iter().try_for_each(|(kind, name)| self.check_owner(*kind, name))?;
                &RoleCommand::Privileges { privileges: privileges.clone(), objects, roles: grantees.clone(), grants: *grants }
            }
            RoleCommand::Owner { object, role, .. } => {
                self.check_there(object)?;
                self.check_owner(object.0, &object.1)?;
                if !roles.is_member(&self.role(), role) {
                    return Err(WireError::new("42501", format!("must be member of role \"{role}\"")));
                }
                command
            }
            RoleCommand::Alter { name, password: Some(_), login: None, superuser: None } if *name == self.identity.user => command,
            _ if !is_superuser => return Err(WireError::new("42501", "permission denied: only a superuser can manage roles")),
            command => command,
        };
        self.server.roles.run(command).map(|tag| Answer::Done(tag.to_owned()))
    }

    /// The objects of a GRANT, each of which there must be; `*` is all tables that the role owns.
    fn named_objects(&self, objects: &[Object]) -> Result<Vec<Object>> {
        let mut named = Vec::new();
        for object in objects {
            if *object == (ObjectKind::Relation, "*".to_owned()) {
                let all = self.server.engine.relations().into_iter().map(|relation| relation.name);
                named.extend(all.map(|name| (ObjectKind::Relation, name)));
            } else {
                self.check_there(object)?;
                named.push(object.clone());
            }
        }
        Ok(named)
    }

    fn check_there(&self, (kind, name): &Object) -> Result<()> {
        let is_there = match kind {
            ObjectKind::Relation => self.server.engine.relation(name).is_some(),
            ObjectKind::Pipeline => self.session.pipeline(name).is_some(),
            _ => true,
        };
        match is_there {
            true => Ok(()),
            false => Err(WireError::new("42P01", format!("{} \"{name}\" does not exist", kind.word()))),
        }
    }
}

/// As PostgreSQL says it.
pub(crate) fn denied(kind: ObjectKind, name: &str) -> WireError {
    WireError::new("42501", format!("permission denied for {} {name}", kind.word()))
}
