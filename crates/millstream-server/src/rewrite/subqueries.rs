//! Subqueries that give one value: `(SELECT x FROM … WHERE outer = inner)` in a select list, and `ARRAY(SELECT x …)`.
//!
//! The planner makes joins of correlated subqueries. One in a select list becomes a LEFT JOIN LATERAL, which may compare as it likes
//! (PostgreSQL fails when more than one row comes; here they are all there). Elsewhere the planner must know that at most one row comes:
//! an aggregate says so.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, LambdaFunction, LambdaFunctionParameter, LambdaSyntax,
    OneOrManyWithParens, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins,
    Value, VisitMut, VisitorMut,
};

use super::call;

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut Subqueries);
    Ok(())
}

struct Subqueries;

impl VisitorMut for Subqueries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        each_select(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Subquery(query) => aggregate(query, "first_value"),
            Expr::Function(function) if is_array_subquery(function) => {
                if let FunctionArguments::Subquery(query) = &mut function.args {
                    if let Some(transformed) = transformed(query) {
                        *expr = transformed;
                        return ControlFlow::Continue(());
                    }
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

/// Every SELECT of a union.
fn each_select(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
            if select.from.is_empty() || is_grouped {
                return;
            }
            if reads_nothing(select) {
                // There will be no row to evaluate them for.
                let _ = VisitMut::visit(&mut select.projection, &mut Nothing { always: true });
            }
            let _ = VisitMut::visit(&mut select.projection, &mut Nothing { always: false });
            let _ = VisitMut::visit(&mut select.projection, &mut Counted);
            join_laterally(select);
        }
        SetExpr::SetOperation { left, right, .. } => {
            each_select(left);
            each_select(right);
        }
        _ => {}
    }
}

/// `EXISTS (SELECT …)` in a select list as the number of rows, which the planner joins.
struct Counted;

impl VisitorMut for Counted {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Exists { subquery, negated } = expr else { return ControlFlow::Continue(()) };
        let mut query = subquery.clone();
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        if !is_plain(select) || query.with.is_some() || query.limit_clause.is_some() || select.projection.iter().any(item_has_aggregate) {
            return ControlFlow::Continue(());
        }
        query.order_by = None;
        let zero = Expr::Value(Value::Number("0".to_owned(), false).into());
        let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
        select.projection = vec![SelectItem::UnnamedExpr(call("count", vec![Expr::Value(Value::Number("1".to_owned(), false).into())]))];
        *expr = Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(Expr::Subquery(query)), op, right: Box::new(zero) }));
        ControlFlow::Continue(())
    }
}

/// Whether the query asks for foreign keys, which do not exist.
fn asks_for_foreign_keys(selection: &Expr) -> bool {
    match selection {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => asks_for_foreign_keys(left) || asks_for_foreign_keys(right),
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let column = match left.as_ref() {
                Expr::Identifier(ident) => ident,
                Expr::CompoundIdentifier(parts) => match parts.last() {
                    Some(ident) => ident,
                    None => return false,
                },
                _ => return false,
            };
            column.value.eq_ignore_ascii_case("contype") && super::literal_text(right) == Some("f")
        }
        Expr::Nested(inner) => asks_for_foreign_keys(inner),
        _ => false,
    }
}

/// Whether a relation that every row must come from never has any.
fn reads_nothing(select: &Select) -> bool {
    if select.selection.as_ref().is_some_and(asks_for_foreign_keys) {
        return true;
    }
    select.from.iter().any(|from| {
        let name = match &from.relation {
            TableFactor::Table { name, args: None, .. } => name.0.last().and_then(|part| part.as_ident()),
            _ => None,
        };
        let only_narrows = |join: &Join| {
            matches!(
                join.join_operator,
                JoinOperator::Join(_)
                    | JoinOperator::Inner(_)
                    | JoinOperator::Left(_)
                    | JoinOperator::LeftOuter(_)
                    | JoinOperator::CrossJoin(_)
            )
        };
        name.is_some_and(|name| crate::catalog::is_always_empty(&name.value.to_lowercase())) && from.joins.iter().all(only_narrows)
    })
}

/// NULL in the place of subqueries: of all, or of those that read what never has rows.
struct Nothing {
    always: bool,
}

impl VisitorMut for Nothing {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let null = |data_type: DataType| Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(Expr::Value(Value::Null.into())),
            data_type,
            array: false,
            format: None,
        };
        let is_array = matches!(expr, Expr::Function(function) if is_array_subquery(function));
        let is_void = |query: &Query| match query.body.as_ref() {
            SetExpr::Select(inner) => is_plain(inner) && reads_nothing(inner) && !inner.projection.iter().any(item_has_aggregate),
            _ => false,
        };
        if !self.always && !matches!(expr, Expr::Subquery(query) if is_void(query)) {
            return ControlFlow::Continue(());
        }
        let gives_array = |query: &Query| match query.body.as_ref() {
            SetExpr::Select(inner) => {
                let item = inner.projection.first().map(ToString::to_string).unwrap_or_default();
                item.to_lowercase().starts_with("array_agg(")
            }
            _ => false,
        };
        if is_array || matches!(expr, Expr::Subquery(query) if gives_array(query)) {
            *expr = null(DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None)));
        } else if let Expr::Subquery(query) = expr {
            *expr = match shown_type(query) {
                Some(name) => call(&format!("{name}_show"), vec![null(DataType::Text)]),
                None => null(DataType::Text),
            };
        }
        ControlFlow::Continue(())
    }
}

