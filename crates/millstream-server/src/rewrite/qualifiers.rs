//! `LIKE … ESCAPE '/'`, `pg_catalog.f(x)`, `OPERATOR(pg_catalog.~)`, `COLLATE pg_catalog.default`, and functions that are written without brackets.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectNamePart, Query, Value,
    VisitMut, VisitorMut,
};

use super::{call, string};

/// Words that are functions in PostgreSQL; current_date and its kin the planner knows.
const BARE_FUNCTIONS: &[&str] =
    &["current_schema", "current_catalog", "current_user", "session_user", "user", "current_role", "current_database"];

/// True for `current_schema` and its kin.
pub(super) fn is_call_without_parentheses(word: &Ident) -> bool {
    word.quote_style.is_none() && BARE_FUNCTIONS.contains(&word.value.to_lowercase().as_str())
}

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
                if function.name.to_string().eq_ignore_ascii_case("generate_subscripts")
                    && let FunctionArguments::List(list) = &function.args
                    && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(array))) = list.args.first()
                {
                    *expr = subscripts(array);
                }
            }
            Expr::BinaryOp { op, left, right } => {
                if let (Some(array), BinaryOperator::Eq | BinaryOperator::NotEq) = (array_text(left, right), &*op) {
                    (*left, *right) =
                        (Box::new(call("array_to_string", vec![left.as_ref().clone(), string(",")])), Box::new(string(&array)));
                }
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

/// The places of an array's elements, as rows.
fn subscripts(array: &Expr) -> Expr {
    let length = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(call("array_length", vec![array.clone()])),
        data_type: DataType::BigInt(None),
        array: false,
        format: None,
    };
    let one = Expr::Value(Value::Number("1".to_owned(), false).into());
    call("unnest", vec![call("generate_series", vec![one, length])])
}

/// The elements of an array in text form that a column of arrays of the catalog is compared with.
fn array_text(column: &Expr, text: &Expr) -> Option<String> {
    let inner = super::literal_text(text)?.strip_prefix('{')?.strip_suffix('}')?;
    let name = match column {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(parts) => parts.last()?,
        _ => return None,
    };
    crate::catalog::is_array_column(&name.value).then(|| inner.to_owned())
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
