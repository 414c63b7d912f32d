//! `TABLE(ML_PREDICT(TABLE t, MODEL m, DESCRIPTOR(a, b)))`: the rows of `t` with the columns of the prediction behind; and
//! `TABLE(ML_EVALUATE(TABLE t, MODEL m, DESCRIPTOR(y), DESCRIPTOR(a, b)))`: one row that says how right the model is.
//!
//! Both become queries over `predict_all` before anything is planned:
//! `SELECT input.*, get_field(predict_all('m', input.a, input.b), 'label') AS label, … FROM (SELECT * FROM t) AS input` and
//! `SELECT count(*) AS rows, accuracy(y, get_field(p, 'label')) AS accuracy, … FROM (SELECT input.y AS y, predict_all(…) AS p FROM …)`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, ObjectNamePart, Query, TableFactor, VisitMut as _, VisitorMut,
};
use millstream_sql::error::{SqlError, SqlErrorKind, SqlResult};
use millstream_sql::parse::{identifier_text, parse_query};

use super::function::{PREDICT_ALL, PREDICT_LABEL, PREDICT_PROBABILITIES};
use super::pinned::{Pin, PinnedModels};
use super::shape::{ModelShape, ResultSource};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Predict,
    Evaluate,
}

impl Call {
    fn of(name: &ObjectName) -> Option<Self> {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return None };
        [Self::Predict, Self::Evaluate].into_iter().find(|call| ident.value.eq_ignore_ascii_case(call.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Predict => "ML_PREDICT",
            Self::Evaluate => "ML_EVALUATE",
        }
    }

    fn form(self) -> &'static str {
        match self {
            Self::Predict => "ML_PREDICT(TABLE t, MODEL m, DESCRIPTOR(a, b))",
            Self::Evaluate => "ML_EVALUATE(TABLE t, MODEL m, DESCRIPTOR(label), DESCRIPTOR(a, b))",
        }
    }

    /// Names of the arguments.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Predict => &["input", "model", "args"],
            Self::Evaluate => &["input", "model", "label", "args"],
        }
    }

    fn wrong(self, what: impl std::fmt::Display) -> SqlError {
        SqlError::new(SqlErrorKind::Syntax, format!("{} {what}", self.name())).with_hint(self.form())
    }
}

