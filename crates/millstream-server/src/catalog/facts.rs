//! What is here: relations with their columns and keys, who asks, and by which numbers clients know them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::sql::sqlparser::ast;
use millstream::{Relation, RelationKind};
use millstream_sql::parse::{ColumnKind, Statement, identifier_text, parse};
use parking_lot::Mutex;

use super::builtin::TYPES;
use super::shape::SHAPES;
use crate::connection::Identity;
use crate::security::{BUILT_IN, ObjectKind, Privilege};
use crate::server::ServerState;
use crate::settings::Variables;
use crate::values::{Declared, PgType, modifier_of_sql, type_of_sql};

/// The schema of everything that users make.
pub(crate) const PUBLIC_OID: u32 = 2200;
pub(crate) const PG_CATALOG_OID: u32 = 11;
pub(crate) const INFORMATION_SCHEMA_OID: u32 = 13_203;

/// The one role that owns everything.
pub(crate) const OWNER_OID: u32 = 10;
pub(crate) const DATABASE_OID: u32 = 16_384;

/// Numbers below are PostgreSQL's own.
const FIRST_USER_OID: u32 = 1 << 20;

/// What a session sees of the server.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) server: Arc<ServerState>,
    pub(crate) identity: Identity,
    pub(crate) variables: Arc<Mutex<Variables>>,
    relations: OnceLock<Arc<Vec<RelationFact>>>,
}

/// A relation of a user.
#[derive(Clone, Debug)]
pub(crate) struct RelationFact {
    pub(crate) oid: u32,
    pub(crate) name: String,
    /// `r`: table or stream, `v`: view, `m`: materialized view.
    pub(crate) kind: char,
    pub(crate) sql: String,
    pub(crate) columns: Vec<ColumnFact>,
    /// Places in `columns`, from 1.
    pub(crate) primary_key: Vec<i64>,
    pub(crate) comment: Option<String>,
}

/// A column of it.
#[derive(Clone, Debug)]
pub(crate) struct ColumnFact {
    pub(crate) name: String,
    pub(crate) pg_type: PgType,
    pub(crate) type_oid: u32,
    pub(crate) type_name: String,
    pub(crate) modifier: i32,
    pub(crate) not_null: bool,
    pub(crate) comment: Option<String>,
}

impl Facts {
    pub(crate) fn new(server: Arc<ServerState>, identity: Identity, variables: Arc<Mutex<Variables>>) -> Self {
        Self { server, identity, variables, relations: OnceLock::new() }
    }

    /// Relations of users, by name; looked at once for a statement.
    pub(crate) fn relations(&self) -> Arc<Vec<RelationFact>> {
        Arc::clone(self.relations.get_or_init(|| {
            let relations = self.server.engine.relations();
            let mut oids = HashMap::new();
            Arc::new(relations.into_iter().map(|relation| fact(relation, &mut oids)).collect())
        }))
    }

    /// The role whose rights count.
    pub(crate) fn role(&self) -> String {
        self.variables.lock().role(&self.identity.user)
    }

    /// The role that has everything that no other one has made.
    pub(crate) fn first_role(&self) -> String {
        self.server.roles.first().unwrap_or(&self.identity.user).to_owned()
    }

    /// All roles with their numbers.
    pub(crate) fn roles(&self) -> Vec<(u32, String)> {
        let first = self.first_role();
        let mut names: Vec<String> = self.server.roles.all().into_iter().map(|(name, _)| name).collect();
        names.extend([first.clone(), self.identity.user.clone()]);
        names.sort();
        names.dedup();
        let made = names.into_iter().map(|name| (if name == first { OWNER_OID } else { role_oid(&name) }, name));
        made.chain(BUILT_IN.map(|(name, oid)| (oid, name.to_owned()))).collect()
    }

    pub(crate) fn role_name(&self, oid: u32) -> Option<String> {
        self.roles().into_iter().find(|(known, _)| *known == oid).map(|(_, name)| name)
    }

    pub(crate) fn role_oid(&self, role: &str) -> u32 {
        self.roles().into_iter().find(|(_, name)| name == role).map_or(0, |(oid, _)| oid)
    }

    /// Whose a relation is.
    pub(crate) fn owner(&self, relation: &str) -> String {
        self.server.roles.owner(ObjectKind::Relation, relation).unwrap_or_else(|| self.first_role())
    }

    /// True if the role has any right on the relation: `information_schema` lists no others.
    pub(crate) fn is_listed(&self, relation: &RelationFact) -> bool {
        let role = self.role();
        Privilege::OF_TABLES.iter().any(|privilege| self.server.roles.may(&role, *privilege, ObjectKind::Relation, &relation.name))
    }

