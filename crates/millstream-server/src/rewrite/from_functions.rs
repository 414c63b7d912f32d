//! Functions in FROM: without their schema, and `generate_series` of what is no literal as a subquery.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, TableAlias, TableFactor, VisitMut, VisitorMut,
};

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let _ = VisitMut::visit(query, &mut FromFunctions);
    Ok(())
}

struct FromFunctions;

impl VisitorMut for FromFunctions {
    type Break = ();

    fn post_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args: Some(args), alias, .. } = table else { return ControlFlow::Continue(()) };
        let first = name.0.first().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
        if name.0.len() == 2 && first.is_some_and(|schema| schema == "pg_catalog" || schema == "information_schema") {
            name.0.remove(0);
        }
        let is_literal = |argument: &FunctionArg| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                matches!(expr, Expr::Value(_) | Expr::UnaryOp { .. } | Expr::Interval(_) | Expr::TypedString(_))
            }
            _ => true,
        };
        if name.to_string().eq_ignore_ascii_case("generate_series") && !args.args.iter().all(is_literal) {
            let alias = alias.clone();
            if let Some(subquery) = series(&args.args, name, alias.as_ref()) {
                let alias = alias.or_else(|| Some(plain_alias("generate_series")));
                *table = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
            }
        } else if name.to_string().eq_ignore_ascii_case("generate_series")
            && args.args.iter().all(|argument| argument.to_string().parse::<i32>().is_ok())
        {
            // Of integers, where the planner's gives bigints.
            let column = column_name(name, alias.as_ref());
            let arguments: Vec<String> = args.args.iter().map(ToString::to_string).collect();
            let sql = format!("SELECT CAST(value AS INTEGER) AS {column} FROM generate_series({})", arguments.join(", "));
            let alias = alias.clone().or_else(|| Some(plain_alias("generate_series")));
            if let Ok((subquery, _)) = millstream_sql::parse::parse_query(&sql) {
                *table = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
            }
        }
        ControlFlow::Continue(())
    }
}

fn plain_alias(name: &str) -> TableAlias {
    TableAlias { explicit: true, name: Ident::new(name), columns: vec![], at: None }
}

/// Its column is called as the alias says, or else as the function.
fn column_name(name: &ObjectName, alias: Option<&TableAlias>) -> String {
    match alias {
        Some(alias) => alias.columns.first().map_or(&alias.name, |column| &column.name).to_string(),
        None => name.to_string(),
    }
}

/// `SELECT unnest(generate_series(…)) AS name`
fn series(args: &[FunctionArg], name: &ObjectName, alias: Option<&TableAlias>) -> Option<Box<Query>> {
    let bounds: Vec<String> = args.iter().map(|argument| format!("CAST({argument} AS BIGINT)")).collect();
    let column = column_name(name, alias);
    let sql = format!("SELECT unnest(generate_series({})) AS {column}", bounds.join(", "));
    millstream_sql::parse::parse_query(&sql).ok().map(|(query, _)| query)
}
