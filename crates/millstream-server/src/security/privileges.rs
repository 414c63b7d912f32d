//! Who may do what with which object: owners, and what they have granted.
//!
//! An owner may do everything with an object, a superuser everything with all of them. An object that no owner is known of (made by a
//! script, or before there were users) is the superusers' alone.

use std::collections::{BTreeMap, BTreeSet};

/// Stands for everyone.
pub(crate) const PUBLIC: &str = "public";

/// What can be owned and granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ObjectKind {
    /// A table, stream, view or materialized view.
    Relation,
    Pipeline,
    Schema,
    Secret,
    Model,
}

impl ObjectKind {
    const ALL: [Self; 5] = [Self::Relation, Self::Pipeline, Self::Schema, Self::Secret, Self::Model];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Relation => "table",
            Self::Pipeline => "pipeline",
            Self::Schema => "schema",
            Self::Secret => "secret",
            Self::Model => "model",
        }
    }

    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A right. Those that nothing here asks for are kept, since clients grant and look for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Privilege {
    Insert,
    Select,
    Update,
    Delete,
    Truncate,
    References,
    Trigger,
    /// To make tables, views and pipelines in the schema.
    Create,
    Usage,
    /// To pause a pipeline, let it go on, and take its checkpoints.
    Maintain,
}

impl Privilege {
    pub(crate) const OF_TABLES: [Self; 7] =
        [Self::Insert, Self::Select, Self::Update, Self::Delete, Self::Truncate, Self::References, Self::Trigger];
    const ALL: [Self; 10] = [
        Self::Insert,
        Self::Select,
        Self::Update,
        Self::Delete,
        Self::Truncate,
        Self::References,
        Self::Trigger,
        Self::Create,
        Self::Usage,
        Self::Maintain,
    ];

    /// Those that an object of a kind has.
    pub(crate) fn of(kind: ObjectKind) -> &'static [Self] {
        match kind {
            ObjectKind::Relation => &Self::OF_TABLES,
            ObjectKind::Pipeline => &[Self::Maintain],
            ObjectKind::Schema => &[Self::Create, Self::Usage],
            ObjectKind::Secret | ObjectKind::Model => &[],
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Select => "SELECT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
            Self::References => "REFERENCES",
            Self::Trigger => "TRIGGER",
            Self::Create => "CREATE",
            Self::Usage => "USAGE",
            Self::Maintain => "MAINTAIN",
        }
    }

    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|privilege| privilege.word().eq_ignore_ascii_case(word))
    }

    /// As access lists write it.
    fn letter(self) -> char {
        match self {
            Self::Insert => 'a',
            Self::Select => 'r',
            Self::Update => 'w',
            Self::Delete => 'd',
            Self::Truncate => 'D',
            Self::References => 'x',
            Self::Trigger => 't',
            Self::Create => 'C',
            Self::Usage => 'U',
            Self::Maintain => 'm',
        }
    }
}

/// An object: its kind and name.
pub(crate) type Object = (ObjectKind, String);

/// Owners and grants by object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Privileges {
    owners: BTreeMap<Object, String>,
    grants: BTreeMap<Object, BTreeMap<String, BTreeSet<Privilege>>>,
}

impl Privileges {
    pub(crate) fn owner(&self, object: &Object) -> Option<&str> {
        self.owners.get(object).map(String::as_str)
    }

    pub(crate) fn set_owner(&mut self, object: Object, role: &str) {
        self.owners.insert(object, role.to_owned());
    }

    /// True if one of `roles` was granted it, or everyone.
    pub(crate) fn is_granted(&self, roles: &BTreeSet<String>, privilege: Privilege, object: &Object) -> bool {
        let Some(grants) = self.grants.get(object) else { return false };
        let has = |role: &str| grants.get(role).is_some_and(|granted| granted.contains(&privilege));
        has(PUBLIC) || roles.iter().any(|role| has(role))
    }

    pub(crate) fn grant(&mut self, object: Object, role: &str, privileges: &[Privilege]) {
        self.grants.entry(object).or_default().entry(role.to_owned()).or_default().extend(privileges);
    }

