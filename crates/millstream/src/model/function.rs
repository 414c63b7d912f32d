//! The functions of models: `m(…)`, `predict('m', …)`, `predict_label('m', …)`, `predict_proba('m', …)`.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err, plan_datafusion_err};
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use millstream_time::Clock;

use super::evaluate::predict;
use super::pinned::{Pin, PinnedModels};
use super::shape::{ModelShape, ResultColumn, accepts};

/// What of a prediction a call gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Value,
    Label,
    Probabilities,
    /// Everything, as a struct.
    All,
}

/// One function; `model` is `None` where the first argument names it.
#[derive(Clone, Debug)]
pub(crate) struct ModelFunction {
    name: String,
    model: Option<String>,
    part: Part,
    pinned: PinnedModels,
    clock: Arc<dyn Clock>,
    signature: Signature,
}

impl PartialEq for ModelFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.pinned.is_same(&other.pinned)
    }
}

impl Eq for ModelFunction {}

impl Hash for ModelFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Names of the functions behind ML_PREDICT and ML_EVALUATE.
pub(crate) const PREDICT_ALL: &str = "predict_all";
pub(crate) const PREDICT_LABEL: &str = "predict_label";
pub(crate) const PREDICT_PROBABILITIES: &str = "predict_proba";

/// The functions of all models that are pinned, and those that take a model's name.
pub(crate) fn generic_functions(pinned: &PinnedModels, clock: &Arc<dyn Clock>) -> Vec<ScalarUDF> {
    let function = |name: &str, model: Option<String>, part: Part| {
        // The same rows give the same predictions for as long as a plan runs once: within an epoch.
        let signature = Signature::variadic_any(Volatility::Stable);
        ScalarUDF::from(ModelFunction { name: name.to_owned(), model, part, pinned: pinned.clone(), clock: Arc::clone(clock), signature })
    };
    let mut functions = vec![
        function("predict", None, Part::Value),
        function(PREDICT_LABEL, None, Part::Label),
        function(PREDICT_PROBABILITIES, None, Part::Probabilities),
        function(PREDICT_ALL, None, Part::All),
    ];
    functions.extend(pinned.names().into_iter().map(|name| function(&name, Some(name.clone()), Part::Value)));
    functions
}

impl ModelFunction {
    /// The same function of another plan.
    pub(super) fn looking_into(&self, pinned: &PinnedModels) -> Self {
        Self { pinned: pinned.clone(), ..self.clone() }
    }

    /// The model that a call is about.
    pub(super) fn model_of(&self, args: &[Expr]) -> Option<String> {
        if self.model.is_some() {
            return self.model.clone();
        }
        match args.first() {
            Some(Expr::Literal(value, _)) => text(value),
            _ => None,
        }
    }

    fn pin(&self, first: Option<&ScalarValue>) -> Result<Pin> {
        let name = match &self.model {
            Some(name) => name.clone(),
            None => first
                .and_then(text)
                .ok_or_else(|| plan_datafusion_err!("{} takes the name of a model first (hint: {}('m', a, b))", self.name, self.name))?,
        };
        self.pinned.get(&name).ok_or_else(|| {
            let names = self.pinned.names();
            let hint = match millstream_connectors::options::did_you_mean(&name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => "SHOW MODELS lists them".to_owned(),
            };
            plan_datafusion_err!("there is no model {name} (hint: {hint})")
        })
    }

    fn column(&self, shape: &ModelShape, model: &str) -> Result<ResultColumn> {
        let column = match self.part {
            Part::Value | Part::All => Some(shape.value.clone()),
            Part::Label => shape.label.clone(),
            Part::Probabilities => shape.probabilities.clone(),
        };
        column.ok_or_else(|| {
            plan_datafusion_err!("{} needs a classifier: {model} is of {} (hint: {model}(…) gives its value)", self.name, shape.task)
        })
    }

    /// What the call gives, in order, and whether as a struct.
    fn results(&self, shape: &ModelShape, model: &str) -> Result<(Vec<ResultColumn>, bool)> {
        Ok(match self.part {
            Part::All => (shape.columns.clone(), true),
            _ => (vec![self.column(shape, model)?], false),
        })
    }
}

fn text(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => text.clone(),
        _ => None,
    }
}

/// The element type and length of an argument that holds all features at once.
pub(super) fn vector_of(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => Some(field),
        _ => None,
    }
}

/// The arguments are what the model takes.
fn check_arguments(shape: &ModelShape, model: &str, fields: &[FieldRef]) -> Result<()> {
    let wrong = |what: String| Err(plan_datafusion_err!("{model} takes ({}): {what} (hint: DESCRIBE MODEL {model})", shape.takes()));
    if let [only] = fields
        && let Some(element) = vector_of(only.data_type())
    {
        if shape.arguments.iter().any(|(_, kind)| !accepts(*kind, element.data_type())) {
            return wrong(format!("a list of {} does not fit", element.data_type()));
        }
        if let DataType::FixedSizeList(_, length) = only.data_type()
            && usize::try_from(*length).ok() != Some(shape.arguments.len())
        {
            return wrong(format!("got a list of {length}"));
        }
        return Ok(());
    }
    if fields.len() != shape.arguments.len() {
        return wrong(format!("{} features, got {}", shape.arguments.len(), fields.len()));
    }
    for ((name, kind), field) in shape.arguments.iter().zip(fields) {
        if !accepts(*kind, field.data_type()) {
            return wrong(format!("feature {name} is given {} (CAST it)", field.data_type()));
        }
    }
    Ok(())
}

impl ScalarUDFImpl for ModelFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Err(plan_datafusion_err!("{} needs its arguments to say what it gives", self.name))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let pin = self.pin(args.scalar_arguments.first().copied().flatten())?;
        let fields = if self.model.is_some() { args.arg_fields } else { args.arg_fields.get(1..).unwrap_or_default() };
        check_arguments(&pin.version.shape, &pin.model.name, fields)?;
        let (columns, as_struct) = self.results(&pin.version.shape, &pin.model.name)?;
        Ok(Arc::new(Field::new(&self.name, result_type(&columns, as_struct), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let first = match args.args.first() {
            Some(ColumnarValue::Scalar(value)) => Some(value),
            _ => None,
        };
        let pin = self.pin(first)?;
        let (columns, as_struct) = self.results(&pin.version.shape, &pin.model.name)?;
        let features = if self.model.is_some() { args.args.as_slice() } else { args.args.get(1..).unwrap_or_default() };
        let constant = features.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays = features.iter().map(|value| value.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let mut results = predict(&pin, &arrays, rows, &columns, &self.clock)?;
        let array: ArrayRef = if as_struct {
            Arc::new(datafusion::arrow::array::StructArray::try_new(struct_fields(&columns), results, None)?)
        } else {
            results.pop().ok_or_else(|| exec_datafusion_err!("model {} gave nothing", pin.model.name))?
        };
        // A learner knows its labels' type later than plans that call it may have been made.
        let planned = args.return_field.data_type();
        let array = if array.data_type() == planned { array } else { datafusion::arrow::compute::cast(&array, planned)? };
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

fn struct_fields(columns: &[ResultColumn]) -> datafusion::arrow::datatypes::Fields {
    columns.iter().map(|column| Field::new(&column.name, column.data_type.clone(), true)).collect()
}

fn result_type(columns: &[ResultColumn], as_struct: bool) -> DataType {
    match columns {
        [only] if !as_struct => only.data_type.clone(),
        columns => DataType::Struct(struct_fields(columns)),
    }
}

/// An error of a model as DataFusion carries it.
pub(super) fn carried(error: crate::error::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
