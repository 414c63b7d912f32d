//! `m(a, b)` and `model_state('m')`: what others see of a model that learns.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::new_null_array;
use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use millstream_ml::learner::state_schema;

use super::{Learner, Learners, learn_error};

/// `m(a, b)`: the score by the parameters of the last committed checkpoint; NULL before the first, and where a feature is NULL.
pub(crate) fn scoring_function(learner: Arc<Learner>) -> ScalarUDF {
    // It changes while a query runs.
    ScalarUDF::from(ScoringFunction { learner, signature: Signature::user_defined(Volatility::Volatile) })
}

#[derive(Debug)]
struct ScoringFunction {
    learner: Arc<Learner>,
    signature: Signature,
}

impl PartialEq for ScoringFunction {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.learner, &other.learner)
    }
}

impl Eq for ScoringFunction {}

impl Hash for ScoringFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.learner.name.hash(state);
    }
}

impl ScalarUDFImpl for ScoringFunction {
    fn name(&self) -> &str {
        &self.learner.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (name, features) = (&self.learner.name, &self.learner.definition.features);
        if types.len() != features.len() {
            return plan_err!(
                "model {name} takes {} features: got {} (hint: {name}({}))",
                features.len(),
                types.len(),
                features.join(", ")
            );
        }
        for (data_type, feature) in types.iter().zip(features) {
            if !data_type.is_numeric() && !matches!(data_type, DataType::Boolean | DataType::Null) {
                return plan_err!("feature {feature} of model {name} must be a number: got {data_type} (hint: CAST it to DOUBLE)");
            }
        }
        Ok(vec![DataType::Float64; types.len()])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(mut model) = self.learner.model() else {
            return Ok(ColumnarValue::Array(new_null_array(&DataType::Float64, args.number_rows)));
        };
        let features = ColumnarValue::values_to_arrays(&args.args)?;
        let predicted = model.predict(&features, None).map_err(|error| DataFusionError::External(Box::new(learn_error(&error))))?;
        Ok(ColumnarValue::Array(predicted.score))
    }
}

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
