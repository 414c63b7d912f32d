//! Which PostgreSQL type the columns of a planned query have, where Arrow's type does not say it.
//!
//! Arrow knows no `name`, `jsonb` or `varchar`, and the planner makes every whole number a bigint. So a column is followed down the
//! plan to the table that declares it, or to the expression that makes it, and PostgreSQL's rules are applied to that. Whatever is
//! found must fit the values; otherwise Arrow's type stands.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{JoinType, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

use super::pg_type::{Column, PgType, columns_of};

/// A column of a table, as the table declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) pg_type: PgType,
    pub(crate) modifier: i32,
    pub(crate) table: u32,
    pub(crate) number: i16,
}

/// Knows columns by table and name; `None`: what the Arrow type says is all there is.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str, &str) -> Option<Declared>;

/// Columns of a planned query.
pub(crate) fn columns_of_plan(plan: &LogicalPlan, declared: Lookup<'_>) -> Vec<Column> {
    let schema = plan.schema().as_arrow();
    let mut columns = columns_of(schema);
    for (n, (column, field)) in columns.iter_mut().zip(schema.fields()).enumerate() {
        match of_output(plan, n, declared) {
            Some(Found::Column(found)) if found.pg_type.fits(field.data_type()) => {
                column.pg_type = found.pg_type;
                (column.modifier, column.table, column.number) = (found.modifier, found.table, found.number);
            }
            Some(Found::Type(found)) if found.fits(field.data_type()) => column.pg_type = found,
            _ => {}
        }
    }
    columns
}

/// The type of a column with which a parameter is compared, where the planner takes it for text.
pub(crate) fn type_beside(expr: &Expr, input: &LogicalPlan, declared: Lookup<'_>) -> Option<PgType> {
    let found = of_expr(expr, input, declared)?;
    found.pg_type().filter(|pg_type| [PgType::UUID, PgType::JSON, PgType::JSONB].contains(pg_type)).cloned()
}

/// What is known about a column.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    /// It is a table's.
    Column(Declared),
    Type(PgType),
    /// NULL, which takes the type of what stands beside it.
    Null,
}

impl Found {
    fn pg_type(&self) -> Option<&PgType> {
        match self {
            Self::Column(declared) => Some(&declared.pg_type),
            Self::Type(pg_type) => Some(pg_type),
            Self::Null => None,
        }
    }

    /// As the result of an expression: of the column's type, but no longer the column.
    fn value(self) -> Self {
        match self {
            Self::Column(declared) => Self::Type(declared.pg_type),
            other => other,
        }
    }
}

/// The `n`-th column of a plan.
fn of_output(plan: &LogicalPlan, n: usize, declared: Lookup<'_>) -> Option<Found> {
    match plan {
        LogicalPlan::Projection(projection) => of_expr(projection.expr.get(n)?, &projection.input, declared),
        LogicalPlan::Filter(filter) => of_output(&filter.input, n, declared),
        LogicalPlan::Sort(sort) => of_output(&sort.input, n, declared),
        LogicalPlan::Limit(limit) => of_output(&limit.input, n, declared),
        LogicalPlan::SubqueryAlias(alias) => of_output(&alias.input, n, declared),
        LogicalPlan::Subquery(subquery) => of_output(&subquery.subquery, n, declared),
        LogicalPlan::Distinct(distinct) => of_output(distinct.input(), n, declared),
        LogicalPlan::Window(window) => match n.checked_sub(window.input.schema().fields().len()) {
            None => of_output(&window.input, n, declared),
            Some(n) => of_expr(window.window_expr.get(n)?, &window.input, declared),
        },
        LogicalPlan::Aggregate(aggregate) => {
            if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
                return None;
            }
            let expr = aggregate.group_expr.iter().chain(&aggregate.aggr_expr).nth(n)?;
            of_expr(expr, &aggregate.input, declared)
        }
        LogicalPlan::Join(join) => {
            let width = join.left.schema().fields().len();
            match join.join_type {
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full if n >= width => {
                    of_output(&join.right, n - width, declared)
                }
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => of_output(&join.right, n, declared),
                _ if n < width => of_output(&join.left, n, declared),
                _ => None,
            }
        }
        // What is not made rows of passes through.
        LogicalPlan::Unnest(unnest) => {
            let source = *unnest.dependency_indices.get(n)?;
            let is_list = unnest.list_type_columns.iter().any(|(list, _)| *list == source);
            let is_kept = !is_list && !unnest.struct_type_columns.contains(&source);
            is_kept.then(|| of_output(&unnest.input, source, declared)).flatten()
        }
        LogicalPlan::Union(union) => {
            let inputs = union.inputs.iter().map(|input| of_output(input, n, declared).or_else(|| of_field(input, n)));
            common(inputs.collect::<Option<Vec<_>>>()?)
        }
        LogicalPlan::Values(values) => common(values.values.iter().map(|row| of_literal(row.get(n)?)).collect::<Option<Vec<_>>>()?),
        LogicalPlan::TableScan(scan) => {
            let field = scan.projected_schema.field(n);
            declared(scan.table_name.table(), field.name()).map(Found::Column).or_else(|| of_field(plan, n))
        }
        _ => None,
    }
}

/// What the field of a column says.
fn of_field(plan: &LogicalPlan, n: usize) -> Option<Found> {
    plan.schema().fields().get(n).map(|field| Found::Type(PgType::from_field(field)))
}

