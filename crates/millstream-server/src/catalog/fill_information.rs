//! Rows of `information_schema`. Materialized views are among its tables, as views: tools list only what they find there.

use super::builtin::TYPES_BY_OID;
use super::facts::{ColumnFact, Facts, RelationFact};
use super::functions::format_type;
use super::shape::{Cell, Row, SHAPES, Shape};
use crate::security::{ObjectKind, PUBLIC, Privilege};

/// Rows of a relation; none if nothing of its kind is here.
pub(super) fn rows(relation: &str, facts: &Facts) -> Vec<Row> {
    let relations: Vec<RelationFact> = facts.relations().iter().filter(|relation| facts.is_listed(relation)).cloned().collect();
    match relation {
        "schemata" => ["pg_catalog", "information_schema", "public"].map(|name| schema(name, facts)).to_vec(),
        "tables" => {
            let system = SHAPES.values().map(|shape| system_table(shape, facts));
            relations.iter().map(|relation| table(relation, facts)).chain(system).collect()
        }
        "views" => relations.iter().filter(|relation| relation.kind != 'r').map(|relation| view(relation, facts)).collect(),
        "columns" => columns(&relations, facts),
        "table_constraints" => relations.iter().filter(|relation| relation.key_oid().is_some()).map(|r| constraint(r, facts)).collect(),
        "key_column_usage" | "constraint_column_usage" => relations.iter().flat_map(|relation| key_columns(relation, facts)).collect(),
        "enabled_roles" => {
            let mine =
                facts.roles().into_iter().filter(|(_, name)| *name == facts.role() || facts.server.roles.is_member(&facts.role(), name));
            mine.map(|(_, name)| vec![("role_name", name.into())]).collect()
        }
        "applicable_roles" => {
            let groups =
                facts.server.roles.all().into_iter().filter(|(name, _)| *name == facts.role()).flat_map(|(_, role)| role.member_of);
            let row = |group: String| vec![("grantee", facts.role().into()), ("role_name", group.into()), ("is_grantable", "NO".into())];
            groups.map(row).collect()
        }
        "table_privileges" | "role_table_grants" => relations.iter().flat_map(|relation| privileges(relation, facts)).collect(),
        "information_schema_catalog_name" => vec![vec![("catalog_name", facts.identity.database.clone().into())]],
        _ => Vec::new(),
    }
}

fn schema(name: &str, facts: &Facts) -> Row {
    vec![
        ("catalog_name", facts.identity.database.clone().into()),
        ("schema_name", name.into()),
        ("schema_owner", facts.identity.user.clone().into()),
    ]
}

fn table(relation: &RelationFact, facts: &Facts) -> Row {
    let is_table = relation.kind == 'r';
    vec![
        ("table_catalog", facts.identity.database.clone().into()),
        ("table_schema", "public".into()),
        ("table_name", relation.name.clone().into()),
        ("table_type", if is_table { "BASE TABLE" } else { "VIEW" }.into()),
        ("is_insertable_into", if is_table { "YES" } else { "NO" }.into()),
        ("is_typed", "NO".into()),
    ]
}

fn system_table(shape: &Shape, facts: &Facts) -> Row {
    vec![
        ("table_catalog", facts.identity.database.clone().into()),
        ("table_schema", shape.schema_name.clone().into()),
        ("table_name", shape.name.clone().into()),
        ("table_type", if shape.kind == 'r' { "BASE TABLE" } else { "VIEW" }.into()),
        ("is_insertable_into", "NO".into()),
        ("is_typed", "NO".into()),
    ]
}

fn view(relation: &RelationFact, facts: &Facts) -> Row {
    let mut row: Row = vec![
        ("table_catalog", facts.identity.database.clone().into()),
        ("table_schema", "public".into()),
        ("table_name", relation.name.clone().into()),
        ("check_option", "NONE".into()),
        ("is_updatable", "NO".into()),
        ("is_insertable_into", "NO".into()),
        ("is_trigger_updatable", "NO".into()),
        ("is_trigger_deletable", "NO".into()),
        ("is_trigger_insertable_into", "NO".into()),
    ];
    row.extend(relation.query().map(|query| ("view_definition", format!("{query};").into())));
    row
}

fn columns(relations: &[RelationFact], facts: &Facts) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in relations {
        for (n, column) in (1_i64..).zip(&relation.columns) {
            rows.push(column_row(facts, "public", &relation.name, n, column, relation.kind == 'r'));
        }
    }
    for shape in SHAPES.values() {
        for (n, (name, kind)) in (1_i64..).zip(&shape.columns) {
            let type_oid = super::builtin::TYPES.get(kind).map_or(25, |fact| fact.oid);
            let column = ColumnFact::of_system(name, type_oid, kind);
            rows.push(column_row(facts, &shape.schema_name, &shape.name, n, &column, false));
        }
    }
    rows
}

