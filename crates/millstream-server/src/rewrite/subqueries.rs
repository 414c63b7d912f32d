//! Subqueries that give one value: `(SELECT x FROM … WHERE outer = inner)` in a select list, and `ARRAY(SELECT x …)`.
//!
//! The planner turns a correlated subquery into a join, and for that it must know that at most one row comes: an aggregate says so.
//! (PostgreSQL fails when more come; here it is one of them.)

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, VisitMut,
    VisitorMut,
};

use super::call;

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut Subqueries);
    Ok(())
}

struct Subqueries;

impl VisitorMut for Subqueries {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Subquery(query) => aggregate(query, "first_value"),
            Expr::Function(function) if is_array_subquery(function) => {
                if let FunctionArguments::Subquery(query) = &mut function.args {
                    let mut query = query.clone();
                    aggregate(&mut query, "array_agg");
                    *expr = call("coalesce", vec![Expr::Subquery(query), call("make_array", vec![])]);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn is_array_subquery(function: &Function) -> bool {
    function.name.to_string().eq_ignore_ascii_case("array") && matches!(function.args, FunctionArguments::Subquery(_))
}

/// Puts an aggregate around the one column of a plain SELECT, with the query's order in it.
fn aggregate(query: &mut Query, name: &str) {
    let order = match &query.order_by {
        None => Vec::new(),
        Some(order) => match &order.kind {
            OrderByKind::Expressions(order) => order.clone(),
            OrderByKind::All(_) => return,
        },
    };
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if !is_plain(select) || query.with.is_some() {
        return;
    }
    let [item] = select.projection.as_mut_slice() else { return };
    let (SelectItem::UnnamedExpr(inner) | SelectItem::ExprWithAlias { expr: inner, .. }) = item else { return };
    if has_aggregate(inner) {
        return;
    }
    let positional = order.iter().any(|by| matches!(&by.expr, Expr::Value(_)));
    let mut replaced = call(name, vec![inner.clone()]);
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut replaced
        && !order.is_empty()
        && !positional
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
    *item = SelectItem::UnnamedExpr(replaced);
    query.order_by = None;
    if name == "first_value" {
        query.limit_clause = None;
    }
}

/// Rows of tables, with nothing that makes one of many already.
fn is_plain(select: &Select) -> bool {
    select.distinct.is_none()
        && select.having.is_none()
        && !select.from.is_empty()
        && matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
}

/// Whether the expression makes one value of many rows, or many rows of one.
fn has_aggregate(expr: &Expr) -> bool {
    const AGGREGATES: &[&str] = &[
        "count",
        "sum",
        "min",
        "max",
        "avg",
        "array_agg",
        "string_agg",
        "bool_and",
        "bool_or",
        "every",
        "json_agg",
        "first_value",
        "last_value",
        "unnest",
        "generate_series",
    ];
    let mut expr = expr.clone();
    let mut found = Finder { names: AGGREGATES, found: false };
    let _ = VisitMut::visit(&mut expr, &mut found);
    found.found
}

struct Finder {
    names: &'static [&'static str],
    found: bool,
}

impl VisitorMut for Finder {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            let name = function.name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
            self.found |= name.is_some_and(|name| self.names.contains(&name.as_str()));
        }
        ControlFlow::Continue(())
    }
}
