//! `CREATE`, `ALTER`, `DROP ROLE`, `GRANT`, `REVOKE`, `ALTER … OWNER TO`, `REASSIGN OWNED`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::words::Words;
use super::{Command, RoleCommand};
use crate::error::{Result, WireError};
use crate::security::{ObjectKind, Privilege};

/// A statement about roles and rights; `None`: it is none.
pub(super) fn role(words: &mut Words<'_>) -> Result<Option<Command>> {
    let is = |words: &mut Words<'_>, verb: &str| words.take(&[verb, "ROLE"]) || words.take(&[verb, "USER"]) || words.take(&[verb, "GROUP"]);
    let creates_user = words.are(&["CREATE", "USER"]);
    let command = if is(words, "DROP") {
        let if_exists = words.take(&["IF", "EXISTS"]);
        RoleCommand::Drop { names: names(words)?, if_exists }
    } else if is(words, "CREATE") {
        let name = words.name()?;
        let Options { password, login, superuser, member_of } = options(words)?;
        let login = login.unwrap_or(creates_user);
        RoleCommand::Create { name, password, login, superuser: superuser.unwrap_or(false), member_of }
    } else if is(words, "ALTER") {
        let name = words.name()?;
        if words.are(&["SET"]) || words.are(&["RESET"]) || words.are(&["RENAME"]) {
            return Err(WireError::unsupported("ALTER ROLE changes LOGIN, SUPERUSER and PASSWORD only").with_hint("SET in the session"));
        }
        let Options { password, login, superuser, .. } = options(words)?;
        RoleCommand::Alter { name, password, login, superuser }
    } else if words.take(&["REASSIGN", "OWNED", "BY"]) {
        let from = names(words)?;
        expect(words, "TO")?;
        RoleCommand::Reassign { from, to: words.name()? }
    } else if words.are(&["GRANT"]) || words.are(&["REVOKE"]) {
        return grant(words).map(Some);
    } else {
        return owner(words);
    };
    Ok(Some(Command::Role(command)))
}

fn expect(words: &mut Words<'_>, word: &str) -> Result<()> {
    if words.take(&[word]) { Ok(()) } else { Err(words.expected(word)) }
}

fn names(words: &mut Words<'_>) -> Result<Vec<String>> {
    let mut names = vec![words.name()?];
    while words.sign(&Token::Comma) {
        names.push(words.name()?);
    }
    Ok(names)
}

/// `GRANT SELECT, INSERT ON t TO role`, `GRANT role TO role`, and REVOKE.
fn grant(words: &mut Words<'_>) -> Result<Command> {
    let grants = words.take(&["GRANT"]);
    if !grants {
        words.take(&["REVOKE"]);
        if words.take(&["GRANT", "OPTION", "FOR"]) || words.take(&["ADMIN", "OPTION", "FOR"]) {
            return Err(WireError::unsupported("grant options are not supported: an owner grants, and a superuser"));
        }
    }
    let what = rights(words)?;
    if !words.take(&["ON"]) {
        let Some(roles) = what.names else { return Err(words.expected("ON")) };
        let members = grantees(words, grants)?;
        tail(words, grants)?;
        return Ok(Command::Role(RoleCommand::Members { roles, members, grants }));
    }
    let objects = objects(words)?;
    let roles = grantees(words, grants)?;
    tail(words, grants)?;
    let tag = if grants { "GRANT" } else { "REVOKE" };
    let Some(objects) = objects else { return Ok(Command::NoEffect { tag }) };
    let privileges = match what.names {
        None => None,
        Some(names) => Some(checked(&names, &objects)?),
    };
    Ok(Command::Role(match objects {
        Objects::Named(kind, names) => {
            let objects = names.into_iter().map(|name| (kind, name)).collect();
            RoleCommand::Privileges { privileges, objects, roles, grants }
        }
        Objects::AllTables => RoleCommand::Privileges { privileges, objects: vec![(ObjectKind::Relation, "*".to_owned())], roles, grants },
    }))
}

struct Rights {
    /// `None`: ALL.
    names: Option<Vec<String>>,
}

fn rights(words: &mut Words<'_>) -> Result<Rights> {
    if words.take(&["ALL"]) {
        words.take(&["PRIVILEGES"]);
        return Ok(Rights { names: None });
    }
    let names = names(words)?;
    if words.peek() == Some(&Token::LParen) {
        return Err(
            WireError::unsupported("privileges on single columns are not supported").with_hint("GRANT on a view with those columns")
        );
    }
    Ok(Rights { names: Some(names) })
}