fn column_row(facts: &Facts, schema: &str, table: &str, place: i64, column: &ColumnFact, is_updatable: bool) -> Row {
    let database = &facts.identity.database;
    let is_array = column.type_name.starts_with('_');
    let data_type = if is_array { "ARRAY".to_owned() } else { format_type(column.type_oid, None) };
    let yes = |truth: bool| Cell::from(if truth { "YES" } else { "NO" });
    let mut row: Row = vec![
        ("table_catalog", database.clone().into()),
        ("table_schema", schema.into()),
        ("table_name", table.into()),
        ("column_name", column.name.clone().into()),
        ("ordinal_position", place.into()),
        ("is_nullable", yes(!column.not_null)),
        ("data_type", data_type.into()),
        ("udt_catalog", database.clone().into()),
        ("udt_schema", "pg_catalog".into()),
        ("udt_name", column.type_name.clone().into()),
        ("dtd_identifier", place.to_string().into()),
        ("is_self_referencing", "NO".into()),
        ("is_identity", "NO".into()),
        ("identity_cycle", "NO".into()),
        ("is_generated", "NEVER".into()),
        ("is_updatable", yes(is_updatable)),
    ];
    let number = |bits: i64| vec![("numeric_precision", bits.into()), ("numeric_precision_radix", Cell::Int(2))];
    match column.type_name.as_str() {
        "int2" => row.extend(number(16).into_iter().chain([("numeric_scale", Cell::Int(0))])),
        "int4" => row.extend(number(32).into_iter().chain([("numeric_scale", Cell::Int(0))])),
        "int8" => row.extend(number(64).into_iter().chain([("numeric_scale", Cell::Int(0))])),
        "float4" => row.extend(number(24)),
        "float8" => row.extend(number(53)),
        "numeric" if column.modifier >= 4 => {
            let digits = i64::from(column.modifier - 4);
            row.extend([
                ("numeric_precision", Cell::Int(digits >> 16)),
                ("numeric_precision_radix", Cell::Int(10)),
                ("numeric_scale", Cell::Int(digits & 0xffff)),
            ]);
        }
        "timestamp" | "timestamptz" | "time" => {
            let digits = if column.modifier >= 0 { i64::from(column.modifier) } else { 6 };
            row.push(("datetime_precision", digits.into()));
        }
        "date" => row.push(("datetime_precision", Cell::Int(0))),
        "text" | "varchar" => row.push(("character_octet_length", Cell::Int(1 << 30))),
        _ => {}
    }
    debug_assert!(TYPES_BY_OID.contains_key(&column.type_oid), "a column has a type that pg_type does not have");
    row
}

fn constraint(relation: &RelationFact, facts: &Facts) -> Row {
    let database = &facts.identity.database;
    vec![
        ("constraint_catalog", database.clone().into()),
        ("constraint_schema", "public".into()),
        ("constraint_name", relation.key_name().into()),
        ("table_catalog", database.clone().into()),
        ("table_schema", "public".into()),
        ("table_name", relation.name.clone().into()),
        ("constraint_type", "PRIMARY KEY".into()),
        ("is_deferrable", "NO".into()),
        ("initially_deferred", "NO".into()),
        ("enforced", "YES".into()),
    ]
}

fn key_columns(relation: &RelationFact, facts: &Facts) -> Vec<Row> {
    let database = &facts.identity.database;
    let row = |(n, name): (i64, String)| {
        vec![
            ("constraint_catalog", database.clone().into()),
            ("constraint_schema", "public".into()),
            ("constraint_name", relation.key_name().into()),
            ("table_catalog", database.clone().into()),
            ("table_schema", "public".into()),
            ("table_name", relation.name.clone().into()),
            ("column_name", name.into()),
            ("ordinal_position", n.into()),
        ]
    };
    (1_i64..).zip(relation.key_columns()).map(row).collect()
}

fn privileges(relation: &RelationFact, facts: &Facts) -> Vec<Row> {
    let owner = facts.owner(&relation.name);
    let mut held: Vec<(String, Privilege, bool)> = Privilege::OF_TABLES.map(|privilege| (owner.clone(), privilege, true)).to_vec();
    for (role, granted) in facts.server.roles.granted(ObjectKind::Relation, &relation.name) {
        let grantee = if role == PUBLIC { "PUBLIC".to_owned() } else { role };
        held.extend(granted.into_iter().map(|privilege| (grantee.clone(), privilege, false)));
    }
    let yes = |truth: bool| Cell::from(if truth { "YES" } else { "NO" });
    let row = |(grantee, privilege, is_owner): (String, Privilege, bool)| {
        vec![
            ("grantor", owner.clone().into()),
            ("grantee", grantee.into()),
            ("table_catalog", facts.identity.database.clone().into()),
            ("table_schema", "public".into()),
            ("table_name", relation.name.clone().into()),
            ("privilege_type", privilege.word().into()),
            ("is_grantable", yes(is_owner)),
            ("with_hierarchy", yes(privilege == Privilege::Select)),
        ]
    };
    held.into_iter().map(row).collect()
}
