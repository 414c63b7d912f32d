//! LEARN in FROM, brought to one form and read back when the relation is planned.
//!
//! ```text
//! TABLE(LEARN(TABLE t PARTITION BY k, MODEL m, DESCRIPTOR(a, b), DESCRIPTOR(y)))
//!     ──▶  TABLE(__learn((SELECT * FROM t), m, (a, b), (y), (k)))
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query,
    SetExpr, TableAlias, TableFactor, Value, Visit, Visitor,
};

use crate::error::{SqlError, SqlErrorKind, SqlResult};

use super::dialect::select_all_from;

const LEARN: &str = "__learn";
const FORM: &str = "FROM TABLE(LEARN(TABLE t, MODEL m, DESCRIPTOR(feature_1, feature_2), DESCRIPTOR(label)))";

/// LEARN in FROM: each row with the prediction that was made before the model learned it.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnCall {
    /// The rows.
    pub input: Box<Query>,
    /// The model.
    pub model: Ident,
    /// Columns of `input` that are the model's features, in its order; empty: those of the model's own names.
    pub features: Vec<Ident>,
    /// The column that is the label; `None`: that of the model's own name, if it has one.
    pub label: Option<Ident>,
    /// The column of which each value has a model of its own; `None`: that of the model's own name, if it has one.
    pub key: Option<Ident>,
    /// The relation's alias.
    pub alias: Option<TableAlias>,
}

/// True if a LEARN of the query, in the form that [`rewrite_windows`](super::rewrite_windows) leaves, has an ORDER BY in its input.
pub fn learns_in_order(query: &Query) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            match LearnCall::from_table_factor(factor) {
                Some(Ok(call)) if call.input.order_by.is_some() => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    query.visit(&mut Finder).is_break()
}

/// Rewrites a LEARN; false if the relation is something else.
pub(super) fn rewrite_learn(factor: &mut TableFactor) -> SqlResult<bool> {
    let is_learn =
        |name: &ObjectName| matches!(name.0.as_slice(), [ObjectNamePart::Identifier(ident)] if ident.value.eq_ignore_ascii_case("LEARN"));
    let call = match factor {
        TableFactor::Table { name, args: Some(args), alias, .. } if is_learn(name) => read(&args.args, alias.take())?,
        TableFactor::Function { name, args, alias, .. } if is_learn(name) => read(args, alias.take())?,
        TableFactor::TableFunction { expr: Expr::Function(function), alias } if is_learn(&function.name) => match &function.args {
            FunctionArguments::List(list) => read(&list.args, alias.take())?,
            _ => return Err(wrong("needs arguments")),
        },
        _ => return Ok(false),
    };
    *factor = call.into_factor();
    Ok(true)
}

/// The error of a LEARN that is no relation: a call of a function may run twice, or never.
pub(super) fn learn_in_expression(function: &Function) -> Option<SqlError> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
    name.value.eq_ignore_ascii_case("LEARN").then(|| wrong("changes its model with every row: it stands in FROM").with_span(name.span))
}

fn wrong(what: impl std::fmt::Display) -> SqlError {
    SqlError::new(SqlErrorKind::Syntax, format!("LEARN {what}")).with_hint(FORM)
}

fn read(args: &[FunctionArg], alias: Option<TableAlias>) -> SqlResult<LearnCall> {
    let mut values = Vec::new();
    for arg in args {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => values.push(expr),
            FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. } => values.push(expr),
            other => return Err(wrong(format!("cannot take {other} as an argument"))),
        }
    }
    let (input, model, descriptors) = match values.as_slice() {
        [input, model, descriptors @ ..] if descriptors.len() <= 2 => (input, model, descriptors),
        _ => return Err(wrong(format!("takes two to four arguments, got {}", args.len()))),
    };
    let features = descriptors.first().map_or(Ok(Vec::new()), |expr| columns(expr))?;
    let mut labels = descriptors.get(1).map_or(Ok(Vec::new()), |expr| columns(expr))?;
    if labels.len() > 1 {
        return Err(wrong(format!("takes one label, got {}", labels.len())));
    }
    let (input, key) = rows(input)?;
    Ok(LearnCall { input, model: model_name(model)?, features, label: labels.pop(), key, alias })
}

