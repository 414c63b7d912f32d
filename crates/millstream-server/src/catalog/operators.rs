//! Operators of PostgreSQL that depend on the types of what they compare.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::sync::Arc;

/// `flag = 't'` and `document ->> 'key'`.
#[derive(Debug)]
pub(super) struct Operators {
    /// By operator.
    json: Vec<(BinaryOperator, Arc<ScalarUDF>)>,
}

impl Operators {
    /// `functions`: where those of JSON are found by name.
    pub(super) fn new(functions: &[Arc<ScalarUDF>]) -> Self {
        const JSON: &[(BinaryOperator, &str)] = &[
            (BinaryOperator::Arrow, "json_get"),
            (BinaryOperator::LongArrow, "json_get_text"),
            (BinaryOperator::HashArrow, "json_get_path"),
            (BinaryOperator::HashLongArrow, "json_get_path_text"),
        ];
        let find = |name: &str| functions.iter().find(|function| function.name() == name).cloned();
        Self { json: JSON.iter().filter_map(|(operator, name)| Some((operator.clone(), find(name)?))).collect() }
    }
}

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if let Some((_, function)) = self.json.iter().find(|(operator, _)| *operator == expr.op) {
            return Ok(PlannerResult::Planned(function.call(vec![expr.left, expr.right])));
        }
        if matches!(expr.op, BinaryOperator::Eq | BinaryOperator::NotEq) {
            let is_truth = |side: &Expr| side.get_type(schema).is_ok_and(|data_type| data_type == DataType::Boolean);
            if let Some(truth) = truth(&expr.right)
                && is_truth(&expr.left)
            {
                expr.right = truth;
            } else if let Some(truth) = truth(&expr.left)
                && is_truth(&expr.right)
            {
                expr.left = truth;
            }
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// A text that says true or false.
fn truth(expr: &Expr) -> Option<Expr> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) = expr else { return None };
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(lit(true)),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(lit(false)),
        _ => None,
    }
}