    pub(crate) fn relation(&self, oid: u32) -> Option<RelationFact> {
        self.relations().iter().find(|relation| relation.oid == oid).cloned()
    }

    /// The number of a relation by its name, with or without schema and quotes.
    pub(crate) fn relation_oid(&self, name: &str) -> Option<u32> {
        let parts = name_parts(name);
        let (schema, name) = match parts.as_slice() {
            [name] => (None, name.as_str()),
            [schema, name] | [_, schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return None,
        };
        let user = || {
            let relations = self.relations();
            let key = relations.iter().find(|relation| relation.key_oid().is_some() && relation.key_name() == name);
            let found = relations.iter().find(|relation| relation.name == name).map(|relation| relation.oid);
            found.or_else(|| key.and_then(RelationFact::key_oid))
        };
        let system = |schema: &str| SHAPES.get(&(schema.to_owned(), name.to_owned())).map(|shape| shape.oid);
        match schema {
            None => user().or_else(|| system("pg_catalog")),
            Some("public") => user(),
            Some(schema) => system(schema),
        }
    }

    /// The name by which a relation is found, as `regclass` prints it.
    pub(crate) fn relation_name(&self, oid: u32) -> Option<String> {
        let relations = self.relations();
        if let Some(relation) = relations.iter().find(|relation| relation.oid == oid) {
            return Some(quoted(&relation.name));
        }
        if let Some(relation) = relations.iter().find(|relation| relation.key_oid() == Some(oid)) {
            return Some(quoted(&relation.key_name()));
        }
        let shape = SHAPES.values().find(|shape| shape.oid == oid)?;
        Some(if shape.schema_name == "pg_catalog" { shape.name.clone() } else { format!("{}.{}", shape.schema_name, shape.name) })
    }
}

impl RelationFact {
    /// The number of its primary key, as a constraint and as an index.
    pub(crate) fn key_oid(&self) -> Option<u32> {
        (!self.primary_key.is_empty()).then_some(self.oid ^ 1)
    }

    pub(crate) fn key_name(&self) -> String {
        format!("{}_pkey", self.name)
    }

    pub(crate) fn key_columns(&self) -> Vec<String> {
        let name = |place: &i64| usize::try_from(place - 1).ok().and_then(|n| self.columns.get(n)).map(|column| column.name.clone());
        self.primary_key.iter().filter_map(name).collect()
    }

    /// The query of a view.
    pub(crate) fn query(&self) -> Option<String> {
        match parse(&self.sql).ok()?.into_iter().next()?.statement {
            Statement::CreateView(create) => Some(create.query.text),
            _ => None,
        }
    }
}

impl ColumnFact {
    /// A column of the catalog itself.
    pub(crate) fn of_system(name: &str, type_oid: u32, type_name: &str) -> Self {
        let pg_type = PgType::from_name(type_name).unwrap_or(PgType::TEXT);
        Self { name: name.to_owned(), pg_type, type_oid, type_name: type_name.to_owned(), modifier: -1, not_null: false, comment: None }
    }

    /// The type that the table's definition says, where the values alone do not tell it.
    fn declare(&mut self, data_type: &ast::DataType) {
        let Some(declared) = type_of_sql(data_type) else { return };
        let known = TYPES.get(declared.name()).filter(|_| self.pg_type == PgType::TEXT || self.pg_type == declared);
        let Some(known) = known else { return };
        (self.type_oid, self.type_name) = (known.oid, known.name.clone());
        if let Some(modifier) = modifier_of_sql(data_type, &declared) {
            self.modifier = modifier;
        }
        self.pg_type = declared;
    }
}

/// What a session knows of one table, and what came of reading its definition last time.
#[derive(Debug, Default)]
pub(crate) struct DeclaredTables(Mutex<HashMap<String, Arc<RelationFact>>>);

impl DeclaredTables {
    /// Tables remembered at most.
    const TABLES_MAX: usize = 10_000;

    /// A table or materialized view; `None`: there is none of that name.
    pub(crate) fn get(&self, engine: &millstream::Engine, name: &str) -> Option<Arc<RelationFact>> {
        let relation = engine.relation(name).filter(|relation| relation.kind != RelationKind::View)?;
        let mut known = self.0.lock();
        if let Some(fact) = known.get(name)
            && Some(&fact.sql) == relation.sql.as_ref()
        {
            return Some(Arc::clone(fact));
        }
        if known.len() >= Self::TABLES_MAX {
            known.clear();
        }
        let fact = Arc::new(fact(relation, &mut HashMap::new()));
        known.insert(name.to_owned(), Arc::clone(&fact));
        Some(fact)
    }

