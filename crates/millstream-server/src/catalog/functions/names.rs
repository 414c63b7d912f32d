//! Numbers to names and back: relations, types, roles, schemas, functions.

use super::{Entry, entry, number, text_at};
use crate::catalog::builtin::{FUNCTIONS as PROCS, TYPES, TYPES_BY_OID};
use crate::catalog::facts::{INFORMATION_SCHEMA_OID, PG_CATALOG_OID, PUBLIC_OID};
use crate::catalog::shape::{Cell, SHAPES};
use crate::error::WireError;

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Entry] = &[
    entry("format_type", "text", |_, arguments| Ok(number(arguments, 0).map(|oid| format_type(oid, number(arguments, 1)).into()))),
    entry("pg_get_userbyid", "name", |facts, arguments| Ok(number::<u32>(arguments, 0).map(|oid| {
        facts.role_name(oid).unwrap_or_else(|| format!("unknown (OID={oid})")).into()
    }))),
    entry("pg_table_is_visible", "bool", |_, arguments| Ok(number::<u32>(arguments, 0).map(|oid| {
        (!SHAPES.values().any(|shape| shape.oid == oid && shape.schema_name != "pg_catalog")).into()
    }))),
    entry("pg_type_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_function_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_operator_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_opclass_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_opfamily_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_collation_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_conversion_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_statistics_obj_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_ts_config_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_ts_dict_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_ts_parser_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    entry("pg_ts_template_is_visible", "bool", |_, _| Ok(Some(true.into()))),
    // `x::regclass` and its kin; `rewrite/reg_casts.rs` makes calls of the casts.
    entry("to_regclass", "oid", |facts, arguments| Ok(text_at(arguments, 0).and_then(|name| facts.relation_oid(name)).map(Cell::Oid))),
    entry("regclass_in", "oid", |facts, arguments| match text_at(arguments, 0) {
        None => Ok(None),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(digits.parse().ok().map(Cell::Oid)),
        Some(name) => match facts.relation_oid(name) {
            Some(oid) => Ok(Some(Cell::Oid(oid))),
            None => Err(WireError::new("42P01", format!("relation \"{name}\" does not exist"))),
        },
    }),
    entry("regclass_out", "text", |facts, arguments| Ok(text_at(arguments, 0).map(|text| match text.parse() {
        Ok(0) => "-".into(),
        Ok(oid) => facts.relation_name(oid).unwrap_or_else(|| text.to_owned()).into(),
        Err(_) => text.into(),
    }))),
    // At the top of a select list the name itself is shown, under the type that clients expect.
    entry("regclass_show", "regclass", |facts, arguments| Ok(text_at(arguments, 0).map(|text| match text.parse() {
        Ok(0) => "-".into(),
        Ok(oid) => facts.relation_name(oid).unwrap_or_else(|| text.to_owned()).into(),
        Err(_) => text.into(),
    }))),
    entry("regtype_show", "regtype", |_, arguments| Ok(text_at(arguments, 0).map(|text| match text.parse() {
        Ok(0) => "-".into(),
        Ok(oid) => format_type(oid, None).into(),
        Err(_) => text.into(),
    }))),
    entry("regproc_show", "regproc", |_, arguments| Ok(text_at(arguments, 0).map(|text| match text.parse() {
        Ok(0) => "-".into(),
        Ok(oid) => PROCS.get(&oid).cloned().unwrap_or_else(|| text.to_owned()).into(),
        Err(_) => text.into(),
    }))),
    entry("regtype_array", "_text", |_, arguments| Ok(text_at(arguments, 0).map(|list| {
        let numbers = list.trim_matches(['{', '}']).split(',').filter(|number| !number.is_empty());
        Cell::Texts(numbers.map(|number| number.parse().map_or_else(|_| number.to_owned(), |oid| format_type(oid, None))).collect())
    }))),
    entry("pg_basetype", "oid", |_, arguments| {
        Ok(number::<u32>(arguments, 0).and_then(|oid| TYPES_BY_OID.get(&oid)).map(|fact| Cell::Oid(if fact.base == 0 { fact.oid } else { fact.base })))
    }),
    entry("to_regtype", "oid", |_, arguments| Ok(text_at(arguments, 0).and_then(type_oid).map(Cell::Oid))),
    entry("regtype_in", "oid", |_, arguments| match text_at(arguments, 0) {
        None => Ok(None),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(digits.parse().ok().map(Cell::Oid)),
        Some(name) => type_oid(name).map(|oid| Some(Cell::Oid(oid))).ok_or_else(|| WireError::new("42704", format!("type \"{name}\" does not exist"))),
    }),
    entry("regtype_out", "text", |_, arguments| Ok(text_at(arguments, 0).map(|text| match text.parse() {
        Ok(0) => "-".into(),
        Ok(oid) => format_type(oid, None).into(),
        Err(_) => text.into(),
    }))),
    // The catalog's columns of functions hold their names.
    entry("regproc_in", "text", |_, arguments| Ok(text_at(arguments, 0).map(|text| match text.parse() {
        Ok(oid) => PROCS.get(&oid).cloned().unwrap_or_else(|| text.to_owned()).into(),
        Err(_) => text.strip_prefix("pg_catalog.").unwrap_or(text).into(),
    }))),
    entry("regproc_oid", "oid", |_, arguments| Ok(text_at(arguments, 0).map(|name| {
        Cell::Oid(PROCS.iter().find(|(_, proc)| *proc == name).map_or(0, |(oid, _)| *oid))
    }))),
    entry("regproc_out", "text", |_, arguments| Ok(text_at(arguments, 0).map(|text| match text.parse() {
        Ok(0) => "-".into(),
        Ok(oid) => PROCS.get(&oid).cloned().unwrap_or_else(|| text.to_owned()).into(),
        Err(_) => text.into(),
    }))),
    entry("regnamespace_in", "oid", |_, arguments| match text_at(arguments, 0) {
        None => Ok(None),
        Some("public") => Ok(Some(Cell::Oid(PUBLIC_OID))),
        Some("pg_catalog") => Ok(Some(Cell::Oid(PG_CATALOG_OID))),
        Some("information_schema") => Ok(Some(Cell::Oid(INFORMATION_SCHEMA_OID))),
        Some(text) => match text.parse() {
            Ok(oid) => Ok(Some(Cell::Oid(oid))),
            Err(_) => Err(WireError::new("42704", format!("schema \"{text}\" does not exist"))),
        },
    }),
    entry("regnamespace_out", "text", |_, arguments| Ok(text_at(arguments, 0).map(|text| match text.parse::<u32>() {
        Ok(PUBLIC_OID) => "public".into(),
        Ok(PG_CATALOG_OID) => "pg_catalog".into(),
        Ok(INFORMATION_SCHEMA_OID) => "information_schema".into(),
        _ => text.into(),
    }))),
    entry("regrole_in", "oid", |facts, arguments| match text_at(arguments, 0) {
        None => Ok(None),
        Some(text) => match (text.parse(), facts.roles().into_iter().find(|(_, name)| *name == text.trim_matches('"'))) {
            (Ok(oid), _) | (Err(_), Some((oid, _))) => Ok(Some(Cell::Oid(oid))),
            (Err(_), None) => Err(WireError::new("42704", format!("role \"{text}\" does not exist"))),
        },
    }),
    entry("regrole_out", "text", |facts, arguments| Ok(text_at(arguments, 0).map(|text| {
        text.parse::<u32>().ok().and_then(|oid| facts.role_name(oid)).unwrap_or_else(|| text.to_owned()).into()
    }))),
];

/// The number of a type by its SQL or catalog name.
fn type_oid(name: &str) -> Option<u32> {
    let name = name.trim().trim_matches('"').to_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    let (base, is_array) = name.strip_suffix("[]").map_or((name, false), |base| (base, true));
    let base = SQL_NAMES.iter().find(|(_, sql)| *sql == base).map_or(base, |(name, _)| name);
    let key = if is_array { format!("_{base}") } else { base.to_owned() };
    TYPES.get(&key).map(|fact| fact.oid)
}

/// Types whose SQL name is not that of the catalog.
const SQL_NAMES: &[(&str, &str)] = &[
    ("bool", "boolean"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("varchar", "character varying"),
    ("bpchar", "character"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("time", "time without time zone"),
    ("timetz", "time with time zone"),
    ("varbit", "bit varying"),
    ("char", "\"char\""),
];

/// A type as SQL writes it: `numeric(18,4)`, `text[]`.
pub(in crate::catalog) fn format_type(oid: u32, modifier: Option<i32>) -> String {
    let Some(fact) = TYPES_BY_OID.get(&oid) else { return if oid == 0 { "-".to_owned() } else { "???".to_owned() } };
    if fact.name.starts_with('_') && fact.element != 0 {
        return format!("{}[]", format_type(fact.element, modifier));
    }
    let name = SQL_NAMES.iter().find(|(name, _)| *name == fact.name).map_or(fact.name.as_str(), |(_, sql)| sql);
    let modifier = modifier.filter(|modifier| *modifier >= 0);
    match (fact.name.as_str(), modifier) {
        ("numeric", Some(modifier)) if modifier >= 4 => format!("numeric({},{})", (modifier - 4) >> 16, (modifier - 4) & 0xffff),
        ("varchar" | "bpchar", Some(modifier)) if modifier >= 4 => format!("{name}({})", modifier - 4),
        ("timestamp" | "timestamptz" | "time", Some(digits)) => match name.split_once(' ') {
            Some((word, rest)) => format!("{word}({digits}) {rest}"),
            None => name.to_owned(),
        },
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_sql_names() {
        for (oid, modifier, name) in [
            (20, None, "bigint"),
            (1700, Some(((18 << 16) | 8) + 4), "numeric(18,8)"),
            (1009, None, "text[]"),
            (1114, Some(3), "timestamp(3) without time zone"),
            (1184, Some(-1), "timestamp with time zone"),
            (18, None, "\"char\""),
        ] {
            assert_eq!(format_type(oid, modifier), name);
        }
        assert_eq!((type_oid("bigint[]"), type_oid("pg_catalog.int4"), type_oid("nope")), (Some(1016), Some(23), None));
    }
}
