//! Functions that the planner has under other names, and what it would pass over in silence.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, TableFactor, VisitMut, VisitorMut,
};

pub(super) fn rewrite(query: &mut Query) -> millstream::Result<()> {
    let mut visitor = OtherWords { samples: false };
    let _ = VisitMut::visit(query, &mut visitor);
    match visitor.samples {
        true => Err(millstream::Error::user("0A000", "TABLESAMPLE is not supported (hint: WHERE random() < 0.1)")),
        false => Ok(()),
    }
}

struct OtherWords {
    samples: bool,
}

impl VisitorMut for OtherWords {
    type Break = ();

    fn post_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        self.samples |= matches!(table, TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. });
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = function.name.to_string().to_lowercase();
        let FunctionArguments::List(list) = &function.args else { return ControlFlow::Continue(()) };
        match (name.as_str(), list.args.as_slice()) {
            ("gen_random_uuid", []) => function.name = ObjectName::from(vec![Ident::new("uuid")]),
            ("mod", [FunctionArg::Unnamed(FunctionArgExpr::Expr(left)), FunctionArg::Unnamed(FunctionArgExpr::Expr(right))]) => {
                let nested = |expr: &Expr| Box::new(Expr::Nested(Box::new(expr.clone())));
                let modulo = Expr::BinaryOp { left: nested(left), op: BinaryOperator::Modulo, right: nested(right) };
                *expr = Expr::Nested(Box::new(modulo));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