    pub(crate) fn revoke(&mut self, object: &Object, role: &str, privileges: &[Privilege]) {
        let Some(grants) = self.grants.get_mut(object) else { return };
        if let Some(granted) = grants.get_mut(role) {
            granted.retain(|privilege| !privileges.contains(privilege));
        }
        grants.retain(|_, granted| !granted.is_empty());
        if grants.is_empty() {
            self.grants.remove(object);
        }
    }

    /// The object is gone, or is another one from now on; true if anything was known of it.
    pub(crate) fn forget(&mut self, object: &Object) -> bool {
        self.owners.remove(object).is_some() | self.grants.remove(object).is_some()
    }

    /// The role is gone.
    pub(crate) fn forget_role(&mut self, role: &str) {
        for grants in self.grants.values_mut() {
            grants.remove(role);
        }
        self.grants.retain(|_, grants| !grants.is_empty());
    }

    /// What a role owns.
    pub(crate) fn owned_by(&self, role: &str) -> Vec<Object> {
        self.owners.iter().filter(|(_, owner)| *owner == role).map(|(object, _)| object.clone()).collect()
    }

    /// Who was granted what on an object.
    pub(crate) fn granted(&self, object: &Object) -> Vec<(String, Vec<Privilege>)> {
        let grants = self.grants.get(object).into_iter().flatten();
        grants.map(|(role, granted)| (role.clone(), granted.iter().copied().collect())).collect()
    }

    /// The access list, as `pg_class.relacl` shows it; empty if nothing was granted.
    pub(crate) fn access_list(&self, object: &Object, owner: &str) -> Vec<String> {
        let granted = self.granted(object);
        if granted.is_empty() {
            return Vec::new();
        }
        let item = |role: &str, privileges: &[Privilege]| {
            let letters: String = privileges.iter().map(|privilege| privilege.letter()).collect();
            format!("{}={letters}/{owner}", if role == PUBLIC { "" } else { role })
        };
        let own = item(owner, Privilege::of(object.0));
        std::iter::once(own).chain(granted.iter().map(|(role, privileges)| item(role, privileges))).collect()
    }

    /// As lines of the roles' file.
    pub(super) fn to_lines(&self) -> Vec<String> {
        let owners = self.owners.iter().map(|((kind, name), role)| format!("@own\t{}\t{}\t{role}", kind.word(), escaped(name)));
        let grants = self.grants.iter().flat_map(|((kind, name), grants)| {
            grants.iter().map(move |(role, granted)| {
                let words: Vec<&str> = granted.iter().map(|privilege| privilege.word()).collect();
                format!("@grant\t{}\t{}\t{role}\t{}", kind.word(), escaped(name), words.join(","))
            })
        });
        owners.chain(grants).collect()
    }

    /// Reads one of them; `None`: it is none.
    pub(super) fn read_line(&mut self, line: &str) -> Option<()> {
        let parts: Vec<&str> = line.split('\t').collect();
        match parts.as_slice() {
            ["@own", kind, name, role] => self.set_owner((ObjectKind::named(kind)?, unescaped(name)), role),
            ["@grant", kind, name, role, words] => {
                let privileges = words.split(',').map(Privilege::named).collect::<Option<Vec<_>>>()?;
                self.grant((ObjectKind::named(kind)?, unescaped(name)), role, &privileges);
            }
            _ => return None,
        }
        Some(())
    }
}

fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescaped(text: &str) -> String {
    let (mut name, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        name.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                other => other.unwrap_or('\\'),
            },
            c => c,
        });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_bring_everything_back() {
        let mut privileges = Privileges::default();
        let odd = (ObjectKind::Relation, "a\tb\\n\n".to_owned());
        privileges.set_owner(odd.clone(), "me");
        privileges.grant(odd.clone(), "bi", &[Privilege::Select, Privilege::Insert]);
        privileges.grant((ObjectKind::Pipeline, "p".to_owned()), PUBLIC, &[Privilege::Maintain]);
        let mut again = Privileges::default();
        for line in privileges.to_lines() {
            assert!(!line.contains('\n'));
            again.read_line(&line).unwrap();
        }
        assert_eq!(again, privileges);
        assert_eq!(again.access_list(&odd, "me"), ["me=arwdDxt/me", "bi=ar/me"]);
        assert!(again.forget(&odd) && !again.forget(&odd));
        assert_eq!(again.read_line("@own\tnothing\tx\ty"), None);
    }
}
