//! Columns are called as PostgreSQL calls them (`count`, `?column?`, `case`), and two of them may have the same name.
//!
//! The planner wants different names; a mark and a number behind the name make it so, and [`shown_name`] takes them off again.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Ident, Query, SelectItem, SetExpr, TrimWhereField, UnaryOperator, Value, VisitMut, VisitorMut,
};

/// Stands in no name that a person writes.
const MARK: char = '\u{1}';

/// The name without what made it different.
pub(crate) fn shown_name(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut Names);
    Ok(())
}

struct Names;

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        // ORDER BY may name the column that a cast is of: then the cast must not have its name.
        name_columns(&mut query.body, query.order_by.is_some());
        ControlFlow::Continue(())
    }
}

fn name_columns(body: &mut SetExpr, is_ordered: bool) {
    match body {
        SetExpr::Select(select) => {
            let mut taken = HashSet::new();
            let has_wildcard =
                select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
            for (n, item) in select.projection.iter_mut().enumerate() {
                let hides = is_ordered && matches!(item, SelectItem::UnnamedExpr(Expr::Cast { .. }));
                name_column(item, n, has_wildcard || hides, &mut taken);
            }
        }
        // Its first part names the columns of a union.
        SetExpr::SetOperation { left, .. } => name_columns(left, is_ordered),
        _ => {}
    }
}

fn name_column(item: &mut SelectItem, n: usize, has_wildcard: bool, taken: &mut HashSet<String>) {
    match item {
        SelectItem::UnnamedExpr(expr) => {
            let is_column = match expr {
                Expr::Identifier(ident) => !super::qualifiers::is_call_without_parentheses(ident),
                Expr::CompoundIdentifier(_) => true,
                _ => false,
            };
            let name = name_of(expr);
            // The same column of the same table twice is one name for the planner; of two tables it is two.
            let key = if is_column { expr.to_string().to_lowercase() } else { name.clone() };
            let is_new = taken.insert(key);
            if is_column && is_new && !has_wildcard {
                return;
            }
            let unique = if is_new && !has_wildcard { name } else { format!("{name}{MARK}{n}") };
            *item = SelectItem::ExprWithAlias { expr: typed(expr), alias: Ident::with_quote('"', unique) };
        }
        SelectItem::ExprWithAlias { expr, alias } => {
            *expr = typed(expr);
            let name = if alias.quote_style.is_some() { alias.value.clone() } else { alias.value.to_lowercase() };
            if !taken.insert(name.clone()) {
                *alias = Ident::with_quote('"', format!("{name}{MARK}{n}"));
            }
        }
        _ => {}
    }
}

/// A whole number by itself is an integer in PostgreSQL, where the planner makes it a bigint; a number that stands for a relation or
/// type is shown by its name.
fn typed(expr: &Expr) -> Expr {
    let is_small = |digits: &str| digits.parse::<i32>().is_ok();
    let as_integer = |expr: &Expr| Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr.clone()),
        data_type: DataType::Integer(None),
        array: false,
        format: None,
    };
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if is_small(digits) => as_integer(expr),
            _ => expr.clone(),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => match typed(inner) {
            Expr::Cast { .. } if matches!(inner.as_ref(), Expr::Value(_)) => as_integer(expr),
            _ => expr.clone(),
        },
        Expr::Cast { data_type, .. } => match super::casts::reg_type(data_type) {
            Some(name) if ["regclass", "regtype", "regproc"].contains(&name.as_str()) => {
                super::call(&format!("{name}_show"), vec![expr.clone()])
            }
            _ => match crate::values::type_of_sql(data_type).map(|pg_type| pg_type.name().to_owned()) {
                Some(name) if SHOWN_TYPES.contains(&name.as_str()) => super::call(&format!("{name}_show"), vec![expr.clone()]),
                _ => expr.clone(),
            },
        },
        _ => expr.clone(),
    }
}

/// Types of text that a cast at the top of a select list says, and that the planner does not tell from text.
const SHOWN_TYPES: &[&str] = &["varchar", "name", "json", "jsonb", "uuid"];

/// The name that PostgreSQL gives.
fn name_of(expr: &Expr) -> String {
    inner_name(expr).unwrap_or_else(|| "?column?".to_owned())
}

fn inner_name(expr: &Expr) -> Option<String> {
    let fixed = |name: &str| Some(name.to_owned());
    match expr {
        Expr::Identifier(ident) => Some(ident_name(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(ident_name),
        Expr::Function(function) => {
            let name = function.name.0.last().and_then(|part| part.as_ident())?;
            Some(ident_name(name))
        }
        Expr::Cast { expr: inner, data_type, .. } => {
            // An array is called as its elements are.
            let type_name = || crate::values::type_of_sql(data_type).map(|pg_type| pg_type.name().trim_start_matches('_').to_owned());
            strong_name(inner).or_else(type_name)
        }
        Expr::TypedString(typed) => crate::values::type_of_sql(&typed.data_type).map(|pg_type| pg_type.name().to_owned()),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => inner_name(inner),
        Expr::Case { else_result, .. } => else_result.as_ref().and_then(|expr| inner_name(expr)).or_else(|| fixed("case")),
        Expr::Exists { .. } => fixed("exists"),
        Expr::Extract { .. } => fixed("extract"),
        Expr::Substring { .. } => fixed("substring"),
        Expr::Trim { trim_where, .. } => fixed(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        Expr::Position { .. } => fixed("position"),
        Expr::Overlay { .. } => fixed("overlay"),
        Expr::Ceil { .. } => fixed("ceil"),
        Expr::Floor { .. } => fixed("floor"),
        Expr::AtTimeZone { .. } => fixed("timezone"),
        Expr::Interval(_) => fixed("interval"),
        Expr::Array(_) => fixed("array"),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) => inner_name(expr),
                SelectItem::ExprWithAlias { alias, .. } => Some(ident_name(alias)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The name that outlasts a cast: that of a column or function within, but not that of a type or of CASE.
fn strong_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Cast { expr: inner, .. } | Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => strong_name(inner),
        Expr::Case { else_result, .. } => else_result.as_ref().and_then(|expr| strong_name(expr)),
        Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => None,
        _ => inner_name(expr),
    }
}

fn ident_name(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}
