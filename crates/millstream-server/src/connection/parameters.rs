//! Parameters of a statement: how many, of which types, and the statement with their values in it.
//!
//! A type is, in this order: what the client said; what a cast says (`$1::int`); the column of an INSERT's VALUES; LIMIT's bigint; what
//! the planner finds beside it (`auction = $1`); text, where PostgreSQL takes text too. A parameter without any of them is an error,
//! since clients encode by the type.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::{self, Expr, SetExpr, Value, VisitMut, VisitorMut};
use millstream::Session;
use millstream_sql::parse::{Insert, Statement, identifier_text, parse_expression};

use crate::error::{Result, WireError};
use crate::server::ServerState;
use crate::statement::{Command, Rows, WireStatement};
use crate::values::{Format, Lookup, PgType, parameter_literal, type_beside, type_of_sql};

/// Most parameters of a statement, as in PostgreSQL.
const PARAMETERS_MAX: usize = 65_535;

/// The types of all parameters.
pub(super) async fn types_of(
    server: &ServerState,
    session: &Session,
    statement: &WireStatement,
    given: &[Option<PgType>],
) -> Result<Vec<PgType>> {
    let mut statement = statement.clone();
    let mut finder = Finder::default();
    visit(&mut statement, &mut finder);
    if let Some(wrong) = finder.wrong {
        return Err(WireError::new("42P02", format!("there is no parameter {wrong}")));
    }
    let count = finder.count.max(given.len());
    let unknown = |given: &Option<PgType>| given.clone().filter(|pg_type| *pg_type != PgType::UNKNOWN);
    let mut types: Vec<Option<PgType>> = (0..count).map(|n| given.get(n).and_then(unknown)).collect();
    let fill = |types: &mut Vec<Option<PgType>>, found: HashMap<usize, PgType>| {
        for (n, pg_type) in found {
            if let Some(place) = types.get_mut(n)
                && place.is_none()
            {
                *place = Some(pg_type);
            }
        }
    };
    fill(&mut types, finder.cast);
    if types.iter().all(Option::is_some) {
        return Ok(types.into_iter().flatten().collect());
    }
    if let Command::InsertReturning { insert, .. } = &statement.command
        && let Statement::Insert(insert) = &insert.statement
    {
        fill(&mut types, of_insert(server, insert));
    }
    if let Command::Engine(parsed) = &statement.command {
        match &parsed.statement {
            Statement::Insert(insert) => fill(&mut types, of_insert(server, insert)),
            Statement::Query(_) => {
                let found = of_query(server, session, &statement, &types).await?;
                fill(&mut types, found);
            }
            _ => {}
        }
    }
    let decided = types.into_iter().enumerate().map(|(n, pg_type)| {
        pg_type.ok_or_else(|| WireError::new("42P18", format!("could not determine data type of parameter ${}", n + 1)))
    });
    decided.collect()
}

/// The statement with expressions in the place of its parameters.
pub(super) fn bound(statement: &WireStatement, values: &[Expr]) -> Result<WireStatement> {
    let mut statement = statement.clone();
    if values.is_empty() {
        return Ok(statement);
    }
    let mut binder = Binder { values, leave_unknown: false, missing: None };
    visit(&mut statement, &mut binder);
    if let Some(missing) = binder.missing {
        return Err(WireError::new("42P02", format!("there is no parameter {missing}")));
    }
    // A pipeline is remembered by its text.
    if let Command::Engine(parsed) = &mut statement.command
        && let Statement::Insert(insert) = &parsed.statement
    {
        let columns: Vec<String> = insert.columns.iter().map(ToString::to_string).collect();
        let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
        parsed.text = format!("INSERT INTO {}{columns} {}", insert.table, insert.query.query);
    }
    Ok(statement)
}

/// The type that a text names.
pub(super) fn type_named(text: &str) -> Result<PgType> {
    let cast = parse_expression(&format!("CAST(NULL AS {text})")).ok();
    match cast {
        Some(Expr::Cast { data_type, .. }) => type_of_sql(&data_type),
        _ => None,
    }
    .ok_or_else(|| WireError::new("42704", format!("type \"{text}\" does not exist")))
}

/// An argument of EXECUTE.
pub(super) fn argument(text: &str, pg_type: &PgType) -> Result<Expr> {
    let expr = parse_expression(text).map_err(|error| WireError::of_engine(&error.into(), text, 0))?;
    if let Expr::Value(value) = &expr
        && let Value::SingleQuotedString(text) = &value.value
    {
        return parameter_literal(Some(text.as_bytes()), Format::Text, pg_type);
    }
    let data_type = crate::values::sql_type_name(pg_type);
    Ok(Expr::Cast { kind: ast::CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None })
}

