//! Every spelling of a window table function becomes one.
//!
//! ```text
//! TABLE(TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND))  ┐
//! TABLE(TUMBLE(DATA => TABLE bids, TIMECOL => DESCRIPTOR(ts), …))  ├─▶ TABLE(__tumble((SELECT * FROM bids), ts,
//! TUMBLE(bids, ts, INTERVAL '10 seconds')                          ┘         10000, 10000, 0))
//! ```
//!
//! The input is a subquery even where it was a bare name: DataFusion collects the tables of a statement before it
//! plans, and looks into subqueries but not at names among arguments. Sizes are checked here, so that a wrong one is
//! told at its place. [`WindowCall::from_table_factor`](super::WindowCall) reads the result.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, ObjectNamePart, Query, SetExpr, Spanned as _, TableAlias,
    TableFactor, Value, VisitMut as _, VisitorMut,
};

use crate::error::{SqlError, SqlErrorKind, SqlResult, closest};

use super::dialect::select_all_from;
use super::interval::{interval_error, interval_ms};
use super::learn_call::{learn_in_expression, rewrite_learn};
use super::window_call::{Canonical, WindowKind};

/// Rewrites the window table functions of `query`, also in its subqueries, CTEs and joins; a second call changes
/// nothing.
///
/// # Errors
/// A window function with wrong arguments, or one that is not supported yet. The span counts as those of `query` do.
pub fn rewrite_windows(query: &mut Query) -> SqlResult<()> {
    match query.visit(&mut Rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(err) => Err(err),
    }
}

struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = SqlError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        match rewrite_factor(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(err) => ControlFlow::Break(err),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match expr {
            Expr::Function(function) => match group_window_error(function).or_else(|| learn_in_expression(function)) {
                Some(err) => ControlFlow::Break(err),
                None => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        }
    }
}

/// The window table functions, those to come included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Tumble,
    Hop,
    Session,
    Cumulate,
    TumbleRows,
    HopRows,
}

impl Name {
    fn of(name: &ObjectName) -> Option<Self> {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return None };
        match ident.value.to_ascii_uppercase().as_str() {
            "TUMBLE" => Some(Self::Tumble),
            "HOP" => Some(Self::Hop),
            "SESSION" => Some(Self::Session),
            "CUMULATE" => Some(Self::Cumulate),
            "TUMBLE_ROWS" => Some(Self::TumbleRows),
            "HOP_ROWS" => Some(Self::HopRows),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Tumble => "TUMBLE",
            Self::Hop => "HOP",
            Self::Session => "SESSION",
            Self::Cumulate => "CUMULATE",
            Self::TumbleRows => "TUMBLE_ROWS",
            Self::HopRows => "HOP_ROWS",
        }
    }

    /// How a call looks.
    fn form(self) -> &'static str {
        match self {
            Self::Hop => "HOP(TABLE bids, DESCRIPTOR(ts), INTERVAL '2' SECOND /* slide */, INTERVAL '10' SECOND /* size */ [, offset])",
            _ => "TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND [, offset])",
        }
    }

    /// The names of the arguments in their order.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Hop => &["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"],
            _ => &["DATA", "TIMECOL", "SIZE", "OFFSET"],
        }
    }

    fn error(self, what: impl std::fmt::Display) -> SqlError {
        SqlError::window(format!("{} {what}", self.text())).with_hint(self.form())
    }
}

fn rewrite_factor(factor: &mut TableFactor) -> SqlResult<()> {
    let span = factor.span();
    if rewrite_learn(factor).map_err(|err| err.with_span(span))? {
        return Ok(());
    }
    let rewritten = match factor {
        TableFactor::Table { with_hints, .. } if !with_hints.is_empty() => {
            return Err(SqlError::unsupported("WITH (…) after a table is not supported in a query").with_span(span));
        }
        TableFactor::Table { name, args: Some(args), alias, .. } => match Name::of(name) {
            Some(window) => Some(canonical_factor(window, &args.args, alias.take()).map_err(|err| err.with_span(span))?),
            None => None,
        },
        TableFactor::Function { name, args, alias, .. } => match Name::of(name) {
            Some(window) => Some(canonical_factor(window, args, alias.take()).map_err(|err| err.with_span(span))?),
            None => None,
        },
        TableFactor::TableFunction { expr: Expr::Function(function), alias } => match Name::of(&function.name) {
            Some(window) => {
                let span = function.name.span();
                let FunctionArguments::List(list) = &function.args else {
                    return Err(window.error("needs arguments").with_span(span));
                };
                Some(canonical_factor(window, &list.args, alias.take()).map_err(|err| err.with_span(span))?)
            }
            None => None,
        },
        _ => None,
    };
    if let Some(rewritten) = rewritten {
        *factor = rewritten;
    }
    Ok(())
}