/// The type of what a subquery would give, if it is not text.
fn shown_type(query: &Query) -> Option<&'static str> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] = select.projection.as_slice() else {
        return None;
    };
    let Expr::Function(function) = value else { return None };
    match function.name.to_string().to_lowercase().as_str() {
        "json_build_object" => Some("json"),
        "regclass_show" | "regclass_in" => Some("regclass"),
        _ => None,
    }
}

/// Moves correlated subqueries of the select list to the end of FROM.
fn join_laterally(select: &mut Select) {
    let mut mover = Mover { moved: Vec::new() };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let _ = VisitMut::visit(expr, &mut mover);
        }
    }
    if mover.moved.is_empty() {
        return;
    }
    // All of FROM is one chain of joins, so that each of them sees all tables.
    let mut rest = select.from.split_off(1).into_iter();
    let Some(first) = select.from.first_mut() else { return };
    for TableWithJoins { relation, joins } in rest.by_ref() {
        first.joins.push(Join { relation, global: false, join_operator: JoinOperator::CrossJoin(JoinConstraint::None) });
        first.joins.extend(joins);
    }
    let always = Expr::Value(Value::Boolean(true).into());
    for relation in mover.moved {
        first.joins.push(Join { relation, global: false, join_operator: JoinOperator::LeftOuter(JoinConstraint::On(always.clone())) });
    }
}

struct Mover {
    moved: Vec<TableFactor>,
}

impl VisitorMut for Mover {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Subquery(query) = expr else { return ControlFlow::Continue(()) };
        let SetExpr::Select(inner) = query.body.as_ref() else { return ControlFlow::Continue(()) };
        let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] = inner.projection.as_slice() else {
            return ControlFlow::Continue(());
        };
        if query.limit_clause.is_some() || query.with.is_some() || !is_plain(inner) || has_aggregate(value) || !is_correlated(inner) {
            return ControlFlow::Continue(());
        }
        let alias = Ident::new(format!("subquery_{}", self.moved.len()));
        let column = Ident::new("value");
        let columns = vec![TableAliasColumnDef { name: column.clone(), data_type: None }];
        let mut subquery = query.clone();
        subquery.order_by = None;
        self.moved.push(TableFactor::Derived {
            lateral: true,
            subquery,
            alias: Some(TableAlias { explicit: true, name: alias.clone(), columns, at: None }),
            sample: None,
        });
        *expr = Expr::CompoundIdentifier(vec![alias, column]);
        ControlFlow::Continue(())
    }
}

/// Whether the subquery names a table that is not its own.
fn is_correlated(select: &Select) -> bool {
    let mut own = Vec::new();
    for table in select.from.iter().flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))) {
        match table {
            TableFactor::Table { name, alias, .. } => {
                let last = name.0.last().and_then(|part| part.as_ident());
                own.extend(alias.as_ref().map(|alias| &alias.name).or(last).map(|ident| ident.value.to_lowercase()));
            }
            TableFactor::Derived { alias: Some(alias), .. } => own.push(alias.name.value.to_lowercase()),
            // A function or something else: the planner sees what it can do.
            _ => return false,
        }
    }
    let mut foreign = Foreign { own, found: false };
    let _ = VisitMut::visit(&mut select.clone(), &mut foreign);
    foreign.found
}

struct Foreign {
    own: Vec<String>,
    found: bool,
}

impl VisitorMut for Foreign {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [.., table, _] = parts.as_slice()
        {
            self.found |= !self.own.contains(&table.value.to_lowercase());
        }
        ControlFlow::Continue(())
    }
}

fn is_array_subquery(function: &Function) -> bool {
    function.name.to_string().eq_ignore_ascii_case("array") && matches!(function.args, FunctionArguments::Subquery(_))
}

/// `SELECT f(x) FROM unnest(array) x` as `array_transform(array, x -> f(x))`: no rows are needed for that.
fn transformed(query: &Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [from] = select.from.as_slice() else { return None };
    let is_bare = query.order_by.is_none() && query.limit_clause.is_none() && select.selection.is_none() && from.joins.is_empty();
    let (array, name) = match &from.relation {
        TableFactor::UNNEST { array_exprs, alias: Some(alias), .. } => (array_exprs.first()?.clone(), alias.name.clone()),
        TableFactor::Table { name, args: Some(args), alias: Some(alias), .. } if name.to_string().eq_ignore_ascii_case("unnest") => {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(array)) = args.args.first()? else { return None };
            (array.clone(), alias.name.clone())
        }
        _ => return None,
    };
    let [SelectItem::UnnamedExpr(body) | SelectItem::ExprWithAlias { expr: body, .. }] = select.projection.as_slice() else { return None };
    if !is_bare {
        return None;
    }
    let lambda = Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::One(LambdaFunctionParameter { name, data_type: None }),
        body: Box::new(body.clone()),
        syntax: LambdaSyntax::Arrow,
    });
    Some(call("array_transform", vec![array, lambda]))
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

fn item_has_aggregate(item: &SelectItem) -> bool {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => has_aggregate(expr),
        _ => false,
    }
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