fn visit(statement: &mut WireStatement, visitor: &mut impl VisitorMut) {
    let query = |query: &mut ast::Query, visitor: &mut _| drop(VisitMut::visit(query, visitor));
    match &mut statement.command {
        Command::Engine(parsed) => visit_parsed(&mut parsed.statement, visitor),
        Command::InsertReturning { insert, rows, .. } => {
            visit_parsed(&mut insert.statement, visitor);
            visit_parsed(&mut rows.statement, visitor);
        }
        Command::Declare { query: rows, .. } | Command::CopyOut { query: rows, .. } | Command::Subscribe(rows) => match rows.as_mut() {
            Rows::Query(parsed) | Rows::Subscription { query: parsed, .. } => {
                if let Statement::Query(select) = &mut parsed.statement {
                    query(&mut select.query, visitor);
                }
            }
        },
        _ => {}
    }
}

fn visit_parsed<V: VisitorMut>(statement: &mut Statement, visitor: &mut V) {
    match statement {
        Statement::Query(select) => drop(VisitMut::visit(&mut select.query, visitor)),
        Statement::Insert(insert) => drop(VisitMut::visit(&mut insert.query.query, visitor)),
        Statement::Explain(explain) => visit_parsed(&mut explain.statement, visitor),
        _ => {}
    }
}

/// The place of `$n`, from 0.
fn place_of(expr: &Expr) -> Option<Result<usize, String>> {
    let Expr::Value(value) = expr else { return None };
    let Value::Placeholder(name) = &value.value else { return None };
    let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
    Some(number.filter(|n| (1..=PARAMETERS_MAX).contains(n)).map(|n| n - 1).ok_or_else(|| name.clone()))
}

/// Counts parameters and notes what casts say.
#[derive(Default)]
struct Finder {
    count: usize,
    cast: HashMap<usize, PgType>,
    wrong: Option<String>,
}

impl VisitorMut for Finder {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        if let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            for expr in [limit.as_ref(), offset.as_ref().map(|offset| &offset.value)].into_iter().flatten() {
                if let Some(Ok(n)) = place_of(expr) {
                    self.cast.entry(n).or_insert(PgType::INT8);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match place_of(expr) {
            Some(Ok(n)) => self.count = self.count.max(n + 1),
            Some(Err(wrong)) => self.wrong = Some(wrong),
            None => {}
        }
        if let Expr::Cast { expr: inner, data_type, .. } = expr
            && let (Some(Ok(n)), Some(pg_type)) = (place_of(inner), type_of_sql(data_type))
        {
            self.cast.entry(n).or_insert(pg_type);
        }
        ControlFlow::Continue(())
    }
}

/// Puts values in the place of parameters.
struct Binder<'a> {
    values: &'a [Expr],
    leave_unknown: bool,
    missing: Option<String>,
}

impl VisitorMut for Binder<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match place_of(expr) {
            Some(Ok(n)) => match self.values.get(n) {
                Some(value) if self.leave_unknown && matches!(value, Expr::Value(_)) => {}
                Some(value) => *expr = value.clone(),
                None => self.missing = Some(format!("${}", n + 1)),
            },
            Some(Err(wrong)) => self.missing = Some(wrong),
            None => {}
        }
        ControlFlow::Continue(())
    }
}

/// Types of the columns that bare parameters in VALUES go into.
fn of_insert(server: &ServerState, insert: &Insert) -> HashMap<usize, PgType> {
    let mut found = HashMap::new();
    let name = insert.table.0.last().and_then(|part| part.as_ident()).map(identifier_text).unwrap_or_default();
    let Some(table) = server.declared.get(&server.engine, &name) else { return found };
    let columns: Vec<String> = match insert.columns.is_empty() {
        true => table.columns.iter().map(|column| column.name.clone()).collect(),
        false => insert.columns.iter().map(identifier_text).collect(),
    };
    let mut note = |n: usize, expr: &Expr| {
        let column = columns.get(n).and_then(|name| table.columns.iter().find(|column| column.name == *name));
        if let (Some(Ok(place)), Some(column)) = (place_of(expr), column) {
            found.entry(place).or_insert_with(|| column.pg_type.clone());
        }
    };
    match insert.query.query.body.as_ref() {
        SetExpr::Values(values) => {
            for row in &values.rows {
                row.content.iter().enumerate().for_each(|(n, expr)| note(n, expr));
            }
        }
        SetExpr::Select(select) => {
            for (n, item) in select.projection.iter().enumerate() {
                if let ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } = item {
                    note(n, expr);
                }
            }
        }
        _ => {}
    }
    found
}