fn canonical_factor(window: Name, args: &[FunctionArg], alias: Option<TableAlias>) -> SqlResult<TableFactor> {
    if !matches!(window, Name::Tumble | Name::Hop) {
        return Err(SqlError::unsupported(format!("{} windows are not supported yet", window.text()))
            .with_hint(format!("there are TUMBLE and HOP: FROM TABLE({})", Name::Tumble.form())));
    }
    let args = Arguments::read(window, args)?;
    let input = args.input()?;
    let time_column = args.time_column()?;
    let kind = args.kind()?;
    Ok(Canonical { kind, input, time_column, alias }.into_factor())
}

/// A call's arguments, each under its parameter.
struct Arguments<'a> {
    window: Name,
    values: Vec<Option<&'a Expr>>,
}

impl<'a> Arguments<'a> {
    fn read(window: Name, args: &'a [FunctionArg]) -> SqlResult<Self> {
        let parameters = window.parameters();
        let mut values = vec![None; parameters.len()];
        let mut named = false;
        for (position, arg) in args.iter().enumerate() {
            let (slot, value) = match arg {
                FunctionArg::Unnamed(value) if named => {
                    return Err(window.error(format!("has a positional argument after a named one: {value}")));
                }
                FunctionArg::Unnamed(value) => (position, value),
                FunctionArg::Named { name, arg, .. } => {
                    named = true;
                    (Self::slot(window, &name.value).map_err(|err| err.with_span(name.span))?, arg)
                }
                FunctionArg::ExprNamed { name, .. } => {
                    return Err(window.error(format!("has an argument named {name}")));
                }
            };
            let FunctionArgExpr::Expr(value) = value else {
                return Err(window.error(format!("cannot take {value} as an argument")));
            };
            let Some(place) = values.get_mut(slot) else {
                let what = format!("takes at most {} arguments, got {}", parameters.len(), args.len());
                return Err(window.error(what));
            };
            if place.replace(value).is_some() {
                return Err(window.error(format!("has argument {} twice", parameters[slot])));
            }
        }
        Ok(Self { window, values })
    }

    fn slot(window: Name, name: &str) -> SqlResult<usize> {
        let parameters = window.parameters();
        if let Some(slot) = parameters.iter().position(|parameter| parameter.eq_ignore_ascii_case(name)) {
            return Ok(slot);
        }
        let err = SqlError::window(format!("{} has no argument named {name}", window.text()));
        Err(match closest(name, parameters.iter().copied()) {
            Some(better) => err.with_hint(format!("did you mean {better}?")),
            None => err.with_hint(format!("arguments are: {}", parameters.join(", "))),
        })
    }

