//! Rows of `pg_catalog` about what is here.

use super::builtin::{TYPES, TYPES_BY_OID};
use super::facts::{ColumnFact, DATABASE_OID, Facts, INFORMATION_SCHEMA_OID, OWNER_OID, PG_CATALOG_OID, PUBLIC_OID, RelationFact};
use super::shape::{Cell, Row, SHAPES, Shape};
use crate::security::ObjectKind;

const CLASS_OID: u32 = 1259;

/// Rows of a relation; none if nothing of its kind is here.
pub(super) fn rows(relation: &str, facts: &Facts) -> Vec<Row> {
    match relation {
        "pg_class" => classes(facts),
        "pg_attribute" => attributes(facts),
        "pg_namespace" => namespaces(),
        "pg_database" => vec![database(facts)],
        "pg_roles" | "pg_authid" | "pg_user" | "pg_shadow" => roles(facts),
        "pg_auth_members" => members(facts),
        "pg_tables" => facts.relations().iter().filter(|relation| relation.kind == 'r').map(|relation| table(relation, facts)).collect(),
        "pg_views" => views(facts, 'v', "viewname"),
        "pg_matviews" => views(facts, 'm', "matviewname"),
        "pg_stat_user_tables" | "pg_stat_all_tables" | "pg_statio_user_tables" => stat_tables(facts),
        "pg_settings" => settings(facts),
        "pg_description" => descriptions(facts),
        "pg_constraint" => facts.relations().iter().filter_map(constraint).collect(),
        "pg_index" => facts.relations().iter().filter_map(index).collect(),
        "pg_indexes" => facts.relations().iter().filter_map(index_view).collect(),
        "pg_rewrite" => facts.relations().iter().filter_map(rewrite).collect(),
        "pg_depend" => facts.relations().iter().flat_map(|relation| depends(relation, facts)).collect(),
        "pg_stat_activity" => activity(facts),
        _ => Vec::new(),
    }
}

fn classes(facts: &Facts) -> Vec<Row> {
    let mut rows: Vec<Row> = SHAPES.values().map(system_class).collect();
    for relation in facts.relations().iter() {
        rows.push(user_class(relation, facts));
        if let Some(oid) = relation.key_oid() {
            let natts = relation.primary_key.len() as i64;
            rows.push(class(oid, &relation.key_name(), PUBLIC_OID, 'i', natts, false, 403));
        }
    }
    rows
}

fn system_class(shape: &Shape) -> Row {
    let namespace = if shape.schema_name == "pg_catalog" { PG_CATALOG_OID } else { INFORMATION_SCHEMA_OID };
    let access = if shape.kind == 'r' { 2 } else { 0 };
    class(shape.oid, &shape.name, namespace, shape.kind, shape.columns.len() as i64, false, access)
}

fn user_class(relation: &RelationFact, facts: &Facts) -> Row {
    let access = if relation.kind == 'v' { 0 } else { 2 };
    let has_key = !relation.primary_key.is_empty();
    let mut row = class(relation.oid, &relation.name, PUBLIC_OID, relation.kind, relation.columns.len() as i64, has_key, access);
    let owner = facts.owner(&relation.name);
    let access_list = facts.server.roles.access_list(ObjectKind::Relation, &relation.name, &owner);
    row.retain(|(name, _)| *name != "relowner");
    row.push(("relowner", Cell::Oid(facts.role_oid(&owner))));
    if !access_list.is_empty() {
        row.push(("relacl", Cell::Texts(access_list)));
    }
    row
}

fn class(oid: u32, name: &str, namespace: u32, kind: char, columns: i64, has_index: bool, access: u32) -> Row {
    vec![
        ("oid", Cell::Oid(oid)),
        ("relname", name.into()),
        ("relnamespace", Cell::Oid(namespace)),
        ("reltype", Cell::Oid(0)),
        ("reloftype", Cell::Oid(0)),
        ("relowner", Cell::Oid(OWNER_OID)),
        ("relam", Cell::Oid(access)),
        ("relfilenode", Cell::Oid(if kind == 'v' { 0 } else { oid })),
        ("reltablespace", Cell::Oid(0)),
        ("relpages", 0_i64.into()),
        ("reltuples", (-1_i64).into()),
        ("relallvisible", 0_i64.into()),
        ("reltoastrelid", Cell::Oid(0)),
        ("relhasindex", has_index.into()),
        ("relisshared", false.into()),
        ("relpersistence", "p".into()),
        ("relkind", kind.to_string().into()),
        ("relnatts", columns.into()),
        ("relchecks", 0_i64.into()),
        ("relhasrules", (kind == 'v').into()),
        ("relhastriggers", false.into()),
        ("relhassubclass", false.into()),
        ("relrowsecurity", false.into()),
        ("relforcerowsecurity", false.into()),
        ("relispopulated", true.into()),
        ("relreplident", if kind == 'v' { "n" } else { "d" }.into()),
        ("relispartition", false.into()),
        ("relrewrite", Cell::Oid(0)),
        ("relfrozenxid", Cell::Oid(0)),
        ("relminmxid", Cell::Oid(0)),
    ]
}

