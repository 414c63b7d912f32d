//! Names of result columns that nobody has named: `SELECT 1 + 1` gives a column `1 + 1`, where DataFusion would say
//! `Int64(1) + Int64(1)`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, SelectItem, SetExpr};

/// Names those columns of a query that hold literals by their text; others have names that can be read already.
pub(crate) fn name_columns(query: &mut ast::Query) {
    let mut body = query.body.as_mut();
    let select = loop {
        match body {
            SetExpr::Select(select) => break select,
            SetExpr::SetOperation { left, .. } => body = left.as_mut(),
            SetExpr::Query(inner) => body = inner.body.as_mut(),
            _ => return,
        }
    };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && holds_literal(expr)
        {
            let alias = Ident::with_quote('"', expr.to_string());
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

fn holds_literal(expr: &Expr) -> bool {
    let found = ast::visit_expressions(expr, |expr| match expr {
        Expr::Value(_) | Expr::Interval(_) | Expr::TypedString(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

#[cfg(test)]
mod tests {
    use crate::Engine;

    #[tokio::test(flavor = "multi_thread")]
    async fn columns_are_called_what_was_written() {
        let session = Engine::builder().build().await.unwrap().session();
        session
            .execute("CREATE TABLE t (a BIGINT, at TIMESTAMP(3)); INSERT INTO t VALUES (2, TIMESTAMP '2024-01-02 03:04:05')")
            .await
            .unwrap();
        for (sql, names) in [
            ("SELECT 1, 'x', 1 + 1 AS two", vec!["1", "'x'", "two"]),
            ("SELECT a, count(*) FROM t GROUP BY a", vec!["a", "count(*)"]),
            (
                "SELECT date_trunc('day', at), count(*) FROM t GROUP BY date_trunc('day', at) ORDER BY date_trunc('day', at)",
                vec!["date_trunc('day', at)", "count(*)"],
            ),
            ("SELECT a % 2, sum(a) FROM t GROUP BY 1 HAVING sum(a) > 0 ORDER BY 1", vec!["a % 2", "sum(t.a)"]),
            ("SELECT 1 UNION ALL SELECT 2", vec!["1"]),
            ("SELECT DISTINCT a + 1 FROM t ORDER BY 1", vec!["a + 1"]),
            ("SELECT \"1\" + 1 FROM (SELECT 1) s (\"1\")", vec!["\"1\" + 1"]),
        ] {
            let query = session.query(sql).await.unwrap();
            let schema = query.schema();
            assert_eq!(schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), names, "{sql}");
            assert_eq!(query.collect().await.unwrap().iter().map(|batch| batch.num_columns()).max(), Some(names.len()), "{sql}");
        }
    }
}