/// An expression over the rows of a plan.
fn of_expr(expr: &Expr, input: &LogicalPlan, declared: Lookup<'_>) -> Option<Found> {
    let value = |expr: &Expr| of_expr(expr, input, declared).map(Found::value);
    match expr {
        Expr::Alias(alias) => of_expr(&alias.expr, input, declared),
        Expr::Column(column) => {
            let n = input.schema().maybe_index_of_column(column)?;
            of_output(input, n, declared).or_else(|| of_field(input, n))
        }
        Expr::Literal(..) => of_literal(expr),
        // A cast says what its result is, where the field would still tell the type of what was cast.
        Expr::Cast(cast) => Some(Found::Type(PgType::from_field(&cast.field))),
        Expr::TryCast(cast) => Some(Found::Type(PgType::from_field(&cast.field))),
        Expr::Negative(inner) => value(inner),
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(case.else_expr.as_deref());
            common(results.map(value).collect::<Option<Vec<_>>>()?)
        }
        Expr::BinaryExpr(binary) if is_arithmetic(binary.op) => {
            let found = common(vec![value(&binary.left)?, value(&binary.right)?])?;
            found.pg_type().is_some_and(PgType::is_integer).then_some(found)
        }
        Expr::ScalarFunction(function) => match function.name() {
            "coalesce" | "greatest" | "least" => common(function.args.iter().map(value).collect::<Option<Vec<_>>>()?),
            // Takes the type of what stands beside it.
            "make_array" if function.args.is_empty() => Some(Found::Null),
            "nullif" => value(function.args.first()?),
            _ => of_plain(expr, input),
        },
        Expr::AggregateFunction(function) => {
            let argument = || function.params.args.first().and_then(value);
            match function.func.name() {
                "min" | "max" | "first_value" | "last_value" | "nth_value" => argument(),
                "array_agg" => argument().and_then(|found| found.pg_type().map(|pg_type| Found::Type(pg_type.array()))),
                _ => of_plain(expr, input),
            }
        }
        Expr::WindowFunction(function) => of_window(function, &value).or_else(|| of_plain(expr, input)),
        Expr::ScalarSubquery(subquery) => of_output(&subquery.subquery, 0, declared).map(Found::value),
        _ => of_plain(expr, input),
    }
}

fn of_window(function: &WindowFunction, value: &dyn Fn(&Expr) -> Option<Found>) -> Option<Found> {
    match function.fun.name() {
        "row_number" | "rank" | "dense_rank" => Some(Found::Type(PgType::INT8)),
        "ntile" => Some(Found::Type(PgType::INT4)),
        "lag" | "lead" | "first_value" | "last_value" | "nth_value" | "min" | "max" => value(function.params.args.first()?),
        _ => None,
    }
}

/// What the planner says.
fn of_plain(expr: &Expr, input: &LogicalPlan) -> Option<Found> {
    use datafusion::logical_expr::ExprSchemable;
    expr.to_field(input.schema()).ok().map(|(_, field)| Found::Type(PgType::from_field(&field)))
}

/// A whole number is an integer if it is small enough.
fn of_literal(expr: &Expr) -> Option<Found> {
    let value = match expr {
        Expr::Literal(value, _) => value,
        Expr::Alias(alias) => return of_literal(&alias.expr),
        Expr::Negative(inner) => return of_literal(inner),
        Expr::Cast(cast) => return Some(Found::Type(PgType::from_field(&cast.field))),
        _ => return None,
    };
    if value.is_null() {
        return Some(if value.data_type().is_null() { Found::Null } else { Found::Type(PgType::from_arrow(&value.data_type())) });
    }
    Some(Found::Type(match value {
        ScalarValue::Int64(Some(number)) if i32::try_from(*number).is_ok() => PgType::INT4,
        other => PgType::from_arrow(&other.data_type()),
    }))
}

fn is_arithmetic(operator: Operator) -> bool {
    matches!(operator, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}

/// The type of alternatives: of a union, of CASE. `None`: the planner's choice stands.
fn common(found: Vec<Found>) -> Option<Found> {
    let mut chosen: Option<PgType> = None;
    for pg_type in found.iter().filter_map(Found::pg_type) {
        chosen = Some(match chosen {
            None => pg_type.clone(),
            Some(chosen) if chosen == *pg_type => chosen,
            // All of them are text; the first says which.
            Some(chosen) if chosen.is_text() && pg_type.is_text() => chosen,
            Some(chosen) => chosen.wider(pg_type)?,
        });
    }
    Some(chosen.map_or(Found::Null, Found::Type))
}

impl PgType {
    const NUMBERS: [Self; 6] = [Self::INT2, Self::INT4, Self::INT8, Self::NUMERIC, Self::FLOAT4, Self::FLOAT8];

    fn rank(&self) -> Option<usize> {
        Self::NUMBERS.iter().position(|number| number == self)
    }

    fn wider(&self, other: &Self) -> Option<Self> {
        let rank = self.rank()?.max(other.rank()?);
        Some(Self::NUMBERS[rank].clone())
    }

    pub(super) fn is_integer(&self) -> bool {
        self.rank().is_some_and(|rank| rank < 3)
    }

    fn is_text(&self) -> bool {
        ["text", "varchar", "name", "bpchar"].contains(&self.name())
    }

    /// Whether values of an Arrow type can be sent as this type.
    fn fits(&self, data_type: &DataType) -> bool {
        let arrow = Self::from_arrow(data_type);
        let named = Field::new("", data_type.clone(), true)
            .with_metadata(std::collections::HashMap::from([(super::PG_TYPE.to_owned(), self.name().to_owned())]));
        let is_number = arrow.is_integer() || *data_type == DataType::UInt64;
        Self::from_field(&named) == *self || (self.is_integer() && is_number) || data_type.is_null()
    }
}
