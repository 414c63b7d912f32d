//! `x.tableoid`: the number of the relation that a row is of. It is the same for all rows of a table, so the name stands for it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SetExpr, TableFactor, VisitMut, VisitorMut};

use super::{call, string};

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut SystemColumns { tables: Vec::new() });
    Ok(())
}

/// The tables of the queries around the place that is visited, by alias.
struct SystemColumns {
    tables: Vec<Vec<(String, String)>>,
}

impl VisitorMut for SystemColumns {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let mut tables = Vec::new();
        named_tables(&query.body, &mut tables);
        self.tables.push(tables);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.tables.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let is_system = |ident: &Ident| ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("tableoid");
        let found = match expr {
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, column] if is_system(column) => {
                    let alias = table.value.to_lowercase();
                    self.tables.iter().rev().flatten().find(|(name, _)| *name == alias)
                }
                _ => None,
            },
            Expr::Identifier(ident) if is_system(ident) => match self.tables.last().map(Vec::as_slice) {
                Some([only]) => Some(only),
                _ => None,
            },
            _ => None,
        };
        if let Some((_, table)) = found {
            *expr = call("regclass_in", vec![string(table)]);
        }
        ControlFlow::Continue(())
    }
}

fn named_tables(body: &SetExpr, tables: &mut Vec<(String, String)>) {
    match body {
        SetExpr::Select(select) => {
            let factors =
                select.from.iter().flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
            for factor in factors {
                let TableFactor::Table { name, alias, args: None, .. } = factor else { continue };
                let last = name.0.last().and_then(|part| part.as_ident());
                if let Some(alias) = alias.as_ref().map(|alias| &alias.name).or(last) {
                    tables.push((alias.value.to_lowercase(), name.to_string()));
                }
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            named_tables(left, tables);
            named_tables(right, tables);
        }
        _ => {}
    }
}
