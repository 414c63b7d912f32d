//! `has_…_privilege` and `pg_has_role`: what the rights of roles are.

use super::{Arguments, Entry, entry, text_at};
use crate::catalog::Facts;
use crate::catalog::shape::Cell;
use crate::error::{Result, WireError};
use crate::security::{ObjectKind, Privilege};

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Entry] = &[
    entry("has_table_privilege", "bool", |facts, arguments| of_table(facts, arguments, false)),
    entry("has_any_column_privilege", "bool", |facts, arguments| of_table(facts, arguments, false)),
    entry("has_column_privilege", "bool", |facts, arguments| of_table(facts, arguments, true)),
    entry("has_schema_privilege", "bool", |facts, arguments| {
        let Some((role, schema, words)) = asked(facts, arguments)? else { return Ok(None) };
        let is_public = ["public", "2200"].contains(&schema);
        any(words, |word| match word {
            "CREATE" => Ok(facts.server.roles.is_superuser(&role) || (is_public && facts.server.roles.may(&role, Privilege::Create, ObjectKind::Schema, "public"))),
            "USAGE" => Ok(true),
            _ => Err(unknown(word)),
        })
    }),
    entry("has_database_privilege", "bool", |facts, arguments| {
        let Some((role, _, words)) = asked(facts, arguments)? else { return Ok(None) };
        any(words, |word| match word {
            "CREATE" => Ok(facts.server.roles.is_superuser(&role)),
            "CONNECT" | "TEMP" | "TEMPORARY" => Ok(true),
            _ => Err(unknown(word)),
        })
    }),
    // Nobody is kept from these.
    entry("has_function_privilege", "bool", |facts, arguments| Ok(asked(facts, arguments)?.map(|_| true.into()))),
    entry("has_type_privilege", "bool", |facts, arguments| Ok(asked(facts, arguments)?.map(|_| true.into()))),
    entry("has_language_privilege", "bool", |facts, arguments| Ok(asked(facts, arguments)?.map(|_| true.into()))),
    entry("has_tablespace_privilege", "bool", |facts, arguments| Ok(asked(facts, arguments)?.map(|_| true.into()))),
    entry("has_sequence_privilege", "bool", |facts, arguments| Ok(asked(facts, arguments)?.map(|_| true.into()))),
    // These do not exist here: who may do everything may do that.
    entry("has_foreign_data_wrapper_privilege", "bool", |facts, _| Ok(Some(facts.server.roles.is_superuser(&facts.role()).into()))),
    entry("has_server_privilege", "bool", |facts, _| Ok(Some(facts.server.roles.is_superuser(&facts.role()).into()))),
    entry("pg_has_role", "bool", |facts, arguments| {
        let Some((user, role, _)) = asked(facts, arguments)? else { return Ok(None) };
        let role = named_role(facts, role)?;
        Ok(Some((user == role || facts.server.roles.is_member(&user, &role)).into()))
    }),
];

/// `([role,] object, privileges)`; `None`: one of them is NULL.
fn asked<'a>(facts: &Facts, arguments: &Arguments<'a>) -> Result<Option<(String, &'a str, &'a str)>> {
    let (role, rest) = match arguments {
        [role, rest @ ..] if arguments.len() > 2 => match role {
            Some(role) => (named_role(facts, role)?, rest),
            None => return Ok(None),
        },
        rest => (facts.role(), rest),
    };
    Ok(match (text_at(rest, 0), text_at(rest, 1)) {
        (Some(object), Some(words)) => Some((role, object, words)),
        _ => None,
    })
}

/// A role by name or number.
fn named_role(facts: &Facts, text: &str) -> Result<String> {
    if text == crate::security::PUBLIC {
        return Ok(text.to_owned());
    }
    let by_number = text.parse().ok().and_then(|oid| facts.role_name(oid));
    let known = by_number.or_else(|| facts.roles().into_iter().map(|(_, name)| name).find(|name| name == text));
    known.ok_or_else(|| WireError::new("42704", format!("role \"{text}\" does not exist")))
}

fn unknown(word: &str) -> WireError {
    WireError::new("22023", format!("unrecognized privilege type: \"{word}\""))
}

/// True if one of `words` is given; `… WITH GRANT OPTION` asks for what only owners have.
fn any(words: &str, mut has: impl FnMut(&str) -> Result<bool>) -> Result<Option<Cell>> {
    for word in words.split(',') {
        let word = word.trim().to_ascii_uppercase();
        if has(word.strip_suffix("WITH GRANT OPTION").map_or(word.as_str(), str::trim))? {
            return Ok(Some(true.into()));
        }
    }
    Ok(Some(false.into()))
}

fn of_table(facts: &Facts, arguments: &Arguments<'_>, has_column: bool) -> Result<Option<Cell>> {
    // The column says nothing more: rights are those of the table.
    let column = arguments.len().saturating_sub(2);
    let kept = arguments.iter().enumerate().filter(|(n, _)| !has_column || *n != column).map(|(_, argument)| *argument);
    let kept: Vec<Option<&str>> = kept.collect();
    let Some((role, table, words)) = asked(facts, &kept)? else { return Ok(None) };
    let oid = match table.parse::<u32>() {
        Ok(oid) => oid,
        Err(_) => facts.relation_oid(table).ok_or_else(|| WireError::new("42P01", format!("relation \"{table}\" does not exist")))?,
    };
    let relation = facts.relation(oid).map(|relation| relation.name);
    if relation.is_none() && facts.relation_name(oid).is_none() {
        return Ok(None);
    }
    any(words, |word| {
        let privilege = Privilege::named(word).filter(|privilege| Privilege::OF_TABLES.contains(privilege)).ok_or_else(|| unknown(word))?;
        Ok(match &relation {
            Some(name) => facts.server.roles.may(&role, privilege, ObjectKind::Relation, name),
            // PostgreSQL's own: everyone reads them.
            None => privilege == Privilege::Select || facts.server.roles.is_superuser(&role),
        })
    })
}