fn attributes(facts: &Facts) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in facts.relations().iter() {
        rows.extend(relation.columns.iter().enumerate().map(|(n, column)| attribute(relation.oid, n, column)));
        if let Some(oid) = relation.key_oid() {
            let key = relation.primary_key.iter().filter_map(|place| relation.columns.get(usize::try_from(place - 1).ok()?));
            rows.extend(key.enumerate().map(|(n, column)| attribute(oid, n, column)));
        }
    }
    for shape in SHAPES.values() {
        for (n, (name, kind)) in shape.columns.iter().enumerate() {
            let type_oid = TYPES.get(kind).map_or(25, |fact| fact.oid);
            let column = ColumnFact::of_system(name, type_oid, kind);
            rows.push(attribute(shape.oid, n, &column));
        }
    }
    rows
}

fn attribute(relation: u32, n: usize, column: &ColumnFact) -> Row {
    let fact = TYPES_BY_OID.get(&column.type_oid);
    let (length, by_value) = fact.map_or((-1, false), |fact| (fact.length, fact.by_value));
    let text = |pick: fn(&super::builtin::TypeFact) -> &String, default: &str| fact.map_or(default.to_owned(), |fact| pick(fact).clone());
    vec![
        ("attrelid", Cell::Oid(relation)),
        ("attname", column.name.clone().into()),
        ("atttypid", Cell::Oid(column.type_oid)),
        ("attstattarget", (-1_i64).into()),
        ("attlen", i64::from(length).into()),
        ("attnum", (n as i64 + 1).into()),
        ("attndims", i64::from(column.type_name.starts_with('_')).into()),
        ("attcacheoff", (-1_i64).into()),
        ("atttypmod", i64::from(column.modifier).into()),
        ("attbyval", by_value.into()),
        ("attalign", text(|fact| &fact.align, "i").into()),
        ("attstorage", text(|fact| &fact.storage, "x").into()),
        ("attcompression", "".into()),
        ("attnotnull", column.not_null.into()),
        ("atthasdef", false.into()),
        ("atthasmissing", false.into()),
        ("attidentity", "".into()),
        ("attgenerated", "".into()),
        ("attisdropped", false.into()),
        ("attislocal", true.into()),
        ("attinhcount", 0_i64.into()),
        ("attcollation", Cell::Oid(fact.map_or(0, |fact| fact.collation))),
    ]
}

fn namespaces() -> Vec<Row> {
    let row = |oid, name: &str| vec![("oid", Cell::Oid(oid)), ("nspname", name.into()), ("nspowner", Cell::Oid(OWNER_OID))];
    vec![row(PG_CATALOG_OID, "pg_catalog"), row(PUBLIC_OID, "public"), row(INFORMATION_SCHEMA_OID, "information_schema")]
}

fn database(facts: &Facts) -> Row {
    vec![
        ("oid", Cell::Oid(DATABASE_OID)),
        ("datname", facts.identity.database.clone().into()),
        ("datdba", Cell::Oid(OWNER_OID)),
        ("encoding", 6_i64.into()),
        ("datlocprovider", "c".into()),
        ("datistemplate", false.into()),
        ("datallowconn", true.into()),
        ("datconnlimit", (-1_i64).into()),
        ("datfrozenxid", Cell::Oid(0)),
        ("datminmxid", Cell::Oid(0)),
        ("dattablespace", Cell::Oid(1663)),
        ("datcollate", "C.UTF-8".into()),
        ("datctype", "C.UTF-8".into()),
    ]
}

