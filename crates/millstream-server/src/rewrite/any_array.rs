//! `x = ANY (array)` and `x <> ALL (array)`: membership in a list, also one written as text (`'{r,v}'`).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Array, BinaryOperator, Expr, Query, SetExpr, UnaryOperator, VisitMut, VisitorMut};

use super::{call, literal_text, string};
use crate::values::array_parts;

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut AnyArray);
    Ok(())
}

struct AnyArray;

impl VisitorMut for AnyArray {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let replaced = match expr {
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => Some(member(left, right, false)),
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => Some(member(left, right, true)),
            _ => None,
        };
        if let Some(replaced) = replaced {
            *expr = replaced;
        }
        ControlFlow::Continue(())
    }
}

fn member(left: &Expr, right: &Expr, negated: bool) -> Expr {
    let right = match right {
        Expr::Nested(inner) => inner.as_ref(),
        right => right,
    };
    if let Expr::Subquery(query) = right
        && matches!(query.body.as_ref(), SetExpr::Select(_) | SetExpr::SetOperation { .. })
    {
        return Expr::InSubquery { expr: Box::new(left.clone()), subquery: query.clone(), negated };
    }
    if let Some(list) = elements(right) {
        return match list.is_empty() {
            true => Expr::Value(datafusion::sql::sqlparser::ast::Value::Boolean(negated).into()),
            false => Expr::InList { expr: Box::new(left.clone()), list, negated },
        };
    }
    let has = call("array_has", vec![right.clone(), left.clone()]);
    match negated {
        true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(has) },
        false => has,
    }
}

/// The elements of an array that is written out.
fn elements(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Array(Array { elem, .. }) => Some(elem.clone()),
        Expr::Cast { expr: inner, .. } if matches!(inner.as_ref(), Expr::Array(_)) => elements(inner),
        _ => {
            let parts = array_parts(literal_text(expr)?).ok()?;
            let null = || Expr::Value(datafusion::sql::sqlparser::ast::Value::Null.into());
            Some(parts.into_iter().map(|part| part.map_or_else(null, |text| string(&text))).collect())
        }
    }
}
