//! `model_state('m')`: what a model that learns has learned.

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use millstream_ml::learner::state_schema;

use super::Learners;

/// `model_state('m')`: the rows of a model in its last committed checkpoint.
pub(crate) struct ModelState {
    learners: Arc<Learners>,
}

impl ModelState {
    pub(crate) const NAME: &'static str = "model_state";

    pub(crate) fn new(learners: Arc<Learners>) -> Self {
        Self { learners }
    }
}

impl fmt::Debug for ModelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)
    }
}

impl TableFunctionImpl for ModelState {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let [Expr::Literal(ScalarValue::Utf8(Some(name)) | ScalarValue::LargeUtf8(Some(name)) | ScalarValue::Utf8View(Some(name)), _)] =
            arguments.exprs()
        else {
            return plan_err!("model_state takes the name of a model in quotes: model_state('m')");
        };
        let learner = self.learners.find(name).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let rows = learner.state().into_iter().collect();
        Ok(Arc::new(MemTable::try_new(state_schema(), vec![rows])?))
    }
}