fn roles(facts: &Facts) -> Vec<Row> {
    let known: std::collections::BTreeMap<String, _> = facts.server.roles.all().into_iter().collect();
    let row = |(oid, name): (u32, String)| {
        let is_me = name == facts.identity.user;
        let can_login = known.get(&name).map_or(is_me, |role| role.can_login);
        let is_superuser = known.get(&name).map_or(is_me && facts.identity.is_superuser, |role| role.is_superuser);
        role(oid, &name, can_login, is_superuser)
    };
    facts.roles().into_iter().map(row).collect()
}

fn members(facts: &Facts) -> Vec<Row> {
    let pairs =
        facts.server.roles.all().into_iter().flat_map(|(name, role)| role.member_of.into_iter().map(move |group| (group, name.clone())));
    let row = |(group, member): (String, String)| {
        vec![
            ("roleid", Cell::Oid(facts.role_oid(&group))),
            ("member", Cell::Oid(facts.role_oid(&member))),
            ("grantor", Cell::Oid(OWNER_OID)),
            ("admin_option", false.into()),
        ]
    };
    pairs.map(row).collect()
}

fn role(oid: u32, name: &str, can_login: bool, is_superuser: bool) -> Row {
    vec![
        ("oid", Cell::Oid(oid)),
        ("rolname", name.into()),
        ("rolsuper", is_superuser.into()),
        ("rolinherit", true.into()),
        ("rolcreaterole", is_superuser.into()),
        ("rolcreatedb", false.into()),
        ("rolcanlogin", can_login.into()),
        ("rolreplication", false.into()),
        ("rolconnlimit", (-1_i64).into()),
        ("rolpassword", "********".into()),
        ("rolbypassrls", is_superuser.into()),
        ("usename", name.into()),
        ("usesysid", Cell::Oid(oid)),
        ("usecreatedb", false.into()),
        ("usesuper", is_superuser.into()),
        ("userepl", false.into()),
        ("usebypassrls", is_superuser.into()),
        ("passwd", "********".into()),
    ]
}

fn table(relation: &RelationFact, facts: &Facts) -> Row {
    vec![
        ("schemaname", "public".into()),
        ("tablename", relation.name.clone().into()),
        ("tableowner", facts.owner(&relation.name).into()),
        ("hasindexes", (!relation.primary_key.is_empty()).into()),
        ("hasrules", false.into()),
        ("hastriggers", false.into()),
        ("rowsecurity", false.into()),
    ]
}

fn views(facts: &Facts, kind: char, name_column: &'static str) -> Vec<Row> {
    let owner = if kind == 'v' { "viewowner" } else { "matviewowner" };
    let row = |relation: &RelationFact| {
        let mut row: Row = vec![
            ("schemaname", "public".into()),
            (name_column, relation.name.clone().into()),
            (owner, facts.owner(&relation.name).into()),
            ("hasindexes", false.into()),
            ("ispopulated", true.into()),
        ];
        row.extend(relation.query().map(|query| ("definition", format!("{query};").into())));
        row
    };
    facts.relations().iter().filter(|relation| relation.kind == kind).map(row).collect()
}

fn stat_tables(facts: &Facts) -> Vec<Row> {
    let row = |relation: &RelationFact| {
        vec![("relid", Cell::Oid(relation.oid)), ("schemaname", "public".into()), ("relname", relation.name.clone().into())]
    };
    facts.relations().iter().filter(|relation| relation.kind != 'v').map(row).collect()
}

fn settings(facts: &Facts) -> Vec<Row> {
    let variables = facts.variables.lock().all();
    let row = |(name, value): (String, String)| {
        vec![
            ("name", name.into()),
            ("setting", value.clone().into()),
            ("category", "Client Connection Defaults".into()),
            ("short_desc", "".into()),
            ("context", "user".into()),
            ("vartype", "string".into()),
            ("source", "default".into()),
            ("boot_val", value.clone().into()),
            ("reset_val", value.into()),
            ("pending_restart", false.into()),
        ]
    };
    variables.into_iter().map(row).collect()
}

fn descriptions(facts: &Facts) -> Vec<Row> {
    let mut rows = Vec::new();
    let row = |oid: u32, place: i64, text: &str| {
        vec![("objoid", Cell::Oid(oid)), ("classoid", Cell::Oid(CLASS_OID)), ("objsubid", place.into()), ("description", text.into())]
    };
    for relation in facts.relations().iter() {
        rows.extend(relation.comment.as_deref().map(|text| row(relation.oid, 0, text)));
        let columns = relation.columns.iter().zip(1_i64..);
        rows.extend(columns.filter_map(|(column, n)| Some(row(relation.oid, n, column.comment.as_deref()?))));
    }
    rows
}