enum Objects {
    Named(ObjectKind, Vec<String>),
    AllTables,
}

/// What follows ON; `None`: something on which everyone has what there is.
fn objects(words: &mut Words<'_>) -> Result<Option<Objects>> {
    if words.take(&["ALL", "TABLES", "IN", "SCHEMA"]) {
        return names(words).map(|_| Some(Objects::AllTables));
    }
    for kind in [&["ALL", "SEQUENCES", "IN", "SCHEMA"], &["ALL", "FUNCTIONS", "IN", "SCHEMA"], &["ALL", "ROUTINES", "IN", "SCHEMA"]] {
        if words.take(kind) {
            return names(words).map(|_| None);
        }
    }
    if words.take(&["DATABASE"]) {
        return names(words).map(|_| None);
    }
    for other in ["SEQUENCE", "FUNCTION", "ROUTINE", "LANGUAGE", "TYPE", "DOMAIN", "FOREIGN", "TABLESPACE", "LARGE", "PARAMETER"] {
        if words.take(&[other]) {
            return Err(WireError::unsupported(format!("privileges on a {other} are not supported: nobody is kept from it")));
        }
    }
    let kind = match () {
        () if words.take(&["PIPELINE"]) || words.take(&["SINK"]) => ObjectKind::Pipeline,
        () if words.take(&["SCHEMA"]) => ObjectKind::Schema,
        () => {
            let _ = words.take(&["TABLE"]) || words.take(&["MATERIALIZED", "VIEW"]) || words.take(&["VIEW"]);
            ObjectKind::Relation
        }
    };
    let mut names = vec![words.object_name()?];
    while words.sign(&Token::Comma) {
        names.push(words.object_name()?);
    }
    if let Some(name) = names.iter().find(|name| kind == ObjectKind::Schema && *name != "public") {
        return Err(WireError::new("3F000", format!("schema \"{name}\" does not exist")));
    }
    Ok(Some(Objects::Named(kind, names)))
}

fn checked(names: &[String], objects: &Objects) -> Result<Vec<Privilege>> {
    let kind = match objects {
        Objects::Named(kind, _) => *kind,
        Objects::AllTables => ObjectKind::Relation,
    };
    let read = |name: &String| {
        let privilege = Privilege::named(name).ok_or_else(|| WireError::syntax(format!("unrecognized privilege type \"{name}\"")))?;
        if Privilege::of(kind).contains(&privilege) {
            return Ok(privilege);
        }
        Err(WireError::new("0LP01", format!("invalid privilege type {} for {}", privilege.word(), kind.word())))
    };
    names.iter().map(read).collect()
}

fn grantees(words: &mut Words<'_>, grants: bool) -> Result<Vec<String>> {
    expect(words, if grants { "TO" } else { "FROM" })?;
    words.take(&["GROUP"]);
    names(words)
}

/// What may follow the roles.
fn tail(words: &mut Words<'_>, grants: bool) -> Result<()> {
    if words.take(&["WITH", "GRANT", "OPTION"]) || words.take(&["WITH", "ADMIN", "OPTION"]) {
        return Err(WireError::unsupported("grant options are not supported: an owner grants, and a superuser"));
    }
    if words.take(&["GRANTED", "BY"]) {
        words.name()?;
    }
    if !grants {
        let _ = words.take(&["RESTRICT"]) || words.take(&["CASCADE"]);
    }
    Ok(())
}

