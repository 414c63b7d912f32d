//! Vectors of the catalog count from 0, arrays from 1: `i.indkey[0]` is the first column of a key.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{AccessExpr, BinaryOperator, Expr, Query, Subscript, Value, VisitMut, VisitorMut};

/// Columns of type int2vector and oidvector.
const VECTORS: &[&str] =
    &["indkey", "indcollation", "indclass", "indoption", "proargtypes", "tgattr", "prattrs", "partattrs", "partclass", "partcollation"];

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut Vectors);
    Ok(())
}

struct Vectors;

impl VisitorMut for Vectors {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr {
            let mut is_vector = names_vector(root);
            for access in access_chain {
                match access {
                    AccessExpr::Dot(name) => is_vector = names_vector(name),
                    AccessExpr::Subscript(Subscript::Index { index }) if is_vector => {
                        let one = Expr::Value(Value::Number("1".to_owned(), false).into());
                        let place = Expr::Nested(Box::new(index.clone()));
                        *index = Expr::BinaryOp { left: Box::new(place), op: BinaryOperator::Plus, right: Box::new(one) };
                        is_vector = false;
                    }
                    AccessExpr::Subscript(_) => is_vector = false,
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn names_vector(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        Expr::Nested(inner) => return names_vector(inner),
        _ => None,
    };
    name.is_some_and(|name| VECTORS.contains(&name.value.to_lowercase().as_str()))
}
