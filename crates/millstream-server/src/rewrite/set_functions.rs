//! Functions that give rows in a select list: `generate_series(1, n)`, `_pg_expandarray(keys)`. The planner makes rows of `unnest` only.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut};

use super::call;

/// Functions that give an array here, and rows in PostgreSQL.
const FUNCTIONS: &[&str] = &["generate_series", "_pg_expandarray"];

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut SetFunctions);
    Ok(())
}

struct SetFunctions;

impl VisitorMut for SetFunctions {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        each_select(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // `(keys).n`: brackets are of no use once it is read.
        if let Expr::CompoundFieldAccess { root, access_chain } = expr
            && let [AccessExpr::Dot(Expr::Identifier(field))] = access_chain.as_slice()
            && let Expr::Nested(inner) = root.as_ref()
        {
            let name = if field.quote_style.is_some() { field.value.clone() } else { field.value.to_lowercase() };
            *expr = call("get_field", vec![inner.as_ref().clone(), super::string(&name)]);
        }
        ControlFlow::Continue(())
    }
}

fn each_select(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => unnest_functions(select),
        SetExpr::SetOperation { left, right, .. } => {
            each_select(left);
            each_select(right);
        }
        _ => {}
    }
}

fn unnest_functions(select: &mut Select) {
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        unnest(expr);
    }
}

fn unnest(expr: &mut Expr) {
    match expr {
        Expr::Cast { expr: inner, .. } | Expr::Nested(inner) => unnest(inner),
        Expr::Function(function) => {
            let name = function.name.to_string().to_lowercase();
            if FUNCTIONS.contains(&name.as_str()) {
                *expr = call("unnest", vec![expr.clone()]);
            } else if name == "get_field"
                && let datafusion::sql::sqlparser::ast::FunctionArguments::List(list) = &mut function.args
                && let Some(datafusion::sql::sqlparser::ast::FunctionArg::Unnamed(datafusion::sql::sqlparser::ast::FunctionArgExpr::Expr(
                    first,
                ))) = list.args.first_mut()
            {
                unnest(first);
            }
        }
        _ => {}
    }
}