/// The rows, and the column after PARTITION BY.
fn rows(expr: &Expr) -> SqlResult<(Box<Query>, Option<Ident>)> {
    match expr {
        Expr::Nested(inner) => rows(inner),
        Expr::Subquery(query) => {
            let mut query = query.clone();
            let keys = match query.body.as_mut() {
                SetExpr::Select(select) => std::mem::take(&mut select.distribute_by),
                _ => Vec::new(),
            };
            match keys.as_slice() {
                [] => Ok((query, None)),
                [Expr::Identifier(key)] => Ok((query, Some(key.clone()))),
                _ => Err(wrong("takes one column after PARTITION BY, a model for each of its values")),
            }
        }
        Expr::Identifier(ident) => Ok((select_all_from(ObjectName::from(vec![ident.clone()]))?, None)),
        Expr::CompoundIdentifier(parts) => Ok((select_all_from(ObjectName::from(parts.clone()))?, None)),
        other => Err(wrong(format!("needs a table, a view or a subquery first, got {other}"))),
    }
}

fn model_name(expr: &Expr) -> SqlResult<Ident> {
    match expr {
        Expr::Identifier(ident) => Ok(ident.clone()),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(name) => Ok(Ident { value: name.clone(), quote_style: Some('"'), span: value.span }),
            _ => Err(wrong(format!("needs a model second, got {expr}"))),
        },
        other => Err(wrong(format!("needs a model second, got {other}"))),
    }
}

/// `DESCRIPTOR(a, b)`
fn columns(expr: &Expr) -> SqlResult<Vec<Ident>> {
    let error = || wrong(format!("needs DESCRIPTOR with names of columns, got {expr}"));
    let Expr::Function(function) = expr else { return Err(error()) };
    if !function.name.to_string().eq_ignore_ascii_case("DESCRIPTOR") {
        return Err(error());
    }
    let FunctionArguments::List(list) = &function.args else { return Err(error()) };
    let name = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(ident))) => Ok(ident.clone()),
        _ => Err(error()),
    };
    list.args.iter().map(name).collect()
}

impl LearnCall {
    /// Reads the form that [`rewrite_windows`](super::rewrite_windows) leaves; `None` for any other relation.
    pub fn from_table_factor(factor: &TableFactor) -> Option<SqlResult<Self>> {
        let TableFactor::TableFunction { expr: Expr::Function(function), alias } = factor else { return None };
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
        if name.value != LEARN {
            return None;
        }
        Some(Self::read(function, alias.clone()).ok_or_else(|| {
            SqlError::new(SqlErrorKind::Internal, format!("{function} is no LEARN"))
                .with_hint("names that start with two underscores are reserved; use LEARN")
                .with_span(name.span)
        }))
    }

    fn read(function: &Function, alias: Option<TableAlias>) -> Option<Self> {
        let FunctionArguments::List(list) = &function.args else { return None };
        let [input, model, features, label, key] = list.args.as_slice() else { return None };
        let expr = |arg: &FunctionArg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        };
        let names = |arg: &FunctionArg| match expr(arg)? {
            Expr::Tuple(list) => list.into_iter().map(|expr| if let Expr::Identifier(ident) = expr { Some(ident) } else { None }).collect(),
            _ => None::<Vec<Ident>>,
        };
        let (Expr::Subquery(input), Expr::Identifier(model)) = (expr(input)?, expr(model)?) else { return None };
        Some(Self { input, model, features: names(features)?, label: names(label)?.pop(), key: names(key)?.pop(), alias })
    }

    fn into_factor(self) -> TableFactor {
        let tuple = |names: Vec<Ident>| Expr::Tuple(names.into_iter().map(Expr::Identifier).collect());
        let (label, key) = (self.label.into_iter().collect(), self.key.into_iter().collect());
        let args = [Expr::Subquery(self.input), Expr::Identifier(self.model), tuple(self.features), tuple(label), tuple(key)];
        let args = args.into_iter().map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))).collect();
        let function = Function {
            name: ObjectName::from(vec![Ident::new(LEARN)]),
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
            filter: None,
            null_treatment: None,
            over: None,
            within_group: Vec::new(),
        };
        TableFactor::TableFunction { expr: Expr::Function(function), alias: self.alias }
    }
}
