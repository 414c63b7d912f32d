//! `(WITH RECURSIVE … pg_type …)`: the walk from a domain to the type it is made of, for each type of an outer query.
//!
//! The planner cannot run a recursive query once for each row; the walk is the function `pg_basetype` of newer PostgreSQL.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query, Select, SelectItem, SetExpr, TableFactor, VisitMut, VisitorMut};

use super::call;

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut BaseTypes);
    Ok(())
}

struct BaseTypes;

impl VisitorMut for BaseTypes {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Subquery(query) = expr
            && let Some(start) = start_of_walk(query)
        {
            *expr = call("pg_basetype", vec![start]);
        }
        ControlFlow::Continue(())
    }
}

/// The type from which a query walks along `typbasetype`.
fn start_of_walk(query: &Query) -> Option<Expr> {
    let with = query.with.as_ref().filter(|with| with.recursive)?;
    let [walk] = with.cte_tables.as_slice() else { return None };
    let SetExpr::SetOperation { left, right, .. } = walk.query.body.as_ref() else { return None };
    let (SetExpr::Select(first), SetExpr::Select(next)) = (left.as_ref(), right.as_ref()) else { return None };
    if !(takes_base_type(first) && takes_base_type(next)) {
        return None;
    }
    let Some(Expr::BinaryOp { left, op: BinaryOperator::Eq, right }) = &first.selection else { return None };
    let Expr::CompoundIdentifier(parts) = left.as_ref() else { return None };
    parts.last()?.value.eq_ignore_ascii_case("oid").then(|| right.as_ref().clone())
}

/// `SELECT t.typbasetype … FROM pg_type t`
fn takes_base_type(select: &Select) -> bool {
    let first = match select.projection.first() {
        Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => expr,
        _ => return false,
    };
    let is_base = match first {
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|part| part.value.eq_ignore_ascii_case("typbasetype")),
        Expr::Identifier(ident) => ident.value.eq_ignore_ascii_case("typbasetype"),
        _ => false,
    };
    let reads_types = select.from.first().is_some_and(|from| match &from.relation {
        TableFactor::Table { name, args: None, .. } => {
            name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.value.eq_ignore_ascii_case("pg_type"))
        }
        _ => false,
    });
    is_base && reads_types
}