/// What the planner finds out.
async fn of_query(
    server: &ServerState,
    session: &Session,
    statement: &WireStatement,
    types: &[Option<PgType>],
) -> Result<HashMap<usize, PgType>> {
    let literals = types.iter().map(|pg_type| match pg_type {
        Some(pg_type) => parameter_literal(None, Format::Text, pg_type),
        None => Ok(Expr::Value(Value::Null.into())),
    });
    let literals = literals.collect::<Result<Vec<_>>>()?;
    let mut known = statement.clone();
    visit(&mut known, &mut Binder { values: &literals, leave_unknown: true, missing: None });
    let Command::Engine(parsed) = &known.command else { return Ok(HashMap::new()) };
    let Statement::Query(select) = &parsed.statement else { return Ok(HashMap::new()) };
    match session.prepare(select, &known.text).await {
        Ok(prepared) => Ok(of_plan(prepared.plan(), &|table, column| server.declared.column(&server.engine, table, column))),
        // A function whose result depends on what is not known: PostgreSQL prefers text then, and so do clients.
        Err(_) => {
            let unknown = types.iter().enumerate().filter(|(_, pg_type)| pg_type.is_none());
            let as_text: HashMap<usize, PgType> = unknown.map(|(n, _)| (n, PgType::TEXT)).collect();
            let texts = types.iter().map(|pg_type| parameter_literal(None, Format::Text, pg_type.as_ref().unwrap_or(&PgType::TEXT)));
            let bound = bound(statement, &texts.collect::<Result<Vec<_>>>()?)?;
            let Command::Engine(parsed) = &bound.command else { return Ok(as_text) };
            let Statement::Query(select) = &parsed.statement else { return Ok(as_text) };
            let placed = |error| WireError::of_engine(&error, &statement.text, statement.offset);
            session.prepare(select, &bound.text).await.map_err(placed)?;
            Ok(as_text)
        }
    }
}

fn of_plan(plan: &LogicalPlan, declared: Lookup<'_>) -> HashMap<usize, PgType> {
    let mut found = HashMap::new();
    let number = |id: &str| id.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok()).and_then(|n| n.checked_sub(1));
    // Walking a plan fails only if the visitor does.
    let _ = plan.apply_with_subqueries(|node| {
        let is_projection = matches!(node, LogicalPlan::Projection(_));
        node.apply_expressions(|expr| {
            // PostgreSQL: a parameter that is a column of the result by itself is text.
            let bare = match expr {
                PlanExpr::Alias(alias) => alias.expr.as_ref(),
                expr => expr,
            };
            if is_projection
                && let PlanExpr::Placeholder(placeholder) = bare
                && let (Some(n), None) = (number(&placeholder.id), &placeholder.field)
            {
                found.entry(n).or_insert(PgType::TEXT);
            }
            expr.apply(|expr| {
                if let PlanExpr::BinaryExpr(binary) = expr {
                    for (side, other) in [(&binary.left, &binary.right), (&binary.right, &binary.left)] {
                        if let PlanExpr::Placeholder(placeholder) = side.as_ref()
                            && let (Some(n), Some(input)) = (number(&placeholder.id), node.inputs().first())
                            && let Some(pg_type) = type_beside(other, input, declared)
                        {
                            found.insert(n, pg_type);
                        }
                    }
                }
                if let PlanExpr::ScalarFunction(function) = expr {
                    for (n, argument) in function.args.iter().enumerate() {
                        if let PlanExpr::Placeholder(placeholder) = argument
                            && let (Some(place), None) = (number(&placeholder.id), &placeholder.field)
                        {
                            found.entry(place).or_insert_with(|| argument_type(function, n, node));
                        }
                    }
                }
                if let PlanExpr::Placeholder(placeholder) = expr
                    && let (Some(n), Some(field)) = (number(&placeholder.id), &placeholder.field)
                {
                    // What is compared with it may have said more.
                    found.entry(n).or_insert_with(|| PgType::from_field(field));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found
}

/// What a function takes at a place: an array of what is looked for in it, or else text.
fn argument_type(function: &ScalarFunction, place: usize, node: &LogicalPlan) -> PgType {
    let sought = function.args.get(1).filter(|_| place == 0 && function.name() == "array_has");
    let input = node.inputs().first().map(|input| std::sync::Arc::clone(input.schema()));
    let element = sought.zip(input).and_then(|(sought, schema)| sought.get_type(&schema).ok());
    element.map_or(PgType::TEXT, |element| PgType::from_arrow(&element).array())
}