/// `ALTER TABLE t OWNER TO role`
fn owner(words: &mut Words<'_>) -> Result<Option<Command>> {
    const KINDS: [(&[&str], ObjectKind, &str); 6] = [
        (&["ALTER", "TABLE"], ObjectKind::Relation, "ALTER TABLE"),
        (&["ALTER", "VIEW"], ObjectKind::Relation, "ALTER VIEW"),
        (&["ALTER", "MATERIALIZED", "VIEW"], ObjectKind::Relation, "ALTER MATERIALIZED VIEW"),
        (&["ALTER", "PIPELINE"], ObjectKind::Pipeline, "ALTER PIPELINE"),
        (&["ALTER", "SINK"], ObjectKind::Pipeline, "ALTER SINK"),
        (&["ALTER", "MODEL"], ObjectKind::Model, "ALTER MODEL"),
    ];
    let mut ahead = *words;
    let Some((_, kind, tag)) = KINDS.iter().find(|(start, ..)| ahead.take(start)) else { return Ok(None) };
    let _ = ahead.take(&["IF", "EXISTS"]) || ahead.take(&["ONLY"]);
    let Ok(name) = ahead.object_name() else { return Ok(None) };
    if !ahead.take(&["OWNER", "TO"]) {
        return Ok(None);
    }
    let role = ahead.name()?;
    *words = ahead;
    Ok(Some(Command::Role(RoleCommand::Owner { object: (*kind, name), role, tag })))
}

#[derive(Default)]
struct Options {
    password: Option<String>,
    login: Option<bool>,
    superuser: Option<bool>,
    member_of: Vec<String>,
}

fn options(words: &mut Words<'_>) -> Result<Options> {
    let mut read = Options::default();
    words.take(&["WITH"]);
    while !words.is_end() {
        match () {
            () if words.take(&["LOGIN"]) => read.login = Some(true),
            () if words.take(&["NOLOGIN"]) => read.login = Some(false),
            () if words.take(&["SUPERUSER"]) => read.superuser = Some(true),
            () if words.take(&["NOSUPERUSER"]) => read.superuser = Some(false),
            () if words.take(&["ENCRYPTED", "PASSWORD"]) || words.take(&["PASSWORD"]) => read.password = Some(words.text()?),
            () if words.take(&["IN", "ROLE"]) || words.take(&["IN", "GROUP"]) => read.member_of = names(words)?,
            () if ["INHERIT", "NOCREATEDB", "NOCREATEROLE", "NOREPLICATION", "NOBYPASSRLS"].iter().any(|word| words.take(&[word])) => {}
            () if ["CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS", "NOINHERIT", "CONNECTION", "VALID"]
                .iter()
                .any(|word| words.are(&[word])) =>
            {
                return Err(WireError::unsupported("a role has LOGIN, SUPERUSER, PASSWORD and IN ROLE; nothing else is supported"));
            }
            () => return Err(words.expected("LOGIN, SUPERUSER or PASSWORD")),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::super::read_all;
    use super::*;

    fn read(sql: &str) -> std::result::Result<Command, String> {
        read_all(sql).map(|mut all| all.remove(0).command).map_err(|error| error.sqlstate)
    }

    #[test]
    fn rights_and_roles_are_read() {
        let Ok(Command::Role(RoleCommand::Privileges { privileges, objects, roles, grants })) =
            read("GRANT SELECT, insert ON TABLE public.a, \"B\" TO bi, PUBLIC")
        else {
            panic!("a grant is expected")
        };
        assert_eq!(privileges, Some(vec![Privilege::Select, Privilege::Insert]));
        assert_eq!(objects, [(ObjectKind::Relation, "a".to_owned()), (ObjectKind::Relation, "B".to_owned())]);
        assert_eq!((roles, grants), (vec!["bi".to_owned(), "public".to_owned()], true));
        assert!(matches!(read("REVOKE a, b FROM c CASCADE"), Ok(Command::Role(RoleCommand::Members { grants: false, .. }))));
        assert!(matches!(read("GRANT ALL ON PIPELINE p TO bi"), Ok(Command::Role(RoleCommand::Privileges { privileges: None, .. }))));
        assert!(matches!(read("GRANT CONNECT ON DATABASE d TO bi"), Ok(Command::NoEffect { tag: "GRANT" })));
        assert!(matches!(read("ALTER TABLE t OWNER TO bi"), Ok(Command::Role(RoleCommand::Owner { .. }))));
        for (sql, state) in [
            ("GRANT SELECT ON PIPELINE p TO bi", "0LP01"),
            ("GRANT fly ON t TO bi", "42601"),
            ("GRANT SELECT ON t TO bi WITH GRANT OPTION", "0A000"),
            ("GRANT SELECT (a) ON t TO bi", "0A000"),
            ("GRANT SELECT ON other.t TO bi", "3F000"),
            ("CREATE ROLE a CREATEDB", "0A000"),
        ] {
            assert_eq!(read(sql).map(drop), Err(state.to_owned()), "{sql}");
        }
    }
}