/// Rewrites every ML_PREDICT and ML_EVALUATE of the query, also in its subqueries.
pub(crate) fn rewrite_table_functions(query: &mut Query, models: &PinnedModels) -> SqlResult<()> {
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

impl Rewriter<'_> {
    fn rewritten(&self, factor: &mut TableFactor) -> SqlResult<Option<TableFactor>> {
        let (call, args, alias) = match factor {
            TableFactor::Table { name, args: Some(args), alias, .. } => (Call::of(name), &args.args, alias),
            TableFactor::Function { name, args, alias, .. } => (Call::of(name), &*args, alias),
            TableFactor::TableFunction { expr: Expr::Function(function), alias } => match (Call::of(&function.name), &function.args) {
                (Some(call), FunctionArguments::List(list)) => (Some(call), &list.args, alias),
                (Some(call), _) => return Err(call.wrong("needs arguments")),
                (None, _) => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Some(call) = call else { return Ok(None) };
        let subquery = self.query(call, args)?;
        Ok(Some(TableFactor::Derived { lateral: false, subquery, alias: alias.take(), sample: None }))
    }

    fn query(&self, call: Call, args: &[FunctionArg]) -> SqlResult<Box<Query>> {
        let args = in_order(call, args)?;
        let [input, model, .., features] = args.as_slice() else { return Err(call.wrong("needs arguments")) };
        let Expr::Subquery(input) = unnested(input) else { return Err(call.wrong(format!("takes a table first: got {input}"))) };
        let Expr::Identifier(model) = unnested(model) else { return Err(call.wrong(format!("takes a model second: got {model}"))) };
        let model = identifier_text(model);
        let features = descriptor(call, "features", unnested(features))?;
        let Some(pin) = self.models.get(&model) else {
            let names = self.models.names();
            let hint = match millstream_connectors::options::did_you_mean(&model, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => "SHOW MODELS lists them".to_owned(),
            };
            return Err(SqlError::new(SqlErrorKind::Plan, format!("there is no model {model}")).with_hint(hint));
        };
        let features: Vec<String> = features.iter().map(|column| format!("ml_input.{column}")).collect();
        let predict = |function: &str| format!("{function}({}, {})", literal(&model), features.join(", "));
        let sql = match call {
            Call::Predict => {
                let call = predict(PREDICT_ALL);
                let column = |name: &String| format!("get_field({call}, {}) AS {}", literal(name), quoted(name));
                let columns: Vec<String> = pin.version.shape.columns.iter().map(|result| column(&result.name)).collect();
                format!("SELECT ml_input.*, {} FROM ({input}) AS ml_input", columns.join(", "))
            }
            Call::Evaluate => {
                let label = descriptor(call, "the label", unnested(args[2]))?;
                let [label] = label.as_slice() else { return Err(call.wrong(format!("takes one label: got {}", label.join(", ")))) };
                let judged = Judged::of(&pin)?;
                let (predictions, metrics) = judged.columns(&predict);
                format!(
                    "SELECT count(*) AS \"rows\", {metrics} FROM (SELECT ml_input.{label} AS ml_label, {predictions} FROM ({input}) AS ml_input) AS ml_judged"
                )
            }
        };
        Ok(parse_query(&sql)?.0)
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// How a model is judged, by what it gives.
enum Judged {
    /// By its numbers.
    Value,
    /// By its labels, and by how probable it finds the second of two.
    Binary { positive: String },
    /// By its labels.
    Classes,
}

impl Judged {
    fn of(pin: &Pin) -> SqlResult<Self> {
        let shape: &ModelShape = &pin.version.shape;
        if let Some(probabilities) = &shape.probabilities {
            return Ok(match &probabilities.from {
                ResultSource::Classes { classes, .. } if classes.len() == 2 => Self::Binary { positive: classes[1].clone() },
                _ => Self::Classes,
            });
        }
        if shape.value.data_type.is_floating() {
            return Ok(Self::Value);
        }
        let name = &pin.model.name;
        let error =
            SqlError::new(SqlErrorKind::Plan, format!("ML_EVALUATE does not know what is right for model {name}: it is of {}", shape.task));
        Err(error.with_hint(format!("compare what {name}(…) gives with accuracy(label, …) or mae(value, …)")))
    }

    /// What is computed for each row, and what of all rows.
    fn columns(&self, predict: &dyn Fn(&str) -> String) -> (String, String) {
        let (label, probabilities, value) = (predict(PREDICT_LABEL), predict(PREDICT_PROBABILITIES), predict("predict"));
        match self {
            Self::Value => {
                let metrics = ["mae", "rmse", "r2_score"].map(|metric| format!("{metric}(ml_label, ml_value) AS {metric}"));
                (format!("{value} AS ml_value"), metrics.join(", "))
            }
            Self::Binary { positive } => {
                let positive = literal(positive);
                let share = |metric: &str| format!("{metric}_score(ml_label, ml_predicted, 'binary', {positive}) AS {metric}");
                let of_score = |metric: &str| format!("{metric}(ml_label, ml_score, {positive}) AS {metric}");
                let metrics = [
                    "accuracy(ml_label, ml_predicted) AS accuracy".to_owned(),
                    share("precision"),
                    share("recall"),
                    share("f1"),
                    of_score("log_loss"),
                    of_score("roc_auc"),
                ];
                let predictions = format!("{label} AS ml_predicted, get_field({probabilities}, {positive}) AS ml_score");
                (predictions, metrics.join(", "))
            }
            Self::Classes => {
                let share =
                    |metric: &str, average: &str| format!("{metric}_score(ml_label, ml_predicted, '{average}') AS {metric}_{average}");
                let metrics = [
                    "accuracy(ml_label, ml_predicted) AS accuracy".to_owned(),
                    share("precision", "macro"),
                    share("recall", "macro"),
                    share("f1", "macro"),
                    share("f1", "weighted"),
                ];
                (format!("{label} AS ml_predicted"), metrics.join(", "))
            }
        }
    }
}

fn unnested(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// The arguments, by place or by name.
fn in_order(call: Call, args: &[FunctionArg]) -> SqlResult<Vec<&Expr>> {
    let names = call.arguments();
    let number = || call.wrong(format!("takes {} arguments, got {}", if names.len() == 3 { "three" } else { "four" }, args.len()));
    let mut places: Vec<Option<&Expr>> = vec![None; names.len()];
    for (at, arg) in args.iter().enumerate() {
        let (place, value) = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (at, value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                let known = names.iter().position(|known| name.value.eq_ignore_ascii_case(known));
                (known.ok_or_else(|| call.wrong(format!("has no argument named {name}")))?, value)
            }
            other => return Err(call.wrong(format!("cannot take {other}"))),
        };
        if places.get_mut(place).ok_or_else(number)?.replace(value).is_some() {
            return Err(call.wrong("has an argument twice"));
        }
    }
    places.into_iter().collect::<Option<Vec<_>>>().ok_or_else(number)
}

/// The columns of `DESCRIPTOR(a, b)`, as they are written.
fn descriptor(call: Call, what: &str, expr: &Expr) -> SqlResult<Vec<String>> {
    let bad = || call.wrong(format!("takes {what} as DESCRIPTOR(a, b): got {expr}"));
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
