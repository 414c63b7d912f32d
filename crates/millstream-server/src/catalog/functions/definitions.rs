//! Definitions and comments of what is here.

use super::{Entry, entry, number, text_at};
use crate::catalog::Facts;
use crate::catalog::facts::{RelationFact, quoted};
use crate::catalog::shape::Cell;

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Entry] = &[
    entry("pg_get_viewdef", "text", |facts, arguments| {
        let oid = number(arguments, 0).or_else(|| text_at(arguments, 0).and_then(|name| facts.relation_oid(name)));
        Ok(oid.and_then(|oid| facts.relation(oid)).and_then(|relation| relation.query()).map(|query| format!("{query};").into()))
    }),
    entry("pg_get_indexdef", "text", |facts, arguments| {
        let Some(relation) = key_of(facts, number(arguments, 0)) else { return Ok(None) };
        match number::<usize>(arguments, 1).filter(|column| *column > 0) {
            Some(column) => Ok(relation.key_columns().get(column - 1).map(|name| quoted(name).into())),
            None => Ok(Some(index_definition(&relation).into())),
        }
    }),
    entry("pg_get_constraintdef", "text", |facts, arguments| {
        let relation = key_of(facts, number(arguments, 0));
        Ok(relation.map(|relation| format!("PRIMARY KEY ({})", key_list(&relation)).into()))
    }),
    entry("pg_get_ruledef", "text", |facts, arguments| {
        let view = number::<u32>(arguments, 0).and_then(|oid| facts.relation(oid.wrapping_sub(1)));
        Ok(view.and_then(|view| view.query().map(|query| {
            format!("CREATE RULE \"_RETURN\" AS\n    ON SELECT TO public.{} DO INSTEAD {query};", quoted(&view.name)).into()
        })))
    }),
    entry("obj_description", "text", |facts, arguments| Ok(comment(facts, number(arguments, 0), 0))),
    entry("col_description", "text", |facts, arguments| Ok(number(arguments, 1).and_then(|column| comment(facts, number(arguments, 0), column)))),
    // What follows does not exist here, or has no definition: PostgreSQL gives NULL for that too.
    entry("shobj_description", "text", |_, _| Ok(None)),
    entry("pg_get_expr", "text", |_, arguments| Ok(text_at(arguments, 0).map(Cell::from))),
    entry("pg_get_serial_sequence", "text", |_, _| Ok(None)),
    entry("pg_get_triggerdef", "text", |_, _| Ok(None)),
    entry("pg_get_functiondef", "text", |_, _| Ok(None)),
    entry("pg_get_function_arguments", "text", |_, _| Ok(None)),
    entry("pg_get_function_identity_arguments", "text", |_, _| Ok(None)),
    entry("pg_get_function_result", "text", |_, _| Ok(None)),
    entry("pg_get_function_sqlbody", "text", |_, _| Ok(None)),
    entry("pg_partition_ancestors", "oid", |_, _| Ok(None)),
    entry("pg_partition_root", "oid", |_, _| Ok(None)),
    entry("pg_get_partkeydef", "text", |_, _| Ok(None)),
    entry("pg_get_statisticsobjdef", "text", |_, _| Ok(None)),
    entry("pg_get_statisticsobjdef_columns", "text", |_, _| Ok(None)),
    entry("pg_relation_is_publishable", "bool", |_, _| Ok(Some(false.into()))),
    entry("pg_relation_is_updatable", "int4", |_, _| Ok(Some(0_i64.into()))),
    entry("pg_column_is_updatable", "bool", |_, _| Ok(Some(false.into()))),
];

fn key_of(facts: &Facts, oid: Option<u32>) -> Option<RelationFact> {
    facts.relations().iter().find(|relation| oid.is_some() && relation.key_oid() == oid).cloned()
}

fn key_list(relation: &RelationFact) -> String {
    relation.key_columns().iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// The primary key as an index.
pub(in crate::catalog) fn index_definition(relation: &RelationFact) -> String {
    let (name, table) = (quoted(&relation.key_name()), quoted(&relation.name));
    format!("CREATE UNIQUE INDEX {name} ON public.{table} USING btree ({})", key_list(relation))
}

fn comment(facts: &Facts, oid: Option<u32>, column: usize) -> Option<Cell> {
    let relation = facts.relation(oid?)?;
    match column {
        0 => relation.comment.map(Cell::Text),
        n => relation.columns.get(n - 1)?.comment.clone().map(Cell::Text),
    }
}
