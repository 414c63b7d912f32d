//! A window table function in its one form, written by [`rewrite_windows`](super::rewrite_windows) and read back when
//! the relation is planned.
//!
//! `TABLE(__tumble((query), column, size, slide, offset)) alias`, the three numbers in milliseconds; `__hop` alike. For
//! `__tumble` the slide is the size.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query,
    TableAlias, TableFactor, Value,
};

use crate::error::{SqlError, SqlErrorKind, SqlResult};

const TUMBLE: &str = "__tumble";
const HOP: &str = "__hop";

/// Which windows a row belongs to. All lengths are positive, the offset lies in `0..slide`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WindowKind {
    /// Windows side by side: each row is in one.
    Tumble {
        /// Length of a window.
        size_ms: i64,
        /// Where windows start, counted from the epoch.
        offset_ms: i64,
    },
    /// Windows that overlap: each row is in `size / slide` of them.
    Hop {
        /// From one window's start to the next one's.
        slide_ms: i64,
        /// Length of a window; at least the slide.
        size_ms: i64,
        /// Where windows start, counted from the epoch.
        offset_ms: i64,
    },
}

/// A window table function in FROM.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowCall {
    /// The windows.
    pub kind: WindowKind,
    /// The rows.
    pub input: Box<Query>,
    /// The event-time column of `input`.
    pub time_column: Ident,
    /// The relation's alias.
    pub alias: Option<TableAlias>,
}

/// The same, on its way into the tree.
pub(super) type Canonical = WindowCall;

impl WindowCall {
    /// Reads the form that [`rewrite_windows`](super::rewrite_windows) leaves; `None` for any other relation.
    pub fn from_table_factor(factor: &TableFactor) -> Option<SqlResult<Self>> {
        let TableFactor::TableFunction { expr: Expr::Function(function), alias } = factor else { return None };
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
        if name.value != TUMBLE && name.value != HOP {
            return None;
        }
        let read = Self::read(&name.value, function, alias.clone());
        Some(read.ok_or_else(|| {
            SqlError::new(SqlErrorKind::Internal, format!("{function} is no window call"))
                .with_hint("names that start with two underscores are reserved; use TUMBLE or HOP")
                .with_span(name.span)
        }))
    }

    fn read(name: &str, function: &Function, alias: Option<TableAlias>) -> Option<Self> {
        let FunctionArguments::List(list) = &function.args else { return None };
        let exprs: Vec<&Expr> = list.args.iter().filter_map(unnamed).collect();
        let [Expr::Subquery(input), Expr::Identifier(time_column), size, slide, offset] = exprs.as_slice() else {
            return None;
        };
        let (size_ms, slide_ms, offset_ms) = (number(size)?, number(slide)?, number(offset)?);
        if size_ms <= 0 || slide_ms <= 0 || slide_ms > size_ms || !(0..slide_ms).contains(&offset_ms) {
            return None;
        }
        let kind = match name {
            TUMBLE if slide_ms == size_ms => WindowKind::Tumble { size_ms, offset_ms },
            HOP => WindowKind::Hop { slide_ms, size_ms, offset_ms },
            _ => return None,
        };
        Some(Self { kind, input: input.clone(), time_column: time_column.clone(), alias })
    }

    pub(super) fn into_factor(self) -> TableFactor {
        let (name, size_ms, slide_ms, offset_ms) = match self.kind {
            WindowKind::Tumble { size_ms, offset_ms } => (TUMBLE, size_ms, size_ms, offset_ms),
            WindowKind::Hop { slide_ms, size_ms, offset_ms } => (HOP, size_ms, slide_ms, offset_ms),
        };
        let number = |ms: i64| Expr::value(Value::Number(ms.to_string(), false));
        let args = [Expr::Subquery(self.input), Expr::Identifier(self.time_column), number(size_ms), number(slide_ms), number(offset_ms)];
        let args = args.into_iter().map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))).collect();
        let function = Function {
            name: ObjectName::from(vec![Ident::new(name)]),
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

fn unnamed(arg: &FunctionArg) -> Option<&Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

fn number(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}
