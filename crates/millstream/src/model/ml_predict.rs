//! `TABLE(ML_PREDICT(TABLE t, MODEL m, DESCRIPTOR(a, b)))`: the rows of `t` with the columns of the prediction behind.
//!
//! It becomes a query over `predict_all`, before anything is planned:
//! `SELECT input.*, get_field(predict_all('m', input.a, input.b), 'label') AS label, … FROM (SELECT * FROM t) AS input`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, ObjectNamePart, Query, TableFactor, VisitMut as _, VisitorMut,
};
use millstream_sql::error::{SqlError, SqlErrorKind, SqlResult};
use millstream_sql::parse::{identifier_text, parse_query};

use super::function::PREDICT_ALL;
use super::pinned::PinnedModels;

const FORM: &str = "ML_PREDICT(TABLE t, MODEL m, DESCRIPTOR(a, b))";

/// Rewrites every ML_PREDICT of the query, also in its subqueries.
pub(crate) fn rewrite_ml_predict(query: &mut Query, models: &PinnedModels) -> SqlResult<()> {
    match query.visit(&mut Rewriter { models }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Rewriter<'a> {
    models: &'a PinnedModels,
}

impl VisitorMut for Rewriter<'_> {
    type Break = SqlError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        match self.rewritten(factor) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(query)) => {
                *factor = query;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn is_ml_predict(name: &ObjectName) -> bool {
    matches!(name.0.as_slice(), [ObjectNamePart::Identifier(ident)] if ident.value.eq_ignore_ascii_case("ml_predict"))
}

fn wrong(what: impl std::fmt::Display) -> SqlError {
    SqlError::new(SqlErrorKind::Syntax, format!("ML_PREDICT {what}")).with_hint(FORM)
}

impl Rewriter<'_> {
    fn rewritten(&self, factor: &mut TableFactor) -> SqlResult<Option<TableFactor>> {
        let (args, alias) = match factor {
            TableFactor::Table { name, args: Some(args), alias, .. } if is_ml_predict(name) => (&args.args, alias),
            TableFactor::Function { name, args, alias, .. } if is_ml_predict(name) => (&*args, alias),
            TableFactor::TableFunction { expr: Expr::Function(function), alias } if is_ml_predict(&function.name) => match &function.args {
                FunctionArguments::List(list) => (&list.args, alias),
                _ => return Err(wrong("needs arguments")),
            },
            _ => return Ok(None),
        };
        let subquery = self.query(args)?;
        Ok(Some(TableFactor::Derived { lateral: false, subquery, alias: alias.take(), sample: None }))
    }

    fn query(&self, args: &[FunctionArg]) -> SqlResult<Box<Query>> {
        let [input, model, features] = three(args)?;
        let Expr::Subquery(input) = unnested(input) else { return Err(wrong(format!("takes a table first: got {input}"))) };
        let Expr::Identifier(model) = unnested(model) else { return Err(wrong(format!("takes a model second: got {model}"))) };
        let model = identifier_text(model);
        let features = descriptor(unnested(features))?;
        let Some(pin) = self.models.get(&model) else {
            let error = SqlError::new(SqlErrorKind::Plan, format!("there is no model {model}"));
            return Err(error.with_hint("SHOW MODELS lists them"));
        };
        let features: Vec<String> = features.iter().map(|column| format!("ml_input.{column}")).collect();
        let call = format!("{PREDICT_ALL}('{}', {})", model.replace('\'', "''"), features.join(", "));
        let column = |name: &String| format!("get_field({call}, '{}') AS \"{}\"", name.replace('\'', "''"), name.replace('"', "\"\""));
        let columns: Vec<String> = pin.version.shape.columns.iter().map(|result| column(&result.name)).collect();
        let sql = format!("SELECT ml_input.*, {} FROM ({input}) AS ml_input", columns.join(", "));
        Ok(parse_query(&sql)?.0)
    }
}

fn unnested(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// The arguments, by place or by name.
fn three(args: &[FunctionArg]) -> SqlResult<[&Expr; 3]> {
    let mut places: [Option<&Expr>; 3] = [None; 3];
    for (at, arg) in args.iter().enumerate() {
        let (place, value) = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (at, value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                let known = ["input", "model", "args"].iter().position(|known| name.value.eq_ignore_ascii_case(known));
                (known.ok_or_else(|| wrong(format!("has no argument named {name}")))?, value)
            }
            other => return Err(wrong(format!("cannot take {other}"))),
        };
        let slot = places.get_mut(place).ok_or_else(|| wrong(format!("takes three arguments, got {}", args.len())))?;
        if slot.replace(value).is_some() {
            return Err(wrong("has an argument twice"));
        }
    }
    match places {
        [Some(input), Some(model), Some(features)] => Ok([input, model, features]),
        _ => Err(wrong(format!("takes three arguments, got {}", args.len()))),
    }
}

/// The columns of `DESCRIPTOR(a, b)`, as they are written.
fn descriptor(expr: &Expr) -> SqlResult<Vec<String>> {
    let bad = || wrong(format!("takes the features as DESCRIPTOR(a, b): got {expr}"));
    let Expr::Function(function) = expr else { return Err(bad()) };
    let FunctionArguments::List(list) = &function.args else { return Err(bad()) };
    if !function.name.to_string().eq_ignore_ascii_case("descriptor") || list.args.is_empty() {
        return Err(bad());
    }
    let column = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(column))) => Ok(column.to_string()),
        _ => Err(bad()),
    };
    list.args.iter().map(column).collect()
}
