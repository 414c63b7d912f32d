//! `LIKE … ESCAPE '/'`, `pg_catalog.f(x)`, `OPERATOR(pg_catalog.~)`, `COLLATE pg_catalog.default`, and functions that are written without brackets.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, ObjectNamePart, Query, VisitMut, VisitorMut};

use super::{call, string};

/// Words that are functions in PostgreSQL; current_date and its kin the planner knows.
const BARE_FUNCTIONS: &[&str] =
    &["current_schema", "current_catalog", "current_user", "session_user", "user", "current_role", "current_database"];

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut Qualifiers);
    Ok(())
}

struct Qualifiers;

impl VisitorMut for Qualifiers {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => {
                let is_system = |part: &ObjectNamePart| {
                    let name = part.as_ident().map(|ident| ident.value.to_lowercase());
                    name.is_some_and(|name| name == "pg_catalog" || name == "information_schema")
                };
                if function.name.0.len() == 2 && is_system(&function.name.0[0]) {
                    function.name.0.remove(0);
                }
            }
            Expr::BinaryOp { op, .. } => {
                if let BinaryOperator::PGCustomBinaryOperator(parts) = op
                    && let Some(plain) = parts.last().and_then(|sign| operator(sign))
                {
                    *op = plain;
                }
            }
            // The planner knows the backslash only.
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                let sign = escape_char.as_ref().and_then(|value| value.value.clone().into_string()).filter(|sign| sign != "\\");
                if let Some(sign) = sign {
                    if !sign.is_empty() {
                        **pattern = call("replace", vec![pattern.as_ref().clone(), string(&sign), string("\\")]);
                    }
                    *escape_char = None;
                }
            }
            Expr::Collate { expr: inner, .. } => *expr = inner.as_ref().clone(),
            Expr::Identifier(ident) if ident.quote_style.is_none() => {
                let name = ident.value.to_lowercase();
                if BARE_FUNCTIONS.contains(&name.as_str()) {
                    *expr = call(&name, vec![]);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn operator(sign: &str) -> Option<BinaryOperator> {
    Some(match sign {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        ">" => BinaryOperator::Gt,
        "<=" => BinaryOperator::LtEq,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "||" => BinaryOperator::StringConcat,
        _ => return None,
    })
}
