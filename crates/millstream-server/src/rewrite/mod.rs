//! Queries put in words that the planner knows: one file a shape, one line in [`RULES`].
//!
//! The rules see nothing but the query; they change what PostgreSQL's clients write and DataFusion does not plan, and leave the rest.

mod any_array;
mod base_types;
mod casts;
mod date_times;
mod from_functions;
mod other_words;
mod qualifiers;
mod result_names;
mod set_functions;
mod subqueries;
mod system_columns;
mod vectors;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, ObjectName, Query};

pub(crate) use result_names::shown_name;

/// A rule; it changes what it knows and leaves the rest.
type Rule = fn(&mut Query) -> millstream::Result<()>;

/// In the order in which they run.
const RULES: &[Rule] = &[
    result_names::rewrite,
    system_columns::rewrite,
    qualifiers::rewrite,
    from_functions::rewrite,
    set_functions::rewrite,
    base_types::rewrite,
    vectors::rewrite,
    other_words::rewrite,
    date_times::rewrite,
    any_array::rewrite,
    casts::rewrite,
    subqueries::rewrite,
];

/// Applies all rules.
pub(crate) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    RULES.iter().try_for_each(|rule| rule(query))
}

/// A call of a function.
fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(ast::Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

fn string(text: &str) -> Expr {
    Expr::Value(ast::Value::SingleQuotedString(text.to_owned()).into())
}

/// The string that an expression is, casts around it left out.
fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Cast { expr, .. } | Expr::Nested(expr) => literal_text(expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of lines: what is written, and what becomes of it.
    const CASES: &str = include_str!("cases.txt");

    #[test]
    fn queries_are_put_in_other_words() {
        let lines: Vec<&str> = CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let mut wrong = Vec::new();
        for pair in lines.chunks(2) {
            let (mut query, _) = millstream_sql::parse::parse_query(pair[0]).unwrap();
            rewrite(&mut query).unwrap();
            if query.to_string() != pair[1] {
                wrong.push(format!("{}\n  gives    {query}\n  expected {}", pair[0], pair[1]));
            }
        }
        assert!(wrong.is_empty() && lines.len() > 10, "{}", wrong.join("\n"));
    }
}