    fn optional(&self, parameter: &str) -> Option<&'a Expr> {
        let slot = self.window.parameters().iter().position(|name| *name == parameter)?;
        self.values.get(slot).copied().flatten()
    }

    fn required(&self, parameter: &str, what: &str) -> SqlResult<&'a Expr> {
        self.optional(parameter).ok_or_else(|| self.window.error(format!("lacks {what} ({parameter})")))
    }

    /// The rows to window, as a query.
    fn input(&self) -> SqlResult<Box<Query>> {
        let mut expr = self.required("DATA", "the table")?;
        while let Expr::Nested(inner) = expr {
            expr = inner;
        }
        let name = match expr {
            Expr::Subquery(query) => {
                if let SetExpr::Select(select) = query.body.as_ref()
                    && !select.distribute_by.is_empty()
                {
                    let err = self.window.error("windows all rows alike and takes no PARTITION BY");
                    return Err(err.with_hint("leave PARTITION BY out and GROUP BY window_start, window_end, the keys"));
                }
                return Ok(query.clone());
            }
            Expr::Identifier(ident) => ObjectName::from(vec![ident.clone()]),
            Expr::CompoundIdentifier(parts) => ObjectName::from(parts.clone()),
            other => {
                return Err(self.window.error(format!("needs a table, a view or a subquery first, got {other}")).with_span(other.span()));
            }
        };
        Ok(select_all_from(name)?)
    }

    /// `DESCRIPTOR(ts)`, `ts` or `'ts'`
    fn time_column(&self) -> SqlResult<datafusion::sql::sqlparser::ast::Ident> {
        let expr = self.required("TIMECOL", "the time column")?;
        let descriptor = match expr {
            Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("DESCRIPTOR") => sole_argument(function),
            other => Some(other),
        };
        match descriptor {
            Some(Expr::Identifier(ident)) => Ok(ident.clone()),
            Some(Expr::Value(value)) => match &value.value {
                Value::SingleQuotedString(name) => {
                    Ok(datafusion::sql::sqlparser::ast::Ident { value: name.clone(), quote_style: Some('"'), span: value.span })
                }
                _ => Err(self.time_column_error(expr)),
            },
            _ => Err(self.time_column_error(expr)),
        }
    }

    fn time_column_error(&self, expr: &Expr) -> SqlError {
        self.window.error(format!("needs the name of one time column, got {expr}")).with_span(expr.span())
    }

    fn kind(&self) -> SqlResult<WindowKind> {
        let size_expr = self.required("SIZE", "the window size")?;
        let size_ms = self.positive(size_expr, "size")?;
        let offset_ms = match self.optional("OFFSET") {
            Some(expr) => self.interval(expr)?,
            None => 0,
        };
        if self.window == Name::Tumble {
            // Offsets that differ by the size give the same windows.
            return Ok(WindowKind::Tumble { size_ms, offset_ms: offset_ms.rem_euclid(size_ms) });
        }
        let slide_expr = self.required("SLIDE", "the slide")?;
        let slide_ms = self.positive(slide_expr, "slide")?;
        if slide_ms > size_ms {
            let what = format!("slide must not exceed the size: slide {slide_expr}, size {size_expr}");
            let err = SqlError::window(format!("{} {what}", self.window.text()));
            return Err(err.with_hint("the slide comes first, then the size").with_span(slide_expr.span()));
        }
        Ok(WindowKind::Hop { slide_ms, size_ms, offset_ms: offset_ms.rem_euclid(slide_ms) })
    }

    fn positive(&self, expr: &Expr, what: &str) -> SqlResult<i64> {
        let ms = self.interval(expr)?;
        if ms <= 0 {
            return Err(interval_error(expr, &format!("{} {what} must be positive", self.window.text())));
        }
        Ok(ms)
    }

    fn interval(&self, expr: &Expr) -> SqlResult<i64> {
        interval_ms(expr).map_err(|err| if err.hint().is_none() { err.with_hint(self.window.form()) } else { err })
    }
}

/// The argument of a function of one argument.
fn sole_argument(function: &Function) -> Option<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expr),
        _ => None,
    }
}

/// `GROUP BY TUMBLE(ts, …)`, `TUMBLE_START(…)`: the form that Flink itself has retired.
fn group_window_error(function: &Function) -> Option<SqlError> {
    let [ObjectNamePart::Identifier(ident)] = function.name.0.as_slice() else { return None };
    let name = ident.value.to_ascii_uppercase();
    let base = ["_START", "_END", "_ROWTIME", "_PROCTIME"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let window = match base.unwrap_or(&name) {
        "TUMBLE" => Name::Tumble,
        "HOP" => Name::Hop,
        "SESSION" if base.is_some() || !matches!(function.args, FunctionArguments::None) => Name::Session,
        "CUMULATE" => Name::Cumulate,
        _ => return None,
    };
    let hint = match window {
        Name::Hop => Name::Hop.form(),
        _ => Name::Tumble.form(),
    };
    let message = format!("{name} as an expression is not supported yet");
    let hint = format!("window the table: SELECT window_start, … FROM TABLE({hint}) GROUP BY window_start, window_end");
    Some(SqlError::new(SqlErrorKind::Unsupported, message).with_hint(hint).with_span(ident.span))
}