    /// A column of it, as results of queries describe it.
    pub(crate) fn column(&self, engine: &millstream::Engine, table: &str, name: &str) -> Option<Declared> {
        let fact = self.get(engine, table)?;
        let n = fact.columns.iter().position(|column| column.name == name)?;
        let column = &fact.columns[n];
        let number = i16::try_from(n + 1).unwrap_or(0);
        Some(Declared { pg_type: column.pg_type.clone(), modifier: column.modifier, table: fact.oid, number })
    }
}

/// The name, in quotes if it would not be read back as it is.
pub(crate) fn quoted(name: &str) -> String {
    let is_plain = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$')
        && !["user", "table", "order", "group", "select", "from", "where", "limit", "all", "end", "column", "default"].contains(&name);
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// `a."b.c"` as its parts.
pub(crate) fn name_parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut chars, mut in_quotes) = (name.trim().chars().peekable(), false);
    while let Some(c) = chars.next() {
        let Some(last) = parts.last_mut() else { break };
        match c {
            '"' if in_quotes && chars.peek() == Some(&'"') => {
                last.push('"');
                chars.next();
            }
            '"' => in_quotes = !in_quotes,
            '.' if !in_quotes => parts.push(String::new()),
            c if in_quotes => last.push(c),
            c => last.extend(c.to_lowercase()),
        }
    }
    parts
}

fn fact(relation: Relation, oids: &mut HashMap<u32, String>) -> RelationFact {
    let kind = match relation.kind {
        RelationKind::View => 'v',
        RelationKind::MaterializedView => 'm',
        _ => 'r',
    };
    let sql = relation.sql.unwrap_or_default();
    let mut columns: Vec<ColumnFact> = relation.schema.fields().iter().map(|field| column(field)).collect();
    let (mut primary_key, mut comment) = (Vec::new(), None);
    if kind == 'r'
        && let Some(Statement::CreateTable(create)) =
            parse(&sql).ok().and_then(|statements| statements.into_iter().next()).map(|parsed| parsed.statement)
    {
        comment = create.comment;
        for declared in &create.columns {
            let name = identifier_text(&declared.name);
            if let Some(column) = columns.iter_mut().find(|column| column.name == name) {
                column.comment.clone_from(&declared.comment);
                if let ColumnKind::Physical { data_type } = &declared.kind {
                    column.declare(data_type);
                }
            }
        }
        for key in &create.primary_key {
            let name = identifier_text(key);
            primary_key.extend(columns.iter().position(|column| column.name == name).and_then(|n| i64::try_from(n + 1).ok()));
        }
    }
    let oid = oid_of(&relation.name, oids);
    RelationFact { oid, name: relation.name, kind, sql, columns, primary_key, comment }
}

/// A number made of the name, below those of relations.
fn role_oid(name: &str) -> u32 {
    20_000 + name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)) % (1 << 19)
}

/// An even number made of the name, so that it is the same in every session; the odd one beside it is its key's.
fn oid_of(name: &str, taken: &mut HashMap<u32, String>) -> u32 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let mut oid = FIRST_USER_OID + (hash % (1 << 30)) * 2 % (1 << 30);
    while taken.get(&oid).is_some_and(|other| other != name) {
        oid += 2;
    }
    taken.insert(oid, name.to_owned());
    oid
}

fn column(field: &Field) -> ColumnFact {
    let pg_type = PgType::from_field(field);
    let modifier = match field.data_type() {
        // What NUMERIC without digits is kept as.
        DataType::Decimal128(38, 10) => -1,
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            (i32::from(*precision) << 16 | i32::from(*scale)) + 4
        }
        DataType::Timestamp(unit, _) => match unit {
            datafusion::arrow::datatypes::TimeUnit::Second => 0,
            datafusion::arrow::datatypes::TimeUnit::Millisecond => 3,
            _ => -1,
        },
        _ => -1,
    };
    let type_oid = TYPES.get(pg_type.name()).map_or(pg_type.oid(), |fact| fact.oid);
    ColumnFact {
        name: field.name().clone(),
        type_oid,
        type_name: pg_type.name().to_owned(),
        pg_type,
        modifier,
        not_null: !field.is_nullable(),
        comment: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_quoted() {
        assert_eq!(name_parts("public.\"A.b\""), ["public", "A.b"]);
        assert_eq!(name_parts("Bids"), ["bids"]);
        assert_eq!((quoted("bids"), quoted("A b"), quoted("user")), ("bids".into(), "\"A b\"".into(), "\"user\"".into()));
    }

    #[test]
    fn numbers_do_not_collide() {
        let mut taken = HashMap::new();
        let oids: std::collections::BTreeSet<u32> = (0..2000).map(|n| oid_of(&format!("t{n}"), &mut taken)).collect();
        assert_eq!(oids.len(), 2000);
        assert!(oids.iter().all(|oid| oid % 2 == 0 && *oid >= FIRST_USER_OID));
    }
}