fn constraint(relation: &RelationFact) -> Option<Row> {
    let oid = relation.key_oid()?;
    Some(vec![
        ("oid", Cell::Oid(oid)),
        ("conname", relation.key_name().into()),
        ("connamespace", Cell::Oid(PUBLIC_OID)),
        ("contype", "p".into()),
        ("condeferrable", false.into()),
        ("condeferred", false.into()),
        ("convalidated", true.into()),
        ("conrelid", Cell::Oid(relation.oid)),
        ("contypid", Cell::Oid(0)),
        ("conindid", Cell::Oid(oid)),
        ("conparentid", Cell::Oid(0)),
        ("confrelid", Cell::Oid(0)),
        ("confupdtype", " ".into()),
        ("confdeltype", " ".into()),
        ("confmatchtype", " ".into()),
        ("conislocal", true.into()),
        ("coninhcount", 0_i64.into()),
        ("connoinherit", true.into()),
        ("conkey", Cell::Ints(relation.primary_key.clone())),
    ])
}

fn index(relation: &RelationFact) -> Option<Row> {
    let oid = relation.key_oid()?;
    let count = relation.primary_key.len() as i64;
    Some(vec![
        ("indexrelid", Cell::Oid(oid)),
        ("indrelid", Cell::Oid(relation.oid)),
        ("indnatts", count.into()),
        ("indnkeyatts", count.into()),
        ("indisunique", true.into()),
        ("indnullsnotdistinct", false.into()),
        ("indisprimary", true.into()),
        ("indisexclusion", false.into()),
        ("indimmediate", true.into()),
        ("indisclustered", false.into()),
        ("indisvalid", true.into()),
        ("indcheckxmin", false.into()),
        ("indisready", true.into()),
        ("indislive", true.into()),
        ("indisreplident", false.into()),
        ("indkey", Cell::Ints(relation.primary_key.clone())),
        ("indcollation", Cell::Ints(vec![0; relation.primary_key.len()])),
        ("indclass", Cell::Ints(vec![0; relation.primary_key.len()])),
        ("indoption", Cell::Ints(vec![0; relation.primary_key.len()])),
    ])
}

fn index_view(relation: &RelationFact) -> Option<Row> {
    relation.key_oid()?;
    Some(vec![
        ("schemaname", "public".into()),
        ("tablename", relation.name.clone().into()),
        ("indexname", relation.key_name().into()),
        ("indexdef", super::functions::index_definition(relation).into()),
    ])
}

fn rewrite(relation: &RelationFact) -> Option<Row> {
    (relation.kind == 'v').then(|| {
        vec![
            ("oid", Cell::Oid(relation.oid + 1)),
            ("rulename", "_RETURN".into()),
            ("ev_class", Cell::Oid(relation.oid)),
            ("ev_type", "1".into()),
            ("ev_enabled", "O".into()),
            ("is_instead", true.into()),
        ]
    })
}

/// A view depends on what its query names.
fn depends(relation: &RelationFact, facts: &Facts) -> Vec<Row> {
    let Some(query) = relation.query().filter(|_| relation.kind == 'v') else { return Vec::new() };
    let words: Vec<&str> = query.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let relations = facts.relations();
    let named = relations.iter().filter(|other| other.oid != relation.oid && words.contains(&other.name.as_str()));
    let row = |other: &RelationFact| {
        vec![
            ("classid", Cell::Oid(2618)),
            ("objid", Cell::Oid(relation.oid + 1)),
            ("objsubid", 0_i64.into()),
            ("refclassid", Cell::Oid(CLASS_OID)),
            ("refobjid", Cell::Oid(other.oid)),
            ("refobjsubid", 0_i64.into()),
            ("deptype", "n".into()),
        ]
    };
    named.map(row).collect()
}

fn activity(facts: &Facts) -> Vec<Row> {
    let processes = facts.server.cancellations.processes();
    let row = |process: i32| {
        vec![
            ("datid", Cell::Oid(DATABASE_OID)),
            ("datname", facts.identity.database.clone().into()),
            ("pid", i64::from(process).into()),
            ("backend_type", "client backend".into()),
        ]
    };
    processes.into_iter().map(row).collect()
}
